package editor

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"barong/policy"
)

// maxFlips bounds the list of a preview.
const maxFlips = 1000

// A Verdict is the policy's answer to a request, as far as a preview looks.
type Verdict struct {
	Allows bool
	// Status and Reason are those of a restriction that refuses.
	Status int
	Reason string
	// Audit and Topic are those of permissions.
	Audit bool
	Topic string
}

// A Flip is a verdict that a change would turn.
type Flip struct {
	// Role is "*" where the role does not matter.
	Role string
	// Verbs are methods, in the order of the seven.
	Verbs []string
	// Path is canonical and folded. A continuation may stand after it: "/*" for the paths
	// below it, ".*" for the same name with a suffix, "*" for a name that it begins. Each
	// of them means the paths of that form for which the list has no longer one of their
	// own. "*" alone is any path.
	Path string
	// Client is whom the flip is for: "" anybody, an address or prefix, "country PA",
	// "continent SA", "elsewhere" for those that no other restriction names.
	Client        string
	Before, After Verdict
}

// A Preview is the effect that a change would have now.
type Preview struct {
	Version int64 // policy version that it is judged against
	Flips   []Flip
	More    int // flips beyond those listed
	// LocksOut are the roles that could no longer put the permissions right; "*" is the
	// caller, by address.
	LocksOut []string
	// Refusal is the error that the change would get: nil, ErrRoleInUse, ErrWouldLockOut,
	// ErrLastSuperadmin. It is not kept with requests.
	Refusal error `json:"-"`
	// EndsSessions says whose sessions the change would end: "none", "matching" or "all".
	EndsSessions string
	// Warnings are those of Compile about the new row.
	Warnings []string
}

func (p *Preview) limit() {
	if p.More = len(p.Flips) - maxFlips; p.More > 0 {
		p.Flips = p.Flips[:maxFlips]
		return
	}
	p.More = 0
}

// PreviewPermission works a change out and changes nothing. It refuses the moves that
// ChangePermission refuses as not possible at all: ErrNotFound, Invalid, ErrTaken.
func (s *Service) PreviewPermission(ctx context.Context, e Edit, c PermissionChange) (Preview, error) {
	rows, err := s.store.Rows(ctx)
	if err != nil {
		return Preview{}, fmt.Errorf("preview permission: %w", err)
	}
	m, err := permissions.plan(c, rows.Permissions)
	if err != nil {
		return Preview{}, fmt.Errorf("preview permission: %w", err)
	}
	p := s.previewPermissionMove(e, m)
	p.Version = rows.At.Seq
	p.Refusal = s.mayMovePermission(ctx, s.store, e, m)
	if err := p.Refusal; err != nil && !errors.Is(err, ErrRoleInUse) && !errors.Is(err, ErrWouldLockOut) &&
		!errors.Is(err, ErrLastSuperadmin) {
		return Preview{}, fmt.Errorf("preview permission: %w", err)
	}
	return p, nil
}

// previewPermissionMove is the effect of a move, but for the version and the refusal.
func (s *Service) previewPermissionMove(e Edit, m move[policy.Permission]) Preview {
	p := Preview{EndsSessions: "none", LocksOut: s.lockedOut(e.By, m), Flips: s.allPermissionFlips(m)}
	if m.after != nil {
		p.Warnings = s.warnings(policy.Rows{Permissions: []policy.Permission{*m.after}})
	}
	p.limit()
	return p
}

// allPermissionFlips are those of each role whose rows move.
func (s *Service) allPermissionFlips(m move[policy.Permission]) (flips []Flip) {
	roles := []string{}
	for _, row := range []*policy.Permission{m.before, m.after} {
		if row != nil && !slices.Contains(roles, row.Role) {
			roles = append(roles, row.Role)
		}
	}
	slices.Sort(roles)
	for _, role := range roles {
		flips = append(flips, s.permissionFlips(role, m)...)
	}
	return flips
}

// warnings are those of Compile about rows.
func (s *Service) warnings(rows policy.Rows) (out []string) {
	_, options := s.rules.Configured()
	_, all := policy.Compile(rows, policy.RouteRules{}, options)
	for _, w := range all {
		out = append(out, w.Problem)
	}
	return out
}

