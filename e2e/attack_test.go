package e2e_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"barong/e2e"
)

// A stack is the built binary with an echo behind it, for gateways to stand in front of.
type stack struct {
	barong *e2e.Barong
	echo   string
}

const password = "Long-Enough-7531-Secret"

// startStack runs barong serve with one member, one admin and one superadmin (role@example.com),
// and restrictions on two documentation networks.
func startStack(t testing.TB, env ...string) *stack {
	t.Helper()
	bin, dir := barongBin(t), t.TempDir()
	users := []map[string]any{}
	for _, role := range []string{"member", "admin", "superadmin"} {
		users = append(users, map[string]any{"email": role + "@example.com", "password": password,
			"role": role, "state": "active", "level": 3})
	}
	seeds := filepath.Join(dir, "seeds.yml")
	err := e2e.Seeds{"users": users, "permissions": {
		{"role": "admin", "verb": "all", "path": "api/v2/peatio/admin/withdraws", "action": "drop"},
	}, "restrictions": {
		{"category": "blacklist", "scope": "ip", "value": "203.0.113.9", "code": 471, "state": "enabled"},
		{"category": "blacklist", "scope": "ip_subnet", "value": "198.51.100.0/24", "code": 433, "state": "enabled"},
	}}.Write(t.Context(), bin, seeds)
	if err != nil {
		t.Fatal(err)
	}
	at, err := e2e.FreeAddresses()
	if err != nil {
		t.Fatal(err)
	}
	own, err := e2e.OwnAddresses()
	if err != nil {
		t.Fatal(err)
	}
	trusted := "127.0.0.0/8,::1/128"
	for _, a := range own {
		if !a.IsLoopback() {
			trusted += "," + a.WithZone("").String()
		}
	}
	b, err := e2e.StartBarong(t.Context(), bin, dir, at, append([]string{"BARONG_SEEDS=" + seeds,
		"BARONG_TRUSTED_PROXIES=" + trusted}, env...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		b.Stop()
		if t.Failed() {
			t.Logf("the end of barong's log:\n%s", e2e.Tail(b.Output(), 100))
		}
	})
	return &stack{barong: b, echo: upstream(t)}
}

// gateway puts one kind of proxy in front. It trusts the test like a load balancer before it, so
// that a test can pretend to come from anywhere.
func (s *stack) gateway(t testing.TB, kind string) e2e.Proxy {
	t.Helper()
	places, err := e2e.FreePlaces(s.barong.Addresses, s.echo)
	if err != nil {
		t.Fatal(err)
	}
	places.Edit = func(kind string, file []byte) []byte { return balanced(t, kind, file) }
	return startProxy(t, kind, places)
}

// A login is a session's cookie header and CSRF token, as header lines of a raw request.
type login struct{ cookie, csrf, uid string }

// lines are the headers of a request of the session; the agent is part of it.
func (l login) lines() string {
	return "User-Agent: e2e\nCookie: theme=dark; " + l.cookie + "; lang=en"
}

// signIn opens a session; lines are further headers of the request.
func signIn(t testing.TB, p serving, role string, lines ...string) login {
	t.Helper()
	got := raw(t, p, "POST /api/v2/barong/identity/sessions HTTP/1.1\nUser-Agent: e2e\nContent-Type: application/json\n"+strings.Join(lines, "\n"),
		fmt.Sprintf(`{"email":"%s@example.com","password":"%s"}`, role, password))
	var me struct {
		UID  string `json:"uid"`
		CSRF string `json:"csrf_token"`
	}
	if got.status/100 != 2 || json.Unmarshal([]byte(got.body), &me) != nil || me.CSRF == "" {
		t.Fatalf("sign in as %s: got %d %s", role, got.status, got.body)
	}
	resp := http.Response{Header: got.header}
	for _, c := range resp.Cookies() {
		if c.Name == "_barong_session" {
			if !c.HttpOnly || !c.Secure || c.SameSite != http.SameSiteLaxMode {
				t.Errorf("D8: got cookie %q, want HttpOnly, Secure and SameSite=Lax", got.header.Get("Set-Cookie"))
			}
			return login{cookie: c.Name + "=" + c.Value, csrf: me.CSRF, uid: me.UID}
		}
	}
	t.Fatalf("sign in as %s: no session cookie in %v", role, got.header)
	return login{}
}

