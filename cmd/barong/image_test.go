package main

import (
	"bytes"
	"debug/elf"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

// nobody is the user of the image.
const nobody = 65532

// asNobody makes the command run as the image's user, if this process may say so.
func asNobody(cmd *exec.Cmd) {
	if os.Getuid() == 0 {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	}
}

// The build command of deploy/Dockerfile, as it stands there, makes a binary that needs nothing
// of the machine; it serves as another user, from a folder that cannot be written, with nothing but
// the image's variables in its environment, and answers the image's health check.
func TestImageHoldsAStaticBinaryThatServesAsNobody(t *testing.T) {
	needs(t, "sh")
	build := regexp.MustCompile(`(?m)^RUN (CGO_ENABLED=0 go build .*)$`).FindStringSubmatch(document(t, "deploy/Dockerfile"))
	if build == nil {
		t.Fatal("deploy/Dockerfile has no line that builds")
	}
	root, err := os.MkdirTemp("", "barong-image") // t.TempDir is closed to other users
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(root) })
	const out = "-o /image/barong "
	if strings.Count(build[1], out) != 1 {
		t.Fatalf("the build does not write /image/barong: %s", build[1])
	}
	binary := filepath.Join(root, "barong")
	sh := exec.Command("sh", "-euc", strings.Replace(build[1], out, "-o "+binary+" ", 1))
	sh.Dir = filepath.Join("..", "..")
	sh.Env = append(os.Environ(), "VERSION=v9.8.7", "COMMIT=abcdef")
	if said, err := sh.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, said)
	}

	file, err := elf.Open(binary)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	for _, p := range file.Progs {
		if p.Type == elf.PT_INTERP || p.Type == elf.PT_DYNAMIC {
			t.Errorf("the binary is not static: it has %s", p.Type)
		}
	}
	if s := file.Section(".dynamic"); s != nil {
		t.Error("the binary has a dynamic section")
	}

	data := filepath.Join(root, "data")
	if err := os.Mkdir(data, 0o700); err != nil {
		t.Fatal(err)
	}
	if os.Getuid() == 0 {
		if err := os.Chown(data, nobody, nobody); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chmod(root, 0o555); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.Chmod(root, 0o700) })

	ops := "BARONG_OPS_ADDR=" + freeAddress(t)
	env := []string{ops, "BARONG_HTTP_ADDR=127.0.0.1:0", "BARONG_GRPC_ADDR=127.0.0.1:0", "BARONG_FORWARD_ADDR=127.0.0.1:0"}
	command := func(env []string, args ...string) *exec.Cmd {
		cmd := exec.Command(binary, args...)
		cmd.Dir, cmd.Env = root, env
		asNobody(cmd)
		return cmd
	}
	if said, err := command([]string{}, "version").CombinedOutput(); err != nil || !strings.HasPrefix(string(said), "barong v9.8.7 abcdef ") {
		t.Fatalf("version: %v %s", err, said)
	}
	if said, err := command(env, "health").CombinedOutput(); err == nil {
		t.Fatalf("healthy before it serves: %s", said)
	}
	var said bytes.Buffer
	serve := command(env, "serve")
	serve.Stdout, serve.Stderr = &said, &said
	if err := serve.Start(); err != nil {
		t.Fatal(err)
	}
	var health []byte
	for end := time.Now().Add(within); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		if health, err = command(env, "health").CombinedOutput(); err == nil {
			break
		}
	}
	_ = serve.Process.Signal(syscall.SIGTERM)
	ended := serve.Wait()
	if err != nil || ended != nil {
		t.Fatalf("health: %v %s; serve: %v\n%s", err, health, ended, said.Bytes())
	}
	if _, err := os.Stat(filepath.Join(data, "barong.db")); err != nil {
		t.Errorf("the database is not in /data: %v", err)
	}
}

// freeAddress is one where nobody listens just now.
func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := listenOn("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}
