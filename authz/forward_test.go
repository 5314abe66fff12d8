package authz

import (
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"barong/authz/authztest"
)

// TestVerify replays questions in the shape of nginx, Traefik and Caddy.
func TestVerify(t *testing.T) {
	w := small(t)
	s := worldServer(t, w)
	home := "lang=en; _barong_session=" + authztest.Cookie("home")
	for name, test := range map[string]struct {
		proxy  string
		peer   string
		header http.Header
		status int
		want   http.Header // "" is absence
		body   string
	}{
		"an allow says token, cookie and what to remove": {
			proxy:  "traefik",
			header: http.Header{"X-Forwarded-Method": {"GET"}, "X-Forwarded-Uri": {"/api/v2/peatio/market/orders"}, "Cookie": {home}},
			status: 200, want: http.Header{"Cookie": {"lang=en"}},
		},
		"an allow on a pass path says that the client's token goes": {
			proxy:  "caddy",
			header: http.Header{"X-Forwarded-Method": {"GET"}, "X-Forwarded-Uri": {"/api/v2/peatio/public/ping"}, "Authorization": {"Bearer forged"}},
			status: 200, want: http.Header{"Authorization": {""}, "Cookie": {""}},
		},
		"a cookie that stays is said too": {
			proxy:  "nginx",
			header: http.Header{"X-Forwarded-Method": {"GET"}, "X-Forwarded-Uri": {"/api/v2/peatio/public/ping"}, "Cookie": {"lang=en"}},
			status: 200, want: http.Header{"Cookie": {"lang=en"}},
		},
		"traefik gets the denial as it is": {
			proxy:  "traefik",
			header: http.Header{"X-Forwarded-Method": {"GET"}, "X-Forwarded-Uri": {"/api/v2/peatio/market/orders"}, "X-Auth-Nonce": {"1"}},
			status: 422, body: `{"errors":["authz.invalid_api_key_headers"]}`,
		},
		"nginx gets 403 and the status beside it": {
			proxy:  "nginx",
			header: http.Header{"X-Forwarded-Method": {"GET"}, "X-Forwarded-Uri": {"/api/v2/peatio/market/orders"}, "X-Auth-Nonce": {"1"}},
			status: 403, body: `{"errors":["authz.invalid_api_key_headers"]}`,
			want: http.Header{"X-Barong-Status": {"422"}, "X-Barong-Reason": {"authz.invalid_api_key_headers"}},
		},
		"nginx gets 401 as 401": {
			proxy:  "nginx",
			header: http.Header{"X-Forwarded-Method": {"GET"}, "X-Forwarded-Uri": {"/api/v2/peatio/market/orders"}},
			status: 401, want: http.Header{"X-Barong-Status": {"401"}, "X-Barong-Reason": {"authz.invalid_session"}},
		},
		"the method is the forwarded one": {
			proxy:  "traefik",
			header: http.Header{"X-Forwarded-Method": {"POST"}, "X-Forwarded-Uri": {"/api/v2/peatio/market/orders"}, "Cookie": {home}},
			status: 401, body: `{"errors":["authz.missing_csrf_token"]}`,
		},
		"without a method it is 400": {
			proxy: "traefik", header: http.Header{"X-Forwarded-Uri": {"/api/v2/peatio/public/ping"}}, status: 400,
		},
		"without a URI it is 400": {
			proxy: "traefik", header: http.Header{"X-Forwarded-Method": {"GET"}}, status: 400,
		},
		"with two URIs it is 400": {
			proxy: "caddy", status: 400,
			header: http.Header{"X-Forwarded-Method": {"GET"}, "X-Forwarded-Uri": {"/api/v2/peatio/public/ping", "/api/v2/x"}},
		},
		"with an absolute URI it is 400": {
			proxy: "caddy", status: 400,
			header: http.Header{"X-Forwarded-Method": {"GET"}, "X-Forwarded-Uri": {"http://x/api/v2/peatio/public/ping"}},
		},
		"a stranger is not believed": {
			proxy: "traefik", peer: "198.51.100.1:1", status: 403,
			header: http.Header{"X-Forwarded-Method": {"GET"}, "X-Forwarded-Uri": {"/api/v2/peatio/public/ping"}},
		},
		"nor anybody without an address": {
			proxy: "traefik", peer: "@", status: 403,
			header: http.Header{"X-Forwarded-Method": {"GET"}, "X-Forwarded-Uri": {"/api/v2/peatio/public/ping"}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			req := httptest.NewRequest("GET", "/verify/"+test.proxy, nil)
			req.Header = test.header
			req.Header.Set("X-Forwarded-For", authztest.Client)
			req.Header.Set("User-Agent", authztest.UserAgent)
			req.RemoteAddr = "127.0.0.1:40000"
			if test.peer != "" {
				req.RemoteAddr = test.peer
			}
			rec := httptest.NewRecorder()
			s.Forward().ServeHTTP(rec, req)
			if rec.Code != test.status {
				t.Errorf("got %d %s, want %d", rec.Code, rec.Body, test.status)
			}
			if test.body != "" && rec.Body.String() != test.body {
				t.Errorf("got body %s, want %s", rec.Body, test.body)
			}
			for header, want := range test.want {
				if got := rec.Header().Get(header); got != want[0] {
					t.Errorf("got %s %q, want %q", header, got, want[0])
				}
			}
			removed := strings.Split(rec.Header().Get("X-Envoy-Auth-Headers-To-Remove"), ",")
			if rec.Code == 200 && rec.Header().Get("Authorization") == "" && !slices.Contains(removed, "authorization") {
				t.Errorf("an allow without token does not remove the client's, only %q", removed)
			}
			if rec.Code != 200 && rec.Header().Get("Authorization") != "" {
				t.Error("a denial carries a token")
			}
		})
	}
}

