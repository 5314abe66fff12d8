package admin_test

import (
	"context"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"testing"

	"barong/admin"
	"barong/internal/account"
	"barong/internal/apitest"
	"barong/internal/expect"
	"barong/internal/factor"
	"barong/internal/feed"
	"barong/internal/rest"
	"barong/internal/rest/resttest"
	"barong/internal/view"
	"barong/policy"
	"barong/policy/ability"
)

const base = "/api/v2/admin"

var home = netip.MustParseAddr("203.0.113.7")

// world has the built-in permissions, restrictions and abilities and a user of every role that
// they name, whose uid is the role in capitals.
type world struct {
	*apitest.World
	roles []string
	// explain stands for the decision.
	explain func(admin.ExplainRequest) (view.Explanation, error)
}

func newWorld(t testing.TB) *world {
	t.Helper()
	w := &world{World: apitest.New(t)}
	w.IP = home
	w.roles = w.Shipped()
	w.Admin.Explain = func(_ context.Context, q admin.ExplainRequest) (view.Explanation, error) { return w.explain(q) }
	return w
}

// addUser adds an active user whose uid is the role in capitals.
func (w *world) addUser(role string) {
	w.T.Helper()
	w.AddUser(account.User{UID: uidOf(role), Email: role + "@barong.io", Role: role, State: account.StateActive})
}

func uidOf(role string) string { return strings.ToUpper(role) }

// as is a client of the role's user, behind the gateway.
func (w *world) as(role string) *resttest.Client { return w.As(uidOf(role)) }

func (w *world) head() feed.Cursor { return expect.Must(w.DB.Head(w.T.Context()))(w.T) }

// permission finds a row.
func (w *world) permission(role, verb, path, action string) policy.Permission {
	w.T.Helper()
	for _, p := range w.permissions() {
		if p.Role == role && p.Verb == verb && p.Path == path && p.Action == action {
			return p
		}
	}
	w.T.Fatalf("no permission %s %s %s %s", role, verb, path, action)
	return policy.Permission{}
}

func (w *world) permissions() []policy.Permission {
	return expect.Must(w.DB.Permissions(w.T.Context()))(w.T)
}

func (w *world) restrictions() []policy.Restriction {
	return expect.Must(w.DB.Restrictions(w.T.Context()))(w.T)
}

func (w *world) addRestriction(r policy.Restriction) policy.Restriction {
	w.T.Helper()
	expect.OK(w.T, r.Normalize())
	expect.OK(w.T, w.DB.AddRestriction(w.T.Context(), &r))
	w.Refresh()
	return r
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

// endpoint is an admin endpoint with the ability that it asks for.
type endpoint struct {
	method, path string
	action       ability.Action // "" for none
	subject      string
	also         string // a second subject to read, "" for none
}

// endpoints is every endpoint of this package.
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
	{"GET", "/admin/api_keys", ability.Read, ability.SubjectAPIKey, ""},
	{"GET", "/admin/service_accounts", ability.Read, ability.SubjectUser, ""},
	{"GET", "/admin/metrics", ability.Read, ability.SubjectUser, ""},
	{"PUT", "/admin/users", ability.Update, ability.SubjectUser, ""},
	{"POST", "/admin/users/update", ability.Update, ability.SubjectUser, ""},
	{"POST", "/admin/users/role", ability.Update, ability.SubjectUser, ""},
	{"GET", "/admin/users", ability.Read, ability.SubjectUser, ""},
	{"GET", "/admin/users/search", ability.Read, ability.SubjectUser, ""},
	{"GET", "/admin/users/documents/pending", ability.Read, ability.SubjectUser, ""},
	{"GET", "/admin/users/x", ability.Read, ability.SubjectUser, ""},
	{"GET", "/admin/users/x/sessions", ability.Read, ability.SubjectUser, ""},
	{"DELETE", "/admin/users/x/sessions/x", ability.Update, ability.SubjectUser, ""},
	{"DELETE", "/admin/users/x/sessions", ability.Update, ability.SubjectUser, ""},
	{"POST", "/admin/users/comments", ability.Update, ability.SubjectUser, ""},
	{"PUT", "/admin/users/comments", ability.Update, ability.SubjectUser, ""},
	{"DELETE", "/admin/users/comments", ability.Update, ability.SubjectUser, ""},
	{"GET", "/admin/users/labels", ability.Read, ability.SubjectUser, ""},
	{"GET", "/admin/users/labels/list", ability.Read, ability.SubjectUser, ""},
	{"POST", "/admin/users/labels", ability.Create, ability.SubjectLabel, ""},
	{"PUT", "/admin/users/labels", ability.Update, ability.SubjectLabel, ""},
	{"POST", "/admin/users/labels/update", ability.Update, ability.SubjectLabel, ""},
	{"DELETE", "/admin/users/labels", ability.Destroy, ability.SubjectLabel, ""},
	{"DELETE", "/admin/users/data_storage", ability.Destroy, ability.SubjectUser, ""},
	{"GET", "/admin/profiles", ability.Read, ability.SubjectProfile, ""},
	{"POST", "/admin/profiles", ability.Create, ability.SubjectProfile, ""},
	{"PUT", "/admin/profiles", ability.Update, ability.SubjectProfile, ""},
	{"GET", "/admin/levels", ability.Read, ability.SubjectLevel, ""},
	{"GET", "/admin/requests", ability.Read, ability.SubjectRequest, ""},
	{"GET", "/admin/requests/x", ability.Read, ability.SubjectRequest, ""},
	{"POST", "/admin/requests/x/confirm", ability.Update, ability.SubjectRequest, ""},
	{"POST", "/admin/requests/x/refuse", ability.Update, ability.SubjectRequest, ""},
}

