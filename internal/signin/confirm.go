package signin

import (
	"context"
	"errors"
	"fmt"

	"barong/internal/account"
	"barong/internal/audit"
	"barong/internal/event"
	"barong/internal/token"
)

// Refusals of mailed links whose token is good.
var (
	// ErrActiveOrUnknown says that there is nothing to confirm: no such user, or one that is
	// not pending, or whose address is another by now (W-I12).
	ErrActiveOrUnknown = errors.New("signin: already active or unknown")
	// ErrUtilizedToken says that the link was used, or is void for another reason.
	ErrUtilizedToken = errors.New("signin: mailed link used before")
)

// SendConfirmation mails another confirmation link to a pending user; earlier ones go on
// working. For anybody else, and above the limits of one account, it does nothing, takes as
// long, and shows no difference. limit.TooMany is about the caller's network alone.
func (s *Service) SendConfirmation(ctx context.Context, in MailRequest) error {
	return s.atLeast(ctx, func() error {
		pending := func(state string) bool { return state == account.StatePending }
		return s.mailOnRequest(ctx, in, purposeConfirmation, pending, func(tx work, u account.User) error {
			return s.mailLink(ctx, tx, u, purposeConfirmation, wish{in.Language, in.Client.Language})
		})
	})
}

// A Confirmation is the proof of an e-mail address that a caller presents.
type Confirmation struct {
	Token    string
	Password string // of the sign-up, "" when it is not given
	Language string // as in MailRequest
	Device   string // as in SignIn
	Admit    Admission
	account.Client
}

// String keeps token and password out of logs and errors.
func (Confirmation) String() string { return "confirmation" }

// GoString keeps them out of %#v.
func (in Confirmation) GoString() string { return in.String() }

// ConfirmEmail proves the address of a pending user by a mailed link; proveEmail does the rest.
// The password of the sign-up stays for a caller that gives it, or comes with a browser that
// knows it: the sign-up's, or one that has signed in since. Anybody else may be the owner of an
// address with which a stranger signed up, so that the password goes, and a link that sets
// another is mailed.
//
// The caller may open a session for u when session is true; it is false for whom a second factor
// protects, since a mailbox is not two factors, and for whom the state forbids it. Refusals, in
// order: limit.TooMany (from the caller's network), *token.MailError, ErrActiveOrUnknown,
// ErrUtilizedToken; then the hasher's, when a password is given; the Admission's.
func (s *Service) ConfirmEmail(ctx context.Context, in Confirmation) (u account.User, session bool, err error) {
	tries := s.byNetwork(flowMailToken, in.Client)
	if err := s.attempts.Spend(ctx, tries); err != nil {
		return account.User{}, false, err
	}
	c, err := s.mail.VerifyMail(in.Token, purposeConfirmation, s.now())
	if err != nil {
		return account.User{}, false, fmt.Errorf("confirm e-mail: %w", err)
	}
	given, err := s.givenPassword(ctx, c, in.Password, in.Client)
	if err != nil {
		return account.User{}, false, fmt.Errorf("confirm e-mail: %w", err)
	}
	if err := in.Admit.admit(ctx); err != nil {
		return account.User{}, false, err
	}
	var passkeys bool
	err = s.update(ctx, func(tx work) error {
		u, err = confirmable(ctx, tx, c)
		if err != nil {
			return err
		}
		if err := s.useLink(ctx, tx, mailTokenHash(c), u.UID, purposeConfirmation); err != nil {
			return err
		}
		_, known := s.devices.Known(in.Device, deviceName(u), s.now())
		known = known || given != "" && given == u.PasswordDigest
		lost := u.Unproved && !known
		if u, err = s.proveEmail(ctx, tx, u, known); err != nil {
			return err
		}
		held, err := tx.Passkeys(ctx, u.UID)
		if err != nil {
			return err
		}
		passkeys = len(held) > 0
		if err := tx.Emit(ctx, event.EmailConfirmed(s.notice(u, wish{in.Language, in.Client.Language}))); err != nil || !lost {
			return err
		}
		a := s.activity(u.UID, in.Client, topicPassword, actionReset, audit.Succeed,
			"Address proved in another browser than the sign-up's")
		if err := tx.AddActivity(ctx, a); err != nil {
			return err
		}
		return s.mailLink(ctx, tx, u, purposeReset, wish{in.Language, in.Client.Language})
	})
	if err != nil {
		return account.User{}, false, fmt.Errorf("confirm e-mail: %w", err)
	}
	_ = s.attempts.GiveBack(ctx, tries) // it is done, whatever becomes of the count
	return u, account.MayAct(u.State) && !u.OTP && !passkeys, nil
}

// confirmable loads the user whom a confirmation link is for; ErrActiveOrUnknown.
func confirmable(ctx context.Context, rows account.Reader, c token.MailClaims) (account.User, error) {
	u, err := rows.User(ctx, c.UID)
	if errors.Is(err, account.ErrNoUser) || err == nil && (u.Email != c.Email || u.State != account.StatePending) {
		return account.User{}, ErrActiveOrUnknown
	}
	if err != nil {
		return account.User{}, fmt.Errorf("load user: %w", err)
	}
	return u, nil
}

// givenPassword returns the digest that password is that of, "" when it is the user's not, or
// none was given. It hashes for links that still work only: ErrActiveOrUnknown, ErrUtilizedToken.
func (s *Service) givenPassword(
	ctx context.Context, c token.MailClaims, password string, client account.Client,
) (digest string, err error) {
	if password == "" {
		return "", nil
	}
	u, err := confirmable(ctx, s.rows, c)
	if err != nil {
		return "", err
	}
	if _, err := s.rows.MailToken(ctx, mailTokenHash(c), s.now()); errors.Is(err, ErrNoLink) {
		return "", ErrUtilizedToken
	} else if err != nil {
		return "", err
	}
	ok, _, err := s.accounts.Match(queued(ctx, client, "confirmation of "+u.UID), u.PasswordDigest, password)
	if err != nil || !ok {
		return "", err
	}
	return u.PasswordDigest, nil
}
