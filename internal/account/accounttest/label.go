package accounttest

import (
	"testing"

	"barong/internal/account"
)

func newLabel(uid, key, scope string) account.Label {
	return account.Label{UserUID: uid, Key: key, Value: "verified", Scope: scope, Description: new("by phone")}
}

func labelRoundTrip(t *testing.T, s account.Store) {
	u := addUser(t, s, "1")
	want := newLabel(u.UID, "email", account.ScopePrivate)
	must(t, s.PutLabel(t.Context(), &want))
	if want.ID == 0 {
		t.Fatal("ID is 0")
	}
	recent(t, want.CreatedAt)
	got, err := s.Label(t.Context(), u.UID, "email", account.ScopePrivate)
	must(t, err)
	equal(t, got, want)
}

func labelScopes(t *testing.T, s account.Store) {
	u := addUser(t, s, "1")
	private, public := newLabel(u.UID, "email", account.ScopePrivate), newLabel(u.UID, "email", account.ScopePublic)
	public.Value = "mine"
	must(t, s.PutLabel(t.Context(), &private))
	must(t, s.PutLabel(t.Context(), &public))
	got, err := s.Label(t.Context(), u.UID, "email", account.ScopePrivate)
	must(t, err)
	equal(t, got, private)
	must(t, s.DeleteLabel(t.Context(), u.UID, "email", account.ScopePublic))
	all, err := s.Labels(t.Context(), u.UID)
	must(t, err)
	equal(t, all, []account.Label{private})
}

func labelUpdate(t *testing.T, s account.Store) {
	u := addUser(t, s, "1")
	first := newLabel(u.UID, "email", account.ScopePrivate)
	must(t, s.PutLabel(t.Context(), &first))
	second := newLabel(u.UID, "email", account.ScopePrivate)
	second.Value, second.Description = "rejected", nil
	must(t, s.PutLabel(t.Context(), &second))
	equal(t, second.ID, first.ID)
	equal(t, second.CreatedAt, first.CreatedAt)
	got, err := s.Label(t.Context(), u.UID, "email", account.ScopePrivate)
	must(t, err)
	equal(t, got, second)
}

func labelNotFound(t *testing.T, s account.Store) {
	u := addUser(t, s, "1")
	_, err := s.Label(t.Context(), u.UID, "email", account.ScopePrivate)
	wantErr(t, err, account.ErrNotFound)
	wantErr(t, s.DeleteLabel(t.Context(), u.UID, "email", account.ScopePrivate), account.ErrNotFound)
	l := newLabel("ID404", "email", account.ScopePrivate)
	wantErr(t, s.PutLabel(t.Context(), &l), account.ErrNotFound)
}

func labelList(t *testing.T, s account.Store) {
	one, two := addUser(t, s, "1"), addUser(t, s, "2")
	var want []account.Label
	for _, key := range []string{"phone", "email", "document"} {
		l, other := newLabel(one.UID, key, account.ScopePrivate), newLabel(two.UID, key, account.ScopePrivate)
		must(t, s.PutLabel(t.Context(), &l))
		must(t, s.PutLabel(t.Context(), &other))
		want = append(want, l)
	}
	got, err := s.Labels(t.Context(), one.UID)
	must(t, err)
	equal(t, got, want)
	got, err = s.Labels(t.Context(), "ID404")
	must(t, err)
	if len(got) != 0 {
		t.Errorf("unknown user: got %v, want none", got)
	}
}

func idsNotReused(t *testing.T, s account.Store) {
	u := addUser(t, s, "1")
	first := newLabel(u.UID, "email", account.ScopePrivate)
	must(t, s.PutLabel(t.Context(), &first))
	must(t, s.DeleteLabel(t.Context(), u.UID, "email", account.ScopePrivate))
	second := newLabel(u.UID, "email", account.ScopePrivate)
	must(t, s.PutLabel(t.Context(), &second))
	if second.ID <= first.ID {
		t.Fatalf("got id %d after %d was removed", second.ID, first.ID)
	}
}

func levelRoundTrip(t *testing.T, s account.Store) {
	three := account.Level{ID: 3, Key: "document", Value: "verified", Description: new("papers")}
	one := account.Level{ID: 1, Key: "email", Value: "verified"}
	must(t, s.PutLevel(t.Context(), three))
	must(t, s.PutLevel(t.Context(), one))
	got, err := s.Levels(t.Context())
	must(t, err)
	equal(t, got, []account.Level{one, three})
	one.Value, one.Description = "confirmed", new("by mail")
	must(t, s.PutLevel(t.Context(), one))
	got, err = s.Levels(t.Context())
	must(t, err)
	equal(t, got, []account.Level{one, three})
}

func levelTaken(t *testing.T, s account.Store) {
	must(t, s.PutLevel(t.Context(), account.Level{ID: 1, Key: "email", Value: "verified"}))
	wantErr(t, s.PutLevel(t.Context(), account.Level{ID: 2, Key: "email", Value: "verified"}), account.ErrTaken)
	must(t, s.PutLevel(t.Context(), account.Level{ID: 2, Key: "email", Value: "other"}))
}

func totpRoundTrip(t *testing.T, s account.Store) {
	u := addUser(t, s, "1")
	_, err := s.TOTPSecret(t.Context(), u.UID)
	wantErr(t, err, account.ErrNotFound)
	want := account.TOTPSecret{UserUID: u.UID, Secret: []byte("12345678901234567890"), LastStep: 55}
	must(t, s.PutTOTPSecret(t.Context(), want))
	got, err := s.TOTPSecret(t.Context(), u.UID)
	must(t, err)
	equal(t, got, want)
	want.Secret, want.LastStep = []byte("another secret, yes!"), 3
	must(t, s.PutTOTPSecret(t.Context(), want))
	got, err = s.TOTPSecret(t.Context(), u.UID)
	must(t, err)
	equal(t, got, want)
	must(t, s.DeleteTOTPSecret(t.Context(), u.UID))
	must(t, s.DeleteTOTPSecret(t.Context(), u.UID))
	_, err = s.TOTPSecret(t.Context(), u.UID)
	wantErr(t, err, account.ErrNotFound)
	wantErr(t, s.PutTOTPSecret(t.Context(), account.TOTPSecret{UserUID: "ID404", Secret: []byte("x")}), account.ErrNotFound)
}

func totpRace(t *testing.T, s account.Store) {
	u := addUser(t, s, "1")
	must(t, s.PutTOTPSecret(t.Context(), account.TOTPSecret{UserUID: u.UID, Secret: []byte("12345678901234567890")}))
	won := make(chan bool, 8)
	for range cap(won) {
		go func() {
			ok, err := s.AdvanceTOTP(t.Context(), u.UID, 100)
			won <- ok && err == nil
		}()
	}
	winners := 0
	for range cap(won) {
		if <-won {
			winners++
		}
	}
	equal(t, winners, 1)
	for step, want := range map[int64]bool{99: false, 100: false} {
		ok, err := s.AdvanceTOTP(t.Context(), u.UID, step)
		must(t, err)
		equal(t, ok, want)
	}
	ok, err := s.AdvanceTOTP(t.Context(), u.UID, 101)
	must(t, err)
	equal(t, ok, true)
	ok, err = s.AdvanceTOTP(t.Context(), "ID404", 101)
	must(t, err)
	equal(t, ok, false)
}
