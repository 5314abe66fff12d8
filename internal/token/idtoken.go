package token

import (
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/lestrrat-go/jwx/v2/jwk"
)

var (
	// ErrIDToken says that an ID token is refused; the text around it says why, for logs, and
	// holds nothing of the token.
	ErrIDToken = errors.New("token: invalid id token")
	// ErrUnknownKid comes with ErrIDToken when no key of the set has the token's kid: the
	// provider may have got a new key since.
	ErrUnknownKid = errors.New("token: the key set has no such key")
	// ErrKeySet says that a document is no usable key set.
	ErrKeySet = errors.New("token: unusable key set")
)

const (
	maxIDToken = 16 << 10 // providers put whole profiles in
	maxKeySet  = 256 << 10
	// idLeeway is how far a provider's clock may be ahead of ours.
	idLeeway = time.Minute
)

// A KeySet is the RSA signing keys of an identity provider. It never changes.
type KeySet struct{ byKid map[string]*rsa.PublicKey }

// publishedKey has the members that decide about one key of a set (RFC 7517 §4).
type publishedKey struct {
	Kty       string   `json:"kty"`
	Kid       string   `json:"kid"`
	Use       string   `json:"use"`
	Algorithm string   `json:"alg"`
	Modulus   string   `json:"n"`
	Chain     []string `json:"x5c"`
}

// ParseKeySet reads a JWK set (RFC 7517 §5). It takes the RSA keys of 2048 to 8192 bits that
// have a kid and are for RS256 signatures, each from its own members or from its first
// certificate; all else in the set is ignored, and of two keys of one kid the first
// counts. ErrKeySet when nothing is left, or the document is no set or above 256 KiB.
//
// A certificate is only a wrapping of the key here: trust comes from where the document was
// fetched, so neither its dates nor its issuer are looked at.
func ParseKeySet(document []byte) (*KeySet, error) {
	if len(document) > maxKeySet {
		return nil, fmt.Errorf("%w: it is too long", ErrKeySet)
	}
	var set struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := json.Unmarshal(document, &set); err != nil {
		return nil, fmt.Errorf("%w: it is not a JSON object with a list of keys", ErrKeySet)
	}
	s := &KeySet{byKid: map[string]*rsa.PublicKey{}}
	for _, raw := range set.Keys {
		var k publishedKey
		if json.Unmarshal(raw, &k) != nil || s.byKid[k.Kid] != nil {
			continue
		}
		if public := k.public(raw); public != nil {
			s.byKid[k.Kid] = public
		}
	}
	if len(s.byKid) == 0 {
		return nil, fmt.Errorf("%w: it has no RSA signing key with a kid", ErrKeySet)
	}
	return s, nil
}

// public is the key, or nil when it is not one for ID tokens.
func (k publishedKey) public(raw json.RawMessage) *rsa.PublicKey {
	if k.Kty != "RSA" || k.Kid == "" || k.Use != "" && k.Use != "sig" ||
		k.Algorithm != "" && k.Algorithm != RS256 {
		return nil
	}
	certified := k.certified()
	if k.Modulus == "" {
		return usable(certified)
	}
	parsed, err := jwk.ParseKey(raw)
	if err != nil {
		return nil
	}
	if _, ok := parsed.(jwk.RSAPublicKey); !ok {
		return nil // a private key that is published is nobody's any more
	}
	var public rsa.PublicKey
	if parsed.Raw(&public) != nil {
		return nil
	}
	if len(k.Chain) > 0 && (certified == nil || !certified.Equal(&public)) {
		return nil // the two must be the same (RFC 7517 §4.7)
	}
	return usable(&public)
}

// certified is the key of the first certificate, nil when there is none.
func (k publishedKey) certified() *rsa.PublicKey {
	if len(k.Chain) == 0 {
		return nil
	}
	der, err := base64.StdEncoding.DecodeString(k.Chain[0])
	if err != nil {
		return nil
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil
	}
	public, _ := cert.PublicKey.(*rsa.PublicKey)
	return public
}

// usable returns the key unless it is too weak (RFC 7518 §3.3) or too slow.
func usable(k *rsa.PublicKey) *rsa.PublicKey {
	if k == nil || k.N == nil || k.N.BitLen() < rsaBits || k.N.BitLen() > 8192 || k.E < 3 || k.E%2 == 0 {
		return nil
	}
	return k
}

