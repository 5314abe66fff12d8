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
// processes share (txn.after, queries.clock). Requests are judged by the same clock, as far as this
// process knows it without asking (Clock), which also writes the times that are shown, such as
// created_at: an event's age is judged by whichever process sends it.

const (
	clockOddFrom   = time.Second
	clockWrongFrom = 5 * time.Second
	compareEvery   = time.Minute
	lookEvery      = time.Second // whether our clock was set, or slept
	clockSetFrom   = 100 * time.Millisecond
	lookTimeout    = 5 * time.Second
)

// A Clock knows the time of a clock that all processes share: the database's. That is its time when
// it was last read, and as much more as this machine's monotonic clock has gone on since, whatever
// its wall clock was set to meanwhile. It is safe for concurrent use.
type Clock struct {
	log   *slog.Logger
	known atomic.Pointer[comparison]
	level atomic.Int32 // clockRight, clockOdd or clockWrong
	again chan struct{}
}

// comparison is a moment by both clocks.
type comparison struct{ ours, theirs time.Time }

const (
	clockRight int32 = iota
	clockOdd         // warned about
	clockWrong       // sweeps nothing and takes no lease
)

// NewClock makes a clock that is this machine's until it is compared with another.
func NewClock(log *slog.Logger) *Clock { return &Clock{log: log, again: make(chan struct{}, 1)} }

// Time is the shared time at a moment of this machine's clock, which must be given with its
// monotonic reading. It takes no lock and asks nobody.
func (c *Clock) Time(now time.Time) time.Time {
	if k := c.known.Load(); k != nil {
		return k.theirs.Add(now.Sub(k.ours))
	}
	return now
}

// Offset is by how much this machine's wall clock is ahead of the shared one at a moment.
func (c *Clock) Offset(now time.Time) time.Duration { return now.Round(0).Sub(c.Time(now).Round(0)) }

// ClockOffset is by how much this process's clock is ahead of the database's; 0 on SQLite, where
// they are one.
func (db *DB) ClockOffset() time.Duration { return db.clocks.Offset(db.now()) }

// Time is the time of the database's clock, and so the same in all processes, as far as the last
// comparison shows it.
func (db *DB) Time() time.Time { return db.clocks.Time(db.now()) }

// Shared is Time at a moment of this process's clock.
func (db *DB) Shared(now time.Time) time.Time { return db.clocks.Time(now) }

// Watch compares this process's clock with the database's each minute, when a connection
// was lost and made again, and when the clock was set, until ctx ends. A difference is logged when
// it begins and ends. While it is above five seconds, Sweep removes and Lease takes nothing.
// Beside it, it looks whether the schema still admits this program (Admitted).
func (db *DB) Watch(ctx context.Context) {
	db.clocks.Watch(ctx, db.now, func(ctx context.Context) {
		_ = db.compareClock(ctx) // an outage: what is known stays
		db.lookAtSchema(ctx)
	})
}

// Watch calls compare each minute, after Again, and when this machine's clock was set, until ctx
// ends.
func (c *Clock) Watch(ctx context.Context, now func() time.Time, compare func(context.Context)) {
	tick, look := time.NewTicker(compareEvery), time.NewTicker(lookEvery)
	defer tick.Stop()
	defer look.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		case <-c.again:
		case <-look.C:
			if !c.wasSet(now()) {
				continue
			}
		}
		compare(ctx)
	}
}

// Again asks for another comparison soon: the server may be another.
func (c *Clock) Again() { poke(c.again) }

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
	db.clocks.Compared(asked, db.now(), theirs)
	return nil
}

// Compared notes that the shared clock was read between two moments of ours. By now it says from
// theirs to as much more as the exchange took: the time that is known stays as it is within these
// bounds and moves to the nearer one from beyond, so that a slow exchange moves it by no more than it
// was wrong.
func (c *Clock) Compared(asked, answered, theirs time.Time) {
	theirs = theirs.Round(0)
	took := answered.Sub(asked)
	half, latest := took/2, theirs.Add(took)
	if c.known.Load() == nil {
		theirs = theirs.Add(half)
	} else if known := c.Time(answered); known.After(latest) {
		theirs = latest
	} else if known.After(theirs) {
		theirs = known
	}
	c.known.Store(&comparison{answered, theirs})
	offset := c.Offset(answered)
	// Theirs was read at any moment of the exchange: a slow one proves little.
	level := clockRight
	switch sure := offset.Abs() - half; {
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

// wasSet reports whether our clock, which says now, was set since the comparison. A machine that
// slept looks the same: its monotonic clock has stood still, and the shared time is later than Time.
func (c *Clock) wasSet(now time.Time) bool {
	k := c.known.Load()
	return k != nil && (now.Round(0).Sub(k.ours.Round(0))-now.Sub(k.ours)).Abs() >= clockSetFrom
}

// Wrong reports whether sweeps and leases must be left to processes with a better clock.
func (c *Clock) Wrong() bool { return c.level.Load() == clockWrong }

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
