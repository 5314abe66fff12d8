package identity_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strconv"
	"strings"
	"testing"
	"time"

	"barong/authz"
	"barong/internal/account"
	"barong/internal/apikey"
	"barong/internal/audit"
	"barong/internal/config"
	"barong/internal/configured"
	"barong/internal/directory"
	"barong/internal/expect"
	"barong/internal/token"
	"barong/policy"
)

// current is a part of a decision that is never behind.
type current struct{}

func (current) Age(time.Time) time.Duration { return 0 }

type rules struct{ *policy.Holder }

func (rules) Age(time.Time) time.Duration { return 0 }

type forgetful struct{}

func (forgetful) Record(audit.Activity) bool { return true }
func (forgetful) Fold(string, string) bool   { return false }

// asks is a browser behind the gate, in front of an upstream that answers "through".
type asks struct {
	*world
	cookie, csrf, agent, ip string
	key                     map[string]string
}

func (w *world) behindGate(cookie, csrf string) asks {
	return asks{world: w, cookie: cookie, csrf: csrf, agent: agent, ip: "10.0.0.1"}
}

// ask lets the gate decide; the bearer is the upstream's token.
func (a asks) ask(method, path string) (status int, text, bearer string) {
	a.T.Helper()
	expect.OK(a.T, a.Holder.Refresh(a.T.Context(), a.DB))
	minter, err := token.NewMinter(a.Keys, configured.Tokens(config.Default()))
	expect.OK(a.T, err)
	c := configured.Decisions(config.Default())
	c.TrustedProxies, c.DirectClients = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}, false
	clock := func() time.Time { return a.Now }
	s, err := authz.New(authz.Parts{
		Rules: rules{Holder: a.Holder}, Feed: current{}, Sessions: a.Sessions, Tokens: minter, Activities: forgetful{},
		Accounts: expect.Must(directory.New(configured.Directory(config.Default()), a.DB, clock))(a.T),
		Keys:     expect.Must(apikey.NewCache(configured.APIKeys(config.Default()), a.DB, clock))(a.T), Now: clock,
	}, c)
	expect.OK(a.T, err)
	gate := s.Gate(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		bearer = r.Header.Get("Authorization")
		_, _ = io.WriteString(w, "through")
	}))
	r := httptest.NewRequest(method, path, nil)
	r.Host, r.RemoteAddr = "localhost", "127.0.0.1:1"
	r.Header.Set("User-Agent", a.agent)
	r.Header.Set("X-Forwarded-For", a.ip)
	if a.cookie != "" {
		r.Header.Set("Cookie", "_barong_session="+a.cookie)
	}
	if a.csrf != "" {
		r.Header.Set("X-CSRF-Token", a.csrf)
	}
	for k, v := range a.key {
		r.Header.Set(k, v)
	}
	out := httptest.NewRecorder()
	gate.ServeHTTP(out, r)
	return out.Code, out.Body.String(), bearer
}

// want checks a decision: token "" lets through, with a bearer token.
func (a asks) want(method, path string, status int, token string) {
	a.T.Helper()
	got, text, bearer := a.ask(method, path)
	if got != status || !strings.Contains(text, token) || (token == "") != strings.HasPrefix(bearer, "Bearer ") {
		a.T.Errorf("%s %s: got %d %s, bearer %t; want %d %s", method, path, got, text, bearer != "", status, token)
	}
}

const me = "/api/v2/resource/users/me"

// signedIn makes a user and a session of it.
func (w *world) signedIn() (asks, account.User) {
	w.T.Helper()
	made := w.user(email, 1)
	u, cookie := w.opened(w.Browser().JSON(w.T, "POST", sessions, credentials()), 201)
	csrf, _ := u["csrf_token"].(string)
	return w.behindGate(cookie, csrf), made
}

