package event

import (
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"
)

// A Relay carries events from the outbox to destinations, each by a goroutine of its own; of
// several processes one at a time works for a destination. It is safe for concurrent use.
//
//	r, err := event.NewRelay(config, outbox, destinations, log, time.Now)
//	go r.Run(ctx)
//	defer r.Close(shutdown)
type Relay struct {
	outbox Outbox
	lanes  []*lane
	work   context.Context    // of everything in flight
	abort  context.CancelFunc // ends work
	ran    atomic.Bool
	closed sync.Once
	stop   chan struct{} // closed by Close
	done   chan struct{} // closed when Run has ended
}

// NewRelay makes a relay. A nil log says nothing, a nil now is time.Now.
func NewRelay(c Config, o Outbox, to []Destination, log *slog.Logger, now func() time.Time) (*Relay, error) {
	if err := c.Validate(); err != nil {
		return nil, fmt.Errorf("event: configuration: %w", err)
	}
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	if now == nil {
		now = time.Now
	}
	r := &Relay{outbox: o, stop: make(chan struct{}), done: make(chan struct{})}
	r.work, r.abort = context.WithCancel(context.Background())
	holder := rand.Text()
	seen := map[string]bool{}
	for _, d := range to {
		if d.Name == "" || d.Sender == nil || seen[d.Name] {
			return nil, fmt.Errorf("event: destination %q: want a name of its own and a sender", d.Name)
		}
		seen[d.Name] = true
		if d.Parallel <= 0 {
			d.Parallel = 4
		}
		if d.Share <= 0 {
			d.Share = 25
		}
		if d.Timeout <= 0 {
			d.Timeout = 30 * time.Second
		}
		l := &lane{
			Destination: d, config: c.withDefaults(), outbox: o, now: now, holder: holder,
			log: log.With("destination", d.Name), wake: make(chan struct{}, 1),
		}
		l.up.Store(true)
		r.lanes = append(r.lanes, l)
	}
	return r, nil
}

// Run relays until Close is called, or at once ends everything in flight and returns when ctx
// ends. A Relay runs once.
func (r *Relay) Run(ctx context.Context) {
	if r.ran.Swap(true) {
		return
	}
	defer close(r.done)
	defer context.AfterFunc(ctx, r.abort)()
	defer r.abort()
	var lanes sync.WaitGroup
	for _, l := range r.lanes {
		lanes.Go(func() { l.run(r.work, r.stop) })
	}
	var hints sync.WaitGroup
	hints.Go(r.spread)
	lanes.Wait()
	r.abort()
	hints.Wait()
}

// spread hands the outbox's one hint to all lanes.
func (r *Relay) spread() {
	for {
		select {
		case <-r.work.Done():
			return
		case <-r.outbox.EventHint():
			for _, l := range r.lanes {
				select {
				case l.wake <- struct{}{}:
				default: // one is already waiting
				}
			}
		}
	}
}

// Close sends the due items, as long as destinations take them and until ctx ends, and leaves
// each destination to other processes. It returns when nothing is in flight any more. An unsent
// item is not lost.
func (r *Relay) Close(ctx context.Context) error {
	r.closed.Do(func() { close(r.stop) })
	if !r.ran.Load() {
		return nil
	}
	select {
	case <-r.done:
		return nil
	case <-ctx.Done():
		r.abort()
		<-r.done
		return fmt.Errorf("close event relay: %w", ctx.Err())
	}
}

// Stats returns the state of every destination.
func (r *Relay) Stats() []Stat {
	all := make([]Stat, 0, len(r.lanes))
	for _, l := range r.lanes {
		s := Stat{
			Destination: l.Name, Sent: l.sent.Load(), Retried: l.retried.Load(), GaveUp: l.gaveUp.Load(),
			Up: l.up.Load(), Holder: l.holds.Load(),
		}
		if b := l.backlog.Load(); b != nil {
			s.Backlog = *b
		}
		all = append(all, s)
	}
	return all
}
