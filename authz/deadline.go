package authz

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

// lateContext is a context with a deadline whose timer is made only when somebody waits. A
// warm decision waits for nothing, so it costs no allocation: values are pooled, and one
// that anybody has looked at is left to the collector, since it may have been kept.
type lateContext struct {
	parent   context.Context
	deadline time.Time
	touched  atomic.Bool

	mu     sync.Mutex
	timed  context.Context
	cancel context.CancelFunc
}

// begin makes c a child of parent that ends at deadline.
func (c *lateContext) begin(parent context.Context, deadline time.Time) {
	c.parent, c.deadline = parent, deadline
}

// end releases c, which the caller must not use any more.
func (c *lateContext) end(pool *sync.Pool) {
	if c.touched.Load() {
		if c.start(); c.cancel != nil {
			c.cancel()
		}
		return
	}
	c.parent = nil
	pool.Put(c)
}

// start makes the timer, once.
func (c *lateContext) start() context.Context {
	c.touched.Store(true)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.timed == nil {
		c.timed, c.cancel = context.WithDeadline(c.parent, c.deadline)
	}
	return c.timed
}

// Deadline, Done, Err and Value make c a context.Context.
func (c *lateContext) Deadline() (time.Time, bool) { return c.start().Deadline() }
func (c *lateContext) Done() <-chan struct{}       { return c.start().Done() }
func (c *lateContext) Err() error                  { return c.start().Err() }
func (c *lateContext) Value(key any) any           { return c.start().Value(key) }
