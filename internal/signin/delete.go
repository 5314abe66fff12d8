package signin

import (
	"context"
	"fmt"

	"barong/internal/account"
	"barong/internal/audit"
)

const actionDelete = "delete account"

// DeleteAccount deletes the actor's own account, proved by the password and, when one-time codes are
// on, by one: see account.Writer.DeleteUser. Errors: those of ownProof; account.ErrLastSuperadmin.
func (s *Service) DeleteAccount(ctx context.Context, by account.Actor, password, code string) error {
	proved, err := s.ownProof(ctx, by, password, code, topicAccount, actionDelete)
	if err != nil {
		return err
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
