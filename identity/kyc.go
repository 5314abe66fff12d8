package identity

import (
	"context"

	"barong/internal/limit"
	"barong/internal/person"
	"barong/internal/rest"
)

// KYC takes the callbacks of the provider of identity checks; person.KYC is one.
type KYC interface {
	// Called notes, durably, that a verification is to be looked at: body as it was sent and
	// the signature over it. It believes nothing else of the body than which verification is
	// meant. person.ErrCallback.
	Called(ctx context.Context, body []byte, signature, verificationID string) error
}

type kycCallback struct {
	Body         rest.Raw     `name:"body"`
	Signature    string       `name:"X-Data-Integrity" in:"header" doc:"Signature of the body, hex."`
	Verification rest.Lenient `name:"verification_id"`
}

func (a *API) kyc(g rest.Group[visitor]) {
	rest.Add(g, rest.Op{
		Method: "POST", Path: "/kyc", Status: 200, Cost: limit.Callback, Summary: "Where the KYC provider calls back.",
		Errors: rest.OnStatus(person.ErrCallback, 422),
	}, a.kycCalled)
}

func (a *API) kycCalled(ctx context.Context, _ visitor, in kycCallback) (rest.None, error) {
	if a.KYC == nil {
		return rest.None{}, person.ErrCallback
	}
	return rest.None{}, a.KYC.Called(ctx, in.Body, in.Signature, string(in.Verification))
}