// IDClaims are the statements of an ID token about a person.
type IDClaims struct {
	Subject string
	// Email is "" when the token has none; it is as the provider wrote it.
	Email string
	// EmailVerified is nil when the token does not say.
	EmailVerified *bool
	// Nonce is "" when the token has none.
	Nonce string
	// Fingerprint names this very token: SHA-256 of the signed text, hex. No other spelling of
	// the token is accepted.
	Fingerprint string
	// ExpiresAt is when it ends.
	ExpiresAt time.Time
}

// String keeps the person out of logs and errors.
func (c IDClaims) String() string { return "id token claims" }

// GoString keeps it out of %#v.
func (c IDClaims) GoString() string { return c.String() }

// VerifyIDToken checks an OpenID Connect ID token (OpenID Connect Core §3.1.3.7): signed with
// RS256 by the key that its kid names; typ, if there, JWT, so that no logout or access token
// takes its place; iss the issuer, to the letter; aud with the audience, and azp the audience
// when it is there or aud has more than one; sub not empty; exp there and in the future; iat
// there and, like nbf, at most a minute ahead. Everything else is ErrIDToken; a kid that is
// not in the set is ErrUnknownKid besides. Whether a nonce was asked for is the caller's to
// know.
func (s *KeySet) VerifyIDToken(idToken, issuer, audience string, now time.Time) (IDClaims, error) {
	refuse := func(why string) (IDClaims, error) { return IDClaims{}, fmt.Errorf("%w: %s", ErrIDToken, why) }
	t, word := parseCompact(idToken, maxIDToken)
	if word != "" {
		return refuse("it is malformed")
	}
	typ, typed := member[string](t.header, "typ")
	kid := text(t.header["kid"])
	switch {
	case text(t.header["alg"]) != RS256:
		return refuse("the algorithm is not RS256")
	case kid == "", t.header["crit"] != nil, // RFC 7515 §4.1.11: nothing is understood
		!typed, typ != "" && !strings.EqualFold(typ, "JWT"):
		return refuse("its header has no kid, another typ, or critical members")
	case s.byKid[kid] == nil:
		return IDClaims{}, fmt.Errorf("%w: %w", ErrIDToken, ErrUnknownKid)
	case jwt.SigningMethodRS256.Verify(t.signed, t.signature, s.byKid[kid]) != nil:
		return refuse("the signature is wrong")
	}
	c, problem := readIDToken(t.payload, issuer, audience, now)
	if problem != "" {
		return refuse(problem)
	}
	c.Fingerprint = fmt.Sprintf("%x", sha256.Sum256([]byte(t.signed)))
	return c, nil
}

// readIDToken checks the claims of a token whose signature is right.
func readIDToken(claims map[string]json.RawMessage, issuer, audience string, now time.Time) (c IDClaims, problem string) {
	for _, ok := range []bool{
		read(claims, "sub", &c.Subject), read(claims, "email", &c.Email),
		read(claims, "email_verified", &c.EmailVerified), read(claims, "nonce", &c.Nonce),
	} {
		if !ok {
			return IDClaims{}, "a claim is of another type"
		}
	}
	party, partyOK := member[string](claims, "azp")
	named := texts(claims["aud"])
	exp, expires := NumericDate(claims["exp"])
	iat, issued := NumericDate(claims["iat"])
	nbf, begins := NumericDate(claims["nbf"])
	late := now.Add(idLeeway)
	switch {
	case issuer == "" || text(claims["iss"]) != issuer:
		problem = "iss is not the provider"
	case audience == "" || !slices.Contains(named, audience):
		problem = "aud does not name us"
	case !partyOK || party != audience && (party != "" || len(named) > 1):
		problem = "azp does not name us"
	case c.Subject == "":
		problem = "sub is missing"
	case !expires:
		problem = "exp is missing"
	case !now.Before(exp):
		problem = "it has expired"
	case !issued:
		problem = "iat is missing"
	case iat.After(late):
		problem = "iat is in the future"
	case claims["nbf"] != nil && (!begins || nbf.After(late)):
		problem = "nbf is in the future"
	}
	if problem != "" {
		return IDClaims{}, problem
	}
	c.ExpiresAt = exp
	return c, ""
}

// read puts a member where it belongs and reports whether it is of that type.
func read[T any](claims map[string]json.RawMessage, name string, to *T) (ok bool) {
	*to, ok = member[T](claims, name)
	return ok
}
