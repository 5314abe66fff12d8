package accounttest

import (
	"slices"
	"testing"

	"barong/internal/account"
)

func keyRoundTrip(t *testing.T, s account.Store) {
	u := addUser(t, s, "1")
	want := addKey(t, s, "61d025b8573501c2", u.UID)
	if want.ID == 0 || want.HolderKind != account.KindUser {
		t.Fatalf("id %d, holder kind %q: want both filled", want.ID, want.HolderKind)
	}
	recent(t, want.CreatedAt)
	record, err := s.KeyRecord(t.Context(), want.Kid)
	must(t, err)
	equal(t, record, account.KeyRecord{
		Kid: want.Kid, Algorithm: want.Algorithm, Secret: []byte(want.Secret), State: want.State,
		HolderUID: u.UID, HolderKind: account.KindUser,
	})
	got, err := s.APIKey(t.Context(), u.UID, want.Kid)
	must(t, err)
	want.Secret = ""
	equal(t, got, want)
}

func keyListHidesSecret(t *testing.T, s account.Store) {
	u := addUser(t, s, "1")
	addKey(t, s, "61d025b8573501c2", u.UID)
	all, n, err := s.APIKeys(t.Context(), account.KeyQuery{HolderUID: u.UID, Limit: 10})
	must(t, err)
	if n != 1 || len(all) != 1 || all[0].Secret != "" {
		t.Fatalf("got %d of %d keys, want one without its secret", len(all), n)
	}
}

func keyOfServiceAccount(t *testing.T, s account.Store) {
	a := addServiceAccount(t, s, "1", addUser(t, s, "1").UID)
	k := addKey(t, s, "aa", a.UID)
	equal(t, k.HolderKind, account.KindServiceAccount)
	record, err := s.KeyRecord(t.Context(), "aa")
	must(t, err)
	equal(t, record.HolderUID, a.UID)
	equal(t, record.HolderKind, account.KindServiceAccount)
	must(t, s.DeleteAPIKey(t.Context(), a.UID, "aa"))
	_, err = s.KeyRecord(t.Context(), "aa")
	wantErr(t, err, account.ErrNotFound)
}

func keyTaken(t *testing.T, s account.Store) {
	one, two := addUser(t, s, "1"), addUser(t, s, "2")
	k := addKey(t, s, "aa", one.UID)
	k.HolderUID = two.UID
	wantErr(t, s.AddAPIKey(t.Context(), &k), account.ErrTaken)
	k.Kid, k.HolderUID = "bb", "ID404"
	wantErr(t, s.AddAPIKey(t.Context(), &k), account.ErrNotFound)
}

func keyPut(t *testing.T, s account.Store) {
	u := addUser(t, s, "1")
	k := addKey(t, s, "aa", u.UID)
	changed := k
	changed.Scope, changed.State, changed.Algorithm, changed.Secret = nil, account.KeyInactive, "none", "other"
	must(t, s.PutAPIKey(t.Context(), &changed))
	got, err := s.APIKey(t.Context(), u.UID, "aa")
	must(t, err)
	want := k
	want.Scope, want.State, want.Secret, want.UpdatedAt = got.Scope, account.KeyInactive, "", changed.UpdatedAt
	equal(t, got, want)
	if len(got.Scope) != 0 {
		t.Errorf("scope: got %v, want none", got.Scope)
	}
	record, err := s.KeyRecord(t.Context(), "aa")
	must(t, err)
	equal(t, string(record.Secret), k.Secret)
	changed.Kid = "404"
	wantErr(t, s.PutAPIKey(t.Context(), &changed), account.ErrNotFound)
}

func keyOfAnother(t *testing.T, s account.Store) {
	one, two := addUser(t, s, "1"), addUser(t, s, "2")
	addKey(t, s, "aa", one.UID)
	_, err := s.APIKey(t.Context(), two.UID, "aa")
	wantErr(t, err, account.ErrNotFound)
	wantErr(t, s.DeleteAPIKey(t.Context(), two.UID, "aa"), account.ErrNotFound)
	_, n, err := s.APIKeys(t.Context(), account.KeyQuery{HolderUID: two.UID, Limit: 10})
	must(t, err)
	equal(t, n, 0)
	must(t, s.DeleteAPIKey(t.Context(), one.UID, "aa"))
	wantErr(t, s.DeleteAPIKey(t.Context(), one.UID, "aa"), account.ErrNotFound)
}

