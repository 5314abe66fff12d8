package apikey_test

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net/netip"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"barong/internal/account"
	"barong/internal/apikey"
	"barong/internal/expect"
	"barong/internal/feed"
)

// source is an apikey.Source over a map.
type source struct {
	keys  map[string]apikey.Record
	fail  error
	reads int
}

func (s *source) KeyRecord(_ context.Context, kid string) (apikey.Record, error) {
	s.reads++
	k, ok := s.keys[kid]
	if s.fail == nil && !ok {
		return k, account.ErrNotFound
	}
	return k, s.fail
}

const someKid = "61d025b8573501c2"

func newSource() *source {
	return &source{keys: map[string]apikey.Record{
		someKid: {
			Kid: someKid, Algorithm: "HS256", State: apikey.Active,
			Secret: []byte("2d0b4979c7fe6986daa8e21d1dc0644f"), HolderUID: "ID1",
		},
	}}
}

func TestCacheServesUntilTheFeedSaysOtherwise(t *testing.T) {
	s := newSource()
	c := expect.Must(apikey.NewCache(apikey.CacheConfig{Size: 100, Loads: 4}, s, nil))(t)
	k, err := c.Key(t.Context(), someKid)
	if err != nil {
		t.Fatal(err)
	}
	if again, err := c.Key(t.Context(), someKid); err != nil || again != k || s.reads != 1 {
		t.Errorf("again: %v, %v after %d reads; want the same from memory", again, err, s.reads)
	}
	c.Stale()
	if again, _ := c.Key(t.Context(), someKid); again != k || s.reads != 2 {
		t.Error("a key that stands was replaced on revalidation, its token lost")
	}
	for name, change := range map[string]func(*apikey.Record){
		"scope":               func(r *apikey.Record) { r.Scope = []string{"read"} },
		"scope's enforcement": func(r *apikey.Record) { r.ScopeEnforced = true },
		"networks":            func(r *apikey.Record) { r.Networks = apikey.Networks{netip.MustParsePrefix("192.0.2.0/24")} },
		"expiry":              func(r *apikey.Record) { r.ExpiresAt = time.Unix(1700000000, 0) },
	} {
		r := s.keys[someKid]
		change(&r)
		s.keys[someKid] = r
		c.Stale()
		again, _ := c.Key(t.Context(), someKid)
		if again == k {
			t.Errorf("a key whose %s has changed was kept on revalidation", name)
		}
		k = again
	}
	changed := s.keys[someKid]
	changed.State = apikey.Disabled
	s.keys[someKid] = changed
	c.Apply(feed.Change{Kind: feed.Principal, Ref: someKid})
	if again, _ := c.Key(t.Context(), someKid); again != k {
		t.Error("a change of a principal was taken for one of a key")
	}
	c.Apply(feed.Change{Kind: feed.Key, Ref: someKid})
	if again, _ := c.Key(t.Context(), someKid); again == k || again.State != apikey.Disabled {
		t.Errorf("after the change: %v, want it disabled", again)
	}
	delete(s.keys, someKid)
	c.Apply(feed.Change{Kind: feed.Key, Ref: someKid})
	if _, err := c.Key(t.Context(), someKid); !errors.Is(err, account.ErrNotFound) {
		t.Errorf("a deleted key: %v, want ErrNotFound", err)
	}
}

// Design D20: an outage is not "unknown".
func TestCacheReturnsAnOutage(t *testing.T) {
	s := newSource()
	s.fail = account.ErrSeal
	c := expect.Must(apikey.NewCache(apikey.CacheConfig{Size: 100, Loads: 4}, s, nil))(t)
	if _, err := c.Key(t.Context(), someKid); !errors.Is(err, account.ErrSeal) {
		t.Errorf("key: %v, want the outage", err)
	}
	if _, err := c.Key(t.Context(), strings.Repeat("k", 256)); !errors.Is(err, account.ErrNotFound) {
		t.Errorf("a kid no column holds: %v, want ErrNotFound without a read", err)
	}
}

func TestCacheAllocatesNothingWhenWarm(t *testing.T) {
	c := expect.Must(apikey.NewCache(apikey.CacheConfig{Size: 100, Loads: 4}, newSource(), nil))(t)
	ctx := t.Context()
	use := func() {
		k, err := c.Key(ctx, someKid)
		if err != nil {
			t.Fatal(err)
		}
		k.MAC("1584524005143", k.Kid)
		c.DummyMAC("1584524005143", k.Kid)
	}
	use()
	if n := testing.AllocsPerRun(1000, use); n != 0 {
		t.Errorf("%v allocations, want 0", n)
	}
}

// AZ-119, the specification's vectors.
func TestMACVectors(t *testing.T) {
	for _, v := range []struct{ secret, nonce, kid, want string }{
		{
			"2d0b4979c7fe6986daa8e21d1dc0644f", "1584524005143", "61d025b8573501c2",
			"bd42b945e095880e28d046846dbecf655fdf09d95a396a24fe6fe1df42f15d13",
		},
		{
			"00112233445566778899aabbccddeeff", "1700000000000", "0123456789abcdef",
			"a005e6e3928a9bcb1897b75a44999ca277444f7db6a4d2337677e6e58680e4e6",
		},
	} {
		sum := apikey.NewEntry(apikey.Record{Secret: []byte(v.secret)}).MAC(v.nonce, v.kid)
		if got := hex.EncodeToString(sum[:]); got != v.want {
			t.Errorf("MAC(%s, %s) = %s, want %s", v.nonce, v.kid, got, v.want)
		}
	}
}

func TestMACEqualsTheStandardLibrarys(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		key := rapid.SliceOfN(rapid.Byte(), 0, 200).Draw(t, "key")
		nonce := strings.Repeat(rapid.String().Draw(t, "nonce"), rapid.IntRange(1, 40).Draw(t, "times"))
		kid := rapid.String().Draw(t, "kid")
		got := apikey.NewEntry(apikey.Record{Secret: key}).MAC(nonce, kid)
		h := hmac.New(sha256.New, key)
		h.Write([]byte(nonce + kid))
		if !hmac.Equal(got[:], h.Sum(nil)) {
			t.Fatalf("MAC of %d+%d bytes with a key of %d differs", len(nonce), len(kid), len(key))
		}
	})
}

func FuzzMAC(f *testing.F) {
	f.Add([]byte("2d0b4979c7fe6986daa8e21d1dc0644f"), "1584524005143", "61d025b8573501c2")
	f.Fuzz(func(t *testing.T, key []byte, nonce, kid string) {
		got := apikey.NewEntry(apikey.Record{Secret: key}).MAC(nonce, kid)
		h := hmac.New(sha256.New, key)
		h.Write([]byte(nonce + kid))
		if !hmac.Equal(got[:], h.Sum(nil)) {
			t.Fatal("differs from crypto/hmac")
		}
	})
}
