package main

import (
	"encoding/hex"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"barong/internal/apikey"
)

// document is a file of the repository.
func document(t *testing.T, name string) string {
	t.Helper()
	page, err := os.ReadFile(filepath.Join("..", "..", name))
	if err != nil {
		t.Fatal(err)
	}
	return string(page)
}

// blocks are the lines in one language that a document shows below a heading.
func blocks(t *testing.T, name, heading, language string) string {
	t.Helper()
	_, section, _ := strings.Cut(document(t, name), "\n## "+heading+"\n")
	section, _, _ = strings.Cut(section, "\n## ")
	script := ""
	for _, block := range regexp.MustCompile("(?s)\n```"+language+"\n(.*?)```\n").FindAllStringSubmatch(section, -1) {
		script += block[1]
	}
	if script == "" {
		t.Fatalf("%s shows no %s below %q", name, language, heading)
	}
	return script
}

// needs skips the test on a machine that lacks one of the programs; in CI it fails.
func needs(t *testing.T, programs ...string) {
	t.Helper()
	for _, program := range programs {
		if _, err := exec.LookPath(program); err != nil {
			if os.Getenv("CI") == "true" {
				t.Fatal(err)
			}
			t.Skip(err)
		}
	}
}

// typed runs lines of a document in the directory of p, where its ports are other ones. Answers
// that are no success end it.
func (p *process) typed(script string) string {
	p.t.Helper()
	needs(p.t, "sh", "curl")
	script = "curl() { command curl --fail-with-body \"$@\" && echo; }\n" +
		strings.ReplaceAll(script, "127.0.0.1:8001", p.http)
	shell := exec.Command("sh", "-euc", script)
	shell.Dir = p.dir
	shell.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + p.dir}
	out, err := shell.CombinedOutput()
	if err != nil {
		p.t.Fatalf("%v\n%s\nof\n%s", err, out, script)
	}
	return string(out)
}

// inOrder fails the test unless the text holds all of these, each after the one before.
func inOrder(t *testing.T, text string, parts ...string) {
	t.Helper()
	rest := text
	for _, part := range parts {
		_, after, ok := strings.Cut(rest, part)
		if !ok {
			t.Fatalf("%q is not there, or not in this order:\n%s", part, text)
		}
		rest = after
	}
}

func TestReadmeFirstLoginWorksAsWritten(t *testing.T) {
	script := blocks(t, "README.md", "First login", "sh")
	p := serving(t, t.TempDir())
	const blank = "PASSWORD=…" // the reader fills it in
	if !strings.Contains(script, blank) {
		t.Fatalf("there is no %s in\n%s", blank, script)
	}
	out := p.typed(strings.Replace(script, blank, "PASSWORD='"+p.password()+"'", 1))
	inOrder(t, out, fmt.Sprintf(`"email":%q`, firstAdmin))
}

func TestReadmeFirstSignUpWorksAsWritten(t *testing.T) {
	script := blocks(t, "README.md", "First sign-up", "sh")
	p := serving(t, t.TempDir())
	inOrder(t, p.typed(script),
		`"state":"pending"`, `"csrf_token"`, // signed up
		`"state":"active"`, `"csrf_token"`, `{"key":"email","value":"verified"`, // confirmed
		`"state":"active"`, `"csrf_token"`, // signed in
		`"email":"ann@example.com"`,        // her own account
		`"state":"active"`, `"csrf_token"`, // signed in by the new password
	)
	for _, link := range []string{"/accounts/confirmation?confirmation_token=", "/accounts/password_reset?reset_token="} {
		if got := strings.Count(p.out.String(), link); got != 1 {
			t.Errorf("%s is printed %d times, want once", link, got)
		}
	}
}

