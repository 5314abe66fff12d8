package token

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"maps"
	"math/big"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/google/go-cmp/cmp"
)

const idIssuer, idAudience = "https://tenant.example/", "client-1"

var idNow = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// providerKey is an identity provider's: made once for the test binary.
var providerKey = sync.OnceValue(func() *rsa.PrivateKey { return must(rsa.GenerateKey(rand.Reader, 2048)) })

var otherKey = sync.OnceValue(func() *rsa.PrivateKey { return must(rsa.GenerateKey(rand.Reader, 2048)) })

func certificate(key *rsa.PrivateKey) string {
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "tenant.example"},
		NotBefore: idNow.AddDate(-9, 0, 0), NotAfter: idNow.AddDate(-8, 0, 0),
	}
	return base64.StdEncoding.EncodeToString(must(x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)))
}

// publicJWK is a key as a provider shows it; a nil of change removes the member.
func publicJWK(kid string, key *rsa.PublicKey, change map[string]any) map[string]any {
	k := map[string]any{
		"kty": "RSA", "kid": kid, "use": "sig", "alg": "RS256",
		"n": base64.RawURLEncoding.EncodeToString(key.N.Bytes()),
		"e": base64.RawURLEncoding.EncodeToString(big.NewInt(int64(key.E)).Bytes()),
	}
	change = maps.Clone(change)
	for name, value := range change {
		if value == nil {
			delete(k, name)
		} else {
			k[name] = value
		}
	}
	return k
}

func setOf(keys ...any) []byte { return must(json.Marshal(map[string]any{"keys": keys})) }

func providerSet() *KeySet {
	return must(ParseKeySet(setOf(publicJWK("k1", &providerKey().PublicKey, nil))))
}

// idToken signs a good token after change; a nil removes the member.
func idToken(t testing.TB, header, claims map[string]any, m jwt.SigningMethod, key any) string {
	t.Helper()
	h := map[string]any{"alg": "RS256", "typ": "JWT", "kid": "k1"}
	c := map[string]any{
		"iss": idIssuer, "aud": idAudience, "sub": "auth0|1", "email": "Ann@example.com",
		"email_verified": true, "nonce": "n", "iat": idNow.Unix() - 5, "exp": idNow.Unix() + 60,
	}
	for _, change := range []struct{ to, from map[string]any }{{h, header}, {c, claims}} {
		for name, value := range change.from {
			if value == nil {
				delete(change.to, name)
			} else {
				change.to[name] = value
			}
		}
	}
	if m == nil {
		m = jwt.SigningMethodRS256
	}
	if key == nil {
		key = providerKey()
	}
	return forge(t, h, c, m, key)
}

// A good ID token gives the address and whether it is verified.
func TestVerifyIDTokenAccepts(t *testing.T) {
	yes, no := true, false
	for name, c := range map[string]struct {
		header, claims map[string]any
		want           IDClaims
	}{
		"all claims":                            {want: IDClaims{Subject: "auth0|1", Email: "Ann@example.com", EmailVerified: &yes, Nonce: "n"}},
		"not verified":                          {claims: map[string]any{"email_verified": false}, want: IDClaims{Subject: "auth0|1", Email: "Ann@example.com", EmailVerified: &no, Nonce: "n"}},
		"verified is absent":                    {claims: map[string]any{"email_verified": nil}, want: IDClaims{Subject: "auth0|1", Email: "Ann@example.com", Nonce: "n"}},
		"neither e-mail nor nonce":              {claims: map[string]any{"email": nil, "email_verified": nil, "nonce": nil}, want: IDClaims{Subject: "auth0|1"}},
		"no typ":                                {header: map[string]any{"typ": nil}, claims: map[string]any{"email_verified": nil}, want: IDClaims{Subject: "auth0|1", Email: "Ann@example.com", Nonce: "n"}},
		"two audiences and azp":                 {claims: map[string]any{"aud": []string{"other", idAudience}, "azp": idAudience, "email_verified": nil}, want: IDClaims{Subject: "auth0|1", Email: "Ann@example.com", Nonce: "n"}},
		"a provider's clock that is 59 s ahead": {claims: map[string]any{"iat": idNow.Unix() + 59, "email_verified": nil}, want: IDClaims{Subject: "auth0|1", Email: "Ann@example.com", Nonce: "n"}},
	} {
		t.Run(name, func(t *testing.T) {
			text := idToken(t, c.header, c.claims, nil, nil)
			got, err := providerSet().VerifyIDToken(text, idIssuer, idAudience, idNow)
			if err != nil {
				t.Fatal(err)
			}
			c.want.Fingerprint = fmt.Sprintf("%x", sha256.Sum256([]byte(text[:strings.LastIndexByte(text, '.')])))
			c.want.ExpiresAt = idNow.Add(time.Minute)
			if d := cmp.Diff(c.want, got); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
		})
	}
}

