package token

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/lestrrat-go/jwx/v2/jwa"
	"github.com/lestrrat-go/jwx/v2/jws"
)

// membersOf are the names of the top-level members of a JSON object, each as often as it is there; ok is
// false for anything else.
func membersOf(text []byte) (names []string, ok bool) {
	d := json.NewDecoder(strings.NewReader(string(text)))
	if first, err := d.Token(); err != nil || first != json.Delim('{') {
		return nil, false
	}
	for d.More() {
		name, err := d.Token()
		if err != nil {
			return nil, false
		}
		names = append(names, name.(string))
		var value json.RawMessage
		if d.Decode(&value) != nil {
			return nil, false
		}
	}
	_, err := d.Token()
	return names, err == nil && !d.More()
}

// Whatever a peer sends, our signature goes under a JSON object that claims no identity and no event, it
// verifies, and the signatures of others stay as they were.
func FuzzCountersign(f *testing.F) {
	encode := func(text string) string { return base64.RawURLEncoding.EncodeToString([]byte(text)) }
	for _, payload := range []string{
		`{}`, `{"iss":"applogic","data":{"sub":1}}`, `{"sub":"x"}`, `{"SUB":"x"}`, `{"\u0073ub":1}`, `{"a":1,"uid":2}`,
		`{"event":{}}`, `{"\u017fub":1}`, `[]`, `null`, `{"a":1}{"sub":1}`, `{"a":1,"a":2}`, "{\"\xff\":1}",
	} {
		f.Add(`{"payload":"` + encode(payload) + `","signatures":[{"header":{"kid":"barong"}},{"header":{"kid":"applogic"},"signature":"eA"}]}`)
	}
	f.Add(`{"payload":"e30","signatures":[{"protected":"eyJraWQiOiJiYXJvbmcifQ"},1]}`)
	f.Add(`{"payload":"e30=","signatures":[]}`)
	store, clock := &memory{}, newClock()
	k := openKeys(f, store, shippedKeys(), clock.now)
	public, err := k.Public(UseWire, FormPEM)
	if err != nil {
		f.Fatal(err)
	}
	ours, err := ParsePublicKey(RS256, string(public))
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, text string) {
		var message, before map[string]any
		if json.Unmarshal([]byte(text), &message) != nil || json.Unmarshal([]byte(text), &before) != nil {
			return
		}
		out, err := k.Countersign(message)
		if err != nil {
			if !errors.Is(err, ErrNoCountersign) || ReasonOf(err) == "" {
				t.Fatalf("%v, want an ErrNoCountersign with a reason", err)
			}
			return
		}
		if out.Payload != before["payload"] {
			t.Fatalf("payload %q, want %q", out.Payload, before["payload"])
		}
		claims, err := base64.RawURLEncoding.DecodeString(out.Payload)
		names, ok := membersOf(claims)
		if err != nil || !ok {
			t.Fatalf("signed %q: %v", claims, err)
		}
		for _, name := range names {
			for _, taken := range []string{"sub", "uid", "event"} {
				if strings.EqualFold(name, taken) {
					t.Fatalf("signed the claim %q: %s", name, claims)
				}
			}
		}
		var theirs []any
		for _, s := range before["signatures"].([]any) {
			header, _ := s.(map[string]any)["header"].(map[string]any)
			if header["kid"] != "barong" {
				theirs = append(theirs, s)
			}
		}
		n := len(out.Signatures) - 1
		var rest []any
		for _, s := range out.Signatures[:n] {
			rest = append(rest, s)
		}
		if d := cmp.Diff(theirs, rest); d != "" {
			t.Fatalf("signatures of others: want (-), got (+):\n%s", d)
		}
		body, err := json.Marshal(Countersigned{Payload: out.Payload, Signatures: out.Signatures[n:]})
		if err != nil {
			t.Fatal(err)
		}
		g, err := ParseGeneral(body, 1)
		if err != nil || g.Signatures[0].Kid != "barong" || ours.Fault(g, g.Signatures[0]) != "" {
			t.Fatalf("our signature: %v, %+v", err, g)
		}
		if _, err := jws.Verify(body, jws.WithKey(jwa.RS256, publicOf(t, ours))); err != nil {
			t.Fatalf("by another implementation: %v", err)
		}
	})
}

func publicOf(t *testing.T, k PublicKey) any {
	t.Helper()
	if k.public == nil {
		t.Fatal("no key")
	}
	return k.public
}
