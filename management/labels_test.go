package management_test

import (
	"slices"
	"strings"
	"testing"

	"barong/internal/account"
	"barong/internal/apitest"
	"barong/internal/audit"
	"barong/internal/expect"
	"barong/internal/rest/resttest"
)

const missingLabel = `{"error":"user_uid is missing, user_uid is empty, key is missing, key is empty, value is missing, value is empty"}`

func TestCreateLabel(t *testing.T) {
	w := newWorld(t)
	w.News()
	sent := m{"user_uid": "MEMBER", "key": " Email ", "value": "VERIFIED", "description": "by hand"}
	w.ask(t, "/labels", sent).Want(t, 201,
		`{"key":"email","value":"verified","scope":"private","created_at":"2026-11-21T08:00:00Z","updated_at":"2026-11-21T08:00:00Z"}`)
	expect.Equal(t, w.labels("MEMBER"), []string{"email:verified private"})
	expect.Equal(t, w.User("MEMBER").Level, 1)
	var names []string
	for _, e := range w.News() {
		names = append(names, e.Name)
	}
	expect.Equal(t, names, []string{"model.label.created", "model.user.updated"})
	deeds := w.Activities(audit.Query{TargetUID: "MEMBER"})
	if len(deeds) != 1 || deeds[0].ActorRef != "alex,jeff" || deeds[0].Topic != "management" || deeds[0].Category != audit.CategoryAdmin {
		t.Errorf("activities %+v, want one of alex and jeff", deeds)
	}
	w.ask(t, "/labels", sent).Want(t, 422, `{"key":["Key has already been taken"]}`)
	w.ask(t, "/labels", m{"user_uid": "MEMBER", "key": "a!", "value": "v"}).Want(t, 422,
		`{"key":["Key is too short (minimum is 3 characters)","Key is invalid"],"value":["Value is too short (minimum is 3 characters)"]}`)
	w.ask(t, "/labels", m{"user_uid": "MEMBER", "key": strings.Repeat("k", 256), "value": strings.Repeat("v", 256) + "!", "description": strings.Repeat("d", 256)}).Want(t, 422,
		`{"key":["Key is too long (maximum is 255 characters)"],"value":["Value is too long (maximum is 255 characters)","Value is invalid"],"description":["Description is too long (maximum is 255 characters)"]}`)
	w.ask(t, "/labels", m{"user_uid": "NOBODY", "key": "email", "value": "verified"}).Want(t, 404, `{"error":"Record is not found"}`)
	w.ask(t, "/labels", m{}).Want(t, 422, missingLabel)
	w.ask(t, "/labels", m{"user_uid": "MEMBER", "key": "key", "value": "value", "description": " "}).Want(t, 422, `{"error":"description is empty"}`)
	w.ask(t, "/labels", m{"user_uid": []string{"MEMBER"}, "key": m{}, "value": "value"}).Want(t, 422, `{"error":"user_uid is invalid, key is invalid, key is empty"}`)
}

