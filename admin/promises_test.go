package admin_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"barong/internal/account"
	"barong/internal/apitest"
	"barong/internal/expect"
	"barong/internal/feed"
	"barong/internal/rest/resttest"
	"barong/policy"
)

func TestMain(m *testing.M) { resttest.Main(m, "testdata/endpoints.tsv") }

// Every endpoint may be asked to wait for a version of the policy.
func TestEveryEndpointAwaitsAVersion(t *testing.T) {
	w := newWorld(t)
	c := w.as("superadmin")
	c.JSON(t, "POST", permissions, newRow(nil)).Want(t, 201, `201`)
	ahead, lost := w.head(), feed.Cursor{Seq: 1, Name: feed.NewName()}
	for _, e := range c.Endpoints("admin") {
		ask := func(version string) resttest.Answer {
			return c.With("X-Policy-Version", version).JSON(t, e.Method, "/api/v2"+e.Path, nil)
		}
		ask("x").WantTokens(t, 400, "admin.policy_version.invalid")
		ask(lost.String()).WantTokens(t, 409, "admin.policy_version.lost")
		a := ask(ahead.String())
		a.WantTokens(t, 503, "admin.policy_version.not_reached")
		expect.Equal(t, a.Header.Get("Retry-After"), "1")
	}
}

// A write may name the versions that its row must have; a new row has none yet.
func TestEveryWriteLooksAtTheEntityTag(t *testing.T) {
	w := newWorld(t)
	c := w.as("superadmin")
	row := w.permission("member", "GET", "api/v2/ranger", policy.Accept)
	rule := w.addRestriction(policy.Restriction{Category: "blacklist", Scope: "ip", Value: "198.51.100.9"})
	rows, rules := w.permissions(), w.restrictions()
	for path, of := range map[string]struct {
		token  string
		has    int64 // its version
		change m     // of the row that there is
		add    m
	}{
		permissions:  {"admin.permission", row.LockVersion, m{"id": row.ID, "verb": "put"}, newRow(nil)},
		restrictions: {"admin.restriction", rule.LockVersion, m{"id": rule.ID, "value": "198.51.100.10"}, newRule(nil)},
	} {
		for method, body := range map[string]m{"POST": of.add, "PUT": of.change, "DELETE": of.change} {
			target := path
			if method == "DELETE" {
				target, body = fmt.Sprintf("%s?id=%v", path, body["id"]), nil
			}
			c.With("If-Match", "x").JSON(t, method, target, body).WantTokens(t, 400, of.token+".invalid_if_match")
			if method != "POST" {
				for _, tag := range []string{`"77"`, "77", `W/"` + itoa(of.has) + `"`, `"2", "3"`} {
					c.With("If-Match", tag).JSON(t, method, target, body).WantTokens(t, 412, of.token+".stale")
				}
			}
		}
	}
	expect.Equal(t, w.permissions(), rows)
	expect.Equal(t, w.restrictions(), rules)
	for path, body := range map[string]m{permissions: {"id": row.ID, "verb": "put"}, restrictions: {"id": rule.ID, "state": "disabled"}} {
		has := row.LockVersion
		if path == restrictions {
			has = rule.LockVersion
		}
		c.With("If-Match", `"77", "`+itoa(has)+`"`).JSON(t, "PUT", path, body).Want(t, 200, `200`)
		c.With("If-Match", `*`).JSON(t, "DELETE", fmt.Sprintf("%s?id=%v", path, body["id"]), nil).Want(t, 204, "")
	}
}

// OPTIONS of each path answers the methods that its endpoints have, to staff alone.
func TestOptions(t *testing.T) {
	w := newWorld(t)
	c := w.as("support")
	want := map[string][]string{}
	for _, e := range c.Endpoints("admin") {
		want[e.Path] = append(want[e.Path], e.Method)
		if e.Method == "GET" {
			want[e.Path] = append(want[e.Path], "HEAD")
		}
	}
	if len(want) < 20 {
		t.Fatalf("got %d paths", len(want))
	}
	for path, methods := range want {
		methods = append(methods, "OPTIONS")
		slices.Sort(methods)
		for _, prefix := range []string{"/api/v2", "/api/v2/barong"} {
			a := c.Send(t, "OPTIONS", prefix+path, "", "")
			if a.Status != 204 || a.Body != "" || a.Header.Get("Allow") != strings.Join(methods, ", ") {
				t.Errorf("%s: got %d %q, Allow %q, want 204, %v", path, a.Status, a.Body, a.Header.Get("Allow"), methods)
			}
		}
		w.Client().With("Authorization", "Bearer x").Send(t, "OPTIONS", "/api/v2"+path, "", "").WantTokens(t, 401, "jwt.decode_and_verify")
	}
	expect.Equal(t, c.Send(t, "OPTIONS", base+"/nothing", "", "").Status, 404)
}

