package main

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/MicahParks/keyfunc/v3"
	"github.com/golang-jwt/jwt/v5"
	"golang.org/x/time/rate"
)

// docs/upstreams.md shows the code from here to the end of verify.

// caller is the person or service account of a request.
type caller struct {
	jwt.RegisteredClaims
	AZP   string `json:"azp"`
	UID   string `json:"uid"`
	Email string `json:"email"`
	Role  string `json:"role"`
	Level int    `json:"level"`
	State string `json:"state"`
}

// Validate checks the claims that jwt.ParseWithClaims does not check by its options.
func (c *caller) Validate() error {
	if c.AZP != "components" || c.ID == "" || c.UID == "" {
		return errors.New("not a token for components")
	}
	return nil
}

// keySet fetches the key set of Barong now and every five minutes, and for an unknown kid at most
// every 30 s. It goes on with the last set while Barong is away.
func keySet(ctx context.Context, address string) (keyfunc.Keyfunc, error) {
	return keyfunc.NewDefaultOverrideCtx(ctx, []string{address}, keyfunc.Override{
		RefreshInterval:   5 * time.Minute,
		RefreshUnknownKID: rate.NewLimiter(rate.Every(30*time.Second), 1),
		RateLimitWaitMax:  2 * time.Second, // bounds that fetch; tokens over the limit are refused at once
	})
}

// verify is the caller of a request by its header Authorization, or an error: answer 401.
func verify(authorization string, keys keyfunc.Keyfunc) (*caller, error) {
	bearer, ok := strings.CutPrefix(authorization, "Bearer ")
	if !ok {
		return nil, errors.New("no bearer token")
	}
	c := &caller{}
	_, err := jwt.ParseWithClaims(bearer, c, keys.Keyfunc, jwt.WithValidMethods([]string{"RS256"}),
		jwt.WithIssuer("barong"), jwt.WithSubject("session"), jwt.WithAudience("peatio"),
		jwt.WithExpirationRequired(), jwt.WithIssuedAt())
	if err != nil {
		return nil, err
	}
	return c, nil
}

// The document's code takes the token of a component, and no other.
func TestUpstreamExampleInGo(t *testing.T) {
	here, err := os.ReadFile("upstream_example_test.go")
	if err != nil {
		t.Fatal(err)
	}
	_, example, _ := strings.Cut(string(here), "of verify.\n\n")
	example, _, _ = strings.Cut(example, "\n// The document's code")
	if page := document(t, "docs/upstreams.md"); example == "" || !strings.Contains(page, "```go\n"+example+"```\n") {
		t.Error("docs/upstreams.md does not have the code as it is here")
	}

	dir := t.TempDir()
	p := serving(t, dir)
	cookie := "Cookie: _barong_session=" + newBrowser(p).signIn(firstAdmin, p.password()).cookie()
	token := func(path string) string {
		resp := raw(t, p.forward, "GET /api/v2/auth"+path, cookie)
		if resp.StatusCode != http.StatusOK {
			t.Fatalf("%s: got %d %s", path, resp.StatusCode, text(t, resp))
		}
		return resp.Header.Get("Authorization")
	}
	component, own := token("/api/v2/peatio/account/x"), token("/api/v2/barong/admin/permissions")

	var fetched atomic.Int32
	away := false
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fetched.Add(1)
		if away {
			http.Error(w, "away", http.StatusServiceUnavailable)
			return
		}
		_, _ = w.Write([]byte(text(t, raw(t, p.http, "GET /.well-known/jwks.json"))))
	}))
	defer front.Close()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	keys, err := keySet(ctx, front.URL)
	if err != nil {
		t.Fatal(err)
	}
	c, err := verify(component, keys)
	if err != nil || c.Email != firstAdmin || c.Role != "superadmin" || c.State != "active" {
		t.Errorf("the token of a component: got %+v, %v", c, err)
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
		if c, err := verify(bad, keys); err == nil {
			t.Errorf("a token %s: got %+v, want an error", name, c)
		}
	}

	// Unknown keys cause one fetch in 30 s, and the set outlives an outage.
	away = true
	before := fetched.Load()
	header := jwt.NewWithClaims(jwt.SigningMethodRS256, jwt.MapClaims{})
	header.Header["kid"] = "unknown"
	unsigned, err := header.SigningString()
	if err != nil {
		t.Fatal(err)
	}
	for range 5 {
		if _, err := verify("Bearer "+unsigned+".AAAA", keys); err == nil {
			t.Error("a token of an unknown key is taken")
		}
	}
	if got := fetched.Load() - before; got > 1 {
		t.Errorf("five tokens of unknown keys made %d fetches, want at most one", got)
	}
	if _, err := verify(component, keys); err != nil {
		t.Errorf("while the key set is away: %v", err)
	}
}
