// Package peertest makes peers for tests: throwaway keys, the file that knows them, and signed bodies.
package peertest

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"barong/internal/peer"
	"barong/internal/secret"
	"barong/internal/token"
)

// Signers are the ids of the fixtures of the reference's tests, each with another algorithm: every
// scope permits alex and jeff, and alex must sign.
var Signers = map[string]string{"alex": "EdDSA", "jeff": "ES256", "james": "RS256"}

// Peers are services with keys.
type Peers struct {
	keys map[string]key
}

type key struct {
	private   crypto.Signer
	signer    token.PrivateKey
	algorithm string
}

// New makes the keys of Signers.
func New(t testing.TB) *Peers {
	t.Helper()
	p := &Peers{keys: map[string]key{}}
	for id, algorithm := range Signers {
		p.Add(t, id, algorithm)
	}
	return p
}

// Add makes the key of a further signer.
func (p *Peers) Add(t testing.TB, id, algorithm string) {
	t.Helper()
	k := key{private: newKey(t, algorithm), algorithm: algorithm}
	var err error
	if k.signer, err = token.ParsePrivateKey(id, algorithm, []byte(encode(t, "PRIVATE KEY", k.private, x509.MarshalPKCS8PrivateKey))); err != nil {
		t.Fatal(err)
	}
	p.keys[id] = k
}

// PrivatePEM is a signer's private key.
func (p *Peers) PrivatePEM(t testing.TB, id string) string {
	return encode(t, "PRIVATE KEY", p.keys[id].private, x509.MarshalPKCS8PrivateKey)
}

// PublicPEM is the public one.
func (p *Peers) PublicPEM(t testing.TB, id string) string {
	return encode(t, "PUBLIC KEY", p.keys[id].private.Public(), x509.MarshalPKIXPublicKey)
}

func encode(t testing.TB, kind string, k any, der func(any) ([]byte, error)) string {
	t.Helper()
	raw, err := der(k)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: raw}))
}

// rsaKey makes the one RSA key of all tests: making it takes long.
var rsaKey = sync.OnceValues(func() (*rsa.PrivateKey, error) { return rsa.GenerateKey(rand.Reader, 2048) })

func newKey(t testing.TB, algorithm string) (k crypto.Signer) {
	t.Helper()
	var err error
	switch algorithm {
	case "EdDSA":
		_, k, err = ed25519.GenerateKey(rand.Reader)
	case "ES256":
		k, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case "ES384":
		k, err = ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	case "ES512":
		k, err = ecdsa.GenerateKey(elliptic.P521(), rand.Reader)
	default:
		k, err = rsaKey()
	}
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// Text is a management_api.yml with all keys of p, options of jwt as YAML in braces, "{}" for none, and
// scopes that permit alex and jeff, of which alex must sign.
func (p *Peers) Text(t testing.TB, jwt string, scopes ...string) string {
	t.Helper()
	var b strings.Builder
	b.WriteString("keychain:\n")
	ids := make([]string, 0, len(p.keys))
	for id := range p.keys {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	for _, id := range ids {
		fmt.Fprintf(&b, "  %s:\n    algorithm: %s\n    value: %s\n", id, p.keys[id].algorithm,
			base64.URLEncoding.EncodeToString([]byte(p.PublicPEM(t, id))))
	}
	b.WriteString("jwt: " + jwt + "\nscopes:\n")
	for _, s := range scopes {
		fmt.Fprintf(&b, "  %s: {permitted_signers: [alex, jeff], mandatory_signers: [alex]}\n", s)
	}
	if len(scopes) == 0 {
		b.WriteString("  {}\n")
	}
	return b.String()
}

// Verifier verifies by the file Text, with a Memory.
func (p *Peers) Verifier(t testing.TB, replay string, now func() time.Time, scopes ...string) *peer.Verifier {
	t.Helper()
	f, err := peer.Parse([]byte(p.Text(t, "{}", scopes...)))
	if err != nil {
		t.Fatal(err)
	}
	v, err := peer.NewVerifier(peer.Config{Replay: replay}, f, new(Memory), now)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// Claims are those of a message with the data that lives for thirty seconds from now and has a fresh id.
func Claims(data any, now time.Time) map[string]any {
	return map[string]any{"iat": now.Unix(), "exp": now.Unix() + 30, "jti": secret.UUID(), "data": data}
}

// Sign makes a body of Claims.
func (p *Peers) Sign(t testing.TB, data any, now time.Time, signers ...string) []byte {
	t.Helper()
	return p.SignClaims(t, Claims(data, now), signers...)
}

// SignClaims makes a body of claims.
func (p *Peers) SignClaims(t testing.TB, claims any, signers ...string) []byte {
	t.Helper()
	text, err := json.Marshal(claims)
	if err != nil {
		t.Fatal(err)
	}
	keys := make([]token.PrivateKey, len(signers))
	for i, id := range signers {
		k, ok := p.keys[id]
		if !ok {
			t.Fatalf("no signer %s", id)
		}
		keys[i] = k.signer
	}
	body, err := token.SignGeneral(text, keys...)
	if err != nil {
		t.Fatal(err)
	}
	return body
}

// Memory is a peer.Store. Its zero value is empty.
type Memory struct {
	mu   sync.Mutex
	used map[[sha256.Size]byte]time.Time
	// Err, when it is set, is the answer to every call.
	Err error
}

var _ peer.Store = (*Memory)(nil)

// ClaimMessage implements peer.Store.
func (m *Memory) ClaimMessage(_ context.Context, id [sha256.Size]byte, until time.Time) (bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.Err != nil {
		return false, m.Err
	}
	if _, there := m.used[id]; there {
		return false, nil
	}
	if m.used == nil {
		m.used = map[[sha256.Size]byte]time.Time{}
	}
	m.used[id] = until
	return true, nil
}

// SignRaw makes a body of the text of claims.
func (p *Peers) SignRaw(t testing.TB, claims []byte, signer string) []byte {
	t.Helper()
	body, err := token.SignGeneral(claims, p.keys[signer].signer)
	if err != nil {
		t.Fatal(err)
	}
	return body
}

// SignHeaders makes a body of claims by one signer, with a further member in one of its headers, "protected" or
// "header"; its signature is right.
func (p *Peers) SignHeaders(t testing.TB, claims any, signer, place, name string, value any) []byte {
	t.Helper()
	headers := map[string]map[string]any{"protected": {"alg": p.keys[signer].algorithm}, "header": {"kid": signer}}
	headers[place][name] = value
	text := func(v any) []byte {
		raw, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		return raw
	}
	payload := base64.RawURLEncoding.EncodeToString(text(claims))
	protected := base64.RawURLEncoding.EncodeToString(text(headers["protected"]))
	signature, err := jwt.GetSigningMethod(p.keys[signer].algorithm).Sign(protected+"."+payload, p.keys[signer].private)
	if err != nil {
		t.Fatal(err)
	}
	return text(map[string]any{"payload": payload, "signatures": []any{map[string]any{
		"protected": protected, "header": headers["header"], "signature": base64.RawURLEncoding.EncodeToString(signature),
	}}})
}
