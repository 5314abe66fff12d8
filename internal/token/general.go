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
	"unicode/utf8"

	"github.com/golang-jwt/jwt/v5"
)

var (
	// ErrNotJSON says that a message is not even one JSON text in UTF-8. It wraps ErrNotGeneral.
	ErrNotJSON = fmt.Errorf("%w: it is not JSON", ErrNotGeneral)
	// ErrNotGeneral says that a message is no JWS in general JSON serialization; the text around it
	// says why and holds nothing of the message.
	ErrNotGeneral = errors.New("token: not a JWS in general JSON serialization")
)

const (
	maxJOSEHeader    = 2 << 10 // bytes of a header, as sent
	maxJOSESignature = 2 << 10 // an RSA key of 8192 bits needs 1366
)

// A General is a JWS in general JSON serialization (RFC 7515 §7.2.1) that was taken apart. Nothing
// of it is verified. It never changes.
type General struct {
	// Payload is the payload as it was sent: base64url, part of the signed text.
	Payload string
	// Signatures are in the order of the message.
	Signatures []Signature
}

// A Signature is one of a General.
type Signature struct {
	// Kid names the signer, "" if there is none. It may stand in the protected header or beside it.
	Kid string
	// Fault is the reason against this signature under any key, "" for none.
	Fault string

	algorithm string // of the protected header
	protected string // as sent
	signature []byte
}

// ParseGeneral takes a message with at most so many signatures apart. The caller bounds its size. No
// object in it names a member twice, names are compared letter by letter, and base64url is read in
// its one spelling. A message that is not JSON is ErrNotJSON, one without payload or list of signatures is
// ErrNotGeneral; a signature that cannot be used has a Fault.
func ParseGeneral(message []byte, most int) (General, error) {
	bad := func(why string) (General, error) { return General{}, fmt.Errorf("%w: %s", ErrNotGeneral, why) }
	if !utf8.Valid(message) || !json.Valid(message) {
		return General{}, ErrNotJSON
	}
	members, ok := object(message)
	if !ok {
		return bad("it is no object, or names a member twice")
	}
	var payload *string
	var signatures []json.RawMessage
	if json.Unmarshal(members["payload"], &payload) != nil || payload == nil {
		return bad("it has no payload")
	}
	if json.Unmarshal(members["signatures"], &signatures) != nil || signatures == nil {
		return bad("it has no list of signatures")
	}
	if len(signatures) > most {
		return bad("it has too many signatures")
	}
	g := General{Payload: *payload}
	for _, raw := range signatures {
		g.Signatures = append(g.Signatures, readSignature(raw))
	}
	return g, nil
}

// readSignature reads an element of signatures, which names no member twice.
func readSignature(raw json.RawMessage) (s Signature) {
	var members, header map[string]json.RawMessage
	if json.Unmarshal(raw, &members) != nil || members == nil {
		s.Fault = "it is no object"
		return s
	}
	if sent := members["header"]; sent != nil {
		if len(sent) > maxJOSEHeader || json.Unmarshal(sent, &header) != nil || header == nil {
			s.Fault = "its header cannot be read"
			return s
		}
	}
	s.Kid = text(header["kid"])
	s.protected = text(members["protected"])
	var protected map[string]json.RawMessage
	var encoded bool
	if len(s.protected) <= maxJOSEHeader {
		protected, encoded = decodeObject(s.protected)
	}
	if !encoded {
		s.Fault = "its protected header cannot be read"
		return s
	}
	if s.Kid == "" {
		s.Kid = text(protected["kid"])
	}
	s.algorithm = text(protected["alg"])
	if s.Fault = headerFault(protected, header); s.Fault != "" {
		return s
	}
	sent := text(members["signature"])
	if len(sent) > maxJOSESignature {
		sent = ""
	}
	if s.signature, encoded = decodePart(sent); !encoded || sent == "" {
		s.Fault = "the signature is wrong: it cannot be read"
	}
	return s
}

// headerFault says which members of the two headers of a signature forbid to use it.
func headerFault(protected, header map[string]json.RawMessage) string {
	for name := range header {
		if _, twice := protected[name]; twice { // RFC 7515 §7.2.1: names must be disjoint
			return "a header member is protected and not"
		}
	}
	for _, h := range []map[string]json.RawMessage{protected, header} {
		// RFC 7515 §4.1.11: nothing is understood. RFC 7797 §3: b64 comes with crit only.
		for _, name := range []string{"crit", "b64"} {
			if h[name] != nil {
				return "it has critical header members"
			}
		}
		for _, name := range []string{"jwk", "jku", "x5c", "x5u"} {
			if h[name] != nil {
				return "it brings a key of its own"
			}
		}
	}
	return ""
}