// OpenID Connect Core §3.1.3.7.
func TestVerifyIDTokenRefuses(t *testing.T) {
	public := &providerKey().PublicKey
	asPEM := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: must(x509.MarshalPKIXPublicKey(public))})
	type forgery struct {
		header, claims map[string]any
		method         jwt.SigningMethod
		key            any
	}
	for name, f := range map[string]forgery{
		"alg none":                       {header: map[string]any{"alg": "none"}, method: jwt.SigningMethodNone, key: jwt.UnsafeAllowNoneSignatureType},
		"HS256 with the public key":      {header: map[string]any{"alg": "HS256"}, method: jwt.SigningMethodHS256, key: asPEM},
		"HS256 signed, but RS256 in alg": {method: jwt.SigningMethodHS256, key: asPEM},
		"RS512 with the right key":       {header: map[string]any{"alg": "RS512"}, method: jwt.SigningMethodRS512},
		"PS256 with the right key":       {header: map[string]any{"alg": "PS256"}, method: jwt.SigningMethodPS256},
		"another key's signature":        {key: otherKey()},
		"no kid":                         {header: map[string]any{"kid": nil}},
		"an empty kid":                   {header: map[string]any{"kid": ""}},
		"a kid that is a number":         {header: map[string]any{"kid": 1}},
		"a logout token":                 {header: map[string]any{"typ": "logout+jwt"}},
		"an access token":                {header: map[string]any{"typ": "at+jwt"}},
		"a typ that is a number":         {header: map[string]any{"typ": 1}},
		"critical members":               {header: map[string]any{"crit": []string{"x"}, "x": 1}},
		"a key of its own":               {header: map[string]any{"jwk": publicJWK("k1", &otherKey().PublicKey, nil)}, key: otherKey()},
		"another issuer":                 {claims: map[string]any{"iss": "https://evil.example/"}},
		"the issuer without its slash":   {claims: map[string]any{"iss": "https://tenant.example"}},
		"no issuer":                      {claims: map[string]any{"iss": nil}},
		"another audience":               {claims: map[string]any{"aud": "client-2"}},
		"no audience":                    {claims: map[string]any{"aud": nil}},
		"two audiences without azp":      {claims: map[string]any{"aud": []string{idAudience, "client-2"}}},
		"azp of another":                 {claims: map[string]any{"azp": "client-2"}},
		"no sub":                         {claims: map[string]any{"sub": nil}},
		"no exp":                         {claims: map[string]any{"exp": nil}},
		"expired this second":            {claims: map[string]any{"exp": idNow.Unix()}},
		"exp that is a word":             {claims: map[string]any{"exp": "soon"}},
		"no iat":                         {claims: map[string]any{"iat": nil}},
		"issued in two minutes":          {claims: map[string]any{"iat": idNow.Unix() + 120}},
		"valid in two minutes":           {claims: map[string]any{"nbf": idNow.Unix() + 120}},
		"an e-mail that is a list":       {claims: map[string]any{"email": []string{"a@example.com"}}},
		"verified that is a text":        {claims: map[string]any{"email_verified": "true"}},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := providerSet().VerifyIDToken(idToken(t, f.header, f.claims, f.method, f.key), idIssuer, idAudience, idNow)
			if !errors.Is(err, ErrIDToken) || errors.Is(err, ErrUnknownKid) || got != (IDClaims{}) {
				t.Errorf("got %v (%v), want ErrIDToken alone", got, err)
			}
		})
	}
	good := idToken(t, nil, nil, nil, nil)
	head, rest, _ := strings.Cut(good, ".")
	for name, text := range map[string]string{
		"nothing":                "",
		"two parts":              head + ".e30",
		"a trailing byte":        good + "x",
		"a space before":         " " + good,
		"padding":                good + "=",
		"a header that is none":  "e30." + rest,
		"claims of another":      head + ".e30." + good[strings.LastIndexByte(good, '.')+1:],
		"more than sixteen KiB":  idToken(t, nil, map[string]any{"x": strings.Repeat("x", 16<<10)}, nil, nil),
		"a token of four pieces": good + ".e30",
	} {
		if _, err := providerSet().VerifyIDToken(text, idIssuer, idAudience, idNow); !errors.Is(err, ErrIDToken) {
			t.Errorf("%s: %v, want ErrIDToken", name, err)
		}
	}
	for _, unset := range [][2]string{{"", idAudience}, {idIssuer, ""}} {
		text := idToken(t, nil, map[string]any{"iss": unset[0], "aud": unset[1]}, nil, nil)
		if _, err := providerSet().VerifyIDToken(text, unset[0], unset[1], idNow); !errors.Is(err, ErrIDToken) {
			t.Errorf("issuer %q, audience %q: %v, want ErrIDToken", unset[0], unset[1], err)
		}
	}
}

