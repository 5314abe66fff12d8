package account

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"barong/internal/audit"
	"barong/internal/limit"
)

// Refusals of SignInAuth0 about what the provider says.
var (
	// ErrUnverifiedEmail says that it is missing, or not verified.
	ErrUnverifiedEmail = errors.New("account: e-mail not verified by the provider")
	// ErrTokenUsed says that somebody has signed in with this token before, or that it is over.
	ErrTokenUsed = errors.New("account: the provider's token was used before")
	// ErrVerificationAbsent says that the provider does not say.
	ErrVerificationAbsent = errors.New("account: the provider does not say whether the e-mail is verified")
)

// An Auth0 is a sign-in that an identity provider vouches for: the claims of an ID token that
// the edge has verified.
type Auth0 struct {
	Email         string
	EmailVerified *bool // nil when the claim is absent
	OTPCode       string
	// Token names the provider's token, which is good for one sign-in, and ExpiresAt says when
	// it ends.
	Token     string
	ExpiresAt time.Time
	Language  string // as in MailRequest
	Device    string // as in SignIn
	Client
}

// String keeps the code out of logs and errors.
func (Auth0) String() string { return "auth0 sign-in" }

// GoString keeps it out of %#v.
func (in Auth0) GoString() string { return in.String() }

// SignInAuth0 signs in whom a provider knows by a verified address (W-I5), as SignIn does
// after the right password. Refusals, in order: ErrUnverifiedEmail, ErrVerificationAbsent,
// Invalid (an address that cannot sign up), TooManyAttempts (sign-ups from the caller's
// network), then ErrBanned and those after it of SignIn, ErrTokenUsed.
//
// An address that nobody has becomes a user, active, with a password that nobody knows. The
// first proof of an address that another way of signing up left unproved takes the account
// over: see seize.
func (s *Service) SignInAuth0(ctx context.Context, in Auth0) (SignedIn, error) {
	switch {
	case strings.TrimSpace(in.Email) == "":
		return SignedIn{}, ErrUnverifiedEmail
	case in.EmailVerified == nil:
		return SignedIn{}, ErrVerificationAbsent
	case !*in.EmailVerified:
		return SignedIn{}, ErrUnverifiedEmail
	}
	u, err := s.store.UserByEmail(ctx, in.Email)
	if errors.Is(err, ErrNotFound) {
		return s.signUpAuth0(ctx, in)
	}
	if err != nil {
		return SignedIn{}, fmt.Errorf("load user: %w", err)
	}
	labels, err := s.store.Labels(ctx, u.UID)
	if err != nil {
		return SignedIn{}, fmt.Errorf("load labels: %w", err)
	}
	proved := emailProved(labels)
	p := proof{user: u}
	admitted := u
	if squattable(u, labels) {
		admitted.OTP = false // whose it is, nobody knows: seize removes it
	}
	if p.action, err = s.admit(ctx, admitted, in.OTPCode, in.Client); err != nil {
		return SignedIn{}, err
	}
	if err := s.spendToken(ctx, in); err != nil {
		return SignedIn{}, err
	}
	if !proved {
		if p.user, err = s.seize(ctx, u, labels, in.Client); err != nil {
			return SignedIn{}, err
		}
	}
	return s.signedIn(ctx, p, in.Language, in.Device, in.Client)
}

// signUpAuth0 makes the user of a sign-in whose address nobody has, and signs in.
func (s *Service) signUpAuth0(ctx context.Context, in Auth0) (SignedIn, error) {
	if err := s.spend(ctx, s.byNetwork(FlowSignUp, in.Client)); err != nil {
		return SignedIn{}, err
	}
	if err := s.spendToken(ctx, in); err != nil {
		return SignedIn{}, err
	}
	u, err := s.createUser(ctx, NewUser{Email: in.Email, Password: GeneratePassword()},
		func(tx Tx, u *User) (err error) {
			*u, err = s.proveEmail(ctx, tx, u.UID)
			return err
		})
	if err != nil {
		return SignedIn{}, err
	}
	p := proof{user: u, action: actionLogin}
	return s.signedIn(ctx, p, in.Language, in.Device, in.Client)
}

// spendToken remembers a provider's token until it ends, so that whoever reads one in a log or
// a proxy cannot sign in with it again; ErrTokenUsed. It is called once all else is right: a
// client that must ask for the second factor sends its token twice.
func (s *Service) spendToken(ctx context.Context, in Auth0) error {
	left := in.ExpiresAt.Sub(s.now())
	if in.Token == "" || left <= 0 {
		return ErrTokenUsed
	}
	wait, err := s.used.Take(ctx, "id token "+in.Token, limit.Rule{Burst: 1, Period: left}, s.now())
	if err != nil {
		return fmt.Errorf("remember id token: %w", err)
	}
	if wait > 0 {
		return ErrTokenUsed
	}
	return nil
}

