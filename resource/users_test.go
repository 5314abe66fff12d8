package resource_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"barong/internal/account"
	"barong/internal/account/worldtest"
	"barong/internal/apikey"
	"barong/internal/apitest"
	"barong/internal/audit"
	"barong/internal/expect"
	"barong/internal/invalid"
)

const user = base + "/users/me"

// The front end sends the whole account back, as it has read it, with other data.
func TestUpdateMe(t *testing.T) {
	w := newWorld(t)
	c := w.mine()
	var whole map[string]any
	c.Get(t, user).Into(t, &whole)
	whole["data"], whole["role"], whole["level"] = `{"language":"ru"}`, "superadmin", 3
	body := string(expect.Must(json.Marshal(whole))(t))
	a := c.Send(t, "PUT", user, "application/json", body)
	expect.Equal(t, a.Status, 200)
	a.Into(t, &whole)
	expect.Equal(t, whole["data"], any(`{"language":"ru"}`))
	u := w.User(me)
	expect.Equal(t, []any{*u.Data, u.Role, u.Level}, []any{`{"language":"ru"}`, account.RoleMember, 1})
	expect.Equal(t, w.Activities(audit.Query{ActorUID: me})[0].Action, "data update")
	for name, test := range map[string]struct {
		form   []string
		status int
		tokens []string
	}{
		"nothing":   {nil, 400, []string{"resource.user.missing_data", "resource.user.empty_data"}},
		"blank":     {[]string{"data", " "}, 400, []string{"resource.user.empty_data"}},
		"a list":    {[]string{"data[]", "{}"}, 422, []string{"invalid"}},
		"no JSON":   {[]string{"data", "random string"}, 422, []string{"data.invalid_format"}},
		"no object": {[]string{"data", "[1]"}, 422, []string{"data.invalid_format"}},
		"too much":  {[]string{"data", `{"a":"` + strings.Repeat("ä", 1024) + `"}`}, 422, []string{"data.too_long"}},
	} {
		t.Run(name, func(t *testing.T) {
			c.Form(t, "PUT", user, form(test.form...)).WantTokens(t, test.status, test.tokens...)
		})
	}
	expect.Equal(t, *w.User(me).Data, `{"language":"ru"}`)
	w.Faults.Fail(apitest.ErrOutage, "Labels")
	c.Form(t, "PUT", user, form("data", "{}")).WantTokens(t, 503, "server.internal_error")
}

// Deletion keeps the row, stops all ways in, and frees the address and the username.
func TestDeleteMe(t *testing.T) {
	for name, triggers := range map[string][]account.Trigger{
		"by the operator's trigger": {{State: account.StateDeleted, Keys: []string{"delete"}}},
		"without one":               nil,
		"against another":           {{State: account.StateActive, Keys: []string{"delete"}}},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.Account.Triggers = triggers
			w.Restart()
			w.Allow(account.RoleMember)
			name := "trader1"
			w.PutUser(me, func(u *account.User) { u.Username = &name })
			key := w.key(families["own keys"], kid)
			cookie := w.open(me)
			c := within(w.mine(), cookie)
			a := c.Send(t, "DELETE", user+"?password="+apitest.Password, "", "")
			a.Want(t, 204, "")
			if _, cleared := set(t, a); !cleared {
				t.Error("the session's cookie was not taken away")
			}
			u := w.User(me)
			expect.Equal(t, []any{u.State, u.Email, *u.Username}, []any{account.StateDeleted, "trader@barong.io", name})
			expect.Equal(t, w.stands(cookie), false)
			expect.Equal(t, w.rowOf(families["own keys"], key.Kid).State, apikey.Inactive)
			c.Get(t, user).WantTokens(t, 401, "authz.user_not_active")
			news := w.News()
			expect.Equal(t, news[len(news)-1].Name, "system.user.account.deleted")
			last := w.Activities(audit.Query{ActorUID: me, Topic: "account"})
			expect.Equal(t, last[len(last)-1].Action+" "+last[len(last)-1].Result, "delete account succeed")

			again := expect.Must(w.Accounts.CreateUser(t.Context(), account.UserInput{
				Email: "trader@barong.io", Username: &name, Password: apitest.Password, Level: 1,
			}))(t)
			expect.Equal(t, expect.Must(w.DB.UserByEmail(t.Context(), "trader@barong.io"))(t).UID, again.UID)
			// The old account does not come back while another has its address.
			err := w.Accounts.RemoveLabel(t.Context(), worldtest.Peer, me, "delete", account.ScopePrivate)
			if triggers != nil && triggers[0].State == account.StateDeleted {
				var wrong invalid.Fields
				if !errors.As(err, &wrong) || !wrong.Has("email") {
					t.Errorf("got %v, want the address to be taken", err)
				}
			}
			expect.Equal(t, w.User(me).State, account.StateDeleted)
		})
	}
}

