package person

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"barong/internal/event"
)

// ErrCallback refuses a callback: no provider is configured, or the provider did not sign it.
var ErrCallback = errors.New("person: not a callback of the KYC provider")

// SignedKYCProvider is a provider that calls back; kycaid.Client is one.
type SignedKYCProvider interface {
	KYCProvider
	// VerifySignature returns nil when the provider has signed body.
	VerifySignature(body []byte, signature string) error
}

// KYC takes the callbacks of the provider of identity checks, and later, as a destination of the
// outbox, looks at the verifications that they name. It is safe for concurrent use.
type KYC struct {
	Persons  *Service
	Provider SignedKYCProvider
	Log      *slog.Logger
}

var _ event.Sender = KYC{}

// Called notes, durably, that the verification is to be looked at. It believes nothing else of
// body, which is as it was sent. A verification that was not asked for is logged and is no error,
// so that the provider does not call again. ErrCallback.
func (k KYC) Called(ctx context.Context, body []byte, signature, verificationID string) error {
	if err := k.Provider.VerifySignature(body, signature); err != nil {
		return errors.Join(ErrCallback, err)
	}
	err := k.Persons.NoteVerification(ctx, verificationID)
	if errors.Is(err, ErrUnknownVerification) {
		k.Log.WarnContext(ctx, "KYC callback about a verification that was not asked for")
		return nil
	}
	return err
}

// Send implements event.Sender: it looks at the verification that a callback has named. One that
// was not asked for is logged and done with: another try would end alike.
func (k KYC) Send(ctx context.Context, i event.Item) error {
	id, ok := event.KYCVerification(i.Event)
	if !ok {
		return fmt.Errorf("%w: it names no verification", event.ErrPermanent)
	}
	err := k.Persons.CheckVerification(ctx, k.Provider, id)
	if errors.Is(err, ErrUnknownVerification) {
		k.Log.WarnContext(ctx, "KYC verification is not one that was asked for, or of another applicant")
		return nil
	}
	return err
}
