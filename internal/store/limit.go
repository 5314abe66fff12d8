package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"barong/internal/limit"
)

// Take implements limit.Store.
func (q queries) Take(ctx context.Context, key string, r limit.Rule, now time.Time) (time.Duration, error) {
	if !r.Passes() {
		return r.Wait(), nil
	}
	step, room := r.Micros()
	h, t := limit.HashOf(key), now.UnixMicro()
	// A read refuses a caller that must wait: in a flood those are nearly all, and a
	// transaction for each would keep the writer from everybody else.
	var wait, full int64
	err := q.read().QueryRowContext(ctx, `SELECT full_at FROM limits WHERE hash = $1`, h[:]).Scan(&full)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return 0, fmt.Errorf("look at limit: %w", err)
	}
	if _, wait = limit.Spend(full, t, 1, step, room); wait > 0 {
		return time.Duration(wait) * time.Microsecond, nil
	}
	err = q.write(ctx, "take from limit", func(tx *txn) error {
		wait = 0
		// limit.Spend as one statement: of calls at once each sees the row of the one before.
		err := tx.QueryRowContext(ctx, `
			INSERT INTO limits (hash, full_at) VALUES ($1, $3)
			ON CONFLICT (hash) DO UPDATE
			SET full_at = CASE WHEN limits.full_at > $2 THEN limits.full_at + $4 ELSE $3 END
			WHERE limits.full_at <= $5
			RETURNING full_at`, h[:], t, t+step, step, t+room-step).Scan(&full)
		if !errors.Is(err, sql.ErrNoRows) {
			return err
		}
		// Refused. The row is locked or the writer alone, so it is as it was.
		err = tx.QueryRowContext(ctx, `SELECT full_at FROM limits WHERE hash = $1`, h[:]).Scan(&full)
		if err != nil {
			return err
		}
		_, wait = limit.Spend(full, t, 1, step, room)
		return nil
	})
	return time.Duration(wait) * time.Microsecond, err
}

// Return implements limit.Store.
func (q queries) Return(ctx context.Context, key string, r limit.Rule, now time.Time) error {
	if !r.Passes() {
		return nil
	}
	step, room := r.Micros()
	h, t := limit.HashOf(key), now.UnixMicro()
	return q.write(ctx, "give back to limit", func(tx *txn) error {
		return tx.exec(ctx, `
			UPDATE limits SET full_at = CASE WHEN full_at < $3 THEN full_at - $4 ELSE $5 END
			WHERE hash = $1 AND full_at > $2`, h[:], t, t+room, step, t+room-step)
	})
}

// Clear implements limit.Store.
func (q queries) Clear(ctx context.Context, key string) error {
	h := limit.HashOf(key)
	_, err := q.run(ctx, "clear limit", `DELETE FROM limits WHERE hash = $1`, h[:])
	return err
}

// DeleteLimits forgets the buckets that were full before t, and returns how many.
func (q queries) DeleteLimits(ctx context.Context, t time.Time) (int, error) {
	return q.deleteInParts(ctx, "delete limits", `
		DELETE FROM limits WHERE hash IN (SELECT hash FROM limits WHERE full_at < $1 LIMIT $2)`, t.UnixMicro())
}
