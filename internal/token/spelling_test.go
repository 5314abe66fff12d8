package token

import (
	"crypto"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"
)

// respellings are other texts than a token that a lenient reader takes for it: every byte a
// decoder may skip at every place, padding, stray bits at the end of each part, the other
// alphabet, percent signs, and the same JSON in other words.
func respellings(token string, each func(what, text string)) {
	for i := range len(token) + 1 {
		for _, s := range []string{"\n", "\r", "\r\n", " ", "\t", "\x00", "=", ".", "%", "\ufeff", "\u00a0", "A"} {
			each(fmt.Sprintf("%q at %d", s, i), token[:i]+s+token[i:])
		}
	}
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	parts := strings.Split(token, ".")
	for p, part := range parts {
		with := func(what, other string) {
			changed := append([]string{}, parts...)
			changed[p] = other
			each(fmt.Sprintf("part %d, %s", p, what), strings.Join(changed, "."))
		}
		for _, c := range alphabet {
			if last := part[len(part)-1]; byte(c) != last {
				with("another last letter", part[:len(part)-1]+string(c))
			}
		}
		raw := must(base64.RawURLEncoding.DecodeString(part))
		with("padded", base64.URLEncoding.EncodeToString(raw)+"==")
		with("standard alphabet", base64.RawStdEncoding.EncodeToString(raw)+"+/")
		with("a line of 64", part[:min(64, len(part))]+"\n"+part[min(64, len(part)):])
		if p < 2 {
			for what, text := range map[string]string{
				"a space after":    string(raw) + " ",
				"a line end after": string(raw) + "\n",
				"a space before":   " " + string(raw),
				"a member twice":   strings.Replace(string(raw), "{", `{"uid":"ID2","sub":"x",`, 1),
				"escaped":          strings.Replace(string(raw), `"a`, `"\u0061`, 1),
			} {
				with(what, base64.RawURLEncoding.EncodeToString([]byte(text)))
			}
		}
	}
}

// Every acceptance of a token is of one spelling alone: else "once" means nothing.
func TestNoOtherSpellingOfATokenIsAccepted(t *testing.T) {
	m, keys, _, now := fixture(t, EdDSA)
	at := now.now()
	idText := idToken(t, nil, nil, nil, nil)
	set := providerSet()
	for name, c := range map[string]struct {
		token  string
		accept func(string) error
	}{
		"bearer": {mint(t, m, user(), at), func(s string) error { _, err := m.Verify(s, at); return err }},
		"mail":   {mintMail(t, keys, letter(), at), func(s string) error { _, err := keys.VerifyMail(s, Reset, at); return err }},
		"id": {idText, func(s string) error {
			_, err := set.VerifyIDToken(s, idIssuer, idAudience, idNow)
			return err
		}},
	} {
		if err := c.accept(c.token); err != nil {
			t.Fatalf("%s: the token itself: %v", name, err)
		}
		tried := 0
		respellings(c.token, func(what, text string) {
			tried++
			if text != c.token && c.accept(text) == nil {
				t.Errorf("%s: accepted with %s", name, what)
			}
		})
		if tried < 1000 {
			t.Errorf("%s: %d spellings tried, want many", name, tried)
		}
	}
}

// The same for the three parts of another service's message.
func TestNoOtherSpellingOfAForeignEventIsAccepted(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	private := signers[EdDSA]()
	k := must(ParseForeignKey("peatio", EdDSA, publicPEM(private)))
	good := foreignSigned(private, EdDSA, `{"alg":"EdDSA"}`, peatioKid,
		`{"iss":"peatio","jti":"j1","iat":1700000000,"exp":1700003600,"event":{"name":"x"}}`)
	var m struct {
		Payload    string `json:"payload"`
		Signatures []struct {
			Protected string          `json:"protected"`
			Header    json.RawMessage `json:"header"`
			Signature string          `json:"signature"`
		} `json:"signatures"`
	}
	if err := json.Unmarshal(good, &m); err != nil {
		t.Fatal(err)
	}
	token := m.Signatures[0].Protected + "." + m.Payload + "." + m.Signatures[0].Signature
	build := func(text string) ([]byte, bool) {
		parts := strings.Split(text, ".")
		if len(parts) != 3 {
			return nil, false
		}
		other := m
		other.Payload = parts[1]
		other.Signatures = append(other.Signatures[:0:0], m.Signatures...)
		other.Signatures[0].Protected, other.Signatures[0].Signature = parts[0], parts[2]
		return must(json.Marshal(other)), true
	}
	same, _ := build(token)
	if _, err := VerifyForeignEvent(same, k, now); err != nil {
		t.Fatal(err)
	}
	respellings(token, func(what, text string) {
		message, ok := build(text)
		if !ok || text == token {
			return
		}
		if _, err := VerifyForeignEvent(message, k, now); err == nil {
			t.Errorf("accepted with %s", what)
		}
	})
	twice := strings.Replace(string(good), `{"payload"`, `{"payload":"e30","payload"`, 1)
	if _, err := VerifyForeignEvent([]byte(twice), k, now); err == nil {
		t.Error("a message with two payloads is accepted")
	}
}

