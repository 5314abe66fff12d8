// Package tokentest is the suite that every implementation of token.KeyStore passes.
package tokentest

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"barong/internal/expect"
	"barong/internal/token"
)

// TestKeyStore is the suite that every token.KeyStore passes; open returns an empty one. That writes
// leave change-feed rows is tested by feedtest.
func TestKeyStore(t *testing.T, open func(testing.TB) token.KeyStore) {
	for name, test := range map[string]func(*testing.T, token.KeyStore){
		"a round trip keeps every field, oldest first":   roundTrip,
		"changed keys are written, missing ones removed": change,
		"a replaced private key is kept":                 replaced,
		"an error writes nothing and comes back":         rollBack,
		"of concurrent updates none is lost":             race,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, open(t))
		})
	}
}

func want(t testing.TB, s token.KeyStore, want ...token.SigningKey) {
	t.Helper()
	got, err := s.SigningKeys(t.Context())
	expect.OK(t, err)
	if d := cmp.Diff(want, got); d != "" {
		t.Fatalf("want (-), got (+):\n%s", d)
	}
}

var base = time.Date(2030, 5, 6, 7, 8, 9, 123456000, time.UTC)

func newKey(kid string, age time.Duration) token.SigningKey {
	return token.SigningKey{
		Kid: kid, Use: token.UseBearer, Algorithm: "RS256", State: token.Retiring,
		PrivatePEM: []byte("-----BEGIN PRIVATE KEY-----\n" + kid), CreatedAt: base.Add(-age),
		ActivatedAt: base.Add(time.Minute), RetiredAt: base.Add(time.Hour),
	}
}

func set(t testing.TB, s token.KeyStore, keys ...token.SigningKey) {
	t.Helper()
	expect.OK(t, s.UpdateSigningKeys(t.Context(), func([]token.SigningKey) ([]token.SigningKey, error) { return keys, nil }))
}

func roundTrip(t *testing.T, s token.KeyStore) {
	want(t, s)
	young, old, fresh := newKey("young", 0), newKey("old", time.Hour), newKey("fresh", -time.Hour)
	fresh.Use, fresh.Algorithm, fresh.State = token.UseWire, "EdDSA", token.Next
	fresh.ActivatedAt, fresh.RetiredAt = time.Time{}, time.Time{}
	set(t, s, young, fresh, old)
	want(t, s, old, young, fresh)
}

func change(t *testing.T, s token.KeyStore) {
	kept, moved, gone := newKey("kept", 3*time.Hour), newKey("moved", 2*time.Hour), newKey("gone", time.Hour)
	set(t, s, kept, moved, gone)
	moved.State, moved.RetiredAt = token.Active, base.Add(3*time.Hour)
	added := newKey("added", 0)
	expect.OK(t, s.UpdateSigningKeys(t.Context(), func(all []token.SigningKey) ([]token.SigningKey, error) {
		if len(all) != 3 {
			t.Errorf("f got %d keys, want 3", len(all))
		}
		all[0].PrivatePEM[0] = '#' // changes of f to its copy beyond its result are lost
		return []token.SigningKey{kept, moved, added}, nil
	}))
	want(t, s, kept, moved, added)
}

func replaced(t *testing.T, s token.KeyStore) {
	k := newKey("kid", 0)
	set(t, s, k)
	k.PrivatePEM = []byte("another")
	set(t, s, k)
	want(t, s, k)
}

func rollBack(t *testing.T, s token.KeyStore) {
	k := newKey("kid", 0)
	set(t, s, k)
	oops := errors.New("oops")
	err := s.UpdateSigningKeys(t.Context(), func([]token.SigningKey) ([]token.SigningKey, error) { return nil, oops })
	if !errors.Is(err, oops) {
		t.Fatalf("got %v, want the error of f", err)
	}
	want(t, s, k)
}

func race(t *testing.T, s token.KeyStore) {
	const writers = 8
	errs := make(chan error, writers)
	for n := range writers {
		go func() {
			errs <- s.UpdateSigningKeys(t.Context(), func(all []token.SigningKey) ([]token.SigningKey, error) {
				return append(all, newKey(fmt.Sprint("kid", n), time.Duration(n)*time.Second)), nil
			})
		}()
	}
	for range writers {
		expect.OK(t, <-errs)
	}
	all, err := s.SigningKeys(t.Context())
	expect.OK(t, err)
	if len(all) != writers {
		t.Fatalf("got %d keys, want %d", len(all), writers)
	}
}
