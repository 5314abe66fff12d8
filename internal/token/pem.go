package token

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"

	"github.com/golang-jwt/jwt/v5"
	"github.com/lestrrat-go/jwx/v2/jwk"
)

// ErrBadKey says that a key cannot be imported; the text around it says why.
var ErrBadKey = errors.New("token: unusable key")

const (
	rsaBits    = 2048
	rsaMaxBits = 4096 // larger ones take tens of milliseconds to sign
	maxPEM     = 64 << 10
)

// newKey makes a key pair and its PKCS#8 PEM.
func newKey(algorithm string) (crypto.Signer, error) {
	switch algorithm {
	case RS256:
		return rsa.GenerateKey(rand.Reader, rsaBits)
	case ES256:
		return ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case EdDSA:
		_, private, err := ed25519.GenerateKey(rand.Reader)
		return private, err
	}
	return nil, fmt.Errorf("token: no algorithm %q", algorithm)
}

func encodeKey(private crypto.Signer) ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return nil, fmt.Errorf("token: encode key: %w", err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), nil
}

// parseKey reads a private key for our tokens. RSA keys have 2048 to 4096 bits, elliptic ones are
// P-256 or Ed25519. Errors are ErrBadKey and hold nothing of the key.
func parseKey(text []byte) (crypto.Signer, string, error) {
	bad := func(why string) (crypto.Signer, string, error) {
		return nil, "", fmt.Errorf("%w: %s", ErrBadKey, why)
	}
	private, err := readPrivate(text)
	if err != nil {
		return nil, "", err
	}
	switch k := private.(type) {
	case *rsa.PrivateKey:
		if bits := k.N.BitLen(); bits < rsaBits || bits > rsaMaxBits {
			return bad(fmt.Sprintf("the RSA key has %d bits, want %d to %d", bits, rsaBits, rsaMaxBits))
		}
		return k, RS256, nil
	case *ecdsa.PrivateKey:
		if k.Curve != elliptic.P256() {
			return bad("the curve is not P-256")
		}
		return k, ES256, nil
	case ed25519.PrivateKey:
		return k, EdDSA, nil
	}
	return bad("it is of a kind that signs no tokens here")
}

// readPrivate reads a private key: one PEM block of PKCS#8, PKCS#1 or SEC1, or the URL-safe
// base64 of one, which is how the reference passes keys in its environment. Errors are ErrBadKey
// and hold nothing of the key.
func readPrivate(text []byte) (crypto.Signer, error) {
	bad := func(why string) (crypto.Signer, error) { return nil, fmt.Errorf("%w: %s", ErrBadKey, why) }
	block, why := pemBlock(string(text))
	if why != "" {
		return bad(why)
	}
	var parsed any
	var err error
	switch {
	case block.Headers["DEK-Info"] != "" || block.Type == "ENCRYPTED PRIVATE KEY":
		return bad("it is encrypted; decrypt it first")
	case block.Type == "PRIVATE KEY":
		parsed, err = x509.ParsePKCS8PrivateKey(block.Bytes)
	case block.Type == "RSA PRIVATE KEY":
		parsed, err = x509.ParsePKCS1PrivateKey(block.Bytes)
	case block.Type == "EC PRIVATE KEY":
		parsed, err = x509.ParseECPrivateKey(block.Bytes)
	default:
		return bad(fmt.Sprintf("the PEM block is %.40q, want a private key", block.Type))
	}
	if err != nil {
		return bad("the PEM block holds no valid key")
	}
	private, ok := parsed.(crypto.Signer)
	if !ok {
		return bad("it is of a kind that signs no tokens here")
	}
	return private, nil
}

// thumbprint is the key's id (RFC 7638, SHA-256, base64url).
func thumbprint(public crypto.PublicKey) (string, error) {
	k, err := jwk.FromRaw(public)
	if err != nil {
		return "", fmt.Errorf("token: thumbprint: %w", err)
	}
	sum, err := k.Thumbprint(crypto.SHA256)
	if err != nil {
		return "", fmt.Errorf("token: thumbprint: %w", err)
	}
	return base64.RawURLEncoding.EncodeToString(sum), nil
}

// method is golang-jwt's implementation of an algorithm.
func method(algorithm string) (jwt.SigningMethod, error) {
	switch algorithm {
	case RS256:
		return jwt.SigningMethodRS256, nil
	case ES256:
		return jwt.SigningMethodES256, nil
	case EdDSA:
		return jwt.SigningMethodEdDSA, nil
	}
	return nil, fmt.Errorf("token: no algorithm %q", algorithm)
}
