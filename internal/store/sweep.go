package store

import (
	"context"
	"errors"
	"time"
)

// keepChanges is how long the change feed remembers. A replica that was away longer starts
// over (feed.ErrGap).
const keepChanges = time.Hour

// keepLimits is how long a full bucket is kept: the clocks of replicas differ.
const keepLimits = time.Minute

// Sweep removes what time has made useless at now: expired sessions, records of ended ones,
// used nonces, expired mail tokens, old change-feed rows and events given up long ago. It
// returns how many rows went; an error of one kind does not keep the others.
func (db *DB) Sweep(ctx context.Context, now time.Time) (int, error) {
	total := 0
	var errs []error
	for _, remove := range []func(context.Context, time.Time) (int, error){
		db.DeleteExpired,
		db.DeleteEnded,
		db.DeleteNonces,
		db.DeleteExpiredMailTokens,
		func(ctx context.Context, now time.Time) (int, error) {
			return db.DeleteLimits(ctx, now.Add(-keepLimits))
		},
		func(ctx context.Context, now time.Time) (int, error) {
			return db.DeleteChanges(ctx, now.Add(-keepChanges))
		},
		func(ctx context.Context, now time.Time) (int, error) {
			return db.DeleteParkedEvents(ctx, now.Add(-keepParked))
		},
	} {
		n, err := remove(ctx, now)
		total += n
		errs = append(errs, err)
	}
	return total, errors.Join(errs...)
}
