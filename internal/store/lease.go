package store

import (
	"context"
	"sync"
	"time"
)

// leases are those of an SQLite file. It has one process, so memory will do: the leases of a
// killed one are free at once, and extending writes nothing.
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
	if h, ok := l.held[name]; ok && h.holder != holder && h.until.After(now) && !h.until.After(until) {
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

// Lease implements event.Outbox. Its time is the database's, read when the row is locked: of
// two holders neither can have waited for it with an older one. A lease that ends later than
// one taken now was given by a clock that was ahead, that of another server before a failover
// for instance, and would keep the work from everybody for so long.
func (db *DB) Lease(ctx context.Context, name, holder string, d time.Duration) (bool, error) {
	if db.pg == nil {
		now := db.now()
		return db.leases.take(name, holder, now, now.Add(d)), nil
	}
	if db.clocks.Wrong() {
		return false, nil
	}
	var held int64
	err := db.write(ctx, "take lease "+name, func(t *txn) (err error) {
		until, arg := t.after(3, d)
		held, err = affected(ctx, t, `
			INSERT INTO leases (name, holder, expires_at) VALUES ($1, $2, `+until+`)
			ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, expires_at = `+until+`
			WHERE leases.holder = excluded.holder OR leases.expires_at <= `+t.dialect.Now+`
			   OR leases.expires_at > `+until, name, holder, arg)
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
	_, err := db.run(ctx, "release lease "+name, `DELETE FROM leases WHERE name = $1 AND holder = $2`, name, holder)
	return err
}
