package policy

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"barong/internal/account"
	"barong/internal/feed"
)

// A PermissionChange adds a row when ID is 0, removes the row ID when Remove is set, and
// otherwise changes the fields of the row ID that are not nil.
type PermissionChange struct {
	ID                              int64
	Remove                          bool
	Role, Verb, Path, Action, Topic *string
}

// Unknown is the problem of a field that names something that does not exist.
const Unknown = "doesnt_exist"

// PermissionPage lists permissions by id, and counts them.
func (s *Service) PermissionPage(ctx context.Context, limit, offset int) ([]Permission, int, error) {
	return s.store.PermissionPage(ctx, limit, offset)
}

// ChangePermission makes the change and returns the policy version that includes it.
// ErrNotFound, ErrStale, Invalid, ErrTaken, ErrRoleInUse, ErrWouldLockOut,
// ErrLastSuperadmin. A change that changes nothing writes nothing.
func (s *Service) ChangePermission(ctx context.Context, e Edit, c PermissionChange) (version feed.Cursor, err error) {
	err = s.store.ChangePolicy(ctx, func(tx ServiceTx) error {
		if err := tx.LockPolicy(ctx); err != nil {
			return err
		}
		rows, err := tx.Permissions(ctx)
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
		if err := s.mayMovePermission(ctx, tx, e, m); err != nil {
			return err
		}
		if err := s.movePermission(ctx, tx, e, m); err != nil {
			return err
		}
		version, err = tx.NextChange(ctx)
		return err
	})
	if err != nil {
		return feed.Cursor{}, fmt.Errorf("change permission: %w", err)
	}
	return version, nil
}

