package store

import (
	"context"
	"time"

	"barong/internal/event"
	"barong/internal/notify"
)

var _ notify.Outbox = (*DB)(nil)

// EmitOnce implements notify.Outbox. It keeps the ids that were seen among the nonces; no API key
// has the name of a source.
func (db *DB) EmitOnce(ctx context.Context, source, id string, until time.Time, e event.Event) (fresh bool, err error) {
	err = db.write(ctx, "emit once", func(t *txn) error {
		q := queries{db: db, tx: t}
		if fresh, err = q.UseNonce(ctx, source, id, until); err != nil || !fresh {
			return err
		}
		return q.Emit(ctx, e)
	})
	return fresh && err == nil, err
}