// Object returns the members of the payload, in base64url, if it is a JSON object in UTF-8 that
// names no member twice.
func (g General) Object() (map[string]json.RawMessage, bool) {
	return decodeObject(g.Payload)
}

// A PublicKey verifies signatures of one algorithm. It never changes; the zero value verifies
// nothing.
type PublicKey struct {
	algorithm string
	public    crypto.PublicKey
	method    jwt.SigningMethod
}

// Fault is why the key does not verify a signature of a message, "" if it does. Only the key says
// which algorithm that takes; the signature must name the same.
func (k PublicKey) Fault(g General, s Signature) string {
	switch {
	case k.public == nil:
		return "there is no key"
	case s.Fault != "":
		return s.Fault
	case s.algorithm != k.algorithm:
		return "the algorithm is not the key's"
	case k.method.Verify(s.protected+"."+g.Payload, s.signature, k.public) != nil:
		return "the signature is wrong"
	}
	return ""
}

// ParsePublicKey reads a key for one algorithm, which must fit it: RS256, RS384 or RS512 (2048 to 8192 bits),
// ES256 (P-256), ES384 (P-384), ES512 (P-521) or EdDSA (Ed25519). It is PEM of a SubjectPublicKeyInfo (RFC
// 5280) or of a PKCS#1 RSA key, or the base64 of one, as in the keychains of the reference. Errors are
// ErrBadKey, for a private key ErrPrivateKey.
func ParsePublicKey(algorithm, text string) (PublicKey, error) {
	bad := func(why string) (PublicKey, error) { return PublicKey{}, fmt.Errorf("%w: %s", ErrBadKey, why) }
	m := methods[algorithm]
	if m == nil {
		return bad(fmt.Sprintf("the algorithm is %.20q, want %s", algorithm, algorithmNames))
	}
	block, why := pemBlock(text)
	if why != "" {
		return bad(why)
	}
	var parsed any
	var err error
	switch {
	case block.Type == "PUBLIC KEY":
		parsed, err = x509.ParsePKIXPublicKey(block.Bytes)
	case block.Type == "RSA PUBLIC KEY":
		parsed, err = x509.ParsePKCS1PublicKey(block.Bytes)
	case strings.HasSuffix(block.Type, "PRIVATE KEY"):
		return PublicKey{}, ErrPrivateKey
	default:
		return bad(fmt.Sprintf("the PEM block is %.40q, want a public key", block.Type))
	}
	if err != nil {
		return bad("the PEM block holds no valid key")
	}
	if why := misfit(algorithm, parsed); why != "" {
		return bad(why)
	}
	return PublicKey{algorithm, parsed, m}, nil
}

// ErrPrivateKey says that a private key stands where a public one belongs. It wraps ErrBadKey.
var ErrPrivateKey = fmt.Errorf("%w: it is a private key, want a public key", ErrBadKey)

// methods are golang-jwt's implementations of the algorithms by which others may sign.
var methods = map[string]jwt.SigningMethod{
	RS256: jwt.SigningMethodRS256, "RS384": jwt.SigningMethodRS384, "RS512": jwt.SigningMethodRS512,
	ES256: jwt.SigningMethodES256, "ES384": jwt.SigningMethodES384, "ES512": jwt.SigningMethodES512,
	EdDSA: jwt.SigningMethodEdDSA,
}

const algorithmNames = "RS256, RS384, RS512, ES256, ES384, ES512 or EdDSA"

// misfit is why a public key is not one of an algorithm, "" if it is.
func misfit(algorithm string, public crypto.PublicKey) string {
	fits := false
	switch p := public.(type) {
	case *rsa.PublicKey:
		if bits := p.N.BitLen(); bits < 2048 || bits > 8192 {
			return fmt.Sprintf("the RSA key has %d bits, want 2048 to 8192", bits)
		}
		fits = strings.HasPrefix(algorithm, "RS")
	case *ecdsa.PublicKey:
		fits = map[elliptic.Curve]string{
			elliptic.P256(): ES256, elliptic.P384(): "ES384", elliptic.P521(): "ES512",
		}[p.Curve] == algorithm
	case ed25519.PublicKey:
		fits = algorithm == EdDSA
	}
	if !fits {
		return "the key is not one of " + algorithm
	}
	return ""
}

// pemBlock is the one PEM block of a text, or of the base64 of one, or why there is none.
func pemBlock(text string) (block *pem.Block, why string) {
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
