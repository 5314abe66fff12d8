package admin_test

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"barong/admin"
	"barong/identity"
	"barong/internal/account"
	"barong/internal/account/worldtest"
	"barong/internal/audit"
	"barong/internal/caller"
	"barong/internal/feed"
	"barong/internal/limit"
	"barong/internal/rest"
	"barong/internal/rest/resttest"
	"barong/internal/store"
	"barong/internal/store/storetest"
	"barong/internal/token"
	"barong/policy"
	"barong/policy/ability"
	"barong/policy/defaults"
	"barong/policy/editor"
	"barong/policy/seed"
)

// The parts of the wiring that the tests leave out must still fit.
var (
	_ caller.Verifier     = (*token.Minter)(nil)
	_ admin.Accounts      = (*account.Service)(nil)
	_ admin.Activities    = (*store.DB)(nil)
	_ identity.Whitelinks = (*editor.Service)(nil)
)

const base = "/api/v2/admin"

var home = netip.MustParseAddr("203.0.113.7")

// world is the namespace over the real rules and a seeded SQLite database, without a
// gateway in front of it.
type world struct {
	t      *testing.T
	now    time.Time
	ip     netip.Addr
	db     *store.DB
	holder *policy.Holder
	rules  *editor.Service
	client *resttest.Client
	server *rest.Server
	roles  ability.Set
	// explain stands for the decision.
	explain func(admin.Question) (admin.Explanation, error)
	// accounts, when not nil, goes around the real ones.
	accounts func(admin.Accounts) admin.Accounts
	// refused are the activities of changes that were not made.
	mu      sync.Mutex // guards refused
	refused []audit.Activity
}

func must[T any](t testing.TB) func(T, error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func fine(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func file(t testing.TB, name string) []byte {
	t.Helper()
	text, ok := defaults.File(name)
	if !ok {
		t.Fatalf("no built-in file %s", name)
	}
	return text
}

// newWorld has the built-in permissions and restrictions and a user of every role that they
// name, whose uid is the role in capitals.
func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t: t, now: time.Date(2026, 11, 21, 8, 0, 0, 0, time.UTC), ip: home}
	clock := func() time.Time { return w.now }
	w.db = storetest.Open(t, store.WithClock(clock))
	seeds := must[seed.File](t)(seed.Parse(file(t, "seeds")))
	must[seed.Report](t)(seed.Apply(t.Context(), w.db, seeds))
	w.roles = must[ability.Set](t)(ability.Parse(file(t, "abilities")))
	for _, role := range w.allRoles(seeds) {
		w.addUser(role)
	}
	rules := must[policy.RouteRules](t)(policy.ParseRules(file(t, "authz_rules")))
	w.holder = policy.NewHolder(rules, policy.Options{}, nil, clock)
	w.rules = editor.NewService(w.db, w.holder, 1, clock)
	w.refresh()

	w.mount(w.roles)
	return w
}

// mount serves the namespace with these abilities.
func (w *world) mount(roles ability.Set) {
	w.t.Helper()
	clock := func() time.Time { return w.now }
	log := slog.New(slog.DiscardHandler)
	ip := func(*http.Request) netip.Addr { return w.ip }
	w.server = must[*rest.Server](w.t)(rest.New(rest.Config{
		Log: log, ClientIP: ip, Budget: limit.NewBudget(new(limit.Memory), new(limit.Memory), clock),
	}))
	services := worldtest.Open(worldtest.Config{StaffRoles: roles.Staff()}, w.db, nil, w.db, clock)
	service := services.Accounts
	var accounts admin.Accounts = service
	if w.accounts != nil {
		accounts = w.accounts(accounts)
	}
	(&admin.API{
		Users: w.db, Tokens: w, Policy: w.rules, Activities: w.db, Abilities: roles, ClientIP: ip,
		Accounts: accounts,
		Record: func(row audit.Activity) bool {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.refused = append(w.refused, row)
			return true
		},
		Explain: func(_ context.Context, q admin.Question) (admin.Explanation, error) { return w.explain(q) },
		Country: func(netip.Addr) string { return "Malta" }, Now: clock, Patience: 50 * time.Millisecond,
	}).Mount(w.server)
	(&identity.API{Accounts: services.SignIns, Whitelinks: w.rules, ClientIP: ip, Now: clock, Log: log}).Mount(w.server)
	w.client = resttest.New(w.t, w.server).With("User-Agent", "Firefox/1")
}

