// Package review looks for mistakes in the files that an operator gives: statements that are well
// formed, but would leave nobody to sign in or to manage the policy, or are hardly meant.
package review

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"barong/internal/account"
	"barong/internal/strictyaml"
	"barong/policy"
	"barong/policy/ability"
	"barong/policy/seed"
)

// Names of files in a Finding, as `barong config defaults` has them.
const (
	FileSeeds     = "seeds"
	FileRules     = "authz_rules"
	FileAbilities = "abilities"
)

// A Finding is a wrong or odd statement of a well-formed file.
type Finding struct {
	File string // FileSeeds, FileRules or FileAbilities
	Text string
}

// Files holds the files against each other and against the needs of a gate. wrong has
// the faults by which nobody could ever sign in or manage the policy, and rows that could not be
// applied; odd has those that an operator has hardly meant. It looks at files alone: a database that
// was set up before may say otherwise.
func Files(s seed.File, rules policy.RouteRules, a ability.Set, o policy.Options) (wrong, odd []Finding) {
	v := newReview(rules, policy.Rows{Permissions: s.Permissions}, o)
	v.seeds, v.abilities = s, a
	v.superadmins()
	v.users()
	v.restrictions()
	v.signIn()
	v.unknownComponents()
	v.staff()
	return v.wrong, v.odd
}

// Rules is Files of the rules file alone.
func Rules(rules policy.RouteRules, o policy.Options) (wrong, odd []Finding) {
	v := newReview(rules, policy.Rows{}, o)
	v.signIn()
	v.unknownComponents()
	return v.wrong, v.odd
}

const (
	root = "api/v2/"
	own  = "api/v2/barong/"
)

type review struct {
	seeds      seed.File
	rules      policy.RouteRules
	abilities  ability.Set
	snapshot   *policy.Snapshot
	options    policy.Options
	wrong, odd []Finding
}

func newReview(rules policy.RouteRules, rows policy.Rows, o policy.Options) review {
	v := review{rules: rules, options: o}
	v.snapshot, _ = policy.Compile(rows, rules, o)
	return v
}

func (v *review) refuse(file, format string, args ...any) {
	v.wrong = append(v.wrong, Finding{file, fmt.Sprintf(format, args...)})
}

func (v *review) wonder(file, format string, args ...any) {
	v.odd = append(v.odd, Finding{file, fmt.Sprintf(format, args...)})
}

// roles are those that the seeds have rows of.
func (v *review) roles() (roles []string) {
	for _, p := range v.seeds.Permissions {
		if !slices.Contains(roles, p.Role) {
			roles = append(roles, p.Role)
		}
	}
	return roles
}

// superadmins looks whether they could see and mend the permissions.
func (v *review) superadmins() {
	const role = account.RoleSuperadmin
	roles := v.roles()
	switch {
	case len(roles) == 0:
		v.wonder(FileSeeds, "there are no permissions: an empty database could not be managed, and has no role %s", role)
		return
	case !slices.Contains(roles, role):
		v.refuse(FileSeeds, "the permissions give no role %s: nobody could manage them", role)
		return
	}
	missing := v.snapshot.MissingRepairs(role)
	if len(missing) == 0 {
		return
	}
	verb := missing[0]
	for _, p := range v.seeds.Permissions {
		if p.Role == role && p.Action == policy.Drop {
			only, _ := policy.Compile(policy.Rows{Permissions: []policy.Permission{
				{Role: role, Verb: verb, Path: policy.PermissionsPath, Action: policy.Accept}, p}}, policy.RouteRules{}, v.options)
			if slices.Contains(only.MissingRepairs(role), verb) {
				v.refuse(FileSeeds, "the row {role: %s, verb: %s, path: %s, action: %s} locks every %s out of the permissions",
					p.Role, p.Verb, p.Path, p.Action, role)
				return
			}
		}
	}
	v.refuse(FileSeeds, "no ACCEPT row lets role %s %s %s: nobody could manage the permissions", role, verb, policy.PermissionsPath)
}

