package feed

import (
	"cmp"
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"barong/internal/testenv"
)

var errNone = errors.New("none")

// rows is a loader's table whose reads can be held up.
type rows struct {
	mu    sync.Mutex
	at    map[string]int
	fail  error
	loads atomic.Int32
	now   atomic.Int32 // loads in flight
	most  atomic.Int32
	pause chan struct{} // when set, a load waits after reading the row
}

func (r *rows) set(key string, n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.at == nil {
		r.at = map[string]int{}
	}
	if n == 0 {
		delete(r.at, key)
		return
	}
	r.at[key] = n
}

func (r *rows) load(_ context.Context, key string, old, into *int) (bool, error) {
	r.loads.Add(1)
	if n := r.now.Add(1); n > r.most.Load() {
		r.most.Store(n)
	}
	defer r.now.Add(-1)
	r.mu.Lock()
	n, ok := r.at[key]
	fail, pause := r.fail, r.pause
	r.mu.Unlock()
	if pause != nil {
		<-pause
	}
	switch {
	case fail != nil:
		return false, fail
	case !ok:
		return false, errNone
	case old != nil && *old == n:
		return true, nil
	}
	*into = n
	return false, nil
}

func get(t *testing.T, c *Cache[string, int], key string) int {
	t.Helper()
	v, err := c.Get(t.Context(), key)
	if err != nil {
		t.Fatalf("get %s: %v", key, err)
	}
	return *v
}

func TestCacheLoadsOnceForManyAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &rows{pause: make(chan struct{})}
		r.set("a", 1)
		c := newCache(t, CacheConfig{}, errNone, nil, r.load)
		var wg sync.WaitGroup
		for range 100 {
			wg.Go(func() {
				if v := get(t, c, "a"); v != 1 {
					t.Errorf("got %d, want 1", v)
				}
			})
		}
		synctest.Wait()
		close(r.pause)
		wg.Wait()
		if n := r.loads.Load(); n != 1 {
			t.Errorf("%d loads, want 1", n)
		}
	})
}

func TestCacheBoundsTheLoadsInFlight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &rows{pause: make(chan struct{})}
		c := newCache(t, CacheConfig{Loads: 4}, errNone, nil, r.load)
		var wg sync.WaitGroup
		for i := range 50 {
			key := strings.Repeat("k", i+1)
			r.set(key, i+1)
			wg.Go(func() { get(t, c, key) })
		}
		synctest.Wait()
		close(r.pause)
		wg.Wait()
		if n := r.most.Load(); n != 4 {
			t.Errorf("%d loads at once, want 4", n)
		}
	})
}

func TestCacheACallerThatGivesUpHurtsNoOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &rows{pause: make(chan struct{})}
		r.set("a", 1)
		r.set("b", 2)
		c := newCache(t, CacheConfig{Loads: 1}, errNone, nil, r.load)
		go func() { _, _ = c.Get(t.Context(), "a") }() // takes the one token
		synctest.Wait()

		ctx, cancel := context.WithCancel(t.Context())
		var first error
		go func() { _, first = c.Get(ctx, "b") }() // leads b, waits for the token
		synctest.Wait()
		var got int
		go func() { got = get(t, c, "b") }() // follows
		synctest.Wait()
		cancel()
		synctest.Wait()
		if !errors.Is(first, context.Canceled) {
			t.Errorf("first caller: %v, want context.Canceled", first)
		}
		close(r.pause)
		synctest.Wait()
		if got != 2 {
			t.Errorf("second caller got %d, want 2", got)
		}
	})
}

