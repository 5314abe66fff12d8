package main

import (
	"crypto/ed25519"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"net/http"
	"net/http/cookiejar"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/golang-jwt/jwt/v5"
	"github.com/lestrrat-go/jwx/v2/jwk"

	"barong/internal/config"
)

// rule is a condition on a claim as the documents write it: `iss` = `barong`, `aud` holds `peatio`.
var rule = regexp.MustCompile("`([a-z]+)` (=|holds) `([^`]+)`")

// The statements of README and docs/upstreams.md on claims are true of the token of every component.
func TestUpstreamsThatDoAsTheDocumentsSayTakeTheToken(t *testing.T) {
	p := serving(t, t.TempDir())
	cookie := "Cookie: _barong_session=" + newBrowser(p).signIn(firstAdmin, p.password()).cookie()
	set, err := jwk.Parse([]byte(text(t, raw(t, p.http, "GET /.well-known/jwks.json"))))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range []string{"README.md", "docs/upstreams.md"} {
		page, err := os.ReadFile("../../" + file)
		if err != nil {
			t.Fatal(err)
		}
		rules := map[string][2]string{}
		for _, m := range rule.FindAllStringSubmatch(string(page), -1) {
			switch m[1] {
			case "iss", "sub", "aud", "azp":
				rules[m[1]] = [2]string{m[2], m[3]}
			}
		}
		if len(rules) != 4 {
			t.Fatalf("%s has rules %v, want iss, sub, aud and azp", file, rules)
		}
		for _, component := range config.Default().Policy.Components {
			if component == "barong" {
				continue
			}
			resp := raw(t, p.forward, "GET /api/v2/auth/api/v2/"+component+"/account/x", cookie)
			bearer, ok := strings.CutPrefix(resp.Header.Get("Authorization"), "Bearer ")
			if !ok {
				t.Fatalf("%s: got %d %s", component, resp.StatusCode, text(t, resp))
			}
			claims, err := verified(bearer, set)
			if err != nil {
				t.Fatalf("%s: %v", component, err)
			}
			for claim, r := range rules {
				if !holds(claims[claim], r[0], r[1]) {
					t.Errorf("%s asks for %s %s %s; the token of %s has %v", file, claim, r[0], r[1], component, claims[claim])
				}
			}
		}
	}
}

func verified(bearer string, set jwk.Set) (jwt.MapClaims, error) {
	var claims jwt.MapClaims
	_, err := jwt.ParseWithClaims(bearer, &claims, func(token *jwt.Token) (any, error) {
		kid, _ := token.Header["kid"].(string)
		key, ok := set.LookupKeyID(kid)
		if !ok {
			return nil, jwt.ErrTokenUnverifiable
		}
		var public any
		err := key.Raw(&public)
		return public, err
	}, jwt.WithValidMethods([]string{"RS256"}), jwt.WithExpirationRequired(), jwt.WithIssuedAt())
	return claims, err
}

func holds(claim any, how, want string) bool {
	if how == "=" {
		return claim == want
	}
	list, _ := claim.([]any)
	for _, v := range list {
		if v == want {
			return true
		}
	}
	return false
}

// The token that a component was given for a superadmin's request opens nothing at Barong's REST.
func TestRESTRefusesTheTokenOfAComponent(t *testing.T) {
	dir := t.TempDir()
	p := serving(t, dir)
	password := p.password()
	p.stop()
	p = serving(t, dir, "BARONG_GATE=off", "BARONG_SESSION_COOKIE_SECURE=false", "BARONG_STAFF_REQUIRES_2FA=false")
	jar, _ := cookiejar.New(nil)
	b := &browser{t: t, p: p, client: http.Client{Jar: jar, Timeout: within}}
	b.signIn(firstAdmin, password)
	cookie := "Cookie: _barong_session=" + b.cookie()
	token := func(path string) string {
		resp := raw(t, p.forward, "GET /api/v2/auth"+path, cookie)
		if resp.StatusCode != http.StatusOK {
			t.Fatalf("%s: got %d %s", path, resp.StatusCode, text(t, resp))
		}
		return resp.Header.Get("Authorization")
	}
	own := token("/api/v2/barong/admin/permissions")
	if resp := raw(t, p.http, "GET /api/v2/admin/permissions", "Authorization: "+own); resp.StatusCode != http.StatusOK {
		t.Errorf("the token of Barong's own path: got %d %s, want 200", resp.StatusCode, text(t, resp))
	}
	ranger := token("/api/v2/ranger/private/x")
	for _, path := range []string{"/api/v2/admin/permissions", "/api/v2/barong/admin/permissions", "/api/v2/resource/users/me"} {
		resp := raw(t, p.http, "GET "+path, "Authorization: "+ranger)
		if body := text(t, resp); resp.StatusCode != http.StatusUnauthorized || !strings.Contains(body, "jwt.decode_and_verify") {
			t.Errorf("%s with the token of ranger: got %d %s, want 401", path, resp.StatusCode, body)
		}
	}
}

func TestPublicKeyForms(t *testing.T) {
	c := newConsole(t)
	c.env = append(c.env, "BARONG_JWT_ALGORITHM=EdDSA")
	block, _ := pem.Decode([]byte(c.run("", "keys public bearer --format pem").want(t, 0).out))
	parsed, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	public, _ := parsed.(ed25519.PublicKey)
	bare, rest := pem.Decode([]byte(c.run("", "keys public bearer --format raw").want(t, 0).out))
	if bare == nil || bare.Type != "PUBLIC KEY" || len(rest) != 0 || !public.Equal(ed25519.PublicKey(bare.Bytes)) {
		t.Errorf("raw: got %v, want PEM around %x", bare, public)
	}
	var shown map[string]string
	if err := json.Unmarshal([]byte(c.run("", "keys public bearer --format jwk").want(t, 0).out), &shown); err != nil {
		t.Fatal(err)
	}
	if shown["kty"] != "OKP" || shown["crv"] != "Ed25519" || shown["kid"] == "" || shown["use"] != "sig" ||
		shown["x"] != base64.RawURLEncoding.EncodeToString(public) || shown["d"] != "" {
		t.Errorf("jwk: got %v, want the same key", shown)
	}
	c.run("", "keys public wire --format raw").want(t, 1, "RS256", "only one for EdDSA")
	c.run("", "keys public bearer --format der").want(t, 2)
}
