package signin

import (
	"context"
	"errors"
	"fmt"

	"barong/internal/account"
	"barong/internal/factor"
)

// A Passkey is the answer of a passkey to a challenge of a sign-in.
type Passkey struct {
	Cookie   string // factor.PasskeyCookie's value, "" for none
	Answer   []byte // PublicKeyCredential as JSON
	Language string // as in SignIn
	Device   string // as in SignIn
	Admit    Admission
	account.Client
}

// String keeps the cookie out of logs and errors.
func (Passkey) String() string { return "sign-in by passkey" }

// GoString keeps it out of %#v.
func (in Passkey) GoString() string { return in.String() }

// SignInPasskey signs in the user of a passkey, by both factors: the device has verified its user.
// Refusals, in order: limit.TooMany; factor.ErrNoPasskeys, factor.ErrNoChallenge, factor.ErrBadPasskey;
// limit.TooMany (sign-ins of the account); then ErrBanned, ErrDeleted, ErrNotActive;
// the Admission's; factor.ErrCopiedPasskey. Each takes a whole number of Config.FailureFloor. A refused challenge or
// passkey counts as a failure, for the network.
func (s *Service) SignInPasskey(ctx context.Context, in Passkey) (SignedIn, error) {
	began := s.now()
	out, err := s.signInPasskey(ctx, in)
	if err != nil {
		s.evenOut(ctx, began)
		return SignedIn{}, err
	}
	return out, nil
}

func (s *Service) signInPasskey(ctx context.Context, in Passkey) (SignedIn, error) {
	network := s.byNetwork(flowSignIn, in.Client)
	if err := s.attempts.Spend(ctx, network); err != nil {
		return SignedIn{}, err
	}
	shown, err := s.codes.ProvePasskey(ctx, in.Cookie, in.Answer)
	if errors.Is(err, factor.ErrNoChallenge) || errors.Is(err, factor.ErrBadPasskey) {
		return SignedIn{}, err
	}
	// From here on the passkey is good.
	if back := s.attempts.GiveBack(ctx, network); err != nil || back != nil {
		return SignedIn{}, errors.Join(err, back)
	}
	u, err := s.rows.User(ctx, shown.UserUID)
	if errors.Is(err, account.ErrNoUser) {
		return SignedIn{}, factor.ErrBadPasskey
	}
	if err != nil {
		return SignedIn{}, fmt.Errorf("load user: %w", err)
	}
	if err := s.attempts.Spend(ctx, s.byAccount(u.Email)); err != nil {
		return SignedIn{}, err
	}
	if reason, why := stateRefusal(u.State); why != nil {
		return SignedIn{}, s.refuseSignIn(ctx, u, in.Client, why, actionLoginPasskey, reason)
	}
	if err := in.Admit.admit(ctx); err != nil {
		return SignedIn{}, err
	}
	out, err := s.signedIn(ctx, proof{user: u, action: actionLoginPasskey, passkey: &shown}, in.Language, in.Device, in.Client)
	switch {
	case errors.Is(err, factor.ErrCopiedPasskey):
		return SignedIn{}, s.refuseSignIn(ctx, u, in.Client, err, actionLoginPasskey, "Passkey may have been copied")
	case errors.Is(err, factor.ErrNoPasskey): // deleted since
		return SignedIn{}, factor.ErrBadPasskey
	}
	return out, err
}

// BeginPasskeySignIn makes the challenge of SignInPasskey; factor.ErrNoPasskeys.
func (s *Service) BeginPasskeySignIn() (factor.Request, error) { return s.codes.PasskeyRequest() }

// BeginPasskey makes the challenge of a new passkey of the actor's, proved by the password and, when
// one-time codes are on, by one. Errors: those of ownProof, factor.ErrNoPasskeys,
// factor.ErrTooManyPasskeys.
func (s *Service) BeginPasskey(ctx context.Context, by account.Actor, password, code string) (factor.Creation, error) {
	u, err := s.ownProof(ctx, by, password, code, topicOTP, "add passkey")
	if err != nil {
		return factor.Creation{}, err
	}
	return s.codes.NewPasskey(ctx, u)
}

// DeletePasskey removes a passkey of the actor's, with the proofs of BeginPasskey, and ends all
// sessions: the caller restamps its own with the generation returned (design D11). Errors: those of
// ownProof, factor.ErrNoPasskey, account.ErrSessionEnded.
func (s *Service) DeletePasskey(ctx context.Context, by account.Actor, password, code, id string) (generation int64, err error) {
	u, err := s.ownProof(ctx, by, password, code, topicOTP, "delete passkey")
	if err != nil {
		return 0, err
	}
	return s.codes.RemovePasskey(ctx, by, u, id)
}