func TestChangeLabel(t *testing.T) {
	w := newWorld(t)
	change := func(params m, status int, body string) {
		t.Helper()
		w.peers().JSON(t, "PUT", base+"/labels", params).Want(t, status, body)
	}
	label := func(value, scope string) string {
		return `{"key":"email","value":"` + value + `","scope":"` + scope + `","created_at":"2026-11-21T08:00:00Z","updated_at":"2026-11-21T08:00:00Z"}`
	}
	held := func() account.Label {
		t.Helper()
		return expect.Must(w.DB.Label(t.Context(), "MEMBER", "email", account.ScopePrivate))(t)
	}
	to := m{"user_uid": "MEMBER", "key": "email", "value": "pending"}
	to["replace"] = false
	change(to, 404, `{"error":"label doesnt exist"}`)
	to["replace"] = true
	to["description"] = "one"
	change(to, 200, label("pending", "private"))
	change(m{"user_uid": "MEMBER", "key": "email", "value": "verified"}, 200, label("verified", "private"))
	if l := held(); l.Value != "verified" || *l.Description != "one" {
		t.Errorf("got %+v, want the description as it was", l)
	}
	change(m{"user_uid": "MEMBER", "key": "email", "value": "verified", "description": "two", "replace": false}, 200, label("verified", "private"))
	expect.Equal(t, *held().Description, "two")
	expect.Equal(t, w.User("MEMBER").Level, 1)

	// Old clients send the name of the scope of the endpoint along.
	for _, scope := range []string{"write_labels", "private", ""} {
		change(m{"user_uid": "TRADER", "key": "email", "value": "verified", "scope": scope}, 200, label("verified", "private"))
	}
	change(m{"user_uid": "MAKER", "key": "email", "value": "verified", "scope": "public"}, 200, label("verified", "public"))
	change(m{"user_uid": "MAKER", "key": "email", "value": "verified", "scope": "public"}, 422, `{"key":["Key has already been taken"]}`)
	expect.Equal(t, w.labels("MAKER"), []string{"email:verified public"})

	change(m{"user_uid": "NOBODY", "key": "email", "value": "verified"}, 404, `{"error":"Record is not found"}`)
	change(m{}, 422, missingLabel)
	change(m{"user_uid": "MEMBER", "key": "email"}, 422, `{"error":"value is missing, value is empty"}`)
	change(m{"user_uid": "MEMBER", "key": "email", "value": "a", "replace": "maybe"}, 422, `{"error":"replace is invalid"}`)
	change(m{"user_uid": "MEMBER", "key": "email", "value": "a"}, 422, `{"value":["Value is too short (minimum is 3 characters)"]}`)
}

func TestDeleteLabel(t *testing.T) {
	w := newWorld(t)
	w.addLabel("MEMBER", "phone", "verified", account.ScopePublic)
	w.ask(t, "/labels", m{"user_uid": "MEMBER", "key": "email", "value": "verified"})
	gone := `{"key":"email","value":"verified","scope":"private","created_at":"2026-11-21T08:00:00Z","updated_at":"2026-11-21T08:00:00Z"}`
	w.ask(t, "/labels/delete", m{"user_uid": "MEMBER", "key": "email"}).Want(t, 201, gone)
	expect.Equal(t, w.User("MEMBER").Level, 0)
	for _, at := range []m{{"user_uid": "MEMBER", "key": "email"}, {"user_uid": "MEMBER", "key": "phone"}, {"user_uid": "NOBODY", "key": "email"}} {
		w.ask(t, "/labels/delete", at).Want(t, 404, `{"error":"Record is not found"}`)
	}
	w.ask(t, "/labels/delete", nil).Want(t, 422, `{"error":"user_uid is missing, user_uid is empty, key is missing, key is empty"}`)

	w.REST.ReferenceStatus = true
	w.Mount()
	w.ask(t, "/labels", m{"user_uid": "MEMBER", "key": "email", "value": "verified"})
	w.ask(t, "/labels/delete", m{"user_uid": "MEMBER", "key": "email"}).Want(t, 204, "")
}

func TestListLabels(t *testing.T) {
	w := newWorld(t)
	w.addLabel("MEMBER", "phone", "verified", account.ScopePublic)
	w.ask(t, "/labels", m{"user_uid": "MEMBER", "key": "email", "value": "verified", "description": "by hand"})
	w.ask(t, "/labels/list", m{"user_uid": "MEMBER"}).Want(t, 201, `[
		{"key":"phone","value":"verified","scope":"public","description":null,"created_at":"2026-11-21T08:00:00Z","updated_at":"2026-11-21T08:00:00Z"},
		{"key":"email","value":"verified","scope":"private","description":"by hand","created_at":"2026-11-21T08:00:00Z","updated_at":"2026-11-21T08:00:00Z"}]`)
	w.ask(t, "/labels/list", m{"user_uid": "TRADER"}).Want(t, 201, `[]`)
	w.ask(t, "/labels/list", m{"user_uid": "NOBODY"}).Want(t, 404, `{"error":"Record is not found"}`)
	w.ask(t, "/labels/list", m{"user_uid": " "}).Want(t, 422, `{"error":"user_uid is empty"}`)
}

