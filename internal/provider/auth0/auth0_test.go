package auth0_test

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"errors"
	"math/big"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"barong/internal/provider/auth0"
	"barong/internal/token"
)

// signer is the tenant's key: made once for the test binary.
var signer = sync.OnceValue(func() *rsa.PrivateKey {
	k, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return k
})

// tenant is a fake of Auth0.
type tenant struct {
	*httptest.Server
	mu      sync.Mutex
	kids    []string
	status  int
	body    string // instead of a set, when not ""
	fetches int
	hold    chan struct{} // fetches say so on entered and wait for it, when not nil
	entered chan struct{}
	now     time.Time
}

func newTenant(t *testing.T, kids ...string) *tenant {
	s := &tenant{kids: kids, status: http.StatusOK, now: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)}
	s.Server = httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		s.fetches++
		status, body, hold := s.status, s.body, s.hold
		if body == "" {
			body = keySet(s.kids...)
		}
		s.mu.Unlock()
		if hold != nil {
			s.entered <- struct{}{}
			<-hold
		}
		if r.Method != http.MethodGet || r.URL.Path != "/.well-known/jwks.json" {
			t.Errorf("asked %s %s", r.Method, r.URL)
		}
		w.Header().Set("Location", "/.well-known/jwks.json")
		w.WriteHeader(status)
		w.Write([]byte(body))
	}))
	t.Cleanup(s.Close)
	return s
}

func keySet(kids ...string) string {
	var keys []any
	for _, kid := range kids {
		keys = append(keys, map[string]any{
			"kty": "RSA", "kid": kid, "use": "sig", "alg": "RS256",
			"n": base64.RawURLEncoding.EncodeToString(signer().N.Bytes()),
			"e": base64.RawURLEncoding.EncodeToString(big.NewInt(int64(signer().E)).Bytes()),
		})
	}
	b, _ := json.Marshal(map[string]any{"keys": keys})
	return string(b)
}

func (s *tenant) domain() string { return strings.TrimPrefix(s.URL, "https://") }

// set changes the tenant's behaviour under its lock.
func (s *tenant) set(f func()) { s.mu.Lock(); defer s.mu.Unlock(); f() }

func (s *tenant) count() int { s.mu.Lock(); defer s.mu.Unlock(); return s.fetches }

