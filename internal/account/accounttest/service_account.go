package accounttest

import (
	"testing"

	"barong/internal/account"
)

func serviceAccountRoundTrip(t *testing.T, s Store) {
	owner := AddUser(t, s, "1")
	want := AddServiceAccount(t, s, "1", owner.UID)
	if want.ID == 0 || want.Version == 0 || want.LockVersion == 0 {
		t.Fatalf("got %+v, want ID and counters filled", want)
	}
	Recent(t, want.CreatedAt)
	got, err := s.ServiceAccount(t.Context(), want.UID)
	Must(t, err)
	Equal(t, got, want)
	_, err = s.ServiceAccount(t.Context(), owner.UID)
	WantErr(t, err, account.ErrNoServiceAccount)
}

func serviceAccountOrphan(t *testing.T, s Store) {
	want := AddServiceAccount(t, s, "1", "")
	got, err := s.ServiceAccount(t.Context(), want.UID)
	Must(t, err)
	Equal(t, got, want)
	ghost := account.ServiceAccount{UID: "SI2", Email: "x@example.com", OwnerUID: "ID404", Role: "r", State: "active"}
	WantErr(t, s.AddServiceAccount(t.Context(), &ghost), account.ErrNoUser)
}

func serviceAccountTaken(t *testing.T, s Store) {
	user, first := AddUser(t, s, "1"), AddServiceAccount(t, s, "1", "")
	for what, change := range map[string]func(*account.ServiceAccount){
		"uid":              func(a *account.ServiceAccount) { a.UID = first.UID },
		"uid of a user":    func(a *account.ServiceAccount) { a.UID = user.UID },
		"e-mail":           func(a *account.ServiceAccount) { a.Email = "SERVICE1@example.com" },
		"e-mail of a user": func(a *account.ServiceAccount) { a.Email = "USER1@example.com" },
	} {
		a := account.ServiceAccount{UID: "SI2", Email: "two@example.com", Role: "r", State: "active"}
		change(&a)
		t.Log(what)
		WantErr(t, s.AddServiceAccount(t.Context(), &a), account.ErrTaken)
	}
	second := AddServiceAccount(t, s, "2", "")
	for _, email := range []string{first.Email, user.Email} {
		a := second
		a.Email = email
		WantErr(t, s.PutServiceAccount(t.Context(), &a), account.ErrTaken)
	}
}

func serviceAccountPut(t *testing.T, s Store) {
	one, two := AddUser(t, s, "1"), AddUser(t, s, "2")
	want := AddServiceAccount(t, s, "1", one.UID)
	before := want
	want.OwnerUID, want.Email, want.Role = two.UID, "moved@example.com", "other"
	want.Level, want.State = 9, account.StateDisabled
	Must(t, s.PutServiceAccount(t.Context(), &want))
	raised := want.Version
	Equal(t, raised > before.Version, true)
	Equal(t, want.LockVersion, before.LockVersion+1)
	got, err := s.ServiceAccount(t.Context(), want.UID)
	Must(t, err)
	Equal(t, got, want)

	Must(t, s.PutServiceAccount(t.Context(), &want)) // changes nothing
	Equal(t, want.Version, raised)
	for what, change := range map[string]func(*account.ServiceAccount){
		"role": func(a *account.ServiceAccount) { a.Role += "x" }, "level": func(a *account.ServiceAccount) { a.Level++ },
		"state": func(a *account.ServiceAccount) { a.State += "x" }, "e-mail": func(a *account.ServiceAccount) { a.Email = "x" + a.Email },
		"owner": func(a *account.ServiceAccount) { a.OwnerUID = "" },
	} {
		v := want.Version
		change(&want)
		Must(t, s.PutServiceAccount(t.Context(), &want))
		if want.Version <= v {
			t.Errorf("changing %s: version %d, want a later one than %d", what, want.Version, v)
		}
	}
	ghost := account.ServiceAccount{UID: "SI404", Email: "x@example.com", Role: "r", State: "active"}
	WantErr(t, s.PutServiceAccount(t.Context(), &ghost), account.ErrNoServiceAccount)
}

func serviceAccountsOf(t *testing.T, s Store) {
	one, two := AddUser(t, s, "1"), AddUser(t, s, "2")
	want := []account.ServiceAccount{AddServiceAccount(t, s, "9", one.UID), AddServiceAccount(t, s, "1", one.UID)}
	AddServiceAccount(t, s, "5", two.UID)
	AddServiceAccount(t, s, "6", "")
	got, err := s.ServiceAccountsOf(t.Context(), one.UID)
	Must(t, err)
	Equal(t, got, want)
	got, err = s.ServiceAccountsOf(t.Context(), "")
	Must(t, err)
	if len(got) != 0 {
		t.Errorf("owner \"\": got %d, want none", len(got))
	}
}

func principalOfServiceAccount(t *testing.T, s Store) {
	owner := AddUser(t, s, "1")
	a := AddServiceAccount(t, s, "1", owner.UID)
	got, err := s.Principal(t.Context(), a.UID)
	Must(t, err)
	Equal(t, got, a.Principal())
	orphan := AddServiceAccount(t, s, "2", "")
	got, err = s.Principal(t.Context(), orphan.UID)
	Must(t, err)
	Equal(t, got, orphan.Principal())
}

func serviceAccountByEmail(t *testing.T, s Store) {
	want := AddServiceAccount(t, s, "1", AddUser(t, s, "1").UID)
	got, err := s.ServiceAccountByEmail(t.Context(), "SERVICE1@example.com")
	Must(t, err)
	Equal(t, got, want)
	_, err = s.ServiceAccountByEmail(t.Context(), "user1@example.com")
	WantErr(t, err, account.ErrNoServiceAccount)
}

func serviceAccountPage(t *testing.T, s Store) {
	one := AddUser(t, s, "1")
	mine := []account.ServiceAccount{AddServiceAccount(t, s, "9", one.UID), AddServiceAccount(t, s, "1", one.UID)}
	all := append(mine, AddServiceAccount(t, s, "5", AddUser(t, s, "2").UID), AddServiceAccount(t, s, "6", ""))
	page := func(q account.ServiceAccountQuery, want []account.ServiceAccount, total int) {
		t.Helper()
		got, n, err := s.ServiceAccountPage(t.Context(), q)
		Must(t, err)
		Equal(t, got, want)
		Equal(t, n, total)
	}
	page(account.ServiceAccountQuery{Limit: 10}, all, 4)
	page(account.ServiceAccountQuery{Limit: 2, Offset: 1}, all[1:3], 4)
	page(account.ServiceAccountQuery{Limit: 2, Offset: 4}, nil, 4)
	page(account.ServiceAccountQuery{OwnerUID: one.UID, Limit: 1, Offset: 1}, mine[1:], 2)
	page(account.ServiceAccountQuery{OwnerUID: "ID404", Limit: 10}, nil, 0)
}

func usersByUID(t *testing.T, s Store) {
	AddUser(t, s, "1")
	AddUser(t, s, "2")
	got, err := s.UsersByUID(t.Context(), []string{"ID000000001", "ID000000002", "ID404"})
	Must(t, err)
	Equal(t, len(got), 2)
	for uid, u := range got {
		want, err := s.User(t.Context(), uid)
		Must(t, err)
		Equal(t, u, want)
	}
}
