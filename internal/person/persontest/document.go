package persontest

import (
	"slices"
	"testing"

	"barong/internal/account"
	"barong/internal/account/accounttest"
	"barong/internal/person"
	"barong/internal/secret"
)

func newDocument(uid, expires string) person.Document {
	id := secret.UUID()
	return person.Document{
		ID: id, UserUID: uid, Type: "Passport", Number: new("AA1234BB"), Expires: new(expires), Issued: new("2020-06-05"),
		Category: new("front_side"), Identificator: "b45e", Metadata: new(`{"a":1}`),
		Address: &person.Address{Country: "DE", Address: "1 Main St.", City: "Köln", Postcode: "50667"},
		File:    uid + "/" + id + "/0123", Size: 12345, Media: "image/png", FileName: "Zoë_O.png",
	}
}

func documentRoundTrip(t *testing.T, s Store) {
	u, other := accounttest.AddUser(t, s, "1"), accounttest.AddUser(t, s, "2")
	full := newDocument(u.UID, "2031-08-07")
	accounttest.Must(t, s.AddDocument(t.Context(), &full))
	accounttest.Recent(t, full.CreatedAt)
	accounttest.Equal(t, full.UpdatedAt, full.CreatedAt)
	bare := person.Document{
		ID: secret.UUID(), UserUID: u.UID, Type: "Address", Identificator: "c", File: "f", FileName: "a.pdf", Media: "application/pdf", Size: 1,
	}
	accounttest.Must(t, s.AddDocument(t.Context(), &bare))
	foreign := newDocument(other.UID, "2031-08-07")
	accounttest.Must(t, s.AddDocument(t.Context(), &foreign))
	for uid, want := range map[string][]person.Document{u.UID: {full, bare}, other.UID: {foreign}, "ID404": nil} {
		got, err := s.Documents(t.Context(), uid)
		accounttest.Must(t, err)
		accounttest.Equal(t, append([]person.Document{}, got...), append([]person.Document{}, want...))
	}
	got, err := s.Document(t.Context(), bare.ID)
	accounttest.Must(t, err)
	accounttest.Equal(t, got, bare)
	for _, id := range []string{"", secret.UUID(), "a\x00b", "\xff"} {
		_, err := s.Document(t.Context(), id)
		accounttest.WantErr(t, err, person.ErrNoDocument)
	}
	lost := newDocument("ID404", "2031-08-07")
	accounttest.WantErr(t, s.AddDocument(t.Context(), &lost), account.ErrNoUser)
	same := newDocument(u.UID, "2031-08-07")
	same.File = full.File
	accounttest.WantErr(t, s.AddDocument(t.Context(), &same), account.ErrTaken)
}

func documentFiles(t *testing.T, s Store) {
	u := accounttest.AddUser(t, s, "1")
	var names, known []string
	for n := range 250 {
		d := newDocument(u.UID, "2031-08-07")
		names = append(names, d.File, "another")
		if n%100 == 0 {
			accounttest.Must(t, s.AddDocument(t.Context(), &d))
			known = append(known, d.File)
		}
	}
	got, err := s.DocumentFiles(t.Context(), names)
	accounttest.Must(t, err)
	slices.Sort(got)
	slices.Sort(known)
	accounttest.Equal(t, got, known)
	got, err = s.DocumentFiles(t.Context(), nil)
	accounttest.Must(t, err)
	accounttest.Equal(t, len(got), 0)
}

func documentLapses(t *testing.T, s Store) {
	one, two, never := accounttest.AddUser(t, s, "1"), accounttest.AddUser(t, s, "2"), accounttest.AddUser(t, s, "3")
	for _, d := range []person.Document{
		newDocument(one.UID, "2026-01-02"), newDocument(one.UID, "2026-01-04"), newDocument(two.UID, "2026-01-01"),
		newDocument(two.UID, "2026-01-03"),
	} {
		accounttest.Must(t, s.AddDocument(t.Context(), &d))
	}
	bare := newDocument(never.UID, "2026-01-01")
	bare.Expires = nil
	accounttest.Must(t, s.AddDocument(t.Context(), &bare))
	lapsed := func(day string, limit int, want ...string) {
		t.Helper()
		got, err := s.Lapsed(t.Context(), day, limit)
		accounttest.Must(t, err)
		accounttest.Equal(t, append([]string{}, got...), append([]string{}, want...))
	}
	mark := func(uid, day string, want int) {
		t.Helper()
		got, err := s.MarkLapsed(t.Context(), uid, day)
		accounttest.Must(t, err)
		accounttest.Equal(t, got, want)
	}
	lapsed("2026-01-01", 9)
	lapsed("2026-01-02", 9, two.UID)
	lapsed("2026-01-03", 9, two.UID, one.UID)
	lapsed("2026-01-03", 1, two.UID)
	mark(two.UID, "2026-01-03", 1)
	mark(two.UID, "2026-01-03", 0)
	mark("ID404", "2026-01-03", 0)
	lapsed("2026-01-03", 9, one.UID)
	lapsed("2026-01-04", 9, one.UID, two.UID)
	mark(one.UID, "2027-01-01", 2)
	lapsed("2027-01-01", 9, two.UID)
}
