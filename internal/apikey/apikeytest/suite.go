// Package apikeytest is the test suite of every store of API keys.
package apikeytest

import (
	"context"
	"net/netip"
	"slices"
	"testing"
	"time"

	"barong/internal/account"
	"barong/internal/account/accounttest"
	"barong/internal/apikey"
)

// A Store is the store under test.
type Store interface {
	apikey.Tx
	apikey.Source
	apikey.UseStore
	Update(ctx context.Context, f func(apikey.Tx) error) error
}

// TestStore tests a Store; open returns an empty one, its times to the microsecond.
func TestStore(t *testing.T, open func(testing.TB) Store) {
	for name, test := range map[string]func(*testing.T, Store){
		"a round trip keeps every field and the secret":         keyRoundTrip,
		"lists and lookups never carry the secret":              keyListHidesSecret,
		"of a service account":                                  keyOfServiceAccount,
		"kid is unique, the holder must exist":                  keyTaken,
		"a write changes state and bounds only":                 keyPut,
		"the last use is kept, and is no change":                keyUsed,
		"another holder's is not found":                         keyOfAnother,
		"pages in every order":                                  keyPages,
		"an unknown order is refused":                           keyUnknownOrder,
		"deactivating takes the service accounts' too (AZ-286)": keyDeactivate,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, open(t))
		})
	}
}

func keyRoundTrip(t *testing.T, s Store) {
	u := accounttest.AddUser(t, s, "1")
	want := addKey(t, s, "61d025b8573501c2", u.UID)
	if want.ID == 0 || want.HolderKind != account.KindUser {
		t.Fatalf("id %d, holder kind %q: want both filled", want.ID, want.HolderKind)
	}
	accounttest.Recent(t, want.CreatedAt)
	record, err := s.KeyRecord(t.Context(), want.Kid)
	accounttest.Must(t, err)
	accounttest.Equal(t, record, apikey.Record{
		Kid: want.Kid, Algorithm: want.Algorithm, Secret: []byte(want.Secret), State: want.State,
		HolderUID: u.UID, HolderKind: account.KindUser, Networks: want.Networks, ExpiresAt: want.ExpiresAt,
		Scope: want.Scope, ScopeEnforced: true,
	})
	got, err := s.APIKey(t.Context(), u.UID, want.Kid)
	accounttest.Must(t, err)
	want.Secret = ""
	accounttest.Equal(t, got, want)
}

func keyListHidesSecret(t *testing.T, s Store) {
	u := accounttest.AddUser(t, s, "1")
	addKey(t, s, "61d025b8573501c2", u.UID)
	all, n, err := s.APIKeys(t.Context(), apikey.Query{HolderUID: u.UID, Limit: 10})
	accounttest.Must(t, err)
	if n != 1 || len(all) != 1 || all[0].Secret != "" {
		t.Fatalf("got %d of %d keys, want one without its secret", len(all), n)
	}
}

func keyOfServiceAccount(t *testing.T, s Store) {
	a := accounttest.AddServiceAccount(t, s, "1", accounttest.AddUser(t, s, "1").UID)
	k := addKey(t, s, "aa", a.UID)
	accounttest.Equal(t, k.HolderKind, account.KindServiceAccount)
	record, err := s.KeyRecord(t.Context(), "aa")
	accounttest.Must(t, err)
	accounttest.Equal(t, record.HolderUID, a.UID)
	accounttest.Equal(t, record.HolderKind, account.KindServiceAccount)
	accounttest.Must(t, s.DeleteAPIKey(t.Context(), a.UID, "aa"))
	_, err = s.KeyRecord(t.Context(), "aa")
	accounttest.WantErr(t, err, apikey.ErrNoKey)
}

func keyTaken(t *testing.T, s Store) {
	one, two := accounttest.AddUser(t, s, "1"), accounttest.AddUser(t, s, "2")
	k := addKey(t, s, "aa", one.UID)
	k.HolderUID = two.UID
	accounttest.WantErr(t, s.AddAPIKey(t.Context(), &k), account.ErrTaken)
	k.Kid, k.HolderUID = "bb", "ID404"
	accounttest.WantErr(t, s.AddAPIKey(t.Context(), &k), account.ErrNotFound)
}

