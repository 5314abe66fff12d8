package policy_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"barong/internal/account"
	"barong/policy"
)

func defaultSeeds(t testing.TB) policy.Seeds {
	t.Helper()
	data, ok := policy.Default("seeds")
	if !ok {
		t.Fatal("no default seeds")
	}
	s, err := policy.ParseSeeds(data)
	if err != nil {
		t.Fatalf("parse default seeds: %v", err)
	}
	return s
}

func defaultRules(t testing.TB) policy.RouteRules {
	t.Helper()
	data, _ := policy.Default("authz_rules.yml")
	r, err := policy.ParseRules(data)
	if err != nil {
		t.Fatalf("parse default rules: %v", err)
	}
	return r
}

func TestDefaultPermissions(t *testing.T) {
	got := map[string]int{}
	for _, p := range defaultSeeds(t).Permissions {
		got[p.Role]++
	}
	// data-model 12.1, and PATCH for the six staff roles (FX-37), less the row that support had
	// twice; service_account is sa_maker (D15).
	want := map[string]int{"superadmin": 5 + 1, "admin": 9 + 1, "accountant": 32 + 1, "compliance": 33 + 1,
		"technical": 29 + 1, "support": 24 + 1 - 1, "trader": 7, "broker": 7, "member": 7, "maker": 7,
		"sa_maker": 18, "service_account": 18}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("rows per role (-want +got):\n%s", d)
	}
}

// TestDefaultPolicy asks the shipped policy the questions of Appendix B.
func TestDefaultPolicy(t *testing.T) {
	seeds := defaultSeeds(t)
	for i := range seeds.Permissions {
		seeds.Permissions[i].ID = int64(i + 1)
	}
	s := compile(t, policy.Rows{Permissions: seeds.Permissions, Restrictions: seeds.Restrictions},
		defaultRules(t), policy.Options{})
	for name, test := range map[string]struct {
		role, method, path string
		want, audit        bool
	}{
		"superadmin may do anything":             {"superadmin", "DELETE", "api/v2/barong/admin/permissions", true, true},
		"admin may not touch permissions":        {"admin", "GET", "api/v2/barong/admin/permissions", false, false},
		"T-NEW-3: nor with a suffix":             {"admin", "GET", "api/v2/barong/admin/permissions.json", false, false},
		"admin may manage users":                 {"admin", "PUT", "api/v2/barong/admin/users", true, true},
		"admin may not change roles":             {"admin", "POST", "api/v2/barong/admin/users/role", false, true},
		"accountant reads engines, FX-2":         {"accountant", "GET", "api/v2/peatio/admin/engines", true, false},
		"compliance reads engines, FX-2":         {"compliance", "GET", "api/v2/peatio/admin/engines", true, false},
		"accountant does not change engines":     {"accountant", "POST", "api/v2/peatio/admin/engines/new", false, true},
		"FX-37: PATCH is audited":                {"support", "PATCH", "api/v2/peatio/account/x", true, true},
		"GET is not audited":                     {"support", "GET", "api/v2/peatio/admin/orders", true, false},
		"a member trades":                        {"member", "POST", "api/v2/peatio/market/orders", true, false},
		"a member is no staff":                   {"member", "GET", "api/v2/barong/admin/users", false, false},
		"sa_maker may not withdraw":              {"sa_maker", "POST", "api/v2/peatio/account/withdraws", false, false},
		"D15: service_account trades":            {"service_account", "POST", "api/v2/peatio/market/orders", true, false},
		"D15: service_account may not withdraw":  {"service_account", "POST", "api/v2/peatio/account/withdraws", false, false},
		"D15: service_account makes no API keys": {"service_account", "POST", "api/v2/barong/resource/api_keys", false, false},
	} {
		t.Run(name, func(t *testing.T) {
			want := policy.Permit{Allows: test.want, Audit: test.audit}
			if got := s.Permission(test.role, test.method, test.path); got != want {
				t.Errorf("got %+v, want %+v", got, want)
			}
		})
	}
	for path, want := range map[string]policy.Route{ // AZ-74
		"api/v2/barong/identity/sessions": policy.Pass, "api/v2/finex/public/markets": policy.Pass,
		"api/v2/barong/management/users": policy.Block, "api/v2/peatio/management": policy.Block,
		"api/v2/barong/resource/users/me": policy.Neither,
	} {
		if got := s.Route(path); got != want {
			t.Errorf("Route(%q): got %s, want %s", path, got, want)
		}
	}
}

