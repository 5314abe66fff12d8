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

	"barong/internal/account"
	"barong/internal/account/worldtest"
	"barong/internal/apitest"
	"barong/internal/audit"
	"barong/internal/expect"
	"barong/internal/rest/resttest"
	"barong/internal/session"
	"barong/internal/signin"
)

const sessions = "/api/v2/identity/sessions"

func credentials() body { return body{"email": email, "password": password} }

// secondFactor switches one-time codes on, whose events are taken.
func (w *world) secondFactor(u account.User) (code func() string) {
	w.T.Helper()
	code = w.SecondFactor(u.UID)
	w.News()
	return code
}

// 201 (D1), the whole account, the CSRF token, the cookies (D8).
func TestSignIn(t *testing.T) {
	w := newWorld(t)
	made := w.user(email, 0) // pending
	u, cookie := w.opened(w.Browser().JSON(t, "POST", sessions, body{"email": " Trader@Barong.IO ", "password": password}), 201)
	expect.Equal(t, []any{u["email"], u["uid"], u["role"], u["level"], u["otp"], u["state"]},
		[]any{email, made.UID, "member", 0.0, false, "pending"})
	expect.Equal(t, []any{u["referral_uid"], u["data"], u["username"], u["profile"]}, []any{nil, nil, nil, nil})
	// No captcha is asked for here; the masks of profiles are package view's.
	expect.Equal(t, []any{u["labels"], u["phones"], u["profiles"], u["data_storages"]}, []any{[]any{}, []any{}, []any{}, []any{}})
	expect.Equal(t, []any{u["created_at"], u["updated_at"]}, []any{"2026-11-21T08:00:00Z", "2026-11-21T08:00:00Z"})

	// With the address and the program that asked.
	news := w.News()
	expect.Equal(t, names(news), []string{"system.session.create"})
	expect.Equal(t, []string{member(t, news[0], "user_ip"), member(t, news[0], "user_agent")}, []string{"10.0.0.1", agent})
	expect.Equal(t, w.Deeds(made.UID), []string{"session login succeed"})
	rows, _, err := w.DB.Activities(t.Context(), audit.Query{ActorUID: made.UID, Limit: 1})
	expect.OK(w.T, err)
	expect.Equal(t, []string{rows[0].Category, rows[0].IP, rows[0].IPCountry, rows[0].UserAgent},
		[]string{"user", "10.0.0.1", "Malta", agent})
	e, err := w.Sessions.Lookup(t.Context(), cookie, w.Now)
	expect.OK(w.T, err)
	if e.UID != made.UID || e.UserAgent != agent || e.IP != w.IP || !e.Expires().Equal(w.Now.Add(30*time.Minute)) {
		t.Errorf("the session is %+v", e)
	}
}

// A program without a name is shown as such, and so is one that is no browser (W-I20).
func TestSignInWithoutUserAgent(t *testing.T) {
	w := newWorld(t)
	u := w.user(email, 1)
	w.opened(w.Browser().With("User-Agent", "").JSON(t, "POST", sessions, credentials()), 201)
	rows, _, err := w.DB.Activities(t.Context(), audit.Query{ActorUID: u.UID, Limit: 1})
	expect.OK(w.T, err)
	expect.Equal(t, []string{rows[0].UserAgent, rows[0].Data}, []string{"unknown", `{"note":"Detected suspicious browser"}`})
}

