package admin_test

import (
	"net/url"
	"strconv"
	"strings"
	"testing"

	"barong/internal/account"
	"barong/internal/apitest"
	"barong/internal/expect"
	"barong/internal/rest/resttest"
)

const userLabels = users + "/labels"

// labelsOf are a user's labels as "scope key:value (description)", by row.
func (w *world) labelsOf(uid string) (all []string) {
	w.T.Helper()
	for _, l := range expect.Must(w.DB.Labels(w.T.Context(), uid))(w.T) {
		text := l.Scope + " " + l.Key + ":" + l.Value
		if l.Description != nil {
			text += " (" + *l.Description + ")"
		}
		all = append(all, text)
	}
	return all
}

func (w *world) putLabel(uid, key, value, scope string) {
	w.T.Helper()
	expect.OK(w.T, w.DB.PutLabel(w.T.Context(), &account.Label{UserUID: uid, Key: key, Value: value, Scope: scope}))
}

// dropLabel deletes by the query, as clients send it.
func dropLabel(t *testing.T, c *resttest.Client, uid, key, scope string) resttest.Answer {
	t.Helper()
	q := url.Values{"uid": {uid}, "key": {key}, "scope": {scope}}
	return c.Send(t, "DELETE", userLabels+"?"+q.Encode(), "", "")
}

// Labels are made, changed, replaced and deleted, each time with an activity about the person.
func TestLabels(t *testing.T) {
	w := newWorld(t)
	c := w.as("compliance")
	step := func(a resttest.Answer, status int, data string, want ...string) {
		t.Helper()
		body := ""
		if status != 204 {
			body = strconv.Itoa(status)
		}
		a.Want(t, status, body)
		expect.Equal(t, w.labelsOf("MEMBER"), want)
		rows := w.journal()
		x := rows[0]
		expect.Equal(t, []string{x.ActorUID, x.TargetUID, x.Topic, x.Result, x.Data}, []string{"COMPLIANCE", "MEMBER", "labels", "succeed", data})
	}
	step(c.JSON(t, "POST", userLabels, m{"uid": "MEMBER", "key": " Colour ", "value": "RED", "description": "by phone"}), 201,
		`{"after":{"key":"colour","value":"red","scope":"public"}}`, "public colour:red (by phone)")
	step(c.JSON(t, "PUT", userLabels, m{"uid": "MEMBER", "key": "COLOUR", "scope": "public", "value": "blue"}), 200,
		`{"before":{"key":"colour","value":"red","scope":"public"},"after":{"key":"colour","value":"blue","scope":"public"}}`,
		"public colour:blue (by phone)")
	step(c.JSON(t, "PUT", userLabels, m{"uid": "MEMBER", "key": "colour", "scope": "public", "value": "blue", "description": "by mail"}), 200,
		`{"before":{"key":"colour","value":"blue","scope":"public"},"after":{"key":"colour","value":"blue","scope":"public"}}`,
		"public colour:blue (by mail)")
	step(c.JSON(t, "POST", userLabels+"/update", m{"uid": "MEMBER", "key": "colour", "scope": "public", "value": "green"}), 201,
		`{"before":{"key":"colour","value":"blue","scope":"public"},"after":{"key":"colour","value":"green","scope":"public"}}`,
		"public colour:green")
	step(c.JSON(t, "POST", userLabels+"/update", m{"uid": "MEMBER", "key": "colour", "scope": "private", "value": "pink", "description": "new"}), 201,
		`{"after":{"key":"colour","value":"pink","scope":"private"}}`, "public colour:green", "private colour:pink (new)")
	step(c.JSON(t, "POST", userLabels+"/update", m{"uid": "MEMBER", "key": "colour", "scope": "private", "value": "grey", "replace": false}), 201,
		`{"before":{"key":"colour","value":"pink","scope":"private"},"after":{"key":"colour","value":"grey","scope":"private"}}`,
		"public colour:green", "private colour:grey")
	step(dropLabel(t, c, "MEMBER", "Colour", "public"), 204,
		`{"before":{"key":"colour","value":"green","scope":"public"}}`, "private colour:grey")
	step(c.JSON(t, "POST", userLabels, m{"uid": "MEMBER", "key": "colour", "value": "black", "scope": "public"}), 201,
		`{"after":{"key":"colour","value":"black","scope":"public"}}`, "private colour:grey", "public colour:black")
	expect.Equal(t, len(w.journal()), 8)
}