func TestDefaultLevelsAndRestrictions(t *testing.T) {
	s := defaultSeeds(t)
	var levels []string
	for _, l := range s.Levels {
		levels = append(levels, l.Key+":"+l.Value)
	}
	if d := cmp.Diff([]string{"email:verified", "phone:verified", "document:verified"}, levels); d != "" {
		t.Errorf("levels (-want +got):\n%s", d)
	}
	var restrictions []string
	for _, r := range s.Restrictions {
		restrictions = append(restrictions, fmt.Sprint(r.Category, " ", r.Scope, " ", r.Value, " ", r.Code, " ", r.State))
	}
	want := []string{ // AZ-51, with AZ-49's codes, as codes that match (FX-20)
		"whitelist country UA 423 disabled", "maintenance all all 471 disabled",
		"blacklist ip 164.116.47.255 433 disabled", "blacklist ip_subnet 164.116.47.0/24 434 disabled",
		"blacklist country US 435 disabled", "blacklist continent SA 436 disabled",
	}
	if d := cmp.Diff(want, restrictions); d != "" {
		t.Errorf("restrictions (-want +got):\n%s", d)
	}
	if len(s.Users) != 0 {
		t.Errorf("D14: got users %v, want none", s.Users)
	}
}

func TestDefaultAbilities(t *testing.T) { // AZ-193, T-ABL
	data, _ := policy.Default("abilities")
	a, err := policy.ParseAbilities(data)
	if err != nil {
		t.Fatal(err)
	}
	// As in the table: m manage, r read, - nothing, in the order of Subjects.
	for role, want := range map[string]string{
		"superadmin": "mmmmmmmmmm", "admin": "mmmmmrmrmm", "technical": "rrrrrrm-m-",
		"accountant": "rrrrrr----", "compliance": "rmmmm----r", "support": "rmrrrr----", "member": "----------",
	} {
		got := ""
		for _, subject := range policy.Subjects() {
			read, change := a.Can(role, policy.Read, subject), a.Can(role, policy.Destroy, subject)
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
	a, err := policy.ParseAbilities([]byte("admin_permissions:\n  boss: {manage: [all]}\n  clerk: {Update: [User], read: [all]}\n"))
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff([]string{"boss", "clerk"}, a.Staff()); d != "" {
		t.Errorf("D24: roles with abilities are of staff, listed or not (-want +got):\n%s", d)
	}
	for name, test := range map[string]struct {
		role    string
		action  policy.Action
		subject string
		want    bool
	}{
		"manage is every action":       {"boss", policy.Create, "Label", true},
		"all is every subject":         {"clerk", policy.Read, "Permission", true},
		"an action and its subject":    {"clerk", policy.Update, "User", true},
		"an action on another subject": {"clerk", policy.Update, "Label", false},
		"update is not manage":         {"clerk", policy.Manage, "User", false},
		"AZ-191: an unknown role":      {"guest", policy.Read, "User", false},
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
		if _, err := policy.ParseAbilities([]byte(in)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got error %v, want one with %q", in, err, want)
		}
	}
}

func TestDefaultNames(t *testing.T) {
	for _, name := range policy.DefaultNames() {
		if data, ok := policy.Default(name); !ok || len(data) == 0 {
			t.Errorf("no default %q", name)
		}
	}
	for _, name := range []string{"", "mailer", "../policy", "seeds.yml.yml"} {
		if _, ok := policy.Default(name); ok {
			t.Errorf("a default %q", name)
		}
	}
}

func TestParseRules(t *testing.T) {
	for name, test := range map[string]struct {
		in, err string
		want    policy.RouteRules
	}{
		"AZ-70: both lists": {in: "rules:\n  pass: [/api/v2/a/]\n  block:\n    - api/v2/b*\n",
			want: policy.RouteRules{Pass: []string{"api/v2/a"}, Block: []string{"api/v2/b*"}}},
		"AZ-70: a list may be absent": {in: "rules:\n  block: [x]\n", want: policy.RouteRules{Block: []string{"x"}}},
		"an empty file":               {in: "# nothing\n"},
		"an empty mapping":            {in: "rules:\n"},
		"FX-38: a template":           {in: "rules:\n  pass:\n    - <%= x %>\n", err: "line 3: this is a template"},
		"a template in a comment":     {in: "# <%= x %>\nrules: {pass: [a]} # <% %>\n", want: policy.RouteRules{Pass: []string{"a"}}},
		"an empty path":               {in: "rules:\n  pass:\n    - /\n", err: "line 3: rules.pass: path is empty"},
		"an impossible path":          {in: "rules:\n  block: [a/../b]\n", err: "line 2: rules.block: path has the dot segment"},
		"all problems at once":        {in: "rules:\n  pass: ['']\n  blok: []\n", err: "line 2: rules.pass: path is empty; a single * covers everything\nline 3: rules: unknown key \"blok\"; did you mean \"block\"?"},
		"a list at the top":           {in: "- a\n", err: "line 1: the file must be a mapping"},
		"a string for a list":         {in: "rules: {pass: a}\n", err: "line 1: rules.pass must be a list"},
		"a key twice":                 {in: "rules: {pass: [a], Pass: [b]}\n", err: `key "Pass" is there twice`},
		"broken YAML":                 {in: "rules: [", err: "read YAML"},
		"two documents":               {in: "rules: {}\n---\nrules: {}\n", err: "more than one document"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := policy.ParseRules([]byte(test.in))
			if test.err != "" {
				if err == nil || !strings.Contains(err.Error(), test.err) {
					t.Fatalf("got error %v, want one with %q", err, test.err)
				}
				return
			}
			if d := cmp.Diff(test.want, got); err != nil || d != "" {
				t.Errorf("error %v, rules (-want +got):\n%s", err, d)
			}
		})
	}
}

func TestParseSeeds(t *testing.T) {
	const file = `
Levels:
  - {key: email, value: verified, description: mail}
permissions:
  - &row {role: admin, verb: get, path: /api/v2/, action: Accept}
  - {role: admin, verb: GET, path: api/v2, action: ACCEPT}
  - {role: admin, verb: put, path: api/v2, action: audit, topic: t}
  - *row
users:
  - {email: a@b.c, password: "12345678", role: admin, state: active, level: 2}
  - {email: c@d.e, level: 0}
restrictions:
  - {category: Blacklist, scope: country, value: USA, code: 435, state: Disabled}
  - {category: blacklist, scope: country, value: United States, state: enabled}
`
	got, err := policy.ParseSeeds([]byte(file))
	want := policy.Seeds{
		Levels: []account.SeedLevel{{Key: "email", Value: "verified", Description: "mail"}},
		Permissions: []policy.Permission{
			{Role: "admin", Verb: "GET", Path: "api/v2", Action: "ACCEPT"},
			{Role: "admin", Verb: "PUT", Path: "api/v2", Action: "AUDIT", Topic: "t"},
		},
		Users: []account.SeedUser{
			{Email: "a@b.c", Password: "12345678", Role: "admin", State: "active", Level: new(2), Line: 10},
			{Email: "c@d.e", Level: new(0), Line: 11},
		},
		Restrictions: []policy.Restriction{
			{Category: "blacklist", Scope: "country", Value: "US", Code: 435, State: "disabled"},
		},
	}
	if d := cmp.Diff(want, got); err != nil || d != "" {
		t.Errorf("error %v, seeds (-want +got):\n%s", err, d)
	}
	if text := fmt.Sprintf("%v %+v %#v", got.Users, got.Users[0], got.Users[0]); strings.Contains(text, "12345678") {
		t.Errorf("the password shows in %s", text)
	}
}

func TestParseSeedsProblems(t *testing.T) {
	for name, test := range map[string]struct{ in, want string }{
		"T-SEED-7: no e-mail":        {"users:\n  - {level: 1}", "line 2: Email missing in users seed"},
		"T-SEED-6: no level":         {"users:\n  - {email: admin@peatio.tech}", "line 2: Level is missing for user admin@peatio.tech"},
		"a level that is no number":  {"users:\n  - {email: a@b.c, level: one}", "line 2: Level is missing for user a@b.c"},
		"AZ-420: no category":        {"restrictions:\n  - {scope: all, value: all, state: enabled}", "line 2: category missing in restrictions seed"},
		"AZ-420: no scope":           {"restrictions:\n  - {category: blacklist, value: all, state: enabled}", "line 2: scope is missing in restrictions seed"},
		"AZ-420: no value":           {"restrictions:\n  - {category: blacklist, scope: all, state: enabled}", "line 2: value is missing in restrictions seed"},
		"AZ-420: no state":           {"restrictions:\n  - {category: blacklist, scope: all, value: all}", "line 2: state is missing in restrictions seed"},
		"a bad restriction":          {"restrictions:\n  - {category: blacklist, scope: ip, value: 1.2.3, state: enabled}", "line 2: Can't create restriction: value.invalid"},
		"FX-23: a bad code":          {"restrictions:\n  - {category: blacklist, scope: all, value: all, state: enabled, code: 200}", "line 2: Can't create restriction: code.invalid"},
		"a code that is no number":   {"restrictions:\n  - {category: blacklist, scope: all, value: all, state: enabled, code: x}", "line 2: Can't create restriction: code \"x\""},
		"AZ-420: a bad permission":   {"permissions:\n  - {role: a, verb: fetch, path: x, action: accept}", "line 2: Can't create permission: verb.invalid"},
		"an unknown key of an item":  {"permissions:\n  - {role: a, verbs: get, path: x, action: accept}", "line 2: permissions: unknown key \"verbs\"; did you mean \"verb\"?"},
		"an unknown key of the file": {"permission: []", "line 1: the file: unknown key \"permission\"; did you mean \"permissions\"?"},
		"a template":                 {"users:\n  - email: <%= ENV['X'] %>", "line 2: this is a template"},
		"an item that is no mapping": {"levels: [email]", "line 1: levels: every item must be a mapping"},
		"a level without a value":    {"levels:\n  - {key: email}", "line 2: levels: key and value are needed"},
		"a list for a value":         {"permissions:\n  - {role: [a], verb: get, path: x, action: accept}", "line 2: permissions: role must be a single value"},
		"a merge key":                {"permissions:\n  - <<: {role: a}", "keys must be plain words"},
		"all problems at once":       {"users:\n  - {level: 1}\nlevels:\n  - {}\npermissions:\n  - {role: a}", "line 2: Email missing in users seed\nline 4: levels: key and value are needed\nline 6: Can't create permission: verb.blank, path.blank, action.blank"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := policy.ParseSeeds([]byte(test.in))
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got error %v, want one with %q", err, test.want)
			}
		})
	}
}

