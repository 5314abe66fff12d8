package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// shellBlocks are the lines of the README that its reader is to type below a heading.
func shellBlocks(t *testing.T, heading string) string {
	t.Helper()
	page, err := os.ReadFile(filepath.Join("..", "..", "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(page), "\n## "+heading+"\n")
	section, _, _ = strings.Cut(section, "\n## ")
	script := ""
	for _, block := range regexp.MustCompile("(?s)\n```sh\n(.*?)```\n").FindAllStringSubmatch(section, -1) {
		script += block[1]
	}
	if script == "" {
		t.Fatalf("the README has nothing to type below %q", heading)
	}
	return script
}

// typed runs lines of the README in the directory of p, where its ports are other ones. Answers
// that are no success end it.
func (p *process) typed(script string) string {
	p.t.Helper()
	for _, program := range []string{"sh", "curl"} {
		if _, err := exec.LookPath(program); err != nil {
			if os.Getenv("CI") == "true" {
				p.t.Fatal(err)
			}
			p.t.Skip(err)
		}
	}
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
	script := shellBlocks(t, "First login")
	p := serving(t, t.TempDir())
	const blank = "PASSWORD=…" // what the reader fills in
	if !strings.Contains(script, blank) {
		t.Fatalf("there is no %s in\n%s", blank, script)
	}
	out := p.typed(strings.Replace(script, blank, "PASSWORD='"+p.password()+"'", 1))
	inOrder(t, out, fmt.Sprintf(`"email":%q`, firstAdmin))
}

func TestReadmeFirstSignUpWorksAsWritten(t *testing.T) {
	script := shellBlocks(t, "First sign-up")
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
