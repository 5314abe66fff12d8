package account

import (
	"context"
	"fmt"

	"barong/internal/audit"
)

// SignedOut records that me has signed out; ending the session is package session's part.
func (s *Service) SignedOut(ctx context.Context, me Actor) error {
	a := s.activity(me.UID, me.Client, topicSession, "logout", audit.Succeed, "")
	if err := s.store.AddActivity(ctx, a); err != nil {
		return fmt.Errorf("record sign-out: %w", err)
	}
	return nil
}
