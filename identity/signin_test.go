package identity_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/pquerna/otp/totp"

	"barong/internal/account"
	"barong/internal/audit"
	"barong/internal/rest"
	"barong/internal/rest/resttest"
	"barong/internal/session"
)

const sessions = "/api/v2/identity/sessions"

func credentials() body { return body{"email": email, "password": password} }

// secondFactor switches one-time codes on and returns a function for the next one; each works
// once, so time moves on.
func (w *world) secondFactor(u account.User) (code func() string) {
	w.t.Helper()
	me := account.Actor{UID: u.UID, Role: u.Role}
	setup, err := w.svc.OTPSecret(w.t.Context(), me)
	w.must(err)
	code = func() string {
		w.now = w.now.Add(time.Minute)
		c, err := totp.GenerateCode(setup.Secret, w.now)
		w.must(err)
		return c
	}
	_, err = w.svc.EnableOTP(w.t.Context(), me, code())
	w.must(err)
	w.news()
	return code
}

// 14.2 #11, #12; 9.6 and D1: 201, the whole account, the CSRF token, the cookies of D8.
func TestSignIn(t *testing.T) {
	w := newWorld(t)
	made := w.user(email, 0) // 14.2 #11: pending
	u, cookie := w.opened(w.browser().JSON(t, "POST", sessions, body{"email": " Trader@Barong.IO ", "password": password}), 201)
	diff(t, []any{u["email"], u["uid"], u["role"], u["level"], u["otp"], u["state"]},
		[]any{email, made.UID, "member", 0.0, false, "pending"})
	diff(t, []any{u["referral_uid"], u["data"], u["username"], u["profile"]}, []any{nil, nil, nil, nil})
	// 14.2 #1: no captcha is asked for here; the masks of profiles are package view's.
	diff(t, []any{u["labels"], u["phones"], u["profiles"], u["data_storages"]}, []any{[]any{}, []any{}, []any{}, []any{}})
	diff(t, []any{u["created_at"], u["updated_at"]}, []any{"2026-11-21T08:00:00Z", "2026-11-21T08:00:00Z"})

	// 14.2 #12: with the address and the program that asked.
	news := w.news()
	diff(t, names(news), []string{"system.session.create"})
	diff(t, []string{member(t, news[0], "user_ip"), member(t, news[0], "user_agent")}, []string{"10.0.0.1", agent})
	diff(t, w.activities(made.UID), []string{"session login succeed"})
	rows, _, err := w.db.Activities(t.Context(), audit.Query{ActorUID: made.UID, Limit: 1})
	w.must(err)
	diff(t, []string{rows[0].Category, rows[0].IP, rows[0].IPCountry, rows[0].UserAgent},
		[]string{"user", "10.0.0.1", "Malta", agent})
	e, err := w.sessions.Lookup(t.Context(), cookie, w.now)
	w.must(err)
	if e.UID != made.UID || e.UserAgent != agent || e.IP != w.ip || !e.Expires().Equal(w.now.Add(30*time.Minute)) {
		t.Errorf("the session is %+v", e)
	}
}

// W-I20, 6.7: a program without a name is shown as such, and so is one that is no browser.
func TestSignInWithoutUserAgent(t *testing.T) {
	w := newWorld(t)
	u := w.user(email, 1)
	w.opened(w.browser().With("User-Agent", "").JSON(t, "POST", sessions, credentials()), 201)
	rows, _, err := w.db.Activities(t.Context(), audit.Query{ActorUID: u.UID, Limit: 1})
	w.must(err)
	diff(t, []string{rows[0].UserAgent, rows[0].Data}, []string{"unknown", `{"note":"Detected suspicious browser"}`})
}

