package account

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"barong/internal/audit"
)

// ErrOperatorOnly says that the operator's commands alone may do this.
var ErrOperatorOnly = errors.New("account: for the operator alone")

// RevokeSessions ends every session of a user, by one write however many they are, and returns
// the user's new session generation. The operator ends anybody's, staff those of a lower rank. Errors,
// in order: those of Writer.MayChange; ErrNoUser: nobody has uid; service accounts have no sessions.
func (s *Service) RevokeSessions(ctx context.Context, by Actor, uid string) (generation int64, err error) {
	err = s.update(ctx, func(tx Writer) error {
		if err := tx.MayChange(ctx, by, uid); err != nil {
			return err
		}
		if generation, err = tx.EndSessions(ctx, uid); err != nil {
			return err
		}
		return tx.AddActivity(ctx, s.revoked(by, uid, "generation", generation))
	})
	if err != nil {
		return 0, fmt.Errorf("revoke sessions of %s: %w", uid, err)
	}
	return generation, nil
}

// RevokeAllSessions ends every session of everybody, by one write, and returns the new epoch.
// ErrOperatorOnly; Asked and ErrTooManyRequests where that needs a second member of the staff.
func (s *Service) RevokeAllSessions(ctx context.Context, by Actor) (epoch int64, err error) {
	if by.Operator == "" {
		return 0, ErrOperatorOnly
	}
	err = Asking(ctx, s.update, func(tx Writer) error {
		if s.cfg.FourEyes.Needs(ActionRevokeAll) {
			return tx.Ask(ctx, by, Request{Action: ActionRevokeAll})
		}
		epoch, err = tx.revokeAll(ctx, by)
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("revoke all sessions: %w", err)
	}
	return epoch, nil
}

// revokeAll ends every session of everybody, with its activity.
func (w Writer) revokeAll(ctx context.Context, by Actor) (epoch int64, err error) {
	if epoch, err = w.EndAll(ctx); err != nil {
		return 0, err
	}
	return epoch, w.AddActivity(ctx, w.service.revoked(by, "", "epoch", epoch))
}

func (s *Service) revoked(by Actor, uid, counter string, n int64) audit.Activity {
	a := by.Activity(s.now(), "session", "revoke", audit.Succeed, "")
	a.Category, a.TargetUID, a.Data = audit.CategoryAdmin, uid, `{"`+counter+`":`+strconv.FormatInt(n, 10)+`}`
	return a
}
