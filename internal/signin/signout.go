package signin

import (
	"context"
	"fmt"

	"barong/internal/account"
	"barong/internal/audit"
)

// RecordSignOut records that me has signed out; ending the session is package session's part.
func (s *Service) RecordSignOut(ctx context.Context, me account.Actor) error {
	a := s.activity(me.UID, me.Client, topicSession, "logout", audit.Succeed, "")
	if err := s.record(ctx, a); err != nil {
		return fmt.Errorf("record sign-out: %w", err)
	}
	return nil
}

// RecordSessionEnd records that me has ended one session of its own by name; ending it is
// package session's part.
func (s *Service) RecordSessionEnd(ctx context.Context, me account.Actor) error {
	a := s.activity(me.UID, me.Client, topicSession, "session revoke", audit.Succeed, "")
	if err := s.record(ctx, a); err != nil {
		return fmt.Errorf("record the end of a session: %w", err)
	}
	return nil
}

// SignOutEverywhere ends every session of me, by one write however many they are, and records
// it in the same transaction: the caller restamps its own with the generation returned (design
// D11). Errors: account.ErrSessionEnded when me's own has ended already; account.ErrNoUser.
func (s *Service) SignOutEverywhere(ctx context.Context, me account.Actor) (generation int64, err error) {
	err = s.update(ctx, func(tx work) error {
		if err := tx.Standing(ctx, me); err != nil {
			return err
		}
		if generation, err = tx.EndSessions(ctx, me.UID); err != nil {
			return err
		}
		return tx.AddActivity(ctx,
			s.activity(me.UID, me.Client, topicSession, "sign out everywhere", audit.Succeed, ""))
	})
	if err != nil {
		return 0, fmt.Errorf("sign out everywhere: %w", err)
	}
	return generation, nil
}
