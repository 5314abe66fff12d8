package admin_test

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"barong/internal/apitest"
	"barong/internal/audit"
	"barong/internal/expect"
	"barong/policy"
	"barong/policy/editor"
)

const permissions = base + "/permissions"

// newRow is a permission that is good.
func newRow(change m) m {
	row := m{"role": "member", "verb": "get", "path": "api/v2/peatio/new", "action": "accept"}
	for k, v := range change {
		if v == nil {
			delete(row, k)
		} else {
			row[k] = v
		}
	}
	return row
}

// journal is the last activity of staff.
func (w *world) journal() []audit.Activity {
	w.T.Helper()
	list, _, err := w.DB.Activities(w.T.Context(), audit.Query{Category: audit.CategoryAdmin, Limit: 100})
	expect.OK(w.T, err)
	return list
}

// All rows in pages, by id; exact members.
func TestListPermissions(t *testing.T) {
	w := newWorld(t)
	rows := w.permissions()
	a := w.as("superadmin").Get(t, permissions+"?limit=1&page=2")
	expect.Equal(t, []string{a.Header.Get("Total"), a.Header.Get("Page"), a.Header.Get("Per-Page")},
		[]string{fmt.Sprint(len(rows)), "2", "1"})
	p := rows[1]
	a.Want(t, 200, fmt.Sprintf(`[{"id":%d,"action":%q,"role":%q,"verb":%q,"path":%q,"topic":null,
		"created_at":"2026-11-21T08:00:00Z","updated_at":"2026-11-21T08:00:00Z","lock_version":%d}]`,
		p.ID, p.Action, p.Role, p.Verb, p.Path, p.LockVersion))
	var all []m
	w.as("admin").Get(t, permissions).Into(t, &all)
	expect.Equal(t, len(all), 100)
	w.as("superadmin").Get(t, permissions+"?page=999").Want(t, 200, `[]`)
	w.as("superadmin").Get(t, permissions+"?page=0&limit=101").
		WantTokens(t, 422, "non_positive_page", "invalid_limit")
	w.as("superadmin").Get(t, permissions+"?page=a").
		WantTokens(t, 422, "non_integer_page", "non_positive_page")
}

// The filters and orders of the list; a word that no row can have is refused.
func TestFindPermissions(t *testing.T) {
	w := newWorld(t)
	c := w.as("superadmin")
	rows := w.permissions()
	found := func(query string) (ids []int64) {
		t.Helper()
		for page := 1; ; page++ {
			var got []struct{ ID int64 }
			c.Get(t, permissions+"?"+query+"&page="+fmt.Sprint(page)).Into(t, &got)
			if len(got) == 0 {
				return ids
			}
			for _, row := range got {
				ids = append(ids, row.ID)
			}
		}
	}
	of := func(is func(policy.Permission) bool) (ids []int64) {
		for _, p := range rows {
			if is(p) {
				ids = append(ids, p.ID)
			}
		}
		return ids
	}
	expect.Equal(t, found("role=member"), of(func(p policy.Permission) bool { return p.Role == "member" }))
	expect.Equal(t, found("verb=get&action=accept"), of(func(p policy.Permission) bool { return p.Verb == "GET" && p.Action == policy.Accept }))
	expect.Equal(t, found("path=/api/v2/barong/admin"), of(func(p policy.Permission) bool { return strings.HasPrefix(p.Path, "api/v2/barong/admin") }))
	expect.Equal(t, found("topic="), of(func(p policy.Permission) bool { return p.Topic == "" }))
	expect.Equal(t, found("role="), []int64(nil))
	expect.Equal(t, found("id="+itoa(rows[3].ID)), []int64{rows[3].ID})
	byPath := slices.Clone(rows)
	slices.SortFunc(byPath, func(a, b policy.Permission) int {
		return -cmp.Or(strings.Compare(a.Path, b.Path), cmp.Compare(a.ID, b.ID))
	})
	rows = byPath
	expect.Equal(t, found("order_by=path&ordering=desc"), of(func(policy.Permission) bool { return true }))
	for query, tokens := range map[string][]string{
		"verb=foo":              {"admin.permissions.invalid_verb"},
		"action=all":            {"admin.permissions.invalid_action"},
		"verb=&action=":         {"admin.permission.empty_verb", "admin.permission.empty_action"},
		"order_by=lock_version": {"permissions.ordering.invalid_attribute"},
		"ordering=down":         {"permissions.ordering.invalid_ordering"},
		"id=x":                  {"invalid"},
	} {
		c.Get(t, permissions+"?"+query).WantTokens(t, 422, tokens...)
	}
}

