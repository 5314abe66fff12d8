package management_test

import (
	"strings"
	"testing"

	"barong/internal/account"
	"barong/internal/apikey"
	"barong/internal/apitest"
	"barong/internal/audit"
	"barong/internal/expect"
	"barong/management"
)

// holders adds a user and a service account by their usual uids.
func (w world) holders() (user, service string) {
	w.T.Helper()
	w.AddUser(account.User{UID: "ID0000000001", Email: "holder@barong.io", Role: "member", State: "active"})
	expect.OK(w.T, w.DB.AddServiceAccount(w.T.Context(), &account.ServiceAccount{UID: "SI0000000001", Email: "one@barong.io", Role: "service_account", State: "active"}))
	return "ID0000000001", "SI0000000001"
}

// shownKey is the part of an API key that tests look at.
type shownKey struct {
	Kid, Algorithm, State, Secret string
	Scope                         []string
}

func (w world) createKey(params m) (k shownKey) {
	w.T.Helper()
	a := w.ask(w.T, "/api_keys", params)
	a.Into(w.T, &k)
	if a.Status != 201 || len(k.Kid) != 16 || len(k.Secret) != 32 || k.State != "active" || k.Algorithm != "HS256" {
		w.T.Errorf("got %d %s", a.Status, a.Body)
	}
	w.Secret(k.Secret)
	return k
}

func TestAPIKeys(t *testing.T) {
	w := newWorld(t)
	user, service := w.holders()
	for _, uid := range []string{user, service} {
		k := w.createKey(m{"uid": uid, "algorithm": "HS256", "scopes": " trade"})
		expect.Equal(t, k.Scope, []string{"trade"})
		deeds := w.Activities(audit.Query{Topic: "management", Action: "api key create"})
		if n := len(deeds); n == 0 || !strings.Contains(deeds[n-1].Data, `"kid":"`+k.Kid+`"`) || uid == user && deeds[n-1].TargetUID != user {
			t.Errorf("activities %+v", deeds)
		}
		change := func(params m) (now shownKey) {
			t.Helper()
			params["uid"], params["kid"] = uid, k.Kid
			a := w.ask(t, "/api_keys/update", params)
			a.Into(t, &now)
			if a.Status != 201 || now.Secret != "" || now.Kid != k.Kid {
				t.Errorf("got %d %s", a.Status, a.Body)
			}
			return now
		}
		now := change(m{"state": "inactive"})
		expect.Equal(t, now.State, "inactive")
		expect.Equal(t, now.Scope, []string{"trade"}) // they stay
		now = change(m{"state": "active", "scopes": "read"})
		expect.Equal(t, now.State, "active")
		expect.Equal(t, now.Scope, []string{"read"})

		update := func(params m, want string) {
			t.Helper()
			params["uid"] = uid
			if params["kid"] == nil {
				params["kid"] = k.Kid
			}
			w.ask(t, "/api_keys/update", params).Want(t, 422, want)
		}
		update(m{"kid": "cccccccccccccccc"}, `{"error":"api_key_doesnt_exist"}`)
		update(m{"state": "tired"}, `{"errors":["state.inclusion"]}`)
		update(m{"state": "disabled"}, `{"errors":["state.inclusion"]}`)
		update(m{"state": "", "scopes": " "}, `{"error":"scopes is empty, state is empty"}`)
		update(m{"scopes": "fly"}, `{"errors":["scope.unknown"]}`)
		update(m{"scopes": "withdraw"}, `{"errors":["ip_whitelist.required"]}`)
		update(m{"scopes": strings.Repeat("a", 256)}, `{"errors":["scope.too_long"]}`)

		w.ask(t, "/api_keys", m{"uid": uid, "algorithm": "random"}).Want(t, 422, `{"errors":["kid.blank","algorithm.inclusion"]}`)
		w.ask(t, "/api_keys", m{"uid": uid, "algorithm": "HS256", "scopes": "fly"}).Want(t, 422, `{"errors":["scope.unknown"]}`)
		w.ask(t, "/api_keys", m{"uid": uid, "algorithm": "HS256", "scopes": "withdraw"}).Want(t, 422, `{"errors":["ip_whitelist.required"]}`)
		w.ask(t, "/api_keys", m{"uid": uid, "algorithm": "HS256", "scopes": strings.Repeat("a", 256)}).Want(t, 422, `{"errors":["scope.too_long"]}`)
		w.Faults.Fail(apitest.ErrBug, "Seal")
		w.ask(t, "/api_keys", m{"uid": uid, "algorithm": "HS256"}).Want(t, 422, `{"errors":["api_key.could_not_save_secret"]}`)
		w.Faults.Fail(nil, "Seal")
	}
	// An account that is not active gets no key, and has none switched on.
	kid := w.createKey(m{"uid": user, "algorithm": "HS256", "scopes": "read"}).Kid
	w.PutUser(user, func(u *account.User) { u.State = account.StateBanned })
	w.ask(t, "/api_keys", m{"uid": user, "algorithm": "HS256", "scopes": "read"}).Want(t, 422, `{"errors":["key_holder_account.invalid"]}`)
	w.ask(t, "/api_keys/update", m{"uid": user, "kid": kid, "state": "active"}).Want(t, 422, `{"errors":["state.invalid"]}`)

	w.ask(t, "/api_keys", m{}).Want(t, 422, `{"error":"algorithm is missing, algorithm is empty, uid is missing, uid is empty"}`)
	w.ask(t, "/api_keys/update", m{}).Want(t, 422, `{"error":"kid is missing, kid is empty, uid is missing, uid is empty"}`)
}

