package peer_test

import (
	"strings"
	"testing"

	"barong/internal/peer"
	"barong/internal/peer/peertest"
)

func TestFileSaysEveryProblem(t *testing.T) {
	p := peertest.New(t)
	fine := p.Text(t, "{}", call)
	replace := func(old, new string) string {
		if !strings.Contains(fine, old) {
			t.Fatalf("the file has no %q", old)
		}
		return strings.Replace(fine, old, new, 1)
	}
	key := func(entry string) string { return "keychain: {alex: " + entry + "}\njwt: {}\nscopes: {}\n" }
	for name, c := range map[string]struct {
		text string
		want []string
	}{
		"nothing":                        {"", nil},
		"a missing key":                  {"keychain: {}\njwt: {}\n", []string{"no key scopes"}},
		"an unknown key":                 {fine + "scope: {}\n", []string{`unknown key "scope"`, `"scopes"`}},
		"a template":                     {"keychain: <%= ENV['X'] %>\n", []string{"template"}},
		"HS256":                          {key("{algorithm: HS256, value: c2VjcmV0}"), []string{"Invalid public key format for key alex", "HS256"}},
		"none":                           {key("{algorithm: none, value: x}"), []string{"none"}},
		"PS256":                          {key("{algorithm: PS256, value: x}"), []string{"PS256"}},
		"no algorithm":                   {key("{value: x}"), []string{"algorithm"}},
		"no key":                         {key("{algorithm: RS256}"), []string{"Invalid public key format for key alex"}},
		"a key of another algorithm":     {replace("algorithm: ES256", "algorithm: ES384"), []string{"jeff", "not one of ES384"}},
		"a private key":                  {key("{algorithm: EdDSA, value: \"" + strings.ReplaceAll(p.PrivatePEM(t, "alex"), "\n", "\\n") + "\"}"), []string{"keychain.alex was set to a private key, however it should be a public one"}},
		"an unknown member of a key":     {key("{algorithm: RS256, value: x, kid: y}"), []string{`unknown key "kid"`}},
		"no mandatory signer":            {replace("mandatory_signers: [alex]", "mandatory_signers: []"), []string{"scopes.tools.mandatory_signers is empty, however it should contain at least one value"}},
		"a mandatory signer without key": {replace("mandatory_signers: [alex]", "mandatory_signers: [alex, john]"), []string{"keychain lacks the mandatory signer john", "john is not permitted"}},
		"a mandatory one not permitted":  {replace("mandatory_signers: [alex]", "mandatory_signers: [james]"), []string{"james is not permitted"}},
		"too few signers":                {replace("mandatory_signers: [alex]", "mandatory_signers: [alex], min_signers: 0"), []string{"min_signers", "from 1", "to 2"}},
		"too many signers":               {replace("mandatory_signers: [alex]", "mandatory_signers: [alex], min_signers: 3"), []string{"min_signers"}},
		"min_signers that is no number":  {replace("mandatory_signers: [alex]", "mandatory_signers: [alex], min_signers: two"), []string{"min_signers"}},
		"an unknown option":              {replace("jwt: {}", "jwt: {verify_isss: true}"), []string{`"verify_isss"`, `"verify_iss"`}},
		"an issuer that is nobody":       {replace("jwt: {}", "jwt: {verify_iss: true}"), []string{"verify_iss is true, but iss has no value"}},
		"a leeway that is no number":     {replace("jwt: {}", "jwt: {leeway: soon}"), []string{"jwt.leeway"}},
		"a flag that is no flag":         {replace("jwt: {}", "jwt: {verify_jti: 2}"), []string{"jwt.verify_jti"}},
		"two problems":                   {strings.Replace(replace("algorithm: ES256", "algorithm: HS256"), "mandatory_signers: [alex]", "", 1), []string{"HS256", "mandatory_signers is empty"}},
	} {
		_, err := peer.Parse([]byte(c.text))
		if (err == nil) != (c.want == nil) {
			t.Errorf("%s: %v", name, err)
			continue
		}
		for _, w := range c.want {
			if !strings.Contains(err.Error(), w) {
				t.Errorf("%s: %q lacks %q", name, err, w)
			}
		}
		if err != nil && strings.Contains(err.Error(), "BEGIN") {
			t.Errorf("%s: the error quotes the key: %v", name, err)
		}
	}
}

// The reference ships three empty maps.
func TestAnEmptyFileHasNoScope(t *testing.T) {
	for _, text := range []string{"", "keychain: {}\njwt: {}\nscopes: {}\n", "keychain:\njwt:\nscopes:\n"} {
		f, err := peer.Parse([]byte(text))
		if err != nil || len(f.Scopes()) != 0 {
			t.Errorf("%q: scopes %v, %v", text, f.Scopes(), err)
		}
	}
}

// A scope without permitted signers is unusable, as in the reference; one whose permitted signers have
// no keys yet is not.
func TestPermittedSigners(t *testing.T) {
	p := peertest.New(t)
	text := p.Text(t, "{}") + "  nobody: {mandatory_signers: [alex]}\n  soon: {permitted_signers: [alex, john], mandatory_signers: [alex]}\n"
	text = strings.Replace(text, "  {}\n", "", 1)
	f, err := peer.Parse([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	v, err := peer.NewVerifier(peer.Config{Replay: peer.ReplayOff}, f, new(peertest.Memory), clock)
	if err != nil {
		t.Fatal(err)
	}
	for scope, fine := range map[string]bool{"nobody": false, "soon": true} {
		_, err := v.Verify(t.Context(), peer.Request{Scope: scope, Body: p.Sign(t, nil, now, "alex")})
		if (err == nil) != fine {
			t.Errorf("%s: %v", scope, err)
		}
	}
}

func TestConfigurationContradictsTheFile(t *testing.T) {
	p := peertest.New(t)
	f, err := peer.Parse([]byte(p.Text(t, "{verify_expiration: false}", call)))
	if err != nil {
		t.Fatal(err)
	}
	for replay, want := range map[string]string{
		peer.ReplayEnforce: "verify_expiration", peer.ReplayOff: "", "": "want enforce or off",
	} {
		_, err := peer.NewVerifier(peer.Config{Replay: replay}, f, new(peertest.Memory), clock)
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", replay, err, want)
		}
	}
}

func FuzzParse(f *testing.F) {
	p := peertest.New(f)
	f.Add(p.Text(f, "{leeway: 5, verify_iss: true, iss: [a]}", call))
	f.Add("keychain: {a: {algorithm: RS256, value: x}}\njwt: {}\nscopes: {b: {mandatory_signers: [a], min_signers: 2}}\n")
	f.Fuzz(func(t *testing.T, text string) {
		file, err := peer.Parse([]byte(text))
		if err == nil {
			if _, err := peer.NewVerifier(peer.Config{Replay: peer.ReplayOff}, file, new(peertest.Memory), clock); err != nil {
				t.Errorf("a file that can be read: %v", err)
			}
		}
	})
}
