package editor

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"barong/policy"
)

// A RestrictionQuery selects restrictions; zero matches any.
type RestrictionQuery struct {
	ID                     *int64
	Scope, Category, State string
	Values                 []string // of which a row has one; nil matches any
	Code                   *int
	// From and To bound the time of creation, or of the last change when Updated is set; a
	// zero time is no bound. From is included, To is not.
	From, To time.Time
	Updated  bool
	Order
	Limit, Offset int
}

// RestrictionOrders are the columns by which restrictions can be ordered.
func RestrictionOrders() []string {
	return []string{"id", "category", "scope", "value", "code", "state", "created_at", "updated_at"}
}

// A RestrictionChange adds a row when ID is nil, removes the row ID when Remove is set, and
// otherwise changes the fields of the row ID that are not nil. Code nil means the default
// for a new row (AZ-49) and no change for one that is there.
type RestrictionChange struct {
	ID       *int64  `json:"id,omitempty"`
	Remove   bool    `json:"remove,omitempty"`
	Category *string `json:"category,omitempty"`
	Scope    *string `json:"scope,omitempty"`
	Value    *string `json:"value,omitempty"`
	State    *string `json:"state,omitempty"`
	Code     *int    `json:"code,omitempty"`
}

// RestrictionPage lists restrictions, and counts all that match.
func (s *Service) RestrictionPage(ctx context.Context, q RestrictionQuery) ([]policy.Restriction, int, error) {
	return s.store.RestrictionPage(ctx, q)
}

// restrictions is the kind of restriction rows.
var restrictions = kind[policy.Restriction]{
	topic: "restrictions",
	list:  Tx.Restrictions, add: Tx.AddRestriction,
	put: Tx.PutRestriction, remove: Tx.DeleteRestriction,
	id:      func(r *policy.Restriction) *int64 { return &r.ID },
	version: func(r *policy.Restriction) int64 { return r.LockVersion },
	key:     func(r *policy.Restriction) any { return r.Key() },
	note: func(r *policy.Restriction) any {
		return restrictionNote{r.Category, r.Scope, r.Value, r.Code, r.State}
	},
}

// restrictionNote is the part of a row that activities keep.
type restrictionNote struct {
	Category string `json:"category"`
	Scope    string `json:"scope"`
	Value    string `json:"value"`
	Code     int    `json:"code"`
	State    string `json:"state"`
}

// ChangeRestriction makes the change. A
// blocklogin rule that it enables ends the sessions that it matches (design D11).
// ErrNotFound, ErrStale, Invalid, TakenError, ErrWouldLockOut; account.Asked and ErrTooManyRequests where it
// needs a second member of the staff. A change that changes nothing writes nothing.
func (s *Service) ChangeRestriction(ctx context.Context, e Edit, c RestrictionChange) (Outcome, error) {
	out, err := restrictions.change(ctx, s, e, c, s.judgedRestrictions())
	if err != nil {
		return Outcome{}, fmt.Errorf("change restriction: %w", err)
	}
	return out, nil
}

// judgedRestrictions are the parts by which changes of restrictions are judged.
func (s *Service) judgedRestrictions() judged[policy.Restriction] {
	return judged[policy.Restriction]{
		may: func(_ context.Context, _ Tx, e Edit, m move[policy.Restriction]) error {
			if !e.forces() && s.shutsOut(e.By.IP, m) {
				return ErrWouldLockOut
			}
			return nil
		},
		flips:   s.restrictionFlips,
		preview: s.previewRestrictionMove,
	}
}

func (c RestrictionChange) target() (id *int64, remove bool) { return c.ID, c.Remove }

func (c RestrictionChange) apply(r *policy.Restriction, _ []policy.Restriction) error {
	set(&r.Category, c.Category)
	set(&r.Scope, c.Scope)
	set(&r.Value, c.Value)
	set(&r.State, c.State)
	switch {
	case c.Code != nil && *c.Code == 0:
		r.Code = -1 // 0 would ask for the default
	case c.Code != nil:
		r.Code = *c.Code
	case !r.Denies():
		r.Code = 0 // leftovers of an import must not stand in the way (FX-23)
	}
	return r.Normalize()
}

const restrictionsPath = own + "admin/restrictions"

// shutsOut says whether a client at ip can reach the restrictions, or sign in, before the
// move and cannot after it.
func (s *Service) shutsOut(ip netip.Addr, m move[policy.Restriction]) bool {
	before, after := s.compile(policy.Rows{Restrictions: m.rows}), s.compile(policy.Rows{Restrictions: restrictions.result(m)})
	refused := func(method, path string) bool {
		return before.Restricted(ip, method, path) == nil && after.Restricted(ip, method, path) != nil
	}
	return refused("GET", restrictionsPath) || refused("POST", policy.SignInPath)
}

// enabled says whether the row is in force.
func enabled(r *policy.Restriction) bool {
	return r != nil && strings.EqualFold(r.State, policy.Enabled)
}
