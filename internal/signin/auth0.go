package signin

import (
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"strings"
	"time"

	"barong/internal/account"
	"barong/internal/audit"
	"barong/internal/invalid"
	"barong/internal/password"
)

// Refusals of SignInAuth0 about the provider's token.
var (
	// ErrUnverifiedEmail says that it is missing, or not verified.
	ErrUnverifiedEmail = errors.New("signin: e-mail not verified by the provider")
	// ErrTokenUsed says that somebody has signed in with this token before, or that it is over.
	ErrTokenUsed = errors.New("signin: the provider's token was used before")
	// ErrOtherNonce says that it was issued for another sign-in than the page began.
	ErrOtherNonce = errors.New("signin: the provider's token has another nonce")
	// ErrBadEmail says that nobody can sign up with the address in it.
	ErrBadEmail = errors.New("signin: the provider's e-mail address is refused")
	// ErrVerificationAbsent says that the provider does not say.
	ErrVerificationAbsent = errors.New("signin: the provider does not say whether the e-mail is verified")
)

// An Auth0 is a sign-in that an identity provider vouches for: the claims of an ID token that
// the edge has verified.
type Auth0 struct {
	Email         string
	EmailVerified *bool // nil when the claim is absent
	OTPCode       string
	// Asked is the nonce with which the page asked the provider, "" for none, and Nonce that of the
	// token: they must be one, so that a token that was read elsewhere does not sign in.
	Asked, Nonce string
	// Token names the provider's token, which is good for one sign-in, and ExpiresAt says when
	// it ends.
	Token     string
	ExpiresAt time.Time
	Language  string // as in MailRequest
	Device    string // as in SignIn
	Admit     Admission
	account.Client
}

// String keeps the code out of logs and errors.
func (Auth0) String() string { return "auth0 sign-in" }

// GoString keeps it out of %#v.
func (in Auth0) GoString() string { return in.String() }

// SignInAuth0 signs in whom a provider knows by a verified address (W-I5), as SignIn does
// after the right password. Refusals, in order: ErrOtherNonce, ErrUnverifiedEmail,
// ErrVerificationAbsent, ErrBadEmail, limit.TooMany (sign-ups from the caller's
// network, sign-ins of the account), then ErrBanned and those after it of SignIn, the Admission's too, ErrTokenUsed.
//
// An address that nobody has becomes a user, active, with a password that nobody knows. For an
// account whose address nobody has proved it is the proof: see proveEmail.
func (s *Service) SignInAuth0(ctx context.Context, in Auth0) (SignedIn, error) {
	switch {
	// OpenID Connect Core §3.1.3.7, 11
	case in.Asked != "" && subtle.ConstantTimeCompare([]byte(in.Asked), []byte(in.Nonce)) != 1:
		return SignedIn{}, ErrOtherNonce
	case strings.TrimSpace(in.Email) == "":
		return SignedIn{}, ErrUnverifiedEmail
	case in.EmailVerified == nil:
		return SignedIn{}, ErrVerificationAbsent
	case !*in.EmailVerified:
		return SignedIn{}, ErrUnverifiedEmail
	}
	u, err := s.rows.UserByEmail(ctx, in.Email)
	if errors.Is(err, account.ErrNoUser) {
		return s.signUpAuth0(ctx, in)
	}
	if err != nil {
		return SignedIn{}, fmt.Errorf("load user: %w", err)
	}
	if err := s.attempts.Spend(ctx, s.byAccount(in.Email)); err != nil {
		return SignedIn{}, err
	}
	ctx = queued(ctx, in.Client, "auth0 sign-in of "+u.UID)
	proved, err := s.accounts.EmailProved(ctx, u.UID)
	if err != nil {
		return SignedIn{}, err
	}
	p := proof{user: u}
	if u.AwaitsProof() { // nobody knows whose its second factor is: the proof removes it
		p.action, err = actionLogin, nil
	} else {
		p.action, err = s.admit(ctx, u, in.OTPCode, in.Client)
	}
	if err != nil {
		return SignedIn{}, err
	}
	if err := in.Admit.admit(ctx); err != nil {
		return SignedIn{}, err
	}
	if err := s.spendToken(ctx, in); err != nil {
		return SignedIn{}, err
	}
	if !proved {
		if p.user, err = s.provedByProvider(ctx, u, in.Client); err != nil {
			return SignedIn{}, err
		}
	}
	return s.signedIn(ctx, p, in.Language, in.Device, in.Client)
}

// signUpAuth0 makes the user of a sign-in whose address nobody has, and signs in.
func (s *Service) signUpAuth0(ctx context.Context, in Auth0) (SignedIn, error) {
	if err := s.attempts.Spend(ctx, s.byNetwork(flowSignUp, in.Client)); err != nil {
		return SignedIn{}, err
	}
	if err := in.Admit.admit(ctx); err != nil {
		return SignedIn{}, err
	}
	if err := s.spendToken(ctx, in); err != nil {
		return SignedIn{}, err
	}
	var u account.User
	ctx = queued(ctx, in.Client, "sign-up of "+account.FoldEmail(in.Email))
	err := s.createUser(ctx, account.UserInput{Email: in.Email, Password: password.Generate()}, func(tx work, made account.User) (err error) {
		u, err = s.proveEmail(ctx, tx, made, true)
		return err
	})
	if bad, ok := errors.AsType[invalid.Fields](err); ok {
		return SignedIn{}, fmt.Errorf("%w: %w", ErrBadEmail, bad)
	}
	if err != nil {
		return SignedIn{}, err
	}
	p := proof{user: u, action: actionLogin}
	return s.signedIn(ctx, p, in.Language, in.Device, in.Client)
}

// spendToken remembers a provider's token until it ends, so that a reader of a log or a proxy
// cannot sign in with it again; ErrTokenUsed. It is called once all else is right: a client that
// must ask for the second factor sends its token twice.
func (s *Service) spendToken(ctx context.Context, in Auth0) error {
	left := in.ExpiresAt.Sub(s.now())
	if in.Token == "" || left <= 0 {
		return ErrTokenUsed
	}
	fresh, err := s.attempts.Once(ctx, "id token "+in.Token, left)
	if err != nil {
		return fmt.Errorf("remember id token: %w", err)
	}
	if !fresh {
		return ErrTokenUsed
	}
	return nil
}

// provedByProvider records the first proof of found's address, by the provider; proveEmail does
// the rest. The facts that admit judged must still stand: else it returns ErrBadCredentials, or
// the refusal of the state.
func (s *Service) provedByProvider(ctx context.Context, found account.User, c account.Client) (u account.User, err error) {
	err = s.update(ctx, func(tx work) error {
		u, err = tx.User(ctx, found.UID)
		if err != nil {
			return err
		}
		if u.Email != found.Email || u.OTP != found.OTP || u.AwaitsProof() != found.AwaitsProof() ||
			u.Unproved != found.Unproved {
			return ErrBadCredentials // another was faster
		}
		if _, why := stateRefusal(u.State); why != nil {
			return why
		}
		if u.Unproved {
			a := s.activity(u.UID, c, topicPassword, actionReset, audit.Succeed, "Address proved by the identity provider")
			if err := tx.AddActivity(ctx, a); err != nil {
				return err
			}
		}
		u, err = s.proveEmail(ctx, tx, u, false)
		return err
	})
	if err != nil {
		return account.User{}, fmt.Errorf("prove e-mail: %w", err)
	}
	return u, nil
}