func keyPages(t *testing.T, s account.Store) {
	u := addUser(t, s, "1")
	for _, kid := range []string{"cc", "aa", "bb", "dd"} {
		k := addKey(t, s, kid, u.UID)
		if kid == "aa" || kid == "dd" {
			k.State = account.KeyInactive
			must(t, s.PutAPIKey(t.Context(), &k))
		}
	}
	for _, c := range []struct {
		name string
		q    account.KeyQuery
		want []string
	}{
		{"no order is by row", account.KeyQuery{Limit: 10}, []string{"cc", "aa", "bb", "dd"}},
		{"by row, descending", account.KeyQuery{OrderBy: "id", Desc: true, Limit: 10}, []string{"dd", "bb", "aa", "cc"}},
		{"by kid", account.KeyQuery{OrderBy: "kid", Limit: 10}, []string{"aa", "bb", "cc", "dd"}},
		{"equal values are in row order", account.KeyQuery{OrderBy: "state", Limit: 10}, []string{"cc", "bb", "aa", "dd"}},
		{"and in reverse when descending", account.KeyQuery{OrderBy: "state", Desc: true, Limit: 10}, []string{"dd", "aa", "bb", "cc"}},
		{"a page", account.KeyQuery{OrderBy: "kid", Limit: 2, Offset: 1}, []string{"bb", "cc"}},
		{"past the end", account.KeyQuery{OrderBy: "kid", Limit: 2, Offset: 9}, nil},
	} {
		c.q.HolderUID = u.UID
		keys, n, err := s.APIKeys(t.Context(), c.q)
		must(t, err)
		var got []string
		for _, k := range keys {
			got = append(got, k.Kid)
		}
		if !slices.Equal(got, c.want) || n != 4 {
			t.Errorf("%s: got %v of %d, want %v of 4", c.name, got, n, c.want)
		}
	}
	for _, order := range []string{"algorithm", "scope", "created_at", "updated_at"} {
		_, _, err := s.APIKeys(t.Context(), account.KeyQuery{HolderUID: u.UID, OrderBy: order, Limit: 1})
		must(t, err)
	}
}

func keyUnknownOrder(t *testing.T, s account.Store) {
	for _, order := range []string{"secret", "id; DROP TABLE apikeys", "ID"} { // W-R12
		if _, _, err := s.APIKeys(t.Context(), account.KeyQuery{OrderBy: order, Limit: 1}); err == nil {
			t.Errorf("ordering by %q: got no error", order)
		}
	}
}

func keyDeactivate(t *testing.T, s account.Store) {
	one, two := addUser(t, s, "1"), addUser(t, s, "2")
	service := addServiceAccount(t, s, "1", one.UID)
	other := addServiceAccount(t, s, "2", one.UID)
	addKey(t, s, "a1", one.UID)
	addKey(t, s, "a2", one.UID)
	addKey(t, s, "b1", service.UID)
	addKey(t, s, "b2", other.UID)
	addKey(t, s, "c1", two.UID)
	active := func() (kids []string) {
		for _, kid := range []string{"a1", "a2", "b1", "b2", "c1"} {
			k, err := s.KeyRecord(t.Context(), kid)
			must(t, err)
			if k.State == account.KeyActive {
				kids = append(kids, kid)
			}
		}
		return kids
	}
	n, err := s.DeactivateAPIKeys(t.Context(), other.UID)
	must(t, err)
	equal(t, n, 1)
	equal(t, active(), []string{"a1", "a2", "b1", "c1"})
	n, err = s.DeactivateAPIKeys(t.Context(), one.UID)
	must(t, err)
	equal(t, n, 3)
	equal(t, active(), []string{"c1"})
	n, err = s.DeactivateAPIKeys(t.Context(), one.UID)
	must(t, err)
	equal(t, n, 0)
}
