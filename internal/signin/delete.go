package signin

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"barong/internal/account"
	"barong/internal/audit"
	"barong/internal/factor"
)

const actionDelete = "delete account"

// DeleteAccount deletes the actor's own account, proved by the password and, when one-time codes are
// on, by one: see account.Writer.DeleteUser. Errors, in order: account.ErrNoUser, limit.TooMany,
// ErrWrongPassword, factor.ErrMissingOTP, those of factor.Service.Use; account.ErrLastSuperadmin.
func (s *Service) DeleteAccount(ctx context.Context, by account.Actor, password, code string) error {
	proved, err := s.ownPassword(ctx, by, password)
	switch {
	case errors.Is(err, ErrWrongPassword):
		return s.refuseDelete(ctx, by, err, "Invalid password")
	case err != nil:
		return err
	}
	if proved.OTP {
		if strings.TrimSpace(code) == "" {
			return factor.ErrMissingOTP
		}
		if err := s.codes.Use(ctx, by.UID, code); errors.Is(err, factor.ErrInvalidOTP) {
			return s.refuseDelete(ctx, by, err, "OTP code is invalid")
		} else if err != nil {
			return err
		}
	}
	err = s.update(ctx, func(tx work) error {
		err := tx.DeleteUser(ctx, by.UID, func(u account.User) error {
			if u.PasswordDigest != proved.PasswordDigest || u.OTP != proved.OTP {
				return ErrWrongPassword // it was proved for the account as it was
			}
			return nil
		})
		if err != nil {
			return err
		}
		return tx.AddActivity(ctx, by.Activity(s.now(), topicAccount, actionDelete, audit.Succeed, ""))
	})
	if err != nil {
		return fmt.Errorf("delete account: %w", err)
	}
	return nil
}

// refuseDelete records a refusal and returns why.
func (s *Service) refuseDelete(ctx context.Context, by account.Actor, why error, reason string) error {
	return s.refuseOwn(ctx, by, why, topicAccount, actionDelete, reason)
}