// reason is the body of a denial.
func reason(code string) string { return `{"errors":["` + code + `"]}` }

func TestAttacks(t *testing.T) {
	s := startStack(t)
	for _, kind := range gateways {
		t.Run(kind, func(t *testing.T) { attack(t, kind, s.gateway(t, kind)) })
	}
}

func attack(t *testing.T, kind string, p e2e.Proxy) {
	member, admin := signIn(t, p, "member"), signIn(t, p, "admin")

	t.Run("D12: a member's request carries the token and the other cookies, nothing else", func(t *testing.T) {
		seen := raw(t, p, "GET /api/v2/peatio/account/balances HTTP/1.1\nAuthorization: Bearer forged\nJwtuid: x\nJwtrole: superadmin\n"+member.lines()).echoed(t)
		if got := strings.Join(seen.Headers["Cookie"], ""); got != "theme=dark; lang=en" {
			t.Errorf("upstream got cookie %q, want theme=dark; lang=en", got)
		}
		if seen.Claims["uid"] != member.uid || seen.Claims["role"] != "member" || seen.Claims["email"] != "member@example.com" {
			t.Errorf("upstream got claims %v", seen.Claims)
		}
		for _, h := range []string{"Jwtuid", "Jwtrole"} {
			if seen.Headers[h] != nil {
				t.Errorf("upstream got %s", h)
			}
		}
	})

	t.Run("FX-8: a forged token opens nothing and reaches no upstream", func(t *testing.T) {
		forged := "\nUser-Agent: e2e\nAuthorization: Bearer eyJhbGciOiJub25lIn0.eyJyb2xlIjoic3VwZXJhZG1pbiJ9."
		if got := raw(t, p, "GET /api/v2/peatio/account/balances HTTP/1.1"+forged); got.status != 401 || got.body != reason("authz.invalid_session") {
			t.Errorf("private: got %d %s", got.status, got.body)
		}
		seen := raw(t, p, "GET /api/v2/peatio/public/markets HTTP/1.1"+forged).echoed(t)
		if got := strings.Join(seen.Headers["Authorization"], ""); got != "" {
			t.Errorf("public: upstream got authorization %q", got)
		}
		if got := raw(t, p, "GET /api/v2/barong/resource/users/me HTTP/1.1"+forged); got.status != 401 {
			t.Errorf("Barong's own: got %d %s", got.status, got.body)
		}
	})

	t.Run("D12: a public path does not hand the session to the upstream", func(t *testing.T) {
		seen := raw(t, p, "GET /api/v2/peatio/public/markets HTTP/1.1\n"+member.lines()+"\nX-Auth-Apikey: k\nX-Auth-Nonce: 1\nX-Auth-Signature: s").echoed(t)
		if got := strings.Join(seen.Headers["Cookie"], ""); got != "theme=dark; lang=en" {
			t.Errorf("upstream got cookie %q", got)
		}
		for _, h := range []string{"X-Auth-Apikey", "X-Auth-Nonce", "X-Auth-Signature"} {
			if got := strings.Join(seen.Headers[h], ""); got != "" {
				t.Errorf("upstream got %s %q", h, got)
			}
		}
	})

	t.Run("D4: a role without the permission is denied", func(t *testing.T) {
		if got := raw(t, p, "GET /api/v2/barong/admin/users HTTP/1.1\n"+member.lines()); got.status != 401 || got.body != reason("authz.invalid_permission") {
			t.Errorf("got %d %s", got.status, got.body)
		}
		raw(t, p, "GET /api/v2/peatio/admin/deposits HTTP/1.1\n"+admin.lines()).echoed(t)
	})

	t.Run("T-NEW-2, T-NEW-3: no spelling of a dropped path gets through", func(t *testing.T) {
		// An admin may use all of api/v2 but two places: one is Barong's own, one the echo's, which
		// would answer whatever reaches it.
		for _, path := range []string{
			"/api/v2/C/admin/D", "/api/v2/C/admin/D/", "/api/v2/C/admin/D/1", "/api/v2/C/admin//D", "//api/v2/C/admin/D",
			"/api/v2/C//admin/D", "/api/v2/C/%61dmin/D", "/api/v2/%43/admin/D", "/api/v2/C/admin/D.json", "/api/v2/C/admin/D.",
			"/api/v2/C/admin/D;x", "/api/v2/C/admin;x/D", "/api/v2/C/admin/./D", "/api/v2/C/admin/D/.", "/api/v2/C/admin/x/../D",
			"/api/v2/C/public/../admin/D", "/api/v2/C/public/%2e%2e/admin/D", "/api/v2/C/public/.%2E/admin/D", "/api/v2/C/public/..;/admin/D",
			"/api/v2/C/public%2f..%2fadmin/D", "/api/v2/C/admin%2FD", "/api/v2/C/admin%5cD", `/api/v2/C/admin\D`, `/api/v2/C/public\..\admin\D`,
			"/api/v2/C/%2561dmin/D", "/api/v2/C/admin/D%00", "/api/v2/C/admin/D%20", "/api/v2/C/admin/D%09", "/api/v2/C/admin/D%c0%ae",
			"/api/v2/C/admin/D?a=/api/v2/C/public", "/api/v2/C/admin/D#/api/v2/C/public", "/api/v2/C/admin/D%3f", "/api/v2/C/admin/D%23",
			"http://gateway.test/api/v2/C/admin/D", "http://other.test//api/v2/C/admin/D", "/api/v2/Cadmin/D", "/api/v2/public/../C/admin/D",
			"/API/v2/C/admin/D", "/api/V2/C/admin/D", "/api/v2/auth/api/v2/C/admin/D", "/verify/nginx/api/v2/C/admin/D", "/admin/D",
			"/api/v2/barong/C/admin/D", "/api/v2/barong/auth/admin/D", "/api/v2/admin/D", "/api/v2/auth/admin/D",
		} {
			for component, dropped := range map[string]string{"barong": "permissions", "peatio": "withdraws"} {
				encoded := strings.NewReplacer("%43", fmt.Sprintf("%%%02x", component[0])+component[1:], "C", component, "D", dropped)
				path := encoded.Replace(path)
				if got := raw(t, p, "GET "+path+" HTTP/1.1\n"+admin.lines()); got.status < 400 {
					t.Errorf("%s: got %d %.80s, want a denial", path, got.status, got.body)
				}
			}
		}
	})

	t.Run("AZ-71: blocked paths are denied to everyone", func(t *testing.T) {
		for _, path := range []string{"/api/v2/peatio/management/users", "/api/v2/barong/management/users/get"} {
			got := raw(t, p, "POST "+path+" HTTP/1.1\n"+admin.lines()+"\nX-CSRF-Token: "+admin.csrf)
			if got.status != 401 || got.body != reason("authz.permission_denied") {
				t.Errorf("%s: got %d %s", path, got.status, got.body)
			}
		}
	})

	t.Run("T-NEW-1: the method is the request's own, and nothing else", func(t *testing.T) {
		got := raw(t, p, "POST /api/v2/peatio/market/orders HTTP/1.1\nX-HTTP-Method-Override: GET\nX-Forwarded-Method: GET\n"+
			"Content-Type: application/json\n"+member.lines(), `{"key":"a&_method=GET&"}`)
		if got.status != 401 || got.body != reason("authz.missing_csrf_token") {
			t.Errorf("got %d %s, want 401 for the missing CSRF token of a POST", got.status, got.body)
		}
		for _, method := range []string{"get", "Get", "PURGE", "TRACE", "LINK"} {
			if got := raw(t, p, method+" /api/v2/peatio/account/balances HTTP/1.1\n"+member.lines()); got.status != 405 && got.status != 400 && got.status != 403 {
				t.Errorf("%s: got %d %s, want 405 or the proxy's refusal", method, got.status, got.body)
			}
		}
	})

	t.Run("FX-7: no other header says which path it is", func(t *testing.T) {
		got := raw(t, p, "GET /api/v2/peatio/account/balances HTTP/1.1\nUser-Agent: e2e\nX-Original-URL: /api/v2/peatio/public/x\n"+
			"X-Rewrite-URL: /api/v2/peatio/public/x\nX-Forwarded-Uri: /api/v2/peatio/public/x\nX-Forwarded-Path: /api/v2/peatio/public/x\n"+
			"X-Forwarded-Prefix: /api/v2/peatio/public\nX-Envoy-Original-Path: /api/v2/peatio/public/x")
		if got.status != 401 || got.body != reason("authz.invalid_session") {
			t.Errorf("got %d %s", got.status, got.body)
		}
	})

	t.Run("AZ-87: CSRF", func(t *testing.T) {
		post := "POST /api/v2/peatio/market/orders HTTP/1.1\n" + member.lines()
		for token, want := range map[string]string{
			"X-CSRF-Token: wrong":              reason("authz.csrf_token_mismatch"),
			"X-CSRF-Token:":                    reason("authz.csrf_token_mismatch"),
			"X-CSRF-Token: " + admin.csrf:      reason("authz.csrf_token_mismatch"),
			"X-CSRF-Token: " + member.csrf[:9]: reason("authz.csrf_token_mismatch"),
		} {
			if got := raw(t, p, post+"\n"+token, "{}"); got.status != 401 || got.body != want {
				t.Errorf("%s: got %d %s, want %s", token, got.status, got.body, want)
			}
		}
		if got := raw(t, p, post+"\nX-CSRF-Token: "+member.csrf, "{}"); got.status != 200 {
			t.Errorf("the right token: got %d %s", got.status, got.body)
		}
	})

	t.Run("AZ-97: a session is bound to its agent", func(t *testing.T) {
		stolen := signIn(t, p, "member")
		if got := raw(t, p, "GET /api/v2/peatio/account HTTP/1.1\nUser-Agent: other\nCookie: "+stolen.cookie); got.status != 401 || got.body != reason("authz.client_session_mismatch") {
			t.Errorf("got %d %s", got.status, got.body)
		}
		if got := raw(t, p, "GET /api/v2/peatio/account HTTP/1.1\nUser-Agent: e2e\nCookie: "+stolen.cookie); got.status != 401 || got.body != reason("authz.invalid_session") {
			t.Errorf("afterwards: got %d %s", got.status, got.body)
		}
	})

	t.Run("AZ-80, AZ-81: API key headers", func(t *testing.T) {
		nonce := strconv.FormatInt(time.Now().UnixMilli(), 10)
		mac := hmac.New(sha256.New, []byte("guess"))
		mac.Write([]byte(nonce + "61d025b8573501c2"))
		for headers, want := range map[string]answer{
			"X-Auth-Apikey: k":                   {status: 422, body: reason("authz.invalid_api_key_headers")},
			"X-Auth-Nonce: 1":                    {status: 422, body: reason("authz.invalid_api_key_headers")},
			"X-Auth-Apikey: k\nX-Auth-Apikey: l": {status: 422, body: reason("authz.invalid_api_key_headers")},
			"X-Auth-Apikey: 61d025b8573501c2\nX-Auth-Nonce: " + nonce + "\nX-Auth-Signature: " + hex.EncodeToString(mac.Sum(nil)): {
				status: 401, body: reason("authz.unexistent_apikey")},
		} {
			got := raw(t, p, "GET /api/v2/peatio/account/balances HTTP/1.1\n"+member.lines()+"\n"+headers)
			if got.status != want.status || got.body != want.body {
				t.Errorf("%q: got %d %s, want %d %s", headers, got.status, got.body, want.status, want.body)
			}
		}
	})

	t.Run("T-NEW-13, AZ-22: restrictions answer with their own status", func(t *testing.T) {
		for ip, want := range map[string]int{"198.51.100.7": 433, "203.0.113.9": 471} {
			got := raw(t, p, "GET /api/v2/peatio/public/markets HTTP/1.1\nUser-Agent: e2e\nX-Forwarded-For: 192.0.2.77, "+ip)
			if got.status != want || got.body != reason("authz.restrict.blacklist") {
				t.Errorf("%s: got %d %s, want %d", ip, got.status, got.body, want)
			}
			if ct, cc := got.header.Get("Content-Type"), got.header.Get("Cache-Control"); ct != "application/json" || cc != "no-store" {
				t.Errorf("%s: got content-type %q, cache-control %q", ip, ct, cc)
			}
		}
		// Barong believes no entry left of an address that is not trusted.
		if got := raw(t, p, "GET /api/v2/peatio/public/markets HTTP/1.1\nUser-Agent: e2e\nX-Forwarded-For: 198.51.100.7, 192.0.2.77"); got.status != 200 {
			t.Errorf("a spoofed left-most entry: got %d %s, want 200", got.status, got.body)
		}
	})

	t.Run("D23: a preflight passes without a token", func(t *testing.T) {
		seen := raw(t, p, "OPTIONS /api/v2/peatio/account/balances HTTP/1.1\nOrigin: http://elsewhere.test\nAccess-Control-Request-Method: GET").echoed(t)
		if got := strings.Join(seen.Headers["Authorization"], ""); got != "" || seen.Claims != nil {
			t.Errorf("upstream got authorization %q", got)
		}
		if got := raw(t, p, "OPTIONS /api/v2/peatio/account/balances HTTP/1.1\nUser-Agent: e2e"); got.status != 401 {
			t.Errorf("OPTIONS that is no preflight: got %d, want 401", got.status)
		}
	})

	t.Run("D23: a websocket by cookie needs its own origin", func(t *testing.T) {
		open := "GET /api/v2/ranger/private/?stream=x HTTP/1.1\nUpgrade: websocket\nConnection: Upgrade\nSec-WebSocket-Version: 13\n" +
			"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\n" + member.lines()
		for origin, want := range map[string]bool{
			"\nOrigin: http://gateway.test": true, "\nOrigin: http://evil.test": false, "\nOrigin: null": false,
			"\nOrigin: http://gateway.test.evil.test": false, "": false,
		} {
			if got := raw(t, p, open+origin); (got.status == 101) != want {
				t.Errorf("origin %q: got %d %s", origin, got.status, got.body)
			}
		}
	})

	t.Run("huge headers are refused, not passed", func(t *testing.T) {
		for _, size := range []int{20 << 10, 60 << 10, 200 << 10} {
			got := raw(t, p, "GET /api/v2/peatio/account/balances HTTP/1.1\nUser-Agent: e2e\nCookie: "+strings.Repeat("a", size))
			if got.status < 400 {
				t.Errorf("%d bytes: got %d", size, got.status)
			}
		}
	})
}