// Refusals of new permissions (D2, AZ-141, FX-51, FX-55).
func TestAddPermission(t *testing.T) {
	w := newWorld(t)
	before := w.permissions()
	for name, test := range map[string]struct {
		body   m
		status int
		tokens []string
	}{
		"nothing": {m{}, 400, []string{
			"admin.permission.missing_role", "admin.permission.empty_role",
			"admin.permission.missing_verb", "admin.permission.empty_verb",
			"admin.permission.missing_path", "admin.permission.empty_path",
			"admin.permission.missing_action", "admin.permission.empty_action"}},
		"blanks": {newRow(m{"role": " ", "verb": ""}), 400,
			[]string{"admin.permission.empty_role", "admin.permission.empty_verb"}},
		"a blank topic":         {newRow(m{"topic": " "}), 422, []string{"admin.permission.empty_topic"}},
		"a list":                {newRow(m{"path": []string{"a"}}), 422, []string{"invalid"}},
		"an unknown verb":       {newRow(m{"verb": "foo"}), 422, []string{"admin.permissions.invalid_verb"}},
		"OPTIONS (AZ-141)":      {newRow(m{"verb": "options"}), 422, []string{"admin.permissions.invalid_verb"}},
		"an unknown action":     {newRow(m{"action": "all"}), 422, []string{"admin.permissions.invalid_action"}},
		"an unknown role":       {newRow(m{"role": "Member"}), 422, []string{"admin.permission.role_doesnt_exist"}},
		"a path of slashes":     {newRow(m{"path": "//"}), 422, []string{"admin.permission.empty_path"}},
		"a path with dots":      {newRow(m{"path": "api/v2/../x"}), 422, []string{"path.invalid"}},
		"a path not canonical":  {newRow(m{"path": "api//v2"}), 422, []string{"path.invalid"}},
		"a path too long":       {newRow(m{"path": "api/v2/" + string(make256())}), 422, []string{"path.too_long"}},
		"all at once":           {newRow(m{"verb": "x", "action": "y", "role": "z"}), 422, []string{"admin.permissions.invalid_verb", "admin.permissions.invalid_action", "admin.permission.role_doesnt_exist"}},
		"an equal row":          {m{"role": "member", "verb": "ALL", "path": "/api/v2/applogic/", "action": "Accept"}, 422, []string{"path.taken"}},
		"force that is no word": {newRow(m{"force": "perhaps"}), 422, []string{"invalid"}},
	} {
		t.Run(name, func(t *testing.T) {
			w.as("superadmin").JSON(t, "POST", permissions, test.body).WantTokens(t, test.status, test.tokens...)
		})
	}
	expect.Equal(t, w.permissions(), before)
	expect.Equal(t, len(w.journal()), 0)

	// Verb and action in any case, outer slashes off; undeclared parameters reach no row.
	a := w.as("superadmin").Form(t, "POST", permissions, url.Values{
		"role": {"member"}, "verb": {"patch"}, "path": {"/api/v2/peatio/new/"}, "action": {"audit"}, "topic": {"news"},
		"id": {"1"}, "lock_version": {"77"}, "created_at": {"2001-01-01"}, "updated_at": {"2001-01-01"},
	})
	a.Want(t, 201, `201`)
	expect.Equal(t, a.Header.Get("X-Policy-Version"), w.head().String())
	rows := w.permissions()
	got := rows[len(rows)-1]
	expect.Equal(t, got, policy.Permission{ID: got.ID, Role: "member", Verb: "PATCH", Path: "api/v2/peatio/new",
		Action: "AUDIT", Topic: "news", LockVersion: got.LockVersion, CreatedAt: w.Now, UpdatedAt: w.Now})
	expect.Equal(t, []bool{got.ID > before[len(before)-1].ID, got.LockVersion > 0 && got.LockVersion != 77}, []bool{true, true})
	expect.Equal(t, len(rows), len(before)+1)

	// The row before and after, in the same transaction.
	list := w.journal()
	expect.Equal(t, len(list), 1)
	x := list[0]
	expect.Equal(t, []string{x.ActorUID, x.ActorKind, x.Topic, x.Action, x.Result, x.IP, x.IPCountry, x.UserAgent, x.Data},
		[]string{"SUPERADMIN", "user", "permissions", "create", "succeed", "203.0.113.7", "Malta", apitest.Agent,
			fmt.Sprintf(`{"id":%d,"before":null,"after":{"role":"member","verb":"PATCH","path":"api/v2/peatio/new","action":"AUDIT","topic":"news"}}`, got.ID)})
}