func (w *world) allRoles(seeds seed.File) []string {
	roles := w.roles.Roles()
	for _, p := range seeds.Permissions {
		if !slices.Contains(roles, p.Role) {
			roles = append(roles, p.Role)
		}
	}
	return roles
}

func (w *world) addUser(role string) {
	w.t.Helper()
	fine(w.t, w.db.AddUser(w.t.Context(), &account.User{
		UID: uidOf(role), Email: role + "@barong.io", Role: role, State: account.StateActive,
	}))
}

func uidOf(role string) string { return strings.ToUpper(role) }

// Verify takes "jwt of UID".
func (w *world) Verify(jwt string, at time.Time) (string, error) {
	uid, ok := strings.CutPrefix(jwt, "jwt of ")
	if !ok || !at.Equal(w.now) {
		return "", errors.New("forged")
	}
	return uid, nil
}

// as is a client with the bearer token of the role's user.
func (w *world) as(role string) *resttest.Client {
	return w.client.With("Authorization", "Bearer jwt of "+uidOf(role))
}

// refresh makes the snapshot that of the rows.
func (w *world) refresh() {
	w.t.Helper()
	fine(w.t, w.holder.Refresh(w.t.Context(), w.db))
}

func (w *world) head() feed.Cursor { return must[feed.Cursor](w.t)(w.db.Head(w.t.Context())) }

// permission finds a row.
func (w *world) permission(role, verb, path, action string) policy.Permission {
	w.t.Helper()
	for _, p := range w.permissions() {
		if p.Role == role && p.Verb == verb && p.Path == path && p.Action == action {
			return p
		}
	}
	w.t.Fatalf("no permission %s %s %s %s", role, verb, path, action)
	return policy.Permission{}
}

func (w *world) permissions() []policy.Permission {
	return must[[]policy.Permission](w.t)(w.db.Permissions(w.t.Context()))
}

func (w *world) restrictions() []policy.Restriction {
	return must[[]policy.Restriction](w.t)(w.db.Restrictions(w.t.Context()))
}

func (w *world) addRestriction(r policy.Restriction) policy.Restriction {
	w.t.Helper()
	fine(w.t, r.Normalize())
	fine(w.t, w.db.AddRestriction(w.t.Context(), &r))
	w.refresh()
	return r
}

func diff(t testing.TB, got, want any) {
	t.Helper()
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("want -, got +:\n%s", d)
	}
}

// tokensOf is the list in a refusal's body.
func tokensOf(t testing.TB, a resttest.Answer) []string {
	t.Helper()
	var e rest.Errors
	a.Into(t, &e)
	return e.Errors
}

type m map[string]any

func itoa(n int64) string { return strconv.FormatInt(n, 10) }

// endpoint is an entry of admin 3.3.
type endpoint struct {
	method, path string
	action       ability.Action // "" for none
	subject      string
	also         string // a second subject to read, "" for none
}

// endpoints is the part of the table of admin 3.3 that this package has, and the previews.
var endpoints = []endpoint{
	{"GET", "/admin/abilities", "", "", ""},
	{"GET", "/admin/permissions", ability.Read, ability.SubjectPermission, ""},
	{"POST", "/admin/permissions", ability.Create, ability.SubjectPermission, ""},
	{"PUT", "/admin/permissions", ability.Update, ability.SubjectPermission, ""},
	{"DELETE", "/admin/permissions", ability.Destroy, ability.SubjectPermission, ""},
	{"POST", "/admin/permissions/preview", ability.Read, ability.SubjectPermission, ""},
	{"GET", "/admin/restrictions", ability.Read, ability.SubjectRestriction, ""},
	{"POST", "/admin/restrictions", ability.Create, ability.SubjectRestriction, ""},
	{"PUT", "/admin/restrictions", ability.Update, ability.SubjectRestriction, ""},
	{"DELETE", "/admin/restrictions", ability.Destroy, ability.SubjectRestriction, ""},
	{"POST", "/admin/restrictions/whitelink", ability.Create, ability.SubjectRestriction, ""},
	{"POST", "/admin/restrictions/preview", ability.Read, ability.SubjectRestriction, ""},
	{"GET", "/admin/activities", ability.Read, ability.SubjectActivity, ""},
	{"GET", "/admin/activities/admin", ability.Read, ability.SubjectActivity, ""},
	{"POST", "/admin/explain", ability.Read, ability.SubjectPermission, ability.SubjectUser},
	{"PUT", "/admin/users", ability.Update, ability.SubjectUser, ""},
	{"POST", "/admin/users/update", ability.Update, ability.SubjectUser, ""},
	{"POST", "/admin/users/role", ability.Update, ability.SubjectUser, ""},
}

