package bearer_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"barong/bearer"
	"barong/bearer/bearertest"
)

// A clock is stepped by its test.
type clock struct{ nanos atomic.Int64 }

func newClock() *clock {
	c := new(clock)
	c.nanos.Store(time.Date(2026, 12, 1, 0, 0, 0, 0, time.UTC).UnixNano())
	return c
}
func (c *clock) now() time.Time        { return time.Unix(0, c.nanos.Load()) }
func (c *clock) step(by time.Duration) { c.nanos.Add(int64(by)) }
func b64(s string) string              { return base64.RawURLEncoding.EncodeToString([]byte(s)) }
func part(token string, n int) string  { return strings.Split(token, ".")[n] }
func until(t *testing.T, f func() bool) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); !f(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("it does not happen in 10 s")
		}
	}
}

func TestClaimsOfEachAlgorithmAreRead(t *testing.T) {
	for _, algorithm := range []string{bearer.RS256, bearer.ES256, bearer.EdDSA} {
		c := newClock()
		i := bearertest.NewAt(t, c.now)
		kid := i.Rotate(t, algorithm)
		v := i.Verifier(t, bearer.Config{Algorithms: []string{algorithm}})
		claims := i.Claims("IDé\"1")
		claims["username"], claims["referral_id"], claims["state"], claims["jti"] = "kim", 7, "pending", "j"
		want := bearer.Claims{
			UID: "IDé\"1", Email: "IDé\"1@example.com", Role: "member", State: "pending", Level: 1, Username: "kim", ReferralID: 7,
			ID: "j", Party: "components", KeyID: kid, IssuedAt: c.now().Add(-time.Second).UTC(), Expires: c.now().Add(300 * time.Second).UTC(),
		}
		for range 2 { // cold and warm
			if got, err := v.Verify(t.Context(), i.Sign(t, claims)); err != nil || got != want {
				t.Errorf("%s: got %+v, %v; want %+v", algorithm, got, err, want)
			}
		}
		delete(claims, "username")
		delete(claims, "referral_id")
		if got, err := v.Verify(t.Context(), i.Sign(t, claims)); err != nil || !got.ServiceAccount || got.Username != "" {
			t.Errorf("%s: a service account: got %+v, %v", algorithm, got, err)
		}
	}
}

