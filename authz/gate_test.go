package authz

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"barong/authz/authztest"
)

// gated asks the gate of s in front of a handler, and returns the request and body it saw.
func gated(t *testing.T, s *Server, req *http.Request) (*httptest.ResponseRecorder, *http.Request, string) {
	t.Helper()
	var seen *http.Request
	var body string
	h := s.Gate(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		seen = req
		b, err := io.ReadAll(req.Body)
		if err != nil {
			t.Error(err)
		}
		body = string(b)
		w.WriteHeader(http.StatusTeapot)
	}))
	if req.RemoteAddr == "192.0.2.1:1234" { // httptest's own
		req.RemoteAddr = "127.0.0.1:40000"
	}
	rec := httptest.NewRecorder()
	h.ServeHTTP(rec, req)
	return rec, seen, body
}

// gateServer is a Server for Barong's own API.
func gateServer(t *testing.T) *Server {
	t.Helper()
	f, err := authztest.Parse("gate", []byte(`
about: Barong's own API
rules: [AZ-30]
settings: {csrf_protection: false}
policy:
  permissions: ["member ACCEPT ALL api/v2/peatio", "member AUDIT POST api/v2/peatio/admin", "member ACCEPT ALL api/v2/barong/resource", "member ACCEPT ALL api/v2/barong/admin", "member AUDIT POST api/v2/barong/admin"]
  pass: [api/v2/barong/identity, api/v2/barong/public]
  block: [api/v2/barong/management]
accounts:
  users: [{uid: ID1}]
  sessions: [{name: home, user: ID1, ip: 127.0.0.1}]
cases: [{name: n, request: {path: /x}}]
`))
	if err != nil {
		t.Fatal(err)
	}
	w, err := authztest.NewWorld(f, signingKeys(t))
	if err != nil {
		t.Fatal(err)
	}
	return worldServer(t, w)
}

func local(method, target string, body io.Reader) *http.Request {
	req := httptest.NewRequest(method, "http://localhost"+target, body)
	req.RequestURI = target
	req.Header.Set("User-Agent", authztest.UserAgent)
	return req
}

func TestGateHandsOnWhatWasDecided(t *testing.T) {
	s := gateServer(t)
	for target, want := range map[string]string{
		"/api/v2/barong/resource/users/me":        "/api/v2/barong/resource/users/me",
		"/api/v2/resource/users/me":               "/api/v2/barong/resource/users/me",
		"/api/v2/auth/resource/users/me/":         "/api/v2/barong/resource/users/me",
		"/api/v2/resource/users/%6De?x=1&y=%2F":   "/api/v2/barong/resource/users/me?x=1&y=%2F",
		"/api/v2/resource/labels/caf%c3%a9%20bar": "/api/v2/barong/resource/labels/caf%C3%A9%20bar",
	} {
		t.Run(target, func(t *testing.T) {
			req := local("GET", target, nil)
			req.Header.Set("Cookie", "_barong_session="+authztest.Cookie("home"))
			req.Header.Set("Authorization", "Bearer forged")
			req.Header.Set("JwtUID", "IDX")
			req.Header.Set("Jwtrole", "admin")
			req.Header.Set("X-HTTP-Method-Override", "DELETE")
			rec, seen, _ := gated(t, s, req)
			if rec.Code != http.StatusTeapot {
				t.Fatalf("got %d %s, want the handler's answer", rec.Code, rec.Body)
			}
			if seen.URL.RequestURI() != want || seen.RequestURI != want {
				t.Errorf("the handler sees %s, want %s", seen.URL.RequestURI(), want)
			}
			if a := seen.Header.Values("Authorization"); len(a) != 1 || !strings.HasPrefix(a[0], "Bearer ey") {
				t.Errorf("the handler sees Authorization %q, want the minted one", a)
			}
			for name := range seen.Header {
				switch strings.ToLower(name) {
				case "jwtuid", "jwtrole", "x-http-method-override":
					t.Errorf("the handler sees %s", name)
				}
			}
			if seen.Header.Get("Cookie") == "" {
				t.Error("Barong's own API does not see the session cookie")
			}
		})
	}
}

