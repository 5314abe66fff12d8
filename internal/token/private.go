package token

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"fmt"

	"github.com/golang-jwt/jwt/v5"
)

// A PrivateKey signs messages under one name by one algorithm, for callers of other services. It
// never changes.
type PrivateKey struct {
	kid, algorithm string
	private        crypto.Signer
	method         jwt.SigningMethod
}

// ParsePrivateKey reads the key of a signer: PEM as of keys import, or the base64 of it. An empty
// algorithm means the usual one of the key: RS256, ES256, ES384, ES512 or EdDSA; another one must fit
// the key. Errors are ErrBadKey and hold nothing of the key.
func ParsePrivateKey(kid, algorithm string, text []byte) (PrivateKey, error) {
	private, err := readPrivate(text)
	if err != nil {
		return PrivateKey{}, err
	}
	if algorithm == "" {
		algorithm = usual(private.Public())
	}
	m := methods[algorithm]
	if m == nil {
		return PrivateKey{}, fmt.Errorf("%w: the algorithm is %.20q, want %s", ErrBadKey, algorithm, algorithmNames)
	}
	if why := misfit(algorithm, private.Public()); why != "" {
		return PrivateKey{}, fmt.Errorf("%w: %s", ErrBadKey, why)
	}
	return PrivateKey{kid, algorithm, private, m}, nil
}

// usual is the algorithm by which a key signs if none is named.
func usual(public crypto.PublicKey) string {
	switch p := public.(type) {
	case *rsa.PublicKey:
		return RS256
	case *ecdsa.PublicKey:
		switch p.Curve {
		case elliptic.P384():
			return "ES384"
		case elliptic.P521():
			return "ES512"
		}
		return ES256
	case ed25519.PublicKey:
		return EdDSA
	}
	return ""
}

// String keeps the key out of logs and errors.
func (k PrivateKey) String() string { return "private key of " + k.kid }

// GoString keeps the key out of %#v.
func (k PrivateKey) GoString() string { return k.String() }

// SignGeneral makes the JWS in general JSON serialization (RFC 7515 §7.2.1) of claims, in the layout of
// the reference: the protected header has alg alone, the other one kid. Every key signs the same payload.
func SignGeneral(claims []byte, keys ...PrivateKey) ([]byte, error) {
	payload := base64.RawURLEncoding.EncodeToString(claims)
	message := generalJSON{Payload: payload, Signatures: []generalSignature{}}
	for _, k := range keys {
		s, err := signPayload(payload, k)
		if err != nil {
			return nil, err
		}
		message.Signatures = append(message.Signatures, s)
	}
	return json.Marshal(message)
}

// generalJSON is a JWS in general JSON serialization.
type generalJSON struct {
	Payload    string             `json:"payload"`
	Signatures []generalSignature `json:"signatures"`
}

type generalSignature struct {
	Protected string `json:"protected"`
	Header    struct {
		Kid string `json:"kid"`
	} `json:"header"`
	Signature string `json:"signature"`
}

// signPayload signs a payload in base64url.
func signPayload(payload string, k PrivateKey) (s generalSignature, err error) {
	s.Header.Kid = k.kid
	s.Protected = base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"` + k.algorithm + `"}`))
	signature, err := k.method.Sign(s.Protected+"."+payload, k.private)
	if err != nil {
		return s, fmt.Errorf("token: sign with %v: %w", k, err)
	}
	s.Signature = base64.RawURLEncoding.EncodeToString(signature)
	return s, nil
}
