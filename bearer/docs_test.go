package bearer_test

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"barong/bearer/bearertest"
)

// Every program of docs/upstreams.md, as it is printed there, takes good tokens and refuses every forgery, with one
// fetch of the key set. It reads headers and answers each with a line.
func TestProgramsOfTheDocumentTakeTheTokenAndNoForgery(t *testing.T) {
	page, err := os.ReadFile("../docs/upstreams.md")
	if err != nil {
		t.Fatal(err)
	}
	const (
		js = `
(async () => {
  for await (const line of require("node:readline").createInterface({ input: process.stdin })) {
    try { console.log((await verify(line)).uid); } catch (e) { console.log("refused"); }
  }
})();
`
		python = `
import sys
for line in iter(sys.stdin.readline, ""):
    try:
        print(verify(line.rstrip("\n"))["uid"], flush=True)
    except jwt.PyJWTError:
        print("refused", flush=True)
`
		ruby = `
$stdout.sync = true
while (line = $stdin.gets)
  begin
    puts verify(line.chomp)["uid"]
  rescue StandardError
    puts "refused"
  end
end
`
	)
	for language, x := range map[string]struct {
		tail, name  string
		needs       []string
		interpreter []string // the first that has the program's packages
	}{
		"js":     {js, "verify.js", []string{"-e", "fetch"}, []string{"node"}},
		"python": {python, "verify.py", []string{"-c", "import jwt, cryptography"}, []string{"python3", "/usr/bin/python3"}},
		"ruby":   {ruby, "verify.rb", []string{"-ropenssl", "-e", ""}, []string{"ruby"}},
	} {
		t.Run(language, func(t *testing.T) {
			_, after, ok := strings.Cut(string(page), "\n```"+language+"\n")
			program, _, ended := strings.Cut(after, "\n```")
			if !ok || !ended {
				t.Fatal("the document has no such example")
			}
			run := ""
			for _, name := range x.interpreter {
				if err = exec.CommandContext(t.Context(), name, x.needs...).Run(); err == nil {
					run = name
					break
				}
			}
			if run == "" {
				if os.Getenv("CI") == "true" {
					t.Fatalf("%v: %v", x.interpreter, err)
				}
				t.Skipf("%v: %v", x.interpreter, err)
			}
			path := filepath.Join(t.TempDir(), x.name)
			if err := os.WriteFile(path, []byte(program+"\n"+x.tail), 0o600); err != nil {
				t.Fatal(err)
			}
			i := bearertest.New(t)
			headers, want := forgeries(t, i)
			cmd := exec.CommandContext(t.Context(), run, path)
			cmd.Env = append(os.Environ(), "JWKS_URL="+i.URL)
			cmd.Stdin = strings.NewReader(strings.Join(headers, "\n") + "\n")
			var stderr bytes.Buffer
			cmd.Stderr = &stderr
			out, err := cmd.Output()
			if err != nil {
				t.Fatalf("%v\n%s", err, stderr.Bytes())
			}
			got := strings.Fields(string(out))
			if len(got) != len(want) {
				t.Fatalf("%d answers, want %d\n%s%s", len(got), len(want), out, stderr.Bytes())
			}
			for n := range want {
				if got[n] != want[n].answer {
					t.Errorf("%s: got %s, want %s", want[n].name, got[n], want[n].answer)
				}
			}
			if i.Fetches() != 1 {
				t.Errorf("%d fetches, want one, also for unknown keys", i.Fetches())
			}
		})
	}
}

type answered struct{ name, answer string }

// forgeries are headers with the answer that each wants, two good ones among them.
func forgeries(t *testing.T, i *bearertest.Issuer) (headers []string, want []answered) {
	t.Helper()
	add := func(name, answer, header string) {
		headers, want = append(headers, header), append(want, answered{name, answer})
	}
	refused := func(name, token string) { add(name, "refused", "Bearer "+token) }
	claim := func(name string, value any) string {
		c := i.Claims("ID1")
		if c[name] = value; value == nil {
			delete(c, name)
		}
		return i.Sign(t, c)
	}
	good := i.Token(t, "ID1")
	now := i.Claims("")["iat"].(int64) + 1
	add("a token", "ID1", "Bearer "+good)
	der, err := x509.MarshalPKIXPublicKey(i.Public())
	if err != nil {
		t.Fatal(err)
	}
	signed := b64(`{"alg":"HS256","kid":"test-1"}`) + "." + part(good, 1)
	mac := hmac.New(sha256.New, pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
	mac.Write([]byte(signed))
	refused("HS256 by the public key", signed+"."+base64.RawURLEncoding.EncodeToString(mac.Sum(nil)))
	refused("none", b64(`{"alg":"none","kid":"test-1"}`)+"."+part(good, 1)+".")
	refused("another key of this name", bearertest.New(t).Token(t, "ID1"))
	for name, value := range map[string]any{
		"jwk": map[string]string{"kty": "RSA"}, "jku": i.URL, "x5u": i.URL, "x5c": []string{"MII"}, "crit": []string{"exp"},
	} {
		refused(name, i.SignHeader(t, map[string]any{name: value}, i.Claims("ID1")))
	}
	refused("another kid", i.SignHeader(t, map[string]any{"kid": "test-2"}, i.Claims("ID1")))
	refused("no kid", i.SignHeader(t, map[string]any{"kid": nil}, i.Claims("ID1")))
	for name, values := range map[string][]any{
		"iss": {nil, "other"}, "sub": {nil, "reset"}, "aud": {nil, []string{"barong"}}, "azp": {nil, "barong", "ranger"},
		"jti": {nil, ""}, "uid": {nil, ""}, "exp": {nil, now - 5, "x"}, "iat": {nil, now + 60},
	} {
		for _, value := range values {
			refused(name, claim(name, value))
		}
	}
	refused("a broken signature", good[:len(good)-8]+"AAAAAAAA")
	refused("no token", "x")
	add("no scheme", "refused", good)
	add("nothing", "refused", "")
	add("one after all of these", "ID2", "Bearer "+i.Token(t, "ID2"))
	return headers, want
}