func TestGateRefuses(t *testing.T) {
	s := gateServer(t)
	for name, test := range map[string]struct {
		req    *http.Request
		status int
		reason string
	}{
		"nobody":                     {local("GET", "/api/v2/resource/users/me", nil), 401, reasonInvalidSession},
		"the blocked path":           {local("POST", "/api/v2/management/labels", nil), 401, reasonPermissionDenied},
		"what is no component":       {local("GET", "/", nil), 401, reasonPermissionDenied},
		"an alias of the key set":    {local("GET", "/.well-known//jwks.json", nil), 401, reasonPermissionDenied},
		"the key set with a query":   {local("GET", "/.well-known/jwks.json?x", nil), 401, reasonPermissionDenied},
		"a method that is none":      {local("TRACE", "/api/v2/public/ping", nil), 405, reasonInvalidMethod},
		"an absolute target":         {absolute(), 401, reasonPermissionDenied},
		"a foreign host":             {hosted("evil.example"), 421, reasonInvalidHost},
		"a host that ends like it":   {hosted("evil.localhost"), 421, reasonInvalidHost},
		"a host that begins like it": {hosted("127.0.0.1.evil.example"), 421, reasonInvalidHost},
		"no host":                    {hosted(""), 421, reasonInvalidHost},
		"another address":            {hosted("192.0.2.1:8001"), 421, reasonInvalidHost},
	} {
		t.Run(name, func(t *testing.T) {
			rec, seen, _ := gated(t, s, test.req)
			if rec.Code != test.status || rec.Body.String() != denialBody(test.reason, "") || seen != nil {
				t.Errorf("got %d %s (handler called: %v), want %d %q", rec.Code, rec.Body, seen != nil, test.status, test.reason)
			}
		})
	}
}

func absolute() *http.Request {
	req := local("GET", "/api/v2/public/ping", nil)
	req.RequestURI = "http://localhost/api/v2/public/ping"
	return req
}

func hosted(host string) *http.Request {
	req := local("GET", "/api/v2/public/ping", nil)
	req.Host = host
	return req
}

func TestGateLetsThrough(t *testing.T) {
	s := gateServer(t)
	for name, req := range map[string]*http.Request{
		"the key set, to everybody": local("GET", jwksPath, nil),
		"a pass path":               local("GET", "/api/v2/public/ping", nil),
		"by an IPv4 address":        hosted("127.0.0.1:8001"),
		"by another loopback":       hosted("127.1.2.3"),
		"by an IPv6 address":        hosted("[::1]:8001"),
		"by an IPv6 address alone":  hosted("[::1]"),
		"by name, in any case":      hosted("LocalHost:8001"),
	} {
		t.Run(name, func(t *testing.T) {
			req.Header.Set("Authorization", "Bearer forged")
			rec, seen, _ := gated(t, s, req)
			if rec.Code != http.StatusTeapot {
				t.Fatalf("got %d %s", rec.Code, rec.Body)
			}
			if a := seen.Header.Get("Authorization"); a != "" {
				t.Errorf("the handler sees Authorization %q", a)
			}
		})
	}
}

// TestGateAuditsBodiesAndHandsThemOn: the beginning of a body is read for the activity, by the
// path that is decided, and the handler still gets all of it. The activity of a longer body is
// about nobody, and holds its hash.
func TestGateAuditsBodiesAndHandsThemOn(t *testing.T) {
	long := `{"uid":"ID1","pad":"` + strings.Repeat("x", maxAuditBody) + `"}`
	for name, x := range map[string]struct{ target, body, about, holds string }{
		"a body":             {"/api/v2/peatio/admin/members", `{"uid":"ID1"}`, "ID1", `"uid":"ID1"`},
		"a path in disguise": {"/api/v2/peatio/%61dmin/members", `{"uid":"ID1"}`, "ID1", `"uid":"ID1"`},
		"duplicates":         {"/api/v2/peatio/admin/members?uid=ID9", `{"uid":"ID8","uid":"ID1"}`, "ID1", `"uid":["ID9","ID8","ID1"]`},
		"a long body":        {"/api/v2/peatio/admin/members", long, "", `"cut":true,"body_bytes":16384,"body_sha256":"`},
	} {
		t.Run(name, func(t *testing.T) {
			s := gateServer(t)
			req := local("POST", x.target, strings.NewReader(x.body))
			req.Header.Set("Cookie", "_barong_session="+authztest.Cookie("home"))
			req.Header.Set("Content-Type", "application/json")
			rec, _, body := gated(t, s, req)
			if rec.Code != http.StatusTeapot || body != x.body {
				t.Errorf("got %d %s and a body of %d bytes, want all %d", rec.Code, rec.Body, len(body), len(x.body))
			}
			rows := s.Activities.(*authztest.World).Activities()
			if len(rows) != 1 || rows[0].TargetUID != x.about || !strings.Contains(rows[0].Data, x.holds) ||
				!strings.Contains(rows[0].Data, `"by":"gate"`) {
				t.Errorf("got activities %+v, want one about %q with %s", rows, x.about, x.holds)
			}
		})
	}
}

