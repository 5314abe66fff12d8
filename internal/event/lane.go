package event

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"sync/atomic"
	"time"
)

const (
	// countEvery is how old a backlog may be that Stats shows.
	countEvery = 10 * time.Second
	// recordTimeout bounds writing down the outcome of an item, which even a relay that must end
	// at once does: an item without a written outcome is sent again.
	recordTimeout = 5 * time.Second
)

// A lane is one destination at work. But for the counters it belongs to one goroutine.
type lane struct {
	Destination
	config Config
	outbox Outbox
	now    func() time.Time
	log    *slog.Logger
	holder string
	wake   chan struct{} // something was emitted; capacity one

	taken     time.Time // when the lease was extended
	delivered []string  // but still in the outbox
	restUntil time.Time // nothing is read or sent before
	backoff   time.Duration
	counted   time.Time // when the backlog was
	warned    time.Time // of a failing item

	sent, retried, gaveUp atomic.Int64
	up, holds             atomic.Bool
	backlog               atomic.Pointer[Backlog]
}

// run relays until stop is closed, and then the due items as long as it goes, or until ctx ends.
func (l *lane) run(ctx context.Context, stop <-chan struct{}) {
	defer l.leave()
	for stopping := false; ctx.Err() == nil; {
		wait := l.round(ctx)
		if wait == 0 {
			continue
		}
		if stopping {
			return // nothing more can be sent now
		}
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
		case <-stop: // one more round finds the last items
			stopping = true
		case <-l.wake:
		case <-timer.C:
		}
		timer.Stop()
	}
}

// leave lets another process take over at once.
func (l *lane) leave() {
	if !l.holds.Swap(false) {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), recordTimeout)
	defer cancel()
	if err := l.outbox.ReleaseLease(ctx, l.lease(), l.holder); err != nil {
		l.log.Warn("events: the lease runs out by itself", "error", err)
	}
}

func (l *lane) lease() string { return "events " + l.Name }

// round does the due work and returns how long to wait for more; 0 is to look again at once.
func (l *lane) round(ctx context.Context) time.Duration {
	now := l.now()
	l.count(ctx, now)
	if wait := l.restUntil.Sub(now); wait > 0 {
		return wait
	}
	if held, err := l.hold(ctx); err != nil {
		return l.rest(ctx, err)
	} else if !held {
		l.restUntil = now.Add(l.config.Lease / 3)
		return l.config.Lease / 3
	}
	if err := l.settle(ctx); err != nil {
		return l.rest(ctx, err)
	}
	items, err := l.outbox.DueEvents(ctx, l.Name, l.config.Shared(now), l.config.Batch, l.Share)
	if err != nil {
		return l.rest(ctx, err)
	}
	if len(items) == 0 {
		return l.config.Poll
	}
	return l.deliver(ctx, items)
}

// hold takes or extends the lease when a third of it is used up.
func (l *lane) hold(ctx context.Context) (bool, error) {
	now := l.now()
	if l.holds.Load() && now.Sub(l.taken) < l.config.Lease/3 {
		return true, nil
	}
	held, err := l.outbox.Lease(ctx, l.lease(), l.holder, l.config.Lease)
	if err != nil {
		return false, err
	}
	l.holds.Store(held)
	if held {
		l.taken = now // the time before the call: its duration counts against us
	}
	return held, nil
}

// left is how long sending may go on without an extension of the lease.
func (l *lane) left() time.Duration { return l.taken.Add(l.config.Lease * 2 / 3).Sub(l.now()) }

// settle removes delivered items. Until that succeeds the lane reads no more: it would send the
// same again.
func (l *lane) settle(ctx context.Context) error {
	if len(l.delivered) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), recordTimeout)
	defer cancel()
	if err := l.outbox.DeleteEvents(ctx, l.delivered...); err != nil {
		return err
	}
	l.delivered = l.delivered[:0]
	return nil
}

// count refreshes the numbers of Stats; one that it cannot read stays as it was.
func (l *lane) count(ctx context.Context, now time.Time) {
	if now.Sub(l.counted) < countEvery {
		return
	}
	l.counted = now
	if b, err := l.outbox.EventBacklog(ctx, l.Name); err == nil {
		l.backlog.Store(&b)
	}
}

// rest leaves destination and outbox alone for a while, longer each time.
func (l *lane) rest(ctx context.Context, err error) time.Duration {
	if ctx.Err() != nil { // we end, not they
		return l.config.Poll
	}
	if l.up.Swap(false) {
		l.log.Error("events: nothing is delivered until this is over", "error", err)
	}
	l.backoff = min(max(2*l.backoff, l.config.FirstRetry), max(l.config.LastRetry/10, l.config.FirstRetry))
	wait := jitter(l.backoff)
	l.restUntil = l.now().Add(wait)
	return wait
}

func (l *lane) recovered() {
	l.backoff = 0
	if !l.up.Swap(true) {
		l.log.Info("events: delivered again")
	}
}

// jitter is between half of d and d, so that lanes that failed together come back apart.
func jitter(d time.Duration) time.Duration { return d/2 + rand.N(d/2+1) }

// afterAttempts is the wait of an item that has failed so many times before.
func (l *lane) afterAttempts(n int) time.Duration {
	d := l.config.FirstRetry
	for ; n > 0 && d < l.config.LastRetry; n-- {
		d *= 2
	}
	return jitter(min(d, l.config.LastRetry))
}