func TestRefusedDeletions(t *testing.T) {
	w := newWorld(t)
	c := w.mine()
	for name, test := range map[string]struct {
		form   []string
		status int
		tokens []string
	}{
		"nothing":        {nil, 400, []string{"resource.user.missing_password", "resource.user.empty_password"}},
		"blanks":         {[]string{"password", " ", "otp_code", ""}, 422, []string{"resource.user.empty_password", "resource.user.empty_otp_code"}},
		"lists":          {[]string{"password[]", "x", "otp_code[]", "x"}, 422, []string{"invalid"}},
		"wrong password": {[]string{"password", "Wrong0000"}, 422, []string{"resource.user.invalid_password"}},
	} {
		t.Run(name, func(t *testing.T) {
			c.Form(t, "DELETE", user, form(test.form...)).WantTokens(t, test.status, test.tokens...)
		})
	}
	code := w.SecondFactor(me)
	c.Form(t, "DELETE", user, form("password", apitest.Password)).WantTokens(t, 422, "resource.user.missing_otp_code")
	c.Form(t, "DELETE", user, form("password", apitest.Password, "otp_code", "000000x")).WantTokens(t, 422, "resource.user.invalid_otp")
	used := code()
	expect.OK(t, w.Accounts.VerifyOTP(t.Context(), account.Actor{UID: me}, used))
	c.Form(t, "DELETE", user, form("password", apitest.Password, "otp_code", used)).WantTokens(t, 422, "totp.error")
	var reasons []string
	for _, a := range w.Activities(audit.Query{ActorUID: me, Topic: "account", Result: audit.Failed}) {
		reasons = append(reasons, a.Data)
	}
	expect.Equal(t, reasons, []string{`{"reason":"Invalid password"}`, `{"reason":"OTP code is invalid"}`})
	// Guesses end, here and at every other endpoint that asks for the password.
	for range 4 {
		c.Form(t, "DELETE", user, form("password", "Wrong0000")).WantTokens(t, 422, "resource.user.invalid_password")
	}
	c.Form(t, "DELETE", user, form("password", apitest.Password)).WantTokens(t, 429, "resource.user.too_many_requests")
	expect.Equal(t, w.User(me).State, account.StateActive)
	w.PutUser(stranger, func(u *account.User) { u.Role = account.RoleSuperadmin })
	w.As(stranger).Form(t, "DELETE", user, form("password", apitest.Password)).WantTokens(t, 422, "resource.user.last_superadmin")
	expect.Equal(t, w.User(stranger).State, account.StateActive)
}

const password = base + "/users/password"

func change(old, fresh, again string) []string {
	return []string{"old_password", old, "new_password", fresh, "confirm_password", again}
}

// The new password opens what the old one did; the session goes on under a new id, all others end.
func TestChangePassword(t *testing.T) {
	w := newWorld(t)
	w.Secret("Quooph7ei")
	here, there := w.open(me), w.open(me)
	key := w.key(families["own keys"], kid)
	a := within(w.mine(), here).Form(t, "PUT", password, form(append(change(apitest.Password, "Quooph7ei", "Quooph7ei"), "lang", "ru")...))
	a.Want(t, 201, "201")
	fresh, _ := set(t, a)
	expect.Equal(t, []bool{fresh != "", fresh != here, w.stands(fresh), w.stands(here), w.stands(there)}, []bool{true, true, true, false, false})
	expect.Equal(t, w.rowOf(families["own keys"], key.Kid).State, apikey.Active)
	expect.Equal(t, w.User(me).PasswordDigest, "#Quooph7ei")
	news := w.News()
	last := news[len(news)-1]
	expect.Equal(t, []string{last.Name, last.Language}, []string{"system.user.password.change", "ru"})
	deeds := w.Activities(audit.Query{ActorUID: me, Topic: "password"})
	expect.Equal(t, []string{deeds[0].Action, deeds[0].Result}, []string{"password change", "succeed"})
	// Without a session, as with an API key, every one ends.
	w.mine().Form(t, "PUT", password, form(change("Quooph7ei", apitest.Password, apitest.Password)...)).Want(t, 201, "201")
	expect.Equal(t, w.stands(fresh), false)
}

