package identity_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"barong/identity"
	"barong/internal/account"
	"barong/internal/rest"
	"barong/internal/rest/resttest"
	"barong/internal/session"
)

const (
	sessions    = "/api/v2/identity/sessions"
	cookieValue = "00000000000000000000000000000001"
	newCookie   = "00000000000000000000000000000002"
)

var (
	now       = time.Date(2026, 11, 21, 8, 0, 0, 0, time.UTC)
	errOutage = errors.New("session store is away")
)

// world is everything that the endpoints ask.
type world struct {
	user      account.User
	userErr   error
	signInErr error
	signIns   []account.SignIn
	openings  []session.Opening
	openErr   error
	session   session.Session
	lookupErr error
	endErr    error
	ended     []session.ID
	signedOut []account.Actor
	recordErr error
	config    identity.Config
	log       io.Writer
}

func newWorld() *world {
	return &world{
		user: account.User{
			UID: "ID0000000001", Email: "a@b.io", Role: "member", State: "active", SessionGeneration: 3,
			CreatedAt: now, UpdatedAt: now,
		},
		session: session.Session{
			ID: session.ID{1}, UID: "ID0000000001", Generation: 3, CreatedAt: now, ExpiresAt: now.Add(time.Hour),
		},
		config: identity.Config{
			Origins: []string{"https://app.example"},
			Build: identity.Build{Tag: "3.0.0", SHA: "abc",
				BuiltAt: time.Date(2020, 12, 8, 15, 9, 53, 0, time.FixedZone("", 2*3600))},
		},
		log: io.Discard,
	}
}

func (w *world) SignIn(_ context.Context, in account.SignIn) (account.User, error) {
	w.signIns = append(w.signIns, in)
	return w.user, w.signInErr
}

func (w *world) SignedOut(_ context.Context, by account.Actor) error {
	w.signedOut = append(w.signedOut, by)
	return w.recordErr
}

func (w *world) User(context.Context, string) (account.User, error) { return w.user, w.userErr }

func (w *world) Labels(context.Context, string) ([]account.Label, error) {
	return []account.Label{{Key: "email", Value: "verified", Scope: "private", CreatedAt: now, UpdatedAt: now}}, nil
}

func (w *world) Open(_ context.Context, o session.Opening, _ time.Time) (string, session.Session, error) {
	w.openings = append(w.openings, o)
	return newCookie, session.Session{CSRFToken: "2d7fd0f0a3c4e0a9d3a5"}, w.openErr
}

func (w *world) Lookup(_ context.Context, cookie string, _ time.Time) (*session.Entry, error) {
	if w.lookupErr != nil {
		return nil, w.lookupErr
	}
	if cookie != cookieValue {
		return nil, session.ErrNotFound
	}
	return session.NewEntry(w.session), nil
}

func (w *world) End(_ context.Context, id session.ID) error {
	w.ended = append(w.ended, id)
	return w.endErr
}

func (w *world) JWKS() []byte { return []byte(`{"keys":[]}`) }

func visit(t *testing.T, w *world) *resttest.Client {
	t.Helper()
	log := slog.New(slog.NewJSONHandler(w.log, nil))
	s, err := rest.New(rest.Config{Log: log, Outages: []error{errOutage}})
	if err != nil {
		t.Fatal(err)
	}
	a := &identity.API{
		Config: w.config, Users: w, Accounts: w, Sessions: w, Log: log,
		ClientIP: func(*http.Request) netip.Addr { return netip.MustParseAddr("10.0.0.1") },
		Country:  func(netip.Addr) string { return "Malta" },
		Now:      func() time.Time { return now },
	}
	a.Mount(s)
	identity.MountJWKS(s, w, 5*time.Minute)
	return resttest.New(t, s).With("User-Agent", "Firefox/1")
}

func diff(t testing.TB, got, want any) {
	t.Helper()
	if d := cmp.Diff(want, got, cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); d != "" {
		t.Errorf("want -, got +:\n%s", d)
	}
}

var credentials = map[string]any{"email": "a@b.io", "password": "Tecohvi0"}

