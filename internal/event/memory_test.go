package event

import (
	"context"
	"strconv"
	"sync"
	"time"
)

// memory is an Outbox of one destination in memory, with a lease for every caller.
type memory struct {
	mu      sync.Mutex
	rows    []*row
	hint    chan struct{}
	broken  error // of every call
	undying error // of DeleteEvents
	leases  int   // calls of Lease
	left    int   // calls of ReleaseLease
}

type row struct {
	Item
	next   time.Time
	parked bool
	reason string
}

func newMemory() *memory { return &memory{hint: make(chan struct{}, 1)} }

func (m *memory) add(uid string) int64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	id := int64(len(m.rows) + 1)
	m.rows = append(m.rows, &row{Item: Item{UUID: strconv.FormatInt(id, 10), ID: id, Event: Event{Name: "system.x", UID: uid}, CreatedAt: time.Now()}})
	select {
	case m.hint <- struct{}{}:
	default:
	}
	return id
}

func (m *memory) index(uuid string) int {
	id, _ := strconv.Atoi(uuid)
	return id - 1
}

func (m *memory) set(f func()) {
	m.mu.Lock()
	defer m.mu.Unlock()
	f()
}

func (m *memory) DueEvents(_ context.Context, _ string, now time.Time, limit, share int) (due []Item, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	blocked, count := map[string]bool{}, map[string]int{}
	for _, r := range m.rows {
		switch {
		case r == nil || r.parked || blocked[r.UID]:
		case r.next.After(now):
			blocked[r.UID] = true
		case len(due) < limit && count[r.UID] < share:
			due = append(due, r.Item)
			count[r.UID]++
		}
	}
	return due, m.broken
}

func (m *memory) DeleteEvents(_ context.Context, uuids ...string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.undying != nil {
		return m.undying
	}
	for _, uuid := range uuids {
		m.rows[m.index(uuid)] = nil
	}
	return m.broken
}

func (m *memory) RetryEvent(_ context.Context, uuid string, until time.Time, reason string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	r := m.rows[m.index(uuid)]
	r.Attempts++
	r.next, r.reason = until, reason
	return m.broken
}

func (m *memory) ParkEvent(_ context.Context, uuid string, _ time.Time, reason string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.rows[m.index(uuid)].parked, m.rows[m.index(uuid)].reason = true, reason
	return m.broken
}

func (m *memory) DeleteParkedEvents(context.Context, time.Time) (int, error) { return 0, nil }

func (m *memory) EventBacklog(context.Context, string) (b Backlog, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, r := range m.rows {
		switch {
		case r == nil:
		case r.parked:
			b.Parked++
		default:
			b.Waiting++
		}
	}
	return b, m.broken
}

func (m *memory) EventHint() <-chan struct{} { return m.hint }

func (m *memory) Lease(context.Context, string, string, time.Duration) (bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.leases++
	return m.broken == nil, m.broken
}

func (m *memory) ReleaseLease(context.Context, string, string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.left++
	return nil
}

// row is a copy of one; nil when it is gone.
func (m *memory) row(n int) *row {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.rows[n] == nil {
		return nil
	}
	r := *m.rows[n]
	return &r
}

func (m *memory) calls() (leases, left int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.leases, m.left
}
