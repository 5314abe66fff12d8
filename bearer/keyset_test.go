package bearer

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"errors"
	"fmt"
	"maps"
	"strings"
	"testing"

	"encoding/json"
)

func enc(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

func document(keys ...map[string]string) []byte {
	b, _ := json.Marshal(map[string]any{"keys": keys})
	return b
}

// Each set differs by one thing from one that is taken.
func TestKeySetsThatMustNotBeTrustedAreRefused(t *testing.T) {
	all := []string{RS256, ES256, EdDSA}
	private, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	curve, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	point, err := curve.PublicKey.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	good := map[string]map[string]string{
		RS256: {"kty": "RSA", "alg": RS256, "kid": "r", "n": enc(private.N.Bytes()), "e": "AQAB", "use": "sig"},
		ES256: {"kty": "EC", "alg": ES256, "kid": "e", "crv": "P-256", "x": enc(point[1:33]), "y": enc(point[33:])},
		EdDSA: {"kty": "OKP", "alg": EdDSA, "kid": "o", "crv": "Ed25519", "x": enc(make([]byte, 32))},
	}
	if keys, err := parseKeys(document(good[RS256], good[ES256], good[EdDSA]), all); err != nil || len(keys) != 3 {
		t.Fatalf("the good ones: %d keys, %v", len(keys), err)
	}
	with := func(algorithm, name, value string) map[string]string {
		k := maps.Clone(good[algorithm])
		if k[name] = value; value == "" {
			delete(k, name)
		}
		return k
	}
	many := make([]map[string]string, maxKeys+1)
	for i := range many {
		many[i] = with(EdDSA, "kid", fmt.Sprint(i))
	}
	n := private.N.Bytes()
	even := append([]byte{}, n...)
	even[len(even)-1] &^= 1
	for name, set := range map[string][]byte{
		"1024 bits":                document(with(RS256, "n", enc(n[:128]))),
		"2047 bits":                document(with(RS256, "n", enc(append([]byte{n[0] & 0x7f}, n[1:]...)))),
		"16384 bits":               document(with(RS256, "n", enc([]byte(strings.Repeat("\xff", 2048))))),
		"zeros before the modulus": document(with(RS256, "n", enc(append([]byte{0}, n...)))),
		"an even modulus":          document(with(RS256, "n", enc(even))),
		"an exponent of 1":         document(with(RS256, "e", "AQ")),
		"an exponent of 3":         document(with(RS256, "e", "Aw")),
		"an even exponent":         document(with(RS256, "e", "AQAA")),
		"a very long exponent":     document(with(RS256, "e", enc(n))),
		"no exponent":              document(with(RS256, "e", "")),
		"standard base64":          document(with(RS256, "n", base64.StdEncoding.EncodeToString(n))),
		"a line end in base64":     document(with(EdDSA, "x", enc(make([]byte, 32))+"\n")),
		"RS256 of an elliptic key": document(with(ES256, "alg", RS256)),
		"ES256 of an RSA key":      document(with(RS256, "alg", ES256)),
		"ES256 of another curve":   document(with(ES256, "crv", "P-384")),
		"a point off the curve":    document(with(ES256, "x", enc(make([]byte, 32)))),
		"a short coordinate":       document(with(ES256, "x", enc(point[1:32]))),
		"EdDSA of another curve":   document(with(EdDSA, "crv", "Ed448")),
		"31 bytes of Ed25519":      document(with(EdDSA, "x", enc(make([]byte, 31)))),
		"a private key":            document(with(EdDSA, "d", "AA")),
		"no kid":                   document(with(EdDSA, "kid", "")),
		"a long kid":               document(with(EdDSA, "kid", strings.Repeat("k", maxKid+1))),
		"a kid twice":              document(good[EdDSA], with(RS256, "kid", "o")),
		"a kid twice, one unknown": document(good[EdDSA], map[string]string{"kid": "o", "kty": "new", "alg": "new"}),
		"no key of use":            document(with(EdDSA, "use", "enc")),
		"no alg":                   document(with(EdDSA, "alg", "")),
		"a secret":                 document(map[string]string{"kty": "oct", "alg": "HS256", "kid": "s", "k": "AA"}),
		"no keys":                  document(),
		"too many keys":            document(many...),
		"a member twice":           []byte(strings.Replace(string(document(good[EdDSA])), `"kty"`, `"kid":"p","kty"`, 1)),
		"two lists":                []byte(strings.Replace(string(document(good[EdDSA])), `{"keys"`, `{"keys":[],"keys"`, 1)),
		"another spelling":         []byte(strings.Replace(string(document(good[EdDSA])), `"keys"`, `"KEYS"`, 1)),
		"a list":                   []byte(`[]`),
		"a key that is null":       []byte(`{"keys":[null]}`),
		"nothing":                  nil,
		"not UTF-8":                []byte("{\"keys\":[{\"kid\":\"\xff\"}]}"),
	} {
		if keys, err := parseKeys(set, all); !errors.Is(err, ErrKeySet) || keys != nil {
			t.Errorf("%s: got %d keys, %v; want ErrKeySet", name, len(keys), err)
		}
	}
	// Kinds of keys to come do not lock upstreams out.
	next := map[string]string{"kty": "AKP", "alg": "ML-DSA-65", "kid": "n", "pub": "AA"}
	if keys, err := parseKeys(document(next, good[RS256]), all); err != nil || len(keys) != 1 {
		t.Errorf("beside a key of another kind: %d keys, %v; want one", len(keys), err)
	}
	if keys, err := parseKeys(document(good[EdDSA], good[RS256]), []string{RS256}); err != nil || len(keys) != 1 || keys[0].kid != "r" {
		t.Errorf("with one algorithm: %d keys, %v; want that of RS256", len(keys), err)
	}
}

func TestAgeOfAnAnswer(t *testing.T) {
	for header, want := range map[string]string{
		"public, max-age=300": "5m0s", "MAX-AGE=60": "1m0s", "": "5m0s", "max-age=": "5m0s", "max-age=-1": "5m0s",
		"max-age=0": "10s", "max-age=999999": "1h0m0s", "s-maxage=60": "5m0s", "max-age=99999999999999999999": "5m0s",
	} {
		if got := ageOf(header).String(); got != want {
			t.Errorf("%q: got %s, want %s", header, got, want)
		}
	}
}
