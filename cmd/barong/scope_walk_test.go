package main

import (
	"encoding/json"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
)

// placeholder is a parameter in a path of a document.
var placeholder = regexp.MustCompile(`[{][a-z_]+[}]`)

// A key whose scope covers no endpoint of ours reaches none of those that the documents have, but for those
// that need no credential and the one by which a key reads itself.
func TestAKeyReachesNothingOutsideItsScope(t *testing.T) {
	const bot = "bot@barong.example"
	c := newConsole(t)
	c.env = []string{"BARONG_DATABASE_URL=sqlite:" + t.TempDir() + "/barong.db", "BARONG_GATE=off"}
	c.run("", "seed").want(t, 0)
	c.person(bot, memberPassword)
	p := serving(t, t.TempDir(), append(c.env, "BARONG_RATE_LIMITS=false", "BARONG_APIKEY_REPLAY=off")...)
	gate := authv3.NewAuthorizationClient(dial(t, p.grpc))
	key := newBotKey(t, signedIn(t, p, gate, bot), "trade")
	ask := func(method, path string) string {
		t.Helper()
		m, err := gate.Check(t.Context(), question(method, path, key.signs("203.0.113.9")))
		if err != nil {
			t.Fatal(err)
		}
		return m.GetDeniedResponse().GetBody() // "" is an allow
	}
	if got := ask("GET", "/api/v2/peatio/market/orders"); got != "" {
		t.Fatalf("within the scope: %s", got)
	}
	outside := 0
	for _, document := range []string{"../../docs/openapi.json", "../../docs/openapi-admin.json"} {
		text, err := os.ReadFile(document)
		if err != nil {
			t.Fatal(err)
		}
		var api struct {
			Servers []struct{ URL string }
			Paths   map[string]map[string]json.RawMessage
		}
		if err := json.Unmarshal(text, &api); err != nil {
			t.Fatal(err)
		}
		for _, path := range slices.Sorted(maps.Keys(api.Paths)) {
			for _, method := range slices.Sorted(maps.Keys(api.Paths[path])) {
				if !slices.Contains([]string{"get", "post", "put", "patch", "delete"}, method) {
					continue
				}
				method = strings.ToUpper(method)
				at := "/api/v2/barong" + placeholder.ReplaceAllString(path, "1")
				open := strings.HasPrefix(at, "/api/v2/barong/identity/") || strings.HasPrefix(at, "/api/v2/barong/public/") ||
					strings.HasPrefix(at, "/api/v2/barong/resource/swagger_doc") || method+" "+at == "GET /api/v2/barong/resource/api_keys/self"
				switch got := ask(method, at); {
				case open && got != "":
					t.Errorf("%s %s: %s, want an allow", method, at, got)
				case open:
				case strings.Contains(got, `"authz.apikey_scope_not_allowed"`):
					outside++
				case !strings.Contains(got, `"authz.invalid_permission"`):
					t.Errorf("%s %s: %q, want a refusal for the scope or the path", method, at, got)
				}
			}
		}
	}
	if outside < 20 {
		t.Errorf("%d endpoints are refused for the scope, want at least 20", outside)
	}
}
