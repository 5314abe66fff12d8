// Package ability owns the rights of staff inside the admin API: the actions that each role may
// do to each subject. They are read from one file and never change while the service runs.
package ability

import (
	"bytes"
	"encoding/json"
	"maps"
	"slices"
	"strings"

	"barong/internal/strictyaml"
)

// An Action is a kind of use that an ability allows. Manage is every action.
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
	SubjectRequest     = "Request"
	AnySubject         = "all"
)

// Subjects lists all subjects but AnySubject.
func Subjects() []string {
	return []string{SubjectAbility, SubjectUser, SubjectLevel, SubjectLabel, SubjectProfile,
		SubjectActivity, SubjectAPIKey, SubjectPermission, SubjectRestriction, SubjectDocument, SubjectRequest}
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

// A Set is the rights of all staff roles (AZ-190…193). The zero value allows nothing. It is read-only and safe for concurrent use.
type Set struct {
	roles  []string
	byRole map[string]RoleAbilities
}

// Parse reads an abilities file: a list `roles` and a mapping `admin_permissions` from
// role to action to subjects. Templates, unknown keys, actions and subjects are errors; all of
// them come at once, each with its line.
func Parse(data []byte) (Set, error) {
	var d strictyaml.Document
	a := Set{byRole: map[string]RoleAbilities{}}
	top := d.Parse(data)
	if top == nil {
		return a, d.Err()
	}
	var named []strictyaml.Field
	for _, f := range d.Fields(top, "the file") {
		switch strings.ToLower(f.Key) {
		case "roles":
			a.roles = d.Texts(f.Value, "roles")
		case "admin_permissions":
			named = d.Fields(f.Value, "admin_permissions")
			for _, role := range named {
				a.byRole[role.Key] = abilities(&d, role)
			}
		default:
			d.Unknown(f, "the file", []string{"roles", "admin_permissions"})
		}
	}
	for _, role := range named {
		if len(a.roles) > 0 && !slices.Contains(a.roles, role.Key) {
			d.Problem(role.Line, "admin_permissions: role %q is not in roles, which has %s", role.Key, strings.Join(a.roles, ", "))
		}
	}
	if err := d.Err(); err != nil {
		return Set{}, err
	}
	return a, nil
}

func abilities(d *strictyaml.Document, role strictyaml.Field) RoleAbilities {
	list := RoleAbilities{}
	known := []string{string(Read), string(Create), string(Update), string(Destroy), string(Manage)}
	for _, f := range d.Fields(role.Value, "role "+role.Key) {
		action := strings.ToLower(f.Key)
		if !slices.Contains(known, action) {
			d.Unknown(f, "role "+role.Key, known)
			continue
		}
		subjects := d.Texts(f.Value, "role "+role.Key+", "+action)
		for _, s := range subjects {
			if s != AnySubject && !slices.Contains(Subjects(), s) {
				d.Problem(f.Line, "role %s, %s: unknown subject %q", role.Key, action, s)
			}
		}
		list = append(list, Ability{Action(action), subjects})
	}
	return list
}

// Can says whether a role may do something to a subject: it is listed under the action or
// under manage, by name or as all (AZ-190, AZ-191).
func (a Set) Can(role string, action Action, subject string) bool {
	for _, has := range a.byRole[role] {
		if (has.Action == action || has.Action == Manage) &&
			(slices.Contains(has.Subjects, subject) || slices.Contains(has.Subjects, AnySubject)) {
			return true
		}
	}
	return false
}

// Of is the file's entry for a role; empty for none.
func (a Set) Of(role string) RoleAbilities { return slices.Clone(a.byRole[role]) }

// Staff are all roles that the file lists or says something about, in its order.
func (a Set) Staff() []string {
	staff := a.Roles()
	for _, role := range slices.Sorted(maps.Keys(a.byRole)) {
		if !slices.Contains(staff, role) {
			staff = append(staff, role)
		}
	}
	return staff
}

// Roles are the staff roles that the file lists, in its order.
func (a Set) Roles() []string { return slices.Clone(a.roles) }