func TestAnUnknownKidIsToldApart(t *testing.T) {
	text := idToken(t, map[string]any{"kid": "k2"}, nil, nil, nil)
	_, err := providerSet().VerifyIDToken(text, idIssuer, idAudience, idNow)
	if !errors.Is(err, ErrIDToken) || !errors.Is(err, ErrUnknownKid) {
		t.Errorf("got %v, want ErrIDToken and ErrUnknownKid", err)
	}
}

func TestIDTokensStayOutOfErrors(t *testing.T) {
	for _, text := range []string{
		idToken(t, map[string]any{"kid": "hunter2"}, nil, nil, nil),
		idToken(t, map[string]any{"typ": "hunter2"}, nil, nil, nil),
		idToken(t, nil, map[string]any{"iss": "hunter2"}, nil, nil),
		forge(t, map[string]any{"alg": "hunter2", "kid": "k1"}, nil, jwt.SigningMethodRS256, providerKey()),
		"hunter2.hunter2.hunter2",
	} {
		_, err := providerSet().VerifyIDToken(text, idIssuer, idAudience, idNow)
		if err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("got %v, want an error without the token's text", err)
		}
	}
	c := IDClaims{Email: "hunter2"}
	if got := fmt.Sprintf("%v %+v %#v", c, c, c); strings.Contains(got, "hunter2") {
		t.Errorf("claims print as %s", got)
	}
}

