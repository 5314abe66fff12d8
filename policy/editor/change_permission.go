package editor

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"barong/internal/account"
	"barong/internal/invalid"
	"barong/policy"
)

// A PermissionChange adds a row when ID is nil, removes the row ID when Remove is set, and
// otherwise changes the fields of the row ID that are not nil.
type PermissionChange struct {
	ID     *int64  `json:"id,omitempty"`
	Remove bool    `json:"remove,omitempty"`
	Role   *string `json:"role,omitempty"`
	Verb   *string `json:"verb,omitempty"`
	Path   *string `json:"path,omitempty"`
	Action *string `json:"action,omitempty"`
	Topic  *string `json:"topic,omitempty"`
}

// A PermissionQuery selects permissions; nil matches any.
type PermissionQuery struct {
	ID           *int64
	Role, Topic  *string
	Verb, Action *string // as stored; PermissionPage of a Service takes any case
	Path         *string // the beginning of the row's
	Order
	Limit, Offset int
}

// PermissionOrders are the columns by which permissions can be ordered.
func PermissionOrders() []string {
	return []string{"id", "role", "verb", "path", "action", "topic", "created_at", "updated_at"}
}

// PermissionPage lists permissions, and counts all that match. Invalid names a verb or an action
// that no row can have.
func (s *Service) PermissionPage(ctx context.Context, q PermissionQuery) ([]policy.Permission, int, error) {
	like := policy.Permission{Role: "any", Path: "any", Verb: policy.AllVerbs, Action: policy.Accept}
	set(&like.Verb, q.Verb)
	set(&like.Action, q.Action)
	if err := like.Normalize(); err != nil {
		return nil, 0, err
	}
	if q.Verb != nil {
		q.Verb = &like.Verb
	}
	if q.Action != nil {
		q.Action = &like.Action
	}
	if q.Path != nil {
		q.Path = new(strings.Trim(*q.Path, "/"))
	}
	return s.store.PermissionPage(ctx, q)
}

// permissions is the kind of permission rows.
var permissions = kind[policy.Permission]{
	topic: "permissions",
	list:  Tx.Permissions, add: Tx.AddPermission,
	put: Tx.PutPermission, remove: Tx.DeletePermission,
	id:      func(p *policy.Permission) *int64 { return &p.ID },
	version: func(p *policy.Permission) int64 { return p.LockVersion },
	key:     func(p *policy.Permission) any { return p.Key() },
	note: func(p *policy.Permission) any {
		return permissionNote{p.Role, p.Verb, p.Path, p.Action, p.Topic}
	},
}

// permissionNote is the part of a row that activities keep.
type permissionNote struct {
	Role   string `json:"role"`
	Verb   string `json:"verb"`
	Path   string `json:"path"`
	Action string `json:"action"`
	Topic  string `json:"topic"`
}

// ChangePermission makes the change.
// ErrNotFound, ErrStale, Invalid, TakenError, ErrRoleInUse, ErrWouldLockOut,
// ErrLastSuperadmin; account.Asked and ErrTooManyRequests where it needs a second member of the staff. A
// change that changes nothing writes nothing.
func (s *Service) ChangePermission(ctx context.Context, e Edit, c PermissionChange) (Outcome, error) {
	out, err := permissions.change(ctx, s, e, c, s.judgedPermissions())
	if err != nil {
		return Outcome{}, fmt.Errorf("change permission: %w", err)
	}
	return out, nil
}

// judgedPermissions are the parts by which changes of permissions are judged.
func (s *Service) judgedPermissions() judged[policy.Permission] {
	return judged[policy.Permission]{
		may: func(ctx context.Context, tx Tx, e Edit, m move[policy.Permission]) error {
			return s.mayMovePermission(ctx, tx, e, m)
		},
		flips:   s.allPermissionFlips,
		preview: s.previewPermissionMove,
	}
}

// mayMovePermission refuses moves that would leave accounts with a role that has no rows, or
// nobody to put things right.
func (s *Service) mayMovePermission(ctx context.Context, roles roles, e Edit, m move[policy.Permission]) error {
	if role, ok := orphaned(m); ok {
		used, err := roles.RoleInUse(ctx, role)
		if err != nil {
			return err
		}
		if used {
			return ErrRoleInUse
		}
	}
	if !e.forces() && len(s.lockedOut(e.By, m)) > 0 {
		return ErrWouldLockOut
	}
	if s.losesSuperadmin(m) {
		return ErrLastSuperadmin
	}
	return nil
}

