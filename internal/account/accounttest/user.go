package accounttest

import (
	"testing"
	"time"

	"barong/internal/account"
	"barong/internal/session"
)

func userRoundTrip(t *testing.T, s Store) {
	referrer := AddUser(t, s, "1")
	want := NewUser("2")
	want.ReferralID = &referrer.ID
	Must(t, s.AddUser(t.Context(), &want))
	if want.ID == 0 || want.Version == 0 || want.LockVersion == 0 {
		t.Fatalf("ID %d, Version %d, LockVersion %d: want all filled", want.ID, want.Version, want.LockVersion)
	}
	Recent(t, want.CreatedAt)
	Recent(t, want.UpdatedAt)
	want.ReferralUID = &referrer.UID
	got, err := s.User(t.Context(), want.UID)
	Must(t, err)
	Equal(t, got, want)
	got, err = s.UserByEmail(t.Context(), want.Email)
	Must(t, err)
	Equal(t, got, want)
}

func userAbsentFields(t *testing.T, s Store) {
	want := NewUser("1")
	want.Username, want.Data, want.OTP, want.AdminState = nil, nil, false, ""
	Must(t, s.AddUser(t.Context(), &want))
	got, err := s.User(t.Context(), want.UID)
	Must(t, err)
	Equal(t, got, want)
	second := NewUser("2") // no username is not a username that is in use
	second.Username = nil
	Must(t, s.AddUser(t.Context(), &second))
}

func userNotFound(t *testing.T, s Store) {
	_, err := s.User(t.Context(), "ID404")
	WantErr(t, err, account.ErrNoUser)
	_, err = s.UserByEmail(t.Context(), "nobody@example.com")
	WantErr(t, err, account.ErrNoUser)
	ghost := NewUser("1")
	WantErr(t, s.PutUser(t.Context(), &ghost), account.ErrNoUser)
	_, err = s.EndSessions(t.Context(), "ID404")
	WantErr(t, err, account.ErrNoUser)
}

func userTaken(t *testing.T, s Store) {
	first := AddUser(t, s, "1")
	service := AddServiceAccount(t, s, "1", "")
	for what, change := range map[string]func(*account.User){
		"uid":                      func(u *account.User) { u.UID = first.UID },
		"uid of a service account": func(u *account.User) { u.UID = service.UID },
		"e-mail":                   func(u *account.User) { u.Email = first.Email },
		"username":                 func(u *account.User) { u.Username = first.Username },
	} {
		u := NewUser("2")
		change(&u)
		err := s.AddUser(t.Context(), &u)
		t.Log(what)
		WantErr(t, err, account.ErrTaken)
	}
	n, err := s.CountUsers(t.Context(), "", "")
	Must(t, err)
	Equal(t, n, 1)
}

func userEmailFolds(t *testing.T, s Store) {
	u := NewUser("1")
	u.Email = " Ünal@Example.COM "
	Must(t, s.AddUser(t.Context(), &u))
	Equal(t, u.Email, "ünal@example.com")
	got, err := s.UserByEmail(t.Context(), "ÜNAL@example.com")
	Must(t, err)
	Equal(t, got.Email, "ünal@example.com")
	second := NewUser("2")
	second.Email = "ÜNAL@EXAMPLE.com"
	WantErr(t, s.AddUser(t.Context(), &second), account.ErrTaken)
}

func userPut(t *testing.T, s Store) {
	referrer := AddUser(t, s, "1")
	want := AddUser(t, s, "2")
	before := want
	want.Email, want.Username, want.PasswordDigest = "new@example.com", new("renamed"), "$2a$12$other"
	want.Role, want.Level, want.OTP, want.State = "admin", 7, false, account.StateBanned
	want.AdminState, want.Data, want.ReferralID, want.Unproved = account.StateBanned, new(`{"a":1}`), &referrer.ID, false
	want.SessionGeneration = 9
	Must(t, s.PutUser(t.Context(), &want))
	if want.LockVersion != before.LockVersion+1 || want.Version <= before.Version || want.SessionGeneration <= 9 {
		t.Fatalf("LockVersion %d, Version %d, generation %d; want one more than %d, and later ones than %d and 9",
			want.LockVersion, want.Version, want.SessionGeneration, before.LockVersion, before.Version)
	}
	want.ReferralUID = &referrer.UID
	got, err := s.User(t.Context(), want.UID)
	Must(t, err)
	Equal(t, got, want)
	Equal(t, got.CreatedAt, before.CreatedAt)
}