// A lock_version beside the fields of a row, where GET shows it, holds as If-Match does; both together
// admit the versions that both admit.
func TestLockVersionBesideFields(t *testing.T) {
	w := newWorld(t)
	c := w.as("superadmin")
	row := w.permission("member", "GET", "api/v2/ranger", policy.Accept)
	rule := w.addRestriction(policy.Restriction{Category: "blacklist", Scope: "ip", Value: "198.51.100.9"})
	for path, of := range map[string]struct {
		token   string
		id      int64
		changes []m
		version func() int64
	}{
		permissions: {"admin.permission", row.ID, []m{{"topic": "a"}, {"topic": "b"}},
			func() int64 { return w.permission("member", "GET", "api/v2/ranger", policy.Accept).LockVersion }},
		restrictions: {"admin.restriction", rule.ID, []m{{"code": 418}, {"code": 419}}, func() int64 {
			for _, r := range w.restrictions() {
				if r.ID == rule.ID {
					return r.LockVersion
				}
			}
			return 0
		}},
	} {
		put := func(change int, version any) resttest.Answer {
			body := m{"id": of.id, "lock_version": version}
			for k, v := range of.changes[change] {
				body[k] = v
			}
			return c.JSON(t, "PUT", path, body)
		}
		seen := of.version()
		put(0, seen).Want(t, 200, `200`)
		put(1, seen).WantTokens(t, 409, of.token+".stale")
		put(1, "").WantTokens(t, 422, of.token+".empty_lock_version")
		c.JSON(t, "DELETE", path, m{"id": of.id, "lock_version": ""}).WantTokens(t, 422, of.token+".empty_lock_version")
		put(1, "x").WantTokens(t, 422, "invalid")
		now := of.version()
		both := func(match string, version int64) resttest.Answer {
			return c.With("If-Match", match).JSON(t, "PUT", path, m{"id": of.id, "lock_version": version})
		}
		both(itoa(seen), now).WantTokens(t, 412, of.token+".stale")
		both(itoa(now), seen).WantTokens(t, 412, of.token+".stale")
		both("*", seen).WantTokens(t, 412, of.token+".stale")
		both(itoa(seen)+", "+itoa(now), now).Want(t, 200, `200`)
		target := path + "?id=" + itoa(of.id) + "&lock_version="
		c.JSON(t, "DELETE", target+itoa(seen), nil).WantTokens(t, 409, of.token+".stale")
		c.JSON(t, "DELETE", target+itoa(of.version()), nil).Want(t, 204, "")
	}
}

// Each row that staff make has an address in Location, under the prefix of the request, by which it is
// changed and deleted.
func TestNewRowsHaveAnAddress(t *testing.T) {
	w := newWorld(t)
	c := w.as("superadmin")
	for _, prefix := range []string{"/api/v2", "/api/v2/barong", "/api/v2/auth"} {
		for path, body := range map[string]m{"/admin/permissions": newRow(nil), "/admin/restrictions": newRule(nil)} {
			a := c.JSON(t, "POST", prefix+path, body)
			a.Want(t, 201, `201`)
			at := a.Header.Get("Location")
			if !strings.HasPrefix(at, prefix+path+"?id=") {
				t.Errorf("%s: got Location %q", prefix+path, at)
			}
			var rows []struct{ ID int64 }
			c.Get(t, at).Into(t, &rows)
			expect.Equal(t, len(rows), 1)
			expect.Equal(t, at, prefix+path+"?id="+itoa(rows[0].ID))
			c.JSON(t, "DELETE", at, nil).Want(t, 204, "")
			c.Get(t, at).Want(t, 200, `[]`)
		}
	}
	a := c.JSON(t, "POST", base+"/users/comments", m{"uid": "MEMBER", "title": "a", "data": "b"})
	expect.Equal(t, a.Status, 201)
	at := a.Header.Get("Location")
	expect.Equal(t, strings.HasPrefix(at, base+"/users/comments?id="), true)
	expect.Equal(t, c.JSON(t, "DELETE", at, nil).Status, 200)

	for _, path := range []string{"", "/update"} {
		a = c.JSON(t, "POST", base+"/users/labels"+path, m{"uid": "MEMBER", "key": "vip", "value": "yes", "scope": "public"})
		a.Want(t, 201, `201`)
		at = a.Header.Get("Location")
		expect.Equal(t, at, base+"/users/labels?key=vip&scope=public&uid=MEMBER")
		c.JSON(t, "DELETE", at, nil).Want(t, 204, "")
	}
	a = c.JSON(t, "POST", base+"/profiles", m{"uid": "MEMBER", "first_name": "Ann"})
	expect.Equal(t, []string{a.Header.Get("Location")}, []string{base + "/profiles?uid=MEMBER"})
}

