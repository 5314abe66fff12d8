package token

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// publicPEM is the public half of a test's key.
func publicPEM(private crypto.Signer) string {
	der := must(x509.MarshalPKIXPublicKey(private.Public()))
	return string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
}

func b64(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }

// foreignSigned is a message of another service; header is the protected one.
func foreignSigned(private crypto.Signer, algorithm, header, unprotected, claims string) []byte {
	m := must(method(algorithm))
	protected, payload := b64(header), b64(claims)
	signature := must(m.Sign(protected+"."+payload, private))
	return fmt.Appendf(nil, `{"payload":%q,"signatures":[{"protected":%q,"header":%s,"signature":%q}]}`,
		payload, protected, unprotected, base64.RawURLEncoding.EncodeToString(signature))
}

const peatioKid = `{"kid":"peatio"}`

func TestForeignEventOfEachAlgorithmIsRead(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	const claims = `{"iss":"peatio","jti":"j1","iat":1700000000,"exp":1700003600,"event":{"record":{"uid":"ID1"},"name":"model.deposit.updated"}}`
	for _, algorithm := range []string{RS256, ES256, EdDSA} {
		private := signers[algorithm]()
		for name, text := range map[string]string{
			"PEM":             publicPEM(private),
			"URL-safe base64": base64.URLEncoding.EncodeToString([]byte(publicPEM(private))),
			"base64":          base64.StdEncoding.EncodeToString([]byte(publicPEM(private))),
		} {
			k, err := ParseForeignKey("peatio", algorithm, text)
			if err != nil {
				t.Fatalf("%s, %s: %v", algorithm, name, err)
			}
			got, err := VerifyForeignEvent(foreignSigned(private, algorithm, `{"alg":"`+algorithm+`"}`, peatioKid, claims), k, now)
			if err != nil {
				t.Fatalf("%s, %s: %v", algorithm, name, err)
			}
			if got.ID != "j1" || !got.Expires.Equal(now.Add(time.Hour)) || !got.KnownUntil.After(got.Expires) ||
				string(got.Event) != `{"record":{"uid":"ID1"},"name":"model.deposit.updated"}` {
				t.Errorf("%s, %s: got jti %q, exp %v, %s", algorithm, name, got.ID, got.Expires, got.Event)
			}
			if s := fmt.Sprintf("%v %+v %#v", got, got, got); strings.Contains(s, "record") {
				t.Errorf("printing it tells the event: %s", s)
			}
		}
	}
}

// Our own messages have the same shape (AZ-380).
func TestForeignEventMayComeFromAnotherOfOurs(t *testing.T) {
	keys, c := wireKeys(t)
	k, err := ParseForeignKey("barong", RS256, string(must(keys.Public(UseWire, FormPEM))))
	if err != nil {
		t.Fatal(err)
	}
	message := must(keys.SignEvent(json.RawMessage(`{"record":{},"name":"model.x.y"}`), c.now()))
	if _, err := VerifyForeignEvent(message, k, c.now()); err != nil {
		t.Errorf("got %v, want it accepted", err)
	}
	if _, err := VerifyForeignEvent(message, k, c.now().Add(time.Hour)); !errors.Is(err, ErrForeignEvent) {
		t.Errorf("an hour later: got %v, want ErrForeignEvent", err)
	}
}

