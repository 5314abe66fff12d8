package feed

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"sync/atomic"
	"time"
)

// FollowerConfig tunes a Follower; zero values mean the defaults.
type FollowerConfig struct {
	// Every is the longest pause between two reads: 250 ms.
	Every time.Duration
	// Batch bounds the changes asked for in one read: 1000.
	Batch int
	// Timeout bounds one read: 2 s. Beyond it the database most likely does not answer at all, as
	// when its machine hangs, and the next read needs another connection. In case it is only slow,
	// each read after one that took too long may take twice as long, up to four times Timeout.
	Timeout time.Duration
	// Late is the age from which a read that succeeds has something to catch up with: 1 s.
	Late time.Duration
}

func (c FollowerConfig) withDefaults() FollowerConfig {
	if c.Every <= 0 {
		c.Every = 250 * time.Millisecond
	}
	if c.Batch <= 0 {
		c.Batch = 1000
	}
	if c.Timeout <= 0 {
		c.Timeout = 2 * time.Second
	}
	if c.Late <= 0 {
		c.Late = time.Second
	}
	return c
}

// A Follower reads the feed and calls its subscribers, in order and from one goroutine at a
// time. Subscribe, OnGap and OnCatchUp come before Start, Start before Run and Sync;
// everything else is safe for concurrent use.
type Follower struct {
	source Source
	cfg    FollowerConfig
	now    func() time.Time
	log    *slog.Logger

	changed []func(Change)
	gap     []func()
	caught  []func(context.Context) error

	reading chan struct{} // held while a read and its deliveries go on
	cursor  atomic.Pointer[Cursor]
	// Guarded by reading:
	failing bool  // the last read failed
	unknown error // the gap over which it must jump before it reads on; nil for none
	behind  bool  // after a gap nobody has caught up yet
	slow    int   // how many of the last reads took too long, up to 2

	begun, done atomic.Int64 // the read that began last, and the last one that went well
	// How often the database had another history, and was another server or another start of it.
	histories, servers atomic.Int64

	born   time.Time    // origin of readAt, so that ages use the monotonic clock
	readAt atomic.Int64 // nanoseconds from born to the begin of the last good read
}

const neverRead = math.MinInt64

// NewFollower makes a follower of source; now and log may be nil for time.Now and no log.
func NewFollower(source Source, cfg FollowerConfig, now func() time.Time, log *slog.Logger) *Follower {
	if now == nil {
		now = time.Now
	}
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	f := &Follower{
		source: source, cfg: cfg.withDefaults(), now: now, log: log,
		reading: make(chan struct{}, 1), born: now(),
	}
	f.readAt.Store(neverRead)
	f.cursor.Store(&Cursor{})
	return f
}

// Subscribe adds a function that is called with every change, in feed order. It must not
// block for long: the feed waits for it.
func (f *Follower) Subscribe(changed func(Change)) { f.changed = append(f.changed, changed) }

// OnGap adds a function that is called when the changes since the cursor are not known: it
// must mark all that it holds for revalidation.
func (f *Follower) OnGap(gap func()) { f.gap = append(f.gap, gap) }

// OnCatchUp adds a function that is called when the feed has been read to its end after
// failed reads, a gap, or a silence longer than cfg.Late, and subscribers have got all of it.
// The read counts, and the age falls, only when the function returns nil; otherwise it is
// called again after the next read. So work that a subscriber does in its own time is not
// taken for done while its change may be old already. The feed waits for the function.
func (f *Follower) OnCatchUp(caught func(context.Context) error) { f.caught = append(f.caught, caught) }

// Start sets the cursor to head, read from the Source before anything that the subscribers
// hold was loaded, and begins the age.
func (f *Follower) Start(head Cursor) {
	f.cursor.Store(&head)
	f.readAt.Store(int64(f.now().Sub(f.born)))
}

// Cursor is the commit up to which subscribers have got the changes.
func (f *Follower) Cursor() Cursor { return *f.cursor.Load() }

// Histories is how often the database turned out to have another history than before:
// commits that had been made were not there any more.
func (f *Follower) Histories() int64 { return f.histories.Load() }

// Servers is how often the cursor's commit was found on another server than before, or after
// another start of it: later commits may have been lost unnoticed.
func (f *Follower) Servers() int64 { return f.servers.Load() }

// Age is how long before now the feed was last read with success; the largest duration
// when it never was. It takes no lock and allocates nothing.
func (f *Follower) Age(now time.Time) time.Duration {
	at := f.readAt.Load()
	if at == neverRead {
		return math.MaxInt64
	}
	return max(0, now.Sub(f.born)-time.Duration(at))
}

// ReadAt is when the feed was last read with success, the zero time when it never was.
func (f *Follower) ReadAt() time.Time {
	at := f.readAt.Load()
	if at == neverRead {
		return time.Time{}
	}
	return f.born.Add(time.Duration(at))
}

