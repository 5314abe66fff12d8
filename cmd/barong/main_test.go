package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"barong/internal/secret"
	"barong/internal/store"
)

// binary builds the program once, into a directory that TestMain removes.
var binary = sync.OnceValues(func() (string, error) {
	built.Store(true)
	dir, err := os.MkdirTemp("", "barong-binary-")
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "barong")
	build := exec.Command("go", "build", "-tags", "nomsgpack", "-o", path, ".")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return path, fmt.Errorf("build: %w\n%s", err, out)
	}
	return path, nil
})

var built atomic.Bool

func TestMain(m *testing.M) {
	code := m.Run()
	if built.Load() {
		path, _ := binary()
		_ = os.RemoveAll(filepath.Dir(path))
	}
	os.Exit(code)
}

// A console runs commands in this process on a database of its own.
type console struct {
	t   *testing.T
	dir string
	env []string
}

// newConsole has settings for an empty directory; env is added.
func newConsole(t *testing.T, env ...string) *console {
	dir := filepath.Join(t.TempDir(), "data")
	return &console{t, dir, append([]string{
		"BARONG_DATABASE_URL=sqlite:" + filepath.Join(dir, "barong.db"),
		"BARONG_JWT_ALGORITHM=EdDSA", // quicker to make than RS256
	}, env...)}
}

// A result holds the outcome of a command.
type result struct {
	status   int
	out, err string
}

// run runs one command; args is split at spaces.
func (c *console) run(stdin, args string) result {
	c.t.Helper()
	return c.with(stdin, strings.Fields(args)...)
}

func (c *console) with(stdin string, args ...string) result {
	c.t.Helper()
	var out, errs bytes.Buffer
	status := run(c.t.Context(), args, &terminal{
		in: strings.NewReader(stdin), out: &out, err: &errs, environ: c.env,
	})
	return result{status, out.String(), errs.String()}
}

// want fails the test unless the command ended so and its error output holds all texts.
func (r result) want(t *testing.T, status int, texts ...string) result {
	t.Helper()
	if r.status != status {
		t.Fatalf("got status %d, want %d\nstdout: %s\nstderr: %s", r.status, status, r.out, r.err)
	}
	for _, text := range texts {
		if !strings.Contains(r.err, text) {
			t.Errorf("stderr lacks %q:\n%s", text, r.err)
		}
	}
	return r
}

// openStore opens the database in dir while no process has it.
func openStore(t *testing.T, dir string) *store.DB {
	t.Helper()
	key, err := secret.LoadOrCreateKey(filepath.Join(dir, "secret.key"))
	if err != nil {
		t.Fatal(err)
	}
	sealer, err := secret.NewSealer(key)
	if err != nil {
		t.Fatal(err)
	}
	db, err := store.Open(context.WithoutCancel(t.Context()), "sqlite:"+filepath.Join(dir, "barong.db"), sealer)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}
