// Package bearertest stands in for Barong in the tests of an upstream: it makes tokens, and serves the
// key set that verifies them.
package bearertest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/big"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"barong/bearer"
)

// An Issuer signs tokens as Barong does. It is safe for concurrent use.
type Issuer struct {
	// URL is where the key set is.
	URL string

	now func() time.Time
	mu  sync.Mutex
	// all are the keys that are published; the last one signs.
	all     []signer
	made    int // keys so far
	away    bool
	fetches int
}

type signer struct {
	kid     string
	private crypto.Signer
	method  jwt.SigningMethod
}

// New starts an issuer with one key of RS256. It ends with the test.
func New(t testing.TB) *Issuer { return NewAt(t, time.Now) }

// NewAt is New with another clock than the machine's.
func NewAt(t testing.TB, now func() time.Time) *Issuer {
	t.Helper()
	i := &Issuer{now: now}
	i.Rotate(t, bearer.RS256)
	server := httptest.NewServer(i)
	t.Cleanup(server.Close)
	i.URL = server.URL + "/.well-known/jwks.json"
	return i
}

// Verifier verifies the tokens of this issuer; c is filled with its place and clock.
func (i *Issuer) Verifier(t testing.TB, c bearer.Config) *bearer.Verifier {
	t.Helper()
	c.URL, c.Now = i.URL, i.now
	v, err := bearer.New(c)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// Rotate publishes a new key of an algorithm (RS256, ES256 or EdDSA), beside those before it, and signs
// with it from now on. It returns its kid.
func (i *Issuer) Rotate(t testing.TB, algorithm string) string {
	t.Helper()
	var private crypto.Signer
	var err error
	switch algorithm {
	case bearer.RS256:
		private, err = rsa.GenerateKey(rand.Reader, 2048)
	case bearer.ES256:
		private, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case bearer.EdDSA:
		_, private, err = ed25519.GenerateKey(rand.Reader)
	default:
		err = fmt.Errorf("algorithm is %q", algorithm)
	}
	if err != nil {
		t.Fatal(err)
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	i.made++
	kid := fmt.Sprintf("test-%d", i.made)
	i.all = append(i.all, signer{kid, private, jwt.GetSigningMethod(algorithm)})
	return kid
}

// Withdraw publishes the key that signs alone.
func (i *Issuer) Withdraw() {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.all = i.all[len(i.all)-1:]
}

// SetAway lets the key set answer 503, as during an outage, or no longer.
func (i *Issuer) SetAway(away bool) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.away = away
}

// Fetches is how often the key set was asked for, outages included.
func (i *Issuer) Fetches() int {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.fetches
}

// Claims are those of an active member's token for the components, good for five minutes, as a map of JSON
// values. A test changes them before Sign.
func (i *Issuer) Claims(uid string) map[string]any {
	now := i.now().Unix()
	return map[string]any{
		"iat": now - 1, "exp": now + 300, "sub": "session", "iss": "barong", "aud": []string{"peatio", "barong"},
		"azp": "components", "jti": rand.Text(), "uid": uid, "email": uid + "@example.com", "role": "member",
		"level": 1, "state": "active", "username": nil, "referral_id": nil,
	}
}

// Token is a token of these claims for an active member.
func (i *Issuer) Token(t testing.TB, uid string) string {
	t.Helper()
	return i.Sign(t, i.Claims(uid))
}

// Sign is a token with these claims.
func (i *Issuer) Sign(t testing.TB, claims map[string]any) string {
	t.Helper()
	return i.SignHeader(t, map[string]any{}, claims)
}

// SignHeader is a token with further members of the header, or others in place of alg, typ and kid, as a
// forger makes it. The key that signs stays the same.
func (i *Issuer) SignHeader(t testing.TB, header, claims map[string]any) string {
	t.Helper()
	i.mu.Lock()
	s := i.all[len(i.all)-1]
	i.mu.Unlock()
	token := jwt.NewWithClaims(s.method, jwt.MapClaims(claims))
	token.Header["kid"] = s.kid
	for name, value := range header {
		token.Header[name] = value
	}
	text, err := token.SignedString(s.private)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// Public is the public key that verifies the tokens of now.
func (i *Issuer) Public() crypto.PublicKey {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.all[len(i.all)-1].private.Public()
}

// KeySet is the key set (RFC 7517) of now.
func (i *Issuer) KeySet() []byte {
	i.mu.Lock()
	defer i.mu.Unlock()
	keys := []map[string]string{}
	for _, s := range i.all {
		k := map[string]string{"kid": s.kid, "alg": s.method.Alg(), "use": "sig"}
		switch p := s.private.Public().(type) {
		case *rsa.PublicKey:
			k["kty"], k["n"], k["e"] = "RSA", encode(p.N.Bytes()), encode(big.NewInt(int64(p.E)).Bytes())
		case *ecdsa.PublicKey:
			point, _ := p.Bytes() // of a key that was generated
			k["kty"], k["crv"], k["x"], k["y"] = "EC", "P-256", encode(point[1:33]), encode(point[33:])
		case ed25519.PublicKey:
			k["kty"], k["crv"], k["x"] = "OKP", "Ed25519", encode(p)
		}
		keys = append(keys, k)
	}
	document, _ := json.Marshal(map[string]any{"keys": keys}) // strings always have an encoding
	return document
}

func encode(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

// ServeHTTP serves the key set.
func (i *Issuer) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	i.mu.Lock()
	i.fetches++
	away := i.away
	i.mu.Unlock()
	if away {
		http.Error(w, "away", http.StatusServiceUnavailable)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "public, max-age=300")
	_, _ = w.Write(i.KeySet())
}