// Each forgery differs by one thing from a token that is taken.
func TestForgedTokensAreRefused(t *testing.T) {
	c := newClock()
	i, other := bearertest.NewAt(t, c.now), bearertest.NewAt(t, c.now)
	v := i.Verifier(t, bearer.Config{})
	good := i.Token(t, "ID1")
	if _, err := v.Verify(t.Context(), good); err != nil {
		t.Fatal(err)
	}
	with := func(name string, value any) string {
		claims := i.Claims("ID1")
		if claims[name] = value; value == missing {
			delete(claims, name)
		}
		return i.Sign(t, claims)
	}
	header := func(name string, value any) string {
		return i.SignHeader(t, map[string]any{name: value}, i.Claims("ID1"))
	}
	der, err := x509.MarshalPKIXPublicKey(i.Public())
	if err != nil {
		t.Fatal(err)
	}
	hs256 := func(key []byte) string {
		signed := b64(`{"alg":"HS256","kid":"test-1","typ":"JWT"}`) + "." + part(good, 1)
		mac := hmac.New(sha256.New, key)
		mac.Write([]byte(signed))
		return signed + "." + base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
	}
	now := c.now().Unix()
	payload, _ := base64.RawURLEncoding.DecodeString(part(good, 1))
	for name, tt := range map[string]struct {
		token string
		want  error
	}{
		"alg none":                     {b64(`{"alg":"none","kid":"test-1"}`) + "." + part(good, 1) + ".", bearer.ErrAlgorithm},
		"alg nOnE":                     {b64(`{"alg":"nOnE","kid":"test-1"}`) + "." + part(good, 1) + ".", bearer.ErrAlgorithm},
		"no alg":                       {b64(`{"kid":"test-1"}`) + "." + part(good, 1) + "." + part(good, 2), bearer.ErrAlgorithm},
		"HS256 by the key's PEM":       {hs256(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})), bearer.ErrAlgorithm},
		"HS256 by the key's DER":       {hs256(der), bearer.ErrAlgorithm},
		"PS256":                        {header("alg", "PS256"), bearer.ErrAlgorithm},
		"ES256 that is not configured": {header("alg", "ES256"), bearer.ErrAlgorithm},
		"another issuer's, this kid":   {other.Token(t, "ID1"), bearer.ErrSignature},
		"another kid":                  {header("kid", "test-2"), bearer.ErrUnknownKey},
		"no kid":                       {header("kid", nil), bearer.ErrUnknownKey},
		"a kid that is a number":       {header("kid", 1), bearer.ErrUnknownKey},
		"a kid that is a path":         {header("kid", "../../dev/null"), bearer.ErrUnknownKey},
		"a very long kid":              {header("kid", strings.Repeat("k", 300)), bearer.ErrUnknownKey},
		"jwk":                          {header("jwk", map[string]string{"kty": "RSA"}), bearer.ErrHeader},
		"jku":                          {header("jku", i.URL), bearer.ErrHeader},
		"x5u":                          {header("x5u", i.URL), bearer.ErrHeader},
		"x5c":                          {header("x5c", []string{"MII"}), bearer.ErrHeader},
		"x5t":                          {header("x5t", "AA"), bearer.ErrHeader},
		"x5t#S256":                     {header("x5t#S256", "AA"), bearer.ErrHeader},
		"crit":                         {header("crit", []string{"exp"}), bearer.ErrHeader},
		"a crit that is null":          {header("crit", nil), bearer.ErrHeader},
		"a header with two kids":       {b64(`{"alg":"RS256","kid":"x","kid":"test-1"}`) + "." + part(good, 1) + "." + part(good, 2), bearer.ErrMalformed},
		"a header that is a list":      {b64(`[]`) + "." + part(good, 1) + "." + part(good, 2), bearer.ErrMalformed},
		"another payload":              {part(good, 0) + "." + b64(strings.Replace(string(payload), "member", "admin", 1)) + "." + part(good, 2), bearer.ErrSignature},
		"no signature":                 {part(good, 0) + "." + part(good, 1) + ".", bearer.ErrSignature},
		"a signature with padding":     {good + "==", bearer.ErrMalformed},
		"a signature with a line end":  {good + "\n", bearer.ErrMalformed},
		"four parts":                   {good + ".", bearer.ErrMalformed},
		"two parts":                    {part(good, 0) + "." + part(good, 1), bearer.ErrMalformed},
		"nothing":                      {"", bearer.ErrMalformed},
		"dots":                         {"..", bearer.ErrMalformed},
		"a very long token":            {good + strings.Repeat("A", 8<<10), bearer.ErrMalformed},
		"another iss":                  {with("iss", "barong2"), bearer.ErrClaims},
		"no iss":                       {with("iss", missing), bearer.ErrClaims},
		"a mail's sub":                 {with("sub", "reset"), bearer.ErrClaims},
		"another aud":                  {with("aud", []string{"barong"}), bearer.ErrClaims},
		"an aud that begins so":        {with("aud", "peatio2"), bearer.ErrClaims},
		"an aud that is an object":     {with("aud", map[string]string{"peatio": "peatio"}), bearer.ErrClaims},
		"an aud that is a list of it":  {with("aud", [][]string{{"peatio"}}), bearer.ErrClaims},
		"no aud":                       {with("aud", missing), bearer.ErrClaims},
		"another azp":                  {with("azp", "barong"), bearer.ErrClaims},
		"no azp":                       {with("azp", missing), bearer.ErrClaims},
		"no jti":                       {with("jti", ""), bearer.ErrClaims},
		"no uid":                       {with("uid", missing), bearer.ErrClaims},
		"a uid that is a number":       {with("uid", 1), bearer.ErrClaims},
		"no email":                     {with("email", nil), bearer.ErrClaims},
		"no role":                      {with("role", ""), bearer.ErrClaims},
		"no state":                     {with("state", missing), bearer.ErrClaims},
		"a level that is a text":       {with("level", "3"), bearer.ErrClaims},
		"a level below zero":           {with("level", -1), bearer.ErrClaims},
		"a username that is a number":  {with("username", 1), bearer.ErrClaims},
		"a referral that is a text":    {with("referral_id", "1"), bearer.ErrClaims},
		"no exp":                       {with("exp", missing), bearer.ErrClaims},
		"an exp that is a text":        {with("exp", fmt.Sprint(now+300)), bearer.ErrClaims},
		"an exp beyond all dates":      {with("exp", json.Number("1e300")), bearer.ErrClaims},
		"no iat":                       {with("iat", missing), bearer.ErrClaims},
		"an exp two seconds ago":       {with("exp", now-2), bearer.ErrExpired},
		"an iat in three seconds":      {with("iat", now+3), bearer.ErrEarly},
		"an nbf in three seconds":      {with("nbf", now+3), bearer.ErrEarly},
		"an nbf that is a text":        {with("nbf", "0"), bearer.ErrClaims},
	} {
		got, err := v.Verify(t.Context(), tt.token)
		if !errors.Is(err, tt.want) || !errors.Is(err, bearer.ErrRefused) || got != (bearer.Claims{}) {
			t.Errorf("%s: got %+v, %v; want %v", name, got, err, tt.want)
		}
	}
	for name, token := range map[string]string{
		"an exp a second ago":     with("exp", now-1),
		"an iat in two seconds":   with("iat", now+2),
		"an exp with a fraction":  with("exp", float64(now)+1.5),
		"an aud that is one text": with("aud", "peatio"),
		"a claim nobody knows":    with("apikeys", map[string]any{"uid": []any{"}", `\"`, 1}}),
		"a header with cty":       header("cty", "JWT"),
	} {
		if _, err := v.Verify(t.Context(), token); err != nil {
			t.Errorf("%s: got %v, want it taken", name, err)
		}
	}
}

