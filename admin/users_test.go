package admin_test

import (
	"fmt"
	"net/url"
	"testing"

	"barong/internal/account"
	"barong/internal/apikey"
	"barong/internal/expect"
)

const users = base + "/users"

// key adds an active key of a user's.
func (w *world) key(uid, kid string) {
	w.T.Helper()
	expect.OK(w.T, w.DB.AddAPIKey(w.T.Context(), &apikey.Key{
		Kid: kid, Algorithm: apikey.HS256, State: apikey.Active, HolderUID: uid,
		HolderKind: account.KindUser, Secret: "0123456789abcdef0123456789abcdef",
	}))
}

func (w *world) keyState(uid, kid string) string {
	w.T.Helper()
	return expect.Must(w.DB.APIKey(w.T.Context(), uid, kid))(w.T).State
}

// Every parameter of every route refused, with nothing changed (D2).
func TestUserParameters(t *testing.T) {
	w := newWorld(t)
	before := w.User("MEMBER")
	const (
		three = "admin.user.one_of_state_otp_email"
		two   = "admin.user.one_of_state_otp"
	)
	for name, test := range map[string]struct {
		method, path string
		body         m
		status       int
		tokens       []string
	}{
		"PUT: nothing":                 {"PUT", "", m{}, 422, []string{"admin.user.missing_uid", "admin.user.empty_uid", three}},
		"PUT: no uid":                  {"PUT", "", m{"state": "banned"}, 400, []string{"admin.user.missing_uid", "admin.user.empty_uid"}},
		"PUT: a blank uid":             {"PUT", "", m{"uid": " ", "otp": false}, 400, []string{"admin.user.empty_uid"}},
		"PUT: none of three":           {"PUT", "", m{"uid": "MEMBER"}, 422, []string{three}},
		"PUT: two of three":            {"PUT", "", m{"uid": "MEMBER", "state": "banned", "email": "a@b.io"}, 422, []string{three}},
		"PUT: all three":               {"PUT", "", m{"uid": "MEMBER", "state": "banned", "otp": false, "email": "a@b.io"}, 422, []string{three}},
		"PUT: two, one of them blank":  {"PUT", "", m{"uid": "MEMBER", "state": "", "otp": false}, 422, []string{"admin.user.empty_state", three}},
		"PUT: a blank state":           {"PUT", "", m{"uid": "MEMBER", "state": " "}, 422, []string{"admin.user.empty_state"}},
		"PUT: a blank flag":            {"PUT", "", m{"uid": "MEMBER", "otp": ""}, 422, []string{"admin.user.empty_otp"}},
		"PUT: no flag":                 {"PUT", "", m{"uid": "MEMBER", "otp": "perhaps"}, 422, []string{"invalid"}},
		"PUT: a blank address":         {"PUT", "", m{"uid": "MEMBER", "email": ""}, 422, []string{"admin.user.empty_email"}},
		"PUT: a role is no field here": {"PUT", "", m{"uid": "MEMBER", "role": "admin"}, 422, []string{three}},
		"update: nothing":              {"POST", "/update", m{}, 422, []string{"admin.user.missing_uid", "admin.user.empty_uid", two}},
		"update: none of two":          {"POST", "/update", m{"uid": "MEMBER"}, 422, []string{two}},
		"update: both":                 {"POST", "/update", m{"uid": "MEMBER", "state": "banned", "otp": false}, 422, []string{two}},
		"update: no address here":      {"POST", "/update", m{"uid": "MEMBER", "email": "a@b.io"}, 422, []string{two}},
		"update: a list as state":      {"POST", "/update", m{"uid": "MEMBER", "state": []string{"banned"}}, 422, []string{"invalid"}},
		"role: nothing": {"POST", "/role", m{}, 400, []string{
			"admin.user.missing_uid", "admin.user.empty_uid", "admin.user.missing_role", "admin.user.empty_role"}},
		"role: blanks": {"POST", "/role", m{"uid": "", "role": " "}, 400, []string{"admin.user.empty_uid", "admin.user.empty_role"}},
	} {
		t.Run(name, func(t *testing.T) {
			w.as("superadmin").JSON(t, test.method, users+test.path, test.body).WantTokens(t, test.status, test.tokens...)
		})
	}
	expect.Equal(t, w.User("MEMBER"), before)
	expect.Equal(t, len(w.journal()), 0)
}

