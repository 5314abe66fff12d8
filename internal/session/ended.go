package session

import (
	"sync"
	"time"
)

// ended remembers which sessions have ended until they would have expired anyway: a store
// that loses a delete, or brings a session back, is overruled by it. It keeps half of each
// ID: 128 bits of a SHA-256 do not collide by chance, and nobody chooses the cookies.
//
// Its time is the monotonic one: a machine's clock that jumps ahead must not make it forget.
type ended struct {
	born  time.Time // origin of until
	mu    sync.RWMutex
	until map[[16]byte]int64 // seconds since born
}

func (e *ended) add(id ID, until time.Time) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.until == nil {
		e.until = make(map[[16]byte]int64)
	}
	e.until[[16]byte(id[:16])] = e.since(until) + 1
}

func (e *ended) has(id ID) bool {
	e.mu.RLock()
	defer e.mu.RUnlock()
	_, found := e.until[[16]byte(id[:16])]
	return found
}

// since returns the value of until for a moment.
func (e *ended) since(at time.Time) int64 { return int64(at.Sub(e.born) / time.Second) }

// sweep forgets those whose time has passed.
func (e *ended) sweep(now time.Time) {
	e.mu.Lock()
	defer e.mu.Unlock()
	at := e.since(now)
	for id, until := range e.until {
		if until < at {
			delete(e.until, id)
		}
	}
}
