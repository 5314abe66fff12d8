package policy_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"barong/internal/feed"
	"barong/internal/testenv"
	"barong/policy"
)

func TestHolderCoalescesRefreshes(t *testing.T) { // FX-40
	synctest.Test(t, func(t *testing.T) {
		begin := make(chan struct{})
		store := shelf{rows: policy.Rows{At: feed.Cursor{Seq: 1}}, onRows: func() error { <-begin; return nil }}
		h := policy.NewHolder(policy.RouteRules{}, shipped(), nil, nil)
		if h.Load() != nil {
			t.Error("there is a snapshot before the first refresh")
		}
		var wg sync.WaitGroup
		for range 50 {
			wg.Go(func() {
				if err := h.Refresh(t.Context(), &store); err != nil {
					t.Errorf("refresh: %v", err)
				}
			})
		}
		synctest.Wait() // all 50 wait: one runs, the others share the next
		begin <- struct{}{}
		synctest.Wait()
		store.mu.Lock()
		store.rows.At.Seq = 2
		store.mu.Unlock()
		close(begin)
		wg.Wait()
		if store.reads != 2 {
			t.Errorf("got %d reads for 50 refreshes, want 2", store.reads)
		}
		if got := h.Load().Version(); got != 2 {
			t.Errorf("got version %d, want 2", got)
		}
	})
}

func TestHolderKeepsTheSnapshotWhenARefreshFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var failure error
		store := shelf{rows: policy.Rows{At: feed.Cursor{Seq: 1}}, onRows: func() error { return failure }}
		h := policy.NewHolder(policy.RouteRules{}, shipped(), nil, nil)
		if got := h.Age(time.Now()); got < 1000*time.Hour {
			t.Errorf("age without a snapshot: got %s, want for ever", got)
		}
		if err := h.Refresh(t.Context(), &store); err != nil {
			t.Fatal(err)
		}
		if got := h.Age(time.Now()); got != 0 {
			t.Errorf("age at once: got %s, want 0", got)
		}
		time.Sleep(10 * time.Second)
		failure = errors.New("database is down")
		if err := h.Refresh(t.Context(), &store); !errors.Is(err, failure) {
			t.Errorf("got error %v, want %v", err, failure)
		}
		if h.Load() == nil || h.Load().Version() != 1 {
			t.Error("the snapshot is gone")
		}
		if got := h.Age(time.Now()); got != 10*time.Second {
			t.Errorf("age after a failure: got %s, want 10s", got)
		}
		h.Changed()
		h.Confirm(time.Now())
		if got := h.Age(time.Now()); got != 10*time.Second {
			t.Errorf("age after the feed told of a newer change: got %s, want 10s", got)
		}
		if err := h.Refresh(t.Context(), &store); !errors.Is(err, failure) || h.Current() {
			t.Errorf("got error %v, current %v; want %v and not", err, h.Current(), failure)
		}
		failure = nil
		if err := h.Refresh(t.Context(), &store); err != nil {
			t.Fatal(err)
		}
		time.Sleep(10 * time.Second)
		h.Confirm(time.Now().Add(-3 * time.Second))
		if got := h.Age(time.Now()); got != 3*time.Second {
			t.Errorf("age after the feed was read 3 s ago: got %s, want 3s", got)
		}
		h.Confirm(time.Now().Add(-5 * time.Second))
		if got := h.Age(time.Now()); got != 3*time.Second {
			t.Errorf("age after an older confirmation: got %s, want 3s", got)
		}
		failure = nil
		h.Configure(policy.RouteRules{Block: []string{"api/v2/peatio"}}, shipped())
		if err := h.Refresh(t.Context(), &store); err != nil {
			t.Fatal(err)
		}
		if got := h.Load().Route("api/v2/peatio/x"); got != policy.Block {
			t.Errorf("FX-38: the new rules say %s, want block", got)
		}
		time.Sleep(time.Second)
		s, _ := policy.Compile(policy.Rows{At: feed.Cursor{Seq: 7}}, policy.RouteRules{}, shipped())
		h.Store(s)
		if got, age := h.Load().Version(), h.Age(time.Now()); got != 7 || age != 0 {
			t.Errorf("after Store: got version %d, age %s", got, age)
		}
	})
}