// Every refusal of every route changes nothing (AZ-195, T-ADMU-4, D24).
func TestUserRefusals(t *testing.T) {
	w := newWorld(t)
	w.PutUser("TRADER", func(u *account.User) { u.OTP = true })
	w.addUser("other")
	w.PutUser("OTHER", func(u *account.User) { u.Role = "superadmin" })
	w.addUser("second")
	w.PutUser("SECOND", func(u *account.User) { u.Role = "admin" })
	expect.OK(t, w.DB.AddServiceAccount(t.Context(), &account.ServiceAccount{
		UID: "SI1", OwnerUID: "MEMBER", Email: "si@barong.io", Role: "service_account", State: "active",
	}))
	all := []string{"SUPERADMIN", "OTHER", "ADMIN", "SECOND", "COMPLIANCE", "SUPPORT", "MEMBER", "TRADER"}
	before := map[string]account.User{}
	for _, uid := range all {
		before[uid] = w.User(uid)
	}
	type refusal struct {
		as     string
		body   m
		status int
		token  string
	}
	w.AddUser(account.User{UID: "DELETED", Email: "member@barong.io", Role: "member", State: account.StateDeleted})
	either := map[string]refusal{ // on both routes for states
		"nobody":                           {"admin", m{"uid": "NOBODY", "state": "banned"}, 404, "admin.user.doesnt_exist"},
		"a service account":                {"admin", m{"uid": "SI1", "state": "banned"}, 404, "admin.user.doesnt_exist"},
		"nobody, before the second factor": {"admin", m{"uid": "NOBODY", "otp": true}, 404, "admin.user.doesnt_exist"},
		"a superadmin":                     {"admin", m{"uid": "OTHER", "state": "banned"}, 422, "admin.user.superadmin_change"},
		"a superadmin's second factor":     {"support", m{"uid": "OTHER", "otp": false}, 422, "admin.user.superadmin_change"},
		"oneself":                          {"admin", m{"uid": "ADMIN", "state": "banned"}, 422, "admin.user.update_himself"},
		"oneself as superadmin":            {"superadmin", m{"uid": "SUPERADMIN", "otp": false}, 422, "admin.user.update_himself"},
		"an admin by an admin":             {"admin", m{"uid": "SECOND", "state": "banned"}, 422, "admin.user.insufficient_rank"},
		"an admin by compliance":           {"compliance", m{"uid": "ADMIN", "otp": false}, 422, "admin.user.insufficient_rank"},
		"support by compliance":            {"compliance", m{"uid": "SUPPORT", "state": "banned"}, 422, "admin.user.insufficient_rank"},
		"switching on":                     {"superadmin", m{"uid": "MEMBER", "otp": true}, 422, "admin.user.enable_2fa"},
		"switching on what is on":          {"admin", m{"uid": "TRADER", "otp": "true"}, 422, "admin.user.enable_2fa"},
		"switching off what is off":        {"support", m{"uid": "MEMBER", "otp": false}, 422, "admin.user.otp_no_change"},
		"the same state":                   {"admin", m{"uid": "MEMBER", "state": "active"}, 422, "admin.user.state_no_change"},
		"a state that nothing knows":       {"admin", m{"uid": "MEMBER", "state": "whatever"}, 422, "state.inclusion"},
		"a deleted, whose address is used": {"admin", m{"uid": "DELETED", "state": "active"}, 422, "email.taken"},
		"without the ability":              {"technical", m{"uid": "MEMBER", "state": "banned"}, 401, "admin.ability.not_permitted"},
		"a member":                         {"member", m{"uid": "TRADER", "state": "banned"}, 401, "admin.ability.not_permitted"},
	}
	for name, test := range either {
		for _, route := range [][2]string{{"PUT", users}, {"POST", users + "/update"}} {
			t.Run(route[0]+" "+name, func(t *testing.T) {
				w.as(test.as).JSON(t, route[0], route[1], test.body).WantTokens(t, test.status, test.token)
			})
		}
	}
	for name, test := range map[string]refusal{
		"an address by an admin":            {"admin", m{"uid": "MEMBER", "email": "a@b.io"}, 422, "superadmin.user.update_email"},
		"a bad address by an admin":         {"admin", m{"uid": "MEMBER", "email": "bad"}, 422, "superadmin.user.update_email"},
		"a superadmin's address":            {"admin", m{"uid": "OTHER", "email": "a@b.io"}, 422, "admin.user.superadmin_change"},
		"one's own address":                 {"superadmin", m{"uid": "SUPERADMIN", "email": "a@b.io"}, 422, "admin.user.update_himself"},
		"the same address":                  {"superadmin", m{"uid": "MEMBER", "email": " MEMBER@barong.io"}, 422, "admin.user.email_no_change"},
		"an address without shape":          {"superadmin", m{"uid": "MEMBER", "email": "bad_format"}, 422, "email.invalid"},
		"an address too long":               {"superadmin", m{"uid": "MEMBER", "email": fmt.Sprintf("%0251d@x.io", 0)}, 422, "email.too_long"},
		"an address that somebody else has": {"superadmin", m{"uid": "MEMBER", "email": "Trader@barong.io"}, 422, "email.taken"},
	} {
		t.Run("PUT "+name, func(t *testing.T) {
			w.as(test.as).JSON(t, "PUT", users, test.body).WantTokens(t, test.status, test.token)
		})
	}
	for name, test := range map[string]refusal{
		"nobody":                     {"admin", m{"uid": "NOBODY", "role": "king"}, 404, "admin.user.doesnt_exist"},
		"a superadmin":               {"admin", m{"uid": "OTHER", "role": "member"}, 422, "admin.user.superadmin_change"},
		"a new superadmin":           {"admin", m{"uid": "MEMBER", "role": "superadmin"}, 422, "admin.user.superadmin_change"},
		"oneself":                    {"admin", m{"uid": "ADMIN", "role": "member"}, 422, "admin.user.update_himself"},
		"oneself made superadmin":    {"admin", m{"uid": "ADMIN", "role": "superadmin"}, 422, "admin.user.update_himself"},
		"oneself as superadmin":      {"superadmin", m{"uid": "SUPERADMIN", "role": "admin"}, 422, "admin.user.update_himself"},
		"an admin by an admin":       {"admin", m{"uid": "SECOND", "role": "member"}, 422, "admin.user.insufficient_rank"},
		"a new admin by an admin":    {"admin", m{"uid": "MEMBER", "role": "admin"}, 422, "admin.user.insufficient_rank"},
		"a new admin by compliance":  {"compliance", m{"uid": "MEMBER", "role": "admin"}, 422, "admin.user.insufficient_rank"},
		"the same role":              {"admin", m{"uid": "MEMBER", "role": "member"}, 422, "admin.user.role_no_change"},
		"a role without permissions": {"admin", m{"uid": "MEMBER", "role": "king"}, 422, "role.doesnt_exist"},
		"a role in another case":     {"superadmin", m{"uid": "MEMBER", "role": "Admin"}, 422, "role.doesnt_exist"},
		"without the ability":        {"accountant", m{"uid": "MEMBER", "role": "member"}, 401, "admin.ability.not_permitted"},
	} {
		t.Run("role "+name, func(t *testing.T) {
			w.as(test.as).JSON(t, "POST", users+"/role", test.body).WantTokens(t, test.status, test.token)
		})
	}
	for _, uid := range all {
		expect.Equal(t, w.User(uid), before[uid])
	}
	expect.Equal(t, len(w.journal()), 0)
}

