package identity_test

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"barong/internal/expect"
	"barong/internal/rest/resttest"
	"barong/internal/signin"
)

const signUps = "/api/v2/identity/users"

// A sign-up stores what was sent, opens a session and announces the user.
func TestSignUp(t *testing.T) {
	w := newWorld(t)
	a := w.Browser().JSON(t, "POST", signUps, body{
		"email": " New@Barong.IO", "password": password, "username": "Vadid", "data": `{"language":"RU"}`,
		"captcha_response": "x", // none is asked for
	})
	u, _ := w.opened(a, 201)
	expect.Equal(t, []any{u["email"], u["role"], u["level"], u["otp"], u["state"], u["referral_uid"], u["data"], u["username"]},
		[]any{"new@barong.io", "member", 0.0, false, "pending", nil, `{"language":"RU"}`, "vadid"})
	uid, _ := u["uid"].(string)
	if len(uid) != 12 || !strings.HasPrefix(uid, "ID") || strings.Trim(uid[2:], "0123456789ABCDEF") != "" {
		t.Errorf("uid %q", uid)
	}
	expect.Equal(t, w.Deeds(uid), []string{"account signup succeed"})
	news := w.News()
	expect.Equal(t, names(news), []string{"model.user.created", "system.user.email.confirmation.token"}) // no system.session.create
	expect.Equal(t, []string{member(t, news[1], "domain"), news[1].Language}, []string{"exchange.example", "ru"})
	link := member(t, news[1], "token")
	if strings.Contains(a.Body, link) || strings.Count(link, ".") != 2 {
		t.Errorf("the link %q is in the answer, or is none", link)
	}
	w.Secret(link)

	// The referrer's uid, and a language of its own.
	u, _ = w.opened(w.Browser().JSON(t, "POST", signUps, body{
		"email": "second@barong.io", "password": password, "refid": uid, "lang": "ru",
	}), 201)
	expect.Equal(t, u["referral_uid"], any(uid))
	_, language := w.link()
	expect.Equal(t, language, "ru")
}

// The first user is a member like every other (D14, W-I15).
func TestNobodyBecomesSuperadminBySigningUp(t *testing.T) {
	w := newWorld(t)
	u, _ := w.opened(w.Browser().JSON(t, "POST", signUps, with(credentials(), "role", "superadmin", "state", "active", "level", 3)), 201)
	expect.Equal(t, []any{u["role"], u["state"], u["level"], u["labels"]}, []any{"member", "pending", 0.0, []any{}})
	expect.Equal(t, names(w.News()), []string{"model.user.created", "system.user.email.confirmation.token"})
}

