package policy

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"barong/internal/feed"
)

// A RestrictionQuery selects restrictions, by id.
type RestrictionQuery struct {
	Scope, Category string // "" matches any
	// From and To bound the time of creation, or of the last change when Updated is set; a
	// zero time is no bound. From is included, To is not.
	From, To      time.Time
	Updated       bool
	Limit, Offset int
}

// A RestrictionChange adds a row when ID is 0, removes the row ID when Remove is set, and
// otherwise changes the fields of the row ID that are not nil. Code nil means the default
// for a new row (AZ-49) and no change for one that is there.
type RestrictionChange struct {
	ID                            int64
	Remove                        bool
	Category, Scope, Value, State *string
	Code                          *int
}

// RestrictionPage lists restrictions by id, and counts all that match.
func (s *Service) RestrictionPage(ctx context.Context, q RestrictionQuery) ([]Restriction, int, error) {
	return s.store.RestrictionPage(ctx, q)
}

// ChangeRestriction makes the change and returns the policy version that includes it. A
// blocklogin rule that it enables ends the sessions that it matches (design D11).
// ErrNotFound, ErrStale, Invalid, ErrTaken, ErrWouldLockOut. A change that changes nothing
// writes nothing.
func (s *Service) ChangeRestriction(ctx context.Context, e Edit, c RestrictionChange) (version feed.Cursor, err error) {
	err = s.store.ChangePolicy(ctx, func(tx ServiceTx) error {
		if err := tx.LockPolicy(ctx); err != nil {
			return err
		}
		rows, err := tx.Restrictions(ctx)
		if err != nil {
			return err
		}
		m, err := c.plan(rows)
		if err != nil {
			return err
		}
		if m.before != nil {
			if err := e.sees(m.before.LockVersion); err != nil {
				return err
			}
		}
		if m.nothing() {
			version = s.Version()
			return nil
		}
		if !e.forces() && s.shutsOut(e.By.IP, m) {
			return ErrWouldLockOut
		}
		if err := s.moveRestriction(ctx, tx, e, m); err != nil {
			return err
		}
		version, err = tx.NextChange(ctx)
		return err
	})
	if err != nil {
		return feed.Cursor{}, fmt.Errorf("change restriction: %w", err)
	}
	return version, nil
}

func (s *Service) moveRestriction(ctx context.Context, tx ServiceTx, e Edit, m restrictionMove) error {
	note := change[restrictionNote]{Force: e.Force, Before: restrictionNoteOf(m.before)}
	var err error
	switch {
	case m.before == nil:
		err = tx.AddRestriction(ctx, m.after)
	case m.after == nil:
		err = tx.DeleteRestriction(ctx, m.before.ID)
	default:
		err = tx.PutRestriction(ctx, m.after)
	}
	if err != nil {
		return err
	}
	note.After = restrictionNoteOf(m.after)
	if m.after != nil {
		note.ID = m.after.ID
	} else {
		note.ID = m.before.ID
	}
	return tx.AddActivity(ctx, s.activity(e.By, topicRestrictions, note.action(), note))
}

// restrictionNote is the part of a row that activities keep.
type restrictionNote struct {
	Category string `json:"category"`
	Scope    string `json:"scope"`
	Value    string `json:"value"`
	Code     int    `json:"code"`
	State    string `json:"state"`
}

func restrictionNoteOf(r *Restriction) *restrictionNote {
	if r == nil {
		return nil
	}
	return &restrictionNote{r.Category, r.Scope, r.Value, r.Code, r.State}
}

// A restrictionMove is a change worked out against the rows there are.
type restrictionMove struct {
	rows          []Restriction // all, before
	before, after *Restriction  // nil for none
}

func (m restrictionMove) nothing() bool {
	return m.before != nil && m.after != nil && *restrictionNoteOf(m.before) == *restrictionNoteOf(m.after)
}

// result are all rows after the move.
func (m restrictionMove) result() []Restriction {
	return moved(m.rows, m.before, m.after, func(r *Restriction) *int64 { return &r.ID })
}

// plan works c out: ErrNotFound, Invalid with every problem, ErrTaken.
func (c RestrictionChange) plan(rows []Restriction) (restrictionMove, error) {
	m := restrictionMove{rows: rows}
	if c.ID != 0 {
		i := slices.IndexFunc(rows, func(r Restriction) bool { return r.ID == c.ID })
		if i < 0 {
			return m, ErrNotFound
		}
		m.before = &rows[i]
	}
	if c.Remove {
		if m.before == nil {
			return m, ErrNotFound
		}
		return m, nil
	}
	var r Restriction
	if m.before != nil {
		r = *m.before
	}
	for _, f := range []struct{ to, from *string }{
		{&r.Category, c.Category}, {&r.Scope, c.Scope}, {&r.Value, c.Value}, {&r.State, c.State},
	} {
		if f.from != nil {
			*f.to = *f.from
		}
	}
	switch {
	case c.Code != nil && *c.Code == 0:
		r.Code = -1 // 0 would ask for the default
	case c.Code != nil:
		r.Code = *c.Code
	case !denies(r.Code):
		r.Code = 0 // leftovers of an import must not stand in the way (FX-23)
	}
	var bad Invalid
	if err := r.Normalize(); errors.As(err, &bad) {
		return m, bad
	} else if err != nil {
		return m, err
	}
	m.after = &r
	if slices.ContainsFunc(rows, func(q Restriction) bool {
		return q.ID != r.ID && q.Category == r.Category && q.Scope == r.Scope && q.Value == r.Value
	}) {
		return m, ErrTaken
	}
	return m, nil
}

const (
	restrictionsPath = own + "admin/restrictions"
	signInPath       = own + "identity/sessions"
)

// shutsOut says whether a client at ip can reach the restrictions, or sign in, before the
// move and cannot after it.
func (s *Service) shutsOut(ip netip.Addr, m restrictionMove) bool {
	before, after := s.compile(Rows{Restrictions: m.rows}), s.compile(Rows{Restrictions: m.result()})
	refused := func(method, path string) bool {
		return before.Restricted(ip, method, path) == nil && after.Restricted(ip, method, path) != nil
	}
	return refused("GET", restrictionsPath) || refused("POST", signInPath)
}

// enabled says whether the row is in force.
func (r *Restriction) enabled() bool { return r != nil && strings.EqualFold(r.State, Enabled) }