// emailProved reports whether we have proof of the address of whose labels these are.
func emailProved(labels []Label) bool {
	return slices.ContainsFunc(labels, func(l Label) bool {
		return l.Scope == ScopePrivate && l.Key == emailLabelKey && l.Value == emailLabelVerified
	})
}

// squattable reports whether an account may be that of somebody who only typed another's
// address: a member who waits for the proof, of whom nothing else is known. Staff were given
// their role as who they are, and an account that is or was more may hold anything: a mailbox
// alone does not undo their second factor.
func squattable(u User, labels []Label) bool {
	return u.Role == RoleMember && u.State == StatePending && u.AdminState == "" &&
		!slices.ContainsFunc(labels, func(l Label) bool { return l.Scope == ScopePrivate && l.Key != otpLabelKey })
}

// seize gives the account of an unproved address to whoever has just proved it. Anybody may
// have signed up with that address before, and must not keep a way in: the password becomes a
// random one, the second factor goes if the account is squattable (else it has been shown),
// sessions end, mailed links are void, and the API keys of the user and of the user's service
// accounts are removed.
func (s *Service) seize(ctx context.Context, found User, labels []Label, c Client) (User, error) {
	digest, err := s.hasher.Hash(ctx, GeneratePassword())
	if err != nil {
		return User{}, fmt.Errorf("hash password: %w", err)
	}
	var u User
	err = s.update(ctx, func(tx Tx) error {
		before, err := tx.User(ctx, found.UID)
		if err != nil {
			return err
		}
		now, err := tx.Labels(ctx, found.UID)
		if err != nil {
			return fmt.Errorf("load labels: %w", err)
		}
		nobodys := squattable(before, now)
		if emailProved(now) || before.Email != found.Email || before.OTP != found.OTP ||
			nobodys != squattable(found, labels) {
			return ErrBadCredentials // another was faster: what was checked does not stand
		}
		if _, why := stateRefusal(before.State); why != nil {
			return why
		}
		u = before
		u.PasswordDigest = digest
		if nobodys {
			if err := s.forgetSecondFactor(ctx, tx, &u); err != nil {
				return err
			}
		}
		if err := s.saveUser(ctx, tx, before, &u); err != nil {
			return err
		}
		if err := tx.DeleteMailTokens(ctx, u.UID, ""); err != nil {
			return err
		}
		if err := s.removeKeys(ctx, tx, u.UID); err != nil {
			return err
		}
		a := s.activity(u.UID, c, topicPassword, actionReset, audit.Succeed, "Address proved by the identity provider")
		if err := tx.AddActivity(ctx, a); err != nil {
			return err
		}
		u, err = s.proveEmail(ctx, tx, u.UID)
		return err
	})
	if err != nil {
		return User{}, fmt.Errorf("take over account: %w", err)
	}
	return u, nil
}

// removeKeys deletes the API keys of a user and of the user's service accounts.
func (s *Service) removeKeys(ctx context.Context, tx Tx, uid string) error {
	holders := []string{uid}
	owned, err := tx.ServiceAccountsOf(ctx, uid)
	if err != nil {
		return fmt.Errorf("list service accounts: %w", err)
	}
	for _, a := range owned {
		holders = append(holders, a.UID)
	}
	for _, holder := range holders {
		for {
			keys, _, err := tx.APIKeys(ctx, KeyQuery{HolderUID: holder, OrderBy: "id", Limit: 100})
			if err != nil {
				return fmt.Errorf("list api keys: %w", err)
			}
			if len(keys) == 0 {
				break
			}
			for _, k := range keys {
				if err := tx.DeleteAPIKey(ctx, holder, k.Kid); err != nil {
					return fmt.Errorf("delete api key: %w", err)
				}
			}
		}
	}
	return nil
}

// forgetSecondFactor removes a user's one-time codes with their secret and label; the caller
// saves u.
func (s *Service) forgetSecondFactor(ctx context.Context, tx Tx, u *User) error {
	u.OTP = false
	err := tx.DeleteLabel(ctx, u.UID, otpLabelKey, ScopePrivate)
	if err != nil && !errors.Is(err, ErrNotFound) {
		return fmt.Errorf("remove label: %w", err)
	}
	return tx.DeleteTOTPSecret(ctx, u.UID)
}
