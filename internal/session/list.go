package session

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"slices"
	"time"
)

// MaxListed is how many sessions of a user a list holds, the newest: more than MaxSessions
// only where they were opened before there was that bound.
const MaxListed = 1000

// Handle names a session to its user: 128 bits in 22 characters of base64url, made one way
// from the ID, so that neither the ID nor the cookie follows from it.
func (id ID) Handle() string {
	sum := sha256.Sum256(append([]byte("barong session handle\x00"), id[:]...))
	return base64.RawURLEncoding.EncodeToString(sum[:16])
}

// A Live session is one of a list.
type Live struct {
	Session
	// Seen is when it was last used, up to a 60th of the lifetime before that; once the
	// absolute lifetime leaves no room for a whole lifetime, the moment when it began to.
	Seen time.Time
}

// List returns the sessions of uid that are valid at now, newest first, MaxListed at most:
// not expired, of this generation (the principal's own, just read) and of this epoch, and not
// ended. The ledger itself says which have ended, so no replica's delay shows here.
// current, if not nil, is looked at even when the store does not list it.
//
// It costs a ledger read for each session and is meant for people, not for decisions.
func (m *Manager) List(
	ctx context.Context, uid string, generation int64, current *Entry, now time.Time,
) ([]Live, error) {
	if err := m.sync(ctx); err != nil {
		return nil, err
	}
	epoch, err := m.ledger.Epoch(ctx)
	if err != nil {
		return nil, fmt.Errorf("read session epoch: %w", err)
	}
	rows, err := m.store.SessionsOf(ctx, uid, now)
	if err != nil {
		return nil, fmt.Errorf("list sessions: %w", err)
	}
	if current != nil && !slices.ContainsFunc(rows, func(s Session) bool { return s.ID == current.ID }) {
		s := current.Session
		s.ExpiresAt = current.Expires()
		rows = append(rows, s)
	}
	live := make([]Live, 0, len(rows))
	for _, s := range rows {
		if e := m.cache.Hit(s.ID); e != nil && e.Expires().After(s.ExpiresAt) {
			s.ExpiresAt = e.Expires() // slid, and not in the store yet
		}
		if s.UID != uid || !s.Of(generation, epoch) || !now.Before(s.ExpiresAt) {
			continue
		}
		ended, err := m.ledger.Ended(ctx, s.ID)
		if err != nil {
			return nil, fmt.Errorf("list sessions: %w", err)
		}
		if !ended {
			live = append(live, Live{Session: s, Seen: m.seen(s, now)})
		}
	}
	slices.SortFunc(live, func(a, b Live) int {
		return cmp.Or(b.CreatedAt.Compare(a.CreatedAt), bytes.Compare(a.ID[:], b.ID[:]))
	})
	return live[:min(len(live), MaxListed)], nil
}

// seen follows from the expiry, which every use moves to a lifetime later.
func (m *Manager) seen(s Session, now time.Time) time.Time {
	at := s.ExpiresAt.Add(-m.cfg.Lifetime)
	if at.Before(s.CreatedAt) {
		at = s.CreatedAt
	}
	if at.After(now) { // opened under a longer lifetime, or by a clock that is ahead
		at = now.UTC()
	}
	return at
}
