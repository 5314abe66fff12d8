package ability_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"barong/policy/ability"
	"barong/policy/defaults"
)

func TestDefaultAbilities(t *testing.T) { // AZ-193, T-ABL
	data, _ := defaults.File("abilities")
	a, err := ability.Parse(data)
	if err != nil {
		t.Fatal(err)
	}
	// As in the table: m manage, r read, - nothing, in the order of Subjects.
	for role, want := range map[string]string{
		"superadmin": "mmmmmmmmmmm", "admin": "mmmmmrmrmmm", "technical": "rrrrrrm-m-r",
		"accountant": "rrrrrr-----", "compliance": "rmmmm----rr", "support": "rmrrrr----r", "member": "-----------",
	} {
		got := ""
		for _, subject := range ability.Subjects() {
			read, change := a.Can(role, ability.Read, subject), a.Can(role, ability.Destroy, subject)
			switch {
			case read && change:
				got += "m"
			case read:
				got += "r"
			case change:
				got += "?"
			default:
				got += "-"
			}
		}
		if got != want {
			t.Errorf("%s: got %s, want %s", role, got, want)
		}
	}
	if d := cmp.Diff([]string{"superadmin", "admin", "technical", "accountant", "compliance", "support"}, a.Roles()); d != "" {
		t.Errorf("roles (-want +got):\n%s", d)
	}
	text, err := json.Marshal(a.Of("admin"))
	if want := `{"read":["Activity","Permission"],"manage":["Ability",`; err != nil || !strings.HasPrefix(string(text), want) {
		t.Errorf("AZ-192: got %s, error %v, want it to begin with %s", text, err, want)
	}
	if text, _ := json.Marshal(a.Of("member")); string(text) != "{}" {
		t.Errorf("AZ-192: without abilities got %s, want {}", text)
	}
}

func TestAbilitiesFile(t *testing.T) {
	a, err := ability.Parse([]byte("admin_permissions:\n  boss: {manage: [all]}\n  clerk: {Update: [User], read: [all]}\n"))
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff([]string{"boss", "clerk"}, a.Staff()); d != "" {
		t.Errorf("D24: roles with abilities are of staff, listed or not (-want +got):\n%s", d)
	}
	for name, test := range map[string]struct {
		role    string
		action  ability.Action
		subject string
		want    bool
	}{
		"manage is every action":       {"boss", ability.Create, "Label", true},
		"all is every subject":         {"clerk", ability.Read, "Permission", true},
		"an action and its subject":    {"clerk", ability.Update, "User", true},
		"an action on another subject": {"clerk", ability.Update, "Label", false},
		"update is not manage":         {"clerk", ability.Manage, "User", false},
		"AZ-191: an unknown role":      {"guest", ability.Read, "User", false},
	} {
		if got := a.Can(test.role, test.action, test.subject); got != test.want {
			t.Errorf("%s: got %v, want %v", name, got, test.want)
		}
	}
	for in, want := range map[string]string{
		"admin_permissions: {a: {raed: [User]}}":  `line 1: role a: unknown key "raed"; did you mean "read"?`,
		"admin_permissions: {a: {read: [Users]}}": `line 1: role a, read: unknown subject "Users"`,
		"roles: x":    "line 1: roles must be a list",
		"other: {}":   `line 1: the file: unknown key "other"`,
		"x: <%= 1 %>": "line 1: this is a template",
	} {
		if _, err := ability.Parse([]byte(in)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got error %v, want one with %q", in, err, want)
		}
	}
}

func FuzzParse(f *testing.F) {
	data, _ := defaults.File("abilities")
	f.Add(data)
	for _, s := range []string{"admin_permissions: &a {a: *a}", "a: &a\n  <<: *a", "? [a]\n: b", "%>", "roles: [~]", "---\n...\n"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		a, err := ability.Parse(data)
		if err != nil {
			return
		}
		for _, role := range a.Staff() {
			if a.Can(role, ability.Manage, ability.SubjectUser) && !a.Can(role, ability.Read, ability.SubjectUser) {
				t.Errorf("role %s manages users, but may not read them", role)
			}
		}
	})
}
