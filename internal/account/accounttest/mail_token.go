package accounttest

import (
	"errors"
	"sync"
	"testing"
	"time"

	"barong/internal/account"
)

// mailNow is between the lives of links that have expired and of those that work.
var mailNow = time.Date(2030, 1, 2, 3, 4, 5, 6000, time.UTC)

// mailToken is one with every field set that callers set.
func mailToken(n byte, uid, purpose string) account.MailToken {
	return account.MailToken{
		Hash: [32]byte{0: n, 31: n}, UserUID: uid, Purpose: purpose, ExpiresAt: mailNow.Add(time.Hour),
	}
}

// live are the first bytes of those hashes, of n, that still work.
func live(t testing.TB, s account.Tx, n byte) (all []byte) {
	t.Helper()
	for i := byte(1); i <= n; i++ {
		_, err := s.MailToken(t.Context(), mailToken(i, "", "").Hash, mailNow)
		if err == nil {
			all = append(all, i)
		} else if !errors.Is(err, account.ErrNotFound) {
			t.Fatal(err)
		}
	}
	return all
}

func mailTokenRoundTrip(t *testing.T, s account.Store) {
	u := addUser(t, s, "1")
	want := mailToken(1, u.UID, "reset")
	must(t, s.AddMailToken(t.Context(), want, 0))
	got, err := s.MailToken(t.Context(), want.Hash, mailNow)
	must(t, err)
	recent(t, got.CreatedAt)
	want.CreatedAt = got.CreatedAt
	equal(t, got, want)

	_, err = s.MailToken(t.Context(), [32]byte{9}, mailNow)
	wantErr(t, err, account.ErrNotFound)
	wantErr(t, s.AddMailToken(t.Context(), mailToken(2, "ID404", "reset"), 0), account.ErrNotFound)
	must(t, s.Update(t.Context(), func(tx account.Tx) error {
		wantErr(t, tx.AddMailToken(t.Context(), want, 1), account.ErrTaken)
		return tx.AddMailToken(t.Context(), mailToken(3, u.UID, "reset"), 0) // goes on after ErrTaken
	}))
	equal(t, live(t, s, 3), []byte{1, 3})
}

func mailTokenUse(t *testing.T, s account.Store) {
	u := addUser(t, s, "1")
	m := mailToken(1, u.UID, "reset")
	must(t, s.AddMailToken(t.Context(), m, 0))
	for range 2 {
		ok, err := s.UseMailToken(t.Context(), m.Hash, m.ExpiresAt)
		must(t, err)
		equal(t, ok, false) // expired, and not used up by it
	}
	_, err := s.MailToken(t.Context(), m.Hash, m.ExpiresAt)
	wantErr(t, err, account.ErrNotFound)

	oops := errors.New("oops")
	err = s.Update(t.Context(), func(tx account.Tx) error {
		ok, err := tx.UseMailToken(t.Context(), m.Hash, mailNow)
		must(t, err)
		equal(t, ok, true)
		return oops
	})
	wantErr(t, err, oops)

	var mu sync.Mutex
	var wg sync.WaitGroup
	won := 0
	for range 8 {
		wg.Go(func() {
			ok, err := s.UseMailToken(t.Context(), m.Hash, mailNow)
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				t.Error(err)
			}
			if ok {
				won++
			}
		})
	}
	wg.Wait()
	equal(t, won, 1)
}

func mailTokenKeep(t *testing.T, s account.Store) {
	one, two := addUser(t, s, "1"), addUser(t, s, "2")
	must(t, s.AddMailToken(t.Context(), mailToken(1, two.UID, "reset"), 1))
	must(t, s.AddMailToken(t.Context(), mailToken(2, one.UID, "confirmation"), 1))
	for n := byte(3); n <= 6; n++ {
		must(t, s.AddMailToken(t.Context(), mailToken(n, one.UID, "reset"), 0))
	}
	equal(t, live(t, s, 6), []byte{1, 2, 3, 4, 5, 6})
	must(t, s.AddMailToken(t.Context(), mailToken(7, one.UID, "reset"), 3))
	equal(t, live(t, s, 7), []byte{1, 2, 5, 6, 7})

	var wg sync.WaitGroup
	for n := byte(8); n <= 15; n++ {
		wg.Go(func() {
			if err := s.AddMailToken(t.Context(), mailToken(n, one.UID, "reset"), 3); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	equal(t, len(live(t, s, 15)), 2+3)
}

func mailTokenDelete(t *testing.T, s account.Store) {
	one, two := addUser(t, s, "1"), addUser(t, s, "2")
	must(t, s.AddMailToken(t.Context(), mailToken(1, two.UID, "reset"), 0))
	must(t, s.AddMailToken(t.Context(), mailToken(2, one.UID, "confirmation"), 0))
	must(t, s.AddMailToken(t.Context(), mailToken(3, one.UID, "reset"), 0))
	must(t, s.AddMailToken(t.Context(), mailToken(4, one.UID, "reset"), 0))
	must(t, s.DeleteMailTokens(t.Context(), "", ""))
	must(t, s.DeleteMailTokens(t.Context(), "ID404", "reset"))
	equal(t, live(t, s, 4), []byte{1, 2, 3, 4})
	must(t, s.DeleteMailTokens(t.Context(), one.UID, "reset"))
	equal(t, live(t, s, 4), []byte{1, 2})
	must(t, s.DeleteMailTokens(t.Context(), one.UID, ""))
	equal(t, live(t, s, 4), []byte{1})
}