// mayMovePermission refuses moves that would leave accounts with a role that has no rows, or
// nobody to put things right.
func (s *Service) mayMovePermission(ctx context.Context, roles roles, e Edit, m permissionMove) error {
	if role, ok := m.orphaned(); ok {
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

func (s *Service) movePermission(ctx context.Context, tx ServiceTx, e Edit, m permissionMove) error {
	note := change[permissionNote]{Force: e.Force, Before: noteOf(m.before)}
	var err error
	switch {
	case m.before == nil:
		err = tx.AddPermission(ctx, m.after)
	case m.after == nil:
		err = tx.DeletePermission(ctx, m.before.ID)
	default:
		err = tx.PutPermission(ctx, m.after)
	}
	if err != nil {
		return err
	}
	note.After = noteOf(m.after)
	if m.after != nil {
		note.ID = m.after.ID
	} else {
		note.ID = m.before.ID
	}
	return tx.AddActivity(ctx, s.activity(e.By, topicPermissions, note.action(), note))
}

// permissionNote is the part of a row that activities keep.
type permissionNote struct {
	Role   string `json:"role"`
	Verb   string `json:"verb"`
	Path   string `json:"path"`
	Action string `json:"action"`
	Topic  string `json:"topic"`
}

func noteOf(p *Permission) *permissionNote {
	if p == nil {
		return nil
	}
	return &permissionNote{p.Role, p.Verb, p.Path, p.Action, p.Topic}
}

// A permissionMove is a change worked out against the rows there are.
type permissionMove struct {
	rows          []Permission // all, before
	before, after *Permission  // nil for none
}

// nothing says that the row stays as it is.
func (m permissionMove) nothing() bool {
	return m.before != nil && m.after != nil && *noteOf(m.before) == *noteOf(m.after)
}

// result are all rows after the move.
func (m permissionMove) result() []Permission {
	return moved(m.rows, m.before, m.after, func(p *Permission) *int64 { return &p.ID })
}

// orphaned is the role that has no row left after the move.
func (m permissionMove) orphaned() (role string, ok bool) {
	if m.before == nil || m.after != nil && m.after.Role == m.before.Role {
		return "", false
	}
	last := !slices.ContainsFunc(m.rows, func(p Permission) bool {
		return p.Role == m.before.Role && p.ID != m.before.ID
	})
	return m.before.Role, last
}

// plan works c out: ErrNotFound, Invalid with every problem, ErrTaken.
func (c PermissionChange) plan(rows []Permission) (permissionMove, error) {
	m := permissionMove{rows: rows}
	if c.ID != 0 {
		i := slices.IndexFunc(rows, func(p Permission) bool { return p.ID == c.ID })
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
	var p Permission
	if m.before != nil {
		p = *m.before
	}
	for _, f := range []struct {
		to   *string
		from *string
	}{{&p.Role, c.Role}, {&p.Verb, c.Verb}, {&p.Path, c.Path}, {&p.Action, c.Action}, {&p.Topic, c.Topic}} {
		if f.from != nil {
			*f.to = *f.from
		}
	}
	if canonical, err := CanonicalPattern(p.Path); c.Path == nil && err == nil {
		p.Path = canonical // leftovers of an import must not stand in the way (FX-55)
	}
	if err := c.normalize(&p, rows); err != nil {
		return m, err
	}
	m.after = &p
	if slices.ContainsFunc(rows, func(q Permission) bool { return q.ID != p.ID && keyOf(q) == keyOf(p) }) {
		return m, ErrTaken
	}
	return m, nil
}

// normalize adds to Permission.Normalize the rules for changes only: a role must be known
// by some row, as new ones come from seeds, and rows for OPTIONS come from there, too
// (AZ-141). On top of that all of AZ-141 holds for updates (FX-55).
func (c PermissionChange) normalize(p *Permission, rows []Permission) error {
	var bad Invalid
	if err := p.Normalize(); err != nil && !errors.As(err, &bad) {
		return err
	}
	if c.Verb != nil && strings.EqualFold(p.Verb, "OPTIONS") {
		bad.add("verb", Malformed, "a row for OPTIONS can be seeded only")
	}
	if c.Role != nil && !bad.Has("role") &&
		!slices.ContainsFunc(rows, func(q Permission) bool { return q.Role == p.Role }) {
		bad.add("role", Unknown, "")
	}
	return bad.err()
}

// repairs are the requests by which the permissions are seen and put right.
var repairs = [...]string{"GET", "POST", "PUT", "DELETE"}

const permissionsPath = own + "admin/permissions"

// lockedOut are the roles, of the actor's and superadmin, that can reach the permissions
// before the move and cannot after it.
func (s *Service) lockedOut(by account.Actor, m permissionMove) (out []string) {
	for _, role := range []string{by.Role, account.RoleSuperadmin} {
		if !m.concerns(role) || slices.Contains(out, role) {
			continue
		}
		of := func(all []Permission) *Snapshot {
			return s.compile(Rows{Permissions: slices.DeleteFunc(slices.Clone(all),
				func(p Permission) bool { return p.Role != role })})
		}
		before, after := of(m.rows), of(m.result())
		for _, verb := range repairs {
			if before.Permission(role, verb, permissionsPath).Allows &&
				!after.Permission(role, verb, permissionsPath).Allows {
				out = append(out, role)
				break
			}
		}
	}
	return out
}

// concerns says whether the move touches rows of the role.
func (m permissionMove) concerns(role string) bool {
	return m.before != nil && m.before.Role == role || m.after != nil && m.after.Role == role
}

// losesSuperadmin says whether the ACCEPT rows of superadmin admit to the permissions before
// the move and not after it, whatever DROP rows there are; or whether none is left at all.
func (s *Service) losesSuperadmin(m permissionMove) bool {
	accepts := func(all []Permission) (n int, admit bool) {
		var rows []Permission
		for _, p := range all {
			if p.Role == account.RoleSuperadmin && strings.EqualFold(p.Action, Accept) {
				rows = append(rows, p)
			}
		}
		snapshot := s.compile(Rows{Permissions: rows})
		for _, verb := range repairs {
			if !snapshot.Permission(account.RoleSuperadmin, verb, permissionsPath).Allows {
				return len(rows), false
			}
		}
		return len(rows), true
	}
	if !m.concerns(account.RoleSuperadmin) {
		return false
	}
	had, admitted := accepts(m.rows)
	has, admits := accepts(m.result())
	return had > 0 && has == 0 || admitted && !admits
}
