package e2e

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"time"
)

// A Proxy is a running gateway that asks Barong about every request.
type Proxy interface {
	// Name is the kind: envoy, envoy-http, nginx or caddy.
	Name() string
	// URL is the gateway's own, without a trailing slash.
	URL() string
	// Stop ends it and waits.
	Stop() error
	// Output is its output so far, its access log among it.
	Output() string
}

// Places are the addresses that a proxy's file is adapted to, each host:port with a loopback
// host. An empty one stays as shipped.
type Places struct {
	Listen string    // the gateway, shipped as 127.0.0.1:8099
	Admin  string    // Envoy's own, shipped as 127.0.0.1:9901
	Barong Addresses // all are used
	Peatio string    // shipped as 127.0.0.1:8000
	Appl   string    // applogic and arke, both shipped as 127.0.0.1:8081
	Finex  string    // shipped as 127.0.0.1:8080
	Ranger string    // shipped as 127.0.0.1:8082
	// Edit, when set, has the last word on the file, which is otherwise as shipped: it stands for
	// an operator's changes. kind is the proxy's Name.
	Edit func(kind string, file []byte) []byte
}

// FreePlaces has a free address for the gateway and its admin, and every component at upstream.
func FreePlaces(at Addresses, upstream string) (p Places, err error) {
	p = Places{Barong: at, Peatio: upstream, Appl: upstream, Finex: upstream, Ranger: upstream}
	if p.Listen, err = FreeAddr(); err != nil {
		return p, err
	}
	p.Admin, err = FreeAddr()
	return p, err
}

// ports maps the ports of the shipped files to those of p.
func (p Places) ports() map[string]string {
	m := map[string]string{}
	for shipped, addr := range map[string]string{
		"8099": p.Listen, "9901": p.Admin, "8001": p.Barong.HTTP, "9001": p.Barong.GRPC,
		"8002": p.Barong.Forward, "9091": p.Barong.Ops, "8000": p.Peatio, "8081": p.Appl, "8080": p.Finex, "8082": p.Ranger,
	} {
		if _, port, err := net.SplitHostPort(addr); err == nil {
			m[shipped] = port
		}
	}
	return m
}

// An address in a shipped file: `127.0.0.1:8099`, Caddy's `http://:8099`, Envoy's `port_value: 8099`.
var shippedPort = regexp.MustCompile(`(127\.0\.0\.1:|http://:|port_value: )(\d+)`)

// adapt rewrites the addresses of a shipped file; nothing else changes.
func (p Places) adapt(file []byte) []byte {
	ports := p.ports()
	return shippedPort.ReplaceAllFunc(file, func(match []byte) []byte {
		parts := shippedPort.FindSubmatch(match)
		if port, ok := ports[string(parts[2])]; ok {
			return append(append([]byte{}, parts[1]...), port...)
		}
		return match
	})
}

type proxy struct {
	*Process
	url string
}

func (p *proxy) Name() string { return p.Process.Name }
func (p *proxy) URL() string  { return p.url }

// StartEnvoy runs the Envoy binary bin with file (envoy.yaml or deploy/envoy-http.yaml of the
// repository) adapted to p. Logs and the adapted file go to dir. It returns when Envoy says
// that it is live and its listener accepts, or fails after 20 s.
func StartEnvoy(ctx context.Context, bin, file, dir string, p Places) (Proxy, error) {
	name := "envoy"
	if strings.Contains(filepath.Base(file), "http") {
		name = "envoy-http"
	}
	config := filepath.Join(dir, name+".yaml")
	if err := p.copy(name, file, config); err != nil {
		return nil, err
	}
	// One worker per processor would also open one connection per processor to everything.
	workers := fmt.Sprint(min(2, runtime.NumCPU()))
	proc, err := start(name, dir, nil, bin, "-c", config, "--disable-hot-restart",
		"--concurrency", workers, "--log-level", "warning", "--drain-time-s", "1", "--file-flush-interval-msec", "100")
	if err != nil {
		return nil, err
	}
	admin := p.Admin
	if admin == "" {
		admin = "127.0.0.1:9901"
	}
	return ready(ctx, proc, p, func(ctx context.Context) bool { return ok(ctx, "http://"+admin+"/ready") })
}

// StartNginx runs the nginx binary bin with the repository's deploy/nginx.conf adapted to p.
func StartNginx(ctx context.Context, bin, root, dir string, p Places) (Proxy, error) {
	if err := p.copy("nginx", filepath.Join(root, "deploy", "nginx.conf"), filepath.Join(dir, "barong.conf")); err != nil {
		return nil, err
	}
	// The shipped file is the content of the http block; this is the rest of a main file, with
	// every path below dir.
	main := "daemon off;\nmaster_process off;\nworker_processes 1;\npid nginx.pid;\nerror_log stderr warn;\n" +
		"events { worker_connections 256; }\nhttp {\naccess_log off;\n"
	for _, kind := range []string{"client_body", "proxy", "fastcgi", "uwsgi", "scgi"} {
		main += kind + "_temp_path " + kind + ";\n"
	}
	main += "include barong.conf;\n}\n"
	config := filepath.Join(dir, "nginx.conf")
	if err := os.WriteFile(config, []byte(main), 0o600); err != nil {
		return nil, fmt.Errorf("write nginx.conf: %w", err)
	}
	proc, err := start("nginx", dir, nil, bin, "-p", dir+"/", "-e", "stderr", "-c", config)
	if err != nil {
		return nil, err
	}
	return ready(ctx, proc, p, nil)
}

// StartCaddy runs the Caddy binary bin with the repository's deploy/Caddyfile adapted to p.
func StartCaddy(ctx context.Context, bin, root, dir string, p Places) (Proxy, error) {
	config := filepath.Join(dir, "Caddyfile")
	if err := p.copy("caddy", filepath.Join(root, "deploy", "Caddyfile"), config); err != nil {
		return nil, err
	}
	env := []string{"XDG_DATA_HOME=" + dir, "XDG_CONFIG_HOME=" + dir}
	proc, err := start("caddy", dir, env, bin, "run", "--config", config, "--adapter", "caddyfile")
	if err != nil {
		return nil, err
	}
	return ready(ctx, proc, p, nil)
}

// copy puts the shipped file from, adapted to p for the proxy of that name, into to.
func (p Places) copy(name, from, to string) error {
	b, err := os.ReadFile(from)
	if err != nil {
		return fmt.Errorf("read the proxy's file: %w", err)
	}
	b = p.adapt(b)
	if p.Edit != nil {
		b = p.Edit(name, b)
	}
	if err := os.WriteFile(to, b, 0o600); err != nil {
		return fmt.Errorf("write the proxy's file: %w", err)
	}
	return nil
}

// ready waits until live (when there is one) and the gateway's listener say yes.
func ready(ctx context.Context, proc *Process, p Places, live func(context.Context) bool) (Proxy, error) {
	listen := p.Listen
	if listen == "" {
		listen = "127.0.0.1:8099"
	}
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	err := proc.wait(ctx, func() bool { return (live == nil || live(ctx)) && accepts(listen) })
	if err != nil {
		proc.Stop()
		return nil, err
	}
	return &proxy{Process: proc, url: "http://" + listen}, nil
}