// The labels are those of both scopes, in row order, with a second device announced (W-I6).
func TestSignInShowsLabelsAndTellsOfNewDevices(t *testing.T) {
	w := newWorld(t)
	made := w.user(email, 1)
	_, err := w.Accounts.SetLabel(t.Context(), worldtest.Peer, account.LabelInput{UserUID: made.UID, Key: "vip", Value: "gold", Scope: account.ScopePublic})
	expect.OK(w.T, err)
	c := w.Browser()
	first := c.JSON(t, "POST", sessions, credentials())
	u, _ := w.opened(first, 201)
	label := func(key, value, scope string) any {
		const at = "2026-11-21T08:00:00Z"
		return body{"key": key, "value": value, "scope": scope, "created_at": at, "updated_at": at}
	}
	expect.Equal(t, u["labels"], any([]any{label("email", "verified", "private"), label("vip", "gold", "public")}))
	expect.Equal(t, []any{u["state"], u["level"]}, []any{"active", 1.0})
	_, device := cookies(t, first)
	w.News()

	known := c.With("Cookie", "_barong_device="+device).JSON(t, "POST", sessions, credentials())
	w.opened(known, 201)
	expect.Equal(t, names(w.News()), []string{"system.session.create"})
	w.opened(c.JSON(t, "POST", sessions, credentials()), 201)
	expect.Equal(t, names(w.News()), []string{"system.session.create", "system.session.new_device"})
}

// Each sign-in opens a session under a new id and ends the one that the browser came with (FX-14, W-I6).
func TestSignInReplacesTheSession(t *testing.T) {
	w := newWorld(t)
	w.user(email, 1)
	c := w.Browser()
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

// Of several cookies every session that there is ends, and the answer takes the others away, which a
// browser would otherwise send beside the new one for ever (D8b).
func TestSignInGetsRidOfStaleTwins(t *testing.T) {
	w := newWorld(t)
	w.user(email, 1)
	c := w.Browser()
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
	w.Secret(three)
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
	w.T.Helper()
	e, err := w.Sessions.Lookup(w.T.Context(), cookie, w.Now)
	if errors.Is(err, session.ErrNotFound) {
		return true
	}
	expect.OK(w.T, err)
	return e.Generation != w.User(e.UID).SessionGeneration || !w.Now.Before(e.Expires())
}

// Form, multipart and text without a type are bodies, too; JSON numbers are texts.
func TestSignInBodies(t *testing.T) {
	w := newWorld(t)
	w.user(email, 1)
	c := w.Browser()
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
	w.Identity.Cookies = session.Cookies{Name: "sid", Insecure: true}
	set := w.Browser().JSON(t, "POST", sessions, credentials()).Header.Values("Set-Cookie")
	if len(set) != 2 || !strings.HasPrefix(set[0], "sid=") || strings.Contains(strings.Join(set, ""), "Secure") {
		t.Errorf("got %q, want the cookie sid and the device's, both without Secure", set)
	}
}

// Missing parameters are 400 (D2), bad values 422.
func TestSignInParameters(t *testing.T) {
	w := newWorld(t)
	u := w.user(email, 1)
	c := w.Browser()
	for name, test := range map[string]struct {
		body   body
		query  string
		status int
		tokens []string
	}{
		"nothing (D2)":     {body{}, "", 400, []string{"identity.session.missing_email", "identity.session.missing_password"}},
		"no password (D2)": {body{"email": email}, "", 400, []string{"identity.session.missing_password"}},
		"no email":         {body{"password": "x"}, "", 400, []string{"identity.session.missing_email"}},
		"captcha array":    {body{"email": "a", "password": "x", "captcha_response": []int{1}}, "", 422, []string{"identity.session.invalid_captcha_format"}},
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
	expect.Equal(t, w.Deeds(u.UID), []string(nil))
}

// The state is shown after the right password only (D3, W-I1).
func TestSignInRefusals(t *testing.T) {
	const failed = "session login failed "
	for name, c := range map[string]struct {
		state, password string
		token, activity string
	}{
		"wrong password":                  {"active", "x", "invalid_params", failed + `{"reason":"Invalid Email or Password"}`},
		"banned":                          {"banned", password, "banned", failed + `{"reason":"Your account is banned"}`},
		"deleted":                         {"deleted", password, "deleted", failed + `{"reason":"Your account is deleted"}`},
		"not-active":                      {"not-active", password, "not_active", failed + `{"reason":"Your account is not active"}`},
		"locked":                          {"locked", password, "not_active", failed + `{"reason":"Your account is not active"}`},
		"banned, wrong password (W-I1)":   {"banned", "x", "invalid_params", failed + `{"reason":"Invalid Email or Password"}`},
		"deleted, wrong password (W-I1)":  {"deleted", "x", "invalid_params", failed + `{"reason":"Invalid Email or Password"}`},
		"not-active, wrong password (D3)": {"not-active", "x", "invalid_params", failed + `{"reason":"Invalid Email or Password"}`},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			u := w.user(email, 1)
			w.state(u.UID, c.state)
			w.News()
			a := w.Browser().JSON(t, "POST", sessions, body{"email": email, "password": c.password})
			a.WantTokens(t, 401, "identity.session."+c.token)
			closed(t, a)
			expect.Equal(t, w.Deeds(u.UID), []string{c.activity})
			expect.Equal(t, names(w.News()), []string{})
		})
	}
	w := newWorld(t)
	unknown := w.Browser().JSON(t, "POST", sessions, credentials())
	unknown.WantTokens(t, 401, "identity.session.invalid_params") // the answer of a wrong password
}