// Every endpoint that is mounted, as every role there is: AZ-191, AZ-194, admin 3.3; and
// together with the permission rows admin 3.4.
func TestAbilityByRole(t *testing.T) {
	w := newWorld(t)
	mounted := map[string]bool{}
	d, err := w.server.Document("test", "0", "admin")
	fine(t, err)
	for path, item := range d.Paths.Map() {
		for method := range item.Operations() {
			mounted[method+" "+path] = true
		}
	}
	known := map[string]bool{}
	for _, e := range endpoints {
		known[e.method+" "+e.path] = true
	}
	diff(t, mounted, known)

	seeds := must[seed.File](t)(seed.Parse(file(t, "seeds")))
	snapshot := w.holder.Load()
	effective := map[string][]string{}
	for _, role := range w.allRoles(seeds) {
		for _, e := range endpoints {
			target := "/api/v2" + e.path
			if e.method == "DELETE" {
				target += "?id=404404"
			}
			var body any
			if e.method != "GET" {
				body = m{"id": 404404}
			}
			a := w.as(role).JSON(t, e.method, target, body)
			refused := a.Status == 401
			if refused {
				diff(t, tokensOf(t, a), []string{"admin.ability.not_permitted"})
			}
			may := e.action == "" || w.roles.Can(role, e.action, e.subject) &&
				(e.also == "" || w.roles.Can(role, ability.Read, e.also))
			if refused == may {
				t.Errorf("%s %s as %s: got %d, want permitted %v", e.method, e.path, role, a.Status, may)
			}
			if may && snapshot.Permission(role, e.method, "api/v2/barong"+e.path).Allows {
				effective[role] = append(effective[role], e.method+" "+strings.TrimPrefix(e.path, "/admin/"))
			}
		}
	}
	all := make([]string, 0, len(endpoints))
	for _, e := range endpoints {
		all = append(all, e.method+" "+strings.TrimPrefix(e.path, "/admin/"))
	}
	restrictions := []string{"GET restrictions", "POST restrictions", "PUT restrictions", "DELETE restrictions",
		"POST restrictions/whitelink", "POST restrictions/preview"}
	diff(t, effective, map[string][]string{ // admin 3.4
		"superadmin": all,
		"admin": slices.Concat([]string{"GET abilities"}, restrictions,
			[]string{"GET activities", "POST explain", "PUT users", "POST users/update"}),
		"technical":  slices.Concat([]string{"GET abilities"}, restrictions, []string{"GET activities"}),
		"accountant": {"GET abilities", "GET activities"},
		"compliance": {"GET abilities", "PUT users", "POST users/update"},
		"support":    {"GET abilities", "GET activities", "POST users/update"},
	})
}

// admin 2, as 2.1 and weakness 20 amend it.
func TestBearer(t *testing.T) {
	w := newWorld(t)
	banned := account.User{UID: "BANNED", Email: "b@barong.io", Role: "superadmin", State: account.StateBanned}
	fine(t, w.db.AddUser(t.Context(), &banned))
	unproved := account.User{
		UID: "UNPROVED", Email: "u@barong.io", Role: "superadmin", State: account.StatePending, Unproved: true,
	}
	fine(t, w.db.AddUser(t.Context(), &unproved))
	for name, test := range map[string]struct {
		header string
		status int
		token  string
	}{
		"no token":               {"", 401, "jwt.decode_and_verify"},
		"another scheme":         {"bearer jwt of SUPERADMIN", 401, "jwt.decode_and_verify"},
		"a forged one":           {"Bearer SUPERADMIN", 401, "jwt.decode_and_verify"},
		"a user that is gone":    {"Bearer jwt of NOBODY", 404, "record.not_found"},
		"a user who may not act": {"Bearer jwt of BANNED", 401, "authz.user_not_active"},
		"an unproved address":    {"Bearer jwt of UNPROVED", 403, "authz.email_not_verified"},
	} {
		t.Run(name, func(t *testing.T) {
			for _, e := range endpoints {
				c := w.client
				if test.header != "" {
					c = c.With("Authorization", test.header)
				}
				c.JSON(t, e.method, "/api/v2"+e.path, nil).WantTokens(t, test.status, test.token)
			}
		})
	}
}

