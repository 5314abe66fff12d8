package sessiontest

import (
	"bytes"
	"slices"
	"sync"
	"testing"
	"time"

	"barong/internal/expect"
	"barong/internal/session"
)

const someone = "ID00000001"

// own adds the session n of someone.
func own(t testing.TB, s session.Store, n int) session.Session {
	t.Helper()
	x := newSession(n)
	x.UID = someone
	expect.OK(t, s.AddSession(t.Context(), x))
	return x
}

// wantList compares a user's list, in whatever order.
func wantList(t testing.TB, s session.Store, uid string, now time.Time, want ...session.Session) {
	t.Helper()
	got, err := s.SessionsOf(t.Context(), uid, now)
	expect.OK(t, err)
	byID := func(a, b session.Session) int { return bytes.Compare(a.ID[:], b.ID[:]) }
	slices.SortFunc(got, byID)
	slices.SortFunc(want, byID)
	if len(got)+len(want) > 0 {
		equal(t, got, want)
	}
}

func listOfOne(t *testing.T, s session.Store) {
	wantList(t, s, someone, base)
	one, two, odd := own(t, s, 1), own(t, s, 2), newSession(3)
	odd.UID, odd.UserAgent = someone, "caf\xe9 \x00\xff"
	expect.OK(t, s.AddSession(t.Context(), odd))
	other := newSession(4)
	other.UID = someone + "0"
	expect.OK(t, s.AddSession(t.Context(), other))
	for range 2 { // reading changes nothing
		wantList(t, s, someone, base, one, two, odd)
		wantList(t, s, other.UID, base, other)
		wantList(t, s, "ID0", base)
		wantList(t, s, "*", base)
	}
}

func listAfterwards(t *testing.T, s session.Store) {
	slid, deleted, expired := own(t, s, 1), own(t, s, 2), own(t, s, 3)
	slid.ExpiresAt = slid.ExpiresAt.Add(time.Minute)
	expect.OK(t, s.SlideSessions(t.Context(), map[session.ID]time.Time{slid.ID: slid.ExpiresAt}))
	expect.OK(t, s.DeleteSession(t.Context(), deleted.ID))
	for range 2 { // the first may tidy up
		wantList(t, s, someone, base, slid, expired)
		wantList(t, s, someone, expired.ExpiresAt, slid)
		wantList(t, s, someone, slid.ExpiresAt)
	}
}

func listRace(t *testing.T, s session.Store) {
	var wg sync.WaitGroup
	want := make([]session.Session, 20)
	for n := range want {
		want[n] = newSession(n)
		want[n].UID = someone
		wg.Go(func() {
			if err := s.AddSession(t.Context(), want[n]); err != nil {
				t.Error(err)
			}
		})
		wg.Go(func() { // must not forget the one being added
			if _, err := s.SessionsOf(t.Context(), someone, base); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	wantList(t, s, someone, base, want...)
}

func listMany(t *testing.T, s session.Store) {
	const extra = 3
	all := make([]session.Session, session.MaxListed+extra)
	for n := range all { // the last are the oldest: the newest come first, in time too
		all[n] = newSession(n)
		all[n].UID = someone
		all[n].CreatedAt = base.Add(-time.Duration(n) * time.Second)
		expect.OK(t, s.AddSession(t.Context(), all[n]))
	}
	wantList(t, s, someone, base, all[:session.MaxListed]...)
	_, err := s.Session(t.Context(), all[len(all)-1].ID, base) // not listed is not ended
	expect.OK(t, err)
}
