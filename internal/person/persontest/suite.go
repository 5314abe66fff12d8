// Package persontest is the test suite of every store of proofs about a person.
package persontest

import (
	"context"
	"errors"
	"sync"
	"testing"

	"barong/internal/account"
	"barong/internal/account/accounttest"
	"barong/internal/person"
)

// A Store is the store under test.
type Store interface {
	person.Tx
	Update(ctx context.Context, f func(person.Tx) error) error
}

// TestStore tests a Store; open returns an empty one, its times to the microsecond.
func TestStore(t *testing.T, open func(testing.TB) Store) {
	for name, test := range map[string]func(*testing.T, Store){
		"a round trip keeps every field":                 kycRoundTrip,
		"the newest of a user and kind is told":          kycNewest,
		"finishing sets status and time of one":          kycFinish,
		"the id is unique, the user and kind must exist": kycTaken,
		"what is not there is ErrNotFound":               kycNotFound,
		"of two that finish it one is first":             kycRace,
		"kyc: steps are kept once, by user and batch":    kycSteps,
		"profile: a round trip keeps every field":        profileRoundTrip,
		"profile: a write keeps every field":             profilePut,
		"profile: one at a time is open":                 profileOpen,
		"profile: those of everybody come by page":       profilePage,
		"phone: a round trip keeps every field":          phoneRoundTrip,
		"phone: what is not there is ErrNoPhone":         phoneNotFound,
		"phone: a code is good until it is another":      phoneCode,
		"phone: a code of a provider's is none here":     phoneForeignCode,
		"phone: a number is proved by one":               phoneProved,
		"phone: a proof that was given up is free":       phoneReleased,
		"phone: its holder has proved it, or was first":  phoneHolder,
		"phone: tries at once are never too many":        phoneTriesAtOnce,
		"phone: of those that prove it at once one wins": phoneProvedAtOnce,
		"data storage: a round trip keeps every field":   storageRoundTrip,
		"comment: a round trip keeps every field":        commentRoundTrip,
		"document: a round trip keeps every field":       documentRoundTrip,
		"document: its file is known by its name":        documentFiles,
		"document: an expired one is found until marked": documentLapses,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, open(t))
		})
	}
}

func newVerification(uid, n string) person.Verification {
	return person.Verification{
		VerificationID: "verification" + n, ApplicantID: "applicant" + n, UserUID: uid,
		Kind: person.KYCDocument, FinalStatus: person.KYCRejected,
	}
}

func kycRoundTrip(t *testing.T, s Store) {
	u := accounttest.AddUser(t, s, "1")
	want := newVerification(u.UID, "1")
	accounttest.Must(t, s.AddVerification(t.Context(), &want))
	accounttest.Recent(t, want.CreatedAt)
	accounttest.Equal(t, want.UpdatedAt, want.CreatedAt)
	got, err := s.Verification(t.Context(), "verification1")
	accounttest.Must(t, err)
	accounttest.Equal(t, got, want)

	open := newVerification(u.UID, "2")
	open.Kind, open.FinalStatus = person.KYCAddress, ""
	accounttest.Must(t, s.AddVerification(t.Context(), &open))
	got, err = s.Verification(t.Context(), "verification2")
	accounttest.Must(t, err)
	accounttest.Equal(t, got, open)
}

func kycFinish(t *testing.T, s Store) {
	u := accounttest.AddUser(t, s, "1")
	one, two := newVerification(u.UID, "1"), newVerification(u.UID, "2")
	accounttest.Must(t, s.AddVerification(t.Context(), &one))
	accounttest.Must(t, s.AddVerification(t.Context(), &two))
	accounttest.Must(t, s.FinishVerification(t.Context(), "verification1", person.KYCVerified))
	got, err := s.Verification(t.Context(), "verification1")
	accounttest.Must(t, err)
	if got.UpdatedAt.Before(one.UpdatedAt) {
		t.Errorf("updated at %v, added at %v", got.UpdatedAt, one.UpdatedAt)
	}
	one.FinalStatus, one.UpdatedAt = person.KYCVerified, got.UpdatedAt
	accounttest.Equal(t, got, one)
	got, err = s.Verification(t.Context(), "verification2")
	accounttest.Must(t, err)
	accounttest.Equal(t, got, two)
}

func kycNewest(t *testing.T, s Store) {
	u, other := accounttest.AddUser(t, s, "1"), accounttest.AddUser(t, s, "2")
	_, err := s.NewestVerification(t.Context(), u.UID, person.KYCDocument)
	accounttest.WantErr(t, err, person.ErrUnknownVerification)
	for _, n := range []string{"1", "2", "3"} {
		v := newVerification(u.UID, n)
		if n == "3" {
			v.Kind = person.KYCAddress
		}
		accounttest.Must(t, s.AddVerification(t.Context(), &v))
	}
	theirs := newVerification(other.UID, "4")
	accounttest.Must(t, s.AddVerification(t.Context(), &theirs))
	got, err := s.NewestVerification(t.Context(), u.UID, person.KYCDocument)
	accounttest.Must(t, err)
	if got.VerificationID != "verification2" {
		t.Errorf("got %s, want verification2", got.VerificationID)
	}
}

func kycTaken(t *testing.T, s Store) {
	one, two := accounttest.AddUser(t, s, "1"), accounttest.AddUser(t, s, "2")
	first := newVerification(one.UID, "1")
	accounttest.Must(t, s.AddVerification(t.Context(), &first))
	again := newVerification(two.UID, "1")
	accounttest.WantErr(t, s.AddVerification(t.Context(), &again), account.ErrTaken)
	got, err := s.Verification(t.Context(), "verification1")
	accounttest.Must(t, err)
	accounttest.Equal(t, got, first)
	nobody := newVerification("ID404", "2")
	accounttest.WantErr(t, s.AddVerification(t.Context(), &nobody), account.ErrNoUser)
	other := newVerification(one.UID, "3")
	other.Kind = "passport"
	if s.AddVerification(t.Context(), &other) == nil {
		t.Error("a kind that there is not is taken")
	}
}

func kycNotFound(t *testing.T, s Store) {
	for _, id := range []string{"", "verification1", "a\x00b", "\xff"} {
		_, err := s.Verification(t.Context(), id)
		accounttest.WantErr(t, err, person.ErrUnknownVerification)
		accounttest.Must(t, s.Update(t.Context(), func(tx person.Tx) error {
			_, err := tx.Verification(t.Context(), id)
			accounttest.WantErr(t, err, person.ErrUnknownVerification)
			return nil
		}))
	}
	accounttest.WantErr(t, s.FinishVerification(t.Context(), "verification1", "verified"), person.ErrUnknownVerification)
}

// kycRace has transactions that finish a verification unless another did.
func kycRace(t *testing.T, s Store) {
	u := accounttest.AddUser(t, s, "1")
	v := newVerification(u.UID, "1")
	v.FinalStatus = ""
	accounttest.Must(t, s.AddVerification(t.Context(), &v))
	already := errors.New("already")
	var wg sync.WaitGroup
	won := make(chan struct{}, 8)
	for range cap(won) {
		wg.Go(func() {
			err := s.Update(context.Background(), func(tx person.Tx) error {
				v, err := tx.Verification(context.Background(), "verification1")
				if err != nil {
					return err
				}
				if v.FinalStatus != "" {
					return already
				}
				return tx.FinishVerification(context.Background(), "verification1", person.KYCVerified)
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
	accounttest.Equal(t, len(won), 1)
}
