package e2e_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"barong/e2e"
)

// A forwardAuthorizer is the forward-auth listener's contract with answers of the test's own.
type forwardAuthorizer struct {
	server *httptest.Server

	mu     sync.Mutex
	status int
	header map[string]string
	asked  []*http.Request
	next   http.Handler // answers instead, when set
}

func startForwardAuthorizer(t testing.TB) *forwardAuthorizer {
	t.Helper()
	f := &forwardAuthorizer{}
	f.server = httptest.NewServer(f)
	t.Cleanup(f.server.Close)
	return f
}

func (f *forwardAuthorizer) addr() string { return strings.TrimPrefix(f.server.URL, "http://") }

// answers sets the status of the next answers, their headers, and forgets the questions so far.
func (f *forwardAuthorizer) answers(status int, header map[string]string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.status, f.header, f.asked = status, header, nil
}

func (f *forwardAuthorizer) question(t testing.TB) *http.Request {
	t.Helper()
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.asked) != 1 {
		t.Fatalf("the authorizer was asked %d times, want once", len(f.asked))
	}
	return f.asked[0]
}

func (f *forwardAuthorizer) questions() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.asked)
}

func (f *forwardAuthorizer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.asked = append(f.asked, r)
	if f.next != nil {
		f.next.ServeHTTP(w, r)
		return
	}
	status := f.status
	if status == http.StatusOK {
		w.Header().Set("X-Barong-Decision", "d-4711")
	}
	for k, v := range f.header {
		w.Header().Set(k, v)
	}
	if status != http.StatusOK {
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Cache-Control", "no-store")
		if strings.HasPrefix(r.URL.Path, "/verify/nginx") {
			w.Header().Set("X-Barong-Status", strconv.Itoa(status))
			w.Header().Set("X-Barong-Reason", "some.reason")
			status = http.StatusForbidden
			if f.status == http.StatusUnauthorized {
				status = http.StatusUnauthorized
			}
		}
	}
	w.WriteHeader(status)
	if status != http.StatusOK {
		io.WriteString(w, `{"errors":["some.reason"]}`)
	}
}

// asked is the method and target that the proxy asked about.
func asked(kind string, q *http.Request) (method, target string) {
	if kind == "envoy-http" {
		return q.Method, strings.TrimPrefix(q.RequestURI, "/api/v2/auth")
	}
	return q.Header.Get("X-Forwarded-Method"), q.Header.Get("X-Forwarded-Uri")
}

func TestForwardAuth(t *testing.T) {
	for _, kind := range []string{"envoy-http", "nginx", "caddy"} {
		t.Run(kind, func(t *testing.T) {
			authz := startForwardAuthorizer(t)
			echo := upstream(t)
			places, err := e2e.FreePlaces(e2e.Addresses{HTTP: echo, Forward: authz.addr()}, echo)
			if err != nil {
				t.Fatal(err)
			}
			forwardAuth(t, kind, startProxy(t, kind, places), authz)
		})
	}
}

