package e2e_test

import (
	"net/netip"
	"strings"
	"testing"

	"google.golang.org/protobuf/types/known/structpb"

	"barong/e2e"
)

// gate is Envoy with the shipped envoy.yaml before an authorizer of ours and an echo; of the
// components applogic is away.
func gate(t *testing.T) (e2e.Proxy, *authorizer) {
	t.Helper()
	authz := startAuthorizer(t)
	echo := upstream(t)
	places, err := e2e.FreePlaces(e2e.Addresses{HTTP: echo, GRPC: authz.addr}, echo)
	if err != nil {
		t.Fatal(err)
	}
	if places.Appl, err = e2e.FreeAddr(); err != nil {
		t.Fatal(err)
	}
	return startProxy(t, "envoy", places), authz
}

func TestEnvoy(t *testing.T) {
	p, authz := gate(t)

	t.Run("AZ-22, FX-32: raw status numbers, body and headers of a denial reach the client", func(t *testing.T) {
		for _, code := range []int32{401, 403, 405, 422, 423, 433, 434, 471} {
			authz.answers(deny(code, "authz.restrict.blacklist"))
			got := raw(t, p, "GET /api/v2/peatio/account HTTP/1.1")
			if got.status != int(code) || got.body != `{"errors":["authz.restrict.blacklist"]}` {
				t.Errorf("got %d %q, want %d and the reason", got.status, got.body, code)
			}
			if ct, cc := got.header.Get("Content-Type"), got.header.Get("Cache-Control"); ct != "application/json" || cc != "no-store" {
				t.Errorf("%d: got content-type %q, cache-control %q", code, ct, cc)
			}
		}
	})

	t.Run("FX-8: a client's Authorization and identity headers reach neither Barong nor the upstream", func(t *testing.T) {
		forged := "Authorization: Bearer forged\nJwtuid: IDFORGED\nJwtrole: superadmin\n" +
			"X-HTTP-Method-Override: DELETE\nX-Original-URL: /api/v2/barong/admin\nX-Rewrite-URL: /x\nX-Barong-Decision: 1\n" +
			"X-Forwarded-Uri: /x\nX-Forwarded-Method: PUT\nX-Envoy-Original-Path: /x\nX-Envoy-Internal: true"
		for name, answer := range map[string]struct {
			give *authAnswer
			want string
		}{
			"allowed with a token": {&authAnswer{token: "Bearer minted"}, "Bearer minted"},
			"passed":               {&authAnswer{}, ""},
		} {
			if answer.give.token != "" {
				authz.answers(allow(map[string]string{"authorization": answer.give.token}, "jwtuid", "jwtrole"))
			} else {
				authz.answers(pass())
			}
			seen := raw(t, p, "GET /api/v2/peatio/public/markets HTTP/1.1\n"+forged).echoed(t)
			if got := strings.Join(seen.Headers["Authorization"], "|"); got != answer.want {
				t.Errorf("%s: upstream got authorization %q, want %q", name, got, answer.want)
			}
			for _, h := range []string{"Jwtuid", "Jwtrole", "X-Http-Method-Override", "X-Original-Url", "X-Rewrite-Url",
				"X-Barong-Decision", "X-Forwarded-Uri", "X-Forwarded-Method", "X-Envoy-Original-Path", "X-Envoy-Internal"} {
				if got := seen.Headers[h]; got != nil {
					t.Errorf("%s: upstream got %s %q, want none", name, h, got)
				}
			}
			for h := range authz.question(t).GetRequest().GetHttp().GetHeaders() {
				if h == "authorization" || strings.HasPrefix(h, "jwt") || strings.HasPrefix(h, "x-barong") {
					t.Errorf("%s: Barong was asked with %s", name, h)
				}
			}
		}
	})

	t.Run("a Connection header cannot take the token away from the upstream", func(t *testing.T) {
		authz.answers(allow(map[string]string{"authorization": "Bearer minted"}))
		seen := raw(t, p, "GET /api/v2/peatio/account HTTP/1.1\nConnection: authorization, cookie").echoed(t)
		if got := strings.Join(seen.Headers["Authorization"], "|"); got != "Bearer minted" {
			t.Errorf("upstream got authorization %q, want the minted one", got)
		}
	})

	t.Run("D12: Barong may replace the cookie and remove credentials", func(t *testing.T) {
		authz.answers(allow(map[string]string{"authorization": "Bearer minted", "cookie": "theme=dark"},
			"x-auth-apikey", "x-auth-nonce", "x-auth-signature"))
		seen := raw(t, p, "GET /api/v2/peatio/account HTTP/1.1\nCookie: _barong_session=abc; theme=dark\n"+
			"X-Auth-Apikey: k\nX-Auth-Nonce: 1\nX-Auth-Signature: s").echoed(t)
		if got := strings.Join(seen.Headers["Cookie"], "|"); got != "theme=dark" {
			t.Errorf("upstream got cookie %q, want theme=dark", got)
		}
		for _, h := range []string{"X-Auth-Apikey", "X-Auth-Nonce", "X-Auth-Signature"} {
			if got := seen.Headers[h]; got != nil {
				t.Errorf("upstream got %s %q, want none", h, got)
			}
		}
		h := authz.question(t).GetRequest().GetHttp().GetHeaders()
		if h["cookie"] != "_barong_session=abc; theme=dark" || h["x-auth-apikey"] != "k" {
			t.Errorf("Barong was asked with %v", h)
		}
	})

	t.Run("an answer that changes any other header fails the request", func(t *testing.T) {
		for _, header := range []string{"host", "x-forwarded-for", "x-role"} {
			authz.answers(allow(map[string]string{header: "evil"}))
			if got := raw(t, p, "GET /api/v2/peatio/account HTTP/1.1"); got.status < 500 {
				t.Errorf("%s: got %d, want a failure", header, got.status)
			}
		}
	})

	t.Run("FX-3, FX-4: the path that Barong judges is the one that the upstream gets", func(t *testing.T) {
		for _, c := range []struct{ sent, want string }{
			{"/api/v2/peatio/public/x?a=%2F..", "/api/v2/peatio/public/x?a=%2F.."},
			{"//api//v2///peatio/public//x", "/api/v2/peatio/public/x"},
			{"/api/v2/peatio/public/../account", "/api/v2/peatio/account"},
			{"/api/v2/peatio/public/%2e%2e/account", "/api/v2/peatio/account"},
			{"/api/v2/peatio/./account", "/api/v2/peatio/account"},
			{`/api/v2/peatio/public\..\account`, "/api/v2/peatio/account"},
			{"/api/v2/peatio/%61ccount", "/api/v2/peatio/account"},
			{"/api/v2/peatio/account/", "/api/v2/peatio/account/"},
			{"/api/v2/peatio/account;x=1", "/api/v2/peatio/account;x=1"},
			{"/api/v2/peatio/%2561ccount", "/api/v2/peatio/%2561ccount"},
			{"/api/v2/peatio/account.json", "/api/v2/peatio/account.json"},
			{"/api/v2/peatio/a?x=1?y=/../z", "/api/v2/peatio/a?x=1?y=/../z"},
		} {
			authz.answers(pass())
			seen := raw(t, p, "GET "+c.sent+" HTTP/1.1").echoed(t)
			judged := authz.question(t).GetRequest().GetHttp().GetPath()
			if judged != seen.Target {
				t.Errorf("%s: Barong judged %q, the upstream got %q", c.sent, judged, seen.Target)
			}
			if judged != c.want {
				t.Errorf("%s: judged as %q, want %q", c.sent, judged, c.want)
			}
		}
	})

	t.Run("FX-4, FX-6: refused or unknown paths reach nobody", func(t *testing.T) {
		for _, c := range []struct {
			path string
			want int
		}{
			{"/api/v2/peatio/public%2F..%2Faccount", 400},
			{"/api/v2/peatio/public%2f..%2faccount", 400},
			{"/api/v2/peatio/public%5Caccount", 400},
			{"/api/v2/peatio/public%00", 400},
			{"/api/v2/peatio/../../../../etc", 404},
			{"/api/v2/barongadmin/activities/admin", 404},
			{"/api/v2/barongmanagement/users", 404},
			{"/api/v2/peatiofoo", 404},
			{"/API/V2/peatio/account", 404},
			{"/api/v2/unknown/x", 404},
			{"/api/v2/admin/users", 404},
			{"/", 404},
		} {
			authz.answers(pass())
			got := raw(t, p, "GET "+c.path+" HTTP/1.1")
			if got.status != c.want {
				t.Errorf("%s: got %d %q, want %d", c.path, got.status, got.body, c.want)
			}
		}
	})

	t.Run("AZ-361: a header name with an underscore is refused", func(t *testing.T) {
		authz.answers(pass())
		if got := raw(t, p, "GET /api/v2/peatio/public/x HTTP/1.1\nX_Auth_Apikey: k"); got.status != 400 || authz.questions() != 0 {
			t.Errorf("got %d after %d questions, want 400 after none", got.status, authz.questions())
		}
	})

	t.Run("headers above 32 KiB are refused before Barong is asked", func(t *testing.T) {
		authz.answers(pass())
		got := raw(t, p, "GET /api/v2/peatio/public/x HTTP/1.1\nCookie: "+strings.Repeat("a", 33<<10))
		if got.status != 431 || authz.questions() != 0 {
			t.Errorf("got %d after %d questions, want 431 after none", got.status, authz.questions())
		}
	})

	t.Run("FX-1: the method is the request line's, in its own case", func(t *testing.T) {
		for _, method := range []string{"GET", "POST", "get", "PURGE"} {
			authz.answers(pass())
			got := raw(t, p, method+" /api/v2/peatio/public/x HTTP/1.1\nX-HTTP-Method-Override: DELETE", `{"a":"&_method=DELETE&"}`)
			if got.status == 400 && authz.questions() == 0 {
				continue // Envoy's parser refused the method
			}
			if judged := authz.question(t).GetRequest().GetHttp().GetMethod(); judged != method || got.echoed(t).Method != method {
				t.Errorf("%s: judged as %q, served as %q", method, judged, got.echoed(t).Method)
			}
		}
	})

	t.Run("FX-36: a body is sent with the question on admin routes only, at most 16 KiB of it", func(t *testing.T) {
		body := strings.Repeat("x", 20000)
		for path, want := range map[string]int{
			"/api/v2/peatio/market/orders": 0, "/api/v2/barong/identity/sessions": 0,
			"/api/v2/barong/admin/users": 16384, "/api/v2/peatio/admin/deposits": 16384, "/api/v2/finex/admin/orders": 16384,
		} {
			authz.answers(pass())
			seen := raw(t, p, "POST "+path+" HTTP/1.1\nContent-Type: text/plain", body).echoed(t)
			q := authz.question(t).GetRequest().GetHttp()
			if got := len(q.GetRawBody()) + len(q.GetBody()); got != want {
				t.Errorf("%s: asked with %d bytes of body, want %d", path, got, want)
			}
			if seen.Body != int64(len(body)) {
				t.Errorf("%s: upstream got %d bytes, want all %d", path, seen.Body, len(body))
			}
		}
	})

	t.Run("FX-45: repeated headers arrive joined by a comma", func(t *testing.T) {
		authz.answers(pass())
		raw(t, p, "GET /api/v2/peatio/account HTTP/1.1\nX-Auth-Apikey: a\nX-Auth-Apikey: b")
		if got := authz.question(t).GetRequest().GetHttp().GetHeaders()["x-auth-apikey"]; got != "a,b" {
			t.Errorf("got %q, want a,b", got)
		}
	})

	t.Run("D13: the peer is the connection's, and X-Forwarded-For ends in this machine's own address", func(t *testing.T) {
		authz.answers(pass())
		raw(t, p, "GET /api/v2/peatio/public/x HTTP/1.1\nX-Forwarded-For: 198.51.100.7")
		q := authz.question(t)
		if peer := q.GetSource().GetAddress().GetSocketAddress().GetAddress(); peer != "127.0.0.1" {
			t.Errorf("got peer %s, want 127.0.0.1", peer)
		}
		sent, own, _ := strings.Cut(q.GetRequest().GetHttp().GetHeaders()["x-forwarded-for"], ",")
		addr, err := netip.ParseAddr(own)
		if sent != "198.51.100.7" || err != nil {
			t.Fatalf("got x-forwarded-for %q,%q, want what was sent and an address", sent, own)
		}
		mine, err := e2e.OwnAddresses()
		if err != nil {
			t.Fatal(err)
		}
		if !contains(mine, addr) {
			t.Errorf("Envoy appended %s, want one of this machine's %v", addr, mine)
		}
	})

	t.Run("a request gets its id from Envoy, never from the client", func(t *testing.T) {
		authz.answers(pass())
		got := raw(t, p, "GET /api/v2/peatio/public/x HTTP/1.1\nX-Request-Id: chosen")
		asked := authz.question(t).GetRequest().GetHttp().GetHeaders()["x-request-id"]
		if asked == "" || asked == "chosen" || got.header.Get("X-Request-Id") != asked {
			t.Errorf("Barong got id %q, the client %q", asked, got.header.Get("X-Request-Id"))
		}
	})

	t.Run("AZ-363: a preflight of the front end is answered without asking", func(t *testing.T) {
		authz.answers(deny(401, "authz.invalid_session"))
		got := raw(t, p, "OPTIONS /api/v2/peatio/account HTTP/1.1\nOrigin: http://localhost:3000\nAccess-Control-Request-Method: DELETE")
		if got.status != 200 || authz.questions() != 0 || got.header.Get("Access-Control-Allow-Origin") != "http://localhost:3000" ||
			!strings.Contains(got.header.Get("Access-Control-Allow-Methods"), "DELETE") ||
			!strings.Contains(got.header.Get("Access-Control-Allow-Headers"), "x-csrf-token") {
			t.Errorf("got %d %v after %d questions", got.status, got.header, authz.questions())
		}
	})

	t.Run("AZ-352: a preflight of another origin is asked about and gets no CORS headers", func(t *testing.T) {
		authz.answers(pass())
		got := raw(t, p, "OPTIONS /api/v2/peatio/account HTTP/1.1\nOrigin: http://evil.test\nAccess-Control-Request-Method: DELETE")
		if h := authz.question(t).GetRequest().GetHttp().GetHeaders(); h["origin"] == "" || h["access-control-request-method"] == "" {
			t.Errorf("asked with %v, want origin and access-control-request-method", h)
		}
		if o := got.header.Get("Access-Control-Allow-Origin"); o != "" {
			t.Errorf("got access-control-allow-origin %q, want none", o)
		}
	})

	t.Run("AZ-354: a denial carries the CORS headers of a known origin", func(t *testing.T) {
		authz.answers(deny(401, "authz.invalid_session"))
		got := raw(t, p, "GET /api/v2/peatio/account HTTP/1.1\nOrigin: http://localhost:3000")
		if o := got.header.Get("Access-Control-Allow-Origin"); got.status != 401 || o != "http://localhost:3000" {
			t.Errorf("got %d with access-control-allow-origin %q", got.status, o)
		}
	})

	t.Run("websockets open on ranger and nowhere else", func(t *testing.T) {
		upgrade := "\nUpgrade: websocket\nConnection: Upgrade\nSec-WebSocket-Version: 13\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\nOrigin: http://evil.test"
		authz.answers(pass())
		if got := raw(t, p, "GET /api/v2/ranger/private/ HTTP/1.1"+upgrade); got.status != 101 {
			t.Errorf("ranger: got %d, want 101", got.status)
		}
		if h := authz.question(t).GetRequest().GetHttp().GetHeaders(); h["upgrade"] != "websocket" || h["origin"] != "http://evil.test" {
			t.Errorf("asked with %v, want upgrade and origin", h)
		}
		authz.answers(deny(401, "authz.invalid_session"))
		if got := raw(t, p, "GET /api/v2/ranger/private/ HTTP/1.1"+upgrade); got.status != 401 {
			t.Errorf("ranger, denied: got %d, want 401", got.status)
		}
		authz.answers(pass())
		if got := raw(t, p, "GET /api/v2/peatio/public/x HTTP/1.1"+upgrade); got.status != 403 {
			t.Errorf("peatio: got %d, want 403", got.status)
		}
	})

	t.Run("D19: the access log has the decision's id, and no query", func(t *testing.T) {
		answer := pass()
		answer.DynamicMetadata, _ = structpb.NewStruct(map[string]any{"decision": "d-4711"})
		authz.answers(answer)
		raw(t, p, "GET /api/v2/peatio/public/logged?password=hunter2 HTTP/1.1\nCookie: theme=hunter2").echoed(t)
		log := logged(t, p, `"decision":"d-4711"`)
		if !strings.Contains(log, `"path":"/api/v2/peatio/public/logged"`) {
			t.Errorf("got log %s", log)
		}
		if strings.Contains(log, "hunter2") {
			t.Errorf("the log holds a secret")
		}
	})

	t.Run("a component that is away is said in JSON", func(t *testing.T) {
		authz.answers(pass())
		got := raw(t, p, "GET /api/v2/applogic/x HTTP/1.1")
		if got.status != 503 || got.body != `{"errors":["server.internal_error"]}` ||
			got.header.Get("Content-Type") != "application/json" || got.header.Get("Cache-Control") != "no-store" {
			t.Errorf("got %d %q %v", got.status, got.body, got.header)
		}
	})

	t.Run("FX-61: with the authorizer gone the answer is 503, never an allow", func(t *testing.T) {
		authz.server.Stop()
		got := raw(t, p, "GET /api/v2/peatio/public/x HTTP/1.1")
		if got.status != 503 || got.body != `{"errors":["authz.unavailable"]}` || got.header.Get("Retry-After") != "1" ||
			got.header.Get("Content-Type") != "application/json" {
			t.Errorf("got %d %q %v", got.status, got.body, got.header)
		}
	})
}

// authAnswer is the part of an answer that the table of forged headers varies.
type authAnswer struct{ token string }

func contains(all []netip.Addr, a netip.Addr) bool {
	for _, x := range all {
		if x == a.Unmap() {
			return true
		}
	}
	return false
}
