package session

import (
	"sync"
	"time"
)

// ended remembers which sessions have ended until they would have expired anyway: a store
// that loses a delete, or brings a session back, is overruled by it. It keeps half of each
// ID: 128 bits of a SHA-256 do not collide by chance, and nobody chooses the cookies.
type ended struct {
	mu    sync.RWMutex
	until map[[16]byte]int64 // Unix seconds
}

func (e *ended) add(id ID, until time.Time) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.until == nil {
		e.until = make(map[[16]byte]int64)
	}
	e.until[[16]byte(id[:16])] = until.Unix() + 1
}

func (e *ended) has(id ID) bool {
	e.mu.RLock()
	defer e.mu.RUnlock()
	_, found := e.until[[16]byte(id[:16])]
	return found
}

// sweep forgets those whose time has passed.
func (e *ended) sweep(now time.Time) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for id, until := range e.until {
		if until < now.Unix() {
			delete(e.until, id)
		}
	}
}
