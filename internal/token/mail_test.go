package token

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/google/go-cmp/cmp"
)

func letter() MailClaims {
	return MailClaims{Purpose: Reset, UID: "ID1A2B3C4D5E", Email: "ann@example.com", ID: "0123456789abcdef0123"}
}

func mintMail(t testing.TB, k *Keys, c MailClaims, now time.Time) string {
	t.Helper()
	text, err := k.MintMail(c, now)
	if err != nil {
		t.Fatalf("MintMail: %v", err)
	}
	return text
}

// wordOf is the word that clients get, "" for an accepted token.
func wordOf(t testing.TB, err error) string {
	t.Helper()
	if err == nil {
		return ""
	}
	bad, ok := errors.AsType[*MailError](err)
	if !ok {
		t.Fatalf("got error %v, want a *MailError", err)
	}
	return bad.Word
}

// Design D7b: own key, own audience, its lifetime, nothing in the key set.
func TestMintMail(t *testing.T) {
	_, k, _, now := fixture(t, RS256)
	text := mintMail(t, k, letter(), now.now())
	want := letter()
	want.Expires = now.now().Add(time.Hour)
	got, err := k.VerifyMail(text, Reset, now.now())
	if d := cmp.Diff(want, got); err != nil || d != "" {
		t.Fatalf("err %v; (-want +got):\n%s", err, d)
	}
	parts := strings.Split(text, ".")
	var claims map[string]any
	if err := json.Unmarshal(must(base64.RawURLEncoding.DecodeString(parts[1])), &claims); err != nil {
		t.Fatal(err)
	}
	unix := float64(now.now().Unix())
	if d := cmp.Diff(map[string]any{
		"iat": unix, "exp": unix + 3600, "sub": "reset", "iss": "barong", "aud": "barong-mail",
		"jti": "0123456789abcdef0123", "email": "ann@example.com", "uid": "ID1A2B3C4D5E",
	}, claims); d != "" {
		t.Errorf("claims (-want +got):\n%s", d)
	}
	var header map[string]string
	if err := json.Unmarshal(must(base64.RawURLEncoding.DecodeString(parts[0])), &header); err != nil {
		t.Fatal(err)
	}
	kid := must(k.signer(UseMail)).Kid
	if d := cmp.Diff(map[string]string{"alg": EdDSA, "kid": kid}, header); d != "" {
		t.Errorf("header (-want +got):\n%s", d)
	}
	if strings.Contains(string(k.JWKS()), kid) {
		t.Error("the mail key is in the published key set")
	}

	for name, change := range map[string]func(*MailClaims){
		"another purpose": func(c *MailClaims) { c.Purpose = "session" },
		"no uid":          func(c *MailClaims) { c.UID = "" },
		"no e-mail":       func(c *MailClaims) { c.Email = "" },
		"no jti":          func(c *MailClaims) { c.ID = "" },
		"a longer life":   func(c *MailClaims) { c.Expires = now.now().Add(time.Hour + time.Second) },
	} {
		c := letter()
		change(&c)
		if text, err := k.MintMail(c, now.now()); err == nil {
			t.Errorf("%s: minted %s, want an error", name, text)
		}
	}
}

