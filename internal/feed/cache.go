package feed

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"sync"
	"sync/atomic"
	"time"

	"github.com/maypok86/otter/v2"
)

// CacheConfig tunes a Cache. Size and Loads are mandatory; zero values of the others mean those
// given here.
type CacheConfig struct {
	// Size bounds the entries held, and their bytes at Share for each.
	Size int
	// Loads bounds the loads in flight. A caller that finds them all taken waits.
	Loads int
	// Timeout bounds one load, whatever its callers' deadlines: 5 s.
	Timeout time.Duration
	// Absent is how long "no such key" is remembered, for at most AbsentSize keys:
	// 2 s and 10,000. A negative Absent remembers nothing.
	Absent     time.Duration
	AbsentSize int
}

// Validate lists every problem.
func (c CacheConfig) Validate() error {
	var problems []error
	if c.Size < 1 {
		problems = append(problems, fmt.Errorf("size of the cache is %d, want 1 or more", c.Size))
	}
	if c.Loads < 1 {
		problems = append(problems, fmt.Errorf("loads at once are %d, want 1 or more", c.Loads))
	}
	return errors.Join(problems...)
}

func (c CacheConfig) withDefaults() CacheConfig {
	if c.Timeout <= 0 {
		c.Timeout = 5 * time.Second
	}
	if c.Absent == 0 {
		c.Absent = 2 * time.Second
	}
	if c.AbsentSize <= 0 {
		c.AbsentSize = 10_000
	}
	return c
}

// Share is how many bytes of a Sized value take one place of a cache; one of more takes more.
const Share = 256

// Sized is implemented, by pointer, by values that keep data that clients may make long.
type Sized interface {
	// Bytes is how much the value keeps beyond its own size.
	Bytes() int
}

// places is how many of CacheConfig.Size a value takes.
func places(value any) uint32 {
	s, ok := value.(Sized)
	if !ok {
		return 1
	}
	return uint32(max(1, (s.Bytes()+Share-1)/Share))
}

// A Loader fills into with the row of key, or returns an error: the cache's absent error
// when there is none, any other for an outage. When an entry is revalidated, old is the one
// held; returning keep says that it still stands (Loader may have updated its atomic
// fields) and into is thrown away.
type Loader[K comparable, V any] func(ctx context.Context, key K, old, into *V) (keep bool, err error)

// A Cache holds rows that the change feed keeps true: Drop is called for each change, Stale
// after a gap. A hit takes no lock shared with other readers and allocates nothing. Of each
// key one load at a time is in flight; a load that began before a Drop of its key never
// stores its row. Values are shared: fields that change must be atomic.
//
// Keys that alias memory of a request must be cloned before Get; Hit needs no clone.
type Cache[K comparable, V any] struct {
	cfg    CacheConfig
	load   Loader[K, V]
	absent error
	now    func() time.Time

	held *otter.Cache[K, *slot[V]]
	// missing remembers keys without a row, each until the time it maps to, whatever the
	// machine's clock is set to meanwhile.
	missing *otter.Cache[K, time.Time]
	// age is raised by Stale; slots and calls remember the age at which they began.
	age atomic.Uint32

	slots chan struct{} // one token per load in flight

	mu    sync.Mutex
	calls map[K]*call[V]
}

// A slot is one entry and the age of the cache at which its load began.
type slot[V any] struct {
	value V
	age   atomic.Uint32
}

// A call is one load in flight.
type call[V any] struct {
	done    chan struct{}
	dropped bool // by Drop or Put; guarded by Cache.mu
	value   *V
	err     error
}

// errUnled ends a call whose first caller gave up before the load began; others lead anew.
var errUnled = errors.New("feed: load given up")

// NewCache checks cfg and makes a cache; absent is the error by which load says that there is no
// row, now may be nil for time.Now.
func NewCache[K comparable, V any](
	cfg CacheConfig, absent error, now func() time.Time, load Loader[K, V],
) (*Cache[K, V], error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	cfg = cfg.withDefaults()
	if now == nil {
		now = time.Now
	}
	return &Cache[K, V]{
		cfg: cfg, load: load, absent: absent, now: now,
		held: otter.Must(&otter.Options[K, *slot[V]]{
			MaximumWeight: uint64(cfg.Size),
			Weigher:       func(_ K, s *slot[V]) uint32 { return places(&s.value) },
		}),
		missing: otter.Must(&otter.Options[K, time.Time]{MaximumSize: cfg.AbsentSize}),
		slots:   make(chan struct{}, cfg.Loads),
		calls:   make(map[K]*call[V]),
	}, nil
}

// Hit returns the entry of key when it is held and needs no revalidation, else nil.
func (c *Cache[K, V]) Hit(key K) *V {
	s, ok := c.held.GetIfPresent(key)
	if !ok || s.age.Load() != c.age.Load() {
		return nil
	}
	return &s.value
}