// The second factor at sign-in (D2).
func TestSignInWithASecondFactor(t *testing.T) {
	w := newWorld(t)
	made := w.user(email, 1)
	code := w.secondFactor(made)
	before := len(w.Deeds(made.UID))
	c := w.Browser()
	signIn := func(code any) resttest.Answer {
		return c.JSON(t, "POST", sessions, with(credentials(), "otp_code", code))
	}
	signIn(nil).WantTokens(t, 401, "identity.session.missing_otp")
	signIn(" ").WantTokens(t, 401, "identity.session.missing_otp")
	signIn("000000x").WantTokens(t, 403, "identity.session.invalid_otp")
	expect.Equal(t, names(w.News()), []string{})
	good := code()
	u, _ := w.opened(signIn(good), 201)
	expect.Equal(t, u["otp"], any(true))
	expect.Equal(t, names(w.News()), []string{"system.session.create"})
	again := signIn(good)
	again.WantTokens(t, 422, "totp.error")
	closed(t, again)
	const failed = "session login::2fa failed "
	expect.Equal(t, w.Deeds(made.UID)[before:][:4], []string{
		failed + `{"reason":"OTP code is missing"}`, failed + `{"reason":"OTP code is missing"}`,
		failed + `{"reason":"OTP code is invalid"}`, "session login::2fa succeed",
	})
}

// A recovery code stands for a code of the app, once, and its owner is mailed.
func TestSignInByRecoveryCode(t *testing.T) {
	w := newWorld(t)
	made := w.user(email, 1)
	code := w.secondFactor(made)
	codes := expect.Must(w.Accounts.NewRecoveryCodes(t.Context(), account.Actor{UID: made.UID}, code()))(t)
	w.Secret(codes...)
	w.News()
	c := w.Browser()
	w.opened(c.JSON(t, "POST", sessions, with(credentials(), "otp_code", strings.ToUpper(codes[0]))), 201)
	expect.Equal(t, names(w.News()), []string{"system.user.recovery_code.used", "system.session.create"})
	c.JSON(t, "POST", sessions, with(credentials(), "otp_code", codes[0])).WantTokens(t, 403, "identity.session.invalid_otp")
	w.opened(c.JSON(t, "POST", sessions, with(credentials(), "otp_code", codes[1])), 201)
}

// The sixth guess is answered 429 with Retry-After, right or wrong, whether or not there is such an
// account (W-I2, W-I3).
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
			b := w.Browser()
			guess := c.body(w)
			for n := range 5 {
				if a := b.JSON(t, "POST", sessions, guess); a.Status != 401 && a.Status != 403 {
					t.Fatalf("guess %d: got %d %s", n+1, a.Status, a.Body)
				}
			}
			a := b.JSON(t, "POST", sessions, guess)
			a.WantTokens(t, 429, "identity.session.too_many_requests")
			expect.Equal(t, a.Header.Get("Retry-After"), "180")
			b.JSON(t, "POST", sessions, credentials()).WantTokens(t, 429, "identity.session.too_many_requests")
			w.Now = w.Now.Add(3 * time.Minute)
			if a := b.JSON(t, "POST", sessions, guess); a.Status == 429 {
				t.Errorf("three minutes later: got %d %s, want another guess", a.Status, a.Body)
			}
		})
	}
	w := newWorld(t)
	w.user(email, 1)
	b := w.Browser()
	for n := range 50 {
		b.JSON(t, "POST", sessions, body{"email": fmt.Sprintf("nobody%d@barong.io", n), "password": "x"})
	}
	b.JSON(t, "POST", sessions, credentials()).WantTokens(t, 429, "identity.session.too_many_requests")
	w.IP = netip.MustParseAddr("10.0.0.2")
	w.opened(b.JSON(t, "POST", sessions, credentials()), 201)
}