func FuzzParseFiles(f *testing.F) {
	for _, name := range policy.DefaultNames() {
		data, _ := policy.Default(name)
		f.Add(data)
	}
	for _, s := range []string{"users: &a [*a]", "a: &a\n  <<: *a", "? [a]\n: b", "users:\n - !!binary x", "%>", "rules: {pass: [~]}",
		"restrictions:\n- {category: blacklist, scope: all, value: all, state: enabled, code: 0}", "---\n...\n", "levels: [null]"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if s, err := policy.ParseSeeds(data); err == nil {
			for _, p := range s.Permissions {
				if q := p; q.Normalize() != nil || q != p {
					t.Errorf("permission %+v is not normalised", p)
				}
			}
			for _, r := range s.Restrictions {
				if q := r; q.Normalize() != nil || q != r {
					t.Errorf("restriction %+v is not normalised", r)
				}
			}
			if _, warnings := policy.Compile(policy.Rows{Permissions: s.Permissions}, policy.RouteRules{},
				policy.Options{Components: []string{"*"}}); len(warnings) > 0 {
				t.Errorf("what was parsed gives warnings %v", warnings)
			}
		}
		if r, err := policy.ParseRules(data); err == nil {
			if _, warnings := policy.Compile(policy.Rows{}, r, policy.Options{Components: []string{"*"}}); len(warnings) > 0 {
				t.Errorf("what was parsed gives warnings %v", warnings)
			}
		}
		if a, err := policy.ParseAbilities(data); err == nil {
			a.Can("admin", policy.Read, policy.SubjectUser)
		}
	})
}