// The labels are those of both scopes, in row order, with a second device announced (W-I6).
func TestSignInShowsLabelsAndTellsOfNewDevices(t *testing.T) {
	w := newWorld(t)
	made := w.user(email, 1)
	_, err := w.svc.SetLabel(t.Context(), account.Label{UserUID: made.UID, Key: "vip", Value: "gold", Scope: account.ScopePublic})
	w.must(err)
	c := w.browser()
	first := c.JSON(t, "POST", sessions, credentials())
	u, _ := w.opened(first, 201)
	label := func(key, value, scope string) any {
		const at = "2026-11-21T08:00:00Z"
		return body{"key": key, "value": value, "scope": scope, "created_at": at, "updated_at": at}
	}
	diff(t, u["labels"], any([]any{label("email", "verified", "private"), label("vip", "gold", "public")}))
	diff(t, []any{u["state"], u["level"]}, []any{"active", 1.0})
	_, device := cookies(t, first)
	w.news()

	known := c.With("Cookie", "_barong_device="+device).JSON(t, "POST", sessions, credentials())
	w.opened(known, 201)
	diff(t, names(w.news()), []string{"system.session.create"})
	w.opened(c.JSON(t, "POST", sessions, credentials()), 201)
	diff(t, names(w.news()), []string{"system.session.create", "system.session.new_device"})
}

// FX-14, W-I6: a new id at every opening; the session that the browser came with ends.
func TestSignInReplacesTheSession(t *testing.T) {
	w := newWorld(t)
	w.user(email, 1)
	c := w.browser()
	_, one := w.opened(c.JSON(t, "POST", sessions, credentials()), 201)
	_, two := w.opened(c.With("Cookie", "_barong_session="+one).JSON(t, "POST", sessions, credentials()), 201)
	if one == two || !w.ended(one) || w.ended(two) {
		t.Errorf("ended: first %v, second %v; want the first only", w.ended(one), w.ended(two))
	}
	_, three := w.opened(c.JSON(t, "POST", sessions, credentials()), 201)
	if w.ended(two) || w.ended(three) {
		t.Error("a sign-in elsewhere ended a session")
	}
}

// D8b: of several cookies every session that there is ends, and the answer takes the others
// away, which a browser would otherwise send beside the new one for ever.
func TestSignInGetsRidOfStaleTwins(t *testing.T) {
	w := newWorld(t)
	w.user(email, 1)
	c := w.browser()
	_, one := w.opened(c.JSON(t, "POST", sessions, credentials()), 201)
	_, two := w.opened(c.JSON(t, "POST", sessions, credentials()), 201)
	twins := func(a resttest.Answer) (n int) {
		for _, set := range a.Header.Values("Set-Cookie") {
			if strings.HasPrefix(set, "_barong_session=; ") && !strings.HasPrefix(set, "_barong_session=; path=/;") {
				n++
			}
		}
		return n
	}
	a := c.With("Cookie", "_barong_session="+one+"; _barong_session="+two).JSON(t, "POST", sessions, credentials())
	lines := a.Header.Values("Set-Cookie")
	if len(lines) < 2 {
		t.Fatalf("got %d %s with %q", a.Status, a.Body, lines)
	}
	set := lines[len(lines)-2] // behind those that take away
	three, _, _ := strings.Cut(strings.TrimPrefix(set, "_barong_session="), ";")
	w.secrets = append(w.secrets, three)
	if len(three) != 32 || !strings.Contains(set, "path=/; expires=Sun") {
		t.Fatalf("got %q, want the new session last but for the device", lines)
	}
	if !w.ended(one) || !w.ended(two) || w.ended(three) || twins(a) == 0 {
		t.Errorf("ended: %v, %v, %v; %d twins cleared", w.ended(one), w.ended(two), w.ended(three), twins(a))
	}
	a = c.With("Cookie", "_barong_session="+three).JSON(t, "POST", sessions, credentials())
	if w.opened(a, 201); twins(a) != 0 {
		t.Errorf("with one cookie: %d twins cleared, want none", twins(a))
	}
}

// ended reports whether the session of a cookie stands no more.
func (w *world) ended(cookie string) bool {
	w.t.Helper()
	e, err := w.sessions.Lookup(w.t.Context(), cookie, w.now)
	if errors.Is(err, session.ErrNotFound) {
		return true
	}
	w.must(err)
	return e.Generation != w.reload(e.UID).SessionGeneration || !w.now.Before(e.Expires())
}