// Of a member that is there twice each reader takes another: it is refused at every depth,
// though the key is right.
func TestAMemberTwiceIsRefused(t *testing.T) {
	m, keys, _, now := fixture(t, EdDSA)
	key := keys.set.Load().bearer
	sign := func(header, claims string, private crypto.Signer) string {
		signed := b64(header) + "." + b64(claims)
		return signed + "." + base64.RawURLEncoding.EncodeToString(must(must(method(EdDSA)).Sign(signed, private)))
	}
	header := `{"alg":"EdDSA","kid":"` + key.Kid + `"}`
	claims := fmt.Sprintf(`{"iat":%d,"exp":%d,"sub":"session","iss":"barong","aud":["barong"],"azp":"barong","jti":"x","uid":"ID1"`,
		now.now().Unix(), now.now().Unix()+60)
	for name, c := range map[string]struct {
		header, claims string
		want           bool
	}{
		"each once":                   {header, claims + `,"x":[{"a":1},{"a":1}]}`, true},
		"uid twice":                   {header, claims + `,"uid":"ID2"}`, false},
		"uid twice, once with escape": {header, claims + `,"\u0075id":"ID2"}`, false},
		"alg twice":                   {strings.Replace(header, "{", `{"alg":"none",`, 1), claims + `}`, false},
		"twice in an object within":   {header, claims + `,"x":[{"a":1,"b":{"c":1,"c":2}}]}`, false},
	} {
		_, err := m.Verify(sign(c.header, c.claims, key.private), now.now())
		if (err == nil) != c.want {
			t.Errorf("%s: got %v, want it accepted: %v", name, err, c.want)
		}
	}
}

// An ID token's fingerprint is that of the signed text, so each token has one and no two
// tokens share one.
func TestFingerprintsFollowWhatWasSigned(t *testing.T) {
	set := providerSet()
	seen := map[string]bool{}
	for i := range 20 {
		text := idToken(t, nil, map[string]any{"x": i}, nil, nil)
		var prints []string
		for range 2 {
			c, err := set.VerifyIDToken(text, idIssuer, idAudience, idNow)
			if err != nil {
				t.Fatal(err)
			}
			prints = append(prints, c.Fingerprint)
		}
		if prints[0] != prints[1] || seen[prints[0]] {
			t.Errorf("token %d: fingerprints %v, want one of its own", i, prints)
		}
		seen[prints[0]] = true
	}
}

// namesOnce against a naive reading of objects made at random.
func TestNamesOnce(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	var value func(depth int) (text string, once bool)
	value = func(depth int) (string, bool) {
		kind := r.IntN(6)
		if depth == 0 {
			kind = r.IntN(4)
		}
		switch kind {
		case 0:
			return "1e999", true
		case 1:
			return `"a"`, true
		case 2:
			return "null", true
		case 3:
			return "{}", true
		case 4:
			a, okA := value(depth - 1)
			b, okB := value(depth - 1)
			return "[" + a + "," + b + "]", okA && okB
		}
		names := []string{"a", "b", `\u0061`, "A"}
		x, y := r.IntN(4), r.IntN(4)
		a, okA := value(depth - 1)
		b, okB := value(depth - 1)
		same := x == y || x == 0 && y == 2 || x == 2 && y == 0
		return fmt.Sprintf(`{"%s":%s,"%s":%s}`, names[x], a, names[y], b), okA && okB && !same
	}
	for range 2000 {
		text, once := value(5)
		if got := namesOnce([]byte(text)); got != once {
			t.Fatalf("%s: got %v, want %v", text, got, once)
		}
	}
}
