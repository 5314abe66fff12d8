package store

import (
	"context"
	"database/sql"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"
)

// Whose time counts: rows expire, are swept and are leased by the database's clock, which all
// processes share (txn.after, queries.clock). This process's own writes the times that are shown,
// such as created_at, and judges those of a request. This file measures how far it is off.

const (
	clockOddFrom   = time.Second
	clockWrongFrom = 5 * time.Second
	compareEvery   = time.Minute
	compareTimeout = 5 * time.Second
)

// clockState is how this process's clock compares with the database's.
type clockState struct {
	log    *slog.Logger
	offset atomic.Int64 // nanoseconds that ours is ahead
	level  atomic.Int32 // clockRight, clockOdd or clockWrong
	again  chan struct{}
}

const (
	clockRight int32 = iota
	clockOdd         // warned about
	clockWrong       // sweeps nothing and takes no lease
)

func newClockState(log *slog.Logger) clockState {
	return clockState{log: log, again: make(chan struct{}, 1)}
}

// ClockOffset is by how much this process's clock was ahead of the database's when they were
// last compared; 0 on SQLite, where they are one.
func (db *DB) ClockOffset() time.Duration { return time.Duration(db.clocks.offset.Load()) }

// WatchClock compares this process's clock with the database's each minute, and when a
// connection was lost and made again, until ctx ends. A difference is logged when it begins
// and ends. While it is above five seconds, Sweep removes and Lease takes nothing.
func (db *DB) WatchClock(ctx context.Context) {
	tick := time.NewTicker(compareEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		case <-db.clocks.again:
		}
		_ = db.compareClock(ctx) // an outage: the known offset stays
	}
}

// compareClock looks at both clocks.
func (db *DB) compareClock(ctx context.Context) error {
	if db.dialect.Now == "" {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, compareTimeout)
	defer cancel()
	conn, err := db.r.Conn(ctx) // waiting for one is no part of the exchange
	if err != nil {
		return fmt.Errorf("compare clocks: %w", err)
	}
	defer conn.Close()
	asked := db.now()
	theirs, err := readClock(ctx, conn, db.dialect)
	if err != nil {
		return fmt.Errorf("compare clocks: %w", err)
	}
	db.clocks.compared(asked, db.now(), theirs)
	return nil
}

// compared notes that the database's clock was read between two moments of ours.
func (c *clockState) compared(asked, answered, theirs time.Time) {
	half := answered.Sub(asked) / 2
	offset := asked.Round(0).Add(half).Sub(theirs)
	c.offset.Store(int64(offset))
	// Theirs was read at any moment of the exchange: a slow one proves little.
	level := clockRight
	switch sure := max(offset, -offset) - half; {
	case sure > clockWrongFrom:
		level = clockWrong
	case sure > clockOddFrom:
		level = clockOdd
	}
	if c.level.Swap(level) == level {
		return
	}
	ahead := slog.Float64("ahead_seconds", offset.Seconds())
	switch level {
	case clockRight:
		c.log.Info("this machine's clock agrees with the database's again", ahead)
	case clockOdd:
		c.log.Warn("this machine's clock and the database's differ", ahead)
	case clockWrong:
		c.log.Error("this machine's clock and the database's differ by so much that this process "+
			"removes no expired rows and sends no events", ahead)
	}
}

// clockWrong reports whether sweeps and leases must be left to processes with a better clock.
func (db *DB) clockWrong() bool { return db.clocks.level.Load() == clockWrong }

func readClock(ctx context.Context, q interface {
	QueryRowContext(ctx context.Context, text string, args ...any) *sql.Row
}, d dialect) (now time.Time, err error) {
	err = q.QueryRowContext(ctx, "SELECT "+d.Now).Scan(at(&now))
	return now, err
}

// clock is the database's time.
func (q queries) clock(ctx context.Context) (time.Time, error) {
	if q.db.dialect.Now == "" {
		return q.db.now(), nil
	}
	now, err := readClock(ctx, q.read(), q.db.dialect)
	if err != nil {
		return now, fmt.Errorf("read the database's clock: %w", err)
	}
	return now, nil
}

// after is the moment d after now by the database's clock, as an expression over the
// parameter numbered n and the value of that parameter.
func (t *txn) after(n int, d time.Duration) (expression string, arg int64) {
	if t.dialect.Now == "" {
		return fmt.Sprintf("$%d", n), t.clock().Add(d).UnixMicro()
	}
	return fmt.Sprintf("%s + $%d", t.dialect.Now, n), d.Microseconds()
}