func TestNumberOfAPIKeys(t *testing.T) {
	w := newWorld(t)
	w.Account.MaxKeys = 1
	w.Restart()
	user, _ := w.holders()
	w.createKey(m{"uid": user, "algorithm": "HS256", "scopes": "read"})
	w.ask(t, "/api_keys", m{"uid": user, "algorithm": "HS256", "scopes": "read"}).Want(t, 422, `{"errors":["api_key.limit_reached"]}`)
}

// Holders are looked up; those that are not there are refused by the kind that their uid shows.
func TestHoldersOfKeys(t *testing.T) {
	for name, c := range map[string]struct {
		keys management.Keys
		want map[string]string
	}{
		"both are served": {management.Keys{OfUsers: true, OfServiceAccounts: true, UIDPrefix: "ID"}, map[string]string{
			"ID0000000001": "api_key_doesnt_exist", "SI0000000001": "api_key_doesnt_exist", "MEMBER": "api_key_doesnt_exist",
			"ID404": "user_doesnt_exist", "SI404": "service_account_doesnt_exist", "random": "uid_prefix_doesnt_exist",
		}},
		"neither is": {management.Keys{UIDPrefix: "ID"}, map[string]string{
			"ID0000000001": "disabled_management_endpoint", "SI0000000001": "disabled_management_endpoint", "MEMBER": "disabled_management_endpoint",
			"ID404": "disabled_management_endpoint", "SI404": "disabled_management_endpoint", "random": "uid_prefix_doesnt_exist",
		}},
		"users alone": {management.Keys{OfUsers: true, UIDPrefix: "ID"}, map[string]string{
			"ID0000000001": "api_key_doesnt_exist", "SI0000000001": "disabled_management_endpoint", "SI404": "disabled_management_endpoint", "ID404": "user_doesnt_exist",
		}},
		"service accounts alone": {management.Keys{OfServiceAccounts: true, UIDPrefix: "ID"}, map[string]string{
			"ID0000000001": "disabled_management_endpoint", "SI0000000001": "api_key_doesnt_exist", "SI404": "service_account_doesnt_exist", "ID404": "disabled_management_endpoint",
		}},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.holders()
			w.Management.Keys = c.keys
			for uid, want := range c.want {
				w.ask(t, "/api_keys/update", m{"uid": uid, "kid": "aaaaaaaaaaaaaaaa"}).Want(t, 422, `{"error":"`+want+`"}`)
				if want != "api_key_doesnt_exist" {
					w.ask(t, "/api_keys", m{"uid": uid, "algorithm": "HS256"}).Want(t, 422, `{"error":"`+want+`"}`)
				}
			}
		})
	}
}

// The key of another holder is none of this one's.
func TestKeyOfAnotherHolder(t *testing.T) {
	w := newWorld(t)
	user, service := w.holders()
	expect.OK(t, w.DB.AddAPIKey(t.Context(), &apikey.Key{Kid: "aaaaaaaaaaaaaaaa", Algorithm: "HS256", State: "active", HolderUID: service, Secret: "s"}))
	w.ask(t, "/api_keys/update", m{"uid": user, "kid": "aaaaaaaaaaaaaaaa", "state": "inactive"}).Want(t, 422, `{"error":"api_key_doesnt_exist"}`)
}
