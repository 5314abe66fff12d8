package main

import (
	"bytes"
	"encoding/json"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// beside is a console on the database of a process that serves in dir.
func beside(t *testing.T, dir string) *console {
	c := newConsole(t)
	c.dir = filepath.Join(dir, "data")
	c.env[0] = "BARONG_DATABASE_URL=sqlite:" + filepath.Join(c.dir, "barong.db")
	return c
}

// Commands that need the SQLite file work while a process serves it, and their effect is in force
// when they return.
func TestCommandsWorkBesideTheService(t *testing.T) {
	const password = "Correct-Horse-9-Battery"
	dir := t.TempDir()
	p := serving(t, dir)
	c := beside(t, dir)
	socket := filepath.Join(c.dir, "control.sock")
	info, err := os.Stat(socket)
	if err != nil {
		t.Fatal(err)
	}
	if got := info.Mode(); got&fs.ModeSocket == 0 || got.Perm() != 0o600 {
		t.Errorf("got mode %s, want a socket of mode 0600", got)
	}

	uid := c.person("one@barong.example", password)
	b := newBrowser(p).signIn("one@barong.example", password)
	b.want(200, uid, "GET", mine, nil)
	c.run("", "sessions revoke --user "+uid).want(t, 0)
	b.want(401, "authz.invalid_session", "GET", mine, nil)

	c.run(password+"\n", "users create --email one@barong.example").want(t, 1, "email.taken")
	c.run("", "sessions revoke --user IDNOBODY").want(t, 1, `no user has the uid "IDNOBODY"`)
	c.run("", "users create --email two@barong.example --generate --role pirate").want(t, 1, "no role")
	if out := c.run("", "explain GET /api/v2/barong/resource/users/me --uid "+uid).want(t, 0).out; !strings.Contains(out, "allowed") {
		t.Errorf("explain: got %s", out)
	}
	c.run("", "seed").want(t, 0)
	var before, after []keyLine
	into(t, c.run("", "keys list --format json").want(t, 0).out, &before)
	c.run("", "keys rotate").want(t, 0)
	into(t, c.run("", "keys list --format json").want(t, 0).out, &after)
	if len(before) == 0 || len(after) != len(before)+1 {
		t.Errorf("got %d keys, then %d; want one more", len(before), len(after))
	}

	// A dead process leaves its socket behind: the command opens the file, the next process takes
	// the socket over.
	p.kill()
	if _, err := os.Stat(socket); err != nil {
		t.Fatalf("the socket of a killed process: %v", err)
	}
	c.run("", "keys list").want(t, 0)
	serving(t, dir)
	c.run("", "sessions revoke --all").want(t, 0)
}

func TestCommandsBesideAServiceWithoutSocket(t *testing.T) {
	dir := t.TempDir()
	serving(t, dir, "BARONG_CONTROL_SOCKET=off")
	c := beside(t, dir)
	c.run("", "keys list").want(t, 1, "in use", "no service answers at")
	c.env = append(c.env, "BARONG_CONTROL_SOCKET=off")
	c.run("", "keys list").want(t, 1, "in use")
	if _, err := os.Stat(filepath.Join(c.dir, "control.sock")); err == nil {
		t.Error("there is a socket")
	}
}

// Every command but these works through the socket, if it opens the database at all.
func TestOperations(t *testing.T) {
	var c cli
	parser, err := newParser(&c)
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, leaf := range parser.Model.Leaves(false) {
		op, ok := leaf.Target.Addr().Interface().(operation)
		if !ok {
			continue
		}
		n++
		got, err := operationNamed(commandOf(leaf))
		if err != nil {
			t.Errorf("%s: %v", commandOf(leaf), err)
			continue
		}
		text, err := json.Marshal(op)
		if err != nil {
			t.Fatal(err)
		}
		if err := strictJSON(bytes.NewReader(text), got); err != nil {
			t.Errorf("%s does not survive its way to the service: %v", commandOf(leaf), err)
		}
	}
	if n < 8 {
		t.Errorf("got %d operations", n)
	}
	for _, words := range []string{"", "serve", "migrate", "users", "keys", "users create "} {
		if _, err := operationNamed(words); err == nil {
			t.Errorf("%q is an operation", words)
		}
	}
}

func TestPeerUID(t *testing.T) {
	l, err := listenOnSocket(filepath.Join(t.TempDir(), "s"), 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c, err := net.Dial("unix", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	got, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer got.Close()
	if uid, err := peerUID(got); err != nil || uid != os.Geteuid() {
		t.Errorf("got %d, %v; want %d", uid, err, os.Geteuid())
	}
}

// FuzzControlSocket sends the socket anything: it is refused before a command runs.
func FuzzControlSocket(f *testing.F) {
	for _, seed := range []string{
		``, `{`, `{}`, `{"command":"keys list"}`, `{"command":"serve","input":{}}`, `{"command":"keys list","input":{"Fromat":"x"}}`,
		`{"command":"keys list","input":{}} {}`, `{"command":"users create","input":{"Email":1}}`, strings.Repeat(" ", controlBody+1),
	} {
		f.Add([]byte(seed))
	}
	c := &control{service: &service{log: slog.New(slog.DiscardHandler)}, slots: make(chan struct{}, 1)}
	f.Fuzz(func(t *testing.T, body []byte) {
		var sent operationRequest
		if json.Unmarshal(body, &sent) == nil {
			if op, err := operationNamed(sent.Command); err == nil && json.Unmarshal(sent.Input, op) == nil {
				return // a command, which would be run
			}
		}
		w := httptest.NewRecorder()
		c.serve(w, httptest.NewRequest(http.MethodPost, "/operations", bytes.NewReader(body)))
		text, _ := io.ReadAll(w.Body)
		var done operationResult
		if w.Code != http.StatusBadRequest || json.Unmarshal(text, &done) != nil || done.Error == "" {
			t.Errorf("got %d %s, want 400 and a reason", w.Code, text)
		}
	})
}
