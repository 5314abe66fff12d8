package redis

import (
	"sync"
	"time"
)

// A breaker stops calls after limit failures in a row. A pause later it lets one through: its
// success lets all through again, its failure starts another pause.
type breaker struct {
	limit int
	pause time.Duration
	now   func() time.Time

	mu       sync.Mutex
	failures int // in a row, counted up to limit
	until    time.Time
	probing  bool // one call is finding out
	opened   int64
}

// allow reports whether a call may go on, and whether it is the one that finds out. A call that
// goes on must end by succeeded, failed or gaveUp.
func (b *breaker) allow() (probe, ok bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.failures < b.limit {
		return false, true
	}
	if b.probing || b.now().Before(b.until) {
		return false, false
	}
	b.probing = true
	return true, true
}

// succeeded lets all through; it reports whether they were not before.
func (b *breaker) succeeded() (closed bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	closed = b.failures >= b.limit
	b.failures, b.probing = 0, false
	return closed
}

// failed counts; it reports whether this failure was the one that stopped all others.
func (b *breaker) failed(probe bool) (opened bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if probe {
		b.probing = false
	}
	if b.failures < b.limit {
		if b.failures++; b.failures < b.limit {
			return false
		}
		b.opened++
		opened = true
	}
	b.until = b.now().Add(b.pause)
	return opened
}

// gaveUp says that the call found out nothing.
func (b *breaker) gaveUp(probe bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if probe {
		b.probing = false
	}
}

// state returns how often calls were stopped, and whether the next one would be.
func (b *breaker) state() (opened int64, open bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.opened, b.failures >= b.limit && (b.probing || b.now().Before(b.until))
}

// closed reports whether calls go on as if nothing was wrong.
func (b *breaker) closed() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.failures < b.limit
}

// trip stops calls as limit failures in a row do.
func (b *breaker) trip() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.failures < b.limit {
		b.failures, b.until = b.limit, b.now().Add(b.pause)
		b.opened++
	}
}
