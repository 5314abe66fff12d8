package policy

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
)

// An Action is what an ability allows. Manage is every action.
type Action string

// The actions (AZ-190).
const (
	Read    Action = "read"
	Create  Action = "create"
	Update  Action = "update"
	Destroy Action = "destroy"
	Manage  Action = "manage"
)

// Subjects of abilities. AnySubject stands for all of them.
const (
	SubjectAbility     = "Ability"
	SubjectUser        = "User"
	SubjectLevel       = "Level"
	SubjectLabel       = "Label"
	SubjectProfile     = "Profile"
	SubjectActivity    = "Activity"
	SubjectAPIKey      = "APIKey"
	SubjectPermission  = "Permission"
	SubjectRestriction = "Restriction"
	SubjectDocument    = "Document"
	AnySubject         = "all"
)

// Subjects lists all subjects but AnySubject.
func Subjects() []string {
	return []string{SubjectAbility, SubjectUser, SubjectLevel, SubjectLabel, SubjectProfile,
		SubjectActivity, SubjectAPIKey, SubjectPermission, SubjectRestriction, SubjectDocument}
}

// An Ability is one action on some subjects.
type Ability struct {
	Action   Action
	Subjects []string
}

// RoleAbilities are the abilities of one role, in the order of the file. Its JSON is an object
// from action to subjects in that order, {} when there are none (AZ-192).
type RoleAbilities []Ability

// MarshalJSON implements json.Marshaler.
func (r RoleAbilities) MarshalJSON() ([]byte, error) {
	var b bytes.Buffer
	b.WriteByte('{')
	for i, a := range r {
		if i > 0 {
			b.WriteByte(',')
		}
		subjects, err := json.Marshal(a.Subjects)
		if err != nil {
			return nil, err
		}
		b.WriteString(`"` + string(a.Action) + `":`)
		b.Write(subjects)
	}
	b.WriteByte('}')
	return b.Bytes(), nil
}

// Abilities says what staff may do inside the admin API (AZ-190…193). The zero value allows
// nothing. It is read-only and safe for concurrent use.
type Abilities struct {
	roles  []string
	byRole map[string]RoleAbilities
}

// ParseAbilities reads an abilities file: a list `roles` and a mapping `admin_permissions` from
// role to action to subjects. Templates, unknown keys, actions and subjects are errors; all of
// them are told at once, each with its line.
func ParseAbilities(data []byte) (Abilities, error) {
	var d document
	a := Abilities{byRole: map[string]RoleAbilities{}}
	top := d.parse(data)
	if top == nil {
		return a, d.err()
	}
	for _, f := range d.fields(top, "the file") {
		switch strings.ToLower(f.key) {
		case "roles":
			a.roles = d.texts(f.value, "roles")
		case "admin_permissions":
			for _, role := range d.fields(f.value, "admin_permissions") {
				a.byRole[role.key] = d.abilities(role)
			}
		default:
			d.unknown(f, "the file", []string{"roles", "admin_permissions"})
		}
	}
	if err := d.err(); err != nil {
		return Abilities{}, err
	}
	return a, nil
}

func (d *document) abilities(role field) RoleAbilities {
	list := RoleAbilities{}
	known := []string{string(Read), string(Create), string(Update), string(Destroy), string(Manage)}
	for _, f := range d.fields(role.value, "role "+role.key) {
		action := strings.ToLower(f.key)
		if !slices.Contains(known, action) {
			d.unknown(f, "role "+role.key, known)
			continue
		}
		subjects := d.texts(f.value, "role "+role.key+", "+action)
		for _, s := range subjects {
			if s != AnySubject && !slices.Contains(Subjects(), s) {
				d.problem(f.line, "role %s, %s: unknown subject %q", role.key, action, s)
			}
		}
		list = append(list, Ability{Action(action), subjects})
	}
	return list
}

// Can says whether a role may do something to a subject: it is listed under the action or
// under manage, by name or as all (AZ-190, AZ-191).
func (a Abilities) Can(role string, action Action, subject string) bool {
	for _, has := range a.byRole[role] {
		if (has.Action == action || has.Action == Manage) &&
			(slices.Contains(has.Subjects, subject) || slices.Contains(has.Subjects, AnySubject)) {
			return true
		}
	}
	return false
}

// Of is what the file says about a role; empty when nothing.
func (a Abilities) Of(role string) RoleAbilities { return slices.Clone(a.byRole[role]) }

// Roles are the staff roles that the file lists, in its order.
func (a Abilities) Roles() []string { return slices.Clone(a.roles) }
