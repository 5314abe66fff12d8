package cluster

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// A Load asks about grants all the time, half through the gate, if there is one, and each
// replica as often.
type Load struct {
	c     *Cluster
	model *Model
	stop  context.CancelFunc
	done  sync.WaitGroup

	mu   sync.Mutex
	warm []*Grant
	cold []*Grant // asked about once

	late atomic.Int64 // questions not asked because too many were open
}

// Rate is how many questions a second a Load asks.
const Rate = 200

// Run asks about each grant on each replica, so that both know it, and then goes on until
// Stop.
func (c *Cluster) Run(ctx context.Context, m *Model, warm []*Grant) *Load {
	ctx, cancel := context.WithCancel(ctx)
	l := &Load{c: c, model: m, stop: cancel, warm: warm}
	for _, g := range warm {
		for _, by := range slices.Compact(slices.Sorted(slices.Values(c.askers()))) {
			m.Judge(g, c.Ask(ctx, by, g))
		}
	}
	l.done.Go(func() { l.run(ctx) })
	return l
}

// Cold adds grants that no replica has seen; each is asked about once.
func (l *Load) Cold(grants ...*Grant) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.cold = append(l.cold, grants...)
}

// Stop ends it and waits for the last answer.
func (l *Load) Stop() {
	l.stop()
	l.done.Wait()
}

func (l *Load) run(ctx context.Context) {
	open, askers := make(chan struct{}, 2*Rate), l.c.askers()
	tick := time.NewTicker(time.Second / Rate)
	defer tick.Stop()
	for n := 0; ; n++ {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		select {
		case open <- struct{}{}:
		default:
			l.late.Add(1)
			continue
		}
		g, cold := l.next(n)
		l.done.Go(func() {
			defer func() { <-open }()
			// Questions under way are answered to the end.
			a := l.c.Ask(context.WithoutCancel(ctx), askers[n%len(askers)], g)
			a.Cold = cold
			l.model.Judge(g, a)
		})
	}
}

// next is the grant of the n-th question; every tenth is a cold one.
func (l *Load) next(n int) (g *Grant, cold bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if n%10 == 9 && len(l.cold) > 0 {
		g, l.cold = l.cold[0], l.cold[1:]
		return g, true
	}
	return l.warm[(n/len(l.c.askers()))%len(l.warm)], false
}