const full = `{"email":"a@b.io","uid":"ID0000000001","role":"member","level":0,"otp":false,"state":"active",
	"referral_uid":null,"data":null,"csrf_token":"2d7fd0f0a3c4e0a9d3a5","username":null,
	"labels":[{"key":"email","value":"verified","scope":"private","created_at":"2026-11-21T08:00:00Z","updated_at":"2026-11-21T08:00:00Z"}],
	"phones":[],"profile":null,"profiles":[],"data_storages":[],
	"created_at":"2026-11-21T08:00:00Z","updated_at":"2026-11-21T08:00:00Z"}`

// 9.6, D1: 201, the whole account, the CSRF token and the cookie of D8.
func TestSignIn(t *testing.T) {
	w := newWorld()
	c := visit(t, w)
	for _, prefix := range []string{"/api/v2", "/api/v2/barong", "/api/v2/auth"} {
		a := c.JSON(t, "POST", prefix+"/identity/sessions", credentials)
		a.Want(t, 201, full)
		diff(t, a.Header.Values("Set-Cookie"), []string{"_barong_session=" + newCookie +
			"; path=/; expires=Sun, 22 Nov 2026 08:00:00 GMT; Max-Age=86400; HttpOnly; SameSite=Lax; Secure"})
	}
	c.With("Cookie", "_barong_session="+cookieValue).Form(t, "POST", sessions, url.Values{
		"email": {"a@b.io"}, "password": {"Tecohvi0"}, "otp_code": {"123456"}, "captcha_response[geetest_challenge]": {"x"},
	}).Want(t, 201, full)
	ip := netip.MustParseAddr("10.0.0.1")
	diff(t, w.signIns[3], account.SignIn{Email: "a@b.io", Password: "Tecohvi0", OTPCode: "123456",
		Client: account.Client{IP: ip, UserAgent: "Firefox/1", Country: "Malta"}})
	diff(t, w.openings[0], session.Opening{UID: "ID0000000001", Generation: 3, IP: ip, UserAgent: "Firefox/1"})
	// FX-14, W-I6: the session that the client came with ends.
	diff(t, w.openings[3].Replaces, cookieValue)
}

func TestSignInOverPlainHTTP(t *testing.T) {
	w := newWorld()
	w.config.InsecureCookie, w.config.SessionName = true, "sid"
	set := visit(t, w).JSON(t, "POST", sessions, credentials).Header.Get("Set-Cookie")
	if !strings.HasPrefix(set, "sid="+newCookie+"; ") || strings.Contains(set, "Secure") {
		t.Errorf("got %q, want the cookie sid without Secure", set)
	}
}

// 14.2 #6, #7 as D2 has them, and what the parameters take.
func TestSignInParameters(t *testing.T) {
	for name, test := range map[string]struct {
		body   map[string]any
		query  string
		status int
		tokens []string
	}{
		"nothing":       {map[string]any{}, "", 400, []string{"identity.session.missing_email", "identity.session.missing_password"}},
		"no password":   {map[string]any{"email": "a@b.io"}, "", 400, []string{"identity.session.missing_password"}},
		"no email":      {map[string]any{"password": "x"}, "", 400, []string{"identity.session.missing_email"}},
		"captcha array": {map[string]any{"email": "a", "password": "x", "captcha_response": []int{1}}, "", 422, []string{"identity.session.invalid_captcha_format"}},
		"captcha array and no password": {map[string]any{"email": "a", "captcha_response": []int{1}}, "", 422,
			[]string{"identity.session.missing_password", "identity.session.invalid_captcha_format"}},
		"otp_code object": {map[string]any{"email": "a", "password": "x", "otp_code": map[string]any{}}, "", 422, []string{"invalid"}},
		"a password in the query is not read (D19)": {map[string]any{"email": "a@b.io"}, "?password=Tecohvi0", 400,
			[]string{"identity.session.missing_password"}},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld()
			visit(t, w).JSON(t, "POST", sessions+test.query, test.body).WantTokens(t, test.status, test.tokens...)
			if len(w.signIns) != 0 {
				t.Error("the service was asked")
			}
		})
	}
	for name, body := range map[string]map[string]any{
		"blank ones are simply unknown":   {"email": "", "password": " "},
		"and so is what is no text":       {"email": map[string]any{"a": 1}, "password": []int{1}},
		"text with a NUL is unknown, too": {"email": "a\x00b", "password": "x"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld()
			w.signInErr = account.ErrBadCredentials
			visit(t, w).JSON(t, "POST", sessions, body).WantTokens(t, 401, "identity.session.invalid_params")
		})
	}
	w := newWorld()
	visit(t, w).JSON(t, "POST", sessions, map[string]any{"email": "a@b.io", "password": 12345678}).Want(t, 201, full)
	diff(t, w.signIns[0].Password, "12345678")
}