// A row that is equal to one that is there is refused with the address of that one, from a preview, too.
func TestTakenNamesTheRow(t *testing.T) {
	w := newWorld(t)
	c := w.as("superadmin")
	row := w.permission("member", "GET", "api/v2/ranger", policy.Accept)
	rule := w.addRestriction(policy.Restriction{Category: "blacklist", Scope: "ip", Value: "198.51.100.9", State: "disabled"})
	other := w.addRestriction(policy.Restriction{Category: "blacklist", Scope: "ip", Value: "198.51.100.10"})
	same := m{"role": "member", "verb": "get", "path": "api/v2/ranger", "action": "accept"}
	for name, test := range map[string]struct {
		method, path string
		body         m
		token, by    string
	}{
		"permission":          {"POST", permissions, same, "path.taken", permissions + "?id=" + itoa(row.ID)},
		"preview of it":       {"POST", permissions + "/preview", same, "path.taken", permissions + "?id=" + itoa(row.ID)},
		"restriction":         {"POST", restrictions, newRule(m{"value": "198.51.100.9"}), "value.taken", restrictions + "?id=" + itoa(rule.ID)},
		"restriction, moved":  {"PUT", restrictions, m{"id": other.ID, "value": "198.51.100.9"}, "value.taken", restrictions + "?id=" + itoa(rule.ID)},
		"preview of the move": {"POST", restrictions + "/preview", m{"id": other.ID, "value": "198.51.100.9"}, "value.taken", restrictions + "?id=" + itoa(rule.ID)},
	} {
		a := c.JSON(t, test.method, test.path, test.body)
		a.WantTokens(t, 422, test.token)
		if by := a.Header.Get("X-Taken-By"); by != test.by {
			t.Errorf("%s: got X-Taken-By %q, want %q", name, by, test.by)
		}
	}
	a := c.JSON(t, "POST", restrictions, newRule(m{"value": "x"}))
	expect.Equal(t, a.Header.Values("X-Taken-By"), []string(nil))
}

