package main

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	"barong/bearer"
)

// docs/upstreams.md shows the code from here to the end of balances.

// upstream lets only requests with Barong's token through to the components' API.
func upstream(jwks string, api http.Handler) (http.Handler, error) {
	v, err := bearer.New(bearer.Config{
		URL:        jwks, // https, or http to a loopback address or one of PlainHosts
		PlainHosts: []string{"barong"},
	})
	if err != nil {
		return nil, err
	}
	return v.Handler(api), nil // 401, or 503 without any keys
}

// balances is a handler behind it.
func balances(w http.ResponseWriter, r *http.Request) {
	c, _ := bearer.FromContext(r.Context())
	_, _ = fmt.Fprintf(w, "%s %s %d %s\n", c.UID, c.Role, c.Level, c.State)
}

// The document's code takes the token of a component, and no other.
func TestUpstreamExampleInGo(t *testing.T) {
	here, err := os.ReadFile("upstream_example_test.go")
	if err != nil {
		t.Fatal(err)
	}
	_, example, _ := strings.Cut(string(here), "of balances.\n\n")
	example, _, _ = strings.Cut(example, "\n// The document's code")
	if page := document(t, "docs/upstreams.md"); example == "" || !strings.Contains(page, "```go\n"+example+"```\n") {
		t.Error("docs/upstreams.md does not have the code as it is here")
	}

	p := serving(t, t.TempDir())
	cookie := "Cookie: _barong_session=" + newBrowser(p).signIn(firstAdmin, p.password()).cookie()
	token := func(path string) string {
		resp := raw(t, p.forward, "GET /api/v2/auth"+path, cookie)
		if resp.StatusCode != http.StatusOK {
			t.Fatalf("%s: got %d %s", path, resp.StatusCode, text(t, resp))
		}
		return resp.Header.Get("Authorization")
	}
	component, own := token("/api/v2/peatio/account/x"), token("/api/v2/barong/admin/permissions")
	h, err := upstream("http://"+p.http+"/.well-known/jwks.json", http.HandlerFunc(balances))
	if err != nil {
		t.Fatal(err)
	}
	ask := func(authorization string) (int, string) {
		r := httptest.NewRequest(http.MethodGet, "/account/balances", nil)
		r.Header.Set("Authorization", authorization)
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		return w.Code, w.Body.String()
	}
	if code, body := ask(component); code != http.StatusOK || !strings.Contains(body, " superadmin ") || !strings.HasSuffix(body, " active\n") {
		t.Errorf("the token of a component: got %d %s", code, body)
	}
	for name, bad := range map[string]string{
		"of Barong's own path":  own,
		"without its scheme":    strings.TrimPrefix(component, "Bearer "),
		"with another end":      component[:len(component)-8] + "AAAAAAAA",
		"of another algorithm":  "Bearer eyJhbGciOiJub25lIn0." + strings.Split(component, ".")[1] + ".",
		"that is none":          "Bearer x",
		"that is not there":     "",
		"with nothing after it": "Bearer ",
	} {
		if code, body := ask(bad); code != http.StatusUnauthorized {
			t.Errorf("a token %s: got %d %s, want 401", name, code, body)
		}
	}
}