func (s *tenant) verifier(t *testing.T) *auth0.Verifier {
	t.Helper()
	v, err := auth0.New(auth0.Config{Domain: s.domain(), ClientID: "client-1"}, s.Client().Transport, func() time.Time {
		s.mu.Lock()
		defer s.mu.Unlock()
		return s.now
	})
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func idToken(domain, kid string, now time.Time) string {
	t := jwt.NewWithClaims(jwt.SigningMethodRS256, jwt.MapClaims{
		"iss": "https://" + domain + "/", "aud": "client-1", "sub": "auth0|1", "email": "ann@example.com",
		"iat": now.Unix(), "exp": now.Unix() + 3600,
	})
	t.Header["kid"] = kid
	text, err := t.SignedString(signer())
	if err != nil {
		panic(err)
	}
	return text
}

func (s *tenant) idToken(kid string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return idToken(s.domain(), kid, s.now)
}

// outage is an error that is not the token's fault.
func outage(err error) bool {
	return errors.Is(err, auth0.ErrOutage) && !errors.Is(err, token.ErrIDToken)
}

// W-I5: keys are kept 10 minutes and fetched again for a kid that is not among them.
func TestKeysAreFetchedSeldom(t *testing.T) {
	s := newTenant(t, "k1")
	v := s.verifier(t)
	if n := s.count(); n != 0 {
		t.Fatalf("%d fetches before anybody signs in", n)
	}
	for i, step := range []struct {
		name    string
		after   time.Duration
		change  func()
		kid     string
		ok      bool
		fetches int
	}{
		{"the first sign-in fetches", 0, nil, "k1", true, 1},
		{"the next does not", 9 * time.Second, nil, "k1", true, 1},
		{"an unknown kid at once is refused without a fetch", 0, nil, "k2", false, 1},
		{"after ten seconds it makes a fetch", time.Second, nil, "k2", false, 2},
		{"but not another one", 9 * time.Second, nil, "k3", false, 2},
		{"a known kid goes on", 0, nil, "k1", true, 2},
		{"a new key is found", time.Second, func() { s.kids = []string{"k2"} }, "k2", true, 3},
		{"and the old one forgotten", 10 * time.Second, nil, "k1", false, 4},
		{"young keys are kept", 10*time.Minute - time.Nanosecond, nil, "k2", true, 4},
		{"old ones are fetched again", time.Nanosecond, nil, "k2", true, 5},
	} {
		s.set(func() {
			s.now = s.now.Add(step.after)
			if step.change != nil {
				step.change()
			}
		})
		c, err := v.Verify(t.Context(), s.idToken(step.kid))
		if (err == nil) != step.ok || !step.ok && !errors.Is(err, token.ErrIDToken) || step.ok && c.Email != "ann@example.com" {
			t.Errorf("step %d, %s: %v (%v), want success %v", i+1, step.name, c, err, step.ok)
		}
		if n := s.count(); n != step.fetches {
			t.Errorf("step %d, %s: %d fetches, want %d", i+1, step.name, n, step.fetches)
		}
	}
}

// Design D20: an outage is not the token's fault, and never a pass.
func TestWithoutKeysNobodyIsJudged(t *testing.T) {
	for name, change := range map[string]func(*tenant){
		"an error":           func(s *tenant) { s.status = 500 },
		"a redirect":         func(s *tenant) { s.status = http.StatusFound },
		"a page":             func(s *tenant) { s.body = "<html>" },
		"no usable key":      func(s *tenant) { s.body = `{"keys":[]}` },
		"an endless answer":  func(s *tenant) { s.body = strings.Repeat(" ", 300<<10) + keySet("k1") },
		"nobody who listens": func(s *tenant) { go s.CloseClientConnections(); s.Listener.Close() },
	} {
		t.Run(name, func(t *testing.T) {
			s := newTenant(t, "k1")
			v := s.verifier(t)
			s.set(func() { change(s) })
			if _, err := v.Verify(t.Context(), s.idToken("k1")); !outage(err) {
				t.Errorf("at first: %v, want an outage", err)
			}
		})
	}
	s := newTenant(t, "k1")
	v := s.verifier(t)
	if _, err := v.Verify(t.Context(), s.idToken("k1")); err != nil {
		t.Fatal(err)
	}
	s.set(func() { s.status, s.now = 500, s.now.Add(9*time.Minute) })
	if _, err := v.Verify(t.Context(), s.idToken("k1")); err != nil {
		t.Errorf("with young keys: %v, want them used", err)
	}
	if _, err := v.Verify(t.Context(), s.idToken("k2")); !outage(err) {
		t.Errorf("an unknown kid: %v, want an outage", err)
	}
	if _, err := v.Verify(t.Context(), s.idToken("k2")); !errors.Is(err, token.ErrIDToken) {
		t.Errorf("an unknown kid again: %v, want it refused without a fetch", err)
	}
	s.set(func() { s.now = s.now.Add(time.Minute) })
	if _, err := v.Verify(t.Context(), s.idToken("k1")); !outage(err) {
		t.Errorf("with old keys: %v, want an outage", err)
	}
	s.set(func() { s.status = 200 })
	if _, err := v.Verify(t.Context(), s.idToken("k1")); err != nil {
		t.Errorf("when the tenant is back: %v, want no wait", err)
	}
}

func TestOneFetchServesAll(t *testing.T) {
	s := newTenant(t, "k1")
	hold := make(chan struct{})
	s.set(func() { s.hold, s.entered = hold, make(chan struct{}, 9) })
	v := s.verifier(t)
	text := s.idToken("k1")

	ctx, cancel := context.WithCancel(t.Context())
	left := make(chan error)
	go func() { _, err := v.Verify(ctx, text); left <- err }()
	<-s.entered
	errs := make(chan error)
	for range 8 {
		go func() { _, err := v.Verify(t.Context(), text); errs <- err }()
	}
	cancel() // the caller for whom the fetch began leaves
	if err := <-left; !errors.Is(err, context.Canceled) {
		t.Errorf("who left: %v, want context.Canceled", err)
	}
	close(hold)
	for range 8 {
		if err := <-errs; err != nil {
			t.Errorf("who stayed: %v", err)
		}
	}
	if n := s.count(); n != 1 {
		t.Errorf("%d fetches, want one", n)
	}
}

type transport func(*http.Request) (*http.Response, error)

func (f transport) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func TestAFetchEndsAfterThreeSeconds(t *testing.T) {
	signer() // outside the bubble
	synctest.Test(t, func(t *testing.T) {
		v, err := auth0.New(auth0.Config{Domain: "tenant.example", ClientID: "client-1"}, transport(func(r *http.Request) (*http.Response, error) {
			<-r.Context().Done()
			return nil, r.Context().Err()
		}), nil)
		if err != nil {
			t.Fatal(err)
		}
		begin := time.Now()
		_, err = v.Verify(t.Context(), idToken("tenant.example", "k1", begin))
		if took := time.Since(begin); !outage(err) || took != 3*time.Second {
			t.Errorf("got %v after %v, want an outage after 3s", err, took)
		}
	})
}

// W-I5: when not configured the token is refused without a call.
func TestNotConfigured(t *testing.T) {
	v, err := auth0.New(auth0.Config{}, transport(func(*http.Request) (*http.Response, error) {
		t.Error("called out")
		return nil, errors.New("no")
	}), nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := v.Verify(t.Context(), "a.b.c"); !errors.Is(err, token.ErrIDToken) {
		t.Errorf("got %v, want ErrIDToken", err)
	}
}

func TestConfigurationIsChecked(t *testing.T) {
	for _, c := range []auth0.Config{
		{Domain: "tenant.example"},
		{ClientID: "c"},
		{Domain: "https://tenant.example", ClientID: "c"},
		{Domain: "tenant.example/", ClientID: "c"},
		{Domain: "tenant.example/path", ClientID: "c"},
		{Domain: "user@tenant.example", ClientID: "c"},
		{Domain: "tenant.example?x", ClientID: "c"},
		{Domain: "tenant.example#x", ClientID: "c"},
		{Domain: "tenant example", ClientID: "c"},
		{Domain: "a\x7fb", ClientID: "c"},
	} {
		if _, err := auth0.New(c, nil, nil); err == nil {
			t.Errorf("%+v is accepted", c)
		}
	}
	if _, err := auth0.New(auth0.Config{Domain: "tenant.eu.auth0.com", ClientID: "c"}, nil, nil); err != nil {
		t.Errorf("a good one: %v", err)
	}
}