// methods are the seven.
var methods = [...]string{"GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"}

// A point is a path that stands for all paths with the same rows.
type point struct{ path, shown string }

// permissionFlips compares the verdicts of a role before and after the move, at one path of
// every kind that the role's rows can tell apart below the rows that move.
func (s *Service) permissionFlips(role string, m move[policy.Permission]) (flips []Flip) {
	of := func(all []policy.Permission) []policy.Permission {
		return slices.DeleteFunc(slices.Clone(all), func(p policy.Permission) bool { return p.Role != role })
	}
	old, new := of(m.rows), of(permissions.result(m))
	before, after := s.compile(policy.Rows{Permissions: old}), s.compile(policy.Rows{Permissions: new})
	for _, at := range s.points(slices.Concat(old, new), m, role) {
		// A path that no permission decides cannot flip by one.
		if !before.Component(at.path) || before.Route(at.path) != policy.Neither {
			continue
		}
		var mine []Flip
		for _, method := range methods {
			x, y := before.Permission(role, method, at.path), after.Permission(role, method, at.path)
			if x == y {
				continue
			}
			i := slices.IndexFunc(mine, func(f Flip) bool { return f.Before == verdictOf(x) && f.After == verdictOf(y) })
			if i < 0 {
				mine = append(mine, Flip{Role: role, Path: at.shown, Before: verdictOf(x), After: verdictOf(y)})
				i = len(mine) - 1
			}
			mine[i].Verbs = append(mine[i].Verbs, method)
		}
		flips = append(flips, mine...)
	}
	return flips
}

func verdictOf(p policy.Permit) Verdict {
	return Verdict{Allows: p.Allows, Audit: p.Audit, Topic: p.Topic}
}

// points are paths of every kind that rows tell apart, below the rows that move: each text
// that a row is found by, and the three ways in which a path can go on after it.
func (s *Service) points(rows []policy.Permission, m move[policy.Permission], role string) []point {
	_, options := s.rules.Configured()
	texts := map[string]bool{}
	add := func(p policy.Permission) []string {
		all := p.Texts(options.Matching)
		for _, text := range all {
			texts[text] = true
		}
		return all
	}
	var moved []string
	for _, p := range rows {
		add(p)
	}
	for _, p := range []*policy.Permission{m.before, m.after} {
		if p != nil && p.Role == role {
			moved = append(moved, add(*p)...)
		}
	}
	for _, c := range options.Components { // a row above all of them is felt in each
		switch name, first := strings.CutPrefix(c, "/"); {
		case c == "*" || name == "":
		case first:
			texts[name] = true
		default:
			texts[root+c] = true
		}
	}
	fresh := "x" // a word that begins no other way a path may go on
	for text := range texts {
		for strings.Contains(text, fresh) {
			fresh += "x"
		}
	}
	// Where a row that denies, in lower case, meets one that allows in another spelling.
	meet := func(allow, deny string) string {
		if len(allow) < len(deny) && allow != deny[:len(allow)] && strings.EqualFold(allow, deny[:len(allow)]) {
			return allow + deny[len(allow):]
		}
		return ""
	}
	for text := range maps.Clone(texts) {
		for _, t := range moved {
			for _, both := range []string{meet(text, t), meet(t, text)} {
				if both != "" {
					texts[both] = true
				}
			}
		}
	}
	below := func(text string) bool {
		return slices.ContainsFunc(moved, func(t string) bool {
			return len(t) <= len(text) && strings.EqualFold(text[:len(t)], t)
		})
	}
	var all []point
	for text := range texts {
		if !below(text) {
			continue
		}
		if text == "" || strings.HasSuffix(text, "/") {
			all = append(all, point{text + fresh, text + "*"})
			continue
		}
		all = append(all, point{text, text}, point{text + "/" + fresh, text + "/*"},
			point{text + "." + fresh, text + ".*"}, point{text + fresh, text + "*"})
	}
	// Requests are folded before they are looked up: other spellings never come.
	all = slices.DeleteFunc(all, func(p point) bool { _, folded := policy.Fold(p.path); return folded })
	slices.SortFunc(all, func(a, b point) int { return cmp.Compare(a.shown, b.shown) })
	return all
}