// Every parameter that is sent badly is refused, wherever it is a parameter, and nothing changes.
func TestParameters(t *testing.T) {
	w := newWorld(t)
	c := w.as("superadmin")
	row := w.permission("member", "GET", "api/v2/ranger", policy.Accept)
	rule := w.addRestriction(policy.Restriction{Category: "blacklist", Scope: "ip", Value: "198.51.100.9"})
	rows, rules := w.permissions(), w.restrictions()
	const (
		p    = "admin.permission."
		r    = "admin.restriction."
		acts = base + "/activities"
	)
	long := "api/v2/" + strings.Repeat("a", 256)
	has := func(id int64, pairs ...any) m {
		out := m{"id": id}
		for i := 0; i < len(pairs); i += 2 {
			out[pairs[i].(string)] = pairs[i+1]
		}
		return out
	}
	for name, test := range map[string]struct {
		method, path string
		body         m
		tokens       []string
	}{
		"permission: blanks": {"PUT", "", has(row.ID, "role", " ", "verb", "", "path", "", "action", "", "topic", ""), []string{
			p + "empty_role", p + "empty_verb", p + "empty_path", p + "empty_action", p + "empty_topic"}},
		"permission: too long":      {"PUT", "", has(row.ID, "path", long, "topic", long), []string{"path.too_long", "topic.too_long"}},
		"permission: a long role":   {"PUT", "", has(row.ID, "role", long), []string{"role.too_long"}},
		"permission: a path of two": {"PUT", "", has(row.ID, "path", "api//v2"), []string{"path.invalid"}},
		"permission: new, too long": {"POST", "", newRow(m{"topic": long}), []string{"topic.too_long"}},
		"permission: new, a role":   {"POST", "", newRow(m{"role": long}), []string{"role.too_long"}},

		"preview: blanks": {"POST", "/preview", m{"id": "", "role": " ", "topic": "", "verb": "get", "path": "x", "action": "drop"}, []string{
			p + "empty_id", p + "empty_role", p + "empty_topic"}},
		"preview: an unknown action": {"POST", "/preview", newRow(m{"action": "all"}), []string{"admin.permissions.invalid_action"}},
		"preview: an unknown role":   {"POST", "/preview", newRow(m{"role": "nobody"}), []string{p + "role_doesnt_exist"}},
		"preview: too long":          {"POST", "/preview", newRow(m{"path": long, "topic": long}), []string{"path.too_long", "topic.too_long"}},
		"preview: a long role":       {"POST", "/preview", newRow(m{"role": long}), []string{"role.too_long"}},
		"preview: a path of two":     {"POST", "/preview", newRow(m{"path": "api//v2"}), []string{"path.invalid"}},
		"preview: a list":            {"POST", "/preview", newRow(m{"path": []string{"a"}}), []string{"invalid"}},

		"restriction: blanks": {"PUT", restrictions, has(rule.ID, "scope", "", "value", "", "state", "", "code", ""), []string{
			r + "empty_scope", r + "invalid_scope", r + "empty_value", r + "empty_state", r + "invalid_state", r + "empty_code"}},
		"restriction: unknown":   {"PUT", restrictions, has(rule.ID, "scope", "office", "state", "running"), []string{r + "invalid_scope", r + "invalid_state"}},
		"restriction: no number": {"PUT", restrictions, has(rule.ID, "code", "x"), []string{"invalid"}},
		"restriction: a code":    {"PUT", restrictions, has(rule.ID, "code", 200), []string{"code.invalid"}},
		"restriction: too long":  {"PUT", restrictions, has(rule.ID, "scope", "all", "value", strings.Repeat("a", 65)), []string{"value.too_long"}},
		"restriction: force":     {"PUT", restrictions, has(rule.ID, "force", "perhaps"), []string{"invalid"}},

		"preview of a restriction: blanks": {"POST", restrictions + "/preview", m{"id": "", "scope": "", "category": "", "value": "", "state": "", "code": ""}, []string{
			r + "empty_id", r + "empty_scope", r + "invalid_scope", r + "invalid_category", r + "empty_category", r + "empty_value",
			r + "empty_state", r + "invalid_state", r + "empty_code"}},
		"preview of a restriction: unknown": {"POST", restrictions + "/preview", newRule(m{"scope": "office", "category": "allow", "state": "running", "operation": "drop"}), []string{
			"admin.preview.invalid_operation", r + "invalid_scope", r + "invalid_category", r + "invalid_state"}},
		"preview of a restriction: no number":  {"POST", restrictions + "/preview", newRule(m{"code": "x"}), []string{"invalid"}},
		"preview of a restriction: a code":     {"POST", restrictions + "/preview", newRule(m{"code": 200}), []string{"code.invalid"}},
		"preview of a restriction: no address": {"POST", restrictions + "/preview", newRule(m{"value": "127.a.b.c"}), []string{"value.invalid"}},
		"preview of a restriction: too long":   {"POST", restrictions + "/preview", newRule(m{"scope": "all", "value": strings.Repeat("a", 65)}), []string{"value.too_long"}},

		"restrictions: a page":      {"GET", restrictions + "?page=x&limit=x", nil, []string{"non_integer_page", "non_positive_page", "non_integer_limit", "invalid_limit"}},
		"permissions: a limit":      {"GET", "?limit=x", nil, []string{"non_integer_limit", "invalid_limit"}},
		"activities: a page":        {"GET", acts + "?page=x&limit=x", nil, []string{"non_integer_page", "non_positive_page", "non_integer_limit", "invalid_limit"}},
		"activities: page 0":        {"GET", acts + "?page=0", nil, []string{"non_positive_page"}},
		"staff's activities: pages": {"GET", acts + "/admin?page=x&limit=x", nil, []string{"non_integer_page", "non_positive_page", "non_integer_limit", "invalid_limit"}},
		"staff's activities: lists": {"GET", acts + "/admin?topic[]=a&action[]=b&uid[]=c&email[]=d", nil, []string{"admin.activity.non_string_topic",
			"admin.activity.non_string_action", "admin.activity.non_string_uid", "admin.activity.non_string_email"}},
		"staff's activities: times": {"GET", acts + "/admin?from=x&to=y", nil, []string{"invalid"}},
		"explain: a list":           {"POST", base + "/explain", m{"path": []string{"a"}}, []string{"invalid"}},
		"a role of a list":          {"POST", users + "/role", m{"uid": "MEMBER", "role": []string{"a"}}, []string{"invalid"}},
		"update: blanks":            {"POST", users + "/update", m{"uid": "MEMBER", "state": " "}, []string{"admin.user.empty_state"}},
		"update: a blank flag":      {"POST", users + "/update", m{"uid": "MEMBER", "otp": ""}, []string{"admin.user.empty_otp"}},
		"a restriction by no id":    {"DELETE", restrictions + "?id=x", nil, []string{"invalid"}},
	} {
		t.Run(name, func(t *testing.T) {
			path := test.path
			if !strings.HasPrefix(path, "/api") {
				path = permissions + path
			}
			var body any
			if test.body != nil {
				body = test.body
			}
			c.JSON(t, test.method, path, body).WantTokens(t, 422, test.tokens...)
		})
	}
	expect.Equal(t, w.permissions(), rows)
	expect.Equal(t, w.restrictions(), rules)
	expect.Equal(t, len(w.journal()), 0)
}