func TestLabelHolders(t *testing.T) {
	w := newWorld(t)
	for uid, days := range map[string]int{"MEMBER": -3, "TRADER": 0} {
		w.Now = apitest.Start.AddDate(0, 0, days)
		w.addLabel(uid, "badge", "gold", account.ScopePrivate)
		w.addLabel(uid, "badge", "gold", account.ScopePublic)
	}
	w.Now = apitest.Start
	w.addLabel("MAKER", "badge", "iron", account.ScopePublic)
	w.ask(t, "/profiles", m{"uid": "TRADER", "last_name": "Hopper", "dob": "1990-12-10"})
	find := func(params m) (uids []string, a resttest.Answer) {
		t.Helper()
		a = w.ask(t, "/labels/filter/users", params)
		var all []struct{ UID string }
		a.Into(t, &all)
		for _, u := range all {
			uids = append(uids, u.UID)
		}
		slices.Sort(uids)
		return uids, a
	}
	yesterday := apitest.Start.AddDate(0, 0, -1).Unix()
	for _, c := range []struct {
		params m
		want   []string
	}{
		{m{"key": "badge", "value": "gold", "scope": "private"}, []string{"MEMBER", "TRADER"}},
		{m{"key": "Badge"}, []string{"MAKER", "MEMBER", "TRADER"}},
		{m{"key": "badge", "scope": "public", "value": "iron"}, []string{"MAKER"}},
		{m{"key": "badge", "to": yesterday}, []string{"MEMBER"}},
		{m{"key": "badge", "value": "gold", "from": yesterday, "range": "updated"}, []string{"TRADER"}},
		{m{"key": "badge", "from": apitest.Start.Unix(), "to": apitest.Start.Unix() + 1, "value": "gold"}, []string{"TRADER"}},
		{m{"key": "none"}, nil},
		{m{"key": "badge", "scope": "secret"}, nil},
	} {
		got, _ := find(c.params)
		expect.Equal(t, got, c.want)
	}
	_, a := find(m{"key": "badge", "limit": 2, "page": 2})
	if a.Header.Get("Total") != "3" || a.Header.Get("Page") != "2" || a.Header.Get("Per-Page") != "2" || !strings.Contains(a.Header.Get("Link"), `/api/v2/management/labels/filter/users?page=1>; rel="first"`) {
		t.Errorf("headers %v", a.Header)
	}
	w.ask(t, "/labels/filter/users", m{"key": "badge", "value": "iron"}).Want(t, 201, `[`+strings.NewReplacer("MEMBER", "MAKER", "member", "maker").Replace(memberView)+`]`)
	_, a = find(m{"key": "badge", "extended": true})
	if a.Status != 201 || !strings.Contains(a.Body, `"last_name":"Hopper","dob":"1990-12-10"`) || strings.Count(a.Body, `"profiles":[`) != 3 {
		t.Errorf("got %d %s, want clear profiles", a.Status, a.Body)
	}
	w.ask(t, "/labels/filter/users", m{"value": "", "scope": " ", "extended": "x", "range": "never", "from": "x", "to": "y", "page": 0, "limit": 1001}).Want(t, 422,
		`{"error":"key is missing, key is empty, value is empty, scope is empty, extended Non boolean extended value, range Invalid range, from is invalid, to is invalid, page non_positive_page, limit invalid_limit"}`)
	w.REST.ReferenceStatus = true
	w.Mount()
	w.ask(t, "/labels/filter/users", m{"key": "none"}).Want(t, 200, `[]`)
}