// Sessions end by another browser or network, by time and by sign-out.
func TestSessionsAtTheGate(t *testing.T) {
	const mismatch, invalid = "authz.client_session_mismatch", "authz.invalid_session"
	t.Run("the same browser", func(t *testing.T) {
		b, _ := newWorld(t).signedIn()
		b.want("GET", me, 200, "")
	})
	for name, change := range map[string]func(*asks){
		"another browser": func(b *asks) { b.agent = "curl/8" },
		"another network": func(b *asks) { b.ip = "10.1.0.1" },
		"both":            func(b *asks) { b.agent, b.ip = "curl/8", "10.1.0.1" },
	} {
		t.Run(name, func(t *testing.T) {
			b, _ := newWorld(t).signedIn()
			other := b
			change(&other)
			other.want("GET", me, 401, mismatch)
			b.want("GET", me, 401, invalid) // it has ended
		})
	}
	t.Run("calls keep it alive, a gap ends it", func(t *testing.T) {
		w := newWorld(t)
		b, _ := w.signedIn()
		for range 30 {
			w.Now = w.Now.Add(25 * time.Minute)
			b.want("GET", me, 200, "")
		}
		expect.OK(w.T, w.Sessions.Flush(t.Context()))
		w.Now = w.Now.Add(40 * time.Minute)
		b.want("GET", me, 401, mismatch) // expiry is a mismatch
	})
	t.Run("half an hour after its life", func(t *testing.T) {
		w := newWorld(t)
		b, _ := w.signedIn()
		w.Now = w.Now.Add(time.Hour)
		b.want("GET", me, 401, mismatch)
	})
	t.Run("after signing out", func(t *testing.T) {
		w := newWorld(t)
		b, _ := w.signedIn()
		w.Browser().With("Cookie", "_barong_session="+b.cookie).JSON(t, "DELETE", sessions, nil).Want(t, 204, "")
		b.want("GET", me, 401, invalid)
	})
}

// Requests by cookie that change something need the CSRF token.
func TestCSRFAtTheGate(t *testing.T) {
	w := newWorld(t)
	with, made := w.signedIn()
	without := with
	without.csrf = ""
	for _, method := range []string{"POST", "PUT", "DELETE", "PATCH"} {
		without.want(method, me, 401, "authz.missing_csrf_token")
		with.want(method, me, 200, "")
	}
	for _, method := range []string{"GET", "HEAD"} {
		without.want(method, me, 200, "")
		with.want(method, me, 200, "")
	}
	wrong := with
	wrong.csrf = strings.Repeat("0", 20)
	wrong.want("POST", me, 401, "authz.csrf_token_mismatch")

	// API keys need none.
	w.secondFactor(made)
	k := apikey.Key{
		Kid: "61d025b8573501c2", Algorithm: "HS256", State: apikey.Active, Scope: []string{"trade"},
		HolderUID: made.UID, HolderKind: account.KindUser, Secret: "0123456789abcdef",
	}
	expect.OK(w.T, w.DB.AddAPIKey(t.Context(), &k))
	bot := w.behindGate("", "")
	nonce := strconv.FormatInt(w.Now.UnixMilli(), 10)
	mac := hmac.New(sha256.New, []byte(k.Secret))
	mac.Write([]byte(nonce + k.Kid))
	bot.key = map[string]string{
		"X-Auth-Apikey": k.Kid, "X-Auth-Nonce": nonce, "X-Auth-Signature": hex.EncodeToString(mac.Sum(nil)),
	}
	bot.want("POST", "/api/v2/peatio/market/orders", 200, "")
}

// Each way to a session opens one that the gate takes, and one whose address is not proved looks at itself only.
func TestEverySessionIsTakenAtTheGate(t *testing.T) {
	w := newWorld(t)
	c := w.Browser()
	u, cookie := w.opened(c.JSON(t, "POST", signUps, credentials()), 201)
	csrf, _ := u["csrf_token"].(string)
	signedUp := w.behindGate(cookie, csrf)
	signedUp.want("GET", me, 200, "")
	for _, path := range []string{me, "/api/v2/barong/resource/otp/enable", "/api/v2/peatio/market/orders"} {
		signedUp.want("POST", path, 403, "authz.email_not_verified") // D27
	}
	jwt, _ := w.link()
	u, cookie = w.opened(c.JSON(t, "POST", emails+"confirm_code", body{"token": jwt}), 201)
	csrf, _ = u["csrf_token"].(string)
	confirmed := w.behindGate(cookie, csrf)
	confirmed.want("POST", me, 200, "")
	signedUp.want("GET", me, 401, "authz.invalid_session")
	w.vouch(email, ptr(true))
	u, cookie = w.opened(signInAuth0(t, w.Browser()), 200)
	csrf, _ = u["csrf_token"].(string)
	w.behindGate(cookie, csrf).want("POST", me, 200, "")

	// A reset ends them all, and so does a ban (W-I7).
	reset := w.resetLink()
	c.JSON(t, "POST", resets+"confirm_code", newPassword(reset, fresh)).Want(t, 201, `201`)
	confirmed.want("GET", me, 401, "authz.invalid_session")
	u, cookie = w.opened(c.JSON(t, "POST", sessions, body{"email": email, "password": fresh}), 201)
	csrf, _ = u["csrf_token"].(string)
	last := w.behindGate(cookie, csrf)
	last.want("POST", me, 200, "")
	w.byEmail("banned")
	last.want("GET", me, 401, "authz.user_not_active")
}
