package policy

import (
	"fmt"
	"slices"
	"strings"

	"barong/internal/account"
	"barong/internal/strictyaml"
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

// Review holds the files against each other and against the needs of a gate. wrong has
// the faults by which nobody could ever sign in or manage the policy, and rows that could not be
// applied; odd has those that an operator has hardly meant. It looks at files alone: a database that
// was set up before may say otherwise.
func Review(s Seeds, rules RouteRules, a Abilities, o Options) (wrong, odd []Finding) {
	v := review{seeds: s, rules: rules, abilities: a}
	v.snapshot, _ = Compile(Rows{Permissions: s.Permissions}, rules, o)
	v.gate = newGate(o.Components)
	v.superadmins()
	v.users()
	v.restrictions()
	v.signIn()
	v.components()
	v.staff()
	return v.wrong, v.odd
}

// ReviewRules is Review of the rules file alone.
func ReviewRules(rules RouteRules, o Options) (wrong, odd []Finding) {
	v := review{rules: rules}
	v.snapshot, _ = Compile(Rows{}, rules, o)
	v.gate = newGate(o.Components)
	v.signIn()
	v.components()
	return v.wrong, v.odd
}

type review struct {
	seeds      Seeds
	rules      RouteRules
	abilities  Abilities
	snapshot   *Snapshot
	gate       gate
	wrong, odd []Finding
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
	for _, verb := range repairs {
		if v.snapshot.Permission(role, verb, permissionsPath).Allows {
			continue
		}
		for _, p := range v.seeds.Permissions {
			if p.Role == role && p.Action == Drop {
				only, _ := Compile(Rows{Permissions: []Permission{
					{Role: role, Verb: verb, Path: permissionsPath, Action: Accept}, p}}, RouteRules{}, Options{})
				if !only.Permission(role, verb, permissionsPath).Allows {
					v.refuse(FileSeeds, "the row {role: %s, verb: %s, path: %s, action: %s} locks every %s out of the permissions",
						p.Role, p.Verb, p.Path, p.Action, role)
					return
				}
			}
		}
		v.refuse(FileSeeds, "no ACCEPT row lets role %s %s %s: nobody could manage the permissions", role, verb, permissionsPath)
		return
	}
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
				all = all || r.Scope == ScopeAll
			}
		}
		return all, any
	}
	_, whitelisted := on(Whitelist)
	for _, category := range []string{Maintenance, Blacklist, Blocklogin} {
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
	const path = signInPath
	switch {
	case !v.gate.admits(path):
		v.refuse(FileRules, "nobody could sign in: gateway_components lacks barong, so %s is refused", path)
	case v.snapshot.Route(path) == Block:
		v.refuse(FileRules, "nobody could sign in: %s is in block", path)
	case v.snapshot.Route(path) != Pass:
		v.refuse(FileRules, "nobody could sign in: %s is not in pass; add %sidentity", path, own)
	}
}

// components looks for rules of components that nobody can ask for.
func (v *review) components() {
	if v.gate.any {
		return
	}
	known := make([]string, 0, len(v.gate.third))
	for name := range v.gate.third {
		known = append(known, name)
	}
	for _, list := range []struct {
		name     string
		patterns []string
	}{{"pass", v.rules.Pass}, {"block", v.rules.Block}} {
		for _, pattern := range list.patterns {
			folded, _ := Fold(strings.TrimSuffix(pattern, "*"))
			rest, under := strings.CutPrefix(folded, root)
			name, _, whole := strings.Cut(rest, "/")
			if _, ok := v.gate.third[name]; !under || name == "" || ok || !whole && strings.HasSuffix(pattern, "*") {
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