// A private label decides level and state before its answer; a public one decides nothing.
func TestLabelsDecideLevelAndState(t *testing.T) {
	w := newWorld(t)
	w.Levels()
	w.PutUser("MEMBER", func(u *account.User) { u.State, u.Level = account.StatePending, 0 })
	w.key("MEMBER", "0123456789abcdef")
	c := w.as("compliance")
	is := func(state string, level int, key string) {
		t.Helper()
		u := w.User("MEMBER")
		expect.Equal(t, []string{u.State, strconv.Itoa(u.Level), w.keyState("MEMBER", "0123456789abcdef")},
			[]string{state, strconv.Itoa(level), key})
	}
	set := func(key, value, scope string) {
		t.Helper()
		c.JSON(t, "POST", userLabels+"/update", m{"uid": "MEMBER", "key": key, "value": value, "scope": scope}).Want(t, 201, `201`)
	}
	set("email", "verified", "public")
	set("ban", "fraud", "public")
	is("pending", 0, "active")
	set("email", "verified", "private")
	is("active", 1, "active")
	set("document", "verified", "private")
	is("active", 1, "active")
	set("phone", "verified", "private")
	is("active", 3, "active")
	set("phone", "rejected", "private")
	is("active", 1, "active")
	before := w.User("MEMBER")
	set("ban", "fraud", "private")
	is("banned", 1, "inactive")
	expect.Equal(t, w.User("MEMBER").SessionGeneration > before.SessionGeneration, true)
	dropLabel(t, c, "MEMBER", "ban", "private").Want(t, 204, "")
	is("active", 1, "inactive")
}

// The decision about a document by its label is an event, also when a decided one is deleted.
func TestLabelsAreAnnounced(t *testing.T) {
	w := newWorld(t)
	w.putLabel("MEMBER", "email", "verified", account.ScopePrivate)
	c := w.as("admin")
	names := func() (all []string) {
		for _, e := range w.News() {
			all = append(all, e.Name)
		}
		return all
	}
	names()
	c.JSON(t, "POST", userLabels, m{"uid": "MEMBER", "key": "document", "value": "pending", "scope": "private"}).Want(t, 201, `201`)
	expect.Equal(t, names(), []string{"model.label.created"})
	c.JSON(t, "PUT", userLabels, m{"uid": "MEMBER", "key": "document", "value": "verified", "scope": "private"}).Want(t, 200, `200`)
	expect.Equal(t, names(), []string{"model.label.updated", "system.document.verified"})
	dropLabel(t, c, "MEMBER", "document", "private").Want(t, 204, "")
	expect.Equal(t, names(), []string{"system.document.verified"})
}