// A1, A2, AZ-192.
func TestAbilities(t *testing.T) {
	w := newWorld(t)
	w.as("admin").Get(t, base+"/abilities").Want(t, 200, `{"read":["Activity","Permission"],
		"manage":["Ability","User","Level","Label","Profile","APIKey","Restriction","Document"]}`)
	a := w.as("technical").Get(t, base+"/abilities")
	if want := `{"read":["Ability","User","Level","Label","Profile","Activity"],"manage":["APIKey","Restriction"]}`; a.Body != want {
		t.Errorf("got %s, want the order of the file: %s", a.Body, want)
	}
	w.as("member").Get(t, base+"/abilities").Want(t, 200, `{}`)
}

// A request may ask to be answered by a version of the policy or later.
func TestAwaitVersion(t *testing.T) {
	w := newWorld(t)
	now := w.holder.Load().At()
	ask := func(version string) resttest.Answer {
		return w.as("superadmin").With("X-Policy-Version", version).Get(t, base+"/permissions?limit=1")
	}
	_, earlier, err := w.db.Changes(t.Context(), feed.Cursor{}, 1)
	if err != nil || earlier.Seq >= now.Seq {
		t.Fatalf("the first commit: %s, %v; want one before %s", earlier, err, now)
	}
	beginning := feed.Cursor{}.String()
	for _, version := range []string{beginning, earlier.String(), now.String(), "min_version=" + now.String()} {
		if a := ask(version); a.Status != 200 {
			t.Errorf("version %s: got %d %s, want 200", version, a.Status, a.Body)
		}
	}
	// A number alone names no commit: those of another history are not in force, however far we are.
	for _, number := range []int64{earlier.Seq, now.Seq, now.Seq + 1} {
		lost := feed.Cursor{Seq: number, Name: feed.NewName()}
		ask(lost.String()).WantTokens(t, 409, "admin.policy_version.lost")
	}
	for _, version := range []string{"x", "-1", "1.5", "min_version=", "99999999999999999999", itoa(now.Seq)} {
		ask(version).WantTokens(t, 400, "admin.policy_version.invalid")
	}
	// A member may not hold a connection open by asking.
	w.as("member").With("X-Policy-Version", now.String()).Get(t, base+"/permissions").
		WantTokens(t, 401, "admin.ability.not_permitted")

	written := w.as("superadmin").JSON(t, "POST", base+"/permissions", m{
		"role": "member", "verb": "get", "path": "api/v2/peatio/new", "action": "accept"})
	written.Want(t, 201, `201`)
	diff(t, written.Header.Get("X-Policy-Version"), w.head().String())
	a := ask(written.Header.Get("X-Policy-Version"))
	a.WantTokens(t, 503, "admin.policy_version.not_reached")
	diff(t, a.Header.Get("Retry-After"), "1")
	go func() {
		if err := w.holder.Refresh(context.WithoutCancel(t.Context()), w.db); err != nil {
			t.Error(err)
		}
	}()
	a = ask(written.Header.Get("X-Policy-Version"))
	for range 10 { // on a busy machine the snapshot may take longer than one wait
		if a.Status != 503 {
			break
		}
		a = ask(written.Header.Get("X-Policy-Version"))
	}
	if a.Status != 200 {
		t.Errorf("got %d %s, want the wait to end when the snapshot is there", a.Status, a.Body)
	}
	if got := w.holder.Load().Permission("member", "GET", "api/v2/peatio/new").Allows; !got {
		t.Error("answered by an older snapshot")
	}
}