func TestSignInRefusals(t *testing.T) {
	for name, test := range map[string]struct {
		err    error
		status int
		token  string
	}{
		"unknown e-mail or wrong password (D3, 14.2 #8)": {account.ErrBadCredentials, 401, "identity.session.invalid_params"},
		"banned (14.2 #9)":             {account.ErrBanned, 401, "identity.session.banned"},
		"deleted":                      {account.ErrDeleted, 401, "identity.session.deleted"},
		"not active (14.2 #10)":        {account.ErrNotActive, 401, "identity.session.not_active"},
		"code missing (D2)":            {account.ErrMissingOTP, 401, "identity.session.missing_otp"},
		"code wrong (D2)":              {account.ErrInvalidOTP, 403, "identity.session.invalid_otp"},
		"code used":                    {account.ErrOTPReplay, 422, "totp.error"},
		"secret does not open":         {account.ErrSeal, 422, "totp.error"},
		"too many (W-I2, W-I3)":        {account.TooManyAttempts{RetryAfter: 90 * time.Second}, 429, "identity.session.too_many_requests"},
		"the store is away (D20)":      {errOutage, 503, "server.internal_error"},
		"a bug is nobody's business":   {errors.New("bug"), 500, "server.internal_error"},
		"the deadline has passed":      {context.DeadlineExceeded, 503, "server.internal_error"},
		"the same, wrapped many times": {fmt.Errorf("a: %w", fmt.Errorf("b: %w", account.ErrBanned)), 401, "identity.session.banned"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld()
			w.signInErr = fmt.Errorf("sign in: %w", test.err)
			a := visit(t, w).JSON(t, "POST", sessions, credentials)
			a.WantTokens(t, test.status, test.token)
			if a.Header.Get("Set-Cookie") != "" || len(w.openings) != 0 {
				t.Error("a session was opened")
			}
		})
	}
	w := newWorld()
	w.openErr = errOutage
	a := visit(t, w).JSON(t, "POST", sessions, credentials)
	a.WantTokens(t, 503, "server.internal_error")
	diff(t, a.Header.Get("Set-Cookie"), "")
}

// 9.7, 14.2 #13, FX-29.
func TestSignOut(t *testing.T) {
	for name, test := range map[string]struct {
		cookie string
		change func(*world)
		status int
		token  string
	}{
		"a session":                     {cookieValue, nil, 204, ""},
		"of a banned user":              {cookieValue, func(w *world) { w.user.State = "banned" }, 204, ""},
		"the activity cannot be kept":   {cookieValue, func(w *world) { w.recordErr = errOutage }, 204, ""},
		"no cookie":                     {"", nil, 404, "identity.session.not_found"},
		"an unknown cookie":             {newCookie, nil, 404, "identity.session.not_found"},
		"two different cookies (FX-45)": {cookieValue + "; _barong_session=x", nil, 404, "identity.session.not_found"},
		"an unknown user":               {cookieValue, func(w *world) { w.userErr = account.ErrNotFound }, 404, "identity.session.not_found"},
		"an older generation (D11)":     {cookieValue, func(w *world) { w.user.SessionGeneration = 4 }, 404, "identity.session.not_found"},
		"an expired one":                {cookieValue, func(w *world) { w.session.ExpiresAt = now }, 404, "identity.session.not_found"},
		"the store is away":             {cookieValue, func(w *world) { w.lookupErr = errOutage }, 503, "server.internal_error"},
		"the database is away":          {cookieValue, func(w *world) { w.userErr = errOutage }, 503, "server.internal_error"},
		"the end cannot be confirmed":   {cookieValue, func(w *world) { w.endErr = errOutage }, 503, "server.internal_error"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld()
			if test.change != nil {
				test.change(w)
			}
			c := visit(t, w)
			if test.cookie != "" {
				c = c.With("Cookie", "_barong_session="+test.cookie)
			}
			a := c.JSON(t, "DELETE", sessions, nil)
			if test.status == 204 {
				a.Want(t, 204, "")
				diff(t, a.Header.Get("Set-Cookie"), "_barong_session=; path=/; expires=Thu, 01 Jan 1970 00:00:00 GMT; Max-Age=0; HttpOnly; SameSite=Lax; Secure")
				diff(t, w.ended, []session.ID{{1}})
				diff(t, len(w.signedOut), 1)
				diff(t, w.signedOut[0].UID, "ID0000000001")
				return
			}
			a.WantTokens(t, test.status, test.token)
			if len(w.signedOut) != 0 {
				t.Error("a sign-out was recorded")
			}
		})
	}
}