// Run reads at once on a hint and otherwise every cfg.Every, until ctx ends. Failures are
// logged once each time they begin and end; meanwhile the cursor stays and the age grows.
func (f *Follower) Run(ctx context.Context) {
	tick := time.NewTicker(f.cfg.Every)
	defer tick.Stop()
	hint := f.source.Hint()
	for {
		select {
		case <-ctx.Done():
			return
		case <-hint:
		case <-tick.C:
		}
		_ = f.Sync(ctx) // logged there; the next tick tries again
	}
}

// Sync reads all that is new now and returns when the subscribers have got it.
func (f *Follower) Sync(ctx context.Context) error {
	return f.sync(ctx, func() bool { return false })
}

// Reach returns when the subscribers have got a commit that was made before the call, and
// everything before it; callers that wait at once share the reads. Where the number has been
// passed that alone proves nothing, as it may be another commit's: then a read that began
// after the call must have gone well. It fails only with ctx's error: a read that fails, or
// sees less, is made again after a pause.
func (f *Follower) Reach(ctx context.Context, c Cursor) error {
	const pause = 5 * time.Millisecond
	before := f.begun.Load()
	told := func() bool {
		at := f.cursor.Load()
		return at.Same(c) || at.Seq >= c.Seq && f.done.Load() > before
	}
	for !told() {
		_ = f.sync(ctx, told) // logged there
		if told() {
			break
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(pause):
		}
	}
	return nil
}

// sync reads all that is new, unless it is not needed any more after it waited for another
// read.
func (f *Follower) sync(ctx context.Context, needless func() bool) error {
	select {
	case f.reading <- struct{}{}:
		defer func() { <-f.reading }()
	case <-ctx.Done():
		return ctx.Err()
	}
	if needless() {
		return nil
	}
	read := f.begun.Add(1)
	err := f.drain(ctx)
	switch {
	case err == nil:
		f.done.Store(read)
		if f.failing {
			f.failing = false
			f.log.InfoContext(ctx, "change feed readable again", "cursor", f.Cursor())
		}
	case ctx.Err() == nil && !f.failing:
		f.failing = true
		f.log.WarnContext(ctx, "change feed unreadable", "error", err, "cursor", f.Cursor())
	}
	return err
}

// drain reads batches until one is not full.
func (f *Follower) drain(ctx context.Context) error {
	for {
		began := f.now()
		n, err := f.read(ctx)
		if err != nil {
			return fmt.Errorf("read change feed: %w", err)
		}
		if n < f.cfg.Batch {
			if f.failing || f.behind || f.Age(f.now()) > f.cfg.Late {
				if err := f.catchUp(ctx); err != nil {
					return fmt.Errorf("catch up with change feed: %w", err)
				}
				f.behind = false
			}
			f.readAt.Store(int64(began.Sub(f.born)))
			return nil
		}
	}
}

func (f *Follower) catchUp(ctx context.Context) error {
	for _, caught := range f.caught {
		if err := caught(ctx); err != nil {
			return err
		}
	}
	return nil
}

// read delivers one batch and returns its length, 0 after a gap.
func (f *Follower) read(ctx context.Context) (n int, err error) {
	bounded, cancel := context.WithTimeout(ctx, f.cfg.Timeout<<f.slow)
	defer cancel()
	defer func() {
		switch {
		case err == nil:
			f.slow = 0
		case bounded.Err() != nil && ctx.Err() == nil:
			f.slow = min(f.slow+1, 2)
		}
	}()
	return f.readWithin(bounded)
}

// readWithin is read within the time of ctx.
func (f *Follower) readWithin(ctx context.Context) (n int, err error) {
	if f.unknown != nil {
		return 0, f.jump(ctx)
	}
	changes, upTo, err := f.source.Changes(ctx, f.Cursor(), f.cfg.Batch)
	if errors.Is(err, ErrGap) {
		f.unknown = err // whatever the next server says
		return 0, f.jump(ctx)
	}
	if err != nil {
		return 0, err
	}
	for _, c := range changes {
		for _, tell := range f.changed {
			tell(c)
		}
	}
	f.cursor.Store(&upTo)
	return len(changes), nil
}

// jump goes to the head over the unknown changes. It reads the head before the subscribers
// mark their entries, so that all later loads include everything up to it.
func (f *Follower) jump(ctx context.Context) error {
	head, err := f.source.Head(ctx)
	if err != nil {
		return err
	}
	if errors.Is(f.unknown, ErrHistory) {
		f.histories.Add(1)
		f.log.ErrorContext(ctx, "commits were lost: the database has another history than before; revalidating everything",
			"before", f.Cursor(), "now", head)
	} else {
		if errors.Is(f.unknown, ErrServer) {
			f.servers.Add(1)
		}
		f.log.WarnContext(ctx, "change feed has a gap; revalidating everything",
			"reason", f.unknown, "cursor", f.Cursor(), "head", head)
	}
	f.behind = true
	for _, mark := range f.gap {
		mark()
	}
	f.cursor.Store(&head)
	f.unknown = nil
	return nil
}
