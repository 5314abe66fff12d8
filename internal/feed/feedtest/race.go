package feedtest

import (
	"sync"
	"testing"
	"time"

	"barong/internal/apikey"
	"barong/internal/expect"
	"barong/internal/session"
)

// concurrent checks a promise that followers rely on: after a read up to a number, nothing at
// or below it appears.
func concurrent(t *testing.T, s Store) {
	f := newFixture(t, s)
	start := head(t, s)
	const writers, each = 9, 20
	done := make(chan struct{})
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for n := range each {
				var err error
				switch w % 3 {
				case 0:
					_, err = s.EndSessions(t.Context(), f.user.UID)
				case 1:
					err = s.EndSession(t.Context(), time.Hour, session.ID{byte(w), byte(n)})
				default:
					err = s.Update(t.Context(), func(tx Tx) error {
						return tx.PutAPIKey(t.Context(), &apikey.Key{Kid: userKid, State: apikey.Active})
					})
				}
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	go func() { wg.Wait(); close(done) }()

	cursor := start
	read := func() {
		all, upTo, err := s.Changes(t.Context(), cursor, 7)
		if err != nil {
			t.Error(err)
			return
		}
		next := cursor.Seq
		for _, c := range all {
			if c.Seq != next && c.Seq != next+1 {
				t.Errorf("number %d follows %d", c.Seq, next)
			}
			next = c.Seq
		}
		if next != upTo.Seq {
			t.Errorf("read up to %s, but the last row is %d", upTo, next)
		}
		cursor = upTo
	}
	for running := true; running; {
		select {
		case <-done:
			running = false
		default:
			read()
		}
	}
	for cursor != head(t, s) && !t.Failed() {
		read()
	}
	if got := cursor.Seq - start.Seq; got != writers*each {
		t.Errorf("read %d numbers, want %d", got, writers*each)
	}
}

// visibility checks that the row and its change become visible at once, and that of two
// commits the one with the lower number is visible first.
func visibility(t *testing.T, s Store) {
	f := newFixture(t, s)
	start := head(t, s)
	const rounds = 30
	var wg sync.WaitGroup
	for range 3 {
		wg.Go(func() {
			for range rounds {
				if _, err := s.EndSessions(t.Context(), f.user.UID); err != nil {
					t.Error(err)
				}
			}
		})
	}
	for !t.Failed() {
		n := head(t, s)
		u, err := s.User(t.Context(), f.user.UID)
		expect.OK(t, err)
		// Every number is one write to the user, whose row was read later.
		if got, want := u.LockVersion, f.user.LockVersion+n.Seq-start.Seq; got < want {
			t.Fatalf("number %s is visible, write %d is not yet: %d", n, want, got)
		}
		if n.Seq == start.Seq+3*rounds {
			break
		}
	}
	wg.Wait()
}