// roles is the one question that rules ask of accounts.
type roles interface {
	RoleInUse(ctx context.Context, role string) (bool, error)
}

// orphaned is the role that has no row left after the move.
func orphaned(m move[policy.Permission]) (role string, ok bool) {
	if m.before == nil || m.after != nil && m.after.Role == m.before.Role {
		return "", false
	}
	last := !slices.ContainsFunc(m.rows, func(p policy.Permission) bool {
		return p.Role == m.before.Role && p.ID != m.before.ID
	})
	return m.before.Role, last
}

func (c PermissionChange) target() (id *int64, remove bool) { return c.ID, c.Remove }

func (c PermissionChange) apply(p *policy.Permission, rows []policy.Permission) error {
	set(&p.Role, c.Role)
	set(&p.Verb, c.Verb)
	set(&p.Path, c.Path)
	set(&p.Action, c.Action)
	set(&p.Topic, c.Topic)
	if canonical, err := policy.CanonicalPattern(p.Path); c.Path == nil && err == nil {
		p.Path = canonical // leftovers of an import must not stand in the way (FX-55)
	}
	return c.normalize(p, rows)
}

// normalize adds to Permission.Normalize the rules for changes only: a role must be known
// by some row, as new ones come from seeds, and rows for OPTIONS come from there, too
// (AZ-141). On top of that all of AZ-141 holds for updates (FX-55).
func (c PermissionChange) normalize(p *policy.Permission, rows []policy.Permission) error {
	var bad invalid.Fields
	if err := p.Normalize(); err != nil && !errors.As(err, &bad) {
		return err
	}
	if c.Verb != nil && strings.EqualFold(p.Verb, "OPTIONS") {
		bad.Explain("verb", invalid.Malformed, "a row for OPTIONS can be seeded only")
	}
	if c.Role != nil && !bad.Has("role") &&
		!slices.ContainsFunc(rows, func(q policy.Permission) bool { return q.Role == p.Role }) {
		bad.Add("role", invalid.Unknown)
	}
	return bad.Err()
}

// lockedOut are the roles, of the actor's and superadmin, that can reach the permissions
// before the move and cannot after it.
func (s *Service) lockedOut(by account.Actor, m move[policy.Permission]) (out []string) {
	for _, role := range []string{by.Role, account.RoleSuperadmin} {
		if !concerns(m, role) || slices.Contains(out, role) {
			continue
		}
		of := func(all []policy.Permission) *policy.Snapshot {
			return s.compile(policy.Rows{Permissions: slices.DeleteFunc(slices.Clone(all),
				func(p policy.Permission) bool { return p.Role != role })})
		}
		before, after := of(m.rows), of(permissions.result(m))
		had := before.MissingRepairs(role)
		if slices.ContainsFunc(after.MissingRepairs(role), func(verb string) bool { return !slices.Contains(had, verb) }) {
			out = append(out, role)
		}
	}
	return out
}

// concerns says whether the move touches rows of the role.
func concerns(m move[policy.Permission], role string) bool {
	return m.before != nil && m.before.Role == role || m.after != nil && m.after.Role == role
}

// losesSuperadmin says whether the ACCEPT rows of superadmin admit to the permissions before
// the move and not after it, whatever DROP rows there are; or whether none is left at all.
func (s *Service) losesSuperadmin(m move[policy.Permission]) bool {
	accepts := func(all []policy.Permission) (n int, admit bool) {
		var rows []policy.Permission
		for _, p := range all {
			if p.Role == account.RoleSuperadmin && strings.EqualFold(p.Action, policy.Accept) {
				rows = append(rows, p)
			}
		}
		missing := s.compile(policy.Rows{Permissions: rows}).MissingRepairs(account.RoleSuperadmin)
		return len(rows), len(missing) == 0
	}
	if !concerns(m, account.RoleSuperadmin) {
		return false
	}
	had, admitted := accepts(m.rows)
	has, admits := accepts(permissions.result(m))
	return had > 0 && has == 0 || admitted && !admits
}