// users looks whether each could be made.
func (v *review) users() {
	roles, states := v.roles(), account.States()
	for _, u := range v.seeds.Users {
		if *u.Level > len(v.seeds.Levels) && len(v.seeds.Levels) > 0 {
			v.refuse(FileSeeds, "line %d: user %s has level %d; the file has %d levels", u.Line, u.Email, *u.Level, len(v.seeds.Levels))
		}
		if u.Role != "" && len(roles) > 0 && !slices.Contains(roles, u.Role) {
			v.refuse(FileSeeds, "line %d: user %s has role %q, which no permission is for; there are %s",
				u.Line, u.Email, u.Role, strings.Join(slices.Sorted(slices.Values(roles)), ", "))
		}
		if u.State != "" && !slices.Contains(states, u.State) {
			v.refuse(FileSeeds, "line %d: user %s has state %q; there are %s", u.Line, u.Email, u.State, strings.Join(states, ", "))
		}
	}
}

// restrictions looks for those that would refuse everybody.
func (v *review) restrictions() {
	on := func(category string) (all, any bool) {
		for _, r := range v.seeds.Restrictions {
			if r.State == "enabled" && r.Category == category {
				any = true
				all = all || r.Scope == policy.ScopeAll
			}
		}
		return all, any
	}
	_, whitelisted := on(policy.Whitelist)
	for _, category := range []string{policy.Maintenance, policy.Blacklist, policy.Blocklogin} {
		switch all, _ := on(category); {
		case all && !whitelisted:
			v.refuse(FileSeeds, "an enabled restriction %s of scope all, and none whitelist: nobody could sign in", category)
		case all:
			v.wonder(FileSeeds, "an enabled restriction %s of scope all: only whitelisted addresses could sign in", category)
		}
	}
}

// signIn looks whether a person without a session comes through to where sessions are opened.
func (v *review) signIn() {
	const path = policy.SignInPath
	switch {
	case !v.snapshot.Component(path):
		v.refuse(FileRules, "nobody could sign in: gateway_components lacks barong, so %s is refused", path)
	case v.snapshot.Route(path) == policy.Block:
		v.refuse(FileRules, "nobody could sign in: %s is in block", path)
	case v.snapshot.Route(path) != policy.Pass:
		v.refuse(FileRules, "nobody could sign in: %s is not in pass; add %sidentity", path, own)
	}
}

// A ruleList is one list of the rules file, with its place there.
type ruleList struct {
	name     string
	patterns []string
}

// unknownComponents looks for rules of components that nobody can ask for.
func (v *review) unknownComponents() {
	if slices.Contains(v.options.Components, "*") {
		return
	}
	known := slices.DeleteFunc(slices.Clone(v.options.Components), func(c string) bool { return c == "" || c[0] == '/' })
	lists := []ruleList{{"pass", v.rules.Pass}, {"block", v.rules.Block}}
	for _, name := range slices.Sorted(maps.Keys(v.rules.Scopes)) {
		l := ruleList{name: "scopes." + name}
		for _, e := range v.rules.Scopes[name] {
			l.patterns = append(l.patterns, e.Path)
		}
		lists = append(lists, l)
	}
	for _, list := range lists {
		for _, pattern := range list.patterns {
			folded, _ := policy.Fold(strings.TrimSuffix(pattern, "*"))
			rest, under := strings.CutPrefix(folded, root)
			name, _, whole := strings.Cut(rest, "/")
			if !under || name == "" || slices.Contains(known, name) || !whole && strings.HasSuffix(pattern, "*") {
				continue
			}
			hint := ""
			if near := strictyaml.Nearest(name, known); near != "" {
				hint = fmt.Sprintf("; did you mean %q?", near)
			}
			v.wonder(FileRules, "rules.%s: %s is of no component in gateway_components%s", list.name, pattern, hint)
		}
	}
}

// staff looks for roles that may do things behind a gate that does not let them in.
func (v *review) staff() {
	roles := v.roles()
	if len(roles) == 0 {
		return
	}
	var without []string
	for _, role := range v.abilities.Staff() {
		if !slices.Contains(roles, role) {
			without = append(without, role)
		}
	}
	if len(without) > 0 {
		v.wonder(FileAbilities, "the seeds have no permissions of %s: accounts could not have that role", strings.Join(without, ", "))
	}
}
