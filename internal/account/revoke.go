package account

import (
	"context"
	"fmt"
	"strconv"

	"barong/internal/audit"
)

// kindOperator is the kind of actor in activities of the command line, which has no uid.
const kindOperator = "operator"

// RevokeSessions ends every session of a user for the operator, by one write however many
// they are, and returns the user's new session generation. ErrNoUser: nobody has uid;
// service accounts have no sessions.
func (s *Service) RevokeSessions(ctx context.Context, uid string) (generation int64, err error) {
	err = s.update(ctx, func(tx Writer) error {
		if generation, err = tx.EndSessions(ctx, uid); err != nil {
			return err
		}
		return tx.AddActivity(ctx, s.revoked(uid, "generation", generation))
	})
	if err != nil {
		return 0, fmt.Errorf("revoke sessions of %s: %w", uid, err)
	}
	return generation, nil
}

// RevokeAllSessions ends every session of everybody for the operator, by one write, and
// returns the new epoch.
func (s *Service) RevokeAllSessions(ctx context.Context) (epoch int64, err error) {
	err = s.update(ctx, func(tx Writer) error {
		if epoch, err = tx.EndAll(ctx); err != nil {
			return err
		}
		return tx.AddActivity(ctx, s.revoked("", "epoch", epoch))
	})
	if err != nil {
		return 0, fmt.Errorf("revoke all sessions: %w", err)
	}
	return epoch, nil
}

func (s *Service) revoked(uid, counter string, n int64) audit.Activity {
	return audit.Activity{
		ActorKind: kindOperator, TargetUID: uid, Category: audit.CategoryAdmin, Topic: "session",
		Action: "revoke", Result: audit.Succeed, Data: `{"` + counter + `":` + strconv.FormatInt(n, 10) + `}`,
		CreatedAt: s.now(),
	}
}