func TestSeed(t *testing.T) {
	ctx := context.Background()
	s := defaultSeeds(t)
	var store shelf
	first, err := policy.Seed(ctx, &store, s)
	want := policy.SeedReport{PermissionsAdded: len(s.Permissions), RestrictionsAdded: 6}
	if err != nil || first != want {
		t.Fatalf("first run: got %+v, error %v, want %+v", first, err, want)
	}
	again, err := policy.Seed(ctx, &store, s)
	want = policy.SeedReport{PermissionsKept: len(s.Permissions), RestrictionsKept: 6}
	if err != nil || again != want {
		t.Errorf("AZ-420, second run: got %+v, error %v, want %+v", again, err, want)
	}

	t.Run("AZ-420: rows in other spellings are the same rows", func(t *testing.T) {
		store := shelf{rows: policy.Rows{
			Permissions:  []policy.Permission{{Role: "superadmin", Verb: "all", Path: "/api/v2/", Action: "accept"}},
			Restrictions: []policy.Restriction{{Category: "blacklist", Scope: "country", Value: "United States", State: "enabled"}},
		}}
		got, err := policy.Seed(ctx, &store, s)
		if err != nil || got.PermissionsKept != 1 || got.RestrictionsKept != 1 {
			t.Errorf("got %+v, error %v, want one row of each kept", got, err)
		}
		if r := store.rows.Restrictions[0]; r.State != "enabled" {
			t.Errorf("the kept restriction became %+v", r)
		}
	})
	t.Run("another replica that was quicker", func(t *testing.T) {
		var store shelf
		failures := 2
		store.onAdd = func() error {
			if failures > 0 {
				failures--
				return policy.ErrTaken
			}
			return nil
		}
		got, err := policy.Seed(ctx, &store, s)
		if err != nil || got.PermissionsAdded != len(s.Permissions) {
			t.Errorf("got %+v, error %v", got, err)
		}
	})
	t.Run("a failure undoes it", func(t *testing.T) {
		var store shelf
		broken := errors.New("disk full")
		n := 0
		store.onAdd = func() error {
			if n++; n > 3 {
				return broken
			}
			return nil
		}
		if got, err := policy.Seed(ctx, &store, s); !errors.Is(err, broken) || got != (policy.SeedReport{}) {
			t.Errorf("got %+v, error %v", got, err)
		}
		if n := len(store.rows.Permissions); n != 0 {
			t.Errorf("got %d rows, want none", n)
		}
	})
}