// Refused sign-ups (D2).
func TestSignUpRefusals(t *testing.T) {
	good := body{"email": "new@barong.io", "password": password}
	for name, c := range map[string]struct {
		sent   body
		status int
		tokens []string
	}{
		"bad address, weak password":     {body{"email": "bad_format", "password": "Password1"}, 422, []string{"email.invalid", "password.weak"}},
		"unknown referrer":               {with(good, "refid", "ID1231231231"), 422, []string{"identity.user.referral_doesnt_exist"}},
		"no referrer's form":             {with(good, "refid", "UID123"), 422, []string{"identity.user.invalid_referral_format"}},
		"password without shape":         {with(good, "password", "password"), 422, []string{"password.requirements"}},
		"username of 13":                 {with(good, "username", "qwertyuiopasd"), 422, []string{"username.too_long"}},
		"username with signs":            {with(good, "username", "qwerty@="), 422, []string{"username.invalid"}},
		"empty username":                 {with(good, "username", ""), 422, []string{"username.too_short", "username.invalid"}},
		"data that is no JSON":           {with(good, "data", "x"), 422, []string{"data.invalid_format"}},
		"data that is no object (W-I23)": {with(good, "data", "[1]"), 422, []string{"data.invalid_format"}},
		"long data":                      {with(good, "data", `{"a":"`+strings.Repeat("x", 1024)+`"}`), 422, []string{"data.too_long"}},
		"a password of 73 bytes (W-I18)": {with(good, "password", "Tecohvi0"+strings.Repeat("xY3!z", 13)), 422, []string{"password.too_long"}},
		"a taken address":                {with(good, "email", "Trader@barong.io"), 422, []string{"email.taken"}},
		"a taken username":               {with(good, "username", "nick"), 422, []string{"username.taken"}},
		"several": {body{"email": "x", "password": "x", "username": "x", "data": "x"}, 422,
			[]string{"data.invalid_format", "email.invalid", "username.too_short", "password.requirements"}},
		"nothing (D2)": {body{}, 400, []string{"identity.user.missing_email", "identity.user.empty_email",
			"identity.user.missing_password", "identity.user.empty_password"}},
		"no password (D2)":     {body{"email": "new@barong.io"}, 400, []string{"identity.user.missing_password", "identity.user.empty_password"}},
		"blank ones (D2)":      {body{"email": " ", "password": ""}, 400, []string{"identity.user.empty_email", "identity.user.empty_password"}},
		"no texts":             {with(good, "username", body{}, "data", []int{1}, "lang", body{}), 422, []string{"invalid"}},
		"a captcha of a list":  {with(good, "captcha_response", []int{1}), 422, []string{"invalid"}},
		"one missing, one bad": {body{"email": "new@barong.io", "refid": body{}}, 422, []string{"identity.user.missing_password", "identity.user.empty_password", "invalid"}},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.user(email, 0)
			w.opened(w.Browser().JSON(t, "POST", signUps, body{"email": "nick@barong.io", "password": password, "username": "NICK"}), 201)
			w.News()
			a := w.Browser().JSON(t, "POST", signUps, c.sent)
			a.WantTokens(t, c.status, c.tokens...)
			closed(t, a)
			expect.Equal(t, names(w.News()), []string{})
			if n, err := w.DB.CountUsers(t.Context(), "", ""); err != nil || n != 2 {
				t.Errorf("%d users, %v; want the two there were", n, err)
			}
		})
	}
	w := newWorld(t) // without a permission of the role: 4
	rows, err := w.DB.Permissions(t.Context())
	expect.OK(w.T, err)
	expect.OK(w.T, w.DB.DeletePermission(t.Context(), rows[0].ID))
	w.Browser().JSON(t, "POST", signUps, good).WantTokens(t, 422, "role.doesnt_exist")
	w.Browser().JSON(t, "POST", signUps+"?password="+password, body{"email": "new@barong.io"}). // D19
													WantTokens(t, 400, "identity.user.missing_password", "identity.user.empty_password")
}

// Sign-ups are limited to ten an hour from one network (W-I4).
func TestSignUpIsLimited(t *testing.T) {
	w := newWorld(t)
	c := w.Browser()
	signUp := func(n int) resttest.Answer {
		return c.JSON(t, "POST", signUps, body{"email": fmt.Sprintf("a%d@barong.io", n), "password": password})
	}
	for n := range 10 {
		w.opened(signUp(n), 201)
	}
	a := signUp(10)
	a.WantTokens(t, 429, "identity.user.too_many_requests")
	expect.Equal(t, a.Header.Get("Retry-After"), "360")
	closed(t, a)
	w.IP = netip.MustParseAddr("10.0.0.2")
	w.opened(signUp(10), 201)
}

// A sign-up on a known device keeps it known for others (D8 and signin.Devices).
func TestSignUpRemembersTheDevice(t *testing.T) {
	w := newWorld(t)
	w.user(email, 1)
	c := w.Browser()
	_, device := cookies(t, c.JSON(t, "POST", sessions, credentials()))
	a := c.With("Cookie", "_barong_device="+device).JSON(t, "POST", signUps, body{"email": "new@barong.io", "password": password})
	made, _ := w.opened(a, 201)
	_, both := cookies(t, a)
	for _, address := range []string{email, made["email"].(string)} {
		u, err := w.DB.UserByEmail(t.Context(), address)
		expect.OK(w.T, err)
		name := u.UID
		if u.Unproved {
			name += " unproved"
		}
		if _, ok := w.Account.Devices.Known(both, name, w.Now); !ok {
			t.Errorf("%s is not known on it", address)
		}
	}
	w.Account.Devices = nil
	w.Restart()
	if set := w.Browser().JSON(t, "POST", sessions, credentials()).Header.Values("Set-Cookie"); len(set) != 1 {
		t.Errorf("set %q, want the session's alone", set)
	}
	expect.Equal(t, signin.DeviceLife.Hours(), 7776000.0/3600)
}
