package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"barong/internal/event"
)

// simItem is an item of the outbox; simLease is who may send them.
type (
	simItem struct {
		event.Item
		until  time.Time
		parked bool
	}
	simLease struct {
		holder string
		until  time.Duration
	}
)

const (
	simLeaseFor    = 900 * time.Millisecond
	simDestination = "wire"
	simEventWait   = 3 * time.Second // beside simSettle, for retries that a clock has put off
)

// emits reports whether a commit leaves an event.
func (w *simWorld) emits(v simVerb) bool {
	return w.events && (v == setState || v == setRole || v == endUser)
}

// uuid names the event of a commit.
func (c *simCommit) uuid() string { return "event " + strconv.Itoa(c.id) }

// poisoned reports whether no destination takes the event of a commit.
func (c *simCommit) poisoned() bool { return c.id%23 == 0 }

// emit adds the event of c to a copy of a state.
func (s *simState) emit(c *simCommit) {
	s.lastItem++
	s.outbox = append(slices.Clip(s.outbox), simItem{
		Item: event.Item{UUID: c.uuid(), ID: s.lastItem, Event: event.Event{UID: c.ref}},
	})
}

// send makes the changes of a copy that its sender asks for.
func (s *simState) send(c *simCommit) {
	switch c.verb {
	case emitEvent:
		s.emit(c.event)
	case dropEvents:
		s.outbox = slices.DeleteFunc(slices.Clone(s.outbox), func(i simItem) bool {
			return slices.Contains(c.items, i.UUID) || slices.Contains(c.numbers, i.ID)
		})
	case delayEvent, parkEvent:
		s.outbox = slices.Clone(s.outbox)
		for n := range s.outbox {
			if i := &s.outbox[n]; i.UUID == c.ref && !i.parked {
				i.Attempts++
				i.until, i.parked = c.moment, c.verb == parkEvent
			}
		}
	case setLease:
		s.lease = c.lease
	}
}

// simOutbox is how one process reaches the outbox. It implements event.Outbox with a connection of its
// own: when the relay tries again is left to chance, which must move nothing else.
type simOutbox struct {
	*simLink
	r    *simReplica
	life context.Context //nolint:containedctx // of the process
	seen sync.Map        // the number of each item that was read
}

func (r *simReplica) startRelay(ctx context.Context) error {
	o := &simOutbox{simLink: &simLink{w: r.w, replica: r.id, like: r.link}, r: r, life: ctx}
	relay, err := event.NewRelay(event.Config{
		Poll: 200 * time.Millisecond, Lease: simLeaseFor, FirstRetry: 60 * time.Millisecond, LastRetry: 400 * time.Millisecond,
	}, o, []event.Destination{{Name: simDestination, Sender: &simSender{o}, Timeout: 2 * time.Second}}, simLog, r.now)
	if err == nil {
		go relay.Run(ctx)
	}
	return err
}

// alive makes calls of a killed process fail.
func (o *simOutbox) alive() error {
	if o.life.Err() != nil {
		return errSimDown
	}
	return nil
}

func (o *simOutbox) write(ctx context.Context, c *simCommit) error {
	if err := o.alive(); err != nil {
		return err
	}
	return o.commit(ctx, c)
}

// DueEvents implements event.Outbox, as store.DB does.
func (o *simOutbox) DueEvents(ctx context.Context, _ string, now time.Time, limit, _ int) ([]event.Item, error) {
	if err := o.alive(); err != nil {
		return nil, err
	}
	due, err := simRead(ctx, o.simLink, "due", func(s *simState) (due []event.Item, err error) {
		waits := map[string]bool{}
		for _, i := range s.outbox {
			switch {
			case i.parked, waits[i.UID], len(due) == limit:
			case i.until.After(now):
				waits[i.UID] = o.w.fault != faultOvertakes
			default:
				due = append(due, i.Item)
			}
		}
		return due, nil
	})
	if err != nil || len(due) == 0 {
		return nil, err
	}
	var all []string
	for _, i := range due {
		o.seen.Store(i.UUID, i.ID)
		all = append(all, i.UUID)
	}
	if o.w.fault == faultDeletesFirst {
		err = o.write(ctx, &simCommit{verb: dropEvents, items: all})
	}
	return due, err
}

// DeleteEvents implements event.Outbox.
func (o *simOutbox) DeleteEvents(ctx context.Context, uuids ...string) error {
	c := &simCommit{verb: dropEvents, items: slices.Clone(uuids)}
	if o.w.fault == faultSettlesByNumber {
		for _, uuid := range c.items {
			n, _ := o.seen.Load(uuid)
			c.numbers = append(c.numbers, n.(int64))
		}
		c.items = nil
	}
	return o.write(ctx, c)
}

// RetryEvent implements event.Outbox.
func (o *simOutbox) RetryEvent(ctx context.Context, uuid string, until time.Time, _ string) error {
	c := &simCommit{verb: delayEvent, ref: uuid, moment: until}
	if o.w.fault == faultParksAtOnce {
		c.verb = parkEvent
	}
	return o.write(ctx, c)
}

// ParkEvent implements event.Outbox.
func (o *simOutbox) ParkEvent(ctx context.Context, uuid string, now time.Time, _ string) error {
	return o.write(ctx, &simCommit{verb: parkEvent, ref: uuid, moment: now})
}

// DeleteParkedEvents implements event.Outbox.
func (o *simOutbox) DeleteParkedEvents(context.Context, time.Time) (int, error) { return 0, nil }

// EventBacklog implements event.Outbox.
func (o *simOutbox) EventBacklog(context.Context, string) (b event.Backlog, err error) { return b, nil }