// TestForwardServesNothingElse: the listener answers 404 to whatever is no question (AZ-4).
func TestForwardServesNothingElse(t *testing.T) {
	h := worldServer(t, small(t)).Forward()
	for _, target := range []string{
		"/", "/api/v2/auth", "/api/v2/auth/", "/api/v2/authx/api/v2/x", "/verify", "/verify/",
		"/verify/nginx/", "/verify/haproxy", "/metrics", "/api/v2/identity/ping", "*",
		"http://host/api/v2/auth/api/v2/peatio/public/ping",
	} {
		req := httptest.NewRequest("GET", "/", nil)
		req.RequestURI = target
		rec := httptest.NewRecorder()
		h.ServeHTTP(rec, req)
		if rec.Code != http.StatusNotFound {
			t.Errorf("%s: got %d, want 404", target, rec.Code)
		}
	}
}

// TestForwardTakesThePathFromTheRequestLineOnly is FX-7 for Envoy's HTTP mode.
func TestForwardTakesThePathFromTheRequestLineOnly(t *testing.T) {
	h := worldServer(t, small(t)).Forward()
	req := httptest.NewRequest("GET", "/api/v2/auth/api/v2/peatio/market/orders", nil)
	for _, name := range []string{"X-Forwarded-Uri", "X-Original-Url", "X-Rewrite-Url"} {
		req.Header.Set(name, "/api/v2/peatio/public/ping")
	}
	req.RemoteAddr = "127.0.0.1:1"
	rec := httptest.NewRecorder()
	h.ServeHTTP(rec, req)
	if rec.Code != http.StatusUnauthorized {
		t.Errorf("got %d, want 401 for the path that was asked", rec.Code)
	}
}

// TestDenialsOverHTTP looks at the headers of a denial (FX-32, FX-16, design D20).
func TestDenialsOverHTTP(t *testing.T) {
	for name, test := range map[string]struct {
		d    decision
		want map[string]string
	}{
		"a plain denial": {
			decision{status: 401, reason: "authz.invalid_session"},
			map[string]string{"Content-Type": "application/json", "Cache-Control": "no-store", "Set-Cookie": "", "Retry-After": ""},
		},
		"a mismatch deletes the cookie": {
			decision{status: 401, reason: "authz.client_session_mismatch", clearCookie: "_barong_session=; path=/; Max-Age=0"},
			map[string]string{"Set-Cookie": "_barong_session=; path=/; Max-Age=0"},
		},
		"an outage says when to come again": {
			decision{status: 503, reason: reasonUnavailable, outage: true},
			map[string]string{"Retry-After": retryAfter},
		},
	} {
		t.Run(name, func(t *testing.T) {
			rec := httptest.NewRecorder()
			plainDenial(rec, &test.d)
			if rec.Code != test.d.status || rec.Body.String() != denialBody(test.d.reason, test.d.detail) {
				t.Errorf("got %d %s", rec.Code, rec.Body)
			}
			for header, want := range test.want {
				if got := rec.Header().Get(header); got != want {
					t.Errorf("got %s %q, want %q", header, got, want)
				}
			}
		})
	}
}

// Caddy takes an answer with a decision's id alone for an allow. A denial's goes to the client, and
// has none.
func TestAllowsHaveTheDecision(t *testing.T) {
	s := worldServer(t, small(t))
	for _, path := range []string{"/verify/caddy", "/verify/traefik", "/verify/nginx"} {
		for target, want := range map[string]int{"/api/v2/peatio/public/ping": 16, "/api/v2/peatio/market/orders": 0} {
			req := httptest.NewRequest(http.MethodGet, path, nil)
			req.Header.Set("X-Forwarded-Method", "GET")
			req.Header.Set("X-Forwarded-Uri", target)
			req.RemoteAddr = "127.0.0.1:1"
			w := httptest.NewRecorder()
			s.Forward().ServeHTTP(w, req)
			if id := w.Header().Get("X-Barong-Decision"); len(id) != want || (w.Code == http.StatusOK) != (want > 0) {
				t.Errorf("%s for %s: got %d and decision id %q, want one of %d characters", path, target, w.Code, id, want)
			}
		}
	}
}

// Envoy's HTTP mode reads the decision id from the answer, allowed or not, for its log.
func TestForwardTellsEnvoyTheDecision(t *testing.T) {
	s := worldServer(t, small(t))
	seen := map[string]bool{}
	for path, status := range map[string]int{
		"/api/v2/auth/api/v2/peatio/public/ping":   http.StatusOK,
		"/api/v2/auth/api/v2/peatio/market/orders": http.StatusUnauthorized,
	} {
		w := httptest.NewRecorder()
		s.Forward().ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
		id := w.Header().Get("X-Barong-Decision")
		if w.Code != status || len(id) != 16 || seen[id] {
			t.Errorf("%s: got %d and decision id %q, want %d and a new id", path, w.Code, id, status)
		}
		seen[id] = true
	}
}
