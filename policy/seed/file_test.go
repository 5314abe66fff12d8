package seed_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"barong/internal/account"
	"barong/internal/config"
	"barong/internal/configured"
	"barong/policy"
	"barong/policy/defaults"
	"barong/policy/seed"
)

func defaultSeeds(t testing.TB) seed.File {
	t.Helper()
	data, ok := defaults.File("seeds")
	if !ok {
		t.Fatal("no default seeds")
	}
	s, err := seed.Parse(data)
	if err != nil {
		t.Fatalf("parse default seeds: %v", err)
	}
	return s
}

func defaultRules(t testing.TB) policy.RouteRules {
	t.Helper()
	data, _ := defaults.File("authz_rules.yml")
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
	// The reference's rows, and PATCH for the six staff roles (FX-37), less the row that support had
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
		defaultRules(t), configured.Policy(config.Default(), nil))
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
		"api/v2/barong/resource/users/me": policy.Neither, "api/v2/barong/resource/swagger_doc/labels": policy.Pass,
		"api/v2/barong/resource/swagger_docs": policy.Neither, // FX-58: no path merely for its word
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
api_keys:
  - {kid: maker-01, secret_env: MAKER, service_account: SI0000000001, email: m@b.c, role: maker, owner: a@b.c, scope: trade, ip_whitelist: 192.0.2.1}
  - {kid: reader-1, secret: "0123456789abcdef", service_account: SI0000000001}
restrictions:
  - {category: Blacklist, scope: country, value: USA, code: 435, state: Disabled}
  - {category: blacklist, scope: country, value: United States, state: enabled}