// FX-13: a page of another site cannot sign a browser in or out.
func TestCrossSiteRequests(t *testing.T) {
	w := newWorld()
	with := visit(t, w).With("Cookie", "_barong_session="+cookieValue)
	evil := with.With("Origin", "https://evil.example").With("Sec-Fetch-Site", "cross-site")
	evil.JSON(t, "POST", sessions, credentials).WantTokens(t, 403, "identity.cross_site_request")
	evil.JSON(t, "DELETE", sessions, nil).WantTokens(t, 403, "identity.cross_site_request")
	if len(w.signIns)+len(w.ended) != 0 {
		t.Error("a service was asked")
	}
	with.With("Origin", "https://app.example").With("Sec-Fetch-Site", "cross-site").
		JSON(t, "DELETE", sessions, nil).Want(t, 204, "")
	visit(t, w).With("Origin", "https://evil.example").JSON(t, "POST", sessions, credentials).Want(t, 201, full)
	evil.Get(t, "/api/v2/identity/ping").Want(t, 200, `{"ping":"pong"}`)
}

// 9.1 to 9.3, 10: the same facts in both namespaces.
func TestGeneral(t *testing.T) {
	c := visit(t, newWorld())
	for _, namespace := range []string{"identity", "public"} {
		base := "/api/v2/" + namespace
		c.Get(t, base+"/ping").Want(t, 200, `{"ping":"pong"}`)
		c.Get(t, base+"/time").Want(t, 200, `{"time":1795248000}`)
		c.Get(t, base+"/version").Want(t, 200,
			`{"git_tag":"3.0.0","git_sha":"abc","build_date":"2020-12-08T15:09:53.000+02:00","version":"3.0.0"}`)
	}
}

func TestJWKS(t *testing.T) {
	c := visit(t, newWorld())
	for _, path := range []string{
		"/.well-known/jwks.json", "/api/v2/public/jwks.json", "/api/v2/barong/public/jwks.json", "/api/v2/auth/public/jwks.json",
	} {
		a := c.Get(t, path)
		a.Want(t, 200, `{"keys":[]}`)
		diff(t, []string{a.Header.Get("Cache-Control"), a.Header.Get("Content-Type")},
			[]string{"public, max-age=300", "application/jwk-set+json"})
	}
}

// D19: neither passwords nor codes nor cookies reach the log.
func TestNothingSecretIsLogged(t *testing.T) {
	var log strings.Builder
	w := newWorld()
	w.log, w.signInErr = &log, errors.New("bug")
	visit(t, w).With("Cookie", "_barong_session="+cookieValue).
		JSON(t, "POST", sessions+"?password=hidden1", map[string]any{"email": "e", "password": "hidden2", "otp_code": "hidden3"})
	for _, secret := range []string{"hidden", cookieValue, newCookie} {
		if strings.Contains(log.String(), secret) {
			t.Errorf("the log holds %q: %s", secret, log.String())
		}
	}
}