func forwardAuth(t *testing.T, kind string, p e2e.Proxy, authz *forwardAuthorizer) {
	forged := "Authorization: Bearer forged\nJwtuid: IDFORGED\nJwtrole: superadmin\nX-HTTP-Method-Override: DELETE\n" +
		"X-Original-URL: /x\nX-Rewrite-URL: /x\nX-Forwarded-Uri: /forged\nX-Forwarded-Method: FORGED\n" +
		"Cookie: _barong_session=abc; theme=dark\nX-Auth-Apikey: k\nX-Auth-Nonce: 1\nX-Auth-Signature: s"

	t.Run("FX-8, D12: an allow with a token replaces authorization and cookie", func(t *testing.T) {
		authz.answers(200, map[string]string{"Authorization": "Bearer minted", "Cookie": "theme=dark",
			"X-Envoy-Auth-Headers-To-Remove": "x-auth-apikey,x-auth-nonce,x-auth-signature,jwtuid,jwtrole"})
		seen := raw(t, p, "GET /api/v2/peatio/account?a=%2F HTTP/1.1\n"+forged).echoed(t)
		want := map[string]string{"Authorization": "Bearer minted", "Cookie": "theme=dark"}
		for _, h := range []string{"Authorization", "Cookie", "X-Auth-Apikey", "X-Auth-Nonce", "X-Auth-Signature", "Jwtuid", "Jwtrole",
			"X-Http-Method-Override", "X-Original-Url", "X-Rewrite-Url", "X-Forwarded-Uri", "X-Forwarded-Method"} {
			if got := strings.Join(seen.Headers[h], "|"); got != want[h] {
				t.Errorf("upstream got %s %q, want %q", h, got, want[h])
			}
		}
		if seen.Target != "/api/v2/peatio/account?a=%2F" || seen.Method != "GET" {
			t.Errorf("upstream got %s %s", seen.Method, seen.Target)
		}
		q := authz.question(t)
		if method, target := asked(kind, q); method != "GET" || target != seen.Target {
			t.Errorf("asked about %s %s, want what the upstream got", method, target)
		}
		if v := len(q.Header.Values("X-Forwarded-Uri")); kind != "envoy-http" && v != 1 {
			t.Errorf("asked with %d X-Forwarded-Uri, want 1", v)
		}
		if got := q.Header.Get("Authorization"); got != "" {
			t.Errorf("asked with authorization %q, want none", got)
		}
		if q.Header.Get("Cookie") != "_barong_session=abc; theme=dark" || q.Header.Get("X-Auth-Apikey") != "k" {
			t.Errorf("asked without the credentials: %v", q.Header)
		}
	})

	t.Run("FX-8: a pass leaves no authorization and no session cookie", func(t *testing.T) {
		authz.answers(200, map[string]string{"X-Envoy-Auth-Headers-To-Remove": "authorization,cookie,jwtuid,jwtrole"})
		seen := raw(t, p, "GET /api/v2/peatio/public/markets HTTP/1.1\nAuthorization: Bearer forged\nCookie: _barong_session=abc").echoed(t)
		for _, h := range []string{"Authorization", "Cookie"} {
			if got := strings.Join(seen.Headers[h], ""); got != "" {
				t.Errorf("upstream got %s %q, want none", h, got)
			}
		}
	})

	t.Run("the session cookie reaches Barong's own paths", func(t *testing.T) {
		authz.answers(200, map[string]string{"Authorization": "Bearer minted", "Cookie": "_barong_session=abc"})
		seen := raw(t, p, "POST /api/v2/barong/resource/otp/enable HTTP/1.1\nAuthorization: Bearer forged\nCookie: _barong_session=abc\nX-Csrf-Token: t", `{"code":"1"}`).echoed(t)
		if got := strings.Join(seen.Headers["Cookie"], ""); got != "_barong_session=abc" || seen.Body != 12 {
			t.Errorf("Barong got cookie %q and %d bytes", got, seen.Body)
		}
		if got := strings.Join(seen.Headers["Authorization"], ""); got != "Bearer minted" {
			t.Errorf("Barong got authorization %q", got)
		}
		if method, _ := asked(kind, authz.question(t)); method != "POST" {
			t.Errorf("asked about %s, want POST", method)
		}
	})

	t.Run("AZ-22, FX-32: status, body and headers of a denial", func(t *testing.T) {
		for _, status := range []int{401, 403, 405, 422, 423, 433, 471} {
			authz.answers(status, map[string]string{"Set-Cookie": "_barong_session=; Max-Age=0"})
			got := raw(t, p, "GET /api/v2/peatio/account HTTP/1.1\n"+forged)
			if got.status != status || got.body != `{"errors":["some.reason"]}` {
				t.Errorf("got %d %q, want %d and the reason", got.status, got.body, status)
			}
			if got.header.Get("Content-Type") != "application/json" || got.header.Get("Cache-Control") != "no-store" ||
				got.header.Get("Set-Cookie") != "_barong_session=; Max-Age=0" {
				t.Errorf("%d: got headers %v", status, got.header)
			}
		}
	})

	t.Run("FX-1: the method asked about is the one served", func(t *testing.T) {
		for _, method := range []string{"DELETE", "get", "PURGE"} {
			authz.answers(200, nil)
			got := raw(t, p, method+" /api/v2/peatio/public/x HTTP/1.1")
			if authz.questions() == 0 && got.status >= 400 {
				continue // the proxy refused it
			}
			if judged, _ := asked(kind, authz.question(t)); judged != got.echoed(t).Method {
				t.Errorf("%s: judged as %s, served as %s", method, judged, got.echoed(t).Method)
			}
		}
	})

	t.Run("FX-3, FX-4: the path asked about is the one served, or nothing is", func(t *testing.T) {
		for _, path := range []string{
			"//api//v2/peatio//x", "/api/v2/peatio/public/../account", "/api/v2/peatio/public/%2e%2e/account",
			"/api/v2/peatio/%61ccount", "/api/v2/peatio/a%2Fb", "/api/v2/peatio/a%5Cb", `/api/v2/peatio/a\..\b`,
			"/api/v2/peatio/a;b=1", "/api/v2/peatio/%2561", "/api/v2/peatio/x/../../barong/admin/users",
			"/api/v2/barongadmin/users", "/api/v2/peatio/%00", "/API/v2/peatio/x", "http://other.test/api/v2/peatio/x",
			"/api/v2/peatio/a#b", "/api/v2/peatio/a?b#c",
		} {
			authz.answers(200, nil)
			got := raw(t, p, "GET "+path+" HTTP/1.1")
			if got.status >= 400 {
				continue
			}
			if _, judged := asked(kind, authz.question(t)); judged != got.echoed(t).Target {
				t.Errorf("%s: judged as %q, served as %q", path, judged, got.echoed(t).Target)
			}
		}
	})

	t.Run("a websocket opens on ranger with the question carrying upgrade and origin", func(t *testing.T) {
		authz.answers(200, map[string]string{"Authorization": "Bearer minted"})
		got := raw(t, p, "GET /api/v2/ranger/private/?stream=x HTTP/1.1\nUpgrade: websocket\nConnection: Upgrade\n"+
			"Sec-WebSocket-Version: 13\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\nOrigin: http://evil.test")
		if got.status != 101 {
			t.Errorf("got %d %q, want 101", got.status, got.body)
		}
		q := authz.question(t)
		if q.Header.Get("Origin") != "http://evil.test" || !strings.EqualFold(q.Header.Get("Upgrade"), "websocket") {
			t.Errorf("asked with %v", q.Header)
		}
	})

	t.Run("X-Forwarded-For ends in the peer of the proxy", func(t *testing.T) {
		authz.answers(200, nil)
		raw(t, p, "GET /api/v2/peatio/public/x HTTP/1.1\nX-Forwarded-For: 198.51.100.7")
		xff := strings.Join(authz.question(t).Header.Values("X-Forwarded-For"), ",")
		t.Logf("a loopback client that says 198.51.100.7: %s", xff)
		if strings.HasSuffix(xff, "198.51.100.7") {
			t.Errorf("got %q: the last entry is the client's own", xff)
		}
	})

	t.Run("a Connection header cannot take away what the proxy says", func(t *testing.T) {
		authz.answers(200, map[string]string{"Authorization": "Bearer minted"})
		got := raw(t, p, "GET /api/v2/peatio/account HTTP/1.1\nConnection: X-Forwarded-For, X-Forwarded-Method, X-Forwarded-Uri, Authorization")
		if got.status >= 400 && authz.questions() == 0 {
			return // the proxy refused it
		}
		q := authz.question(t)
		if method, target := asked(kind, q); method != "GET" || target != "/api/v2/peatio/account" || q.Header.Get("X-Forwarded-For") == "" {
			t.Errorf("asked about %s %s for %q", method, target, q.Header.Get("X-Forwarded-For"))
		}
	})

	if kind == "envoy-http" {
		t.Run("the access log has the decision's id, which goes no further", func(t *testing.T) {
			authz.answers(200, map[string]string{"X-Barong-Decision": "d-4712"})
			answered := raw(t, p, "GET /api/v2/peatio/public/logged HTTP/1.1\nX-Barong-Decision: forged")
			if seen := answered.echoed(t); seen.Headers["X-Barong-Decision"] != nil || answered.header.Get("X-Barong-Decision") != "" {
				t.Errorf("the upstream got %q, the client %q, want none", seen.Headers["X-Barong-Decision"], answered.header.Get("X-Barong-Decision"))
			}
			authz.answers(401, map[string]string{"X-Barong-Decision": "d-4713"})
			if denied := raw(t, p, "GET /api/v2/peatio/logged HTTP/1.1"); denied.header.Get("X-Barong-Decision") != "" {
				t.Errorf("a denied client got %q, want none", denied.header.Get("X-Barong-Decision"))
			}
			logged(t, p, `"decision":"d-4712"`)
			logged(t, p, `"decision":"d-4713"`)
		})
	}

	t.Run("FX-61: with the authorizer gone nothing is allowed", func(t *testing.T) {
		authz.server.Close()
		got := raw(t, p, "GET /api/v2/peatio/public/x HTTP/1.1")
		if want := map[string]int{"envoy-http": 503, "nginx": 503, "caddy": 502}[kind]; got.status != want {
			t.Errorf("got %d %q, want %d", got.status, got.body, want)
		}
	})
}