`
	got, err := seed.Parse([]byte(file))
	want := seed.File{
		Levels: []account.SeedLevel{{Key: "email", Value: "verified", Description: "mail"}},
		Permissions: []policy.Permission{
			{Role: "admin", Verb: "GET", Path: "api/v2", Action: "ACCEPT"},
			{Role: "admin", Verb: "PUT", Path: "api/v2", Action: "AUDIT", Topic: "t"},
		},
		Users: []account.SeedUser{
			{Email: "a@b.c", Password: "12345678", Role: "admin", State: "active", Level: new(2), Line: 10},
			{Email: "c@d.e", Level: new(0), Line: 11},
		},
		APIKeys: []account.SeedKey{
			{Kid: "maker-01", SecretEnv: "MAKER", ServiceAccount: "SI0000000001", Email: "m@b.c", Role: "maker", Owner: "a@b.c",
				Scope: "trade", Networks: "192.0.2.1", Line: 13},
			{Kid: "reader-1", Secret: "0123456789abcdef", ServiceAccount: "SI0000000001", Line: 14},
		},
		Restrictions: []policy.Restriction{
			{Category: "blacklist", Scope: "country", Value: "US", Code: 435, State: "disabled"},
		},
	}
	if d := cmp.Diff(want, got); err != nil || d != "" {
		t.Errorf("error %v, seeds (-want +got):\n%s", err, d)
	}
	if text := fmt.Sprintf("%v %+v %#v %v %+v %#v", got.Users, got.Users[0], got.Users[0], got.APIKeys, got.APIKeys[1], got.APIKeys[1]); strings.Contains(text, "12345678") {
		t.Errorf("a password or a secret shows in %s", text)
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
		"a key without its id":       {"api_keys:\n  - {service_account: SI1}", "line 2: api_keys: kid and service_account are needed"},
		"a key without a holder":     {"api_keys:\n  - {kid: a}", "line 2: api_keys: kid and service_account are needed"},
		"a key with two secrets":     {"api_keys:\n  - {kid: a, service_account: SI1, secret: x, secret_env: X}", "line 2: api_keys: of secret, secret_file and secret_env at most one is taken"},
		"a template":                 {"users:\n  - email: <%= ENV['X'] %>", "line 2: this is a template"},
		"an item that is no mapping": {"levels: [email]", "line 1: levels: every item must be a mapping"},
		"a level without a value":    {"levels:\n  - {key: email}", "line 2: levels: key and value are needed"},
		"a list for a value":         {"permissions:\n  - {role: [a], verb: get, path: x, action: accept}", "line 2: permissions: role must be a single value"},
		"a merge key":                {"permissions:\n  - <<: {role: a}", "keys must be plain words"},
		"all problems at once":       {"users:\n  - {level: 1}\nlevels:\n  - {}\npermissions:\n  - {role: a}", "line 2: Email missing in users seed\nline 4: levels: key and value are needed\nline 6: Can't create permission: verb.blank, path.blank, action.blank"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := seed.Parse([]byte(test.in))
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got error %v, want one with %q", err, test.want)
			}
		})
	}
}

func FuzzParse(f *testing.F) {
	data, _ := defaults.File("seeds")
	f.Add(data)
	for _, s := range []string{"users: &a [*a]", "a: &a\n  <<: *a", "? [a]\n: b", "users:\n - !!binary x", "%>",
		"restrictions:\n- {category: blacklist, scope: all, value: all, state: enabled, code: 0}", "---\n...\n", "levels: [null]"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		s, err := seed.Parse(data)
		if err != nil {
			return
		}
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
	})
}

func TestSeed(t *testing.T) {
	ctx := context.Background()
	s := defaultSeeds(t)
	var store shelf
	first, err := seed.Apply(ctx, &store, s)
	want := seed.Report{PermissionsAdded: len(s.Permissions), RestrictionsAdded: 6}
	if err != nil || first != want {
		t.Fatalf("first run: got %+v, error %v, want %+v", first, err, want)
	}
	again, err := seed.Apply(ctx, &store, s)
	want = seed.Report{PermissionsKept: len(s.Permissions), RestrictionsKept: 6}
	if err != nil || again != want {
		t.Errorf("AZ-420, second run: got %+v, error %v, want %+v", again, err, want)
	}

	t.Run("AZ-420: rows in other spellings are the same rows", func(t *testing.T) {
		store := shelf{rows: policy.Rows{
			Permissions:  []policy.Permission{{Role: "superadmin", Verb: "all", Path: "/api/v2/", Action: "accept"}},
			Restrictions: []policy.Restriction{{Category: "blacklist", Scope: "country", Value: "United States", State: "enabled"}},
		}}
		got, err := seed.Apply(ctx, &store, s)
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
		got, err := seed.Apply(ctx, &store, s)
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
		if got, err := seed.Apply(ctx, &store, s); !errors.Is(err, broken) || got != (seed.Report{}) {
			t.Errorf("got %+v, error %v", got, err)
		}
		if n := len(store.rows.Permissions); n != 0 {
			t.Errorf("got %d rows, want none", n)
		}
	})
}

// compile builds a snapshot and fails on warnings that are not expected.
func compile(t testing.TB, rows policy.Rows, rules policy.RouteRules, o policy.Options) *policy.Snapshot {
	t.Helper()
	s, warnings := policy.Compile(rows, rules, o)
	for _, w := range warnings {
		t.Errorf("unexpected warning: %s", w)
	}
	return s
}

// shelf is a policy.Store in memory.
type shelf struct {
	rows   policy.Rows
	nextID int64
	onAdd  func() error // called before every add
}

func (s *shelf) Rows(context.Context) (policy.Rows, error) {
	r := s.rows
	r.Permissions = slices.Clone(r.Permissions)
	r.Restrictions = slices.Clone(r.Restrictions)
	return r, nil
}

func (s *shelf) UpdatePolicy(_ context.Context, f func(policy.Tx) error) error {
	before := s.rows
	before.Permissions = slices.Clone(before.Permissions)
	before.Restrictions = slices.Clone(before.Restrictions)
	if err := f(s); err != nil {
		s.rows = before
		return err
	}
	s.rows.At.Seq++
	return nil
}

func (s *shelf) Permissions(context.Context) ([]policy.Permission, error) {
	return slices.Clone(s.rows.Permissions), nil
}

func (s *shelf) Restrictions(context.Context) ([]policy.Restriction, error) {
	return slices.Clone(s.rows.Restrictions), nil
}

func (s *shelf) AddPermission(_ context.Context, p *policy.Permission) error {
	if s.onAdd != nil {
		if err := s.onAdd(); err != nil {
			return err
		}
	}
	if slices.ContainsFunc(s.rows.Permissions, func(q policy.Permission) bool {
		return q.Role == p.Role && q.Verb == p.Verb && q.Path == p.Path && q.Action == p.Action
	}) {
		return policy.ErrTaken
	}
	s.nextID++
	p.ID = s.nextID
	s.rows.Permissions = append(s.rows.Permissions, *p)
	return nil
}

func (s *shelf) AddRestriction(_ context.Context, r *policy.Restriction) error {
	if slices.ContainsFunc(s.rows.Restrictions, func(q policy.Restriction) bool {
		return q.Category == r.Category && q.Scope == r.Scope && q.Value == r.Value
	}) {
		return policy.ErrTaken
	}
	s.nextID++
	r.ID = s.nextID
	s.rows.Restrictions = append(s.rows.Restrictions, *r)
	return nil
}

func (s *shelf) PutPermission(context.Context, *policy.Permission) error   { return nil }
func (s *shelf) DeletePermission(context.Context, int64) error             { return nil }
func (s *shelf) PutRestriction(context.Context, *policy.Restriction) error { return nil }
func (s *shelf) DeleteRestriction(context.Context, int64) error            { return nil }
