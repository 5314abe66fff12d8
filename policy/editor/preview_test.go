package editor_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"barong/internal/config"
	"barong/internal/configured"
	"barong/policy"
	"barong/policy/editor"
)

// still is a store of fixed rows that nobody writes.
type still struct {
	editor.Store
	rows policy.Rows
}

func (s still) Rows(context.Context) (policy.Rows, error)       { return s.rows, nil }
func (s still) RoleInUse(context.Context, string) (bool, error) { return false, nil }

// Whatever verdict a change turns, for a path made of the same words, a preview lists; and
// each listed verdict does turn.
func TestPreviewListsEveryFlip(t *testing.T) {
	words := []string{"peatio", "peatio/a", "peatio/a/b", "peatio/ab", "barong/admin", "admin", "auth/admin/x", "barong", "p*", "peatio/*", "peatio/a*", "*"}
	paths := []string{"peatio", "peatio/a", "peatio/a.json", "peatio/a/b", "peatio/a/b/q", "peatio/a/q", "peatio/ab", "peatio/aq",
		"peatio/q", "peatio/ab.q", "barong/admin", "barong/admin/q", "barong/admin/x", "barong/adminq", "barong/resource", "peatioq"}
	r := rand.New(rand.NewPCG(1, 2))
	pick := func(from ...string) string { return from[r.IntN(len(from))] }
	row := func() policy.Permission {
		p := policy.Permission{Role: pick("a", "b"), Verb: pick("ALL", "GET", "POST", "HEAD"),
			Path: "api/v2/" + pick(words...), Action: pick("ACCEPT", "ACCEPT", "DROP", "AUDIT"), Topic: pick("", "t")}
		if r.IntN(8) == 0 {
			p.Path = pick("api", "api/v2", "api/v2/auth", "api/v2/a*", "*")
		}
		return p
	}
	turned := 0
	for n := range 3000 {
		var rows policy.Rows
		for i := range 1 + r.IntN(6) {
			p := row()
			p.ID = int64(i + 1)
			rows.Permissions = append(rows.Permissions, p)
		}
		rows.Permissions = slices.Concat(rows.Permissions, []policy.Permission{
			{ID: 90, Role: "a", Verb: "GET", Path: "api/v2/ranger", Action: "ACCEPT"},
			{ID: 91, Role: "b", Verb: "GET", Path: "api/v2/ranger", Action: "ACCEPT"}})
		for i := range rows.Permissions { // an equal row would be refused
			rows.Permissions[i].Topic = fmt.Sprint("t", i)
		}
		change := editor.PermissionChange{ID: new(int64(1)), Remove: r.IntN(3) == 0}
		next := row()
		if !change.Remove {
			change.Role, change.Verb, change.Path, change.Action = &next.Role, &next.Verb, &next.Path, &next.Action
			if r.IntN(2) == 0 {
				change.ID = nil
			}
		}
		options := configured.Policy(config.Default(), nil)
		options.Matching = pick(policy.MatchSegment, policy.MatchSegment, policy.MatchPrefix)
		rules := policy.RouteRules{Pass: []string{"api/v2/peatio/public"}}
		s := editor.NewService(still{rows: rows}, policy.NewHolder(rules, options, nil, nil), 1, nil)
		p, err := s.PreviewPermission(t.Context(), editor.Edit{}, change)
		if err != nil {
			continue // an equal row
		}
		after := policy.Rows{}
		for _, q := range rows.Permissions {
			switch {
			case change.ID == nil || q.ID != *change.ID:
				after.Permissions = append(after.Permissions, q)
			case !change.Remove:
				next.ID, next.Topic = q.ID, q.Topic
				after.Permissions = append(after.Permissions, next)
			}
		}
		if change.ID == nil {
			next.ID, next.Topic = 99, ""
			after.Permissions = append(after.Permissions, next)
		}
		old := policy.Naive{Rows: rows, Rules: rules, Options: options}
		now := policy.Naive{Rows: after, Rules: rules, Options: options}
		for _, role := range []string{"a", "b"} {
			for _, tail := range paths {
				path := "api/v2/" + tail
				for _, verb := range []string{"GET", "POST", "HEAD", "OPTIONS"} {
					x, y := old.Permission(role, verb, path), now.Permission(role, verb, path)
					if x == y || !old.Component(path) {
						continue
					}
					turned++
					if !slices.ContainsFunc(p.Flips, func(f editor.Flip) bool {
						return f.Role == role && slices.Contains(f.Verbs, verb) && covers(f.Path, path) &&
							f.Before.Allows == x.Allows && f.After.Allows == y.Allows && f.After.Audit == y.Audit
					}) {
						t.Fatalf("%d: %+v with %+v: %s %s %s turns from %+v to %+v; listed %+v",
							n, rows.Permissions, next, role, verb, path, x, y, p.Flips)
					}
				}
			}
		}
		for _, f := range p.Flips {
			if strings.ContainsRune(f.Path, '*') {
				continue
			}
			if x, y := old.Permission(f.Role, f.Verbs[0], f.Path), now.Permission(f.Role, f.Verbs[0], f.Path); x == y {
				t.Fatalf("%d: listed %+v, but nothing turns", n, f)
			}
		}
	}
	if turned < 1000 {
		t.Errorf("only %d verdicts turned: the test looks at nothing", turned)
	}
}

