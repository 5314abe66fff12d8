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

// KYC takes the callbacks of an outside provider of identity checks. As a destination of the outbox it
// does the work that is noted there: it looks at the verifications that callbacks name, and makes the
// persons of submitted profiles known. It is safe for concurrent use.
type KYC struct {
	Persons  *Service
	Provider KYCService
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

// Send implements event.Sender. The same note may come again; it is done once.
func (k KYC) Send(ctx context.Context, i event.Item) error {
	if id, ok := event.KYCVerification(i.Event); ok {
		return k.check(ctx, id)
	}
	if id, ok := event.KYCProfile(i.Event); ok {
		return k.submit(ctx, i.UUID, i.UID, id)
	}
	if review, batch, ok := event.KYCDocuments(i.Event); ok {
		return k.submitDocuments(ctx, i.UUID, i.UID, review, batch)
	}
	return fmt.Errorf("%w: it is no note about identity checks", event.ErrPermanent)
}

// check looks at the verification that a callback has named. One that was not asked for is logged and
// done with: another try would end alike.
func (k KYC) check(ctx context.Context, id string) error {
	err := k.Persons.CheckVerification(ctx, k.Provider, id)
	if errors.Is(err, ErrUnknownVerification) {
		k.Log.WarnContext(ctx, "KYC verification is not one that was asked for, or of another applicant")
		return nil
	}
	return err
}

// submit makes the person of a profile known. A refusal rejects the profile and is logged.
func (k KYC) submit(ctx context.Context, key, uid string, id int64) error {
	err := k.Persons.SubmitProfile(ctx, k.Provider, key, uid, id)
	if errors.Is(err, ErrKYCRefused) {
		k.Log.WarnContext(ctx, "KYC provider refuses a profile", "uid", uid)
		return nil
	}
	return err
}

// submitDocuments hands a batch of documents over. A refusal rejects it and is logged.
func (k KYC) submitDocuments(ctx context.Context, key, uid, review, batch string) error {
	err := k.Persons.SubmitDocuments(ctx, k.Provider, key, uid, review, batch)
	if errors.Is(err, ErrKYCRefused) {
		k.Log.WarnContext(ctx, "KYC provider refuses documents", "uid", uid, "review", review)
		return nil
	}
	return err
}
