package account

import (
	"context"
	"errors"
	"fmt"

	"barong/internal/audit"
	"barong/internal/event"
	"barong/internal/token"
)

// Activities about passwords (identity §6.7).
const (
	topicPassword      = "password"
	actionResetRequest = "request password reset"
	actionReset        = "password reset"
)

// SendReset mails a link that sets a new password; the newest three of a user work. For unknown
// addresses, for accounts that may not act (W-I10), and above the limits of one account, it does
// nothing, takes as long, and shows no difference. TooManyAttempts is about the caller's network
// alone.
func (s *Service) SendReset(ctx context.Context, in MailRequest) error {
	return s.atLeast(ctx, func() error {
		return s.mailOnRequest(ctx, in, purposeReset, MayAct, func(tx Tx, u User) error {
			if err := s.mailLink(ctx, tx, u, purposeReset, in.wish(in.Language)); err != nil {
				return err
			}
			a := s.activity(u.UID, in.Client, topicPassword, actionResetRequest, audit.Succeed, "")
			return tx.AddActivity(ctx, a)
		})
	})
}

// A Reset is the request for a new password, with its proof.
type Reset struct {
	Token    string
	Password string // the new one, clear
	Language string // as in MailRequest
	Client
}

// String keeps token and password out of logs and errors.
func (Reset) String() string { return "password reset" }

// GoString keeps them out of %#v.
func (in Reset) GoString() string { return in.String() }

// ResetPassword sets a new password, which may be the old one, by a mailed link. All other
// links of the user are void with it and all sessions end; API keys and the second factor
// stay, unless this is the first proof of the address: see proveEmail. Refusals, in order: TooManyAttempts (from the caller's network); *token.MailError;
// ErrUtilizedToken (also without the user, with
// another address by now, and for accounts that may not act); Invalid, after which the link
// still works.
func (s *Service) ResetPassword(ctx context.Context, in Reset) error {
	tries := s.byNetwork(flowMailToken, in.Client)
	if err := s.spend(ctx, tries); err != nil {
		return err
	}
	c, err := s.cfg.Mail.VerifyMail(in.Token, purposeReset, s.now())
	if err != nil {
		return fmt.Errorf("reset password: %w", err)
	}
	hash := mailTokenHash(c)
	if _, err := s.resettable(ctx, s.store, c); err != nil {
		return fmt.Errorf("reset password: %w", err)
	}
	if _, err := s.store.MailToken(ctx, hash, s.now()); errors.Is(err, ErrNotFound) {
		return ErrUtilizedToken
	} else if err != nil {
		return fmt.Errorf("reset password: %w", err)
	}
	var wrong problems
	wrong.add("password", s.cfg.Passwords.Check(in.Password)...)
	if err := wrong.err(); err != nil {
		a := s.activity(c.UID, in.Client, topicPassword, actionReset, audit.Failed, wrong[0].String())
		if failed := s.store.AddActivity(ctx, a); failed != nil {
			return fmt.Errorf("record refused password: %w", failed)
		}
		return err
	}
	digest, err := s.hasher.Hash(queued(ctx, in.Client, "reset of "+c.UID), in.Password)
	if err != nil {
		return fmt.Errorf("hash password: %w", err)
	}
	err = s.update(ctx, func(tx Tx) error {
		before, err := s.resettable(ctx, tx, c)
		if err != nil {
			return err
		}
		fresh, err := tx.UseMailToken(ctx, hash, s.now())
		if err != nil {
			return err
		}
		if !fresh {
			return ErrUtilizedToken
		}
		if err := tx.DeleteMailTokens(ctx, c.UID, purposeReset); err != nil {
			return err
		}
		u := before
		u.PasswordDigest = digest
		u.SessionGeneration++
		if err := s.saveUser(ctx, tx, before, &u); err != nil {
			return err
		}
		if u.Unproved {
			if u, err = s.proveEmail(ctx, tx, u, true); err != nil {
				return err
			}
		}
		if err := tx.Emit(ctx, event.PasswordReset(s.notice(u, in.wish(in.Language)))); err != nil {
			return err
		}
		return tx.AddActivity(ctx, s.activity(u.UID, in.Client, topicPassword, actionReset, audit.Succeed, ""))
	})
	if err != nil {
		return fmt.Errorf("reset password: %w", err)
	}
	// It is done, whatever becomes of the counts. A user tries some passwords before a reset.
	_ = s.giveBack(ctx, tries)
	_ = s.forget(ctx, s.bySignIn(c.Email))
	return nil
}

// resettable loads the user whom a reset link is for; ErrUtilizedToken when it is void.
func (s *Service) resettable(ctx context.Context, tx Tx, c token.MailClaims) (User, error) {
	u, err := tx.User(ctx, c.UID)
	if errors.Is(err, ErrNotFound) || err == nil && (u.Email != c.Email || !MayAct(u.State)) {
		return User{}, ErrUtilizedToken
	}
	if err != nil {
		return User{}, fmt.Errorf("load user: %w", err)
	}
	return u, nil
}
