package store

import (
	"context"
	"database/sql"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"
)

// Whose time counts: rows expire, are swept and are leased by the database's clock, which all
// processes share (txn.after, queries.clock). Requests are judged by the same clock, as far as this
// process knows it without asking (Time). Its own clock writes the times that are shown, such as
// created_at. This file measures how far it is off.

const (
	clockOddFrom   = time.Second
	clockWrongFrom = 5 * time.Second
	compareEvery   = time.Minute
	lookEvery      = time.Second // whether our clock was set
	clockSetFrom   = 100 * time.Millisecond
	lookTimeout    = 5 * time.Second
)

// clockState is how this process's clock compares with the database's.
type clockState struct {
	log    *slog.Logger
	offset atomic.Int64 // nanoseconds that ours is ahead
	level  atomic.Int32 // clockRight, clockOdd or clockWrong
	again  chan struct{}

	mu sync.Mutex
	at time.Time // of our clock, when offset was right
}

const (
	clockRight int32 = iota
	clockOdd         // warned about
	clockWrong       // sweeps nothing and takes no lease
)

func newClockState(log *slog.Logger) *clockState {
	return &clockState{log: log, again: make(chan struct{}, 1)}
}

// ClockOffset is by how much this process's clock was ahead of the database's when they were
// last compared; 0 on SQLite, where they are one.
func (db *DB) ClockOffset() time.Duration { return time.Duration(db.clocks.offset.Load()) }

// Time is the time of the database's clock, and so the same in all processes, as far as the last
// comparison shows it. It takes no lock and asks nobody.
func (db *DB) Time() time.Time { return db.now().Add(-db.ClockOffset()) }

// Watch compares this process's clock with the database's each minute, when a connection
// was lost and made again, and when the clock was set, until ctx ends. A difference is logged when
// it begins and ends. While it is above five seconds, Sweep removes and Lease takes nothing.
// Beside it, it looks whether the schema still admits this program (Admitted).
func (db *DB) Watch(ctx context.Context) {
	tick, look := time.NewTicker(compareEvery), time.NewTicker(lookEvery)
	defer tick.Stop()
	defer look.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		case <-db.clocks.again:
		case <-look.C:
			if db.dialect.Now == "" || !db.clocks.wasSet(db.now()) {
				continue
			}
		}
		_ = db.compareClock(ctx) // an outage: the known offset stays
		db.lookAtSchema(ctx)
	}
}

// compareClock looks at both clocks.
func (db *DB) compareClock(ctx context.Context) error {
	if db.dialect.Now == "" {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, lookTimeout)
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

// compared notes that the database's clock was read between two moments of ours. A slow exchange
// leaves the difference that is known unless it disproves it.
func (c *clockState) compared(asked, answered, theirs time.Time) {
	half := answered.Sub(asked) / 2
	offset := asked.Round(0).Add(half).Sub(theirs)
	c.mu.Lock()
	if known := time.Duration(c.offset.Load()); !c.at.IsZero() && (offset-known).Abs() <= half {
		offset = known
	}
	c.at = answered
	c.offset.Store(int64(offset))
	c.mu.Unlock()
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

// wasSet reports whether our clock, which says now, was set since its offset was measured; a
// machine that slept looks the same. Set back, it would bring back what is over until the
// database can be asked: Time goes on instead. Set ahead, it is believed until then.
func (c *clockState) wasSet(now time.Time) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	moved := now.Round(0).Sub(c.at.Round(0)) - now.Sub(c.at)
	if moved <= -clockSetFrom {
		c.offset.Add(int64(moved))
		c.at = now
	}
	return moved.Abs() >= clockSetFrom
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
