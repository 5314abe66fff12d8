package e2e

import (
	"context"
	"fmt"
	"net/http"
	"os/exec"
	"path/filepath"
	"time"
)

// Addresses are where one Barong listens, each host:port.
type Addresses struct {
	HTTP    string // REST
	GRPC    string // decisions for Envoy
	Forward string // decisions by forward-auth
	Ops     string // health and metrics
	// Management is the listener of the management API; "" leaves it beside REST.
	Management string
}

// DefaultAddresses are those that barong and the shipped proxy files have built in.
var DefaultAddresses = Addresses{HTTP: "127.0.0.1:8001", GRPC: "127.0.0.1:9001", Forward: "127.0.0.1:8002", Ops: "127.0.0.1:9091"}

// FreeAddresses are four that nothing listens on now.
func FreeAddresses() (a Addresses, err error) {
	for _, p := range []*string{&a.HTTP, &a.GRPC, &a.Forward, &a.Ops} {
		if *p, err = FreeAddr(); err != nil {
			return a, err
		}
	}
	return a, nil
}

// Build compiles cmd/barong of the repository at root into dir and returns the binary's path.
func Build(ctx context.Context, root, dir string) (string, error) {
	bin := filepath.Join(dir, "barong")
	cmd := exec.CommandContext(ctx, "go", "build", "-o", bin, "./cmd/barong")
	cmd.Dir = root
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build barong: %w\n%s", err, out)
	}
	return bin, nil
}

// A Barong is `barong serve` running on its own data directory.
type Barong struct {
	*Process
	Addresses
	Dir string // holds the database, the secret key and the log
}

// StartBarong runs `bin serve` in dir with an SQLite file there, on the given addresses, its
// embedded gate off unless env says otherwise. env (KEY=value) is added and wins. It returns
// when /readyz answers 200, or with the end of the log when that does not happen in 30 s.
func StartBarong(ctx context.Context, bin, dir string, at Addresses, env ...string) (*Barong, error) {
	all := append([]string{
		"BARONG_HTTP_ADDR=" + at.HTTP,
		"BARONG_GRPC_ADDR=" + at.GRPC,
		"BARONG_FORWARD_ADDR=" + at.Forward,
		"BARONG_OPS_ADDR=" + at.Ops,
		"BARONG_DATABASE_URL=sqlite:" + filepath.Join(dir, "barong.db"),
	}, env...)
	if at.Management != "" {
		all = append(all, "BARONG_MANAGEMENT_ADDR="+at.Management)
	}
	if !sets(env, "BARONG_GATE=") {
		all = append(all, "BARONG_GATE=off")
	}
	p, err := start("barong", dir, all, bin, "serve")
	if err != nil {
		return nil, err
	}
	b := &Barong{Process: p, Addresses: at, Dir: dir}
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	if err := p.wait(ctx, func() bool { return ok(ctx, "http://"+at.Ops+"/readyz") }); err != nil {
		p.Stop()
		return nil, err
	}
	return b, nil
}

func sets(env []string, key string) bool {
	for _, e := range env {
		if len(e) >= len(key) && e[:len(key)] == key {
			return true
		}
	}
	return false
}

// ok reports whether a GET of url answers 200.
func ok(ctx context.Context, url string) bool {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return false
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return false
	}
	resp.Body.Close()
	return resp.StatusCode == http.StatusOK
}
