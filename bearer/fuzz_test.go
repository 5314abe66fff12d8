package bearer

import (
	"encoding/base64"
	"encoding/json"
	"slices"
	"testing"
)

// A set that is taken has only keys that name themselves and one of the algorithms, and is so for
// the library's reader, too.
func FuzzParseKeys(f *testing.F) {
	f.Add([]byte(`{"keys":[{"kty":"OKP","crv":"Ed25519","alg":"EdDSA","kid":"a","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}`))
	f.Add([]byte(`{"keys":[{"kty":"EC","crv":"P-256","alg":"ES256","kid":"a","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}]}`))
	f.Add([]byte(`{"keys":[{"kty":"RSA","alg":"RS256","kid":"a","n":"AQAB","e":"AQAB"},{}],"keys":[]}`))
	f.Add([]byte("{ \"keys\" :\t[ null , 1 ] }\n"))
	f.Fuzz(func(t *testing.T, document []byte) {
		keys, err := parseKeys(document, []string{RS256, ES256, EdDSA})
		if (err == nil) != (len(keys) > 0) {
			t.Fatalf("%d keys, %v", len(keys), err)
		}
		var kids []string
		for _, k := range keys {
			if k.kid == "" || k.public == nil || k.method.Alg() != k.algorithm || slices.Contains(kids, k.kid) {
				t.Errorf("key %+v", k)
			}
			kids = append(kids, k.kid)
			k.verify("a.b", []byte("signature")) // does not panic
		}
		var set struct{ Keys []any }
		if err == nil && json.Unmarshal(document, &set) != nil {
			t.Error("the library reads no set")
		}
	})
}

// A header that is taken has for the library's reader the same kid and algorithm, and no member that is
// refused.
func FuzzReadHeader(f *testing.F) {
	for _, s := range []string{
		`{"alg":"RS256","kid":"a"}`, `{"alg":"none"}`, `{"alg":"RS256","kid":"a","jwk":{"kid":"\"}"}}`, `{"alg":"RS256","kid":"a","kid":"b"}`,
		`{"kid":"\u0061","alg":"RS256"}`, `{"\u006bid":"a","alg":"RS256"}`, " { \"alg\" : \"RS256\" , \"kid\" : \"a\" } ", `[]`, ``,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		kid, algorithm, err := readHeader(base64.RawURLEncoding.EncodeToString(raw), []string{RS256})
		if err != nil {
			return
		}
		var o map[string]any
		if json.Unmarshal(raw, &o) != nil || o["kid"] != kid || o["alg"] != algorithm || algorithm != RS256 {
			t.Errorf("%s: got kid %q, alg %q; the library has %v", raw, kid, algorithm, o)
		}
		for _, name := range []string{"jwk", "jku", "x5u", "x5c", "x5t", "x5t#S256", "crit"} {
			if _, there := o[name]; there {
				t.Errorf("%s is taken with %s", raw, name)
			}
		}
	})
}

// Any text that is an object has for this reader the members that it has for the library.
func FuzzReadObject(f *testing.F) {
	f.Add([]byte(`{"a":1,"b":[{"c":"}\\\""}],"d":{},"e":null , "f" : -1.5e3 }`), "a")
	f.Add([]byte(`{"aud":["x","peatio"]}`), "aud")
	f.Fuzz(func(t *testing.T, raw []byte, name string) {
		var o object
		if !o.read(raw, string(raw)) {
			return
		}
		var want map[string]json.RawMessage
		if err := json.Unmarshal(raw, &want); err != nil || len(want) != o.n {
			t.Fatalf("%q: %d members, the library has %d, %v", raw, o.n, len(want), err)
		}
		for i := range o.n {
			if m := o.members[i]; string(want[m.name]) != m.value {
				t.Errorf("%q: %q is %q, the library has %q", raw, m.name, m.value, want[m.name])
			}
			o.holds(o.members[i].name, "peatio")
			o.seconds(o.members[i].name)
		}
		_ = o.text(name)
	})
}
