// Package sessiontest is the suite that every implementation of session.Store and of
// session.Ledger passes.
package sessiontest

import (
	"crypto/sha256"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"barong/internal/expect"
	"barong/internal/session"
)

// base is the time of these tests: near the wall clock, since a store such as Redis expires
// by its own.
var base = time.Now().UTC().Truncate(time.Second)

// TestStore is the suite that every session.Store passes; open returns an empty one.
func TestStore(t *testing.T, open func(testing.TB) session.Store) {
	for name, test := range map[string]func(*testing.T, session.Store){
		"a round trip keeps every field":                          roundTrip,
		"a user agent may be empty or no text at all":             oddAgents,
		"an unknown session is ErrNotFound":                       unknown,
		"an expired session is ErrNotFound from its last moment":  expired,
		"sliding lengthens what exists":                           slide,
		"sliding never shortens (FX-46)":                          slideNeverShortens,
		"sliding never creates (FX-46)":                           slideNeverCreates,
		"sliding hundreds at once":                                slideMany,
		"sliding none is fine":                                    slideNone,
		"sliding against deletion never revives":                  slideRace,
		"deleting forgets one, twice is fine":                     deleteOne,
		"a list has all of one user's sessions and nobody else's": listOfOne,
		"a list tells what became of each":                        listAfterwards,
		"sessions opened at once are all listed":                  listRace,
		"of too many a list has the newest":                       listMany,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, open(t))
		})
	}
}

func equal(t testing.TB, got, want any) {
	t.Helper()
	if d := cmp.Diff(want, got, cmpopts.EquateComparable(netip.Addr{})); d != "" {
		t.Fatalf("want (-), got (+):\n%s", d)
	}
}

func id(n int) session.ID { return sha256.Sum256(fmt.Append(nil, n)) }

func newSession(n int) session.Session {
	return session.Session{
		ID: id(n), UID: fmt.Sprint("ID", n), IP: netip.MustParseAddr("2001:db8::7"),
		UserAgent: "Mozilla/5.0 (X11)", CSRFToken: "0123456789abcdef0123", Generation: 3, Epoch: 2,
		CreatedAt: base, ExpiresAt: base.Add(time.Hour),
	}
}

func add(t testing.TB, s session.Store, n int) session.Session {
	t.Helper()
	x := newSession(n)
	expect.OK(t, s.AddSession(t.Context(), x))
	return x
}

func roundTrip(t *testing.T, s session.Store) {
	six, four := newSession(1), newSession(2)
	four.IP = netip.MustParseAddr("192.0.2.1")
	for _, want := range []session.Session{six, four} {
		expect.OK(t, s.AddSession(t.Context(), want))
		got, err := s.Session(t.Context(), want.ID, base)
		expect.OK(t, err)
		equal(t, got, want)
	}
}

func oddAgents(t *testing.T, s session.Store) {
	for n, agent := range []string{"", "caf\xe9 \x00\xff", "☂", "'; DROP TABLE sessions", strings.Repeat("\xff", 512)} {
		want := newSession(n)
		want.UserAgent = agent
		expect.OK(t, s.AddSession(t.Context(), want))
		got, err := s.Session(t.Context(), want.ID, base)
		expect.OK(t, err)
		equal(t, got, want)
	}
}

func unknown(t *testing.T, s session.Store) {
	add(t, s, 1)
	_, err := s.Session(t.Context(), id(2), base)
	expect.Error(t, err, session.ErrNotFound)
}

func expired(t *testing.T, s session.Store) {
	x := add(t, s, 1)
	_, err := s.Session(t.Context(), x.ID, x.ExpiresAt.Add(-time.Second))
	expect.OK(t, err)
	for _, now := range []time.Time{x.ExpiresAt, x.ExpiresAt.Add(time.Second)} {
		_, err = s.Session(t.Context(), x.ID, now)
		expect.Error(t, err, session.ErrNotFound)
	}
}

func slide(t *testing.T, s session.Store) {
	want, other := add(t, s, 1), add(t, s, 2)
	want.ExpiresAt = want.ExpiresAt.Add(time.Minute)
	expect.OK(t, s.SlideSessions(t.Context(), map[session.ID]time.Time{want.ID: want.ExpiresAt}))
	for _, want := range []session.Session{want, other} {
		got, err := s.Session(t.Context(), want.ID, base)
		expect.OK(t, err)
		equal(t, got, want)
	}
}

func slideNeverShortens(t *testing.T, s session.Store) {
	want := add(t, s, 1)
	expect.OK(t, s.SlideSessions(t.Context(), map[session.ID]time.Time{want.ID: want.ExpiresAt.Add(-time.Minute)}))
	got, err := s.Session(t.Context(), want.ID, base)
	expect.OK(t, err)
	equal(t, got, want)
}

func slideNeverCreates(t *testing.T, s session.Store) {
	want := add(t, s, 1)
	want.ExpiresAt = want.ExpiresAt.Add(time.Minute)
	expect.OK(t, s.SlideSessions(t.Context(), map[session.ID]time.Time{
		id(2): base.Add(2 * time.Hour), want.ID: want.ExpiresAt,
	}))
	_, err := s.Session(t.Context(), id(2), base)
	expect.Error(t, err, session.ErrNotFound)
	got, err := s.Session(t.Context(), want.ID, base) // the other in the batch still slid
	expect.OK(t, err)
	equal(t, got, want)
}

func slideMany(t *testing.T, s session.Store) {
	const many = 401
	to := map[session.ID]time.Time{}
	for n := range many {
		x := add(t, s, n)
		to[x.ID] = x.ExpiresAt.Add(time.Duration(n+1) * time.Second)
	}
	expect.OK(t, s.SlideSessions(t.Context(), to))
	for id, want := range to {
		got, err := s.Session(t.Context(), id, base)
		expect.OK(t, err)
		if !got.ExpiresAt.Equal(want) {
			t.Fatalf("%s: expires %v, want %v", got.UID, got.ExpiresAt, want)
		}
	}
}

func slideNone(t *testing.T, s session.Store) {
	expect.OK(t, s.SlideSessions(t.Context(), nil))
}

func slideRace(t *testing.T, s session.Store) {
	x := add(t, s, 1)
	var wg sync.WaitGroup
	for n := range 8 {
		wg.Go(func() {
			to := map[session.ID]time.Time{x.ID: x.ExpiresAt.Add(time.Duration(n) * time.Minute)}
			if err := s.SlideSessions(t.Context(), to); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Go(func() {
		if err := s.DeleteSession(t.Context(), x.ID); err != nil {
			t.Error(err)
		}
	})
	wg.Wait()
	_, err := s.Session(t.Context(), x.ID, base)
	expect.Error(t, err, session.ErrNotFound)
}

func deleteOne(t *testing.T, s session.Store) {
	x, other := add(t, s, 1), add(t, s, 2)
	expect.OK(t, s.DeleteSession(t.Context(), x.ID))
	expect.OK(t, s.DeleteSession(t.Context(), x.ID))
	_, err := s.Session(t.Context(), x.ID, base)
	expect.Error(t, err, session.ErrNotFound)
	_, err = s.Session(t.Context(), other.ID, base)
	expect.OK(t, err)
}
