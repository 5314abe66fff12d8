package store

import (
	"context"
	"sync"
	"time"
)

// leases are those of an SQLite file. It has one process, so memory will do: what a killed
// one held is free at once, and extending writes nothing.
type leases struct {
	mu   sync.Mutex
	held map[string]lease
}

type lease struct {
	holder string
	until  time.Time
}

func (l *leases) take(name, holder string, now, until time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if h, ok := l.held[name]; ok && h.holder != holder && h.until.After(now) {
		return false
	}
	if l.held == nil {
		l.held = map[string]lease{}
	}
	l.held[name] = lease{holder, until}
	return true
}

func (l *leases) release(name, holder string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.held[name].holder == holder {
		delete(l.held, name)
	}
}

// Lease implements event.Outbox.
func (db *DB) Lease(ctx context.Context, name, holder string, now, until time.Time) (bool, error) {
	if db.pg == nil {
		return db.leases.take(name, holder, now, until), nil
	}
	var held int64
	err := db.write(ctx, "take lease "+name, func(t *txn) (err error) {
		held, err = affected(ctx, t, `
			INSERT INTO leases (name, holder, expires_at) VALUES ($1, $2, $3)
			ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, expires_at = excluded.expires_at
			WHERE leases.holder = excluded.holder OR leases.expires_at <= $4`,
			name, holder, until.UnixMicro(), now.UnixMicro())
		return err
	})
	return err == nil && held == 1, err
}

// ReleaseLease implements event.Outbox.
func (db *DB) ReleaseLease(ctx context.Context, name, holder string) error {
	if db.pg == nil {
		db.leases.release(name, holder)
		return nil
	}
	return db.write(ctx, "release lease "+name, func(t *txn) error {
		_, err := t.ExecContext(ctx, `DELETE FROM leases WHERE name = $1 AND holder = $2`, name, holder)
		return err
	})
}