// AZ-396: badly signed or expired is refused; and only the configured algorithm counts.
func TestForeignEventIsRefused(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	rs, es := signers[RS256](), signers[ES256]()
	key := must(ParseForeignKey("peatio", RS256, publicPEM(rs)))
	const fine = `{"jti":"j1","iat":1700000000,"exp":1700003600,"event":{}}`
	claims := func(c string) []byte { return foreignSigned(rs, RS256, `{"alg":"RS256"}`, peatioKid, c) }
	header := func(protected, unprotected string) []byte {
		return foreignSigned(rs, RS256, protected, unprotected, fine)
	}
	if _, err := VerifyForeignEvent(claims(fine), key, now); err != nil {
		t.Fatalf("the one that the others differ from: %v", err)
	}
	// The public key as a secret, as a verifier would take it that believes the header.
	public := []byte(publicPEM(rs))
	hmac := func() []byte {
		m := jwt.SigningMethodHS256
		protected, payload := b64(`{"alg":"HS256"}`), b64(fine)
		s := must(m.Sign(protected+"."+payload, public))
		return fmt.Appendf(nil, `{"payload":%q,"signatures":[{"protected":%q,"header":{"kid":"peatio"},"signature":%q}]}`,
			payload, protected, base64.RawURLEncoding.EncodeToString(s))
	}()
	tampered := strings.Replace(string(claims(fine)), b64(fine), b64(strings.Replace(fine, "j1", "j2", 1)), 1)
	tests := map[string]struct {
		message []byte
		key     ForeignKey
		want    string
	}{
		"a payload that was changed":          {[]byte(tampered), key, "signature is wrong"},
		"another key of the same name":        {foreignSigned(wireSigner(), RS256, `{"alg":"RS256"}`, peatioKid, fine), key, "signature is wrong"},
		"another signer's name":               {header(`{"alg":"RS256"}`, `{"kid":"applogic"}`), key, "not signed by peatio"},
		"no name":                             {header(`{"alg":"RS256"}`, `{}`), key, "not signed by peatio"},
		"another algorithm, and a key for it": {foreignSigned(es, ES256, `{"alg":"ES256"}`, peatioKid, fine), key, "algorithm"},
		"HS256 by the public key":             {hmac, key, "algorithm"},
		"no algorithm":                        {header(`{"alg":"none"}`, peatioKid), key, "algorithm"},
		"an algorithm that is not protected":  {header(`{}`, `{"kid":"peatio","alg":"RS256"}`), key, "algorithm"},
		"a member that is there twice":        {header(`{"alg":"RS256","kid":"peatio"}`, peatioKid), key, "protected and not"},
		"critical members":                    {header(`{"alg":"RS256","crit":["x"]}`, peatioKid), key, "critical"},
		"an unencoded payload":                {header(`{"alg":"RS256","b64":false}`, peatioKid), key, "critical"},
		"a protected header that is none":     {header(`[]`, peatioKid), key, "cannot be read"},
		"no exp":                              {claims(`{"jti":"j1","event":{}}`), key, "exp"},
		"an exp that is a text":               {claims(`{"jti":"j1","exp":"1700003600","event":{}}`), key, "exp"},
		"an exp beyond all sense":             {claims(`{"jti":"j1","exp":999999999999,"event":{}}`), key, "exp"},
		"an exp that is now":                  {claims(`{"jti":"j1","exp":1700000000,"event":{}}`), key, "expired"},
		"an iat far ahead":                    {claims(`{"jti":"j1","iat":1700000061,"exp":1700003600,"event":{}}`), key, "iat"},
		"an nbf far ahead":                    {claims(`{"jti":"j1","nbf":1700000061,"exp":1700003600,"event":{}}`), key, "nbf"},
		"no jti":                              {claims(`{"exp":1700003600,"event":{}}`), key, "jti"},
		"a jti that is too long":              {claims(`{"jti":"` + strings.Repeat("j", 256) + `","exp":1700003600,"event":{}}`), key, "jti"},
		"no event":                            {claims(`{"jti":"j1","exp":1700003600}`), key, "event"},
		"an event that is a list":             {claims(`{"jti":"j1","exp":1700003600,"event":[]}`), key, "event"},
		"an event that is null":               {claims(`{"jti":"j1","exp":1700003600,"event":null}`), key, "event"},
		"a payload that is no object":         {claims(`[]`), key, "payload"},
		"a compact JWS":                       {[]byte("a.b.c"), key, "general"},
		"no payload":                          {[]byte(`{"signatures":[]}`), key, "no payload"},
		"no signatures":                       {[]byte(`{"payload":"","signatures":[]}`), key, "not signed"},
		"no list of signatures":               {[]byte(`{"payload":""}`), key, "list of signatures"},
		"too many signatures":                 {[]byte(`{"payload":"","signatures":[{},{},{},{},{},{},{},{},{}]}`), key, "too many"},
		"more than 256 KiB":                   {[]byte(strings.Repeat(" ", 256<<10+1)), key, "too long"},
		"a key that is the zero value":        {claims(fine), ForeignKey{}, "no key"},
		"an empty message":                    {nil, key, "general"},
		"a signature that is not without =":   {[]byte(strings.Replace(string(claims(fine)), `"}]}`, `="}]}`, 1)), key, "signature is wrong"},
	}
	for name, tt := range tests {
		_, err := VerifyForeignEvent(tt.message, tt.key, now)
		if !errors.Is(err, ErrForeignEvent) || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: got %v, want ErrForeignEvent with %q", name, err, tt.want)
		}
	}
}