// Lists page, and staff's activities take each of their filters.
func TestFiltersOfStaffsActivities(t *testing.T) {
	w := newWorld(t)
	c := w.as("superadmin")
	for _, uid := range []string{"MEMBER", "TRADER"} {
		c.JSON(t, "PUT", users, m{"uid": uid, "state": "banned"}).Want(t, 200, `200`)
	}
	for query, want := range map[string]int{
		"?action=update&topic=users": 2, "?action=create": 0, "?uid=SUPERADMIN": 2, "?uid=ADMIN": 0,
		"?email=superadmin@barong.io": 2, "?email=admin@barong.io": 0, "?page=2&limit=1": 1,
		"?from=" + itoa(w.Now.Unix()) + "&to=" + itoa(w.Now.Unix()+1): 2, "?from=" + itoa(w.Now.Unix()+1): 0,
		"?target_uid=TRADER": 1,
	} {
		var got []m
		c.Get(t, base+"/activities/admin"+query).Into(t, &got)
		if len(got) != want {
			t.Errorf("%s: %d rows, want %d", query, len(got), want)
		}
	}
	var got []m
	c.Get(t, restrictions+"?page=2&limit=1").Into(t, &got)
	expect.Equal(t, len(got), 1)
}

// Changes of restrictions that shut their author out need force, too, and go on with it.
func TestForceOnRestrictions(t *testing.T) {
	w := newWorld(t)
	c := w.as("superadmin")
	shut := w.addRestriction(policy.Restriction{Category: "blacklist", Scope: "ip", Value: home.String(), State: policy.Disabled})
	on := m{"id": shut.ID, "state": "enabled"}
	c.JSON(t, "PUT", restrictions, on).WantTokens(t, 422, "admin.restriction.would_lock_out")
	on["force"] = true
	c.JSON(t, "PUT", restrictions, on).Want(t, 200, `200`)
	c.JSON(t, "DELETE", restrictions+"?force=true&id="+itoa(shut.ID), nil).Want(t, 204, "")
}

// An outage of each part is 503, for people as for the policy, and leaves nothing behind.
func TestOutagesOfWrites(t *testing.T) {
	w := newWorld(t)
	rows, before := w.permissions(), w.User("MEMBER")
	w.Faults.Fail(apitest.ErrOutage, "Update", "ChangePolicy")
	c := w.as("superadmin")
	c.JSON(t, "POST", permissions, newRow(nil)).WantTokens(t, 503, "server.internal_error")
	c.JSON(t, "POST", restrictions, newRule(nil)).WantTokens(t, 503, "server.internal_error")
	c.JSON(t, "PUT", users, m{"uid": "MEMBER", "state": account.StateBanned}).WantTokens(t, 503, "server.internal_error")
	w.Faults.Fail(nil, "Update", "ChangePolicy")
	expect.Equal(t, w.permissions(), rows)
	expect.Equal(t, w.User("MEMBER"), before)
}
