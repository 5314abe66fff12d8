package accounttest

import (
	"context"
	"errors"
	"sync"
	"testing"

	"barong/internal/account"
)

func newVerification(uid, n string) account.Verification {
	return account.Verification{
		VerificationID: "verification" + n, ApplicantID: "applicant" + n, UserUID: uid,
		Kind: account.KYCDocument, FinalStatus: account.KYCRejected,
	}
}

func kycRoundTrip(t *testing.T, s account.Store) {
	u := addUser(t, s, "1")
	want := newVerification(u.UID, "1")
	must(t, s.AddVerification(t.Context(), &want))
	recent(t, want.CreatedAt)
	equal(t, want.UpdatedAt, want.CreatedAt)
	got, err := s.Verification(t.Context(), "verification1")
	must(t, err)
	equal(t, got, want)

	open := newVerification(u.UID, "2")
	open.Kind, open.FinalStatus = account.KYCAddress, ""
	must(t, s.AddVerification(t.Context(), &open))
	got, err = s.Verification(t.Context(), "verification2")
	must(t, err)
	equal(t, got, open)
}

func kycFinish(t *testing.T, s account.Store) {
	u := addUser(t, s, "1")
	one, two := newVerification(u.UID, "1"), newVerification(u.UID, "2")
	must(t, s.AddVerification(t.Context(), &one))
	must(t, s.AddVerification(t.Context(), &two))
	must(t, s.FinishVerification(t.Context(), "verification1", account.KYCVerified))
	got, err := s.Verification(t.Context(), "verification1")
	must(t, err)
	if got.UpdatedAt.Before(one.UpdatedAt) {
		t.Errorf("updated at %v, added at %v", got.UpdatedAt, one.UpdatedAt)
	}
	one.FinalStatus, one.UpdatedAt = account.KYCVerified, got.UpdatedAt
	equal(t, got, one)
	got, err = s.Verification(t.Context(), "verification2")
	must(t, err)
	equal(t, got, two)
}

func kycNewest(t *testing.T, s account.Store) {
	u, other := addUser(t, s, "1"), addUser(t, s, "2")
	_, err := s.NewestVerification(t.Context(), u.UID, account.KYCDocument)
	wantErr(t, err, account.ErrNotFound)
	for _, n := range []string{"1", "2", "3"} {
		v := newVerification(u.UID, n)
		if n == "3" {
			v.Kind = account.KYCAddress
		}
		must(t, s.AddVerification(t.Context(), &v))
	}
	theirs := newVerification(other.UID, "4")
	must(t, s.AddVerification(t.Context(), &theirs))
	got, err := s.NewestVerification(t.Context(), u.UID, account.KYCDocument)
	must(t, err)
	if got.VerificationID != "verification2" {
		t.Errorf("got %s, want verification2", got.VerificationID)
	}
}

func kycTaken(t *testing.T, s account.Store) {
	one, two := addUser(t, s, "1"), addUser(t, s, "2")
	first := newVerification(one.UID, "1")
	must(t, s.AddVerification(t.Context(), &first))
	again := newVerification(two.UID, "1")
	wantErr(t, s.AddVerification(t.Context(), &again), account.ErrTaken)
	got, err := s.Verification(t.Context(), "verification1")
	must(t, err)
	equal(t, got, first)
	nobody := newVerification("ID404", "2")
	wantErr(t, s.AddVerification(t.Context(), &nobody), account.ErrNotFound)
	other := newVerification(one.UID, "3")
	other.Kind = "passport"
	if s.AddVerification(t.Context(), &other) == nil {
		t.Error("a kind that there is not is taken")
	}
}

func kycNotFound(t *testing.T, s account.Store) {
	for _, id := range []string{"", "verification1", "a\x00b", "\xff"} {
		_, err := s.Verification(t.Context(), id)
		wantErr(t, err, account.ErrNotFound)
		must(t, s.Update(t.Context(), func(tx account.Tx) error {
			_, err := tx.Verification(t.Context(), id)
			wantErr(t, err, account.ErrNotFound)
			return nil
		}))
	}
	wantErr(t, s.FinishVerification(t.Context(), "verification1", "verified"), account.ErrNotFound)
}

// kycRace has transactions that finish a verification unless another did.
func kycRace(t *testing.T, s account.Store) {
	u := addUser(t, s, "1")
	v := newVerification(u.UID, "1")
	v.FinalStatus = ""
	must(t, s.AddVerification(t.Context(), &v))
	already := errors.New("already")
	var wg sync.WaitGroup
	won := make(chan struct{}, 8)
	for range cap(won) {
		wg.Go(func() {
			err := s.Update(context.Background(), func(tx account.Tx) error {
				v, err := tx.Verification(context.Background(), "verification1")
				if err != nil {
					return err
				}
				if v.FinalStatus != "" {
					return already
				}
				return tx.FinishVerification(context.Background(), "verification1", account.KYCVerified)
			})
			switch {
			case err == nil:
				won <- struct{}{}
			case !errors.Is(err, already):
				t.Error(err)
			}
		})
	}
	wg.Wait()
	equal(t, len(won), 1)
}
