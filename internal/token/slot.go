package token

import (
	"sync"
	"sync/atomic"
	"time"
)

// A Slot belongs to one cached credential and remembers the last bearer token minted for it,
// one for each party. Its zero value is ready. It must not be copied after first use and is
// safe for concurrent use.
type Slot struct {
	last    atomic.Pointer[minted] // the newest; the others hang on it
	minting sync.Mutex
}

// maxParties bounds the tokens of one slot.
const maxParties = 16

// minted is a token, its inputs, and the one that was minted before it for another
// party. It never changes.
type minted struct {
	bearer  string // "Bearer <jwt>"
	party   string
	kid     string
	version int64
	until   int64 // unix nanoseconds at which reuse ends
	older   *minted
}

// others copies those tokens for other parties that may still be reused, at most so many.
func (m *minted) others(party string, now int64, most int) *minted {
	for ; m != nil && most > 0; m = m.older {
		if m.party != party && now < m.until {
			kept := *m
			kept.older = m.older.others(party, now, most-1)
			return &kept
		}
	}
	return nil
}

// Trim forgets tokens that may not be reused any more, so that idle credentials do not pin
// them, and reports whether there is none left.
func (s *Slot) Trim(now time.Time) bool {
	m := s.last.Load()
	at := now.UnixNano()
	for e := m; e != nil; e = e.older {
		if at < e.until {
			return false
		}
	}
	return m == nil || s.last.CompareAndSwap(m, nil)
}