// 2.1: form, multipart and text without a type are bodies, too; JSON numbers are texts (2.2).
func TestSignInBodies(t *testing.T) {
	w := newWorld(t)
	w.user(email, 1)
	c := w.browser()
	w.opened(c.Form(t, "POST", sessions, url.Values{"email": {email}, "password": {password}}), 201)
	w.opened(c.Send(t, "POST", sessions, "", `{"email":"`+email+`","password":"`+password+`"}`), 201)
	w.opened(c.Send(t, "POST", sessions, "multipart/form-data; boundary=b", strings.ReplaceAll(
		"--b\nContent-Disposition: form-data; name=\"email\"\n\n"+email+
			"\n--b\nContent-Disposition: form-data; name=\"password\"\n\n"+password+"\n--b--\n", "\n", "\r\n")), 201)
	w.opened(c.JSON(t, "POST", sessions+"?email="+url.QueryEscape(email), body{"password": password}), 201)
	w.opened(c.JSON(t, "POST", sessions, with(credentials(), "otp_code", 123456, "unknown", true)), 201)
	c.Send(t, "POST", sessions, "application/json", `{"email":`).WantTokens(t, 400, "server.invalid_json") // W-I25
	c.Send(t, "POST", sessions, "text/plain", "x").Want(t, 415, `{"error":"The provided content-type 'text/plain' is not supported."}`)
}

func TestSignInOverPlainHTTP(t *testing.T) {
	w := newWorld(t)
	w.user(email, 1)
	w.api.InsecureCookie, w.api.SessionName = true, "sid"
	set := w.browser().JSON(t, "POST", sessions, credentials()).Header.Values("Set-Cookie")
	if len(set) != 2 || !strings.HasPrefix(set[0], "sid=") || strings.Contains(strings.Join(set, ""), "Secure") {
		t.Errorf("got %q, want the cookie sid and the device's, both without Secure", set)
	}
}

// 14.2 #6, #7 under D2 (400, not 422), and the values of parameters.
func TestSignInParameters(t *testing.T) {
	w := newWorld(t)
	u := w.user(email, 1)
	c := w.browser()
	for name, test := range map[string]struct {
		body   body
		query  string
		status int
		tokens []string
	}{
		"nothing (14.2 #6, D2)":     {body{}, "", 400, []string{"identity.session.missing_email", "identity.session.missing_password"}},
		"no password (14.2 #7, D2)": {body{"email": email}, "", 400, []string{"identity.session.missing_password"}},
		"no email":                  {body{"password": "x"}, "", 400, []string{"identity.session.missing_email"}},
		"captcha array":             {body{"email": "a", "password": "x", "captcha_response": []int{1}}, "", 422, []string{"identity.session.invalid_captcha_format"}},
		"captcha array and no password": {body{"email": "a", "captcha_response": []int{1}}, "", 422,
			[]string{"identity.session.missing_password", "identity.session.invalid_captcha_format"}},
		"otp_code object": {body{"email": "a", "password": "x", "otp_code": body{}}, "", 422, []string{"invalid"}},
		"a password in the query is not read (D19)": {body{"email": email}, "?password=" + password, 400,
			[]string{"identity.session.missing_password"}},
		"blank ones are simply unknown":   {body{"email": "", "password": " "}, "", 401, []string{"identity.session.invalid_params"}},
		"and so is what is no text":       {body{"email": body{"a": 1}, "password": []int{1}}, "", 401, []string{"identity.session.invalid_params"}},
		"text with a NUL is unknown, too": {body{"email": "a\x00b", "password": "x"}, "", 401, []string{"identity.session.invalid_params"}},
	} {
		t.Run(name, func(t *testing.T) {
			a := c.JSON(t, "POST", sessions+test.query, test.body)
			a.WantTokens(t, test.status, test.tokens...)
			closed(t, a)
		})
	}
	diff(t, w.activities(u.UID), []string(nil))
}