// An outage is never a verdict; a bug is nobody's business (D20).
func TestSignInFailures(t *testing.T) {
	for name, c := range map[string]struct {
		err    error
		status int
		token  string
	}{
		"the store is away":             {apitest.ErrOutage, 503, "server.internal_error"},
		"a bug":                         {apitest.ErrBug, 500, "server.internal_error"},
		"the deadline has passed":       {context.DeadlineExceeded, 503, "server.internal_error"},
		"a secret does not open":        {account.ErrSeal, 422, "totp.error"},
		"a refusal, wrapped many times": {fmt.Errorf("a: %w", fmt.Errorf("b: %w", signin.ErrBanned)), 401, "identity.session.banned"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.Faults.Fail(c.err, "UserByEmail")
			a := w.Browser().JSON(t, "POST", sessions, credentials())
			a.WantTokens(t, c.status, c.token)
			closed(t, a)
		})
	}
	w := newWorld(t) // D19: neither the line of a failure nor that of the access holds a query
	w.Faults.Fail(apitest.ErrBug, "UserByEmail")
	w.Secret("hidden1", "hidden2", "hidden3", strings.Repeat("7", 32))
	w.Browser().With("Cookie", "_barong_session="+strings.Repeat("7", 32)).
		JSON(t, "POST", sessions+"?password=hidden1", body{"email": "e", "password": "hidden2", "otp_code": "hidden3"})
	if !strings.Contains(w.Log.String(), apitest.ErrBug.Error()) {
		t.Error("a bug is not in the log")
	}
	w = newWorld(t)
	w.user(email, 1)
	w.Faults.Fail(apitest.ErrOutage, "AddSession")
	a := w.Browser().JSON(t, "POST", sessions, credentials())
	a.WantTokens(t, 503, "server.internal_error")
	closed(t, a)
}

