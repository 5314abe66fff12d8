package person

import (
	"context"
	"errors"
	"fmt"
	"time"

	"barong/internal/account"
	"barong/internal/event"
)

// ErrUnknownVerification says that an outside verification is not one that we asked for: its
// id is unknown to us or to the provider, or it is about another applicant. Trying again
// changes nothing.
var ErrUnknownVerification = fmt.Errorf("person: verification that was asked for: %w", account.ErrNotFound)

// Subjects of a verification; each is the key of the private label that the verification
// decides.
const (
	KYCDocument = "document"
	KYCAddress  = "address"
)

// Values of the labels that verifications decide, and final statuses.
const (
	KYCVerified = "verified"
	KYCRejected = "rejected"
)

const (
	kycFacial    = "facial"    // the result about the face beside the document
	kycCompleted = "completed" // the one status of the provider's that has results
)

// A Verification is one that the KYC provider was asked for.
type Verification struct {
	VerificationID string // the provider's
	ApplicantID    string // the provider's name for the user
	UserUID        string
	Kind           string // KYCDocument or KYCAddress
	// FinalStatus is KYCVerified or KYCRejected; "" as long as there is no result.
	FinalStatus string
	CreatedAt   time.Time
	UpdatedAt   time.Time
}

// verificationReader is the part of Reader about verifications.
type verificationReader interface {
	// Verification loads one by the provider's id; ErrUnknownVerification. In a transaction it makes
	// others that load it, or write rows of its user, wait.
	Verification(ctx context.Context, id string) (Verification, error)
}

// verifications is the part of Tx about verifications.
type verifications interface {
	verificationReader
	// AddVerification inserts v and fills its times. account.ErrNoUser without the user, ErrTaken
	// for the verification's id.
	AddVerification(ctx context.Context, v *Verification) error
	// NewestVerification loads the one of a user and kind that was asked for last;
	// ErrUnknownVerification.
	NewestVerification(ctx context.Context, uid, kind string) (Verification, error)
	// FinishVerification sets the final status; ErrUnknownVerification.
	FinishVerification(ctx context.Context, id, status string) error
}

// A KYCResult is a verification as the provider reports it when asked.
type KYCResult struct {
	VerificationID string
	ApplicantID    string
	// Status is the provider's: results count when it is "completed" only.
	Status string
	// Verified has the results by their names (document, facial, address, …): true when the
	// provider verified it.
	Verified map[string]bool
}

// KYCProvider is asked for verifications; kycaid.Client is one.
type KYCProvider interface {
	// Verification fetches one by the provider's id; ErrUnknownVerification when there is
	// none. Every other error is an outage: it is worth another try.
	Verification(ctx context.Context, id string) (KYCResult, error)
}

// NoteVerification notes, durably, that the provider has called back about a verification:
// CheckVerification is to look at it. ErrUnknownVerification.
func (s *Service) NoteVerification(ctx context.Context, id string) error {
	err := s.update(ctx, func(tx work) error {
		v, err := tx.Verification(ctx, id)
		if err != nil {
			return err
		}
		return tx.Emit(ctx, event.KYCCalled(v.UserUID, id))
	})
	if err != nil {
		return fmt.Errorf("note verification: %w", err)
	}
	return nil
}

// CheckVerification answers a callback of the provider's: it fetches the verification, whatever
// the callback said about it, and applies it. It may be repeated.
//
// ErrUnknownVerification is final; an id that is not ours is never sent to the provider. Any
// other error is worth another try.
func (s *Service) CheckVerification(ctx context.Context, p KYCProvider, id string) error {
	if _, err := s.rows.Verification(ctx, id); err != nil {
		return fmt.Errorf("check verification: %w", err)
	}
	r, err := p.Verification(ctx, id)
	if err != nil {
		return fmt.Errorf("check verification: %w", err)
	}
	if r.VerificationID != id {
		return fmt.Errorf("check verification: the provider answers with another: %w", ErrUnknownVerification)
	}
	return s.ApplyVerification(ctx, r)
}

// ApplyVerification sets the private label that a completed verification decides, document or
// address, to verified or rejected, and recomputes the user's level and state. A document is
// verified when the face is, too; a missing result about the face is not. A user without such a
// label gets none, and a result that is not named decides nothing.
//
// A verification that was followed by another of its kind decides nothing any more. The same
// final status again changes nothing, also when the label was changed since by somebody else; a
// provider may change its mind. ErrUnknownVerification when it is not one that was asked for,
// for this applicant.
func (s *Service) ApplyVerification(ctx context.Context, r KYCResult) error {
	err := s.update(ctx, func(tx work) error {
		v, err := tx.Verification(ctx, r.VerificationID)
		if err != nil {
			return err
		}
		if r.ApplicantID != v.ApplicantID {
			return ErrUnknownVerification
		}
		status := r.finalStatus(v.Kind)
		if status == "" || status == v.FinalStatus {
			return nil
		}
		if err := tx.FinishVerification(ctx, v.VerificationID, status); err != nil {
			return err
		}
		newest, err := tx.NewestVerification(ctx, v.UserUID, v.Kind)
		if err != nil || newest.VerificationID != v.VerificationID {
			return err
		}
		l, err := tx.Label(ctx, v.UserUID, v.Kind, account.ScopePrivate)
		if errors.Is(err, account.ErrNoLabel) || err == nil && l.Value == status {
			return nil
		}
		if err != nil {
			return err
		}
		l.Value = status
		if err := tx.PutLabel(ctx, &l); err != nil {
			return err
		}
		return tx.LabelChanged(ctx, l.UserUID, l.Scope)
	})
	if err != nil {
		return fmt.Errorf("apply verification: %w", err)
	}
	return nil
}

// finalStatus is how the kind ended, "" when it has not or is not named.
func (r KYCResult) finalStatus(kind string) string {
	verified, named := r.Verified[kind]
	switch {
	case r.Status != kycCompleted || !named:
		return ""
	case !verified, kind == KYCDocument && !r.Verified[kycFacial]:
		return KYCRejected
	}
	return KYCVerified
}
