package token

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// ErrForeignEvent says that a message is no event of the service it should be of, or not any
// more; the text around it says why, for logs, and holds nothing of the message.
var ErrForeignEvent = errors.New("token: invalid event of another service")

const (
	maxForeign           = 256 << 10
	maxForeignSignatures = 8
	maxForeignID         = 255
	maxForeignSigner     = 100
	// foreignLeeway is how far another service's clock may be ahead of ours.
	foreignLeeway = time.Minute
)

// lastForeign is later than any sensible exp, and early enough to reckon with.
var lastForeign = time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC)

// A ForeignKey is the public key by which another service signs its events, with the one
// algorithm that it is used with. It never changes; the zero value verifies nothing.
type ForeignKey struct {
	signer, algorithm string
	public            crypto.PublicKey
	method            jwt.SigningMethod
}

// Signer is the name under which the service signs, the kid of its messages (AZ-380).
func (k ForeignKey) Signer() string { return k.signer }

// ParseForeignKey reads the key of a signer: PEM of a SubjectPublicKeyInfo (RFC 5280) or of a
// PKCS#1 RSA key, or the base64 of one, as in the keychain of the reference. The algorithm is
// RS256 (2048 to 8192 bits), ES256 (P-256) or EdDSA (Ed25519) and fits the key; the signer's
// name has 1 to 100 bytes. Errors are ErrBadKey.
func ParseForeignKey(signer, algorithm, text string) (ForeignKey, error) {
	bad := func(why string) (ForeignKey, error) { return ForeignKey{}, fmt.Errorf("%w: %s", ErrBadKey, why) }
	if signer == "" || len(signer) > maxForeignSigner {
		return bad("the signer has no name, or a very long one")
	}
	m, err := method(algorithm)
	if err != nil {
		return bad(fmt.Sprintf("the algorithm is %.20q, want RS256, ES256 or EdDSA", algorithm))
	}
	block, why := publicBlock(text)
	if why != "" {
		return bad(why)
	}
	var parsed any
	switch block.Type {
	case "PUBLIC KEY":
		parsed, err = x509.ParsePKIXPublicKey(block.Bytes)
	case "RSA PUBLIC KEY":
		parsed, err = x509.ParsePKCS1PublicKey(block.Bytes)
	default:
		return bad(fmt.Sprintf("the PEM block is %.40q, want a public key", block.Type))
	}
	if err != nil {
		return bad("the PEM block holds no valid key")
	}
	fits := false
	switch p := parsed.(type) {
	case *rsa.PublicKey:
		if bits := p.N.BitLen(); bits < 2048 || bits > 8192 {
			return bad(fmt.Sprintf("the RSA key has %d bits, want 2048 to 8192", bits))
		}
		fits = algorithm == RS256
	case *ecdsa.PublicKey:
		fits = algorithm == ES256 && p.Curve == elliptic.P256()
	case ed25519.PublicKey:
		fits = algorithm == EdDSA
	}
	if !fits {
		return bad("the key is not one of " + algorithm)
	}
	return ForeignKey{signer, algorithm, parsed, m}, nil
}

// publicBlock is the one PEM block of a text, or why there is none.
func publicBlock(text string) (block *pem.Block, why string) {
	if len(text) > maxPEM {
		return nil, "it is too long"
	}
	block, rest := pem.Decode([]byte(text))
	if block == nil {
		compact := strings.TrimRight(strings.Join(strings.Fields(text), ""), "=")
		enc := base64.RawURLEncoding
		if strings.ContainsAny(compact, "+/") {
			enc = base64.RawStdEncoding
		}
		decoded, err := enc.DecodeString(compact)
		if err != nil {
			return nil, "it is neither PEM nor base64 of PEM"
		}
		if block, rest = pem.Decode(decoded); block == nil {
			return nil, "it is base64, but not of PEM"
		}
	}
	if next, _ := pem.Decode(rest); next != nil {
		return nil, "it holds more than one PEM block"
	}
	return block, ""
}

// A ForeignEvent is an event that another service has signed.
type ForeignEvent struct {
	// ID is the claim jti, of 1 to 255 bytes, by which a repetition is known.
	ID string
	// Expires is exp, before the year 9999. Until KnownUntil the message may be accepted again.
	Expires, KnownUntil time.Time
	// Event is a JSON object: record, changes, name (AZ-382). It holds personal data.
	Event json.RawMessage
}

// String keeps the event out of logs and errors.
func (e ForeignEvent) String() string { return fmt.Sprintf("message %.64q", e.ID) }

