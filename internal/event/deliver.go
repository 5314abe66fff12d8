package event

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// outcome is the end of one attempt.
type outcome struct {
	item Item
	err  error
	over bool // it was our end, not the item's: it stays as it is
}

// batch sums up the outcomes of one round.
type batch struct {
	progress bool  // an item was delivered or parked
	down     error // why the round ended early
}

// deliver sends items, those of one user one after the other and those of different users at
// once, and writes down each outcome before it looks at the next. It returns when to look again.
func (l *lane) deliver(ctx context.Context, items []Item) time.Duration {
	sending, cancel := context.WithCancel(ctx)
	defer cancel()
	// The lease may end while an item is on its way, or the store may not answer to extend it.
	expiry := time.AfterFunc(l.left(), cancel)
	defer expiry.Stop()
	extend := time.NewTicker(max(l.config.Lease/6, time.Millisecond))
	defer extend.Stop()

	var b batch
	outcomes := l.attempts(sending, cancel, items)
	for open := true; open; {
		select {
		case <-extend.C:
			switch held, err := l.hold(ctx); {
			case err != nil: // the rest of the lease may be used up
			case !held:
				cancel()
			default:
				expiry.Reset(l.left())
			}
		case o, ok := <-outcomes:
			open = ok
			if !ok {
				break
			}
			l.record(ctx, o, &b)
			// Deliveries that came meanwhile share a write.
			for n := len(outcomes); n > 0; n-- {
				l.record(ctx, <-outcomes, &b)
			}
			if err := l.settle(ctx); err != nil {
				b.down = err
			}
			if b.down != nil {
				cancel()
			}
		}
	}
	switch {
	case b.down != nil:
		return l.rest(ctx, b.down)
	case b.progress:
		l.recovered()
		return 0
	}
	return l.config.Poll // all failed, or the lease or the relay ended
}

// attempts sends in the background, and gives up with the first that finds nobody there. The
// channel is closed when all is over.
func (l *lane) attempts(ctx context.Context, giveUp func(), items []Item) <-chan outcome {
	var users []string
	chains := map[string][]Item{}
	for _, i := range items {
		if chains[i.UID] == nil {
			users = append(users, i.UID)
		}
		chains[i.UID] = append(chains[i.UID], i)
	}
	queue := make(chan []Item, len(users))
	for _, uid := range users {
		queue <- chains[uid]
	}
	close(queue)
	outcomes := make(chan outcome, len(items))
	var workers sync.WaitGroup
	for range min(l.Parallel, len(users)) {
		workers.Go(func() {
			for chain := range queue {
				for _, i := range chain {
					o := l.attempt(ctx, i)
					if errors.Is(o.err, ErrUnavailable) {
						giveUp()
					}
					outcomes <- o
					if o.err != nil && !errors.Is(o.err, ErrPermanent) {
						break // the rest of this user's wait for it
					}
				}
			}
		})
	}
	go func() {
		workers.Wait()
		close(outcomes)
	}()
	return outcomes
}

// attempt sends one item, unless the round is over.
func (l *lane) attempt(ctx context.Context, i Item) outcome {
	if ctx.Err() != nil {
		return outcome{item: i, err: ctx.Err(), over: true}
	}
	if i.Err != nil {
		return outcome{item: i, err: i.Err}
	}
	sending, cancel := context.WithTimeout(ctx, l.Timeout)
	defer cancel()
	err := l.Sender.Send(sending, i)
	return outcome{item: i, err: err, over: err != nil && ctx.Err() != nil && !errors.Is(err, ErrPermanent)}
}

// record writes down the outcome of an item. A failure to write ends the round: a wait or an end
// that is forgotten would make the item come again at once.
func (l *lane) record(ctx context.Context, o outcome, b *batch) {
	if o.over {
		return
	}
	if o.err == nil {
		l.sent.Add(1)
		l.delivered = append(l.delivered, o.item.UUID)
		b.progress = true
		return
	}
	if errors.Is(o.err, ErrUnavailable) {
		b.down = o.err
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), recordTimeout)
	defer cancel()
	now := l.now()
	shared := l.config.Shared(now)
	var err error
	late := l.GiveUp > 0 && shared.Sub(o.item.CreatedAt) >= l.GiveUp
	switch {
	case late || errors.Is(o.err, ErrPermanent):
		l.gaveUp.Add(1)
		b.progress = true
		l.log.Error("events: one was given up", "event", o.item.String(), "id", o.item.ID,
			"attempts", o.item.Attempts+1, "error", o.err)
		err = l.outbox.ParkEvent(ctx, o.item.UUID, shared, o.err.Error())
	default:
		l.retried.Add(1)
		l.warn(o, now)
		err = l.outbox.RetryEvent(ctx, o.item.UUID, shared.Add(l.afterAttempts(o.item.Attempts)), o.err.Error())
	}
	if err != nil {
		b.down = fmt.Errorf("record a failed delivery: %w", err)
	}
}

// warn logs failing items, one a minute.
func (l *lane) warn(o outcome, now time.Time) {
	if !l.warned.IsZero() && now.Sub(l.warned) < time.Minute {
		return
	}
	l.warned = now
	l.log.Warn("events: one will be tried again", "event", o.item.String(), "id", o.item.ID,
		"attempts", o.item.Attempts+1, "error", o.err)
}