// A superadmin that is not active does not remove the last active one, nor anything else (D24).
func TestLastSuperadminStays(t *testing.T) {
	w := newWorld(t)
	w.addUser("last")
	w.PutUser("LAST", func(u *account.User) { u.Role = "superadmin" })
	w.PutUser("SUPERADMIN", func(u *account.User) { u.State = account.StatePending })
	for _, c := range []struct {
		method, path string
		body         m
	}{
		{"PUT", "", m{"uid": "LAST", "state": "banned"}},
		{"POST", "/update", m{"uid": "LAST", "state": "pending"}},
		{"POST", "/role", m{"uid": "LAST", "role": "admin"}},
	} {
		w.as("superadmin").JSON(t, c.method, users+c.path, c.body).WantTokens(t, 401, "authz.user_not_active")
	}
	u := w.User("LAST")
	expect.Equal(t, []string{u.Role, u.State}, []string{"superadmin", "active"})
}

// A change of a user is stored and answered with its documented status (D1, T-ADMU-1 to 3).
func TestUserChanges(t *testing.T) {
	for name, test := range map[string]struct {
		as, method, path string
		body             m
		status           int
		want             func(*account.User)
		key              string
		ends             bool
		data             string
	}{
		"PUT a state": {
			"admin", "PUT", "", m{"uid": "TRADER", "state": "banned"}, 200,
			func(u *account.User) { u.State, u.AdminState = "banned", "banned" }, "inactive", true,
			`{"before":{"state":"active"},"after":{"state":"banned"}}`,
		},
		"PUT no second factor": {
			"compliance", "PUT", "", m{"uid": "TRADER", "otp": "f"}, 200,
			func(u *account.User) { u.OTP = false }, "inactive", true,
			`{"before":{"otp":true},"after":{"otp":false}}`,
		},
		"PUT an address": {
			"superadmin", "PUT", "", m{"uid": "TRADER", "email": "Valid@Email.com "}, 200,
			func(u *account.User) { u.Email = "valid@email.com" }, "active", true,
			`{"before":{"email":"trader@barong.io"},"after":{"email":"valid@email.com"}}`,
		},
		"update a state": {
			"compliance", "POST", "/update", m{"uid": "TRADER", "state": "locked"}, 201,
			func(u *account.User) { u.State, u.AdminState = "locked", "locked" }, "inactive", true,
			`{"before":{"state":"active"},"after":{"state":"locked"}}`,
		},
		"update no second factor": {
			"support", "POST", "/update", m{"uid": "TRADER", "otp": false}, 201,
			func(u *account.User) { u.OTP = false }, "inactive", true,
			`{"before":{"otp":true},"after":{"otp":false}}`,
		},
		"a role": {
			"admin", "POST", "/role", m{"uid": "TRADER", "role": "support"}, 201,
			func(u *account.User) { u.Role = "support" }, "active", true,
			`{"before":{"role":"trader"},"after":{"role":"support"}}`,
		},
		"superadmin by one": {
			"superadmin", "POST", "/role", m{"uid": "TRADER", "role": "superadmin"}, 201,
			func(u *account.User) { u.Role = "superadmin" }, "active", true,
			`{"before":{"role":"trader"},"after":{"role":"superadmin"}}`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.key("TRADER", "0123456789abcdef")
			w.PutUser("TRADER", func(u *account.User) { u.OTP = true })
			expect.OK(t, w.DB.PutLabel(t.Context(), &account.Label{
				UserUID: "TRADER", Key: "otp", Value: "enabled", Scope: account.ScopePrivate,
			}))
			want := w.User("TRADER")
			test.want(&want)
			before := want
			want.LockVersion++

			w.as(test.as).JSON(t, test.method, users+test.path, test.body).Want(t, test.status, itoa(int64(test.status)))

			got := w.User("TRADER")
			want.Version, want.SessionGeneration = got.Version, got.SessionGeneration
			expect.Equal(t, got, want)
			expect.Equal(t, []bool{got.Version > before.Version, got.SessionGeneration > before.SessionGeneration}, []bool{true, test.ends})
			expect.Equal(t, w.keyState("TRADER", "0123456789abcdef"), test.key)
			labels := expect.Must(w.DB.Labels(t.Context(), "TRADER"))(t)
			expect.Equal(t, len(labels) == 1, want.OTP)
			rows := w.journal()
			if len(rows) != 1 {
				t.Fatalf("got %d activities, want 1", len(rows))
			}
			x := rows[0]
			expect.Equal(t, []string{x.ActorUID, x.TargetUID, x.Topic, x.Action, x.Result, x.IP, x.IPCountry, x.Data},
				[]string{uidOf(test.as), "TRADER", "users", "update", "succeed", "203.0.113.7", "Malta", test.data})
		})
	}
}

