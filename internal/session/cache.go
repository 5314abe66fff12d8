package session

import (
	"sync/atomic"
	"time"
	"unique"

	"barong/internal/token"
)

// An Entry is a session as decisions see it: shared between requests, its Session fixed
// but for the expiry, which only Expires knows (Session.ExpiresAt is the one at load).
type Entry struct {
	Session
	// Token holds the bearer token last minted for this session.
	Token token.Slot

	expires atomic.Int64 // Unix microseconds
	// lost is one more than the generation that the user turned out to have although this
	// session's is later; 0 for none.
	lost atomic.Int64
	// agent keeps the interned user agent alive: a million sessions share a few hundred.
	agent unique.Handle[string]
}

// NewEntry makes the entry of a session that no manager holds.
func NewEntry(s Session) *Entry {
	e := &Entry{}
	e.set(s)
	return e
}

// Expires is when the session ends unless it slides further. Safe for concurrent use.
func (e *Entry) Expires() time.Time { return time.UnixMicro(e.expires.Load()).UTC() }

// Lost reports whether SetLost was called with this generation.
func (e *Entry) Lost(generation int64) bool { return e.lost.Load() == generation+1 }

// SetLost notes that the database gives the user this generation, and not the later one of the
// session, which is of a history that was lost. Safe for concurrent use.
func (e *Entry) SetLost(generation int64) { e.lost.Store(generation + 1) }

// set fills an entry nobody else sees yet. Its strings do not alias those of s.
func (e *Entry) set(s Session) {
	e.Session = s
	e.agent = unique.Make(Agent(s.UserAgent))
	e.UserAgent = e.agent.Value()
	both := s.UID + s.CSRFToken // one allocation for the two
	e.UID, e.CSRFToken = both[:len(s.UID)], both[len(s.UID):]
	e.expires.Store(s.ExpiresAt.UnixMicro())
}

// Bytes implements feed.Sized.
func (e *Entry) Bytes() int { return len(e.UID) + len(e.CSRFToken) + len(e.UserAgent) }

// raise moves the expiry to at unless it is later already.
func (e *Entry) raise(at int64) {
	for {
		old := e.expires.Load()
		if at <= old || e.expires.CompareAndSwap(old, at) {
			return
		}
	}
}

// stands reports whether a reload that found s may keep e, with its minted token.
func (e *Entry) stands(s Session) bool {
	return e.ID == s.ID && e.UID == s.UID && e.IP == s.IP && e.UserAgent == Agent(s.UserAgent) &&
		e.CSRFToken == s.CSRFToken && e.Generation == s.Generation && e.Epoch == s.Epoch &&
		e.CreatedAt.Equal(s.CreatedAt)
}
