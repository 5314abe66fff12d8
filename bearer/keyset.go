package bearer

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/big"
	"slices"
	"sync/atomic"

	"github.com/golang-jwt/jwt/v5"
)

// Algorithms that Barong signs with (RFC 7518, RFC 8037); all are asymmetric.
const (
	RS256 = "RS256"
	ES256 = "ES256"
	EdDSA = "EdDSA"
)

const (
	maxSet  = 64 << 10 // bytes of a key set
	maxKeys = 32
	maxKid  = 256

	minRSA, maxRSA = 2048, 8192 // bits
)

// A key verifies tokens by one algorithm.
type key struct {
	kid, algorithm string
	public         crypto.PublicKey
	method         jwt.SigningMethod
	// header is the last header, as encoded, of a token that the key has verified: a text that is the
	// same needs no reading.
	header atomic.Pointer[string]
}

// verify reports whether a signature of the text is the key's.
func (k *key) verify(signed string, signature []byte) bool {
	return k.method.Verify(signed, signature, k.public) == nil
}

// parseKeys reads a key set (RFC 7517 §5) of at most 64 KiB and 32 keys. Keys of another kind, use or
// algorithm than those allowed are left out. Everything that should not be there refuses the
// whole set: a kid that is missing or there twice, a private key, a key of a wrong size or off its curve,
// a set without a usable key.
func parseKeys(document []byte, algorithms []string) ([]*key, error) {
	if len(document) > maxSet {
		return nil, fmt.Errorf("%w: above %d bytes", ErrKeySet, maxSet)
	}
	var set object
	var list []json.RawMessage
	if !set.read(document, string(document)) || json.Unmarshal([]byte(set.get("keys")), &list) != nil {
		return nil, fmt.Errorf("%w: not an object with a list of keys", ErrKeySet)
	}
	if len(list) > maxKeys {
		return nil, fmt.Errorf("%w: above %d keys", ErrKeySet, maxKeys)
	}
	var keys []*key
	seen := map[string]bool{}
	for i, raw := range list {
		k, why := parseKey(raw, algorithms, seen)
		if why != "" {
			return nil, fmt.Errorf("%w: key %d: %s", ErrKeySet, i, why)
		}
		if k != nil {
			keys = append(keys, k)
		}
	}
	if len(keys) == 0 {
		return nil, fmt.Errorf("%w: no key for %v", ErrKeySet, algorithms)
	}
	return keys, nil
}

// parseKey reads one key; nil without a reason is a key that is of no use here.
func parseKey(raw []byte, algorithms []string, seen map[string]bool) (*key, string) {
	var o object
	if !o.read(raw, string(raw)) {
		return nil, "not an object that names each member once"
	}
	kid := o.text("kid")
	if kid == "" || len(kid) > maxKid {
		return nil, "kid is missing or too long"
	}
	if seen[kid] {
		return nil, "kid is there twice"
	}
	seen[kid] = true
	if o.get("d") != "" || o.get("p") != "" || o.get("q") != "" {
		return nil, "it is private"
	}
	algorithm := o.text("alg")
	if use := o.get("use"); use != "" && use != `"sig"` || !slices.Contains(algorithms, algorithm) {
		return nil, ""
	}
	k := &key{kid: kid, algorithm: algorithm}
	var why string
	switch algorithm {
	case RS256:
		k.method = jwt.SigningMethodRS256
		k.public, why = rsaKey(&o)
	case ES256:
		k.method = jwt.SigningMethodES256
		k.public, why = p256Key(&o)
	case EdDSA:
		k.method = jwt.SigningMethodEdDSA
		k.public, why = ed25519Key(&o)
	}
	return k, why
}

func rsaKey(o *object) (crypto.PublicKey, string) {
	n, ok := o.bytes("n")
	e, exponent := o.bytes("e")
	if o.text("kty") != "RSA" || !ok || !exponent {
		return nil, "not an RSA key"
	}
	public := &rsa.PublicKey{N: new(big.Int).SetBytes(n)}
	if bits := public.N.BitLen(); bits < minRSA || bits > maxRSA || n[0] == 0 || public.N.Bit(0) == 0 {
		return nil, fmt.Sprintf("RSA modulus has %d bits, want an odd one of %d to %d", bits, minRSA, maxRSA)
	}
	exp := new(big.Int).SetBytes(e)
	if exp.BitLen() > 31 || exp.Int64() < 65537 || exp.Bit(0) == 0 {
		return nil, "RSA exponent is even, or not of 65537 to 2^31"
	}
	public.E = int(exp.Int64())
	return public, ""
}

func p256Key(o *object) (crypto.PublicKey, string) {
	x, okX := o.bytes("x")
	y, okY := o.bytes("y")
	if o.text("kty") != "EC" || o.text("crv") != "P-256" || !okX || !okY || len(x) != 32 || len(y) != 32 {
		return nil, "not a P-256 key"
	}
	public, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), slices.Concat([]byte{4}, x, y))
	if err != nil {
		return nil, "no point of P-256"
	}
	return public, ""
}

func ed25519Key(o *object) (crypto.PublicKey, string) {
	x, ok := o.bytes("x")
	if o.text("kty") != "OKP" || o.text("crv") != "Ed25519" || !ok || len(x) != ed25519.PublicKeySize {
		return nil, "not an Ed25519 key"
	}
	return ed25519.PublicKey(x), ""
}

// bytes is a member that is base64url without padding, in its one spelling.
func (o *object) bytes(name string) ([]byte, bool) {
	text := o.text(name)
	b, ok := decode(nil, text)
	return b, ok && len(b) > 0
}

// decode appends the bytes of base64url without padding. The library alone would skip line ends.
func decode(to []byte, text string) ([]byte, bool) {
	for i := range len(text) {
		if text[i] == '\n' || text[i] == '\r' {
			return nil, false
		}
	}
	b, err := base64.RawURLEncoding.Strict().AppendDecode(to, []byte(text))
	return b, err == nil
}