// Every endpoint that is mounted, as every role there is (AZ-191, AZ-194), alone and
// together with the permission rows.
func TestAbilityByRole(t *testing.T) {
	w := newWorld(t)
	mounted := map[string]bool{}
	for _, e := range w.Client().Endpoints("admin") {
		mounted[e.Method+" "+e.Path] = true
	}
	known := map[string]bool{}
	for _, e := range endpoints {
		known[e.method+" "+e.path] = true
	}
	expect.Equal(t, mounted, known)

	snapshot := w.Holder.Load()
	effective := map[string][]string{}
	for _, role := range w.roles {
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
				expect.Equal(t, tokensOf(t, a), []string{"admin.ability.not_permitted"})
			}
			may := e.action == "" || w.Admin.Abilities.Can(role, e.action, e.subject) &&
				(e.also == "" || w.Admin.Abilities.Can(role, ability.Read, e.also))
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
	people := []string{"GET users", "GET users/search", "GET users/x", "GET users/x/sessions"}
	belongings := []string{"DELETE users/x/sessions/x", "DELETE users/x/sessions",
		"POST users/comments", "PUT users/comments", "DELETE users/comments"}
	labels := []string{"POST users/labels", "PUT users/labels", "POST users/labels/update", "DELETE users/labels"}
	labelled := []string{"GET users/labels", "GET users/labels/list"}
	data := []string{"DELETE users/data_storage"}
	profiles := []string{"GET profiles", "POST profiles", "PUT profiles"}
	levels := []string{"GET levels", "GET requests", "GET requests/x"}
	decisions := []string{"POST requests/x/confirm", "POST requests/x/refuse"}
	reviewers := slices.Insert(slices.Clone(people), 2, "GET users/documents/pending")
	keys, numbers := []string{"GET api_keys"}, []string{"GET service_accounts", "GET metrics"}
	expect.Equal(t, effective, map[string][]string{
		"superadmin": all,
		"admin": slices.Concat([]string{"GET abilities"}, restrictions,
			[]string{"GET activities", "POST explain"}, keys, numbers, []string{"PUT users", "POST users/update"}, reviewers, belongings, labelled, labels, data, profiles, levels, decisions),
		"technical": slices.Concat([]string{"GET abilities"}, restrictions, []string{"GET activities"}, keys, numbers,
			people, labelled, profiles[:1], levels),
		"accountant": slices.Concat([]string{"GET abilities", "GET activities"}, numbers, people, labelled, profiles[:1], levels[:1]),
		"compliance": slices.Concat([]string{"GET abilities"}, numbers, []string{"PUT users", "POST users/update"},
			reviewers, belongings, labelled, labels, data, profiles[:1], levels),
		"support": slices.Concat([]string{"GET abilities", "GET activities"}, numbers, []string{"POST users/update"}, reviewers, labelled, profiles[:1], levels),
	})
}