// TestGateLeavesStaffChangesToREST: the gate cannot know whether REST makes a change of Barong's
// own. It records no such change, only reads.
func TestGateLeavesStaffChangesToREST(t *testing.T) {
	s := gateServer(t)
	req := local("POST", "/api/v2/admin/users/update", strings.NewReader(`{"uid":"ID1"}`))
	req.Header.Set("Cookie", "_barong_session="+authztest.Cookie("home"))
	if rec, _, _ := gated(t, s, req); rec.Code != http.StatusTeapot {
		t.Fatalf("got %d %s", rec.Code, rec.Body)
	}
	if rows := s.Activities.(*authztest.World).Activities(); len(rows) != 0 {
		t.Errorf("the gate wrote %+v", rows)
	}
}

// TestClientIPOfHTTPRequests: sign-in over REST sees the address that decisions see (AZ-15, D13).
func TestClientIPOfHTTPRequests(t *testing.T) {
	s := gateServer(t)
	req := local("GET", "/", nil)
	req.RemoteAddr = "127.0.0.1:1"
	req.Header["X-Forwarded-For"] = []string{"192.0.2.1", "198.51.100.1"}
	if got := s.ClientIP(req).String(); got != "198.51.100.1" {
		t.Errorf("got %s, want the right-most entry 198.51.100.1", got)
	}
	req.RemoteAddr = "[::ffff:203.0.113.1]:1"
	if got := s.ClientIP(req).String(); got != "203.0.113.1" {
		t.Errorf("got %s, want the untrusted peer 203.0.113.1", got)
	}
	req.RemoteAddr = "@"
	if got := s.ClientIP(req); got.IsValid() {
		t.Errorf("got %s from a peer without address, want none", got)
	}
}

// Nobody vouches for a client that reaches the listener itself.
func TestDirectClientsSayNothingAboutTheirAddress(t *testing.T) {
	s := gateServer(t)
	s.DirectClients = true
	req := local("GET", "/", nil)
	req.RemoteAddr = "127.0.0.1:1"
	req.Header["X-Forwarded-For"] = []string{"198.51.100.1"}
	if got := s.ClientIP(req).String(); got != "127.0.0.1" {
		t.Errorf("got %s, want the peer", got)
	}
}

// A denial can be found in the log by the ids in its answer.
func TestGateNamesItsDenials(t *testing.T) {
	s := gateServer(t)
	for sent, keeps := range map[string]bool{"abc-1": true, "": false, "a b": false, "a\"b": false, "~": false} {
		req := local("GET", "/api/v2/resource/users/me", nil)
		if sent != "" {
			req.Header.Set("X-Request-Id", sent)
		}
		rec, _, _ := gated(t, s, req)
		id, decision := rec.Header().Get("X-Request-Id"), rec.Header().Get(decisionHeader)
		if rec.Code != 401 || (id == sent) != keeps || id == "" || len(decision) != 16 {
			t.Errorf("sent %q: got %d, request %q, decision %q", sent, rec.Code, id, decision)
		}
	}
}

func TestLoopbackHosts(t *testing.T) {
	h := LoopbackHosts(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTeapot) }))
	for host, want := range map[string]int{"localhost:9091": 418, "127.0.0.1:9091": 418, "[::1]:9091": 418, "evil.example": 421, "evil.example:9091": 421, "": 421} {
		rec := httptest.NewRecorder()
		req := httptest.NewRequest("GET", "/metrics", nil)
		req.Host = host
		h.ServeHTTP(rec, req)
		if rec.Code != want {
			t.Errorf("%q: got %d, want %d", host, rec.Code, want)
		}
	}
}
