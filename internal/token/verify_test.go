package token

import (
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"net/mail"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// forge signs a header and claims as given, with nothing checked.
func forge(t testing.TB, header, claims map[string]any, m jwt.SigningMethod, key any) string {
	t.Helper()
	h, c := must(json.Marshal(header)), must(json.Marshal(claims))
	text := base64.RawURLEncoding.EncodeToString(h) + "." + base64.RawURLEncoding.EncodeToString(c)
	sig, err := m.Sign(text, key)
	if err != nil {
		t.Fatal(err)
	}
	return text + "." + base64.RawURLEncoding.EncodeToString(sig)
}

// Design D7: the key that kid names and that key's own algorithm; iss, aud, sub, exp, jti.
func TestVerifyRefuses(t *testing.T) {
	m, keys, _, now := fixture(t, RS256)
	active := keys.set.Load().bearer
	unix := now.now().Unix()
	publicPEM := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: must(x509.MarshalPKIXPublicKey(active.public))})
	ours := active.public.(*rsa.PublicKey)
	wire := must(keys.signer(UseWire))
	postal := must(keys.signer(UseMail))

	type forgery struct {
		header, claims map[string]any // nil removes the member
		method         jwt.SigningMethod
		key            any
	}
	for name, f := range map[string]forgery{
		"alg none": {header: map[string]any{"alg": "none"}, method: jwt.SigningMethodNone,
			key: jwt.UnsafeAllowNoneSignatureType},
		"HS256 with the public key as PEM":    {header: map[string]any{"alg": "HS256"}, method: jwt.SigningMethodHS256, key: publicPEM},
		"HS256 with the public key's DER":     {header: map[string]any{"alg": "HS256"}, method: jwt.SigningMethodHS256, key: x509.MarshalPKCS1PublicKey(ours)},
		"HS256 signed, but RS256 in alg":      {method: jwt.SigningMethodHS256, key: publicPEM},
		"the right key with another method":   {header: map[string]any{"alg": "RS512"}, method: jwt.SigningMethodRS512},
		"the right key with PSS":              {header: map[string]any{"alg": "PS256"}, method: jwt.SigningMethodPS256},
		"no kid":                              {header: map[string]any{"kid": nil}},
		"an unknown kid":                      {header: map[string]any{"kid": "unknown"}},
		"a kid that is a number":              {header: map[string]any{"kid": 1}},
		"the kid of the wire key, signed so":  {header: map[string]any{"kid": wire.Kid}, key: wire.private},
		"the kid of the mail key, signed so":  {header: map[string]any{"kid": postal.Kid, "alg": EdDSA}, method: jwt.SigningMethodEdDSA, key: postal.private},
		"our kid, another key's signature":    {key: wire.private},
		"an algorithm that is not the key's":  {header: map[string]any{"alg": EdDSA}, method: jwt.SigningMethodEdDSA, key: postal.private},
		"critical header members":             {header: map[string]any{"crit": []string{"exp"}}},
		"another issuer":                      {claims: map[string]any{"iss": "barong2"}},
		"no issuer":                           {claims: map[string]any{"iss": nil}},
		"another audience":                    {claims: map[string]any{"aud": []string{"peatio"}}},
		"the audience of mails":               {claims: map[string]any{"aud": []string{"barong-mail"}}},
		"no audience":                         {claims: map[string]any{"aud": nil}},
		"the party of components":             {claims: map[string]any{"azp": "components"}},
		"the party of a component":            {claims: map[string]any{"azp": "ranger"}},
		"a party that is a list":              {claims: map[string]any{"azp": []string{"barong"}}},
		"no party":                            {claims: map[string]any{"azp": nil}},
		"another subject":                     {claims: map[string]any{"sub": "reset"}},
		"no subject":                          {claims: map[string]any{"sub": nil}},
		"no jti":                              {claims: map[string]any{"jti": nil}},
		"an empty jti":                        {claims: map[string]any{"jti": ""}},
		"no uid":                              {claims: map[string]any{"uid": nil}},
		"a uid that is a number":              {claims: map[string]any{"uid": 5}},
		"no exp":                              {claims: map[string]any{"exp": nil}},
		"exp is now":                          {claims: map[string]any{"exp": unix}},
		"exp long ago":                        {claims: map[string]any{"exp": 0}},
		"exp that is a string":                {claims: map[string]any{"exp": "never"}},
		"iat in the future":                   {claims: map[string]any{"iat": unix + 3}},
		"nbf in the future":                   {claims: map[string]any{"nbf": unix + 3}},
		"signed by nobody we know, our names": {key: must(newKey(RS256))},
	} {
		t.Run(name, func(t *testing.T) {
			header := map[string]any{"alg": RS256, "kid": active.Kid}
			claims := map[string]any{
				"iat": unix, "exp": unix + 300, "sub": "session", "iss": "barong",
				"aud": []string{"peatio", "barong"}, "azp": "barong", "jti": "x", "uid": "ID1",
			}
			for _, change := range []struct{ to, with map[string]any }{{header, f.header}, {claims, f.claims}} {
				for k, v := range change.with {
					if change.to[k] = v; v == nil {
						delete(change.to, k)
					}
				}
			}
			if f.method == nil {
				f.method = jwt.SigningMethodRS256
			}
			if f.key == nil {
				f.key = active.private
			}
			uid, err := m.Verify(forge(t, header, claims, f.method, f.key), now.now())
			if !errors.Is(err, ErrInvalid) || uid != "" {
				t.Errorf("Verify = %q, %v; want ErrInvalid", uid, err)
			}
		})
	}

	good := forge(t, map[string]any{"alg": RS256, "kid": active.Kid}, map[string]any{
		"iat": unix + 2, "exp": unix + 1, "sub": "session", "iss": "barong", "aud": "barong", "azp": "barong", "jti": "x", "uid": "ID1",
	}, jwt.SigningMethodRS256, active.private)
	if uid, err := m.Verify(good, now.now()); uid != "ID1" || err != nil {
		t.Errorf("a plain audience and an iat two seconds ahead: %q, %v; want it accepted", uid, err)
	}
}