// A load that read the old row before a change must not put it back after the drop (FX-40,
// AZ-302).
func TestCacheALoadThatBeganBeforeADropStoresNothing(t *testing.T) {
	for name, change := range map[string]func(*Cache[string, int]){
		"drop":  func(c *Cache[string, int]) { c.Drop("a") },
		"stale": func(c *Cache[string, int]) { c.Stale() },
		"put":   func(c *Cache[string, int]) { c.Put("a", c.Age(), func(v *int) { *v = 2 }) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := &rows{pause: make(chan struct{})}
				r.set("a", 1)
				c := newCache(t, CacheConfig{}, errNone, nil, r.load)
				go func() { _, _ = c.Get(t.Context(), "a") }()
				synctest.Wait() // it has read 1
				r.set("a", 2)
				change(c)
				var got int
				go func() { got = get(t, c, "a") }()
				synctest.Wait()
				close(r.pause)
				synctest.Wait()
				if got != 2 {
					t.Errorf("a get after the change = %d, want 2", got)
				}
				if v := get(t, c, "a"); v != 2 {
					t.Errorf("held after both loads = %d, want 2", v)
				}
			})
		})
	}
}

func TestCacheStaleRevalidatesEachKeyOnceAndKeepsWhatStands(t *testing.T) {
	r := &rows{}
	r.set("a", 1)
	r.set("b", 1)
	c := newCache(t, CacheConfig{}, errNone, nil, r.load)
	a, _ := c.Get(t.Context(), "a")
	get(t, c, "b")
	r.set("b", 2)
	c.Stale()
	if c.Hit("a") != nil {
		t.Error("a stale entry is a hit")
	}
	again, _ := c.Get(t.Context(), "a")
	if again != a {
		t.Error("an unchanged entry was replaced; want the same one kept")
	}
	if v := get(t, c, "b"); v != 2 {
		t.Errorf("b = %d, want 2", v)
	}
	get(t, c, "a")
	if n := r.loads.Load(); n != 4 {
		t.Errorf("%d loads, want 4", n)
	}

	c.Stale()
	r.fail = errors.New("down")
	if _, err := c.Get(t.Context(), "a"); !errors.Is(err, r.fail) {
		t.Errorf("revalidation in an outage: %v, want the outage", err)
	}
	r.fail = nil
	if again, _ := c.Get(t.Context(), "a"); again != a {
		t.Error("an outage lost the entry; want it kept")
	}
	r.set("a", 0)
	c.Stale()
	if _, err := c.Get(t.Context(), "a"); !errors.Is(err, errNone) {
		t.Errorf("after its removal: %v, want %v", err, errNone)
	}
}

func TestCacheRemembersAbsenceBriefly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &rows{}
		c := newCache(t, CacheConfig{}, errNone, nil, r.load)
		for range 3 {
			if _, err := c.Get(t.Context(), "a"); !errors.Is(err, errNone) {
				t.Fatalf("err = %v, want %v", err, errNone)
			}
		}
		if n := r.loads.Load(); n != 1 {
			t.Errorf("%d loads, want 1", n)
		}
		time.Sleep(2 * time.Second)
		_, _ = c.Get(t.Context(), "a")
		if n := r.loads.Load(); n != 2 {
			t.Errorf("%d loads after 2 s, want 2", n)
		}
		r.set("a", 1)
		c.Drop("a")
		if v := get(t, c, "a"); v != 1 {
			t.Errorf("after the feed announced it: %d, want 1", v)
		}
	})
}

// Reads prolong nothing: a key that is read in a tight loop is loaded again as often as one that is
// read now and then, whether it was absent or its entry is stale.
func TestReadsInALoopProlongNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &rows{}
		c := newCache(t, CacheConfig{Absent: 2 * time.Second}, errNone, nil, r.load)
		const every = 10 * time.Millisecond
		for range 10 * time.Second / every { // loads at 0, 2, 4, 6 and 8 s
			if _, err := c.Get(t.Context(), "a"); !errors.Is(err, errNone) {
				t.Fatalf("err = %v, want %v", err, errNone)
			}
			time.Sleep(every)
		}
		if n := r.loads.Load(); n != 5 {
			t.Errorf("%d loads in 10 s of reads of an absent key, want 5", n)
		}

		r.set("a", 1) // without a word of the feed
		time.Sleep(2 * time.Second)
		before := r.loads.Load()
		const gaps, reads = 20, 1000
		for version := range gaps {
			r.set("a", version+1)
			c.Stale()
			for range reads {
				if v := get(t, c, "a"); v != version+1 {
					t.Fatalf("got %d after gap %d, want %d", v, version, version+1)
				}
				time.Sleep(time.Millisecond)
			}
		}
		if n := r.loads.Load() - before; n != gaps {
			t.Errorf("%d loads in %d reads with %d gaps, want one for each gap", n, gaps*reads, gaps)
		}
	})
}

