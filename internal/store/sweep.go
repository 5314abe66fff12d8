package store

import (
	"context"
	"errors"
	"time"

	"barong/internal/session"
)

// keepChanges is how long the change feed remembers. A replica that was away longer starts
// over (feed.ErrGap).
const keepChanges = time.Hour

// late is how much longer than needed a row without effect is kept: the clock of the process that
// wrote it, or of one that still goes by it, may be behind.
const late = time.Minute

// Sweep removes the rows that are useless by the database's clock: sessions and records of ended
// ones that are over, used nonces, expired mail tokens, full buckets, old change-feed rows and
// events given up long ago. It also sums up the numbers of users. It returns how many rows went; an error of one kind does not keep the
// others. A process whose clock is wrong removes nothing.
func (db *DB) Sweep(ctx context.Context) (int, error) {
	if db.clocks.Wrong() {
		return 0, nil
	}
	now, err := db.clock(ctx)
	if err != nil {
		return 0, err
	}
	total := 0
	var errs []error
	for _, kind := range []struct {
		remove func(context.Context, time.Time) (int, error)
		keep   time.Duration
	}{
		{db.DeleteExpired, session.Afterlife + late},
		{db.DeleteEnded, late},
		{db.DeleteNonces, late},
		{db.DeleteExpiredMailTokens, late},
		{db.DeleteLimits, late},
		{db.DeleteChanges, keepChanges},
		{db.DeleteParkedEvents, keepParked},
	} {
		n, err := kind.remove(ctx, now.Add(-kind.keep))
		total += n
		errs = append(errs, err)
	}
	_, err = db.foldUserCounts(ctx)
	errs = append(errs, err)
	return total, errors.Join(errs...)
}

// deleteInParts repeats a DELETE of at most $2 rows that are below the bound $1, each in its
// own transaction, so that other writers get their turn.
func (q queries) deleteInParts(ctx context.Context, doing, text string, bound int64) (int, error) {
	total := 0
	for {
		n, err := q.run(ctx, doing, text, bound, part)
		if total += int(n); err != nil || n < part {
			return total, err
		}
	}
}

// part is how many rows one transaction deletes.
const part = 1000
