// Package factortest is the test suite of every store of one-time-code secrets.
package factortest

import (
	"context"
	"testing"

	"barong/internal/account"
	"barong/internal/account/accounttest"
	"barong/internal/factor"
)

// A Store is the store under test.
type Store interface {
	factor.Tx
	Update(ctx context.Context, f func(factor.Tx) error) error
}

// TestStore tests a Store; open returns an empty one, its times to the microsecond.
func TestStore(t *testing.T, open func(testing.TB) Store) {
	for name, test := range map[string]func(*testing.T, Store){
		"a round trip, a replacement and a removal": totpRoundTrip,
		"of two equal codes one wins":               totpRace,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, open(t))
		})
	}
}

func totpRoundTrip(t *testing.T, s Store) {
	u := accounttest.AddUser(t, s, "1")
	_, err := s.TOTPSecret(t.Context(), u.UID)
	accounttest.WantErr(t, err, factor.ErrNoSecret)
	want := factor.TOTPSecret{UserUID: u.UID, Secret: []byte("12345678901234567890"), LastStep: 55}
	accounttest.Must(t, s.PutTOTPSecret(t.Context(), want))
	got, err := s.TOTPSecret(t.Context(), u.UID)
	accounttest.Must(t, err)
	accounttest.Equal(t, got, want)
	want.Secret, want.LastStep = []byte("another secret, yes!"), 3
	accounttest.Must(t, s.PutTOTPSecret(t.Context(), want))
	got, err = s.TOTPSecret(t.Context(), u.UID)
	accounttest.Must(t, err)
	accounttest.Equal(t, got, want)
	accounttest.Must(t, s.DeleteTOTPSecret(t.Context(), u.UID))
	accounttest.Must(t, s.DeleteTOTPSecret(t.Context(), u.UID))
	_, err = s.TOTPSecret(t.Context(), u.UID)
	accounttest.WantErr(t, err, factor.ErrNoSecret)
	accounttest.WantErr(t, s.PutTOTPSecret(t.Context(), factor.TOTPSecret{UserUID: "ID404", Secret: []byte("x")}), account.ErrNoUser)
}

func totpRace(t *testing.T, s Store) {
	u := accounttest.AddUser(t, s, "1")
	accounttest.Must(t, s.PutTOTPSecret(t.Context(), factor.TOTPSecret{UserUID: u.UID, Secret: []byte("12345678901234567890")}))
	won := make(chan bool, 8)
	for range cap(won) {
		go func() {
			ok, err := s.AdvanceTOTP(t.Context(), u.UID, 100)
			won <- ok && err == nil
		}()
	}
	winners := 0
	for range cap(won) {
		if <-won {
			winners++
		}
	}
	accounttest.Equal(t, winners, 1)
	for step, want := range map[int64]bool{99: false, 100: false} {
		ok, err := s.AdvanceTOTP(t.Context(), u.UID, step)
		accounttest.Must(t, err)
		accounttest.Equal(t, ok, want)
	}
	ok, err := s.AdvanceTOTP(t.Context(), u.UID, 101)
	accounttest.Must(t, err)
	accounttest.Equal(t, ok, true)
	ok, err = s.AdvanceTOTP(t.Context(), "ID404", 101)
	accounttest.Must(t, err)
	accounttest.Equal(t, ok, false)
}