// logged waits until an Envoy has written text into its access log, which it does in the
// background, and returns the log.
func logged(t *testing.T, p e2e.Proxy, text string) string {
	t.Helper()
	log := ""
	for range 100 {
		if log = p.(interface{ Output() string }).Output(); strings.Contains(log, text) {
			return log
		}
		time.Sleep(50 * time.Millisecond)
	}
	t.Errorf("the log has no %s:\n%s", text, log)
	return log
}

// TestReadableDenials: a page of an origin that Barong admits can read why it was denied, through
// proxies that hand the denial on or say it anew; no other page can.
func TestReadableDenials(t *testing.T) {
	s := startStack(t, "BARONG_API_CORS_ORIGINS=https://front.test", "BARONG_API_CORS_ALLOW_CREDENTIALS=true")
	for _, kind := range []string{"nginx", "caddy"} {
		t.Run(kind, func(t *testing.T) {
			p := s.gateway(t, kind)
			for origin, want := range map[string]http.Header{
				"https://front.test": {"Access-Control-Allow-Origin": {"https://front.test"}, "Access-Control-Allow-Credentials": {"true"}, "Vary": {"Origin"}},
				"https://evil.test":  {"Access-Control-Allow-Origin": nil, "Access-Control-Allow-Credentials": nil, "Vary": {"Origin"}},
			} {
				got := raw(t, p, "GET /api/v2/peatio/account/balances HTTP/1.1\nUser-Agent: e2e\nOrigin: "+origin)
				if got.status != 401 || got.body != reason("authz.invalid_session") {
					t.Errorf("%s: got %d %s", origin, got.status, got.body)
				}
				for name, values := range want {
					if !slices.Equal(got.header[name], values) {
						t.Errorf("%s: got %s %q, want %q", origin, name, got.header[name], values)
					}
				}
				if exposed := got.header.Get("Access-Control-Expose-Headers"); strings.Contains(exposed, "Retry-After") != (origin == "https://front.test") {
					t.Errorf("%s: got exposed headers %q", origin, exposed)
				}
			}
		})
	}
}