func TestVerifyRefusesBrokenText(t *testing.T) {
	m, _, _, now := fixture(t, EdDSA)
	good := mint(t, m, user(), now.now())
	parts := strings.Split(good, ".")
	for name, text := range map[string]string{
		"nothing":                   "",
		"dots":                      "..",
		"two parts":                 parts[0] + "." + parts[1],
		"four parts":                good + ".x",
		"no signature":              parts[0] + "." + parts[1] + ".",
		"a cut signature":           good[:len(good)-4],
		"claims of another":         parts[0] + "." + base64.RawURLEncoding.EncodeToString([]byte(`{"uid":"ID2"}`)) + "." + parts[2],
		"the scheme before it":      "Bearer " + good,
		"white space after it":      good + " ",
		"padding":                   good + "=",
		"too long":                  good + strings.Repeat("A", maxBearer),
		"standard base64 alphabet":  strings.NewReplacer("-", "+", "_", "/").Replace(good) + "+",
		"JSON serialization of JWS": `{"payload":"` + parts[1] + `","protected":"` + parts[0] + `","signature":"` + parts[2] + `"}`,
	} {
		if uid, err := m.Verify(text, now.now()); !errors.Is(err, ErrInvalid) || uid != "" {
			t.Errorf("%s: Verify = %q, %v; want ErrInvalid", name, uid, err)
		}
	}
}

// Verifiers like those of Peatio and Rango accept the token (T-NEW-22).
func TestConsumersAcceptTheToken(t *testing.T) {
	m, keys, _, now := fixture(t, RS256)
	public := keys.set.Load().bearer.public.(*rsa.PublicKey)
	bare := user()
	bare.Username, bare.ReferralID = nil, nil
	for name, c := range map[string]Claims{"a user": user(), "a user without name and referrer": bare, "a service account": serviceAccount()} {
		bearer := mint(t, m, c, now.now())
		if err := peatio(bearer, public, now.now()); err != nil {
			t.Errorf("%s: a Peatio-like verifier says %v", name, err)
		}
		if err := rango(bearer, public, now.now()); err != nil {
			t.Errorf("%s: a Rango-like verifier says %v", name, err)
		}
	}
	// FX-56: the consumer's clock is a second behind ours.
	if err := peatio(mint(t, m, user(), now.now()), public, now.now().Add(-time.Second)); err != nil {
		t.Errorf("a Peatio whose clock lags a second says %v", err)
	}
	if err := peatio(mint(t, m, user(), now.now()), public, now.now().Add(-2*time.Second)); err == nil {
		t.Error("the Peatio-like verifier has leeway on iat, so it proves nothing")
	}
}