// A state of no label's making can be given and taken; keys stay as they are.
func TestUserActivated(t *testing.T) {
	w := newWorld(t)
	w.key("MEMBER", "0123456789abcdef")
	w.as("admin").JSON(t, "PUT", users, m{"uid": "MEMBER", "state": "banned"}).Want(t, 200, `200`)
	w.as("admin").JSON(t, "PUT", users, m{"uid": "MEMBER", "state": "active"}).Want(t, 200, `200`)
	u := w.User("MEMBER")
	expect.Equal(t, []string{u.State, w.keyState("MEMBER", "0123456789abcdef")}, []string{"active", "inactive"})
	expect.Equal(t, u.SessionGeneration > 0, true)
}

// A state that a label gives is lifted by the label alone; the answer names the labels that hold it.
func TestStateHeldByLabels(t *testing.T) {
	w := newWorld(t)
	put := func(method, path, state string, status int, held string) {
		t.Helper()
		a := w.as("admin").JSON(t, method, users+path, m{"uid": "MEMBER", "state": state})
		a.Want(t, status, itoa(int64(status)))
		expect.Equal(t, a.Header.Get("X-State-Held-By"), held)
	}
	state := func() []string { u := w.User("MEMBER"); return []string{u.State, u.AdminState} }
	w.as("admin").JSON(t, "PUT", users, m{"uid": "MEMBER", "state": "banned"})
	_, err := w.Accounts.SetLabel(t.Context(), account.Actor{Service: "kyc"}, account.LabelInput{UserUID: "MEMBER", Key: "ban", Value: "fraud", Scope: "private"})
	expect.OK(t, err)
	_, err = w.Accounts.SetLabel(t.Context(), account.Actor{Service: "kyc"}, account.LabelInput{UserUID: "MEMBER", Key: "email", Value: "verified", Scope: "private"})
	expect.OK(t, err)
	put("PUT", "", "active", 200, "ban:fraud")
	expect.Equal(t, state(), []string{"banned", ""})
	put("POST", "/update", "active", 201, "ban:fraud")
	put("PUT", "", "pending", 200, "ban:fraud")
	expect.Equal(t, state(), []string{"banned", "pending"})
	put("PUT", "", "locked", 200, "")
	expect.Equal(t, state(), []string{"locked", "locked"})
	put("PUT", "", "banned", 200, "")
	expect.Equal(t, state(), []string{"banned", "banned"})
	put("PUT", "", "active", 200, "ban:fraud")
	expect.OK(t, w.Accounts.RemoveLabel(t.Context(), account.Actor{Service: "kyc"}, "MEMBER", "ban", "private"))
	expect.Equal(t, state(), []string{"active", ""})
	w.as("admin").JSON(t, "PUT", users, m{"uid": "MEMBER", "state": "active"}).WantTokens(t, 422, "admin.user.state_no_change")
}