func TestCacheAPanicOfALoadIsAnError(t *testing.T) {
	c := newCache(t, CacheConfig{}, errNone, nil,
		func(context.Context, string, *int, *int) (bool, error) { panic("boom") })
	if _, err := c.Get(t.Context(), "a"); err == nil || errors.Is(err, errNone) {
		t.Errorf("err = %v, want an outage", err)
	}
}

func TestCacheHitAllocatesNothing(t *testing.T) {
	r := &rows{}
	r.set("a", 1)
	c := newCache(t, CacheConfig{}, errNone, nil, r.load)
	get(t, c, "a")
	if n := testing.AllocsPerRun(1000, func() { c.Hit("a") }); n != 0 {
		t.Errorf("%v allocations, want 0", n)
	}
}

// page is a value of any length.
type page struct{ text string }

func (p *page) Bytes() int { return len(p.text) }

// A client that makes its entries long gets fewer of them, not more memory.
func TestACacheIsBoundedByBytesToo(t *testing.T) {
	const size = 1000
	for name, test := range map[string]struct{ each, most int }{
		"short ones":                 {10, size},
		"of a share":                 {Share, size},
		"of two shares":              {Share + 1, size / 2},
		"of ten shares":              {10 * Share, size / 10},
		"one that fills it ten-fold": {10 * size * Share, 0},
	} {
		t.Run(name, func(t *testing.T) {
			c := newCache[int, page](t, CacheConfig{Size: size}, errNone, nil, nil)
			text := strings.Repeat("x", test.each)
			for n := range 3 * size {
				c.Put(n, c.Age(), func(p *page) { p.text = text })
			}
			c.held.CleanUp()
			if got := c.Len(); got > test.most || got < test.most/2 {
				t.Errorf("%d entries held, want %d", got, test.most)
			}
		})
	}
}

// That there is no row is remembered so long and no longer, whatever the machine's clock is
// set to meanwhile.
func TestAbsenceWhileTheClockIsSet(t *testing.T) {
	for _, step := range []int64{-3600, 3600} {
		at := time.Now()
		table := &rows{}
		c := newCache(t, CacheConfig{Absent: 2 * time.Second}, errNone, func() time.Time { return at }, table.load)
		get := func(want int32) {
			t.Helper()
			if _, err := c.Get(t.Context(), "k"); !errors.Is(err, errNone) {
				t.Errorf("got error %v, want %v", err, errNone)
			}
			if got := table.loads.Load(); got != want {
				t.Errorf("clock set by %d s: got %d loads, want %d", step, got, want)
			}
		}
		get(1)
		at = testenv.Stepped(at, step)
		get(1)
		at = at.Add(2 * time.Second)
		get(2)
	}
}

// newCache is NewCache with room and loads enough where a test does not say how many.
func newCache[K comparable, V any](
	t testing.TB, cfg CacheConfig, absent error, now func() time.Time, load Loader[K, V],
) *Cache[K, V] {
	t.Helper()
	cfg.Size, cfg.Loads = cmp.Or(cfg.Size, 1000), cmp.Or(cfg.Loads, 64)
	c, err := NewCache(cfg, absent, now, load)
	if err != nil {
		t.Fatal(err)
	}
	return c
}