// EventHint implements event.Outbox.
func (o *simOutbox) EventHint() <-chan struct{} { return o.like.emitted }

// Lease implements event.Outbox, as store.DB does.
func (o *simOutbox) Lease(ctx context.Context, _, holder string, d time.Duration) (held bool, err error) {
	if err := o.alive(); err != nil {
		return false, err
	}
	switch {
	case o.w.fault == faultNoLease:
		return true, nil
	case o.r.clock.Load().Wrong() && o.w.fault != faultLeaseByOwnClock:
		return false, nil
	}
	c := &simCommit{verb: setLease}
	err = o.commitIf(ctx, c, func(s *simState) (bool, error) {
		now := o.w.now()
		if o.w.fault == faultLeaseByOwnClock {
			now += time.Duration(o.r.set.Load()) * time.Second
		}
		l := s.lease
		held = l.holder == "" || l.holder == holder || l.until <= now || l.until > now+d
		c.lease = simLease{holder, now + d}
		return held, nil
	})
	return err == nil && held, err
}

// ReleaseLease implements event.Outbox.
func (o *simOutbox) ReleaseLease(ctx context.Context, _, holder string) error {
	if err := o.alive(); err != nil {
		return err
	}
	return o.commitIf(ctx, &simCommit{verb: setLease}, func(s *simState) (bool, error) { return s.lease.holder == holder, nil })
}

// simSent is an item on its way, from its begin to its end; taken is when the destination took it, 0
// when it did not.
type simSent struct {
	uuid, uid       string
	by              *simSender
	from, taken, to time.Duration
}

// simSender carries events of one process to a destination that may be down, slow or refuse.
type simSender struct{ o *simOutbox }

// Send implements event.Sender.
func (s *simSender) Send(ctx context.Context, i event.Item) (err error) {
	w := s.o.w
	sent := simSent{uuid: i.UUID, uid: i.UID, by: s, from: w.now()}
	sleep := func(what string) bool {
		select {
		case <-ctx.Done():
		case <-time.After(w.delay(s.o.replica, what+i.UUID)):
		}
		return ctx.Err() == nil
	}
	defer func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		sent.to = w.now()
		w.sent = append(w.sent, sent)
	}()
	id, _ := strconv.Atoi(strings.TrimPrefix(i.UUID, "event "))
	if !sleep("send") {
		return ctx.Err()
	}
	w.mu.Lock()
	down := w.now() < w.brokerDown
	w.mu.Unlock()
	switch {
	case down:
		return event.ErrUnavailable
	case (&simCommit{id: id}).poisoned():
		return event.ErrPermanent
	case w.draw(s.o.replica, "refuse"+i.UUID)%8 == 0 && !w.over.Load():
		return errors.New("simulated: not now")
	}
	sent.taken = w.now()
	if !sleep("sent") {
		return ctx.Err() // and nobody knows
	}
	return nil
}

// judgeEvents finds events that were lost or overtaken, and two processes that send at once.
func (w *simWorld) judgeEvents() *simWrong {
	if !w.events {
		return nil
	}
	first := map[string]time.Duration{}
	for _, s := range w.sent {
		if s.taken > 0 && (first[s.uuid] == 0 || s.taken < first[s.uuid]) {
			first[s.uuid] = s.taken
		}
	}
	waiting := map[string]simItem{}
	for _, i := range w.primary.last().outbox {
		waiting[i.UUID] = i
	}
	// A process whose clock is off by more than five seconds sends nothing.
	able := slices.ContainsFunc(w.replicas, func(r *simReplica) bool { return max(r.set.Load(), -r.set.Load()) < 5 })
	last := map[string]time.Duration{} // of each user
	for _, c := range w.commits {
		if !w.emits(c.verb) || c.lost || c.poisoned() {
			continue
		}
		at, ok := first[c.uuid()]
		i, waits := waiting[c.uuid()]
		switch {
		case !ok && (!waits || i.parked):
			return &simWrong{"event lost", fmt.Sprintf("%s of %s, committed at %v, is nowhere", c.uuid(), c.ref, c.at), c.ref}
		case !ok && able && w.ended-max(c.at, i.until.Sub(w.born)) > simSettle+simEventWait-time.Second:
			return &simWrong{"event not sent", fmt.Sprintf("%s of %s, committed at %v, still waits", c.uuid(), c.ref, c.at), c.ref}
		case !ok:
			at = 1 << 62
		}
		if at < last[c.ref] {
			return &simWrong{"events out of order", fmt.Sprintf("%s of %s came at %v, before an earlier one", c.uuid(), c.ref, at), c.ref}
		}
		last[c.ref] = at
	}
	return w.judgeSenders()
}

// judgeSenders looks for two processes that sent at the same time. They may after a takeover that lost
// the lease, for as long as that was.
func (w *simWorld) judgeSenders() *simWrong {
	sent := slices.SortedStableFunc(slices.Values(w.sent), func(a, b simSent) int { return cmp.Compare(a.from, b.from) })
	for i, b := range sent {
		for _, a := range sent[:i] {
			if a.by == b.by || a.to <= b.from {
				continue
			}
			if !slices.ContainsFunc(w.takeovers, func(t simTakeover) bool { return t.died-simLeaseFor < b.from && b.from < t.at+2*simLeaseFor }) {
				return &simWrong{"two senders", fmt.Sprintf("r%d sends %s from %v to %v, r%d sends %s from %v",
					a.by.o.replica, a.uuid, a.from, a.to, b.by.o.replica, b.uuid, b.from), a.uid}
			}
		}
	}
	return nil
}