func make256() []byte {
	b := make([]byte, 256)
	for i := range b {
		b[i] = 'a'
	}
	return b
}

// The rules of creation hold for changes (FX-55).
func TestChangePermission(t *testing.T) {
	w := newWorld(t)
	row := w.permission("member", "GET", "api/v2/ranger", policy.Accept)
	put := func(change m) func(status int, tokens ...string) {
		change["id"] = row.ID
		return func(status int, tokens ...string) {
			t.Helper()
			a := w.as("superadmin").JSON(t, "PUT", permissions, change)
			if status == 200 {
				a.Want(t, 200, `200`)
				return
			}
			a.WantTokens(t, status, tokens...)
		}
	}
	w.Now = w.Now.Add(time.Hour)
	put(m{"path": "/api/v2/peatio/ticker"})(200)
	put(m{"verb": "put", "topic": "x"})(200)
	put(m{})(200)
	want := row
	want.Path, want.Verb, want.Topic, want.UpdatedAt = "api/v2/peatio/ticker", "PUT", "x", w.Now
	want.LockVersion = w.permission("member", "PUT", "api/v2/peatio/ticker", policy.Accept).LockVersion
	expect.Equal(t, want.LockVersion != row.LockVersion, true)
	expect.Equal(t, w.permission("member", "PUT", "api/v2/peatio/ticker", policy.Accept), want)
	expect.Equal(t, len(w.journal()), 2)
	expect.Equal(t, w.journal()[0].Data, fmt.Sprintf(`{"id":%d,"before":{"role":"member","verb":"GET","path":"api/v2/peatio/ticker","action":"ACCEPT","topic":""},`+
		`"after":{"role":"member","verb":"PUT","path":"api/v2/peatio/ticker","action":"ACCEPT","topic":"x"}}`, row.ID))

	put(m{"verb": "foo"})(422, "admin.permissions.invalid_verb")
	put(m{"action": "ALL"})(422, "admin.permissions.invalid_action")
	put(m{"role": "nobody"})(422, "admin.permission.role_doesnt_exist")
	put(m{"path": ""})(422, "admin.permission.empty_path")
	put(m{"topic": ""})(422, "admin.permission.empty_topic")
	put(m{"verb": "ALL", "path": "api/v2/applogic"})(422, "path.taken")
	expect.Equal(t, w.permission("member", "PUT", "api/v2/peatio/ticker", policy.Accept), want)

	c := w.as("superadmin")
	c.JSON(t, "PUT", permissions, m{}).WantTokens(t, 400, "admin.permission.missing_id", "admin.permission.empty_id")
	c.JSON(t, "PUT", permissions, m{"id": ""}).WantTokens(t, 400, "admin.permission.empty_id")
	c.JSON(t, "PUT", permissions, m{"id": "x"}).WantTokens(t, 422, "invalid")
	c.JSON(t, "PUT", permissions, m{"id": 0, "role": "member", "verb": "get", "path": "x", "action": "drop"}).
		WantTokens(t, 404, "admin.permission.doesnt_exist")
	c.JSON(t, "PUT", permissions, m{"id": 404404}).WantTokens(t, 404, "admin.permission.doesnt_exist")
}

func TestRemovePermission(t *testing.T) {
	w := newWorld(t)
	c := w.as("superadmin")
	row := w.permission("member", "GET", "api/v2/ranger", policy.Accept)
	for _, target := range []string{"", "?id=0", "?id=404404", "?id=x"} {
		a := c.JSON(t, "DELETE", permissions+target, nil)
		switch target {
		case "":
			a.WantTokens(t, 400, "admin.permission.missing_id", "admin.permission.empty_id")
		case "?id=x":
			a.WantTokens(t, 422, "invalid")
		default:
			a.WantTokens(t, 404, "admin.permission.doesnt_exist")
		}
	}
	a := c.JSON(t, "DELETE", permissions+"?id="+itoa(row.ID), nil)
	a.Want(t, 204, "")
	expect.Equal(t, a.Header.Get("X-Policy-Version"), w.head().String())
	expect.Equal(t, slices.ContainsFunc(w.permissions(), func(p policy.Permission) bool { return p.ID == row.ID }), false)
	expect.Equal(t, w.journal()[0].Action, "delete")
	c.Form(t, "DELETE", permissions, url.Values{"id": {itoa(row.ID)}}). // in a body, too
										WantTokens(t, 404, "admin.permission.doesnt_exist")
}