func TestRefusedPasswordChanges(t *testing.T) {
	w := newWorld(t)
	cookie := w.open(me)
	c := within(w.mine(), cookie)
	long := "Aa1" + strings.Repeat("x", 70)
	w.Secret("Wrong0000", "Quooph7ei", "Zaem3ohgh", long)
	for name, test := range map[string]struct {
		form   []string
		status int
		tokens []string
	}{
		"nothing": {nil, 400, []string{"resource.user.missing_old_password", "resource.user.empty_old_password",
			"resource.user.missing_new_password", "resource.user.empty_new_password",
			"resource.user.missing_confirm_password", "resource.user.empty_confirm_password"}},
		"blanks": {change("", " ", ""), 400, []string{"resource.user.empty_old_password", "resource.user.empty_new_password",
			"resource.user.empty_confirm_password"}},
		"lists":        {[]string{"old_password[]", "a", "new_password[]", "b", "confirm_password[]", "c"}, 422, []string{"invalid"}},
		"two new":      {change("Wrong0000", "Quooph7ei", "Zaem3ohgh"), 422, []string{"resource.password.doesnt_match"}},
		"another old":  {change("Wrong0000", "Quooph7ei", "Quooph7ei"), 400, []string{"resource.password.prev_pass_not_correct"}},
		"no change":    {change(apitest.Password, apitest.Password, apitest.Password), 400, []string{"resource.password.no_change_provided"}},
		"without form": {change(apitest.Password, "quooph7ei", "quooph7ei"), 422, []string{"password.requirements"}},
		"weak":         {change(apitest.Password, "Aaaaaa11", "Aaaaaa11"), 422, []string{"password.weak"}},
		"long":         {change(apitest.Password, long, long), 422, []string{"password.too_long", "password.weak"}},
	} {
		t.Run(name, func(t *testing.T) {
			c.Form(t, "PUT", password, form(test.form...)).WantTokens(t, test.status, test.tokens...)
		})
	}
	reasons := map[string]int{}
	for _, a := range w.Activities(audit.Query{ActorUID: me, Topic: "password", Result: audit.Failed}) {
		reasons[a.Data]++
	}
	expect.Equal(t, reasons, map[string]int{
		`{"reason":"New passwords don't match"}`: 1, `{"reason":"Previous password is not correct"}`: 1,
		`{"reason":"New password cant be the same, as old one"}`: 1, `{"reason":"password.requirements"}`: 1,
		`{"reason":"password.weak"}`: 1, `{"reason":"password.too_long"}`: 1,
	})
	// The deletion asks for the password, too, and guesses count for both.
	for range 4 {
		c.Form(t, "DELETE", user, form("password", "Wrong0000")).WantTokens(t, 422, "resource.user.invalid_password")
	}
	c.Form(t, "PUT", password, form(change(apitest.Password, "Quooph7ei", "Quooph7ei")...)).WantTokens(t, 429, "resource.user.too_many_requests")
	expect.Equal(t, w.stands(cookie), true)

	// A session that has ended, whatever this process knows of it, does not come out as the one that stays.
	w.Now = w.Now.Add(time.Hour)
	c = within(w.mine(), w.open(me))
	c.Get(t, user)
	expect.Must(w.DB.EndSessions(t.Context(), me))(t)
	c.Form(t, "PUT", password, form(change(apitest.Password, "Quooph7ei", "Quooph7ei")...)).WantTokens(t, 401, "authz.invalid_session")
	expect.Equal(t, w.User(me).PasswordDigest, "#"+apitest.Password)
}