// Every parameter of every route refused, with nothing changed (D2).
func TestLabelParameters(t *testing.T) {
	w := newWorld(t)
	w.putLabel("MEMBER", "taken", "once", account.ScopePublic)
	before := w.labelsOf("MEMBER")
	const p = "admin.user."
	long, many := strings.Repeat("k", 256), strings.Repeat("d", 256)
	for name, test := range map[string]struct {
		method, path string
		body         m
		status       int
		tokens       []string
	}{
		"POST: nothing": {"POST", "", m{}, 400, []string{
			p + "missing_uid", p + "empty_uid", p + "missing_key", p + "empty_key", p + "missing_value", p + "empty_value"}},
		"POST: blanks": {"POST", "", m{"uid": " ", "key": "", "value": " ", "description": "", "scope": ""}, 422, []string{
			p + "empty_uid", p + "empty_key", p + "empty_value", p + "empty_description", p + "empty_scope"}},
		"POST: an unknown scope": {"POST", "", m{"uid": "MEMBER", "key": "colour", "value": "red", "scope": "secret"}, 422, []string{"scope.inclusion"}},
		"POST: too short":        {"POST", "", m{"uid": "MEMBER", "key": "ab", "value": "cd"}, 422, []string{"key.too_short", "value.too_short"}},
		"POST: too long": {"POST", "", m{"uid": "MEMBER", "key": long, "value": long, "description": many}, 422, []string{
			"key.too_long", "value.too_long", "description.too_long"}},
		"POST: foreign characters": {"POST", "", m{"uid": "MEMBER", "key": "c\u00f6lour", "value": "r e d"}, 422, []string{"key.invalid", "value.invalid"}},
		"POST: taken":              {"POST", "", m{"uid": "MEMBER", "key": "Taken", "value": "twice"}, 422, []string{"key.taken"}},
		"POST: lists": {"POST", "", m{"uid": []string{"a"}, "key": []string{"a"}, "value": []string{"a"}, "description": []int{1}, "scope": []string{"a"}},
			422, []string{"invalid"}},
		"PUT: nothing": {"PUT", "", m{}, 400, []string{
			p + "missing_uid", p + "empty_uid", p + "missing_key", p + "empty_key", p + "missing_scope", p + "empty_scope",
			p + "missing_value", p + "empty_value"}},
		"PUT: blanks": {"PUT", "", m{"uid": "", "key": "", "scope": "", "description": "", "value": ""}, 422, []string{
			p + "empty_uid", p + "empty_key", p + "empty_scope", p + "empty_description", p + "empty_value"}},
		"PUT: too short":          {"PUT", "", m{"uid": "MEMBER", "key": "taken", "scope": "public", "value": "ab"}, 422, []string{"value.too_short"}},
		"PUT: too long":           {"PUT", "", m{"uid": "MEMBER", "key": "taken", "scope": "public", "value": long, "description": many}, 422, []string{"value.too_long", "description.too_long"}},
		"PUT: foreign characters": {"PUT", "", m{"uid": "MEMBER", "key": "taken", "scope": "public", "value": "a.b"}, 422, []string{"value.invalid"}},
		"PUT: a list":             {"PUT", "", m{"uid": "MEMBER", "key": "taken", "scope": "public", "value": []string{"a"}}, 422, []string{"invalid"}},
		"update: nothing": {"POST", "/update", m{}, 400, []string{
			p + "missing_uid", p + "empty_uid", p + "missing_key", p + "empty_key", p + "missing_scope", p + "empty_scope",
			p + "missing_value", p + "empty_value"}},
		"update: no value and a blank description": {"POST", "/update", m{"uid": "MEMBER", "key": "colour", "scope": "public", "description": ""}, 422, []string{
			p + "missing_value", p + "empty_value", p + "empty_description"}},
		"update: blanks": {"POST", "/update", m{"uid": "", "key": "", "scope": "", "description": "", "value": ""}, 422, []string{
			p + "empty_uid", p + "empty_key", p + "empty_scope", p + "empty_value", p + "empty_description"}},
		"update: no flag":          {"POST", "/update", m{"uid": "MEMBER", "key": "colour", "scope": "public", "value": "red", "replace": "perhaps"}, 422, []string{p + "non_boolean_replace"}},
		"update: an unknown scope": {"POST", "/update", m{"uid": "MEMBER", "key": "colour", "value": "red", "scope": "secret"}, 422, []string{"scope.inclusion"}},
		"update: too short":        {"POST", "/update", m{"uid": "MEMBER", "key": "ab", "value": "cd", "scope": "public"}, 422, []string{"key.too_short", "value.too_short"}},
		"update: too long": {"POST", "/update", m{"uid": "MEMBER", "key": long, "value": long, "scope": "public", "description": many}, 422, []string{
			"key.too_long", "value.too_long", "description.too_long"}},
		"update: foreign characters": {"POST", "/update", m{"uid": "MEMBER", "key": "a.b", "value": "c.d", "scope": "public"}, 422, []string{"key.invalid", "value.invalid"}},
		"update: a list":             {"POST", "/update", m{"uid": "MEMBER", "key": "colour", "scope": "public", "value": []string{"a"}}, 422, []string{"invalid"}},
		"DELETE: nothing": {"DELETE", "", m{}, 400, []string{
			p + "missing_uid", p + "empty_uid", p + "missing_key", p + "empty_key", p + "missing_scope", p + "empty_scope"}},
		"DELETE: blanks": {"DELETE", "", m{"uid": "", "key": "", "scope": " "}, 400, []string{p + "empty_uid", p + "empty_key", p + "empty_scope"}},
		"DELETE: a list": {"DELETE", "", m{"uid": "MEMBER", "key": "taken", "scope": []string{"a"}}, 422, []string{"invalid"}},
		"GET: nothing":   {"GET", "", nil, 400, []string{p + "missing_key", p + "missing_value"}},
		"GET: no key":    {"GET", "?value=verified", nil, 400, []string{p + "missing_key"}},
		"GET: no value":  {"GET", "?key=email", nil, 400, []string{p + "missing_value"}},
		"GET: a list":    {"GET", "?key[]=email&value=verified", nil, 422, []string{"invalid"}},
		"GET: a page": {"GET", "?key=email&value=verified&page=x&limit=x", nil, 422, []string{
			"non_integer_page", "non_positive_page", "non_integer_limit", "invalid_limit"}},
		"GET: a long page": {"GET", "?key=email&value=verified&limit=101", nil, 422, []string{"invalid_limit"}},
	} {
		t.Run(name, func(t *testing.T) {
			var body any
			if test.body != nil {
				body = test.body
			}
			w.as("superadmin").JSON(t, test.method, userLabels+test.path, body).WantTokens(t, test.status, test.tokens...)
		})
	}
	expect.Equal(t, w.labelsOf("MEMBER"), before)
	expect.Equal(t, len(w.journal()), 0)
}

