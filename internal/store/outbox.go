package store

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"barong/internal/account"
	"barong/internal/event"
)

const outboxTable, outboxPayload = "outbox", "payload" // sealing binds to them

// keepParked is how long an event that could not be delivered stays to be looked at.
const keepParked = 7 * 24 * time.Hour

// WithDestinations sets the destinations of an event: Emit writes one row for each name that
// wanted returns. It must always answer the same. Default: nobody wants any.
func WithDestinations(wanted func(event.Event) []string) Option {
	return func(s *settings) { s.destinations = wanted }
}

// sealedEvent is the payload column: all of the event, so that a changed name, user or
// destination beside it is noticed.
type sealedEvent struct {
	Destination string          `json:"destination"`
	Name        string          `json:"name"`
	UID         string          `json:"uid"`
	Language    string          `json:"language,omitempty"`
	Record      json.RawMessage `json:"record"`
	Changes     json.RawMessage `json:"changes,omitempty"`
}

// Emit implements account.Tx. It locks the user first, so that ids of one user are in the
// order of commits. The sender sends it at once, by whatever clock created_at was written.
func (q queries) Emit(ctx context.Context, e event.Event) error {
	if e.Category() == "" || e.Key() == "" || e.UID == "" {
		return fmt.Errorf("emit %v: want a name of category and key, and a user", e)
	}
	if q.db.destinations == nil {
		return nil
	}
	wanted := q.db.destinations(e)
	if len(wanted) == 0 {
		return nil
	}
	return q.writeLocked(ctx, "emit "+e.Name, lockUser(e.UID), func(t *txn) error {
		for _, destination := range wanted {
			if err := q.emit(ctx, t, destination, e); err != nil {
				return err
			}
		}
		t.emitted = true
		return nil
	})
}

func (q queries) emit(ctx context.Context, t *txn, destination string, e event.Event) error {
	plain, err := json.Marshal(sealedEvent{destination, e.Name, e.UID, e.Language, e.Record, e.Changes})
	if err != nil {
		return err
	}
	row, sealed, err := q.seal(plain, outboxTable, outboxPayload)
	if err != nil {
		return err
	}
	return t.exec(ctx, `
		INSERT INTO outbox (uuid, destination, name, user_uid, payload, next_at, created_at)
		VALUES ($1, $2, $3, $4, $5, 0, $6)`,
		row, destination, e.Name, e.UID, sealed, t.now.UnixMicro())
}

// DueEvents implements event.Outbox. The share is looked at first: it ends after that many rows,
// while the look for one that waits goes over all of a user's.
func (q queries) DueEvents(ctx context.Context, destination string, now time.Time, limit, share int) ([]event.Item, error) {
	return many(ctx, q, "list due events", unlocked, func(row scanner) (event.Item, error) {
		var i event.Item
		var payload []byte
		err := row.Scan(&i.ID, &i.UUID, &i.Name, &i.UID, &payload, &i.Attempts, at(&i.CreatedAt))
		if err == nil {
			q.openEvent(&i, destination, payload)
		}
		return i, err
	}, `SELECT id, uuid, name, user_uid, payload, attempts, created_at
		FROM outbox
		WHERE destination = $1 AND failed_at IS NULL AND next_at <= $2
		  AND NOT EXISTS (SELECT 1 FROM outbox earlier
		                  WHERE earlier.destination = $1 AND earlier.user_uid = outbox.user_uid
		                    AND earlier.failed_at IS NULL AND earlier.id < outbox.id LIMIT 1 OFFSET $4)
		  AND NOT EXISTS (SELECT 1 FROM outbox earlier
		                  WHERE earlier.destination = $1 AND earlier.user_uid = outbox.user_uid
		                    AND earlier.failed_at IS NULL AND earlier.id < outbox.id AND earlier.next_at > $2)
		ORDER BY id LIMIT $3`, destination, now.UnixMicro(), limit, share-1)
}

// openEvent fills the event of an item whose name and user are those of the row.
func (q queries) openEvent(i *event.Item, destination string, payload []byte) {
	plain, err := q.open(payload, outboxTable, outboxPayload, i.UUID)
	if err != nil {
		i.Err = fmt.Errorf("open event: %w", err)
		return
	}
	var s sealedEvent
	if json.Unmarshal(plain, &s) != nil || s.Destination != destination || s.Name != i.Name || s.UID != i.UID {
		i.Err = fmt.Errorf("open event: %w: the row was changed", account.ErrSeal)
		return
	}
	i.Language, i.Record, i.Changes = s.Language, s.Record, s.Changes
}

// DeleteEvents implements event.Outbox.
func (q queries) DeleteEvents(ctx context.Context, uuids ...string) error {
	for part := range slices.Chunk(uuids, 200) {
		marks, args := inList(part)
		_, err := q.run(ctx, "delete delivered events", `DELETE FROM outbox WHERE uuid IN `+marks, args...)
		if err != nil {
			return err
		}
	}
	return nil
}

// RetryEvent implements event.Outbox.
func (q queries) RetryEvent(ctx context.Context, uuid string, until time.Time, reason string) error {
	_, err := q.run(ctx, "put an event off", `
		UPDATE outbox SET attempts = attempts + 1, next_at = $1, reason = $2
		WHERE uuid = $3 AND failed_at IS NULL`, until.UnixMicro(), textOrNull(cut(reason)), uuid)
	return err
}

// ParkEvent implements event.Outbox.
func (q queries) ParkEvent(ctx context.Context, uuid string, now time.Time, reason string) error {
	_, err := q.run(ctx, "park an event", `
		UPDATE outbox SET attempts = attempts + 1, failed_at = $1, reason = $2
		WHERE uuid = $3 AND failed_at IS NULL`, now.UnixMicro(), textOrNull(cut(reason)), uuid)
	return err
}

// DeleteParkedEvents implements event.Outbox.
func (q queries) DeleteParkedEvents(ctx context.Context, before time.Time) (int, error) {
	return q.deleteInParts(ctx, "delete parked events", `
		DELETE FROM outbox WHERE id IN (SELECT id FROM outbox WHERE failed_at < $1 LIMIT $2)`, before.UnixMicro())
}

// EventBacklog implements event.Outbox.
func (q queries) EventBacklog(ctx context.Context, destination string) (event.Backlog, error) {
	return one(ctx, q, "count waiting events", unlocked, nil, func(row scanner) (b event.Backlog, err error) {
		return b, row.Scan(&b.Waiting, at(&b.Oldest), &b.Parked)
	}, `SELECT count(*), min(created_at),
		       (SELECT count(*) FROM outbox WHERE destination = $1 AND failed_at IS NOT NULL)
		FROM outbox WHERE destination = $1 AND failed_at IS NULL`, destination)
}

// EventHint implements event.Outbox. On PostgreSQL it is silent about commits of other
// processes.
func (db *DB) EventHint() <-chan struct{} { return db.emitted }
