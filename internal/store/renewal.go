package store

import (
	"context"
	"fmt"

	"barong/internal/account"
	"barong/internal/feed"
)

// SessionStands implements account.Tx.
func (q queries) SessionStands(ctx context.Context, uid string, s account.SessionMark) (bool, error) {
	if err := q.lock(ctx, lockUser(uid)); err != nil {
		return false, fmt.Errorf("look at session: %w", err)
	}
	return q.has(ctx, "look at session", `
		SELECT 1 FROM users u, session_epoch e
		WHERE u.uid = $1 AND u.session_generation = $2 AND e.id = 1 AND e.epoch = $3
		  AND NOT EXISTS (SELECT 1 FROM ended_sessions d WHERE d.id = $4)`,
		uid, s.Generation, s.Epoch, s.ID[:])
}

// RenewSession implements account.Tx.
func (q queries) RenewSession(ctx context.Context, uid string, r account.Renewal) error {
	return q.write(ctx, "renew session", func(t *txn) error {
		err := t.change(ctx, account.ErrNoUser, `
			UPDATE users
			SET renewed_from = $1, renewed_to = $2, renewed_until = $3, renewed_generation = session_generation
			WHERE uid = $4`, r.From[:], r.To[:], r.Until.UnixMicro(), uid)
		if err == nil {
			t.changed(feed.Principal, uid)
		}
		return err
	})
}

// renewalColumns are read by scanRenewal: null unless the generation is the renewal's.
const renewalColumns = `
	CASE WHEN renewed_generation = session_generation THEN renewed_from END,
	CASE WHEN renewed_generation = session_generation THEN renewed_to END,
	CASE WHEN renewed_generation = session_generation THEN renewed_until END`

// A renewalRow is a row of renewalColumns.
type renewalRow struct {
	from, to []byte
	r        account.Renewal
}

func (row *renewalRow) dest() []any { return []any{&row.from, &row.to, at(&row.r.Until)} }

// renewal is nil without one.
func (row *renewalRow) renewal() *account.Renewal {
	if len(row.from) != len(row.r.From) || len(row.to) != len(row.r.To) {
		return nil
	}
	r := row.r
	copy(r.From[:], row.from)
	copy(r.To[:], row.to)
	return &r
}
