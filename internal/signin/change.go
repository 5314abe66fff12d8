package signin

import (
	"context"
	"errors"
	"fmt"

	"barong/internal/account"
	"barong/internal/audit"
	"barong/internal/event"
	"barong/internal/invalid"
)

// Refusals of ChangePassword.
var (
	ErrPasswordsDiffer = errors.New("signin: the new password was given in two forms")
	ErrSamePassword    = errors.New("signin: the new password is the old one")
)

const actionChange = "password change"

// A PasswordChange is the input of ChangePassword, clear.
type PasswordChange struct {
	Old, New, Confirm string
	Language          string // of the mail about it; "" for the user's own
}

// String keeps the passwords out of logs and errors.
func (PasswordChange) String() string { return "password change" }

// GoString keeps them out of %#v.
func (in PasswordChange) GoString() string { return in.String() }

// ChangePassword sets a new password of the actor's, proved by the old one, and ends every session of
// the user: the caller restamps its own with the generation returned (design D11). API keys and the
// second factor stay. Errors, in order: ErrPasswordsDiffer, account.ErrNoUser, limit.TooMany,
// ErrWrongPassword, ErrSamePassword, Invalid, account.ErrSessionEnded. Each refusal is recorded.
func (s *Service) ChangePassword(ctx context.Context, by account.Actor, in PasswordChange) (generation int64, err error) {
	if in.New != in.Confirm {
		return 0, s.refuseChange(ctx, by, ErrPasswordsDiffer, "New passwords don't match")
	}
	proved, err := s.ownPassword(ctx, by, in.Old)
	if errors.Is(err, ErrWrongPassword) {
		return 0, s.refuseChange(ctx, by, err, "Previous password is not correct")
	}
	if err != nil {
		return 0, err
	}
	if in.Old == in.New {
		return 0, s.refuseChange(ctx, by, ErrSamePassword, "New password cant be the same, as old one")
	}
	var wrong invalid.Fields
	wrong.Add("password", s.accounts.Passwords().Check(in.New)...)
	if err := wrong.Err(); err != nil {
		return 0, s.refuseChange(ctx, by, err, wrong[0].Token())
	}
	digest, err := s.accounts.Hash(queued(ctx, by.Client, "change of "+by.UID), in.New)
	if err != nil {
		return 0, fmt.Errorf("hash password: %w", err)
	}
	err = s.update(ctx, func(tx work) error {
		before, err := tx.User(ctx, by.UID)
		if err != nil {
			return err
		}
		if err := tx.Standing(ctx, by); err != nil {
			return err
		}
		if before.PasswordDigest != proved.PasswordDigest {
			return ErrWrongPassword // another was set since the old one was proved
		}
		u := before
		u.PasswordDigest = digest
		u.SessionGeneration++
		if err := tx.SaveUser(ctx, before, &u); err != nil {
			return err
		}
		generation = u.SessionGeneration
		if err := tx.Renew(ctx, by, s.now().Add(account.RenewalGrace)); err != nil {
			return err
		}
		if err := tx.Emit(ctx, event.PasswordChanged(s.notice(u, wish{in.Language, by.Language}))); err != nil {
			return err
		}
		return tx.AddActivity(ctx, by.Activity(s.now(), topicPassword, actionChange, audit.Succeed, ""))
	})
	if err != nil {
		return 0, fmt.Errorf("change password: %w", err)
	}
	return generation, nil
}

// refuseChange records a refusal and returns why.
func (s *Service) refuseChange(ctx context.Context, by account.Actor, why error, reason string) error {
	return s.refuseOwn(ctx, by, why, topicPassword, actionChange, reason)
}