func keyPut(t *testing.T, s Store) {
	u := accounttest.AddUser(t, s, "1")
	k := addKey(t, s, "aa", u.UID)
	changed := k
	changed.Scope, changed.State, changed.Algorithm, changed.Secret = nil, apikey.Inactive, "none", "other"
	changed.ScopeEnforced = false
	changed.Networks, changed.ExpiresAt = apikey.Networks{netip.MustParsePrefix("10.0.0.0/8")}, time.Time{}
	accounttest.Must(t, s.PutAPIKey(t.Context(), &changed))
	got, err := s.APIKey(t.Context(), u.UID, "aa")
	accounttest.Must(t, err)
	want := k
	want.Scope, want.State, want.Secret, want.UpdatedAt = got.Scope, apikey.Inactive, "", changed.UpdatedAt
	want.ScopeEnforced = false
	want.Networks, want.ExpiresAt = changed.Networks, changed.ExpiresAt
	accounttest.Equal(t, got, want)
	if len(got.Scope) != 0 {
		t.Errorf("scope: got %v, want none", got.Scope)
	}
	record, err := s.KeyRecord(t.Context(), "aa")
	accounttest.Must(t, err)
	accounttest.Equal(t, string(record.Secret), k.Secret)
	changed.Kid = "404"
	accounttest.WantErr(t, s.PutAPIKey(t.Context(), &changed), apikey.ErrNoKey)
}

func keyUsed(t *testing.T, s Store) {
	u := accounttest.AddUser(t, s, "1")
	one, two := addKey(t, s, "aa", u.UID), addKey(t, s, "bb", u.UID)
	at := time.Date(2030, 1, 2, 3, 4, 5, 6000, time.UTC)
	ip, other := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("2001:db8::1")
	accounttest.Must(t, s.NoteKeyUses(t.Context(), []apikey.Use{
		{Kid: "404", At: at, IP: ip}, {Kid: "aa", At: at, IP: ip}, {Kid: "bb", At: at, IP: other},
	}))
	accounttest.Must(t, s.NoteKeyUses(t.Context(), []apikey.Use{
		{Kid: "aa", At: at.Add(-time.Minute), IP: other}, {Kid: "bb", At: at.Add(time.Minute)},
	}))
	for _, want := range []struct {
		apikey.Key
		at time.Time
		ip netip.Addr
	}{{one, at, ip}, {two, at.Add(time.Minute), netip.Addr{}}} {
		want.Secret, want.LastUsedAt, want.LastUsedIP = "", want.at, want.ip
		got, err := s.APIKey(t.Context(), u.UID, want.Kid)
		accounttest.Must(t, err)
		accounttest.Equal(t, got, want.Key)
		record, err := s.KeyRecord(t.Context(), want.Kid)
		accounttest.Must(t, err)
		accounttest.Equal(t, record.LastUsedAt, want.at)
		got.LastUsedAt, got.LastUsedIP = time.Time{}, netip.Addr{}
		accounttest.Must(t, s.PutAPIKey(t.Context(), &got))
		got, err = s.APIKey(t.Context(), u.UID, want.Kid)
		accounttest.Must(t, err)
		accounttest.Equal(t, got.LastUsedAt, want.at)
	}
}

func keyOfAnother(t *testing.T, s Store) {
	one, two := accounttest.AddUser(t, s, "1"), accounttest.AddUser(t, s, "2")
	addKey(t, s, "aa", one.UID)
	_, err := s.APIKey(t.Context(), two.UID, "aa")
	accounttest.WantErr(t, err, apikey.ErrNoKey)
	accounttest.WantErr(t, s.DeleteAPIKey(t.Context(), two.UID, "aa"), apikey.ErrNoKey)
	_, n, err := s.APIKeys(t.Context(), apikey.Query{HolderUID: two.UID, Limit: 10})
	accounttest.Must(t, err)
	accounttest.Equal(t, n, 0)
	accounttest.Must(t, s.DeleteAPIKey(t.Context(), one.UID, "aa"))
	accounttest.WantErr(t, s.DeleteAPIKey(t.Context(), one.UID, "aa"), apikey.ErrNoKey)
}

