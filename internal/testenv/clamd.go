package testenv

import (
	"context"
	"encoding/hex"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// ClamdConfig shapes one throwaway clamd.
type ClamdConfig struct {
	// Virus is the text that makes a file infected, and the only one: the server knows no other
	// signatures.
	Virus string
	// StreamMaxLength is the longest file that it takes, in bytes.
	StreamMaxLength int
}

// A Clamd is the daemon of ClamAV, of a test, on a loopback port and a socket. It runs as another user
// than root, and is killed when the test ends.
type Clamd struct {
	Addr   string
	Socket string

	process *os.Process
	dir     string
	done    chan struct{} // closed when it has ended
}

// StartClamd starts one and waits until it answers, about a second. With no clamd installed the test is
// skipped, or fails when CI=true.
func StartClamd(t testing.TB, cfg ClamdConfig) *Clamd {
	t.Helper()
	bin, err := clamdBin()
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatalf("clamd: %v (scripts/services installs it)", err)
		}
		t.Skipf("clamd: %v; scripts/services installs it", err)
	}
	owner, err := unprivileged()
	must(t, err)
	// Not below the test's own folder, which the other user cannot pass.
	dir, err := os.MkdirTemp("", "barong-clamd-")
	must(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	d := &Clamd{dir: dir, Socket: filepath.Join(dir, "socket"), done: make(chan struct{})}
	port := freePort(t)
	d.Addr = net.JoinHostPort("127.0.0.1", port)
	// A signature of any file (0) at any place (*), of the text in hexadecimal.
	signature := "Barong.Test:0:*:" + hex.EncodeToString([]byte(cfg.Virus)) + "\n"
	settings := []string{
		"Foreground yes", "LogFile " + filepath.Join(dir, "log"), "DatabaseDirectory " + filepath.Join(dir, "signatures"),
		"TemporaryDirectory " + dir, "LocalSocket " + d.Socket, "TCPSocket " + port, "TCPAddr 127.0.0.1",
		"StreamMaxLength " + strconv.Itoa(cfg.StreamMaxLength), "MaxThreads 4", "SelfCheck 0",
	}
	must(t, os.Mkdir(filepath.Join(dir, "signatures"), 0o700))
	for name, text := range map[string]string{
		"clamd.conf": strings.Join(settings, "\n") + "\n", "signatures/barong.ndb": signature,
	} {
		must(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600))
		must(t, owner.own(filepath.Join(dir, name)))
	}
	for _, path := range []string{dir, filepath.Join(dir, "signatures")} {
		must(t, owner.own(path))
	}
	cmd := exec.Command(bin, "--config-file", filepath.Join(dir, "clamd.conf"))
	cmd.Dir, cmd.SysProcAttr = dir, owner.attributes()
	must(t, startTied(cmd, d.done))
	d.process = cmd.Process
	t.Cleanup(d.Kill)
	until(t, "clamd at "+d.Addr+" answers", d.output, func(ctx context.Context) bool { return accepts(ctx, d.Addr) })
	return d
}

// clamdBin is where the daemon is: on PATH, or in Debian's folder for those of root.
func clamdBin() (string, error) {
	for _, name := range []string{"clamd", "/usr/sbin/clamd"} {
		if path, err := exec.LookPath(name); err == nil {
			return path, nil
		}
	}
	return "", ErrMissing
}

// Pause stops it where it stands, connections open: nothing is answered any more.
func (d *Clamd) Pause(t testing.TB) {
	t.Helper()
	must(t, d.process.Signal(syscall.SIGSTOP))
}

// Resume undoes Pause.
func (d *Clamd) Resume(t testing.TB) {
	t.Helper()
	must(t, d.process.Signal(syscall.SIGCONT))
}

// Kill ends it at once and waits until it is gone; twice is fine.
func (d *Clamd) Kill() {
	_ = d.process.Kill() // an error says that it has ended
	<-d.done
}

func (d *Clamd) output() string {
	b, err := os.ReadFile(filepath.Join(d.dir, "log"))
	if err != nil {
		return fmt.Sprint(err)
	}
	return string(b)
}