const missing = "\x00missing"

// Two keys of two algorithms are there: a token must have that of its key.
func TestAlgorithmIsThatOfTheKey(t *testing.T) {
	i := bearertest.New(t)
	i.Rotate(t, bearer.EdDSA)
	v := i.Verifier(t, bearer.Config{Algorithms: []string{bearer.RS256, bearer.EdDSA}})
	token := i.SignHeader(t, map[string]any{"kid": "test-1"}, i.Claims("ID1"))
	if _, err := v.Verify(t.Context(), token); !errors.Is(err, bearer.ErrAlgorithm) {
		t.Errorf("got %v, want ErrAlgorithm", err)
	}
}

func TestConfigurationThatIsNotSafeIsRefused(t *testing.T) {
	for name, c := range map[string]bearer.Config{
		"nothing":            {},
		"both":               {URL: "https://barong/jwks", Keys: []byte("{}")},
		"http":               {URL: "http://barong:8001/jwks"},
		"http, another host": {URL: "http://barong.evil:8001/jwks", PlainHosts: []string{"barong"}},
		"file":               {URL: "file:///etc/jwks"},
		"relative":           {URL: "/jwks"},
		"with a password":    {URL: "https://u:hunter2@barong/jwks"},
		"symmetric":          {URL: "https://barong/jwks", Algorithms: []string{"HS256"}},
		"none":               {URL: "https://barong/jwks", Algorithms: []string{"none"}},
		"an hour of leeway":  {URL: "https://barong/jwks", Leeway: time.Hour},
		"refresh above hold": {URL: "https://barong/jwks", Refresh: 2 * time.Hour},
		"keys that are none": {Keys: []byte("{}")},
	} {
		if _, err := bearer.New(c); err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: got %v, want an error without a secret", name, err)
		}
	}
	for name, c := range map[string]bearer.Config{
		"https": {URL: "https://barong/jwks"}, "named": {URL: "http://barong:8001/jwks", PlainHosts: []string{"barong"}},
		"loopback": {URL: "http://[::1]:8001/jwks"}, "static": {Keys: bearertest.New(t).KeySet()},
	} {
		if _, err := bearer.New(c); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestNewKeyIsFetchedAndWithdrawnOneForgotten(t *testing.T) {
	c := newClock()
	i := bearertest.NewAt(t, c.now)
	v := i.Verifier(t, bearer.Config{})
	old := i.Token(t, "ID1")
	if _, err := v.Verify(t.Context(), old); err != nil {
		t.Fatal(err)
	}
	i.Rotate(t, bearer.RS256)
	fresh := i.Token(t, "ID1")
	if _, err := v.Verify(t.Context(), fresh); !errors.Is(err, bearer.ErrUnknownKey) || i.Fetches() != 1 {
		t.Errorf("at once after a fetch: got %v after %d fetches, want ErrUnknownKey after 1", err, i.Fetches())
	}
	c.step(30 * time.Second)
	for _, token := range []string{fresh, old} {
		if _, err := v.Verify(t.Context(), token); err != nil || i.Fetches() != 2 {
			t.Errorf("after 30 s: got %v after %d fetches, want it taken after 2", err, i.Fetches())
		}
	}
	i.Withdraw()
	c.step(5 * time.Minute)
	_, _ = v.Verify(t.Context(), i.Token(t, "ID1")) // the set is due: fetched in the background
	again := i.Claims("ID1")
	stale := i.SignHeader(t, map[string]any{"kid": "test-1"}, again)
	until(t, func() bool {
		_, err := v.Verify(t.Context(), stale)
		return errors.Is(err, bearer.ErrUnknownKey)
	})
}

// However many tokens of however many unknown keys come, one fetch is made in 30 s.
func TestFloodOfUnknownKeysCostsOneFetch(t *testing.T) {
	c := newClock()
	i := bearertest.NewAt(t, c.now)
	v := i.Verifier(t, bearer.Config{})
	good := i.Token(t, "ID1")
	for round := range 3 {
		c.step(30 * time.Second)
		var all sync.WaitGroup
		for n := range 40 {
			token := i.SignHeader(t, map[string]any{"kid": fmt.Sprint("x", round, n)}, i.Claims("ID1"))
			all.Go(func() {
				if _, err := v.Verify(t.Context(), token); !errors.Is(err, bearer.ErrUnknownKey) {
					t.Errorf("got %v, want ErrUnknownKey", err)
				}
				if _, err := v.Verify(t.Context(), good); err != nil {
					t.Errorf("a good token beside it: %v", err)
				}
			})
		}
		all.Wait()
		if got := i.Fetches(); got != round+1 {
			t.Errorf("after %d rounds %d fetches, want %d", round+1, got, round+1)
		}
	}
}

func TestKeysServeThroughAnOutageUntilTheirBound(t *testing.T) {
	c := newClock()
	i := bearertest.NewAt(t, c.now)
	v := i.Verifier(t, bearer.Config{})
	i.SetAway(true)
	if _, err := v.Verify(t.Context(), i.Token(t, "ID1")); !errors.Is(err, bearer.ErrUnavailable) || errors.Is(err, bearer.ErrRefused) {
		t.Errorf("away from the start: got %v, want ErrUnavailable", err)
	}
	c.step(time.Second)
	i.SetAway(false)
	if _, err := v.Verify(t.Context(), i.Token(t, "ID1")); err != nil {
		t.Errorf("a second later: %v", err)
	}
	i.SetAway(true)
	before := i.Fetches()
	for range 59 {
		c.step(time.Minute)
		if _, err := v.Verify(t.Context(), i.Token(t, "ID1")); err != nil {
			t.Fatalf("in the outage: %v", err)
		}
	}
	if got := i.Fetches() - before; got > 60 {
		t.Errorf("%d fetches in 59 minutes, want at most one a minute", got)
	}
	c.step(time.Minute)
	if _, err := v.Verify(t.Context(), i.Token(t, "ID1")); !errors.Is(err, bearer.ErrUnavailable) {
		t.Errorf("after an hour: got %v, want ErrUnavailable", err)
	}
	i.SetAway(false)
	c.step(time.Second)
	if _, err := v.Verify(t.Context(), i.Token(t, "ID1")); err != nil {
		t.Errorf("after the outage: %v", err)
	}
}

// Whoever answers in place of Barong changes no key.
func TestAnswersThatAreNoKeySetChangeNothing(t *testing.T) {
	c := newClock()
	i := bearertest.NewAt(t, c.now)
	thief := bearertest.NewAt(t, c.now)
	thief.Rotate(t, bearer.RS256)
	var answer http.HandlerFunc = i.ServeHTTP
	var mu sync.Mutex
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		answer(w, r)
	}))
	defer server.Close()
	v, err := bearer.New(bearer.Config{URL: server.URL, Now: c.now})
	if err != nil {
		t.Fatal(err)
	}
	if err := v.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	set := string(thief.KeySet())
	for name, f := range map[string]http.HandlerFunc{
		"a redirect": func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, thief.URL, http.StatusFound) },
		"a 201":      func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(201); w.Write([]byte(set)) },
		"64 KiB":     func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte(set + strings.Repeat(" ", 64<<10))) },
		"broken off": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "9999")
			w.Write([]byte(set))
		},
		"HTML":    func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte("<html>")) },
		"no keys": func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte(`{"keys":[]}`)) },
	} {
		mu.Lock()
		answer = f
		mu.Unlock()
		if err := v.Refresh(t.Context()); !errors.Is(err, bearer.ErrUnavailable) || strings.Contains(err.Error(), "127.0.0.1") {
			t.Errorf("%s: got %v, want ErrUnavailable without the address", name, err)
		}
		if _, err := v.Verify(t.Context(), i.Token(t, "ID1")); err != nil {
			t.Errorf("%s: the old keys: %v", name, err)
		}
		if _, err := v.Verify(t.Context(), thief.Token(t, "ID1")); err == nil {
			t.Errorf("%s: the keys of the thief are taken", name)
		}
	}
}

func TestWarmVerificationIsCheap(t *testing.T) {
	i := bearertest.New(t)
	i.Rotate(t, bearer.EdDSA)
	v := i.Verifier(t, bearer.Config{Algorithms: []string{bearer.EdDSA}})
	token := i.Token(t, "ID1")
	if n := testing.AllocsPerRun(100, func() {
		if _, err := v.Verify(t.Context(), token); err != nil {
			t.Error(err)
		}
	}); n > 4 {
		t.Errorf("%v allocations, want at most 4", n)
	}
}

func BenchmarkVerifyWarm(b *testing.B) {
	for _, algorithm := range []string{bearer.RS256, bearer.ES256, bearer.EdDSA} {
		b.Run(algorithm, func(b *testing.B) {
			i := bearertest.New(b)
			i.Rotate(b, algorithm)
			v := i.Verifier(b, bearer.Config{Algorithms: []string{algorithm}})
			token := i.Token(b, "ID1")
			b.ReportAllocs()
			for b.Loop() {
				if _, err := v.Verify(b.Context(), token); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
