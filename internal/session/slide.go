package session

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// slideBatch bounds the sessions of one SlideSessions call.
const slideBatch = 1000

// slides are new expiries that the store does not have yet.
type slides struct {
	mu sync.Mutex
	to map[ID]time.Time
}

func (s *slides) add(id ID, at time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.to == nil {
		s.to = make(map[ID]time.Time)
	}
	if at.After(s.to[id]) {
		s.to[id] = at
	}
}

func (s *slides) drop(id ID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.to, id)
}

// take empties s.
func (s *slides) take() map[ID]time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	to := s.to
	s.to = nil
	return to
}

// Slide moves the expiry of a session in use to a lifetime from now, at once for this
// process and by Flush for the store. It does so when that gains at least a 60th of the
// lifetime, so losing unflushed ones ends the session earlier by no more than that;
// never past the absolute lifetime (FX-53), never back, and never for one that has expired.
func (m *Manager) Slide(e *Entry, now time.Time) {
	at := now.Add(m.cfg.Lifetime)
	if last := e.CreatedAt.Add(m.cfg.Absolute); at.After(last) {
		at = last
	}
	old := e.expires.Load()
	if now.UnixMicro() >= old || at.UnixMicro()-old < (m.cfg.Lifetime/60).Microseconds() {
		return
	}
	if e.expires.CompareAndSwap(old, at.UnixMicro()) {
		m.slides.add(e.ID, at.UTC())
	}
}

// Flush writes all slides so far to the store. Sessions that have ended meanwhile stay so
// (FX-46). Slides that the store did not take are kept for the next Flush.
func (m *Manager) Flush(ctx context.Context) error {
	to := m.slides.take()
	batch := make(map[ID]time.Time, min(len(to), slideBatch))
	for id, at := range to {
		batch[id] = at
		if len(batch) < slideBatch && len(batch) < len(to) {
			continue
		}
		if err := m.store.SlideSessions(ctx, batch); err != nil {
			for id, at := range to {
				m.slides.add(id, at)
			}
			return fmt.Errorf("slide sessions: %w", err)
		}
		for id := range batch {
			delete(to, id)
		}
		clear(batch)
	}
	return nil
}
