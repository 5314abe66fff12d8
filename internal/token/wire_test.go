package token

import (
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/lestrrat-go/jwx/v2/jwa"
	"github.com/lestrrat-go/jwx/v2/jws"
)

func wireKeys(t *testing.T) (*Keys, *clock) {
	t.Helper()
	c := newClock()
	k, err := OpenKeys(t.Context(), &memory{}, shippedKeys(), c.now)
	if err != nil {
		t.Fatal(err)
	}
	return k, c
}

func publicKey(t *testing.T, k *Keys, use string) any {
	t.Helper()
	text, err := k.Public(use, FormPEM)
	if err != nil {
		t.Fatal(err)
	}
	block, rest := pem.Decode(text)
	if block == nil || block.Type != "PUBLIC KEY" || len(rest) != 0 {
		t.Fatalf("got %q, want one PEM block PUBLIC KEY", text)
	}
	key, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// The envelope of AZ-380 and the claims of AZ-381, to the letter.
func TestSignedEventHasTheEnvelopeAndClaimsOfTheWire(t *testing.T) {
	k, c := wireKeys(t)
	event := json.RawMessage(`{"record":{"user":{"uid":"ID1"}},"name":"system.user.password.change"}`)
	body, err := k.SignEvent(event, c.now())
	if err != nil {
		t.Fatal(err)
	}
	var envelope struct {
		Payload    string           `json:"payload"`
		Signatures []map[string]any `json:"signatures"`
	}
	dec := json.NewDecoder(strings.NewReader(string(body)))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&envelope); err != nil {
		t.Fatal(err)
	}
	if len(envelope.Signatures) != 1 {
		t.Fatalf("%d signatures, want one", len(envelope.Signatures))
	}
	got := envelope.Signatures[0]
	if s, _ := got["signature"].(string); !regexp.MustCompile(`^[A-Za-z0-9_-]{342}$`).MatchString(s) {
		t.Errorf("signature is %q, want 256 bytes of base64url", s)
	}
	delete(got, "signature")
	want := map[string]any{
		"protected": base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"RS256"}`)),
		"header":    map[string]any{"kid": "barong"},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("signature: want (-), got (+):\n%s", d)
	}
	payload, err := jws.Verify(body, jws.WithKey(jwa.RS256, publicKey(t, k, UseWire)))
	if err != nil {
		t.Fatalf("another implementation refuses the signature: %v", err)
	}
	form := regexp.MustCompile(`^{"iss":"barong","jti":"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}",` +
		`"iat":1772366400,"exp":1772370000,"event":` + regexp.QuoteMeta(string(event)) + `}$`)
	if !form.Match(payload) {
		t.Errorf("claims are %s, want %s", payload, form)
	}
}

func TestEventsHaveIDsOfTheirOwn(t *testing.T) {
	k, c := wireKeys(t)
	id := func() string {
		body, err := k.SignEvent(json.RawMessage(`{}`), c.now())
		if err != nil {
			t.Fatal(err)
		}
		var envelope struct{ Payload string }
		var claims struct{ JTI string }
		if err := json.Unmarshal(body, &envelope); err != nil {
			t.Fatal(err)
		}
		text, _ := base64.RawURLEncoding.DecodeString(envelope.Payload)
		if err := json.Unmarshal(text, &claims); err != nil {
			t.Fatal(err)
		}
		return claims.JTI
	}
	if a, b := id(), id(); a == b || a == "" {
		t.Errorf("the ids are %q and %q, want two", a, b)
	}
}

// Design D7b.
func TestEventThatCouldPassForAnIdentityIsRefused(t *testing.T) {
	k, _ := wireKeys(t)
	for event, fine := range map[string]bool{
		`{"sub":"ID1","name":"x"}`:        false,
		`{"name":"x","uid":"ID1"}`:        false,
		`{"uid":null}`:                    false,
		`{"\u0075id":"ID1"}`:              false,
		`{"name":"x","record":{"uid":1}}`: true,
		`["sub"]`:                         false,
		`null`:                            false,
		`"text"`:                          false,
		`{"name":`:                        false,
		`{} {}`:                           false,
		``:                                false,
	} {
		_, err := k.SignEvent(json.RawMessage(event), time.Now())
		if fine != (err == nil) || !fine && !errors.Is(err, ErrEvent) {
			t.Errorf("%s: got %v, want ErrEvent %v", event, err, !fine)
		}
	}
}

// Design D7b: a wire signature is by a key that signs no bearer token.
func TestSignedEventIsNoBearerToken(t *testing.T) {
	k, c := wireKeys(t)
	wire, bearer := publicKey(t, k, UseWire).(*rsa.PublicKey), publicKey(t, k, UseBearer).(*rsa.PublicKey)
	if wire.Equal(bearer) {
		t.Fatal("the wire key is the bearer key")
	}
	body, err := k.SignEvent(json.RawMessage(`{}`), c.now())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := jws.Verify(body, jws.WithKey(jwa.RS256, bearer)); err == nil {
		t.Error("the bearer key verifies it")
	}
	var e struct {
		Payload    string
		Signatures []struct{ Protected, Signature string }
	}
	if err := json.Unmarshal(body, &e); err != nil {
		t.Fatal(err)
	}
	compact := e.Signatures[0].Protected + "." + e.Payload + "." + e.Signatures[0].Signature
	m, err := NewMinter(k, shipped())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := m.Verify(compact, c.now()); err == nil {
		t.Error("its parts are taken for a bearer token")
	}
}

func TestPublicKeyOfMailIsNotTold(t *testing.T) {
	k, _ := wireKeys(t)
	for _, use := range []string{UseMail, "", "other"} {
		if text, err := k.Public(use, FormPEM); !errors.Is(err, ErrNoKey) || text != nil {
			t.Errorf("use %q: got %q, %v; want ErrNoKey", use, text, err)
		}
	}
}