// If-Match holds a change back when the row is of another version.
func TestPermissionIfMatch(t *testing.T) {
	w := newWorld(t)
	row := w.permission("member", "GET", "api/v2/ranger", policy.Accept)
	put := func(match, topic string) int {
		a := w.as("superadmin").With("If-Match", match).JSON(t, "PUT", permissions, m{"id": row.ID, "topic": topic})
		switch a.Status {
		case 412:
			a.WantTokens(t, 412, "admin.permission.stale")
		case 400:
			a.WantTokens(t, 400, "admin.permission.invalid_if_match")
		}
		return a.Status
	}
	version := func() int64 { return w.permission("member", "GET", "api/v2/ranger", policy.Accept).LockVersion }
	var before int64
	for _, test := range []struct {
		match  string // %d is the version that the row has
		status int
	}{
		{`%d`, 200}, {itoa(row.LockVersion), 412}, {`"%d"`, 200}, {`"7", "%d"`, 200}, {`*`, 200}, {`W/"%d"`, 412}, {`"%d"`, 200},
		{`x`, 400}, {`"%d", `, 400}, {``, 400}, {`%d`, 200},
	} {
		before = version()
		if got := put(strings.ReplaceAll(test.match, "%d", itoa(before)), fmt.Sprintf("t%d", time.Now().UnixNano())); got != test.status {
			t.Errorf("If-Match %s: got %d, want %d", test.match, got, test.status)
		}
	}
	c := w.as("superadmin")
	c.With("If-Match", itoa(before)).JSON(t, "DELETE", permissions+"?id="+itoa(row.ID), nil).
		WantTokens(t, 412, "admin.permission.stale")
	c.With("If-Match", itoa(version())).JSON(t, "DELETE", permissions+"?id="+itoa(row.ID), nil).Want(t, 204, "")
}

// Of two callers with the same version one wins.
func TestPermissionRace(t *testing.T) {
	w := newWorld(t)
	row := w.permission("member", "GET", "api/v2/ranger", policy.Accept)
	var all sync.WaitGroup
	status := make([]int, 8)
	for i := range status {
		c := w.as("superadmin").With("If-Match", itoa(row.LockVersion))
		all.Go(func() {
			status[i] = c.JSON(t, "PUT", permissions, m{"id": row.ID, "topic": fmt.Sprint("t", i)}).Status
		})
	}
	all.Wait()
	slices.Sort(status)
	expect.Equal(t, status, []int{200, 412, 412, 412, 412, 412, 412, 412})
	expect.Equal(t, len(w.journal()), 1)
}

// Nobody locks themself or the superadmins out unless they say so, and never the last way
// in goes.
func TestPermissionLockOut(t *testing.T) {
	const lockOut, last = "admin.permission.would_lock_out", "admin.permission.last_superadmin"
	for name, test := range map[string]struct {
		method        string
		row           func(w *world) m
		refused       string
		evenWithForce string
	}{
		"a DROP above the permissions": {"POST", func(*world) m {
			return m{"role": "superadmin", "verb": "all", "path": "api/v2/barong", "action": "drop"}
		}, lockOut, ""},
		"a DROP for one verb, by the short path": {"POST", func(*world) m {
			return m{"role": "superadmin", "verb": "delete", "path": "api/v2/admin/permissions", "action": "drop"}
		}, lockOut, ""},
		"a DROP elsewhere": {"POST", func(*world) m {
			return m{"role": "superadmin", "verb": "all", "path": "api/v2/peatio/admin", "action": "drop"}
		}, "", ""},
		"a DROP for another role": {"POST", func(*world) m {
			return m{"role": "technical", "verb": "all", "path": "api/v2/barong", "action": "drop"}
		}, "", ""},
		"the ACCEPT by which superadmins get in": {"DELETE", func(w *world) m {
			return m{"id": w.wayIn().ID}
		}, lockOut, last},
		"moving it away": {"PUT", func(w *world) m {
			return m{"id": w.wayIn().ID, "path": "api/v2/barong/resource/x"}
		}, lockOut, last},
		"narrowing it to GET": {"PUT", func(w *world) m {
			return m{"id": w.wayIn().ID, "verb": "get"}
		}, lockOut, last},
		"giving it to another role": {"PUT", func(w *world) m {
			return m{"id": w.wayIn().ID, "role": "technical", "path": "api/v2/barong/admin/zzz"}
		}, lockOut, last},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			row := test.row(w)
			before := w.permissions()
			a := w.as("superadmin").JSON(t, test.method, permissions, row)
			if test.refused == "" {
				if a.Status >= 300 {
					t.Errorf("got %d %s, want it made", a.Status, a.Body)
				}
				return
			}
			a.WantTokens(t, 422, test.refused)
			row["force"] = true
			a = w.as("superadmin").JSON(t, test.method, permissions, row)
			if test.evenWithForce != "" {
				a.WantTokens(t, 422, test.evenWithForce)
				expect.Equal(t, w.permissions(), before)
				expect.Equal(t, len(w.journal()), 0)
				return
			}
			if a.Status >= 300 {
				t.Errorf("with force: got %d %s, want it made", a.Status, a.Body)
			}
			expect.Equal(t, jsonField(t, w.journal()[0].Data, "force"), true)
		})
	}
}