// GoString keeps it out of %#v.
func (e ForeignEvent) GoString() string { return e.String() }

// VerifyForeignEvent checks a message of another service: a JWS in general JSON serialization
// (RFC 7515 §7.2.1, AZ-380) of at most 256 KiB. It is accepted only if one of its at most 8
// signatures has the signer's name as kid, protected or not, and is right by the key and the
// key's own algorithm, whatever the header claims; and if exp is there and in the future,
// iat and nbf, if there, are not (a minute of leeway), jti is not empty and event is an object
// (AZ-381). Everything else is ErrForeignEvent. Whether the message was seen before is the
// caller's to know, by ID.
func VerifyForeignEvent(message []byte, k ForeignKey, now time.Time) (ForeignEvent, error) {
	refuse := func(why string) (ForeignEvent, error) {
		return ForeignEvent{}, fmt.Errorf("%w: %s", ErrForeignEvent, why)
	}
	if k.public == nil {
		return refuse("there is no key")
	}
	if len(message) > maxForeign {
		return refuse("it is too long")
	}
	var envelope struct {
		Payload    *string            `json:"payload"`
		Signatures []foreignSignature `json:"signatures"`
	}
	if json.Unmarshal(message, &envelope) != nil || envelope.Payload == nil || !namesOnce(message) {
		return refuse("it is no JWS in general JSON serialization")
	}
	if len(envelope.Signatures) > maxForeignSignatures {
		return refuse("it has too many signatures")
	}
	why := "it is not signed by " + k.signer
	for _, s := range envelope.Signatures {
		mine, problem := s.verify(*envelope.Payload, k)
		if !mine {
			continue
		}
		if problem != "" {
			why = problem
			continue
		}
		e, problem := readForeign(*envelope.Payload, now)
		if problem != "" {
			return refuse(problem)
		}
		return e, nil
	}
	return refuse(why)
}

// foreignSignature is one of a JWS.
type foreignSignature struct {
	Protected string                     `json:"protected"`
	Header    map[string]json.RawMessage `json:"header"`
	Signature string                     `json:"signature"`
}

// verify reports whether a signature claims to be by the key's signer, and its fault,
// "" for none.
func (s foreignSignature) verify(payload string, k ForeignKey) (mine bool, problem string) {
	protected, encoded := decodeObject(s.Protected)
	if !encoded {
		return text(s.Header["kid"]) == k.signer, "its protected header cannot be read"
	}
	if text(s.Header["kid"]) != k.signer && text(protected["kid"]) != k.signer {
		return false, ""
	}
	for name := range s.Header {
		if _, twice := protected[name]; twice { // RFC 7515 §7.2.1: names must be disjoint
			return true, "a header member is protected and not"
		}
	}
	// RFC 7515 §4.1.11: nothing is understood. RFC 7797 §3: b64 comes with crit only.
	for _, name := range []string{"crit", "b64"} {
		if protected[name] != nil || s.Header[name] != nil {
			return true, "it has critical header members"
		}
	}
	if text(protected["alg"]) != k.algorithm {
		return true, "the algorithm is not the key's"
	}
	signature, encoded := decodePart(s.Signature)
	if !encoded || k.method.Verify(s.Protected+"."+payload, signature, k.public) != nil {
		return true, "the signature is wrong"
	}
	return true, ""
}

// readForeign checks the claims of a payload whose signature is right.
func readForeign(payload string, now time.Time) (e ForeignEvent, problem string) {
	claims, encoded := decodeObject(payload)
	if !encoded {
		return e, "the payload is no object"
	}
	late := now.Add(foreignLeeway)
	for _, name := range []string{"iat", "nbf"} {
		if claims[name] == nil {
			continue
		}
		if t, ok := second(claims[name]); !ok || t.After(late) {
			return e, name + " is in the future, or no time"
		}
	}
	exp, ok := second(claims["exp"])
	switch {
	case !ok || !exp.Before(lastForeign):
		return e, "exp is missing, or no sensible time"
	case !now.Before(exp):
		return e, "it has expired"
	}
	e = ForeignEvent{
		ID: text(claims["jti"]), Expires: exp, Event: claims["event"],
		// Another replica's clock may be behind ours.
		KnownUntil: exp.Add(foreignLeeway),
	}
	if e.ID == "" || len(e.ID) > maxForeignID {
		return ForeignEvent{}, "jti is missing or too long"
	}
	var object map[string]json.RawMessage
	if json.Unmarshal(e.Event, &object) != nil || object == nil {
		return ForeignEvent{}, "event is no object"
	}
	return e, ""
}