// Each problem has its word; claim mismatch does not echo (W-I28).
func TestVerifyMailRefuses(t *testing.T) {
	m, k, _, now := fixture(t, EdDSA)
	unix := now.now().Unix()
	mail, bearer := must(k.signer(UseMail)), must(k.signer(UseBearer))
	good := mintMail(t, k, letter(), now.now())
	parts := strings.Split(good, ".")
	b64 := func(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }

	type forgery struct {
		header, claims map[string]any // nil removes the member
		method         jwt.SigningMethod
		key            any
		want           string
	}
	for name, f := range map[string]forgery{
		"as minted":                          {want: ""},
		"alg none":                           {header: map[string]any{"alg": "none"}, method: jwt.SigningMethodNone, key: jwt.UnsafeAllowNoneSignatureType, want: "algorithm"},
		"HS256 with the public key":          {header: map[string]any{"alg": "HS256"}, method: jwt.SigningMethodHS256, key: []byte("x"), want: "algorithm"},
		"another algorithm than the key's":   {header: map[string]any{"alg": RS256}, method: jwt.SigningMethodRS256, key: must(newKey(RS256)), want: "algorithm"},
		"no alg":                             {header: map[string]any{"alg": nil}, want: "algorithm"},
		"no kid":                             {header: map[string]any{"kid": nil}, want: "raised"},
		"a kid that is a number":             {header: map[string]any{"kid": 1}, want: "raised"},
		"the bearer key's kid and signature": {header: map[string]any{"kid": bearer.Kid}, key: bearer.private, want: "raised"},
		"another key's signature":            {key: must(newKey(EdDSA)), want: "raised"},
		"critical header members":            {header: map[string]any{"crit": []string{"exp"}}, want: "raised"},
		"another issuer":                     {claims: map[string]any{"iss": "evil"}, want: "raised"},
		"no issuer":                          {claims: map[string]any{"iss": nil}, want: "raised"},
		"the audience of bearer tokens":      {claims: map[string]any{"aud": []string{"peatio", "barong"}}, want: "raised"},
		"no audience":                        {claims: map[string]any{"aud": nil}, want: "raised"},
		"the other purpose":                  {claims: map[string]any{"sub": "confirmation"}, want: "raised"},
		"no purpose":                         {claims: map[string]any{"sub": nil}, want: "raised"},
		"no uid":                             {claims: map[string]any{"uid": nil}, want: "raised"},
		"no e-mail":                          {claims: map[string]any{"email": ""}, want: "raised"},
		"no jti":                             {claims: map[string]any{"jti": nil}, want: "jti"},
		"a jti that is a number":             {claims: map[string]any{"jti": 7}, want: "jti"},
		"no exp":                             {claims: map[string]any{"exp": nil}, want: "expired"},
		"exp is now":                         {claims: map[string]any{"exp": unix}, want: "expired"},
		"exp that is a text":                 {claims: map[string]any{"exp": "never"}, want: "expired"},
		"nbf in the future":                  {claims: map[string]any{"nbf": unix + 3}, want: "reached"},
		"nbf within the leeway":              {claims: map[string]any{"nbf": unix + 2}, want: ""},
		"iat in the future":                  {claims: map[string]any{"iat": unix + 3}, want: "iat"},
		"no iat":                             {claims: map[string]any{"iat": nil}, want: "iat"},
		"an iat that is a text":              {claims: map[string]any{"iat": "now"}, want: "iat"},
	} {
		t.Run(name, func(t *testing.T) {
			header := map[string]any{"alg": EdDSA, "kid": mail.Kid}
			claims := map[string]any{
				"iat": unix, "exp": unix + 3600, "sub": "reset", "iss": "barong", "aud": "barong-mail",
				"jti": "x", "uid": "ID1", "email": "a@b.c",
			}
			for _, change := range []struct{ to, with map[string]any }{{header, f.header}, {claims, f.claims}} {
				maps.Copy(change.to, change.with)
				maps.DeleteFunc(change.to, func(_ string, v any) bool { return v == nil })
			}
			if f.method == nil {
				f.method = jwt.SigningMethodEdDSA
			}
			if f.key == nil {
				f.key = mail.private
			}
			_, err := k.VerifyMail(forge(t, header, claims, f.method, f.key), Reset, now.now())
			if got := wordOf(t, err); got != f.want {
				t.Errorf("got word %q, want %q", got, f.want)
			}
		})
	}

	for name, c := range map[string]struct{ token, want string }{
		"nothing":                     {"", "segments"},
		"a word":                      {"invalid", "segments"},
		"two parts":                   {parts[0] + "." + parts[1], "segments"},
		"four parts":                  {good + ".", "segments"},
		"empty parts":                 {"..", "encoding"},
		"no base64":                   {"!." + parts[1] + "." + parts[2], "encoding"},
		"a padded signature":          {good + "=", "encoding"},
		"bits after the end":          {parts[0] + "." + parts[1] + ".AB", "encoding"},
		"a header that is no object":  {b64("[]") + "." + parts[1] + "." + parts[2], "encoding"},
		"a header that is null":       {b64("null") + "." + parts[1] + "." + parts[2], "encoding"},
		"a payload that is no object": {parts[0] + "." + b64("1") + "." + parts[2], "encoding"},
		"a longer payload":            {parts[0] + "." + b64(strings.Repeat(" ", maxMail)+"{}") + "." + parts[2], "encoding"},
		"no signature":                {parts[0] + "." + parts[1] + ".", "raised"},
		"another payload":             {parts[0] + "." + b64("{}") + "." + parts[2], "raised"},
		"a bearer token":              {mint(t, m, user(), now.now()), "raised"},
	} {
		_, err := k.VerifyMail(c.token, Reset, now.now())
		if got := wordOf(t, err); got != c.want {
			t.Errorf("%s: got word %q, want %q", name, got, c.want)
		}
	}

	if uid, err := m.Verify(good, now.now()); !errors.Is(err, ErrInvalid) {
		t.Errorf("a mail token as bearer token: %q, %v, want ErrInvalid", uid, err)
	}
}

// Design D7c: links of a key that was replaced go on working.
func TestVerifyMailAfterRotation(t *testing.T) {
	_, k, store, now := fixture(t, EdDSA)
	old := mintMail(t, k, letter(), now.now())
	fresh := must(k.generate(UseMail))
	fresh.State = Active
	for i, row := range store.rows {
		if row.Use == UseMail {
			store.rows[i].State, store.rows[i].RetiredAt = Retiring, now.now()
		}
	}
	store.rows = append(store.rows, fresh)
	if err := k.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{"old": old, "new": mintMail(t, k, letter(), now.now())} {
		if _, err := k.VerifyMail(text, Reset, now.now()); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	now.add(time.Hour)
	if _, err := k.VerifyMail(old, Reset, now.now()); wordOf(t, err) != "expired" {
		t.Errorf("after an hour: %v, want expired", err)
	}
}

func FuzzVerifyMail(f *testing.F) {
	m, k, _, now := fixture(f, EdDSA)
	good := mintMail(f, k, letter(), now.now())
	for _, seed := range []string{good, good[:len(good)-1], "..", "a.b.c", mint(f, m, user(), now.now()), ""} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		c, err := k.VerifyMail(text, Reset, now.now())
		if word := wordOf(t, err); word != "" {
			if !slices.Contains(MailErrorWords(), word) {
				t.Errorf("unknown word %q", word)
			}
			return
		}
		if text != good {
			t.Errorf("accepted %q as %+v; nobody minted it", text, c)
		}
	})
}
