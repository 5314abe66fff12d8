package admin_test

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"barong/internal/account"
	"barong/internal/apitest"
	"barong/internal/audit"
	"barong/internal/expect"
)

// deed writes an activity of a time.
func (w *world) deed(topic, action, result string, at time.Time) {
	w.T.Helper()
	expect.OK(w.T, w.DB.AddActivity(w.T.Context(), audit.Activity{
		ActorUID: "MEMBER", ActorKind: "user", ActorRef: "MEMBER", Category: audit.CategoryUser, UserAgent: apitest.Agent,
		Topic: topic, Action: action, Result: result, CreatedAt: at,
	}))
}

// The figures count by UTC day, from a time that is included to one that is not.
func TestMetrics(t *testing.T) {
	w := newWorld(t)
	ask := func(query string) string { return w.as("support").Get(t, base+"/metrics"+query).Body }
	expect.Equal(t, ask(""), `{"signups":{},"sucessful_logins":{},"failed_logins":{},"pending_applications":0}`)

	midnight := time.Date(2026, 11, 20, 0, 0, 0, 0, time.UTC)
	w.deed("account", "signup", "succeed", midnight.Add(-time.Second))
	w.deed("account", "signup", "succeed", midnight)
	w.deed("account", "signup", "failed", midnight)
	w.deed("account", "delete", "succeed", midnight)
	for i, action := range []string{"login", "login::2fa", "login::passkey"} {
		w.deed("session", action, "succeed", midnight.Add(time.Duration(i)*time.Hour))
		w.deed("session", action, "failed", midnight.Add(time.Duration(24*i)*time.Hour))
	}
	w.deed("session", "logout", "succeed", midnight)
	for i, value := range []string{"pending", "pending", "verified"} {
		u := w.AddUser(account.User{
			UID: fmt.Sprintf("DOC%d", i), Email: fmt.Sprintf("d%d@barong.io", i), Role: "member", State: account.StateActive,
		})
		expect.OK(t, w.DB.PutLabel(t.Context(), &account.Label{UserUID: u.UID, Key: "document", Value: value, Scope: account.ScopePrivate}))
	}
	expect.OK(t, w.DB.PutLabel(t.Context(), &account.Label{UserUID: "DOC2", Key: "document", Value: "pending", Scope: account.ScopePublic}))

	expect.Equal(t, ask(""), `{"signups":{"2026-11-19":1,"2026-11-20":1},"sucessful_logins":{"2026-11-20":3},`+
		`"failed_logins":{"2026-11-20":1,"2026-11-21":1,"2026-11-22":1},"pending_applications":2}`)
	// The first second is in, the last is not; a day of which a part is cut off counts the rest.
	expect.Equal(t, ask(fmt.Sprintf("?created_from=%d&created_to=%d", midnight.Unix(), midnight.Add(2*time.Hour).Unix())),
		`{"signups":{"2026-11-20":1},"sucessful_logins":{"2026-11-20":2},"failed_logins":{"2026-11-20":1},"pending_applications":2}`)
	expect.Equal(t, ask(fmt.Sprintf("?created_from=%d", midnight.Unix()+1)),
		`{"signups":{},"sucessful_logins":{"2026-11-20":2},"failed_logins":{"2026-11-21":1,"2026-11-22":1},"pending_applications":2}`)
	expect.Equal(t, ask(fmt.Sprintf("?created_to=%d", midnight.Unix())),
		`{"signups":{"2026-11-19":1},"sucessful_logins":{},"failed_logins":{},"pending_applications":2}`)
	for _, bad := range []string{"?created_from=yesterday", "?created_to=1.5"} {
		w.as("support").Get(t, base+"/metrics"+bad).WantTokens(t, 422, "invalid")
	}
	for _, query := range []string{"?created_from=-9223372036854775808", "?created_to=9223372036854775807"} {
		expect.Equal(t, w.as("support").Get(t, base+"/metrics"+query).Status, 200)
	}
}

