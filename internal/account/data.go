package account

import (
	"context"
	"fmt"

	"barong/internal/audit"
	"barong/internal/invalid"
)

// SetData puts text in place of the actor's own data, a JSON object of at most 1024 characters that
// belongs to the client. Errors: ErrNoUser, Invalid.
func (s *Service) SetData(ctx context.Context, by Actor, text string) (User, error) {
	var wrong invalid.Fields
	wrong.Add("data", dataProblems(text)...)
	if err := wrong.Err(); err != nil {
		return User{}, err
	}
	var u User
	err := s.update(ctx, func(tx Writer) error {
		before, err := tx.User(ctx, by.UID)
		if err != nil {
			return err
		}
		u = before
		u.Data = &text
		if err := tx.SaveUser(ctx, before, &u); err != nil {
			return err
		}
		return tx.AddActivity(ctx, by.Activity(s.now(), "account", "data update", audit.Succeed, ""))
	})
	if err != nil {
		return User{}, fmt.Errorf("set data: %w", err)
	}
	return u, nil
}