// Only a good bearer token of an account that may act is let in.
func TestBearer(t *testing.T) {
	w := newWorld(t)
	banned := account.User{UID: "BANNED", Email: "b@barong.io", Role: "superadmin", State: account.StateBanned}
	expect.OK(t, w.DB.AddUser(t.Context(), &banned))
	pending := account.User{UID: "PENDING", Email: "p@barong.io", Role: "superadmin", State: account.StatePending}
	expect.OK(t, w.DB.AddUser(t.Context(), &pending))
	unproved := account.User{
		UID: "UNPROVED", Email: "u@barong.io", Role: "superadmin", State: account.StatePending, Unproved: true,
	}
	expect.OK(t, w.DB.AddUser(t.Context(), &unproved))
	for name, test := range map[string]struct {
		header string
		status int
		token  string
	}{
		"no token":               {"", 401, "jwt.decode_and_verify"},
		"another scheme":         {"b" + w.Bearer("SUPERADMIN")[1:], 401, "jwt.decode_and_verify"},
		"a forged one":           {"Bearer SUPERADMIN", 401, "jwt.decode_and_verify"},
		"a user that is gone":    {w.Bearer("NOBODY"), 404, "record.not_found"},
		"a user who may not act": {w.Bearer("BANNED"), 401, "authz.user_not_active"},
		"staff not yet active":   {w.Bearer("PENDING"), 401, "authz.user_not_active"},
		"an unproved address":    {w.Bearer("UNPROVED"), 403, "authz.email_not_verified"},
		"while the store is out": {w.Bearer("SUPERADMIN"), 503, "server.internal_error"},
	} {
		t.Run(name, func(t *testing.T) {
			if test.status == 503 {
				w.Faults.Fail(apitest.ErrOutage, "User")
				defer w.Faults.Fail(nil, "User")
			}
			c := w.Client()
			if test.header != "" {
				c = c.With("Authorization", test.header)
			}
			for _, e := range endpoints {
				for _, prefix := range c.Prefixes() {
					c.JSON(t, e.method, prefix+e.path, nil).WantTokens(t, test.status, test.token)
				}
			}
		})
	}
}

// Where staff need a second factor, each way to have one will do, and members need none.
func TestStaffNeedASecondFactor(t *testing.T) {
	w := newWorld(t)
	w.Admin.Require2FA = true
	const required = "admin.second_factor.required"
	for _, e := range endpoints {
		for _, role := range []string{"superadmin", "support"} {
			w.as(role).JSON(t, e.method, "/api/v2"+e.path, m{}).WantTokens(t, 403, required)
		}
	}
	w.as("member").Get(t, base+"/abilities").Want(t, 200, `{}`)
	w.as("member").Get(t, base+"/permissions").WantTokens(t, 401, "admin.ability.not_permitted")

	w.PutUser("SUPPORT", func(u *account.User) { u.OTP = true })
	expect.Equal(t, w.as("support").Get(t, base+"/abilities").Status, 200)
	p := factor.Passkey{UserUID: "SUPERADMIN", CredentialID: []byte{1}, PublicKey: []byte("key")}
	expect.Must(w.DB.UserHandle(t.Context(), "SUPERADMIN", []byte("handle")))(t)
	expect.OK(t, w.DB.AddPasskey(t.Context(), &p, factor.MaxPasskeys))
	expect.Equal(t, w.as("superadmin").Get(t, base+"/permissions").Status, 200)
	w.Faults.Fail(apitest.ErrOutage, "Passkeys")
	w.as("superadmin").Get(t, base+"/permissions").WantTokens(t, 503, "server.internal_error")
	w.Faults.Fail(nil, "Passkeys")
	expect.OK(t, w.DB.DeletePasskey(t.Context(), "SUPERADMIN", p.ID))
	w.as("superadmin").Get(t, base+"/permissions").WantTokens(t, 403, required)
}

// Staff read their own abilities and need none for it (AZ-192).
func TestAbilities(t *testing.T) {
	w := newWorld(t)
	w.as("admin").Get(t, base+"/abilities").Want(t, 200, `{"read":["Activity","Permission"],
		"manage":["Ability","User","Level","Label","Profile","APIKey","Restriction","Document","Request"]}`)
	a := w.as("technical").Get(t, base+"/abilities")
	if want := `{"read":["Ability","User","Level","Label","Profile","Activity","Request"],"manage":["APIKey","Restriction"]}`; a.Body != want {
		t.Errorf("got %s, want the order of the file: %s", a.Body, want)
	}
	w.as("member").Get(t, base+"/abilities").Want(t, 200, `{}`)
}

// A request may ask to be answered by a version of the policy or later.
func TestAwaitVersion(t *testing.T) {
	w := newWorld(t)
	now := w.Holder.Load().At()
	ask := func(version string) resttest.Answer {
		return w.as("superadmin").With("X-Policy-Version", version).Get(t, base+"/permissions?limit=1")
	}
	_, earlier, err := w.DB.Changes(t.Context(), feed.Cursor{}, 1)
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
	expect.Equal(t, written.Header.Get("X-Policy-Version"), w.head().String())
	a := ask(written.Header.Get("X-Policy-Version"))
	a.WantTokens(t, 503, "admin.policy_version.not_reached")
	expect.Equal(t, a.Header.Get("Retry-After"), "1")
	go func() {
		if err := w.Holder.Refresh(context.WithoutCancel(t.Context()), w.DB); err != nil {
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
	if got := w.Holder.Load().Permission("member", "GET", "api/v2/peatio/new").Allows; !got {
		t.Error("answered by an older snapshot")
	}
}
