// Package seed reads the seeds file, from which an empty database gets its levels, permissions,
// users and restrictions, and adds the permissions and restrictions to a policy store. Levels and
// users are the account service's.
package seed

import (
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"barong/internal/account"
	"barong/internal/invalid"
	"barong/internal/strictyaml"
	"barong/policy"
)

// A File is the content of a seeds file. Levels and Users are for the account service to apply, and
// APIKeys for the service of keys: levels first, in order, then permissions, then users, then
// restrictions, then keys.
type File struct {
	Levels       []account.SeedLevel
	Permissions  []policy.Permission // normalised, without duplicates
	Users        []account.SeedUser
	Restrictions []policy.Restriction // normalised, without duplicates
	APIKeys      []account.SeedKey
}

// Parse reads a seeds file: the lists users, levels, permissions, restrictions and api_keys, each of
// which may be missing. Keys, verbs, actions, categories, scopes and states may be in any
// case. Templates, unknown keys, missing and invalid values are errors; all of them come
// at once, each with its line (AZ-420).
func Parse(data []byte) (File, error) {
	var d strictyaml.Document
	var s File
	top := d.Parse(data)
	if top == nil {
		return s, d.Err()
	}
	for _, f := range d.Fields(top, "the file") {
		switch key := strings.ToLower(f.Key); key {
		case "levels":
			for _, n := range d.Items(f.Value, key) {
				s.addLevel(&d, n)
			}
		case "permissions":
			seen := map[policy.PermissionKey]bool{}
			for _, n := range d.Items(f.Value, key) {
				s.addPermission(&d, n, seen)
			}
		case "users":
			for _, n := range d.Items(f.Value, key) {
				s.addUser(&d, n)
			}
		case "restrictions":
			seen := map[policy.RestrictionKey]bool{}
			for _, n := range d.Items(f.Value, key) {
				s.addRestriction(&d, n, seen)
			}
		case "api_keys":
			for _, n := range d.Items(f.Value, key) {
				s.addKey(&d, n)
			}
		default:
			d.Unknown(f, "the file", []string{"api_keys", "levels", "permissions", "restrictions", "users"})
		}
	}
	if err := d.Err(); err != nil {
		return File{}, err
	}
	return s, nil
}

func (s *File) addLevel(d *strictyaml.Document, n *yaml.Node) {
	var l account.SeedLevel
	if !d.Record(n, "levels", map[string]*string{
		"key": &l.Key, "value": &l.Value, "description": &l.Description}) {
		return
	}
	if l.Key == "" || l.Value == "" {
		d.Problem(n.Line, "levels: key and value are needed")
		return
	}
	s.Levels = append(s.Levels, l)
}

func (s *File) addPermission(d *strictyaml.Document, n *yaml.Node, seen map[policy.PermissionKey]bool) {
	var p policy.Permission
	if !d.Record(n, "permissions", map[string]*string{"role": &p.Role, "verb": &p.Verb,
		"path": &p.Path, "action": &p.Action, "topic": &p.Topic}) {
		return
	}
	if err := p.Normalize(); err != nil {
		d.Problem(n.Line, "Can't create permission: %w", err)
		return
	}
	if !seen[p.Key()] {
		seen[p.Key()] = true
		s.Permissions = append(s.Permissions, p)
	}
}

func (s *File) addUser(d *strictyaml.Document, n *yaml.Node) {
	u := account.SeedUser{Line: n.Line}
	var level string
	if !d.Record(n, "users", map[string]*string{"email": &u.Email, "password": &u.Password,
		"username": &u.Username, "role": &u.Role, "state": &u.State, "level": &level}) {
		return
	}
	switch {
	case u.Email == "":
		d.Problem(n.Line, "Email missing in users seed")
		return
	case level == "":
		d.Problem(n.Line, "Level is missing for user %s", u.Email)
		return
	}
	rung, err := strconv.Atoi(level)
	if err != nil || rung < 0 {
		d.Problem(n.Line, "Level is missing for user %s: %q is no whole number", u.Email, level)
		return
	}
	u.Level = &rung
	s.Users = append(s.Users, u)
}

func (s *File) addKey(d *strictyaml.Document, n *yaml.Node) {
	k := account.SeedKey{Line: n.Line}
	if !d.Record(n, "api_keys", map[string]*string{"kid": &k.Kid, "secret": &k.Secret, "secret_file": &k.SecretFile,
		"secret_env": &k.SecretEnv, "service_account": &k.ServiceAccount, "email": &k.Email, "role": &k.Role,
		"owner": &k.Owner, "scope": &k.Scope, "ip_whitelist": &k.Networks}) {
		return
	}
	sources := 0
	for _, source := range []string{k.Secret, k.SecretFile, k.SecretEnv} {
		if source != "" {
			sources++
		}
	}
	switch {
	case k.Kid == "" || k.ServiceAccount == "":
		d.Problem(n.Line, "api_keys: kid and service_account are needed")
	case sources > 1:
		d.Problem(n.Line, "api_keys: of secret, secret_file and secret_env at most one is taken")
	default:
		s.APIKeys = append(s.APIKeys, k)
	}
}

func (s *File) addRestriction(d *strictyaml.Document, n *yaml.Node, seen map[policy.RestrictionKey]bool) {
	var r policy.Restriction
	var code string
	if !d.Record(n, "restrictions", map[string]*string{"category": &r.Category,
		"scope": &r.Scope, "value": &r.Value, "state": &r.State, "code": &code}) {
		return
	}
	before := d.Len()
	if r.Category == "" {
		d.Problem(n.Line, "category missing in restrictions seed")
	}
	for _, f := range []struct{ name, value string }{
		{"scope", r.Scope}, {"value", r.Value}, {"state", r.State},
	} {
		if f.value == "" {
			d.Problem(n.Line, "%s is missing in restrictions seed", f.name)
		}
	}
	if code != "" {
		var err error
		if r.Code, err = strconv.Atoi(code); err != nil {
			d.Problem(n.Line, "Can't create restriction: code %q is no whole number", code)
		} else if r.Code == 0 {
			d.Problem(n.Line, "Can't create restriction: %w",
				invalid.Fields{{Field: "code", Rule: invalid.Malformed, Detail: "0 is outside 400 to 499"}})
		}
	}
	if d.Len() > before {
		return
	}
	if err := r.Normalize(); err != nil {
		d.Problem(n.Line, "Can't create restriction: %w", err)
		return
	}
	k := r.Key()
	if !seen[k] {
		seen[k] = true
		s.Restrictions = append(s.Restrictions, r)
	}
}