// docs/api-keys.md signs in a shell and in Python as a decision asks for it.
func TestAPIKeyDocumentWorksAsWritten(t *testing.T) {
	needs(t, "openssl", "python3")
	p := serving(t, t.TempDir())
	admin := newBrowser(p).signIn(firstAdmin, p.password())
	key := admin.apiKey()

	const page = "docs/api-keys.md"
	script := blocks(t, page, "Sign in a shell", "sh")
	for _, blank := range []string{"KID", "SECRET"} {
		if strings.Count(script, "\n"+blank+"=…\n") != 1 {
			t.Fatalf("there is no %s=… in\n%s", blank, script)
		}
	}
	script = strings.NewReplacer("\nKID=…", "\nKID="+key.Kid, "\nSECRET=…", "\nSECRET="+key.Secret).Replace(script)
	inOrder(t, p.typed(script), fmt.Sprintf(`"email":%q`, firstAdmin))

	program := blocks(t, page, "Sign in Python", "python") + `
import sys
for name, value in headers(*sys.argv[1:]).items():
    print(name + ": " + value)
`
	out, err := exec.Command("python3", "-c", program, key.Kid, key.Secret).CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	signed := strings.Split(strings.TrimSpace(string(out)), "\n")
	if resp := raw(t, p.http, "GET /api/v2/resource/users/me", signed...); resp.StatusCode != http.StatusOK {
		t.Errorf("signed in Python: got %d %s, want 200", resp.StatusCode, text(t, resp))
	}
}

// The vector of docs/api-keys.md is what a decision computes, and the documented Python.
func TestAPIKeyDocumentHasARightVector(t *testing.T) {
	page := document(t, "docs/api-keys.md")
	row := func(name string) string {
		t.Helper()
		m := regexp.MustCompile("\\| " + name + " \\| `([^`]+)` \\|").FindStringSubmatch(page)
		if m == nil {
			t.Fatalf("no row %q", name)
		}
		return m[1]
	}
	kid, secret, nonce := row("key id"), row("secret"), row("nonce")
	mac := apikey.NewEntry(apikey.Record{Secret: []byte(secret)}).MAC(nonce, kid)
	if row("message") != nonce+kid || row("signature") != hex.EncodeToString(mac[:]) {
		t.Errorf("message and signature must be %s and %x", nonce+kid, mac)
	}
	needs(t, "python3")
	program := blocks(t, "docs/api-keys.md", "Sign in Python", "python") + `
import sys
time.time_ns = lambda: int(sys.argv[3]) * 1_000_000 + 999_999
print(headers(*sys.argv[1:3])["X-Auth-Signature"])
`
	out, err := exec.Command("python3", "-c", program, kid, secret, nonce).CombinedOutput()
	if err != nil || strings.TrimSpace(string(out)) != row("signature") {
		t.Errorf("Python signs %s (%v)", out, err)
	}
}

// Every link of a document leads to a file, and to a heading of it.
func TestDocumentsLinkToWhatIsThere(t *testing.T) {
	files := []string{"README.md", "SECURITY.md", "CHANGELOG.md"}
	for _, pattern := range []string{"docs/*.md", "docs/adr/*.md"} {
		found, err := filepath.Glob(filepath.Join("..", "..", pattern))
		if err != nil || len(found) == 0 {
			t.Fatalf("%s: %v, %v", pattern, found, err)
		}
		for _, f := range found {
			name, err := filepath.Rel(filepath.Join("..", ".."), f)
			if err != nil {
				t.Fatal(err)
			}
			files = append(files, name)
		}
	}
	links := 0
	for _, name := range files {
		for _, m := range regexp.MustCompile(`\]\(([^)]+)\)`).FindAllStringSubmatch(document(t, name), -1) {
			if strings.Contains(m[1], "://") {
				continue
			}
			links++
			file, anchor, _ := strings.Cut(m[1], "#")
			target := name
			if file != "" {
				target = filepath.Join(filepath.Dir(name), file)
			}
			if _, err := os.Stat(filepath.Join("..", "..", target)); err != nil {
				t.Errorf("%s links to %s: %v", name, m[1], err)
			} else if anchor != "" && !slices.Contains(anchors(document(t, target)), anchor) {
				t.Errorf("%s links to %s, which has no such heading", name, m[1])
			}
		}
	}
	if links < 50 {
		t.Errorf("%d links found, want those of all documents", links)
	}
}

// anchors are the names that a Markdown page's headings have in links.
func anchors(page string) []string {
	var names []string
	for _, h := range regexp.MustCompile(`(?m)^#+ (.*)$`).FindAllStringSubmatch(page, -1) {
		name := regexp.MustCompile(`[^\p{L}\p{N} _-]`).ReplaceAllString(strings.ToLower(h[1]), "")
		names = append(names, strings.ReplaceAll(name, " ", "-"))
	}
	return names
}