// 9.6, D3, W-I1: the state is shown after the right password only.
func TestSignInRefusals(t *testing.T) {
	const failed = "session login failed "
	for name, c := range map[string]struct {
		state, password string
		token, activity string
	}{
		"wrong password (14.2 #8)":        {"active", "x", "invalid_params", failed + `{"reason":"Invalid Email or Password"}`},
		"banned (14.2 #9)":                {"banned", password, "banned", failed + `{"reason":"Your account is banned"}`},
		"deleted":                         {"deleted", password, "deleted", failed + `{"reason":"Your account is deleted"}`},
		"not-active (14.2 #10)":           {"not-active", password, "not_active", failed + `{"reason":"Your account is not active"}`},
		"locked":                          {"locked", password, "not_active", failed + `{"reason":"Your account is not active"}`},
		"banned, wrong password (W-I1)":   {"banned", "x", "invalid_params", failed + `{"reason":"Invalid Email or Password"}`},
		"deleted, wrong password (W-I1)":  {"deleted", "x", "invalid_params", failed + `{"reason":"Invalid Email or Password"}`},
		"not-active, wrong password (D3)": {"not-active", "x", "invalid_params", failed + `{"reason":"Invalid Email or Password"}`},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			u := w.user(email, 1)
			w.state(u.UID, c.state)
			w.news()
			a := w.browser().JSON(t, "POST", sessions, body{"email": email, "password": c.password})
			a.WantTokens(t, 401, "identity.session."+c.token)
			closed(t, a)
			diff(t, w.activities(u.UID), []string{c.activity})
			diff(t, names(w.news()), []string{})
		})
	}
	w := newWorld(t)
	unknown := w.browser().JSON(t, "POST", sessions, credentials())
	unknown.WantTokens(t, 401, "identity.session.invalid_params") // the answer of a wrong password
}

// 9.6 steps 9 to 12, D2.
func TestSignInWithASecondFactor(t *testing.T) {
	w := newWorld(t)
	made := w.user(email, 1)
	code := w.secondFactor(made)
	before := len(w.activities(made.UID))
	c := w.browser()
	signIn := func(code any) resttest.Answer {
		return c.JSON(t, "POST", sessions, with(credentials(), "otp_code", code))
	}
	signIn(nil).WantTokens(t, 401, "identity.session.missing_otp")
	signIn(" ").WantTokens(t, 401, "identity.session.missing_otp")
	signIn("000000x").WantTokens(t, 403, "identity.session.invalid_otp")
	diff(t, names(w.news()), []string{})
	good := code()
	u, _ := w.opened(signIn(good), 201)
	diff(t, u["otp"], any(true))
	diff(t, names(w.news()), []string{"system.session.create"})
	again := signIn(good)
	again.WantTokens(t, 422, "totp.error")
	closed(t, again)
	const failed = "session login::2fa failed "
	diff(t, w.activities(made.UID)[before:][:4], []string{
		failed + `{"reason":"OTP code is missing"}`, failed + `{"reason":"OTP code is missing"}`,
		failed + `{"reason":"OTP code is invalid"}`, "session login::2fa succeed",
	})
}

// W-I2, W-I3: 429 with Retry-After in place of the sixth guess, for the account whether or
// not there is one, and whatever the guess.
func TestSignInIsLimited(t *testing.T) {
	for name, c := range map[string]struct {
		there bool
		body  func(w *world) body
	}{
		"an account's password":    {true, func(*world) body { return body{"email": email, "password": "x"} }},
		"nobody's password":        {false, func(*world) body { return body{"email": email, "password": "x"} }},
		"the second factor (W-I3)": {true, func(*world) body { return with(credentials(), "otp_code", "000000x") }},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			if c.there {
				w.secondFactor(w.user(email, 1))
			}
			b := w.browser()
			guess := c.body(w)
			for n := range 5 {
				if a := b.JSON(t, "POST", sessions, guess); a.Status != 401 && a.Status != 403 {
					t.Fatalf("guess %d: got %d %s", n+1, a.Status, a.Body)
				}
			}
			a := b.JSON(t, "POST", sessions, guess)
			a.WantTokens(t, 429, "identity.session.too_many_requests")
			diff(t, a.Header.Get("Retry-After"), "180")
			b.JSON(t, "POST", sessions, credentials()).WantTokens(t, 429, "identity.session.too_many_requests")
			w.now = w.now.Add(3 * time.Minute)
			if a := b.JSON(t, "POST", sessions, guess); a.Status == 429 {
				t.Errorf("three minutes later: got %d %s, want another guess", a.Status, a.Body)
			}
		})
	}
	w := newWorld(t)
	w.user(email, 1)
	b := w.browser()
	for n := range 50 {
		b.JSON(t, "POST", sessions, body{"email": fmt.Sprintf("nobody%d@barong.io", n), "password": "x"})
	}
	b.JSON(t, "POST", sessions, credentials()).WantTokens(t, 429, "identity.session.too_many_requests")
	w.ip = netip.MustParseAddr("10.0.0.2")
	w.opened(b.JSON(t, "POST", sessions, credentials()), 201)
}