// Stopping Barong closes the gate, and it stops in order.
func TestBarongGone(t *testing.T) {
	tool(t, "envoy")
	s := startStack(t)
	p := s.gateway(t, "envoy")
	raw(t, p, "GET /api/v2/peatio/public/markets HTTP/1.1").echoed(t)
	if err := s.barong.Stop(); err != nil {
		t.Errorf("SIGTERM: got %v, want exit status 0", err)
	}
	got := raw(t, p, "GET /api/v2/peatio/public/markets HTTP/1.1")
	if got.status != 503 || got.body != reason("authz.unavailable") || got.header.Get("Retry-After") == "" {
		t.Errorf("got %d %s %v, want 503 with retry-after", got.status, got.body, got.header)
	}
}

// The embedded gate needs no proxy, and listens only to names of this machine.
func TestEmbeddedGate(t *testing.T) {
	s := startStack(t, "BARONG_GATE=embedded", "BARONG_TRUSTED_PROXIES=127.0.0.0/8")
	get := func(host, path string) int {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+s.barong.HTTP+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Host = host
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		return resp.StatusCode
	}
	_, port, _ := strings.Cut(s.barong.HTTP, ":")
	for _, host := range []string{"localhost", "localhost:" + port, "127.0.0.1:" + port, "[::1]:" + port} {
		if got := get(host, "/api/v2/barong/public/time"); got != 200 {
			t.Errorf("Host %s: got %d, want 200", host, got)
		}
		if got := get(host, "/api/v2/barong/resource/users/me"); got != 401 {
			t.Errorf("Host %s without a credential: got %d, want 401", host, got)
		}
		if got := get(host, "/api/v2/admin/users"); got != 401 {
			t.Errorf("Host %s, another spelling, without a credential: got %d, want 401", host, got)
		}
	}
	for _, host := range []string{"evil.test", "localhost.evil.test", "127.0.0.1.evil.test", "192.0.2.1", "evil.test:" + port} {
		if got := get(host, "/api/v2/barong/public/time"); got < 400 {
			t.Errorf("DNS rebinding by Host %s: got %d, want a refusal", host, got)
		}
	}
}