// covers says whether a flip's path is about the path, as Flip.Path has it.
func covers(shown, path string) bool {
	if prefix, ok := strings.CutSuffix(shown, "*"); ok {
		return strings.HasPrefix(path, prefix)
	}
	return shown == path
}

// The preview of a restriction, against the naive reference, at every address.
func TestPreviewRestrictionListsEveryFlip(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	pick := func(from ...string) string { return from[r.IntN(len(from))] }
	row := func() policy.Restriction {
		x := policy.Restriction{Category: pick(policy.Categories()...), State: pick("enabled", "enabled", "disabled"), Code: 400 + r.IntN(4)}
		switch r.IntN(4) {
		case 0:
			x.Scope, x.Value = "all", pick("x", "y")
		case 1:
			x.Scope, x.Value = "ip", fmt.Sprintf("192.0.2.%d", r.IntN(4))
		default:
			x.Scope, x.Value = "ip_subnet", fmt.Sprintf("192.0.2.%d/%d", r.IntN(4), 28+r.IntN(4))
		}
		if err := x.Normalize(); err != nil {
			t.Fatal(err)
		}
		return x
	}
	for n := range 2000 {
		var rows policy.Rows
		for i := range 1 + r.IntN(5) {
			x := row()
			x.ID = int64(i + 1)
			rows.Restrictions = append(rows.Restrictions, x)
		}
		next := row()
		s := editor.NewService(still{rows: rows}, policy.NewHolder(policy.RouteRules{}, configured.Policy(config.Default(), nil), nil, nil), 1, nil)
		p, err := s.PreviewRestriction(t.Context(), editor.Edit{}, editor.RestrictionChange{
			Category: &next.Category, Scope: &next.Scope, Value: &next.Value, State: &next.State, Code: &next.Code})
		if err != nil {
			continue
		}
		next.ID = 99
		old := policy.Naive{Rows: rows}
		now := policy.Naive{Rows: policy.Rows{Restrictions: append(slices.Clone(rows.Restrictions), next)}}
		for i := range 20 {
			ip := netip.AddrFrom4([4]byte{192, 0, 2, byte(i)})
			for _, method := range []string{"GET", "POST"} {
				x, y := old.Restricted(ip, method, "api/v2/barong/identity/sessions"), now.Restricted(ip, method, "api/v2/barong/identity/sessions")
				same := x == nil && y == nil || x != nil && y != nil && x.Status == y.Status && x.Reason == y.Reason
				if same {
					continue
				}
				found := slices.ContainsFunc(p.Flips, func(f editor.Flip) bool {
					if f.Path != "*" && method != "POST" || f.After.Allows != (y == nil) || y != nil && f.After.Status != y.Status {
						return false
					}
					if f.Client == "elsewhere" {
						return true
					}
					if a, err := netip.ParseAddr(f.Client); err == nil {
						return a == ip
					}
					net, err := netip.ParsePrefix(f.Client)
					return err == nil && net.Contains(ip)
				})
				if !found {
					t.Fatalf("%d: %+v with %+v: %s from %v turns from %+v to %+v; listed %+v", n, rows.Restrictions, next, method, ip, x, y, p.Flips)
				}
			}
		}
	}
}
