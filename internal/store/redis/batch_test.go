package redis

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	goredis "github.com/redis/go-redis/v9"
)

// fake answers every command with itself after a second, and counts.
type fake struct {
	mu      sync.Mutex
	batches []int
	now     int
	most    int
}

func (f *fake) run(_ context.Context, cmds []*goredis.Cmd) {
	f.mu.Lock()
	f.batches = append(f.batches, len(cmds))
	f.now++
	f.most = max(f.most, f.now)
	f.mu.Unlock()
	time.Sleep(time.Second)
	for _, c := range cmds {
		c.SetVal(c.Args()[0])
	}
	f.mu.Lock()
	f.now--
	f.mu.Unlock()
}

func TestBatcher(t *testing.T) {
	ask := func(t *testing.T, b *batcher, n int) {
		got, err := b.do(t.Context(), goredis.NewCmd(t.Context(), n))
		if err != nil || got != n {
			t.Errorf("got %v (%v), want %d", got, err, n)
		}
	}
	t.Run("a command alone waits for nobody", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			f := &fake{}
			b := &batcher{size: 100, workers: 2, run: f.run}
			begun := time.Now()
			ask(t, b, 1)
			if took := time.Since(begun); took != time.Second {
				t.Errorf("took %v, want the exchange's second", took)
			}
		})
	})
	t.Run("two commands of one caller go out one behind the other", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			f := &fake{}
			b := &batcher{size: 1, workers: 2, run: f.run}
			then := goredis.NewCmd(t.Context(), 2)
			got, err := b.both(t.Context(), goredis.NewCmd(t.Context(), 1), then)
			if err != nil || got != 1 || then.Val() != 2 {
				t.Errorf("got %v and %v (%v), want 1 and 2", got, then.Val(), err)
			}
			synctest.Wait()
			if !slices.Equal(f.batches, []int{2}) {
				t.Errorf("batches of %v, want one of 2", f.batches)
			}
		})
	})
	t.Run("what comes meanwhile goes out together, everybody gets their own reply", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			f := &fake{}
			b := &batcher{size: 100, workers: 2, run: f.run}
			var wg sync.WaitGroup
			for n := range 2 {
				wg.Go(func() { ask(t, b, n) })
				synctest.Wait() // a pipeline of its own for each
			}
			for n := range 250 {
				wg.Go(func() { ask(t, b, n) })
			}
			begun := time.Now()
			wg.Wait()
			took := time.Since(begun)
			synctest.Wait()
			if took != 3*time.Second || len(f.batches) > 5 || f.most > 2 {
				t.Errorf("took %v in batches of %v, %d at once; want 3 s, at most 5 batches, 2 at once", took, f.batches, f.most)
			}
			for _, n := range f.batches {
				if n > 100 {
					t.Errorf("a batch of %d, want at most 100", n)
				}
			}
			synctest.Wait()
			if b.running != 0 || b.waiting != nil {
				t.Errorf("%d workers and %d waiters are left", b.running, len(b.waiting))
			}
		})
	})
	t.Run("who leaves is let go at once, and not sent if there was time", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			f := &fake{}
			b := &batcher{size: 100, workers: 1, run: f.run}
			var wg sync.WaitGroup
			wg.Go(func() { ask(t, b, 1) })
			synctest.Wait()
			short, cancel := context.WithTimeout(t.Context(), time.Millisecond)
			defer cancel()
			for range 3 {
				wg.Go(func() {
					if _, err := b.do(short, goredis.NewCmd(t.Context(), 2)); !errors.Is(err, context.DeadlineExceeded) {
						t.Errorf("got %v, want the deadline", err)
					}
				})
			}
			wg.Wait()
			ask(t, b, 3)
			synctest.Wait()
			if len(f.batches) != 2 {
				t.Errorf("sent batches of %v, want one for each that stayed", f.batches)
			}
			if _, err := b.do(short, goredis.NewCmd(t.Context(), 4)); !errors.Is(err, context.DeadlineExceeded) || len(f.batches) != 2 {
				t.Errorf("got %v after %d batches, want the deadline and none more", err, len(f.batches))
			}
		})
	})
}
