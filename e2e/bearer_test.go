package e2e_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"barong/bearer"
	"barong/bearer/bearertest"
)

// An upstream that verifies by package bearer takes every token of a running gate while the key rotates under
// load and while the key set is away for ten minutes, and takes nothing else.
func TestUpstreamVerifiesTheTokensOfTheGate(t *testing.T) {
	s := startStack(t, "BARONG_JWT_EXPIRE_TIME=3600s", "BARONG_JWT_REUSE=0s", "BARONG_JWKS_MAX_AGE=10s")
	rest := "http://" + s.barong.HTTP + "/.well-known/jwks.json"
	var away atomic.Bool
	var ahead atomic.Int64 // of the machine's clock
	var refused atomic.Int64
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		resp, err := http.Get(rest)
		if err != nil || away.Load() {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		defer resp.Body.Close()
		w.Header().Set("Cache-Control", resp.Header.Get("Cache-Control"))
		io.Copy(w, resp.Body)
	}))
	defer front.Close()
	config := bearer.Config{URL: front.URL, Now: func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }}
	v, err := bearer.New(config)
	must(t, err)
	var last atomic.Pointer[string]
	up := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, err := v.VerifyRequest(r)
		if err != nil || c.Email != "member@example.com" {
			refused.Add(1)
			t.Errorf("a token of the gate: got %+v, %v", c, err)
		}
		token := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
		last.Store(&token)
		io.WriteString(w, c.KeyID)
	}))
	defer up.Close()
	s.echo = strings.TrimPrefix(up.URL, "http://")
	p := s.gateway(t, "nginx")
	member := signIn(t, p, "member")
	ask := func() string {
		got := raw(t, p, "GET /api/v2/peatio/account/balances HTTP/1.1\n"+member.lines())
		if got.status != http.StatusOK {
			t.Errorf("got %d %s, want 200", got.status, got.body)
		}
		return got.body
	}

	// The key rotates under load.
	first := ask()
	rotate := exec.CommandContext(t.Context(), barongBin(t), "keys", "rotate")
	rotate.Dir = s.barong.Dir
	rotate.Env = append(os.Environ(), "BARONG_DATABASE_URL=sqlite:barong.db", "BARONG_JWT_EXPIRE_TIME=3600s", "BARONG_JWKS_MAX_AGE=10s", "BARONG_JWT_REUSE=0s")
	if out, err := rotate.CombinedOutput(); err != nil {
		t.Fatalf("keys rotate: %v\n%s", err, out)
	}
	var taken atomic.Int64
	var load sync.WaitGroup
	end := time.Now().Add(3 * time.Minute)
	var rotated atomic.Bool
	for range 4 {
		load.Go(func() {
			for after := 0; after < 20 && time.Now().Before(end) && !t.Failed(); time.Sleep(5 * time.Millisecond) {
				if ask() != first {
					rotated.Store(true)
					after++
				}
				taken.Add(1)
			}
		})
	}
	load.Wait()
	if !rotated.Load() {
		t.Error("the key does not rotate")
	}

	// The set is away for ten minutes.
	away.Store(true)
	for range 20 {
		ahead.Add(int64(30 * time.Second))
		ask()
		taken.Add(1)
	}
	away.Store(false)

	// Forgeries.
	good := *last.Load()
	parts := strings.Split(good, ".")
	kid := ask()
	forger := bearertest.New(t)
	claims := forger.Claims("ID1")
	forged := func(name string, value any) string {
		return forger.SignHeader(t, map[string]any{"kid": kid, name: value}, claims)
	}
	encode := base64.RawURLEncoding.EncodeToString
	public := exec.CommandContext(t.Context(), barongBin(t), "keys", "public", "bearer")
	public.Dir, public.Env = rotate.Dir, rotate.Env
	pem, err := public.Output()
	must(t, err)
	signed := encode([]byte(`{"alg":"HS256","kid":"`+kid+`"}`)) + "." + parts[1]
	mac := hmac.New(sha256.New, pem)
	mac.Write([]byte(signed))
	own := raw(t, at("http://"+s.barong.Forward), "GET /api/v2/auth/api/v2/barong/resource/users/me HTTP/1.1\n"+member.lines()).header.Get("Authorization")
	for name, token := range map[string]string{
		"none":                        encode([]byte(`{"alg":"none","kid":"`+kid+`"}`)) + "." + parts[1] + ".",
		"HS256 by the public key":     signed + "." + encode(mac.Sum(nil)),
		"another key of this kid":     forged("typ", "JWT"),
		"another kid":                 forged("kid", "test-1"),
		"its key in jwk":              forged("jwk", map[string]string{"kty": "RSA"}),
		"its key at jku":              forged("jku", forger.URL),
		"another payload":             parts[0] + "." + encode([]byte(`{}`)) + "." + parts[2],
		"of Barong's own path by azp": strings.TrimPrefix(own, "Bearer "),
	} {
		if token == "" {
			t.Errorf("%s: there is no such token", name)
		}
		if c, err := v.Verify(t.Context(), token); !errors.Is(err, bearer.ErrRefused) {
			t.Errorf("%s: got %+v, %v; want it refused", name, c, err)
		}
	}
	other := config
	other.Audience = "ranger"
	o, err := bearer.New(other)
	must(t, err)
	if _, err := o.Verify(t.Context(), good); !errors.Is(err, bearer.ErrClaims) {
		t.Errorf("another aud: got %v, want ErrClaims", err)
	}
	ahead.Add(int64(time.Hour))
	must(t, v.Refresh(t.Context()))
	if _, err := v.Verify(t.Context(), good); !errors.Is(err, bearer.ErrExpired) {
		t.Errorf("an hour later: got %v, want ErrExpired", err)
	}
	t.Logf("%d tokens taken, %d refused", taken.Load(), refused.Load())
}

// An at is a listener by its URL.
type at string

func (a at) URL() string { return string(a) }
