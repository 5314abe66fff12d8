package management_test

import (
	"strings"
	"testing"

	"barong/internal/account"
	"barong/internal/audit"
	"barong/internal/expect"
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