// Staff with the ability list the keys of a user or of a service account, without secrets.
func TestAdminAPIKeys(t *testing.T) {
	w := newWorld(t)
	const keys = base + "/api_keys"
	w.as("superadmin").Get(t, keys+"?uid=MEMBER").Want(t, 200, `[]`)
	w.key("MEMBER", "firstkey")
	w.key("MEMBER", "secondkey")
	w.key("TRADER", "another")
	kids := func(query string) (kids []string) {
		a := w.as("technical").Get(t, keys+"?uid="+query)
		var list []map[string]any
		a.Into(t, &list)
		for _, k := range list {
			kids = append(kids, k["kid"].(string))
			if _, has := k["secret"]; has {
				t.Errorf("%s: a secret is shown", query)
			}
		}
		return kids
	}
	expect.Equal(t, kids("MEMBER"), []string{"firstkey", "secondkey"})
	expect.Equal(t, kids("MEMBER&ordering=desc"), []string{"secondkey", "firstkey"})
	expect.Equal(t, kids("MEMBER&order_by=kid&ordering=desc&limit=1&page=2"), []string{"firstkey"})
	for _, by := range []string{"key_holder_account_id", "key_holder_account_type"} { // of the documents
		expect.Equal(t, kids("MEMBER&order_by="+by), []string{"firstkey", "secondkey"})
		expect.Equal(t, kids("MEMBER&ordering=desc&order_by="+by), []string{"secondkey", "firstkey"})
	}
	expect.Equal(t, w.as("technical").Get(t, keys+"?uid=MEMBER&limit=1").Header.Get("Total"), "2")
	expect.OK(t, w.DB.AddServiceAccount(t.Context(), &account.ServiceAccount{
		UID: "SI1", OwnerUID: "MEMBER", Email: "si@barong.io", Role: "service_account", State: "active",
	}))
	expect.Equal(t, kids("SI1"), []string(nil))

	for query, want := range map[string]struct {
		status int
		tokens []string
	}{
		"":                                      {400, []string{"admin.apikey.missing_uid", "admin.apikey.empty_uid"}},
		"?uid=%20":                              {400, []string{"admin.apikey.empty_uid"}},
		"?uid=NOBODY":                           {404, []string{"admin.user.doesnt_exist"}},
		"?uid=MEMBER&order_by=length":           {422, []string{"api_keys.ordering.invalid_attribute"}},
		"?uid=MEMBER&order_by=secret_encrypted": {422, []string{"api_keys.ordering.invalid_attribute"}}, // an order of secrets tells them
		"?uid=MEMBER&order_by=secret":           {422, []string{"api_keys.ordering.invalid_attribute"}},
		"?uid=MEMBER&ordering=res":              {422, []string{"api_keys.ordering.invalid_ordering"}},
		"?uid=MEMBER&limit=101":                 {422, []string{"invalid_limit"}},
		"?uid=MEMBER&page=0":                    {422, []string{"non_positive_page"}},
		"?uid=MEMBER&page=x":                    {422, []string{"non_integer_page", "non_positive_page"}},
		"?uid=MEMBER&limit=x":                   {422, []string{"non_integer_limit", "invalid_limit"}},
	} {
		w.as("superadmin").Get(t, keys+query).WantTokens(t, want.status, want.tokens...)
	}
	w.as("superadmin").JSON(t, "GET", keys, m{"uid": []string{"MEMBER"}}).WantTokens(t, 422, "invalid")
}

// Staff list the service accounts of a user.
func TestAdminServiceAccounts(t *testing.T) {
	w := newWorld(t)
	const list = base + "/service_accounts"
	w.as("support").Get(t, list+"?uid=MEMBER").Want(t, 200, `[]`)
	expect.OK(t, w.DB.AddServiceAccount(t.Context(), &account.ServiceAccount{
		UID: "SI1", OwnerUID: "MEMBER", Email: "si@barong.io", Role: "service_account", State: "active",
	}))
	var shown []struct {
		UID   string
		State string
		User  struct{ UID string }
	}
	expect.OK(t, json.Unmarshal([]byte(w.as("support").Get(t, list+"?uid=MEMBER").Body), &shown))
	expect.Equal(t, len(shown), 1)
	expect.Equal(t, []string{shown[0].UID, shown[0].State, shown[0].User.UID}, []string{"SI1", "active", "MEMBER"})
	w.as("support").Get(t, list+"?uid=NOBODY").WantTokens(t, 404, "admin.user.doesnt_exist")
	w.as("support").Get(t, list).WantTokens(t, 400, "admin.service_account.missing_uid", "admin.service_account.empty_uid")
	w.as("support").JSON(t, "GET", list, m{"uid": []string{"MEMBER"}}).WantTokens(t, 422, "invalid")
}