func TestHolderRefreshGoesOnWithoutItsCaller(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begin := make(chan struct{})
		store := shelf{rows: policy.Rows{At: feed.Cursor{Seq: 3}}, onRows: func() error { <-begin; return nil }}
		h := policy.NewHolder(policy.RouteRules{}, shipped(), nil, nil)
		ctx, cancel := context.WithCancel(t.Context())
		failed := make(chan error)
		go func() { failed <- h.Refresh(ctx, &store) }()
		synctest.Wait()
		cancel()
		if err := <-failed; !errors.Is(err, context.Canceled) {
			t.Errorf("got error %v, want context.Canceled", err)
		}
		close(begin)
		synctest.Wait()
		if h.Load() == nil || h.Load().Version() != 3 {
			t.Error("the rebuild was given up with its caller")
		}
	})
}

// Await is woken by the snapshot that it waits for, not before and not by a look now and then.
// A snapshot whose rows were being read when the change was told does not do, whatever its
// number.
func TestHolderAwait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begin := make(chan struct{})
		store := shelf{rows: policy.Rows{At: feed.Cursor{Seq: 9}}, onRows: func() error { <-begin; return nil }}
		h := policy.NewHolder(policy.RouteRules{}, shipped(), nil, nil)
		refreshed := make(chan error, 2)
		go func() { refreshed <- h.Refresh(t.Context(), &store) }()
		synctest.Wait() // it reads
		reached := make(chan error, 2)
		go func() { reached <- h.Await(t.Context()) }()
		synctest.Wait()
		h.Changed()
		go func() { reached <- h.Await(t.Context()) }()
		synctest.Wait()
		begin <- struct{}{}
		synctest.Wait()
		if len(refreshed) != 1 || len(reached) != 1 || h.Current() {
			t.Errorf("the rows of before: %d came back, current %v; want the one that came before the change", len(reached), h.Current())
		}
		begun := time.Now()
		go func() { refreshed <- h.Refresh(t.Context(), &store) }()
		begin <- struct{}{}
		synctest.Wait()
		if len(reached) != 2 || !h.Current() || time.Since(begun) != 0 {
			t.Errorf("the rows of after: %d came back, current %v; want both at once", len(reached), h.Current())
		}
		h.Changed()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := h.Await(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("a change that nobody reads: %v, want the deadline", err)
		}
	})
}

// A machine's clock that is set, ahead or back, changes no age: neither does an outage of the
// store escape policy_max_stale by it, nor does a fresh policy count as old.
func TestHolderAgeWhileTheClockIsSet(t *testing.T) {
	for _, step := range []int64{-3600, -1, 1, 301, 25 * 3600} {
		at := time.Now()
		h := policy.NewHolder(policy.RouteRules{}, shipped(), nil, func() time.Time { return at })
		if err := h.Refresh(t.Context(), &shelf{rows: policy.Rows{At: feed.Cursor{Seq: 1}}}); err != nil {
			t.Fatal(err)
		}
		at = testenv.Stepped(at, step)
		if got := h.Age(at); got != 0 {
			t.Errorf("%d s, at once: got age %s, want 0", step, got)
		}
		at = at.Add(7 * time.Second)
		if got := h.Age(at); got != 7*time.Second {
			t.Errorf("%d s, after 7 s: got age %s", step, got)
		}
		h.Confirm(at.Add(-2 * time.Second))
		if got := h.Age(at); got != 2*time.Second {
			t.Errorf("%d s, after a confirmation of 2 s ago: got age %s", step, got)
		}
	}
}