// Rank says whose labels a member of staff sets, and the two ways of not being there are alike on every route; nothing changes (D24).
func TestLabelRefusals(t *testing.T) {
	w := newWorld(t)
	w.addUser("second")
	w.PutUser("SECOND", func(u *account.User) { u.Role = "admin" })
	all := []string{"SUPERADMIN", "ADMIN", "SECOND", "SUPPORT", "COMPLIANCE", "MEMBER"}
	for _, uid := range all {
		w.putLabel(uid, "vip", "gold", account.ScopePrivate)
	}
	before := map[string][]string{}
	for _, uid := range all {
		before[uid] = w.labelsOf(uid)
	}
	send := func(as, method, path, uid, key string) resttest.Answer {
		t.Helper()
		if method == "DELETE" {
			return dropLabel(t, w.as(as), uid, key, "private")
		}
		return w.as(as).JSON(t, method, userLabels+path, m{"uid": uid, "key": key, "value": "silver", "scope": "private", "replace": false})
	}
	routes := [][2]string{{"POST", ""}, {"PUT", ""}, {"POST", "/update"}, {"DELETE", ""}}
	for name, test := range map[string]struct {
		as, uid string
		status  int
		token   string
	}{
		"nobody":                   {"compliance", "NOBODY", 404, "admin.user.doesnt_exist"},
		"a superadmin":             {"admin", "SUPERADMIN", 422, "admin.user.superadmin_change"},
		"oneself":                  {"admin", "ADMIN", 422, "admin.user.update_himself"},
		"oneself as superadmin":    {"superadmin", "SUPERADMIN", 422, "admin.user.update_himself"},
		"another admin":            {"admin", "SECOND", 422, "admin.user.insufficient_rank"},
		"an admin by compliance":   {"compliance", "ADMIN", 422, "admin.user.insufficient_rank"},
		"support by compliance":    {"compliance", "SUPPORT", 422, "admin.user.insufficient_rank"},
		"a member, without rights": {"support", "MEMBER", 401, "admin.ability.not_permitted"},
		"a member, by a member":    {"trader", "MEMBER", 401, "admin.ability.not_permitted"},
	} {
		for _, route := range routes {
			t.Run(route[0]+route[1]+" "+name, func(t *testing.T) {
				send(test.as, route[0], route[1], test.uid, "vip").WantTokens(t, test.status, test.token)
			})
		}
	}
	for _, route := range routes[1:] {
		send("compliance", route[0], route[1], "MEMBER", "size").WantTokens(t, 404, "admin.label.doesnt_exist")
	}
	dropLabel(t, w.as("compliance"), "MEMBER", "vip", "secret").WantTokens(t, 404, "admin.label.doesnt_exist")
	w.as("compliance").JSON(t, "PUT", userLabels, m{"uid": "MEMBER", "key": "vip", "scope": "secret", "value": "silver"}).
		WantTokens(t, 404, "admin.label.doesnt_exist")
	for _, uid := range all {
		expect.Equal(t, w.labelsOf(uid), before[uid])
	}
	expect.Equal(t, len(w.journal()), 0)
}

// Of themselves staff set here no more than everybody may.
func TestStaffLabelThemselves(t *testing.T) {
	w := newWorld(t)
	c := w.as("admin")
	for path, body := range map[string]m{"": {}, "/update": {"scope": "public"}} {
		body["uid"], body["key"], body["value"] = "ADMIN", "email", "verified"
		c.JSON(t, "POST", userLabels+path, body).WantTokens(t, 422, "key.exclusion")
	}
	for i := range 100 {
		w.putLabel("ADMIN", "own-"+strconv.Itoa(i), "mine", account.ScopePublic)
	}
	for path, body := range map[string]m{"": {}, "/update": {"scope": "public"}} {
		body["uid"], body["key"], body["value"] = "ADMIN", "one-more", "mine"
		c.JSON(t, "POST", userLabels+path, body).WantTokens(t, 422, "label.limit_reached")
	}
}

