package e2e

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"barong/internal/testenv"
)

// A Process is one program that this package started. Its output goes to a file, so that it
// outlives the starter's own streams when it is left running.
type Process struct {
	Name string
	Log  string // path of its output

	cmd  *exec.Cmd
	done chan struct{} // closed when the program has ended
	err  error         // how it ended, once done is closed
}

// start runs bin with args in dir and the given environment (nothing is inherited but PATH and
// HOME). Its output is appended to dir/name.log. The program gets its own process group:
// an interrupt at the terminal reaches only the starter, which then stops it in order.
func start(name, dir string, env []string, bin string, args ...string) (*Process, error) {
	p := &Process{Name: name, Log: filepath.Join(dir, name+".log"), done: make(chan struct{})}
	out, err := os.OpenFile(p.Log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	defer out.Close()
	p.cmd = exec.Command(bin, args...)
	p.cmd.Dir, p.cmd.Stdout, p.cmd.Stderr = dir, out, out
	p.cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + os.Getenv("HOME")}, env...)
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	go func() {
		p.err = p.cmd.Wait()
		close(p.done)
	}()
	return p, nil
}

// PID is the program's process id.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Stop asks the program to end and waits; after ten seconds it is killed. It returns how the
// program ended: nil for exit status 0. Stopping twice is allowed.
func (p *Process) Stop() error {
	select {
	case <-p.done:
		return p.err
	default:
	}
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("stop %s: %w", p.Name, err)
	}
	select {
	case <-p.done:
	case <-time.After(10 * time.Second):
		p.cmd.Process.Kill()
		<-p.done
		return fmt.Errorf("stop %s: still running 10 s after SIGTERM, killed", p.Name)
	}
	return p.err
}

// Kill ends the program without a warning, as kill -9 does, and waits until it is gone.
// Killing twice, or after the end, is allowed.
func (p *Process) Kill() error {
	if err := p.cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("kill %s: %w", p.Name, err)
	}
	<-p.done
	return nil
}

// Output is the program's output so far.
func (p *Process) Output() string {
	b, _ := os.ReadFile(p.Log)
	return string(b)
}

// wait returns when ready says true, and fails when the program ends first or ctx is done; the
// error then holds the end of the program's output.
func (p *Process) wait(ctx context.Context, ready func() bool) error {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		if ready() {
			return nil
		}
		select {
		case <-p.done:
			return fmt.Errorf("%s ended before it was ready (%v):\n%s", p.Name, p.cmd.ProcessState, Tail(p.Output(), 30))
		case <-ctx.Done():
			return fmt.Errorf("%s is not ready (%w):\n%s", p.Name, ctx.Err(), Tail(p.Output(), 30))
		case <-tick.C:
		}
	}
}

// Tail is the last lines of s.
func Tail(s string, lines int) string {
	all := strings.Split(strings.TrimSpace(s), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}

// accepts reports whether something listens on addr.
func accepts(addr string) bool {
	c, err := net.DialTimeout("tcp", addr, time.Second)
	if err != nil {
		return false
	}
	c.Close()
	return true
}

// FreeAddr is a loopback address whose port nothing listens on now.
func FreeAddr() (string, error) {
	port, err := testenv.FreePort()
	return fmt.Sprintf("127.0.0.1:%d", port), err
}

// ErrNone says that a program is not on this machine and could not be fetched.
var ErrNone = errors.New("not to be had on this machine")

// Tool is the path of "envoy", "nginx" or "caddy", fetched by the scripts of the repository
// at root when the machine has none. It wraps ErrNone with the script's own words when there is
// none to be had.
func Tool(ctx context.Context, root, name string) (string, error) {
	cmd := exec.CommandContext(ctx, filepath.Join(root, "scripts", "tool"), name)
	if name == "envoy" {
		cmd = exec.CommandContext(ctx, filepath.Join(root, "scripts", "envoy"))
	}
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		if exit, ok := errors.AsType[*exec.ExitError](err); ok && exit.ExitCode() == 3 {
			return "", fmt.Errorf("%s: %w: %s", name, ErrNone, strings.TrimSpace(errs.String()))
		}
		return "", fmt.Errorf("fetch %s: %w: %s", name, err, strings.TrimSpace(errs.String()))
	}
	return strings.TrimSpace(out.String()), nil
}

// Root is the repository's directory: the nearest one above the working directory that holds
// go.mod.
func Root() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", fmt.Errorf("find the repository: %w", err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir, nil
		}
		up := filepath.Dir(dir)
		if up == dir {
			return "", errors.New("find the repository: no go.mod above the working directory")
		}
		dir = up
	}
}

// OwnAddresses are the addresses of this machine's interfaces. For a client on loopback Envoy
// appends one of them to X-Forwarded-For (its node's own), not the loopback address: a Barong
// that is to believe such a client's header must trust them too.
func OwnAddresses() ([]netip.Addr, error) {
	all, err := net.InterfaceAddrs()
	if err != nil {
		return nil, fmt.Errorf("list this machine's addresses: %w", err)
	}
	var own []netip.Addr
	for _, a := range all {
		if p, err := netip.ParsePrefix(a.String()); err == nil {
			own = append(own, p.Addr().Unmap())
		}
	}
	return own, nil
}