// peatio checks as the ruby-jwt of Peatio and Barong's REST API does, without leeway.
func peatio(bearer string, key *rsa.PublicKey, now time.Time) error {
	tok, err := jwt.Parse(bearer, func(*jwt.Token) (any, error) { return key, nil },
		jwt.WithValidMethods([]string{"RS256"}), jwt.WithoutClaimsValidation())
	if err != nil {
		return err
	}
	c := tok.Claims.(jwt.MapClaims)
	text := func(name string) string { s, _ := c[name].(string); return s }
	exp, expOK := c["exp"].(float64)
	iat, iatOK := c["iat"].(float64)
	aud, audOK := c["aud"].([]any)
	_, mailErr := mail.ParseAddress(text("email"))
	_, levelOK := c["level"].(float64)
	_, nbf := c["nbf"]
	switch {
	case !expOK || float64(now.Unix()) >= exp:
		return errors.New("exp")
	case !iatOK || iat > float64(now.Unix()):
		return errors.New("iat")
	case nbf:
		return errors.New("nbf is there") // AZ-214
	case text("jti") == "":
		return errors.New("jti")
	case text("sub") != "session":
		return errors.New("sub")
	case text("iss") != "barong":
		return errors.New("iss")
	case !audOK || !slices.ContainsFunc(aud, func(a any) bool { return a == "peatio" || a == "barong" }):
		return errors.New("aud")
	case mailErr != nil || text("uid") == "" || len(text("uid")) > 32 || text("role") == "" || !levelOK || text("state") != "active":
		return errors.New("attributes")
	}
	return nil
}

// rango decodes into fixed types, as Rango does, and fails on any other.
func rango(bearer string, key *rsa.PublicKey, now time.Time) error {
	var c struct {
		jwt.RegisteredClaims
		Aud        []string `json:"aud"` // a plain string fails
		UID        string   `json:"uid"`
		Email      string   `json:"email"`
		Role       string   `json:"role"`
		State      string   `json:"state"`
		Level      int      `json:"level"`
		ReferralID *int64   `json:"referral_id"`
		Username   *string  `json:"username"`
	}
	_, err := jwt.ParseWithClaims(bearer, &c, func(*jwt.Token) (any, error) { return key, nil },
		jwt.WithValidMethods([]string{"RS256", "RS384", "RS512", "PS256", "PS384", "PS512"}),
		jwt.WithTimeFunc(func() time.Time { return now }), jwt.WithIssuedAt())
	if err != nil {
		return err
	}
	if !slices.Equal(c.Aud, []string{"peatio", "barong"}) || c.UID == "" || c.Role == "" || c.State == "" {
		return errors.New("claims")
	}
	return nil
}

func FuzzVerify(f *testing.F) {
	m, _, _, now := fixture(f, EdDSA)
	at := now.now()
	good := mint(f, m, user(), at)
	parts := strings.Split(good, ".")
	f.Add(good)
	f.Add(parts[0] + "." + parts[1] + ".")
	f.Add("eyJhbGciOiJub25lIn0." + parts[1] + ".")
	f.Add("a.b.c")
	f.Fuzz(func(t *testing.T, bearer string) {
		uid, err := m.Verify(bearer, at)
		if err == nil && !strings.HasPrefix(bearer, "ey") {
			t.Fatalf("accepted %q", bearer)
		}
		if err == nil && uid != "ID1A2B3C4D5E" {
			t.Fatalf("accepted a token of %q", uid)
		}
		if err != nil && !errors.Is(err, ErrInvalid) {
			t.Fatalf("error %v, want ErrInvalid", err)
		}
	})
}
