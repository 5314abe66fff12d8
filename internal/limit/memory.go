package limit

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"time"
)

// Memory holds the buckets of this process only, and forgets them with it. Its zero value is
// ready.
type Memory struct {
	// Max bounds the keys: 100,000. Beyond it those go first whose buckets are full, then
	// those that would let something pass, then those that will do so soonest: a flood of
	// keys neither grows the memory nor sets a waiting caller free.
	Max int

	mu      sync.Mutex
	buckets map[KeyHash]bucket
}

// bucket has times in microseconds.
type bucket struct {
	full int64 // when it is full
	open int64 // when it lets one pass
}

const defaultMax = 100_000

var _ Store = (*Memory)(nil)

// Take implements Store.
func (m *Memory) Take(_ context.Context, key string, r Rule, now time.Time) (time.Duration, error) {
	if !r.Passes() {
		return r.Wait(), nil
	}
	step, room := r.Micros()
	m.mu.Lock()
	defer m.mu.Unlock()
	h, t := HashOf(key), now.UnixMicro()
	b, known := m.buckets[h]
	next, wait := Spend(b.full, t, 1, step, room)
	if wait > 0 {
		return time.Duration(wait) * time.Microsecond, nil
	}
	if !known {
		m.makeRoom(t)
	}
	m.buckets[h] = bucket{full: next, open: next + step - room}
	return 0, nil
}

// Return implements Store.
func (m *Memory) Return(_ context.Context, key string, r Rule, now time.Time) error {
	if !r.Passes() {
		return nil
	}
	step, room := r.Micros()
	m.mu.Lock()
	defer m.mu.Unlock()
	h, t := HashOf(key), now.UnixMicro()
	b, known := m.buckets[h]
	if !known {
		return nil
	}
	if next, _ := Spend(b.full, t, -1, step, room); next > t {
		m.buckets[h] = bucket{full: next, open: next + step - room}
	} else {
		delete(m.buckets, h)
	}
	return nil
}

// Clear implements Store.
func (m *Memory) Clear(_ context.Context, key string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.buckets, HashOf(key))
	return nil
}

// makeRoom has place for one more key afterwards. It drops a sixteenth at a time, so that a
// flood pays for a look at all keys once in so many.
func (m *Memory) makeRoom(now int64) {
	if m.buckets == nil {
		m.buckets = make(map[KeyHash]bucket)
	}
	limit := cmp.Or(m.Max, defaultMax)
	if len(m.buckets) < limit {
		return
	}
	type entry struct {
		KeyHash
		bucket
	}
	var rest []entry
	for h, b := range m.buckets {
		if b.full <= now {
			delete(m.buckets, h)
		} else {
			rest = append(rest, entry{h, b})
		}
	}
	surplus := len(m.buckets) - (limit - max(1, limit/16))
	if surplus <= 0 {
		return
	}
	slices.SortFunc(rest, func(a, b entry) int {
		return cmp.Or(cmp.Compare(max(a.open, now), max(b.open, now)), cmp.Compare(a.full, b.full))
	})
	for _, e := range rest[:surplus] {
		delete(m.buckets, e.KeyHash)
	}
}