// Sign-out is 204 (D1), and fails loudly without the store (FX-29).
func TestSignOut(t *testing.T) {
	cookie := func(value string) string { return "_barong_session=" + value }
	const unkept = "the activity cannot be kept"
	for name, test := range map[string]struct {
		change func(w *world, uid string)
		cookie func(string) string
		status int
		token  string
	}{
		"a session":               {nil, cookie, 204, ""},
		"of a banned user":        {func(w *world, uid string) { w.state(uid, "banned") }, cookie, 204, ""},
		unkept:                    {func(w *world, _ string) { w.Faults.Fail(apitest.ErrOutage, "Update") }, cookie, 204, ""},
		"no cookie":               {nil, nil, 404, "identity.session.not_found"},
		"an unknown cookie":       {nil, func(string) string { return cookie(strings.Repeat("0", 32)) }, 404, "identity.session.not_found"},
		"with a stale twin (D8b)": {nil, func(v string) string { return cookie("x") + "; " + cookie(v) }, 204, ""},
		"with four stale twins": {nil, func(v string) string {
			return strings.Join([]string{cookie("1"), cookie("2"), cookie("3"), cookie("4"), cookie(v)}, "; ")
		}, 404, "identity.session.not_found"},
		"an unknown user": {func(w *world, _ string) { w.Faults.Fail(account.ErrNotFound, "User") }, cookie, 404, "identity.session.not_found"},
		"an older generation (D11)": {func(w *world, uid string) {
			_, err := w.DB.EndSessions(w.T.Context(), uid)
			expect.OK(w.T, err)
		}, cookie, 204, ""},
		"one that ran out (D30)": {func(w *world, _ string) { w.Now = w.Now.Add(time.Hour) }, cookie, 204, ""},
		"one that ran out nearly a day ago": {func(w *world, _ string) {
			w.Now = w.Now.Add(30*time.Minute + session.Afterlife - time.Second)
		}, cookie, 204, ""},
		"one that ran out a day ago": {func(w *world, _ string) {
			w.Now = w.Now.Add(30*time.Minute + session.Afterlife)
		}, cookie, 404, "identity.session.not_found"},
		"the store is away":           {func(w *world, _ string) { w.Faults.Fail(apitest.ErrOutage, "Session") }, cookie, 503, "server.internal_error"},
		"the database is away":        {func(w *world, _ string) { w.Faults.Fail(apitest.ErrOutage, "User") }, cookie, 503, "server.internal_error"},
		"the end cannot be confirmed": {func(w *world, _ string) { w.Faults.Fail(apitest.ErrOutage, "EndSession") }, cookie, 503, "server.internal_error"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			u := w.user(email, 1)
			c := w.Browser()
			_, value := w.opened(c.JSON(t, "POST", sessions, credentials()), 201)
			w.News()
			if test.change != nil {
				test.change(w, u.UID)
			}
			w.Restart() // so that the session is looked up below
			c = w.Browser()
			if test.cookie != nil {
				c = c.With("Cookie", test.cookie(value))
			}
			a := c.JSON(t, "DELETE", sessions, nil)
			expect.Equal(t, len(w.News()), 0)
			done := []string{"session login succeed"}
			if test.status != 503 { // D30: whatever the browser came with is of no use any more
				expect.Equal(t, a.Header.Values("Set-Cookie")[:1], []string{
					"_barong_session=; path=/; expires=Thu, 01 Jan 1970 00:00:00 GMT; Max-Age=0; HttpOnly; SameSite=Lax; Secure"})
			}
			if test.status == 204 {
				a.Want(t, 204, "")
				over := w.User(u.UID).SessionGeneration != u.SessionGeneration
				if !over && !w.ended(value) {
					t.Error("the session stands")
				}
				if name != unkept && !over { // nobody signs out of a session that others ended
					done = append(done, "session logout succeed")
				}
			} else {
				a.WantTokens(t, test.status, test.token)
			}
			expect.Equal(t, w.Deeds(u.UID), done)
		})
	}
}

// A page of another site can make a browser sign nobody in, up or out (FX-13, W-I8).
func TestCrossSiteRequests(t *testing.T) {
	w := newWorld(t)
	w.user(email, 1)
	w.Identity.Auth0 = &w.auth0
	c := w.Browser()
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
		w.Browser().With("Origin", "https://evil.example").
			Form(t, "POST", "/api/v2/identity/"+path, url.Values{"email": {email}, "password": {password}}).
			WantTokens(t, 403, "identity.cross_site_request")
	}
	w.opened(w.Browser().With("Origin", "https://app.example").JSON(t, "POST", sessions, credentials()), 201)
	w.opened(w.Browser().JSON(t, "POST", sessions, credentials()), 201) // a program
}

// Clients that compare with 200, as the reference sends, get it by a setting (D28).
func TestSuccessStatusOfTheReference(t *testing.T) {
	w := newWorld(t)
	w.user(email, 1)
	w.REST.ReferenceStatus = true
	c := w.Browser().Recording(new(resttest.Coverage))
	_, cookie := w.opened(c.JSON(t, "POST", sessions, credentials()), 200)
	c.With("Cookie", "_barong_session="+cookie).JSON(t, "DELETE", sessions, nil).Want(t, 200, `200`)
	c.JSON(t, "POST", access, body{"whitelink_token": w.whitelink()}).Want(t, 201, `201`)
	c.JSON(t, "POST", sessions, body{"email": email, "password": "x"}).WantTokens(t, 401, "identity.session.invalid_params")
}