func userVersion(t *testing.T, s Store) {
	referrer := AddUser(t, s, "1")
	u := AddUser(t, s, "2")
	for _, c := range []struct {
		what   string
		change func()
		rises  bool
	}{
		{"nothing", func() {}, false},
		{"password", func() { u.PasswordDigest = "$2a$12$x" }, false},
		{"data", func() { u.Data = nil }, false},
		{"admin state", func() { u.AdminState = "" }, false},
		{"session generation", func() { u.SessionGeneration++ }, false},
		{"role", func() { u.Role = "admin" }, true},
		{"level", func() { u.Level++ }, true},
		{"otp", func() { u.OTP = !u.OTP }, true},
		{"state", func() { u.State = account.StateLocked }, true},
		{"proof of the address", func() { u.Unproved = !u.Unproved }, true},
		{"e-mail", func() { u.Email = "other@example.com" }, true},
		{"username", func() { u.Username = new("other") }, true},
		{"no username", func() { u.Username = nil }, true},
		{"referral", func() { u.ReferralID = &referrer.ID }, true},
	} {
		before := u.Version
		c.change()
		Must(t, s.PutUser(t.Context(), &u))
		if u.Version < before || (u.Version != before) != c.rises {
			t.Errorf("changing %s: version went from %d to %d, want a later one: %v", c.what, before, u.Version, c.rises)
		}
		got, err := s.Principal(t.Context(), u.UID)
		Must(t, err)
		Equal(t, got, u.Principal())
	}
}

func userGenerationNeverFalls(t *testing.T, s Store) {
	stale := AddUser(t, s, "1")
	generation, err := s.EndSessions(t.Context(), stale.UID)
	Must(t, err)
	Must(t, s.PutUser(t.Context(), &stale))
	Equal(t, stale.SessionGeneration, generation)
	got, err := s.User(t.Context(), stale.UID)
	Must(t, err)
	Equal(t, got.SessionGeneration, generation)
}

func userPutTaken(t *testing.T, s Store) {
	first, second := AddUser(t, s, "1"), AddUser(t, s, "2")
	u := second
	u.Email = first.Email
	WantErr(t, s.PutUser(t.Context(), &u), account.ErrTaken)
	u = second
	u.Username = first.Username
	WantErr(t, s.PutUser(t.Context(), &u), account.ErrTaken)
	got, err := s.User(t.Context(), second.UID)
	Must(t, err)
	Equal(t, got, second)
}

func userDeleted(t *testing.T, s Store) {
	first := AddUser(t, s, "1")
	byEmail := func(want account.User) {
		t.Helper()
		got, err := s.UserByEmail(t.Context(), first.Email)
		Must(t, err)
		Equal(t, got.UID, want.UID)
	}
	first.State = account.StateDeleted
	Must(t, s.PutUser(t.Context(), &first))
	byEmail(first)
	second := NewUser("2")
	second.Email, second.Username = first.Email, first.Username
	Must(t, s.AddUser(t.Context(), &second))
	byEmail(second)
	third := NewUser("3")
	third.Email = first.Email
	WantErr(t, s.AddUser(t.Context(), &third), account.ErrTaken)
	for _, change := range []func(*account.User){
		func(u *account.User) { u.Username = new("another") }, func(u *account.User) { u.Email = "another@example.com" },
	} {
		u := first
		u.State = account.StateActive
		change(&u)
		WantErr(t, s.PutUser(t.Context(), &u), account.ErrTaken)
	}
	first.Data = new("{}") // it may still be written
	Must(t, s.PutUser(t.Context(), &first))
	second.State = account.StateDeleted
	Must(t, s.PutUser(t.Context(), &second))
	byEmail(second) // the newest of those that are left
	first.State = account.StateActive
	Must(t, s.PutUser(t.Context(), &first))
	byEmail(first)
	service := account.ServiceAccount{UID: "SI1", Email: third.Email, Role: "service_account", State: account.StateActive}
	WantErr(t, s.AddServiceAccount(t.Context(), &service), account.ErrTaken)
}

func userReferrer(t *testing.T, s Store) {
	u := NewUser("1")
	u.ReferralID = new(int64(404))
	WantErr(t, s.AddUser(t.Context(), &u), account.ErrNoUser)
}

func userCount(t *testing.T, s Store) {
	for n, who := range map[string][2]string{
		"1": {"admin", "active"}, "2": {"admin", "banned"}, "3": {"member", "active"},
	} {
		u := NewUser(n)
		u.Role, u.State = who[0], who[1]
		Must(t, s.AddUser(t.Context(), &u))
	}
	for q, want := range map[[2]string]int{
		{"", ""}: 3, {"admin", ""}: 2, {"", "active"}: 2, {"admin", "active"}: 1, {"nobody", ""}: 0,
	} {
		got, err := s.CountUsers(t.Context(), q[0], q[1])
		Must(t, err)
		if got != want {
			t.Errorf("role %q in state %q: got %d, want %d", q[0], q[1], got, want)
		}
	}
}

func endSessions(t *testing.T, s Store) {
	u := AddUser(t, s, "1")
	got, err := s.EndSessions(t.Context(), u.UID)
	Must(t, err)
	if got <= u.SessionGeneration {
		t.Errorf("generation %d after %d", got, u.SessionGeneration)
	}
	p, err := s.Principal(t.Context(), u.UID)
	Must(t, err)
	Equal(t, p.SessionGeneration, got)
}

