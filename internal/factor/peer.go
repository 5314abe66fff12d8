package factor

import (
	"context"
	"errors"
	"fmt"

	"barong/internal/account"
	"barong/internal/audit"
)

// UseFor uses up a code of a user for a peer service that wants to know that it is the user, and
// records it. Errors, in order: account.ErrServiceOnly, account.ErrNoUser also for a user that is not
// active, ErrOTPNotEnabled, then those of Use.
func (s *Service) UseFor(ctx context.Context, by account.Actor, uid, code string) error {
	if by.Service == "" {
		return account.ErrServiceOnly
	}
	u, err := s.rows.User(ctx, uid)
	if err != nil {
		return fmt.Errorf("load user: %w", err)
	}
	if u.State != account.StateActive {
		return account.ErrNoUser
	}
	if !u.OTP {
		return ErrOTPNotEnabled
	}
	a := by.PeerActivity(s.now(), "otp sign", uid)
	used := s.Use(ctx, uid, code)
	switch {
	case errors.Is(used, ErrInvalidOTP):
		a.Result = audit.Failed
	case used != nil:
		return used
	}
	if err := s.update(ctx, func(tx work) error { return tx.AddActivity(ctx, a) }); err != nil {
		return fmt.Errorf("record the use of a code: %w", err)
	}
	return used
}