// Only the declared field reaches the row, whatever else is sent and first.
func TestUserWritesNothingUndeclared(t *testing.T) {
	w := newWorld(t)
	extra := url.Values{
		"role": {"superadmin"}, "level": {"5"}, "password_digest": {"x"}, "username": {"king"}, "data": {"{}"},
		"admin_state": {"x"}, "session_generation": {"0"}, "referral_id": {"1"}, "id": {"1"},
	}
	form := func(more ...string) url.Values {
		v := url.Values{"uid": {"MEMBER"}}
		for k, x := range extra {
			v[k] = x
		}
		for i := 0; i < len(more); i += 2 {
			v.Set(more[i], more[i+1])
		}
		return v
	}
	want := w.User("MEMBER")
	steps := []struct {
		method, path string
		form         url.Values
		status       int
		change       func()
	}{
		{"PUT", "?role=superadmin", form("state", "banned"), 200, func() { want.State, want.AdminState = "banned", "banned" }},
		{"POST", "/update?role=superadmin", form("state", "locked", "email", "a@b.io"), 201, func() { want.State, want.AdminState = "locked", "locked" }},
		{"PUT", "", form("email", "a@b.io"), 200, func() { want.Email = "a@b.io" }},
		{"POST", "/role", form("role", "trader", "state", "active", "otp", "true"), 201, func() { want.Role = "trader" }},
	}
	ends := map[int]bool{0: true, 2: true, 3: true} // the second state is as dead as the first
	for i, s := range steps {
		w.as("superadmin").Form(t, s.method, users+s.path, s.form).Want(t, s.status, itoa(int64(s.status)))
		s.change()
		want.LockVersion++
		got := w.User("MEMBER")
		expect.Equal(t, []bool{got.Version > want.Version, got.SessionGeneration > want.SessionGeneration}, []bool{true, ends[i]})
		want.Version, want.SessionGeneration = got.Version, got.SessionGeneration
		expect.Equal(t, got, want)
	}
}

// A caller whose role or state had changed by the time of the write is refused as such.
func TestCallerDemotedMeanwhile(t *testing.T) {
	w := newWorld(t)
	w.Faults.On("Update", func() error { // between guard and write
		w.PutUser("ADMIN", func(u *account.User) { u.Role = "member" })
		return nil
	})
	w.as("admin").JSON(t, "POST", users+"/role", m{"uid": "MEMBER", "role": "trader"}).
		WantTokens(t, 401, "admin.ability.not_permitted")
	expect.Equal(t, w.User("MEMBER").Role, "member")
}