func keyPages(t *testing.T, s Store) {
	u := accounttest.AddUser(t, s, "1")
	for _, kid := range []string{"cc", "aa", "bb", "dd"} {
		k := addKey(t, s, kid, u.UID)
		if kid == "aa" || kid == "dd" {
			k.State = apikey.Inactive
			accounttest.Must(t, s.PutAPIKey(t.Context(), &k))
		}
	}
	for _, c := range []struct {
		name string
		q    apikey.Query
		want []string
	}{
		{"no order is by row", apikey.Query{Limit: 10}, []string{"cc", "aa", "bb", "dd"}},
		{"by row, descending", apikey.Query{OrderBy: "id", Desc: true, Limit: 10}, []string{"dd", "bb", "aa", "cc"}},
		{"by kid", apikey.Query{OrderBy: "kid", Limit: 10}, []string{"aa", "bb", "cc", "dd"}},
		{"equal values are in row order", apikey.Query{OrderBy: "state", Limit: 10}, []string{"cc", "bb", "aa", "dd"}},
		{"and in reverse when descending", apikey.Query{OrderBy: "state", Desc: true, Limit: 10}, []string{"dd", "aa", "bb", "cc"}},
		{"a page", apikey.Query{OrderBy: "kid", Limit: 2, Offset: 1}, []string{"bb", "cc"}},
		{"past the end", apikey.Query{OrderBy: "kid", Limit: 2, Offset: 9}, nil},
	} {
		c.q.HolderUID = u.UID
		keys, n, err := s.APIKeys(t.Context(), c.q)
		accounttest.Must(t, err)
		var got []string
		for _, k := range keys {
			got = append(got, k.Kid)
		}
		if !slices.Equal(got, c.want) || n != 4 {
			t.Errorf("%s: got %v of %d, want %v of 4", c.name, got, n, c.want)
		}
	}
	for _, order := range []string{"algorithm", "scope", "created_at", "updated_at"} {
		_, _, err := s.APIKeys(t.Context(), apikey.Query{HolderUID: u.UID, OrderBy: order, Limit: 1})
		accounttest.Must(t, err)
	}
}

func keyUnknownOrder(t *testing.T, s Store) {
	for _, order := range []string{"secret", "id; DROP TABLE apikeys", "ID"} { // W-R12
		if _, _, err := s.APIKeys(t.Context(), apikey.Query{OrderBy: order, Limit: 1}); err == nil {
			t.Errorf("ordering by %q: got no error", order)
		}
	}
}

func keyDeactivate(t *testing.T, s Store) {
	one, two := accounttest.AddUser(t, s, "1"), accounttest.AddUser(t, s, "2")
	service := accounttest.AddServiceAccount(t, s, "1", one.UID)
	other := accounttest.AddServiceAccount(t, s, "2", one.UID)
	addKey(t, s, "a1", one.UID)
	addKey(t, s, "a2", one.UID)
	addKey(t, s, "b1", service.UID)
	addKey(t, s, "b2", other.UID)
	addKey(t, s, "c1", two.UID)
	active := func() (kids []string) {
		for _, kid := range []string{"a1", "a2", "b1", "b2", "c1"} {
			k, err := s.KeyRecord(t.Context(), kid)
			accounttest.Must(t, err)
			if k.State == apikey.Active {
				kids = append(kids, kid)
			}
		}
		return kids
	}
	n, err := s.DeactivateAPIKeys(t.Context(), other.UID)
	accounttest.Must(t, err)
	accounttest.Equal(t, n, 1)
	accounttest.Equal(t, active(), []string{"a1", "a2", "b1", "c1"})
	n, err = s.DeactivateAPIKeys(t.Context(), one.UID)
	accounttest.Must(t, err)
	accounttest.Equal(t, n, 3)
	accounttest.Equal(t, active(), []string{"c1"})
	n, err = s.DeactivateAPIKeys(t.Context(), one.UID)
	accounttest.Must(t, err)
	accounttest.Equal(t, n, 0)
}

func addKey(t testing.TB, s apikey.Tx, kid, holder string) apikey.Key {
	t.Helper()
	k := apikey.Key{
		Kid: kid, Algorithm: apikey.HS256, Scope: []string{"trade", "read"},
		State: apikey.Active, HolderUID: holder, Secret: "0123456789abcdef" + kid,
		Networks:      apikey.Networks{netip.MustParsePrefix("192.0.2.0/24"), netip.MustParsePrefix("2001:db8::/32")},
		ScopeEnforced: true,
		ExpiresAt:     time.Date(2040, 1, 2, 3, 4, 5, 6000, time.UTC),
	}
	accounttest.Must(t, s.AddAPIKey(context.Background(), &k))
	return k
}
