package persontest

import (
	"testing"

	"barong/internal/account"
	"barong/internal/account/accounttest"
	"barong/internal/person"
)

func newProfile(uid, state string) person.Profile {
	return person.Profile{
		UserUID: uid, FirstName: new("Zoë"), LastName: new("O'Hara"), DOB: new("1990-12-24"), Address: new("1 Main St."),
		Postcode: new("AB-12"), City: new("Köln"), Country: new("DE"), Metadata: new(`{"a":1}`), State: state,
		ApplicantID: new("applicant1"), AuthorUID: "STAFF1",
	}
}

func profileRoundTrip(t *testing.T, s Store) {
	u, other := accounttest.AddUser(t, s, "1"), accounttest.AddUser(t, s, "2")
	full := newProfile(u.UID, person.ProfileVerified)
	accounttest.Must(t, s.AddProfile(t.Context(), &full))
	accounttest.Recent(t, full.CreatedAt)
	accounttest.Equal(t, full.UpdatedAt, full.CreatedAt)
	empty := person.Profile{UserUID: u.UID, State: person.ProfileDrafted}
	accounttest.Must(t, s.AddProfile(t.Context(), &empty))
	foreign := newProfile(other.UID, person.ProfileDrafted)
	accounttest.Must(t, s.AddProfile(t.Context(), &foreign))
	profiles(t, s, u.UID, full, empty)
	profiles(t, s, other.UID, foreign)
	profiles(t, s, "ID404")
	lost := newProfile("ID404", person.ProfileDrafted)
	accounttest.WantErr(t, s.AddProfile(t.Context(), &lost), account.ErrNoUser)
}

func profilePut(t *testing.T, s Store) {
	u := accounttest.AddUser(t, s, "1")
	p := newProfile(u.UID, person.ProfileDrafted)
	accounttest.Must(t, s.AddProfile(t.Context(), &p))
	other := newProfile(u.UID, person.ProfileRejected)
	accounttest.Must(t, s.AddProfile(t.Context(), &other))
	p.FirstName, p.LastName, p.DOB, p.Address = new("Ann"), nil, new("1991-01-02"), new("2 Side St.")
	p.Postcode, p.City, p.Country, p.Metadata, p.State = new("CD"), new("Bonn"), new("FRA"), nil, person.ProfileSubmitted
	p.ApplicantID, p.AuthorUID = new("applicant2"), ""
	made := p.CreatedAt
	accounttest.Must(t, s.PutProfile(t.Context(), &p))
	accounttest.Equal(t, p.CreatedAt, made)
	profiles(t, s, u.UID, p, other)
	p.UserUID = accounttest.AddUser(t, s, "2").UID
	accounttest.WantErr(t, s.PutProfile(t.Context(), &p), account.ErrNotFound)
}

func profileOpen(t *testing.T, s Store) {
	u := accounttest.AddUser(t, s, "1")
	for _, state := range []string{person.ProfileVerified, person.ProfileRejected, person.ProfileDrafted} {
		p := newProfile(u.UID, state)
		accounttest.Must(t, s.AddProfile(t.Context(), &p))
	}
	second := newProfile(u.UID, person.ProfileSubmitted)
	accounttest.WantErr(t, s.AddProfile(t.Context(), &second), person.ErrProfileOpen)
	all, err := s.Profiles(t.Context(), u.UID)
	accounttest.Must(t, err)
	all[1].State = person.ProfileSubmitted
	accounttest.WantErr(t, s.PutProfile(t.Context(), &all[1]), person.ErrProfileOpen)
	all[2].State = person.ProfileVerified
	accounttest.Must(t, s.PutProfile(t.Context(), &all[2]))
	accounttest.Must(t, s.PutProfile(t.Context(), &all[1]))
}

func profilePage(t *testing.T, s Store) {
	page := func(limit, offset, total int, want ...person.Profile) {
		t.Helper()
		got, n, err := s.ProfilePage(t.Context(), limit, offset)
		accounttest.Must(t, err)
		accounttest.Equal(t, n, total)
		accounttest.Equal(t, append([]person.Profile{}, got...), append([]person.Profile{}, want...))
	}
	page(10, 0, 0)
	u, other := accounttest.AddUser(t, s, "1"), accounttest.AddUser(t, s, "2")
	all := []person.Profile{newProfile(u.UID, person.ProfileVerified), newProfile(other.UID, person.ProfileDrafted), newProfile(u.UID, person.ProfileSubmitted)}
	for i := range all {
		accounttest.Must(t, s.AddProfile(t.Context(), &all[i]))
	}
	page(10, 0, 3, all...)
	page(2, 0, 3, all[:2]...)
	page(2, 2, 3, all[2])
	page(2, 4, 3)
}

// profiles compares a user's with want.
func profiles(t *testing.T, s Store, uid string, want ...person.Profile) {
	t.Helper()
	got, err := s.Profiles(t.Context(), uid)
	accounttest.Must(t, err)
	accounttest.Equal(t, append([]person.Profile{}, got...), append([]person.Profile{}, want...))
}

func storageRoundTrip(t *testing.T, s Store) {
	u := accounttest.AddUser(t, s, "1")
	first := person.DataStorage{UserUID: u.UID, Title: "personal", Data: `{"a":"ü"}`}
	second := person.DataStorage{UserUID: u.UID, Title: "company", Data: "[]"}
	for _, d := range []*person.DataStorage{&first, &second} {
		accounttest.Must(t, s.AddDataStorage(t.Context(), d))
	}
	accounttest.Recent(t, first.CreatedAt)
	again := first
	accounttest.WantErr(t, s.AddDataStorage(t.Context(), &again), account.ErrTaken)
	lost := person.DataStorage{UserUID: "ID404", Title: "personal", Data: "{}"}
	accounttest.WantErr(t, s.AddDataStorage(t.Context(), &lost), account.ErrNoUser)
	got, err := s.DataStorages(t.Context(), u.UID)
	accounttest.Must(t, err)
	accounttest.Equal(t, got, []person.DataStorage{first, second})
	accounttest.WantErr(t, s.DeleteDataStorage(t.Context(), u.UID, "Personal"), person.ErrNoStorage)
	accounttest.WantErr(t, s.DeleteDataStorage(t.Context(), "ID404", "personal"), person.ErrNoStorage)
	accounttest.Must(t, s.DeleteDataStorage(t.Context(), u.UID, "personal"))
	got, err = s.DataStorages(t.Context(), u.UID)
	accounttest.Must(t, err)
	accounttest.Equal(t, got, []person.DataStorage{second})
}