// D20: an outage is never a verdict; a bug is nobody's business.
func TestSignInFailures(t *testing.T) {
	for name, c := range map[string]struct {
		err    error
		status int
		token  string
	}{
		"the store is away":             {errOutage, 503, "server.internal_error"},
		"a bug":                         {errBug, 500, "server.internal_error"},
		"the deadline has passed":       {context.DeadlineExceeded, 503, "server.internal_error"},
		"a secret does not open":        {account.ErrSeal, 422, "totp.error"},
		"a refusal, wrapped many times": {fmt.Errorf("a: %w", fmt.Errorf("b: %w", account.ErrBanned)), 401, "identity.session.banned"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.fail.signIn = c.err
			a := w.browser().JSON(t, "POST", sessions, credentials())
			a.WantTokens(t, c.status, c.token)
			closed(t, a)
		})
	}
	w := newWorld(t) // D19: neither the line of a failure nor that of the access holds a query
	w.fail.signIn, w.secrets = errBug, append(w.secrets, "hidden", strings.Repeat("7", 32))
	w.browser().With("Cookie", "_barong_session="+strings.Repeat("7", 32)).
		JSON(t, "POST", sessions+"?password=hidden1", body{"email": "e", "password": "hidden2", "otp_code": "hidden3"})
	if !strings.Contains(w.log.String(), errBug.Error()) {
		t.Error("a bug is not in the log")
	}
	w = newWorld(t)
	w.user(email, 1)
	w.fail.open = errOutage
	a := w.browser().JSON(t, "POST", sessions, credentials())
	a.WantTokens(t, 503, "server.internal_error")
	closed(t, a)
}

// 14.2 #13; 9.7, D1: 204; FX-29.
func TestSignOut(t *testing.T) {
	cookie := func(value string) string { return "_barong_session=" + value }
	for name, test := range map[string]struct {
		change func(w *world, uid string)
		cookie func(string) string
		status int
		token  string
	}{
		"a session":                   {nil, cookie, 204, ""},
		"of a banned user":            {func(w *world, uid string) { w.state(uid, "banned") }, cookie, 204, ""},
		"the activity cannot be kept": {func(w *world, _ string) { w.fail.record = errOutage }, cookie, 204, ""},
		"no cookie (14.2 #13)":        {nil, nil, 404, "identity.session.not_found"},
		"an unknown cookie":           {nil, func(string) string { return cookie(strings.Repeat("0", 32)) }, 404, "identity.session.not_found"},
		"with a stale twin (D8b)":     {nil, func(v string) string { return cookie("x") + "; " + cookie(v) }, 204, ""},
		"with four stale twins": {nil, func(v string) string {
			return strings.Join([]string{cookie("1"), cookie("2"), cookie("3"), cookie("4"), cookie(v)}, "; ")
		}, 404, "identity.session.not_found"},
		"an unknown user": {func(w *world, _ string) { w.fail.load = account.ErrNotFound }, cookie, 404, "identity.session.not_found"},
		"an older generation (D11)": {func(w *world, uid string) {
			_, err := w.db.EndSessions(w.t.Context(), uid)
			w.must(err)
		}, cookie, 204, ""},
		"one that ran out (D30)": {func(w *world, _ string) { w.now = w.now.Add(time.Hour) }, cookie, 204, ""},
		"one that ran out nearly a day ago": {func(w *world, _ string) {
			w.now = w.now.Add(30*time.Minute + session.Afterlife - time.Second)
		}, cookie, 204, ""},
		"one that ran out a day ago": {func(w *world, _ string) {
			w.now = w.now.Add(30*time.Minute + session.Afterlife)
		}, cookie, 404, "identity.session.not_found"},
		"the store is away":           {func(w *world, _ string) { w.fail.lookup = errOutage }, cookie, 503, "server.internal_error"},
		"the database is away":        {func(w *world, _ string) { w.fail.load = errOutage }, cookie, 503, "server.internal_error"},
		"the end cannot be confirmed": {func(w *world, _ string) { w.fail.end = errOutage }, cookie, 503, "server.internal_error"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			u := w.user(email, 1)
			c := w.browser()
			_, value := w.opened(c.JSON(t, "POST", sessions, credentials()), 201)
			w.news()
			if test.change != nil {
				test.change(w, u.UID)
			}
			if test.cookie != nil {
				c = c.With("Cookie", test.cookie(value))
			}
			a := c.JSON(t, "DELETE", sessions, nil)
			diff(t, len(w.news()), 0)
			done := []string{"session login succeed"}
			if test.status != 503 { // D30: whatever the browser came with is of no use any more
				diff(t, a.Header.Values("Set-Cookie")[:1], []string{
					"_barong_session=; path=/; expires=Thu, 01 Jan 1970 00:00:00 GMT; Max-Age=0; HttpOnly; SameSite=Lax; Secure"})
			}
			if test.status == 204 {
				a.Want(t, 204, "")
				over := w.reload(u.UID).SessionGeneration != u.SessionGeneration
				if !over && !w.ended(value) {
					t.Error("the session stands")
				}
				if w.fail.record == nil && !over { // nobody signs out of a session that others ended
					done = append(done, "session logout succeed")
				}
			} else {
				a.WantTokens(t, test.status, test.token)
			}
			diff(t, w.activities(u.UID), done)
		})
	}
}