// wayIn is the one ACCEPT row by which superadmins reach the permissions.
func (w *world) wayIn() policy.Permission {
	w.T.Helper()
	var found []policy.Permission
	for _, p := range w.permissions() {
		if p.Role == "superadmin" && p.Action == policy.Accept && p.Path == "api/v2" {
			found = append(found, p)
		}
	}
	if len(found) != 1 {
		w.T.Fatalf("got ways in %v, want one", found)
	}
	return found[0]
}

func jsonField(t testing.TB, text, name string) any {
	t.Helper()
	var object m
	expect.OK(t, json.Unmarshal([]byte(text), &object))
	return object[name]
}

// A caller with manage Permission under another role is not locked out by their own hand either,
// and does not lock superadmins out.
func TestLockOutOfAnotherRole(t *testing.T) {
	w := newWorld(t)
	ctx := t.Context()
	technical := policy.Permission{Role: "technical", Verb: "ALL", Path: "api/v2/barong/admin/permissions", Action: policy.Accept}
	expect.OK(t, w.DB.AddPermission(ctx, &technical))
	drop := w.permission("technical", "ALL", "api/v2/barong/admin/permissions", policy.Drop)
	expect.OK(t, w.DB.DeletePermission(ctx, drop.ID))
	e := editor.Edit{}
	e.By.UID, e.By.Role = "TECHNICAL", "technical"
	_, err := w.Rules.ChangePermission(ctx, e, editor.PermissionChange{ID: &technical.ID, Remove: true})
	expect.Error(t, err, editor.ErrWouldLockOut)
	role, verb, path, action := "superadmin", "ALL", "api/v2/barong/admin", "DROP"
	_, err = w.Rules.ChangePermission(ctx, e, editor.PermissionChange{Role: &role, Verb: &verb, Path: &path, Action: &action})
	expect.Error(t, err, editor.ErrWouldLockOut)
}

// Two callers that each take away one of two ways in do not both succeed.
func TestLastWayInRace(t *testing.T) {
	w := newWorld(t)
	first := w.wayIn()
	second := policy.Permission{Role: "superadmin", Verb: "ALL", Path: "api/v2/barong/admin/permissions", Action: policy.Accept}
	expect.OK(t, w.DB.AddPermission(t.Context(), &second))
	var all sync.WaitGroup
	status := make([]int, 2)
	c := w.as("superadmin")
	for i, id := range []int64{first.ID, second.ID} {
		all.Go(func() {
			status[i] = c.JSON(t, "DELETE", permissions+"?force=true&id="+itoa(id), nil).Status
		})
	}
	all.Wait()
	slices.Sort(status)
	expect.Equal(t, status, []int{http.StatusNoContent, http.StatusUnprocessableEntity})
}

// The last row of a role that accounts have stays (FX-44).
func TestRoleInUse(t *testing.T) {
	w := newWorld(t)
	c := w.as("superadmin")
	remove := func(role string) (last int) {
		for _, p := range w.permissions() {
			if p.Role == role {
				last = c.JSON(t, "DELETE", permissions+"?id="+itoa(p.ID), nil).Status
			}
		}
		return last
	}
	expect.Equal(t, remove("maker"), 422)
	left := slices.DeleteFunc(w.permissions(), func(p policy.Permission) bool { return p.Role != "maker" })
	expect.Equal(t, len(left), 1)
	c.JSON(t, "PUT", permissions, m{"id": left[0].ID, "role": "member", "path": "api/v2/peatio/m"}).
		WantTokens(t, 422, "admin.permission.role_in_use")

	for _, role := range []string{"sa", "free"} { // a role of nobody may go
		p := policy.Permission{Role: role, Verb: "ALL", Path: "api/v2/x", Action: policy.Accept}
		expect.OK(t, w.DB.AddPermission(t.Context(), &p))
	}
	expect.Equal(t, remove("free"), 204)
}