// RFC 7517 §4.7, §5; RFC 7518 §3.3.
func TestParseKeySet(t *testing.T) {
	mine, other := &providerKey().PublicKey, &otherKey().PublicKey
	text := idToken(t, nil, nil, nil, nil)
	weak := must(rsa.GenerateKey(rand.Reader, 1024))
	private := publicJWK("k1", mine, map[string]any{
		"d": base64.RawURLEncoding.EncodeToString(providerKey().D.Bytes()),
		"p": base64.RawURLEncoding.EncodeToString(providerKey().Primes[0].Bytes()),
		"q": base64.RawURLEncoding.EncodeToString(providerKey().Primes[1].Bytes()),
	})
	good := publicJWK("k1", mine, nil)
	filler := publicJWK("filler", other, nil)
	for name, c := range map[string]struct {
		keys []any
		want bool // the token verifies
	}{
		"a key by its members":                      {[]any{good}, true},
		"without use and alg":                       {[]any{publicJWK("k1", mine, map[string]any{"use": nil, "alg": nil})}, true},
		"by its certificate alone":                  {[]any{publicJWK("k1", mine, map[string]any{"n": nil, "e": nil, "x5c": []string{certificate(providerKey())}})}, true},
		"by both, equal":                            {[]any{publicJWK("k1", mine, map[string]any{"x5c": []string{certificate(providerKey()), "later ones do not matter"}})}, true},
		"beside keys of other kinds":                {[]any{map[string]any{"kty": "OKP", "kid": "k1", "crv": "Ed25519", "x": "AA"}, map[string]any{"kty": "new"}, 1, "x", nil, good}, true},
		"the first of two of one kid":               {[]any{good, publicJWK("k1", other, nil)}, true},
		"the second of two of one kid":              {[]any{publicJWK("k1", other, nil), good}, false},
		"for encryption":                            {[]any{filler, publicJWK("k1", mine, map[string]any{"use": "enc"})}, false},
		"for another algorithm":                     {[]any{filler, publicJWK("k1", mine, map[string]any{"alg": "RS512"})}, false},
		"without kid":                               {[]any{filler, publicJWK("k1", mine, map[string]any{"kid": nil})}, false},
		"members and certificate of different keys": {[]any{filler, publicJWK("k1", mine, map[string]any{"x5c": []string{certificate(otherKey())}})}, false},
		"a broken certificate beside the members":   {[]any{filler, publicJWK("k1", mine, map[string]any{"x5c": []string{"AAAA"}})}, false},
		"a certificate that is not base64":          {[]any{filler, publicJWK("k1", mine, map[string]any{"n": nil, "e": nil, "x5c": []string{"-"}})}, false},
		"neither members nor certificate":           {[]any{filler, publicJWK("k1", mine, map[string]any{"n": nil, "e": nil})}, false},
		"a private key":                             {[]any{filler, private}, false},
		"a modulus without exponent":                {[]any{filler, publicJWK("k1", mine, map[string]any{"e": nil})}, false},
		"an even exponent":                          {[]any{filler, publicJWK("k1", mine, map[string]any{"e": "Ag"})}, false},
	} {
		t.Run(name, func(t *testing.T) {
			set, err := ParseKeySet(setOf(c.keys...))
			if err != nil {
				t.Fatal(err)
			}
			if _, err := set.VerifyIDToken(text, idIssuer, idAudience, idNow); (err == nil) != c.want {
				t.Errorf("got %v, want it accepted: %v", err, c.want)
			}
		})
	}
	for name, document := range map[string][]byte{
		"nothing":        nil,
		"a list":         []byte(`[]`),
		"no keys":        []byte(`{}`),
		"an empty set":   []byte(`{"keys":[]}`),
		"a key alone":    must(json.Marshal(good)),
		"a page":         []byte(`<html>`),
		"a weak key":     setOf(publicJWK("k1", &weak.PublicKey, nil)),
		"a private key":  setOf(private),
		"text after":     append(setOf(good), "{}"...),
		"above 256 KiB":  setOf(good, strings.Repeat("x", 256<<10)),
		"an object":      []byte(`{"keys":{}}`),
		"text for a key": []byte(`{"keys":["k1"]}`),
	} {
		if _, err := ParseKeySet(document); !errors.Is(err, ErrKeySet) {
			t.Errorf("%s: %v, want ErrKeySet", name, err)
		}
	}
}

func FuzzParseKeySet(f *testing.F) {
	f.Add(setOf(publicJWK("k1", &providerKey().PublicKey, map[string]any{"x5c": []string{certificate(providerKey())}})))
	f.Add([]byte(`{"keys":[{"kty":"RSA","kid":"a","n":"AQAB","e":"AQAB"},{"kty":"EC"}]}`))
	f.Fuzz(func(t *testing.T, document []byte) {
		set, err := ParseKeySet(document)
		if err != nil {
			if !errors.Is(err, ErrKeySet) || set != nil {
				t.Errorf("got %v (%v), want ErrKeySet alone", set, err)
			}
			return
		}
		for kid, key := range set.byKid {
			if kid == "" || key.N.BitLen() < 2048 || key.N.BitLen() > 8192 {
				t.Errorf("key %q of %d bits is accepted", kid, key.N.BitLen())
			}
		}
	})
}

// Nothing but the provider's signed tokens is accepted.
func FuzzVerifyIDToken(f *testing.F) {
	good := idToken(f, nil, nil, nil, nil)
	set := providerSet()
	f.Add(good)
	f.Add(idToken(f, map[string]any{"alg": "none"}, nil, jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType))
	f.Add("a.b.c")
	f.Fuzz(func(t *testing.T, text string) {
		c, err := set.VerifyIDToken(text, idIssuer, idAudience, idNow)
		if err == nil && text != good {
			t.Errorf("%q is accepted as %#v", text, c)
		}
		if err != nil && !errors.Is(err, ErrIDToken) {
			t.Errorf("got %v, want ErrIDToken", err)
		}
	})
}
