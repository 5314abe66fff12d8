package policy

import (
	"context"
	"fmt"
	"log/slog"
	"math"
	"sync"
	"sync/atomic"
	"time"
)

// rebuildTimeout bounds one reading of the rows, so that a store that hangs, on a connection
// to a machine that is gone, does not keep later rebuilds waiting for long: a revocation that
// a new primary has acknowledged is not in force before one of them has ended.
const rebuildTimeout = 10 * time.Second

// A Holder keeps the current Snapshot. Load is one atomic read; a decision calls it once. It
// is safe for concurrent use.
//
// A rebuild reads all rows, compiles them beside the current snapshot, letting decisions run
// in between (see Compile), and swaps the pointer. While it runs, memory holds the old
// snapshot, the new one and the rows.
type Holder struct {
	log     *slog.Logger
	now     func() time.Time
	current atomic.Pointer[Snapshot]

	born  time.Time    // origin of fresh: ages go by the monotonic clock, which nobody sets
	fresh atomic.Int64 // nanoseconds from born to the last moment at which current was known to be right
	// changes counts the calls of Changed, included is how many of them came before the rows
	// of current were read.
	changes, included atomic.Int64

	mu      sync.Mutex
	rules   RouteRules
	options Options
	running *rebuild      // in flight
	next    *rebuild      // starts when running ends
	swapped chan struct{} // closed at the next swap, for Await; nil while nobody waits
}

// Everybody that asked for a rebuild before it started waits for it.
type rebuild struct {
	store Store
	ctx   context.Context
	done  chan struct{}
	err   error
}

// never is before every moment that fresh can be.
const never = math.MinInt64

// NewHolder returns a Holder without a snapshot. now is the clock; nil is time.Now.
func NewHolder(rules RouteRules, o Options, log *slog.Logger, now func() time.Time) *Holder {
	if now == nil {
		now = time.Now
	}
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	h := &Holder{log: log, now: now, rules: rules, options: o, born: now()}
	h.fresh.Store(never)
	return h
}

// Load is the current snapshot, nil before the first Refresh or Store.
func (h *Holder) Load() *Snapshot { return h.current.Load() }

// Store puts a snapshot in place, as of now.
func (h *Holder) Store(s *Snapshot) { h.swap(s, h.now(), h.changes.Load()) }

// swap puts a snapshot of a moment in place and lets waiting callers of Await look at it.
func (h *Holder) swap(s *Snapshot, at time.Time, included int64) {
	h.current.Store(s)
	h.fresh.Store(h.since(at))
	h.included.Store(included)
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.swapped != nil {
		close(h.swapped)
		h.swapped = nil
	}
}

// Changed says that the policy has changed, or may have: the current snapshot is confirmed no
// more. Only one whose rows are read after it is, whatever numbers the two have.
func (h *Holder) Changed() { h.changes.Add(1) }

// Current reports whether there is a snapshot that includes all that Changed has said.
func (h *Holder) Current() bool {
	return h.current.Load() != nil && h.included.Load() >= h.changes.Load()
}

// Await returns when there is a snapshot that includes all that Changed has said before the
// call, or with ctx's error. It asks for no rebuild.
func (h *Holder) Await(ctx context.Context) error {
	changes := h.changes.Load()
	return h.Until(ctx, func(*Snapshot) (bool, error) { return h.included.Load() >= changes, nil })
}

// Until returns when enough says so of a snapshot, with its error, or with ctx's. It asks for no
// rebuild.
func (h *Holder) Until(ctx context.Context, enough func(*Snapshot) (bool, error)) error {
	for {
		h.mu.Lock() // before the look, so that no swap falls between
		if h.swapped == nil {
			h.swapped = make(chan struct{})
		}
		swapped := h.swapped
		h.mu.Unlock()
		if s := h.current.Load(); s != nil {
			if done, err := enough(s); done || err != nil {
				return err
			}
		}
		select {
		case <-swapped:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// Configure sets the rules and options of later rebuilds; call Refresh to apply them. It is
// how a signal reloads the rules file (FX-38).
func (h *Holder) Configure(rules RouteRules, o Options) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.rules, h.options = rules, o
}

// Configured are the rules and options of the next rebuild.
func (h *Holder) Configured() (RouteRules, Options) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.rules, h.options
}

// Confirm says that the change feed had been read to its end at a moment, and Changed called
// for every policy change in it. If the current snapshot includes them, it was still right at
// that moment. Earlier moments than the last known one are ignored.
func (h *Holder) Confirm(at time.Time) {
	if !h.Current() {
		return
	}
	moment := h.since(at)
	for {
		old := h.fresh.Load()
		if old >= moment || h.fresh.CompareAndSwap(old, moment) {
			return
		}
	}
}

// Age is how long ago the current snapshot was last known to be right. Without a snapshot it
// is longer than any limit.
func (h *Holder) Age(now time.Time) time.Duration {
	fresh := h.fresh.Load()
	if fresh == never {
		return math.MaxInt64
	}
	return time.Duration(max(0, h.since(now)-fresh))
}

// since is what fresh holds for a moment.
func (h *Holder) since(at time.Time) int64 { return int64(at.Sub(h.born)) }

// Refresh returns when a rebuild that began after the call has ended, or ctx has. Of many
// calls at once at most one rebuild runs and one more waits, which all of them share, so a row
// that was committed before the call is always in the result (FX-40). When a rebuild fails,
// the snapshot stays and its age grows. A rebuild goes on when the caller that began it
// leaves.
func (h *Holder) Refresh(ctx context.Context, store Store) error {
	h.mu.Lock()
	var r *rebuild
	switch {
	case h.running == nil:
		r = newRebuild(ctx, store)
		h.running = r
		go h.run(r)
	case h.next == nil:
		r = newRebuild(ctx, store)
		h.next = r
	default:
		r = h.next
	}
	h.mu.Unlock()
	select {
	case <-r.done:
		return r.err
	case <-ctx.Done():
		return fmt.Errorf("wait for policy: %w", ctx.Err())
	}
}

func newRebuild(ctx context.Context, store Store) *rebuild {
	return &rebuild{store: store, ctx: context.WithoutCancel(ctx), done: make(chan struct{})}
}

func (h *Holder) run(r *rebuild) {
	for r != nil {
		r.err = h.rebuild(r)
		if r.err != nil {
			h.log.ErrorContext(r.ctx, "policy not rebuilt", "error", r.err)
		}
		close(r.done)
		h.mu.Lock()
		h.running, h.next = h.next, nil
		r = h.running
		h.mu.Unlock()
	}
}

func (h *Holder) rebuild(r *rebuild) error {
	ctx, cancel := context.WithTimeout(r.ctx, rebuildTimeout)
	defer cancel()
	start, changes := h.now(), h.changes.Load()
	rows, err := r.store.Rows(ctx)
	if err != nil {
		return fmt.Errorf("read policy rows: %w", err)
	}
	rules, options := h.Configured()
	s, warnings := Compile(rows, rules, options)
	h.swap(s, start, changes) // the rows are those of some moment after start
	for _, w := range warnings {
		h.log.WarnContext(ctx, "policy row needs attention", "row", w.Row, "problem", w.Problem)
	}
	h.log.InfoContext(ctx, "policy rebuilt", "version", s.Version(),
		"permissions", len(rows.Permissions), "restrictions", len(rows.Restrictions),
		"took", h.now().Sub(start))
	return nil
}