func TestForeignEventNeedsOneRightSignatureOfItsSigner(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	private := signers[EdDSA]()
	key := must(ParseForeignKey("peatio", EdDSA, publicPEM(private)))
	message := foreignSigned(private, EdDSA, `{"alg":"EdDSA","kid":"peatio"}`, `{}`, `{"jti":"j","exp":1700003600,"event":{}}`)
	other := `"signatures":[{"protected":"e30","header":{"kid":"applogic"},"signature":"AA"},`
	several := []byte(strings.Replace(string(message), `"signatures":[`, other, 1))
	if _, err := VerifyForeignEvent(several, key, now); err != nil {
		t.Errorf("beside one of somebody else: got %v, want it accepted", err)
	}
}

func TestForeignKeyTellsWhatIsWrongWithIt(t *testing.T) {
	es, rs := publicPEM(signers[ES256]()), publicPEM(signers[RS256]())
	p384 := publicPEM(must(ecdsa.GenerateKey(elliptic.P384(), rand.Reader)))
	private := string(must(encodeKey(signers[EdDSA]())))
	for name, tt := range map[string]struct{ signer, algorithm, text, want string }{
		"no name":                       {"", RS256, rs, "name"},
		"HS256":                         {"peatio", "HS256", "c2VjcmV0", `"HS256"`},
		"none":                          {"peatio", "none", rs, `"none"`},
		"no algorithm":                  {"peatio", "", rs, "algorithm"},
		"RS256 with an elliptic key":    {"peatio", RS256, es, "not one of RS256"},
		"ES256 with an RSA key":         {"peatio", ES256, rs, "not one of ES256"},
		"ES256 with another curve":      {"peatio", ES256, p384, "not one of ES256"},
		"EdDSA with an RSA key":         {"peatio", EdDSA, rs, "not one of EdDSA"},
		"a private key":                 {"peatio", EdDSA, private, "want a public key"},
		"neither PEM nor base64":        {"peatio", RS256, "?", "neither"},
		"base64 of something else":      {"peatio", RS256, "LS0t", "not of PEM"},
		"two keys":                      {"peatio", RS256, rs + rs, "more than one"},
		"a PEM block of something else": {"peatio", RS256, "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n", "no valid key"},
		"a very long text":              {"peatio", RS256, strings.Repeat("A", 65<<10), "too long"},
	} {
		_, err := ParseForeignKey(tt.signer, tt.algorithm, tt.text)
		if !errors.Is(err, ErrBadKey) || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: got %v, want ErrBadKey with %q", name, err, tt.want)
		}
	}
}

func FuzzVerifyForeignEvent(f *testing.F) {
	private := signers[EdDSA]()
	key := must(ParseForeignKey("peatio", EdDSA, publicPEM(private)))
	now := time.Unix(1_700_000_000, 0)
	const claims = `{"jti":"j","exp":1700003600,"event":{"record":{}}}`
	good := foreignSigned(private, EdDSA, `{"alg":"EdDSA"}`, peatioKid, claims)
	f.Add(good)
	f.Add([]byte(`{"payload":"e30","signatures":[{"protected":"e30","header":{"kid":"peatio"},"signature":""}]}`))
	f.Add([]byte(`{"payload":null,"signatures":null}`))
	f.Fuzz(func(t *testing.T, message []byte) {
		e, err := VerifyForeignEvent(message, key, now)
		if err != nil {
			if !errors.Is(err, ErrForeignEvent) {
				t.Errorf("got %v, want ErrForeignEvent", err)
			}
			return
		}
		// Nobody but the holder of the key makes another payload.
		if e.ID != "j" || string(e.Event) != `{"record":{}}` || !now.Before(e.Expires) {
			t.Errorf("accepted %q: %s", e.ID, e.Event)
		}
	})
}

func FuzzParseForeignKey(f *testing.F) {
	f.Add(RS256, publicPEM(signers[RS256]()))
	f.Add(EdDSA, base64.URLEncoding.EncodeToString([]byte(publicPEM(signers[EdDSA]()))))
	f.Add("HS256", "c2VjcmV0")
	f.Fuzz(func(t *testing.T, algorithm, text string) {
		k, err := ParseForeignKey("peatio", algorithm, text)
		if err != nil && !errors.Is(err, ErrBadKey) {
			t.Errorf("got %v, want ErrBadKey", err)
		}
		if err == nil && (k.key.algorithm != algorithm || k.key.public == nil) {
			t.Errorf("got a key of %q for %q", k.key.algorithm, algorithm)
		}
	})
}
