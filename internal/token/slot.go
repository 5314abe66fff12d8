package token

import (
	"sync"
	"sync/atomic"
	"time"
)

// A Slot belongs to one cached credential and remembers the last bearer token minted for it.
// Its zero value is ready. It must not be copied after first use and is safe for concurrent
// use.
type Slot struct {
	last    atomic.Pointer[minted]
	minting sync.Mutex
}

// minted is a token and what it depends on.
type minted struct {
	bearer  string // "Bearer <jwt>"
	kid     string
	version int64
	until   int64 // unix nanoseconds at which reuse ends
}

// Trim forgets a token that may not be reused any more, so that idle credentials do not pin
// one each, and reports whether there is none left.
func (s *Slot) Trim(now time.Time) bool {
	m := s.last.Load()
	if m == nil {
		return true
	}
	return now.UnixNano() >= m.until && s.last.CompareAndSwap(m, nil)
}