// FX-13, W-I8: a page of another site can make a browser sign nobody in, up or out.
func TestCrossSiteRequests(t *testing.T) {
	w := newWorld(t)
	w.user(email, 1)
	w.api.Auth0 = &w.auth0
	c := w.browser()
	_, cookie := w.opened(c.JSON(t, "POST", sessions, credentials()), 201)
	with := c.With("Cookie", "_barong_session="+cookie)
	for _, evil := range []*resttest.Client{
		with.With("Origin", "https://evil.example").With("Sec-Fetch-Site", "cross-site"),
		with.With("Origin", "https://evil.example"),
		with.With("Origin", "null"),
		with.With("Sec-Fetch-Site", "cross-site"),
	} {
		for _, path := range []string{"sessions", "sessions/auth0", "users", "users/email/confirm_code"} {
			evil.JSON(t, "POST", "/api/v2/identity/"+path, credentials()).WantTokens(t, 403, "identity.cross_site_request")
		}
		evil.JSON(t, "DELETE", sessions, nil).WantTokens(t, 403, "identity.cross_site_request")
		evil.Get(t, "/api/v2/identity/ping").Want(t, 200, `{"ping":"pong"}`)
	}
	if w.ended(cookie) {
		t.Error("the session ended")
	}
	with.With("Origin", "https://app.example").With("Sec-Fetch-Site", "cross-site").
		JSON(t, "DELETE", sessions, nil).Want(t, 204, "")
	// Browsers keep our cookie from such requests; signing somebody in to another's account is
	// the attack.
	for _, path := range []string{"sessions", "sessions/auth0", "users", "users/email/confirm_code"} {
		w.browser().With("Origin", "https://evil.example").
			Form(t, "POST", "/api/v2/identity/"+path, url.Values{"email": {email}, "password": {password}}).
			WantTokens(t, 403, "identity.cross_site_request")
	}
	w.opened(w.browser().With("Origin", "https://app.example").JSON(t, "POST", sessions, credentials()), 201)
	w.opened(w.browser().JSON(t, "POST", sessions, credentials()), 201) // a program
}

// D28: clients that compare with 200, as the reference sends, get it by a setting.
func TestSuccessStatusOfTheReference(t *testing.T) {
	w := newWorld(t)
	w.user(email, 1)
	w.server() // wires the services
	s, err := rest.New(rest.Config{Log: w.api.Log, ReferenceStatus: true})
	w.must(err)
	w.api.Mount(s)
	c := resttest.New(t, s).With("User-Agent", agent)
	_, cookie := w.opened(c.JSON(t, "POST", sessions, credentials()), 200)
	c.With("Cookie", "_barong_session="+cookie).JSON(t, "DELETE", sessions, nil).Want(t, 200, `200`)
	c.JSON(t, "POST", access, body{"whitelink_token": w.whitelink()}).Want(t, 201, `201`)
	c.JSON(t, "POST", sessions, body{"email": email, "password": "x"}).WantTokens(t, 401, "identity.session.invalid_params")
}
