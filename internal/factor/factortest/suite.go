// Package factortest is the test suite of every store of second factors.
package factortest

import (
	"context"
	"errors"
	"testing"
	"time"

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
		"recovery codes are replaced and used once": recoveryRoundTrip,
		"of two uses of a recovery code one wins":   recoveryRace,
		"passkeys keep every field":                 passkeyRoundTrip,
		"passkeys are bounded, and nobody else's":   passkeyBounds,
		"a passkey's count rises or stays zero":     passkeyCount,
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

func recoveryRoundTrip(t *testing.T, s Store) {
	u, other := accounttest.AddUser(t, s, "1"), accounttest.AddUser(t, s, "2")
	left := func(want int) {
		t.Helper()
		n, err := s.RecoveryCodesLeft(t.Context(), u.UID)
		accounttest.Must(t, err)
		accounttest.Equal(t, n, want)
	}
	use := func(uid, code string, want bool) {
		t.Helper()
		used, err := s.UseRecoveryCode(t.Context(), uid, code)
		accounttest.Must(t, err)
		accounttest.Equal(t, used, want)
	}
	left(0)
	accounttest.Must(t, s.PutRecoveryCodes(t.Context(), u.UID, factor.RecoveryCodes{"a", "b"}))
	left(2)
	accounttest.Must(t, s.PutRecoveryCodes(t.Context(), u.UID, factor.RecoveryCodes{"c", "d", "e"}))
	// The same text may be two persons' code.
	accounttest.Must(t, s.PutRecoveryCodes(t.Context(), other.UID, factor.RecoveryCodes{"c"}))
	left(3)
	use(u.UID, "a", false)
	use(other.UID, "d", false)
	use("ID404", "d", false)
	use(u.UID, "c", true)
	use(u.UID, "c", false)
	left(2)
	use(other.UID, "c", true)
	accounttest.Must(t, s.DeleteRecoveryCodes(t.Context(), u.UID))
	accounttest.Must(t, s.DeleteRecoveryCodes(t.Context(), u.UID))
	use(u.UID, "d", false)
	left(0)
	accounttest.WantErr(t, s.PutRecoveryCodes(t.Context(), "ID404", factor.RecoveryCodes{"f"}), account.ErrNoUser)
}

func recoveryRace(t *testing.T, s Store) {
	u := accounttest.AddUser(t, s, "1")
	accounttest.Must(t, s.PutRecoveryCodes(t.Context(), u.UID, factor.RecoveryCodes{"a", "b"}))
	won := make(chan bool, 8)
	for range cap(won) {
		go func() {
			ok, err := s.UseRecoveryCode(t.Context(), u.UID, "a")
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
}

// passkey adds one of u, whose every field is set.
func passkey(t *testing.T, s Store, u account.User, id string) factor.Passkey {
	t.Helper()
	handle, err := s.UserHandle(t.Context(), u.UID, []byte("handle of "+u.UID))
	accounttest.Must(t, err)
	p := factor.Passkey{
		UserUID: u.UID, Name: "phone " + id, CredentialID: []byte(id), Handle: handle, PublicKey: []byte("key " + id),
		SignCount: 1<<32 - 2, Synced: true, LastUsedAt: time.Date(2026, 11, 21, 8, 0, 0, 0, time.UTC),
	}
	accounttest.Must(t, s.AddPasskey(t.Context(), &p, 10))
	return p
}

func passkeyRoundTrip(t *testing.T, s Store) {
	u := accounttest.AddUser(t, s, "1")
	one, two := passkey(t, s, u, "1"), passkey(t, s, u, "2")
	all, err := s.Passkeys(t.Context(), u.UID)
	accounttest.Must(t, err)
	accounttest.Equal(t, all, []factor.Passkey{one, two})
	got, err := s.PasskeyOf(t.Context(), []byte("2"))
	accounttest.Must(t, err)
	accounttest.Equal(t, got, two)
	accounttest.Must(t, s.RenamePasskey(t.Context(), u.UID, two.ID, "tablet"))
	two.Name = "tablet"
	got, err = s.PasskeyOf(t.Context(), []byte("2"))
	accounttest.Must(t, err)
	accounttest.Equal(t, got, two)
	accounttest.Must(t, s.DeletePasskey(t.Context(), u.UID, one.ID))
	_, err = s.PasskeyOf(t.Context(), []byte("1"))
	accounttest.WantErr(t, err, factor.ErrNoPasskey)
	accounttest.WantErr(t, s.DeletePasskey(t.Context(), u.UID, one.ID), factor.ErrNoPasskey)
	n, err := s.DeletePasskeys(t.Context(), u.UID)
	accounttest.Must(t, err)
	accounttest.Equal(t, n, 1)
	handle, err := s.UserHandle(t.Context(), u.UID, []byte("another"))
	accounttest.Must(t, err)
	accounttest.Equal(t, string(handle), "handle of "+u.UID)
}

func passkeyBounds(t *testing.T, s Store) {
	u, other := accounttest.AddUser(t, s, "1"), accounttest.AddUser(t, s, "2")
	p := passkey(t, s, u, "1")
	q := factor.Passkey{UserUID: u.UID, CredentialID: []byte("2"), PublicKey: []byte("k")}
	accounttest.WantErr(t, s.AddPasskey(t.Context(), &q, 1), factor.ErrTooManyPasskeys)
	q.UserUID, q.CredentialID = other.UID, p.CredentialID
	accounttest.WantErr(t, s.AddPasskey(t.Context(), &q, 1), factor.ErrPasskeyTaken)
	q.UserUID = "ID404"
	accounttest.WantErr(t, s.AddPasskey(t.Context(), &q, 1), account.ErrNoUser)
	_, err := s.UserHandle(t.Context(), "ID404", []byte("h"))
	accounttest.WantErr(t, err, account.ErrNoUser)
	accounttest.WantErr(t, s.RenamePasskey(t.Context(), other.UID, p.ID, "x"), factor.ErrNoPasskey)
	accounttest.WantErr(t, s.DeletePasskey(t.Context(), other.UID, p.ID), factor.ErrNoPasskey)
	accounttest.WantErr(t, s.UsePasskey(t.Context(), other.UID, p.ID, 1<<32-1), factor.ErrNoPasskey)
	n, err := s.DeletePasskeys(t.Context(), other.UID)
	accounttest.Must(t, err)
	accounttest.Equal(t, n, 0)
	all, err := s.Passkeys(t.Context(), u.UID)
	accounttest.Must(t, err)
	accounttest.Equal(t, all, []factor.Passkey{p})
}

func passkeyCount(t *testing.T, s Store) {
	u := accounttest.AddUser(t, s, "1")
	_, err := s.UserHandle(t.Context(), u.UID, []byte("h"))
	accounttest.Must(t, err)
	p := factor.Passkey{UserUID: u.UID, CredentialID: []byte("1"), PublicKey: []byte("k")}
	accounttest.Must(t, s.AddPasskey(t.Context(), &p, 1))
	for n, use := range []struct {
		count uint32
		want  error
	}{
		{0, nil}, {0, nil}, {3, nil}, {3, factor.ErrCopiedPasskey}, {2, factor.ErrCopiedPasskey}, {0, factor.ErrCopiedPasskey},
		{1<<32 - 1, nil}, {1<<32 - 1, factor.ErrCopiedPasskey},
	} {
		if err := s.UsePasskey(t.Context(), u.UID, p.ID, use.count); !errors.Is(err, use.want) || (err == nil) != (use.want == nil) {
			t.Errorf("use %d with count %d: %v, want %v", n, use.count, err, use.want)
		}
	}
	accounttest.WantErr(t, s.UsePasskey(t.Context(), u.UID, "no", 9), factor.ErrNoPasskey)
	got, err := s.PasskeyOf(t.Context(), []byte("1"))
	accounttest.Must(t, err)
	accounttest.Equal(t, got.SignCount, uint32(1<<32-1))
	if got.LastUsedAt.IsZero() {
		t.Error("the time of its use is not kept")
	}
}