// Get returns the entry of key, loading it when it is not held or stale. Errors: the absent
// error, ctx's, or the load's own.
func (c *Cache[K, V]) Get(ctx context.Context, key K) (*V, error) {
	if v := c.Hit(key); v != nil {
		return v, nil
	}
	if until, ok := c.missing.GetIfPresent(key); ok && c.now().Before(until) {
		return nil, c.absent
	}
	return c.Reload(ctx, key)
}

// Reload is Get that never answers from memory.
func (c *Cache[K, V]) Reload(ctx context.Context, key K) (*V, error) {
	for {
		c.mu.Lock()
		flight, joined := c.calls[key]
		if !joined {
			flight = &call[V]{done: make(chan struct{})}
			c.calls[key] = flight
		}
		c.mu.Unlock()
		if !joined {
			c.lead(ctx, key, flight)
		}
		select {
		case <-flight.done:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		if !errors.Is(flight.err, errUnled) {
			return flight.value, flight.err
		}
		if err := ctx.Err(); err != nil {
			return nil, err
		}
	}
}

// lead takes one of the load tokens and starts the load; its end closes flight.done. The
// load outlives ctx, since others may wait for it.
func (c *Cache[K, V]) lead(ctx context.Context, key K, flight *call[V]) {
	select {
	case c.slots <- struct{}{}:
	case <-ctx.Done():
		c.finish(key, flight, nil, errUnled)
		return
	}
	go func() {
		defer func() { <-c.slots }()
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), c.cfg.Timeout)
		defer cancel()
		into := &slot[V]{}
		age := c.age.Load()
		into.age.Store(age)
		old, _ := c.held.GetEntryQuietly(key)
		var before *V
		if old.Value != nil {
			before = &old.Value.value
		}
		keep, err := c.guarded(ctx, key, before, &into.value)
		if err == nil && keep && old.Value != nil {
			old.Value.age.Store(age)
			into = old.Value
		}
		c.finish(key, flight, into, err)
	}()
}

// guarded turns a panic of load into an outage: it runs on no request's goroutine, whose
// own recovery would catch it.
func (c *Cache[K, V]) guarded(ctx context.Context, key K, old, into *V) (keep bool, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("feed: load panicked: %v", p)
		}
	}()
	return c.load(ctx, key, old, into)
}

// finish stores the outcome unless the key was dropped meanwhile, and wakes the callers.
func (c *Cache[K, V]) finish(key K, flight *call[V], s *slot[V], err error) {
	c.mu.Lock()
	if !flight.dropped {
		delete(c.calls, key)
		switch {
		case err == nil:
			c.held.Set(key, s)
		case errors.Is(err, c.absent):
			c.held.Invalidate(key)
			if c.cfg.Absent > 0 {
				c.missing.Set(key, c.now().Add(c.cfg.Absent))
			}
		}
	}
	c.mu.Unlock()
	if flight.err = err; err == nil {
		flight.value = &s.value
	}
	close(flight.done)
}

// Drop forgets key: the next Get loads it, and a load now in flight stores nothing.
func (c *Cache[K, V]) Drop(key K) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.forget(key)
}

// forget is Drop under the lock.
func (c *Cache[K, V]) forget(key K) {
	if flight, ok := c.calls[key]; ok {
		flight.dropped = true
		delete(c.calls, key)
	}
	c.held.Invalidate(key)
	c.missing.Invalidate(key)
}

// Age changes with each Stale.
func (c *Cache[K, V]) Age() uint32 { return c.age.Load() }

// Put holds the value of fill for key, in place of any that was held or being loaded. age is the
// Age before its row was written: if it was made stale since, the row may be of a history that was
// lost, and the next Get loads it again.
func (c *Cache[K, V]) Put(key K, age uint32, fill func(*V)) *V {
	s := &slot[V]{}
	s.age.Store(age)
	fill(&s.value)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.forget(key)
	c.held.Set(key, s)
	return &s.value
}

// Stale makes the next Get of every entry load it again, and forgets the absent keys.
// Entries stay held until their load says otherwise.
func (c *Cache[K, V]) Stale() {
	c.age.Add(1)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.missing.InvalidateAll()
	for key, flight := range c.calls { // these began before: none may answer later callers
		flight.dropped = true
		delete(c.calls, key)
	}
}

// All walks the entries held, in no order; those that come or go meanwhile may be missed.
func (c *Cache[K, V]) All() iter.Seq[*V] {
	return func(yield func(*V) bool) {
		for s := range c.held.Values() {
			if !yield(&s.value) {
				return
			}
		}
	}
}

// Len is about how many entries are held.
func (c *Cache[K, V]) Len() int { return c.held.EstimatedSize() }
