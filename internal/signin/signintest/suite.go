// Package signintest is the test suite of every store of mail tokens.
package signintest

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"barong/internal/account"
	"barong/internal/account/accounttest"
	"barong/internal/signin"
)

// A Store is the store under test.
type Store interface {
	signin.Tx
	Update(ctx context.Context, f func(signin.Tx) error) error
}

// TestStore tests a Store; open returns an empty one, its times to the microsecond.
func TestStore(t *testing.T, open func(testing.TB) Store) {
	for name, test := range map[string]func(*testing.T, Store){
		"a round trip keeps every field":                 mailTokenRoundTrip,
		"of two uses one wins, none after its life":      mailTokenUse,
		"only the newest of a user and purpose are kept": mailTokenKeep,
		"a user's are removed by purpose or all":         mailTokenDelete,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, open(t))
		})
	}
}

// mailNow is between the lives of links that have expired and of those that work.
var mailNow = time.Date(2030, 1, 2, 3, 4, 5, 6000, time.UTC)

// mailToken is one with every field set that callers set.
func mailToken(n byte, uid, purpose string) signin.MailToken {
	return signin.MailToken{
		Hash: [32]byte{0: n, 31: n}, UserUID: uid, Purpose: purpose, ExpiresAt: mailNow.Add(time.Hour),
	}
}

// live are the first bytes of those hashes, of n, that still work.
func live(t testing.TB, s signin.Tx, n byte) (all []byte) {
	t.Helper()
	for i := byte(1); i <= n; i++ {
		_, err := s.MailToken(t.Context(), mailToken(i, "", "").Hash, mailNow)
		if err == nil {
			all = append(all, i)
		} else if !errors.Is(err, signin.ErrNoLink) {
			t.Fatal(err)
		}
	}
	return all
}

func mailTokenRoundTrip(t *testing.T, s Store) {
	u := accounttest.AddUser(t, s, "1")
	want := mailToken(1, u.UID, "reset")
	accounttest.Must(t, s.AddMailToken(t.Context(), want, 0))
	got, err := s.MailToken(t.Context(), want.Hash, mailNow)
	accounttest.Must(t, err)
	accounttest.Recent(t, got.CreatedAt)
	want.CreatedAt = got.CreatedAt
	accounttest.Equal(t, got, want)

	_, err = s.MailToken(t.Context(), [32]byte{9}, mailNow)
	accounttest.WantErr(t, err, signin.ErrNoLink)
	accounttest.WantErr(t, s.AddMailToken(t.Context(), mailToken(2, "ID404", "reset"), 0), account.ErrNoUser)
	accounttest.Must(t, s.Update(t.Context(), func(tx signin.Tx) error {
		accounttest.WantErr(t, tx.AddMailToken(t.Context(), want, 1), account.ErrTaken)
		return tx.AddMailToken(t.Context(), mailToken(3, u.UID, "reset"), 0) // goes on after ErrTaken
	}))
	accounttest.Equal(t, live(t, s, 3), []byte{1, 3})
}

func mailTokenUse(t *testing.T, s Store) {
	u := accounttest.AddUser(t, s, "1")
	m := mailToken(1, u.UID, "reset")
	accounttest.Must(t, s.AddMailToken(t.Context(), m, 0))
	for range 2 {
		ok, err := s.UseMailToken(t.Context(), m.Hash, m.ExpiresAt)
		accounttest.Must(t, err)
		accounttest.Equal(t, ok, false) // expired, and not used up by it
	}
	_, err := s.MailToken(t.Context(), m.Hash, m.ExpiresAt)
	accounttest.WantErr(t, err, signin.ErrNoLink)

	oops := errors.New("oops")
	err = s.Update(t.Context(), func(tx signin.Tx) error {
		ok, err := tx.UseMailToken(t.Context(), m.Hash, mailNow)
		accounttest.Must(t, err)
		accounttest.Equal(t, ok, true)
		return oops
	})
	accounttest.WantErr(t, err, oops)

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
	accounttest.Equal(t, won, 1)
}

func mailTokenKeep(t *testing.T, s Store) {
	one, two := accounttest.AddUser(t, s, "1"), accounttest.AddUser(t, s, "2")
	accounttest.Must(t, s.AddMailToken(t.Context(), mailToken(1, two.UID, "reset"), 1))
	accounttest.Must(t, s.AddMailToken(t.Context(), mailToken(2, one.UID, "confirmation"), 1))
	for n := byte(3); n <= 6; n++ {
		accounttest.Must(t, s.AddMailToken(t.Context(), mailToken(n, one.UID, "reset"), 0))
	}
	accounttest.Equal(t, live(t, s, 6), []byte{1, 2, 3, 4, 5, 6})
	accounttest.Must(t, s.AddMailToken(t.Context(), mailToken(7, one.UID, "reset"), 3))
	accounttest.Equal(t, live(t, s, 7), []byte{1, 2, 5, 6, 7})

	var wg sync.WaitGroup
	for n := byte(8); n <= 15; n++ {
		wg.Go(func() {
			if err := s.AddMailToken(t.Context(), mailToken(n, one.UID, "reset"), 3); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	accounttest.Equal(t, len(live(t, s, 15)), 2+3)
}

func mailTokenDelete(t *testing.T, s Store) {
	one, two := accounttest.AddUser(t, s, "1"), accounttest.AddUser(t, s, "2")
	accounttest.Must(t, s.AddMailToken(t.Context(), mailToken(1, two.UID, "reset"), 0))
	accounttest.Must(t, s.AddMailToken(t.Context(), mailToken(2, one.UID, "confirmation"), 0))
	accounttest.Must(t, s.AddMailToken(t.Context(), mailToken(3, one.UID, "reset"), 0))
	accounttest.Must(t, s.AddMailToken(t.Context(), mailToken(4, one.UID, "reset"), 0))
	accounttest.Must(t, s.DeleteMailTokens(t.Context(), "", ""))
	accounttest.Must(t, s.DeleteMailTokens(t.Context(), "ID404", "reset"))
	accounttest.Equal(t, live(t, s, 4), []byte{1, 2, 3, 4})
	accounttest.Must(t, s.DeleteMailTokens(t.Context(), one.UID, "reset"))
	accounttest.Equal(t, live(t, s, 4), []byte{1, 2})
	accounttest.Must(t, s.DeleteMailTokens(t.Context(), one.UID, ""))
	accounttest.Equal(t, live(t, s, 4), []byte{1})
}
