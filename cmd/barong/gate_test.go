package main

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
)

// Requests that the embedded gate lets through, and those that it refuses: each is sent as it
// is written here, without a client's tidying.
func TestEmbeddedGate(t *testing.T) {
	p := serving(t, t.TempDir())
	admin := newBrowser(p).signIn(firstAdmin, p.password())
	session := "Cookie: _barong_session=" + admin.cookie()
	csrf := "X-CSRF-Token: " + admin.csrf
	me := "/api/v2/resource/users/me"
	// A real token of the gate's own, as an upstream would see it, must not open it.
	forged := "Authorization: Bearer eyJhbGciOiJub25lIn0.eyJ1aWQiOiJJRDAifQ."

	for name, x := range map[string]struct {
		line    string
		headers []string
		status  int
		holds   string
	}{
		"no credential, resource":               {"GET " + me, nil, 401, "authz.invalid_session"},
		"no credential, identity":               {"GET /api/v2/identity/ping", nil, 200, "pong"},
		"no credential, public":                 {"GET /api/v2/public/time", nil, 200, ""},
		"a session":                             {"GET " + me, []string{session}, 200, firstAdmin},
		"a forged token is no credential":       {"GET " + me, []string{forged}, 401, "authz.invalid_session"},
		"a forged token beside a session":       {"GET " + me, []string{forged, session}, 200, firstAdmin},
		"identity headers are nobody's proof":   {"GET " + me, []string{"X-Auth-User: ID0", "X-Uid: ID0", "X-Role: superadmin"}, 401, "authz.invalid_session"},
		"half an API key":                       {"GET " + me, []string{"X-Auth-Apikey: abc"}, 422, "authz.invalid_api_key_headers"},
		"alias with barong":                     {"GET /api/v2/barong/resource/users/me", []string{session}, 200, firstAdmin},
		"alias with auth":                       {"GET /api/v2/auth/resource/users/me", []string{session}, 200, firstAdmin},
		"alias with barong, no credential":      {"GET /api/v2/barong/resource/users/me", nil, 401, "authz.invalid_session"},
		"alias with auth, no credential":        {"GET /api/v2/auth/resource/users/me", nil, 401, "authz.invalid_session"},
		"alias of an alias":                     {"GET /api/v2/barong/auth/resource/users/me", []string{session}, 401, "authz.permission_denied"},
		"two slashes":                           {"GET //api/v2/resource/users/me", []string{session}, 401, "authz.permission_denied"},
		"two slashes inside":                    {"GET /api/v2//public/time", nil, 401, "authz.permission_denied"},
		"an escaped dot segment":                {"GET /api/v2/public/%2e%2e/resource/users/me", []string{session}, 401, "authz.permission_denied"},
		"a dot segment":                         {"GET /api/v2/public/../resource/users/me", nil, 401, "authz.permission_denied"},
		"an escaped slash":                      {"GET /api/v2/public%2Ftime", nil, 401, "authz.permission_denied"},
		"a matrix parameter":                    {"GET /api/v2/public;x/../resource/users/me", nil, 401, "authz.permission_denied"},
		"an escaped letter is that letter":      {"GET /api/v2/%72esource/users/me", nil, 401, "authz.invalid_session"},
		"another name for this machine":         {"GET /api/v2/public/time", []string{"Host: evil.example"}, 421, "authz.invalid_host"},
		"another name, with a session":          {"GET " + me, []string{"Host: evil.example:8001", session}, 421, "authz.invalid_host"},
		"localhost":                             {"GET " + me, []string{"Host: localhost:8001", session}, 200, firstAdmin},
		"a lower-case method":                   {"get " + me, []string{session}, 405, "authz.invalid_method"},
		"an unknown method":                     {"PROPFIND " + me, []string{session}, 405, "authz.invalid_method"},
		"_method is a parameter like others":    {"GET /api/v2/identity/sessions?_method=DELETE", []string{session}, 404, ""},
		"X-HTTP-Method-Override is not heard":   {"GET " + me, []string{session, "X-HTTP-Method-Override: DELETE"}, 200, firstAdmin},
		"management is for peers":               {"POST /api/v2/management/users/list", []string{session, csrf}, 401, "authz"},
		"management by an alias":                {"POST /api/v2/auth/management/users/list", []string{session, csrf}, 401, "authz"},
		"a POST by cookie needs the CSRF token": {"POST /api/v2/resource/otp/generate_qrcode", []string{session}, 401, "authz.missing_csrf_token"},
		"a POST with it":                        {"POST /api/v2/resource/otp/generate_qrcode", []string{session, csrf}, 200, "otpauth"},
		"another component has no upstream":     {"GET /api/v2/peatio/public/markets", nil, 404, ""},
		"an unknown component":                  {"GET /api/v2/elsewhere/x", []string{session}, 401, "authz.permission_denied"},
		"the ops pages are elsewhere":           {"GET /metrics", []string{session}, 401, ""},
		"public keys":                           {"GET /.well-known/jwks.json", []string{forged}, 200, `"keys"`},
	} {
		t.Run(name, func(t *testing.T) {
			resp := raw(t, p.http, x.line, x.headers...)
			body := text(t, resp)
			if resp.StatusCode != x.status || !strings.Contains(body, x.holds) {
				t.Errorf("got %d %s, want %d with %q", resp.StatusCode, body, x.status, x.holds)
			}
			if resp.StatusCode == http.StatusOK && strings.HasPrefix(body, "{") && !json.Valid([]byte(body)) {
				t.Errorf("not JSON: %s", body)
			}
		})
	}
	// The session that was used in all of them still stands.
	admin.want(200, firstAdmin, "GET", me, nil)

	admin.want(200, "", "GET", "/api/v2/public/time?token=hunter2", nil)
	admin.want(401, "", "GET", "/api/v2/elsewhere/x?token=hunter2", nil)
	p.stop()
	for what, secret := range map[string]string{
		"a password": p.password(), "a session": admin.cookie(), "a CSRF token": admin.csrf,
		"a bearer token": "eyJ", "a query's value": "hunter2",
	} {
		if strings.Contains(p.err.String(), secret) {
			t.Errorf("the log holds %s", what)
		}
	}
}

// The forward-auth listener decides and does nothing else.
func TestForwardListener(t *testing.T) {
	p := serving(t, t.TempDir())
	cookie := "Cookie: _barong_session=" + newBrowser(p).signIn(firstAdmin, p.password()).cookie()
	resp := raw(t, p.forward, "GET /api/v2/auth/api/v2/peatio/account/balances", cookie)
	if body := text(t, resp); resp.StatusCode != http.StatusOK || !strings.HasPrefix(resp.Header.Get("Authorization"), "Bearer ") {
		t.Errorf("a session: got %d %s, Authorization %q", resp.StatusCode, body, resp.Header.Get("Authorization"))
	}
	if resp := raw(t, p.forward, "GET /api/v2/auth/api/v2/peatio/account/balances"); resp.StatusCode != http.StatusUnauthorized {
		t.Errorf("no credential: got %d, want 401", resp.StatusCode)
	}
	if resp := raw(t, p.forward, "GET /verify/traefik"); resp.StatusCode != http.StatusBadRequest {
		t.Errorf("/verify without its headers: got %d, want 400", resp.StatusCode)
	}
	for _, path := range []string{"/metrics", "/api/v2/identity/ping", "/healthz"} {
		if resp := raw(t, p.forward, "GET "+path); resp.StatusCode != http.StatusNotFound {
			t.Errorf("%s: got %d, want 404", path, resp.StatusCode)
		}
	}
}
