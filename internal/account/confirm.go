package account

import (
	"context"
	"errors"
	"fmt"

	"barong/internal/event"
)

// Refusals of mailed links whose token is good.
var (
	// ErrActiveOrUnknown says that there is nothing to confirm: no such user, or one that is
	// not pending, or whose address is another by now (W-I12).
	ErrActiveOrUnknown = errors.New("account: already active or unknown")
	// ErrUtilizedToken says that the link was used, or is void for another reason.
	ErrUtilizedToken = errors.New("account: mailed link used before")
)

// The label of a proved e-mail address (identity §6.3).
const (
	emailLabelKey      = "email"
	emailLabelVerified = "verified"
)

// SendConfirmation mails another confirmation link to a pending user; earlier ones go on
// working. For anybody else, and above the limits of one account, it does nothing, takes as
// long, and tells no difference. TooManyAttempts is about the caller's network alone.
func (s *Service) SendConfirmation(ctx context.Context, in MailRequest) error {
	return s.atLeast(ctx, func() error {
		return s.mailOnRequest(ctx, in, purposeConfirmation, func(tx Tx, u User) error {
			if u.State != StatePending {
				return nil
			}
			return s.mailLink(ctx, tx, u, purposeConfirmation, in.wish(in.Language))
		})
	})
}

// A Confirmation is what somebody presents to prove an e-mail address.
type Confirmation struct {
	Token    string
	Language string // as in MailRequest
	Client
}

// String keeps the token out of logs and errors.
func (Confirmation) String() string { return "confirmation" }

// GoString keeps it out of %#v.
func (in Confirmation) GoString() string { return in.String() }

// ConfirmEmail proves the address of a pending user by a mailed link: the private label is
// set, level and state follow, and all sessions of the user end. The caller may open one for
// u when session is true; it is false for whom a second factor protects, since a mailbox is
// not two factors, and for whom the state forbids it. Refusals, in order: TooManyAttempts (from
// the caller's network), *token.MailError, ErrActiveOrUnknown, ErrUtilizedToken.
func (s *Service) ConfirmEmail(ctx context.Context, in Confirmation) (u User, session bool, err error) {
	tries := s.byNetwork(FlowMailToken, in.Client)
	if err := s.spend(ctx, tries); err != nil {
		return User{}, false, err
	}
	c, err := s.cfg.Mail.VerifyMail(in.Token, purposeConfirmation, s.now())
	if err != nil {
		return User{}, false, fmt.Errorf("confirm e-mail: %w", err)
	}
	err = s.update(ctx, func(tx Tx) error {
		u, err = tx.User(ctx, c.UID)
		if errors.Is(err, ErrNotFound) || err == nil && (u.Email != c.Email || u.State != StatePending) {
			return ErrActiveOrUnknown
		}
		if err != nil {
			return err
		}
		fresh, err := tx.UseMailToken(ctx, mailTokenHash(c), s.now())
		if err != nil {
			return err
		}
		if !fresh {
			return ErrUtilizedToken
		}
		if err := tx.DeleteMailTokens(ctx, u.UID, purposeConfirmation); err != nil {
			return err
		}
		if u, err = s.proveEmail(ctx, tx, u.UID); err != nil {
			return err
		}
		return tx.Emit(ctx, event.EmailConfirmed(s.notice(u, in.wish(in.Language))))
	})
	if err != nil {
		return User{}, false, fmt.Errorf("confirm e-mail: %w", err)
	}
	_ = s.giveBack(ctx, tries) // it is done, whatever becomes of the count
	return u, MayAct(u.State) && !u.OTP, nil
}

// proveEmail sets the label of a proved address, ends every session of the user, and
// returns the user after what follows. Whoever signed up with another's address is out of it.
func (s *Service) proveEmail(ctx context.Context, tx Tx, uid string) (User, error) {
	l := Label{UserUID: uid, Key: emailLabelKey, Value: emailLabelVerified, Scope: ScopePrivate}
	held, err := tx.Label(ctx, uid, l.Key, l.Scope)
	if err != nil && !errors.Is(err, ErrNotFound) {
		return User{}, fmt.Errorf("load label: %w", err)
	}
	l.Description = held.Description
	if err := tx.PutLabel(ctx, &l); err != nil {
		return User{}, fmt.Errorf("set label: %w", err)
	}
	if _, err := s.recompute(ctx, tx, uid); err != nil {
		return User{}, err
	}
	if _, err := tx.EndSessions(ctx, uid); err != nil {
		return User{}, fmt.Errorf("end sessions: %w", err)
	}
	return tx.User(ctx, uid)
}
