package redis

import (
	"context"
	"sync"

	goredis "github.com/redis/go-redis/v9"
)

// A batcher sends waiting commands in one pipeline. Nothing waits for company: a command goes out
// at once while fewer than workers pipelines are under way, and else together with all others that
// came meanwhile.
type batcher struct {
	size    int // callers whose commands share one pipeline at most
	workers int
	run     func(context.Context, []*goredis.Cmd) // one pipeline; bounds its own time

	mu      sync.Mutex
	waiting []*waiter
	running int
}

type waiter struct {
	ctx  context.Context
	cmd  *goredis.Cmd
	then *goredis.Cmd  // goes out right behind cmd; nil for none
	done chan struct{} // closed when both have their outcome
}

// do returns the reply to cmd, or ctx's error as soon as ctx ends: cmd may be carried out even
// so, unless it had not gone out yet.
func (b *batcher) do(ctx context.Context, cmd *goredis.Cmd) (any, error) {
	return b.both(ctx, cmd, nil)
}

// both is do for cmd with then, if not nil, right behind it in the same pipeline. Unless ctx
// has ended, then has its outcome too.
func (b *batcher) both(ctx context.Context, cmd, then *goredis.Cmd) (any, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	w := &waiter{ctx: ctx, cmd: cmd, then: then, done: make(chan struct{})}
	b.mu.Lock()
	b.waiting = append(b.waiting, w)
	if b.running < b.workers {
		b.running++
		go b.work()
	}
	b.mu.Unlock()
	select {
	case <-w.done:
		return cmd.Result()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// work sends until nothing waits.
func (b *batcher) work() {
	for {
		batch := b.take()
		if batch == nil {
			return
		}
		cmds := make([]*goredis.Cmd, 0, len(batch))
		for _, w := range batch {
			cmds = append(cmds, w.cmd)
			if w.then != nil {
				cmds = append(cmds, w.then)
			}
		}
		// Not the context of any caller: one that leaves must not take the others along.
		b.run(context.Background(), cmds)
		for _, w := range batch {
			close(w.done)
		}
	}
}

// take returns the next batch, without those whose callers have left; nil ends the worker.
func (b *batcher) take() []*waiter {
	b.mu.Lock()
	defer b.mu.Unlock()
	for len(b.waiting) > 0 {
		n := min(len(b.waiting), b.size)
		batch := make([]*waiter, 0, n)
		for _, w := range b.waiting[:n] {
			if w.ctx.Err() == nil {
				batch = append(batch, w)
			}
		}
		if b.waiting = b.waiting[n:]; len(b.waiting) == 0 {
			b.waiting = nil // so that the array of a rush is not kept
		}
		if len(batch) > 0 {
			return batch
		}
	}
	b.running--
	return nil
}
