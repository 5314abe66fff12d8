package signin

import (
	"context"
	"errors"
	"fmt"

	"barong/internal/account"
	"barong/internal/audit"
	"barong/internal/event"
	"barong/internal/invalid"
	"barong/internal/token"
)

// SendReset mails a link that sets a new password; the newest three of a user work. For unknown
// addresses, for accounts that may not act (W-I10), and above the limits of one account, it does
// nothing, takes as long, and shows no difference. limit.TooMany is about the caller's network
// alone.
func (s *Service) SendReset(ctx context.Context, in MailRequest) error {
	return s.atLeast(ctx, func() error {
		return s.mailOnRequest(ctx, in, purposeReset, account.MayAct, func(tx work, u account.User) error {
			if err := s.mailLink(ctx, tx, u, purposeReset, wish{in.Language, in.Client.Language}); err != nil {
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
	account.Client
}

// String keeps token and password out of logs and errors.
func (Reset) String() string { return "password reset" }

// GoString keeps them out of %#v.
func (in Reset) GoString() string { return in.String() }

// ResetPassword sets a new password, which may be the old one, by a mailed link. All other
// links of the user are void with it and all sessions end. API keys of the user and of the user's
// service accounts are switched off if Config says so: the one who reads the mail may not be their owner, who
// switches them on again with the second factor. That stays, unless this is the first proof of the
// address: see proveEmail. Refusals, in order: limit.TooMany (from the caller's network);
// *token.MailError; ErrUtilizedToken (also without the user, with another address by now, and for
// accounts that may not act); Invalid, after which the link still works.
func (s *Service) ResetPassword(ctx context.Context, in Reset) error {
	tries := s.byNetwork(flowMailToken, in.Client)
	if err := s.attempts.Spend(ctx, tries); err != nil {
		return err
	}
	c, err := s.mail.VerifyMail(in.Token, purposeReset, s.now())
	if err != nil {
		return fmt.Errorf("reset password: %w", err)
	}
	hash := mailTokenHash(c)
	if _, err := s.resettable(ctx, s.rows, c); err != nil {
		return fmt.Errorf("reset password: %w", err)
	}
	if _, err := s.rows.MailToken(ctx, hash, s.now()); errors.Is(err, ErrNoLink) {
		return ErrUtilizedToken
	} else if err != nil {
		return fmt.Errorf("reset password: %w", err)
	}
	var wrong invalid.Fields
	wrong.Add("password", s.accounts.Passwords().Check(in.Password)...)
	if err := wrong.Err(); err != nil {
		a := s.activity(c.UID, in.Client, topicPassword, actionReset, audit.Failed, wrong[0].Token())
		if failed := s.record(ctx, a); failed != nil {
			return fmt.Errorf("record refused password: %w", failed)
		}
		return err
	}
	digest, err := s.accounts.Hash(queued(ctx, in.Client, "reset of "+c.UID), in.Password)
	if err != nil {
		return fmt.Errorf("hash password: %w", err)
	}
	err = s.update(ctx, func(tx work) error {
		before, err := s.resettable(ctx, tx, c)
		if err != nil {
			return err
		}
		if err := s.useLink(ctx, tx, hash, c.UID, purposeReset); err != nil {
			return err
		}
		u := before
		u.PasswordDigest = digest
		u.SessionGeneration++
		if err := tx.SaveUser(ctx, before, &u); err != nil {
			return err
		}
		if s.cfg.StopKeysOnReset {
			stopped, err := tx.DeactivateAPIKeys(ctx, u.UID)
			if err != nil {
				return fmt.Errorf("stop api keys: %w", err)
			}
			if stopped > 0 {
				if err := tx.AddActivity(ctx, s.activity(u.UID, in.Client, topicAccount, actionStopKeys, audit.Succeed, "")); err != nil {
					return err
				}
			}
		}
		if u.Unproved {
			if u, err = s.proveEmail(ctx, tx, u, true); err != nil {
				return err
			}
		}
		if err := tx.Emit(ctx, event.PasswordReset(s.notice(u, wish{in.Language, in.Client.Language}))); err != nil {
			return err
		}
		return tx.AddActivity(ctx, s.activity(u.UID, in.Client, topicPassword, actionReset, audit.Succeed, ""))
	})
	if err != nil {
		return fmt.Errorf("reset password: %w", err)
	}
	// It is done, whatever becomes of the counts. A user tries some passwords before a reset.
	_ = s.attempts.GiveBack(ctx, tries)
	_ = s.attempts.Forget(ctx, s.bySignIn(c.Email))
	return nil
}

// resettable loads the user whom a reset link is for; ErrUtilizedToken when it is void.
func (s *Service) resettable(ctx context.Context, rows account.Reader, c token.MailClaims) (account.User, error) {
	u, err := rows.User(ctx, c.UID)
	if errors.Is(err, account.ErrNoUser) || err == nil && (u.Email != c.Email || !account.MayAct(u.State)) {
		return account.User{}, ErrUtilizedToken
	}
	if err != nil {
		return account.User{}, fmt.Errorf("load user: %w", err)
	}
	return u, nil
}