func renewSession(t *testing.T, s Store) {
	u, other := AddUser(t, s, "1"), AddUser(t, s, "2")
	renewal := func(uid string) *account.Renewal {
		t.Helper()
		p, err := s.Principal(t.Context(), uid)
		Must(t, err)
		return p.Renewal
	}
	until := time.Date(2026, 11, 21, 12, 0, 10, 0, time.UTC)
	first := account.Renewal{From: [32]byte{1, 31: 2}, To: [32]byte{3}, Until: until}
	Must(t, s.RenewSession(t.Context(), u.UID, first))
	Equal(t, renewal(u.UID), &first)
	Equal(t, renewal(other.UID), (*account.Renewal)(nil))
	second := account.Renewal{From: [32]byte{3}, To: [32]byte{4}, Until: until.Add(time.Microsecond)}
	Must(t, s.RenewSession(t.Context(), u.UID, second))
	Equal(t, renewal(u.UID), &second)
	// A write that ends no session keeps it; one that ends all of them, by whatever way, does
	// not.
	u.Level++
	Must(t, s.PutUser(t.Context(), &u))
	Equal(t, renewal(u.UID), &second)
	u.SessionGeneration++
	Must(t, s.PutUser(t.Context(), &u))
	Equal(t, renewal(u.UID), (*account.Renewal)(nil))
	Must(t, s.RenewSession(t.Context(), u.UID, first))
	_, err := s.EndSessions(t.Context(), u.UID)
	Must(t, err)
	Equal(t, renewal(u.UID), (*account.Renewal)(nil))
	WantErr(t, s.RenewSession(t.Context(), "ID404", first), account.ErrNoUser)
}

// mark is a session of u as it would be opened now.
func mark(t *testing.T, s Store, u account.User, id session.ID) account.SessionMark {
	t.Helper()
	epoch, err := s.Epoch(t.Context())
	Must(t, err)
	p, err := s.Principal(t.Context(), u.UID)
	Must(t, err)
	return account.SessionMark{ID: id, Generation: p.SessionGeneration, Epoch: epoch}
}

func sessionStands(t *testing.T, s Store) {
	u, other := AddUser(t, s, "1"), AddUser(t, s, "2")
	stands := func(what, uid string, m account.SessionMark, want bool) {
		t.Helper()
		if got, err := s.SessionStands(t.Context(), uid, m); err != nil || got != want {
			t.Errorf("%s: %v, %v; want %v", what, got, err, want)
		}
	}
	for n, end := range []struct {
		how string
		end func(session.ID) error
	}{
		{"by itself", func(id session.ID) error { return s.EndSession(t.Context(), time.Hour, id) }},
		{"with all of the user's", func(session.ID) error { _, err := s.EndSessions(t.Context(), u.UID); return err }},
		{"with everybody's", func(session.ID) error { _, err := s.EndAll(t.Context()); return err }},
		{"with a change of the user", func(session.ID) error {
			u, err := s.User(t.Context(), u.UID)
			Must(t, err)
			u.SessionGeneration++
			return s.PutUser(t.Context(), &u)
		}},
	} {
		m := mark(t, s, u, session.ID{byte(n)})
		stands("before it ended "+end.how, u.UID, m, true)
		Must(t, end.end(m.ID))
		stands("after it ended "+end.how, u.UID, m, false)
	}
	m := mark(t, s, u, session.ID{9})
	later, another := m, m
	later.Generation++
	another.Epoch++
	stands("a generation that never was", u.UID, later, false)
	stands("an epoch that never was", u.UID, another, false)
	stands("nobody's", "ID404", m, false)
	Must(t, s.EndSession(t.Context(), time.Hour, session.ID{8}))
	_, err := s.EndSessions(t.Context(), other.UID)
	Must(t, err)
	stands("after others ended", u.UID, m, true)
}

func principalOfUser(t *testing.T, s Store) {
	referrer := AddUser(t, s, "1")
	u := NewUser("2")
	u.ReferralID = &referrer.ID
	Must(t, s.AddUser(t.Context(), &u))
	got, err := s.Principal(t.Context(), u.UID)
	Must(t, err)
	Equal(t, got, u.Principal())
}

func principalUnknown(t *testing.T, s Store) {
	_, err := s.Principal(t.Context(), "ID404")
	WantErr(t, err, account.ErrNotFound)
}

func roleUnknown(t *testing.T, s Store) {
	ok, err := s.RoleExists(t.Context(), "nobody")
	Must(t, err)
	Equal(t, ok, false)
}

func timePrecision(t *testing.T, s Store) {
	u := AddUser(t, s, "1")
	got, err := s.User(t.Context(), u.UID)
	Must(t, err)
	Recent(t, got.CreatedAt)
	Equal(t, got.CreatedAt, u.CreatedAt)
}