// Lists of users by label, of either scope and by row, and the counts of private ones.
func TestLabelLists(t *testing.T) {
	w := newWorld(t)
	c := w.as("support")
	c.Get(t, userLabels+"/list").Want(t, 200, `{}`)
	c.Get(t, userLabels+"?key=email&value=").Want(t, 200, `[]`)
	for _, uid := range []string{"TRADER", "MEMBER", "ADMIN"} {
		w.putLabel(uid, "email", "verified", account.ScopePrivate)
	}
	w.putLabel("TRADER", "email", "verified", account.ScopePublic)
	w.putLabel("MEMBER", "document", "pending", account.ScopePrivate)
	w.putLabel("SUPPORT", "document", "pending", account.ScopePublic)
	c.Get(t, userLabels+"/list").Want(t, 200, `{"[\"document\", \"pending\"]":1,"[\"email\", \"verified\"]":3}`)
	list := func(query string) (uids []string, a resttest.Answer) {
		t.Helper()
		a = c.Get(t, userLabels+"?"+query)
		var all []struct {
			UID, Email string
		}
		a.Into(t, &all)
		for _, u := range all {
			expect.Equal(t, u.Email, strings.ToLower(u.UID)+"@barong.io")
			uids = append(uids, u.UID)
		}
		return uids, a
	}
	var byRow []string
	for _, role := range w.roles {
		if uid := uidOf(role); uid == "TRADER" || uid == "MEMBER" || uid == "ADMIN" {
			byRow = append(byRow, uid)
		}
	}
	got, a := list("key=Email&value=Verified")
	expect.Equal(t, got, byRow)
	expect.Equal(t, []string{a.Header.Get("Total"), a.Header.Get("Page"), a.Header.Get("Per-Page")}, []string{"3", "1", "100"})
	got, a = list("key=email&value=verified&limit=2")
	expect.Equal(t, got, byRow[:2])
	expect.Equal(t, []string{a.Header.Get("Total"), a.Header.Get("Page"), a.Header.Get("Per-Page")}, []string{"3", "1", "2"})
	got, _ = list("key=email&value=verified&limit=2&page=2")
	expect.Equal(t, got, byRow[2:])
	got, _ = list("key=document&value=pending")
	expect.Equal(t, len(got), 2)
	got, _ = list("key=document&value=verified")
	expect.Equal(t, len(got), 0)
}

// The levels are shown by number.
func TestLevels(t *testing.T) {
	w := newWorld(t)
	w.Levels()
	c := w.as("accountant")
	c.Get(t, base+"/levels").Want(t, 200, `[{"id":1,"key":"email","value":"verified"},{"id":2,"key":"phone","value":"verified"},
		{"id":3,"key":"document","value":"verified"}]`)
}

// An outage of a list is 503; a caller that was demoted meanwhile labels nobody.
func TestLabelsWhileSomethingElseHappens(t *testing.T) {
	w := newWorld(t)
	send := func() (all []resttest.Answer) {
		c, body := w.as("admin"), m{"uid": "MEMBER", "key": "vip", "value": "gold", "scope": "private"}
		return []resttest.Answer{
			c.JSON(t, "POST", userLabels, body), c.JSON(t, "PUT", userLabels, body), c.JSON(t, "POST", userLabels+"/update", body),
			dropLabel(t, c, "MEMBER", "vip", "private"),
		}
	}
	w.Faults.Fail(apitest.ErrOutage, "Update")
	for _, a := range send() {
		a.WantTokens(t, 503, "server.internal_error")
	}
	w.Faults.On("Update", func() error { // between guard and write
		w.PutUser("ADMIN", func(u *account.User) { u.Role = "member" })
		return nil
	})
	for i := range 4 {
		w.PutUser("ADMIN", func(u *account.User) { u.Role = "admin" })
		send()[i].WantTokens(t, 401, "admin.ability.not_permitted")
	}
	expect.Equal(t, len(w.labelsOf("MEMBER")), 0)
}
