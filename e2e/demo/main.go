// Demo shows Barong at work on this machine: a real Envoy with the shipped envoy.yaml asks it
// about four requests, two of which reach the upstream.
//
//	make demo           runs, shows, stops and cleans up
//	make demo KEEP=1    leaves everything running, and says how to use and stop it
//
// Where there is no Envoy to be had, the same four are shown through forward-auth.
package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"barong/e2e"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	keep := os.Getenv("KEEP")
	d := &demo{keep: keep != "" && keep != "0"}
	err := d.run(ctx)
	if err != nil || !d.keep {
		d.stop()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "\ndemo:", err)
		os.Exit(1)
	}
}

// A demo is one run: its programs and their places.
type demo struct {
	keep   bool
	dir    string // everything is below it
	places e2e.Places
	envoy  string // the binary, "" for none

	barong  *e2e.Barong
	running []stopper // in the order of their start
}

type stopper interface {
	Stop() error
	PID() int
}

func (d *demo) run(ctx context.Context) error {
	root, err := e2e.Root()
	if err != nil {
		return err
	}
	if d.dir, err = os.MkdirTemp("", "barong-demo-"); err != nil {
		return fmt.Errorf("make a directory: %w", err)
	}
	fmt.Println("Barong decides for a gateway which requests reach an exchange's services, and as whom.\n" +
		"This demo starts all three and sends four requests: two are let through, two are not.")
	title("Setting up")
	bin, echo, err := d.build(ctx, root)
	if err != nil {
		return err
	}
	say("finding Envoy; the first time it is fetched into .tools, which takes a minute")
	switch d.envoy, err = e2e.Tool(ctx, root, "envoy"); {
	case errors.Is(err, e2e.ErrNone):
		say("%v", err)
		say("NO ENVOY: the same four requests are shown through forward-auth instead.")
	case err != nil:
		return err
	}
	if err := d.choosePlaces(); err != nil {
		return err
	}
	people, err := newPeople(ctx, bin, d.dir)
	if err != nil {
		return err
	}
	gate, err := d.start(ctx, root, bin, echo, people)
	if err != nil {
		return err
	}
	if err := d.show(ctx, gate, people); err != nil {
		return err
	}
	d.epilogue(gate, people)
	return nil
}

// build compiles the two programs.
func (d *demo) build(ctx context.Context, root string) (barong, echo string, err error) {
	say("building barong and the echo upstream; the first time that takes some minutes")
	if barong, err = e2e.Build(ctx, root, d.dir); err != nil {
		return "", "", err
	}
	echo = filepath.Join(d.dir, "echo")
	cmd := exec.CommandContext(ctx, "go", "build", "-o", echo, "./e2e/echo")
	cmd.Dir = root
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", "", fmt.Errorf("build echo: %w\n%s", err, out)
	}
	return barong, echo, nil
}

// choosePlaces takes the ports of the shipped files, and a free one for each that is taken; the
// gateway's own is not negotiable.
func (d *demo) choosePlaces() error {
	d.places = e2e.Places{Listen: "127.0.0.1:8099", Admin: "127.0.0.1:9901", Barong: e2e.DefaultAddresses,
		Peatio: "127.0.0.1:8000", Appl: "127.0.0.1:8081", Finex: "127.0.0.1:8080", Ranger: "127.0.0.1:8082"}
	if d.envoy != "" && !free(d.places.Listen) {
		return fmt.Errorf("%s is taken: is another demo still running?", d.places.Listen)
	}
	p := &d.places
	for _, addr := range []*string{&p.Admin, &p.Barong.HTTP, &p.Barong.GRPC, &p.Barong.Forward, &p.Barong.Ops,
		&p.Peatio, &p.Appl, &p.Finex, &p.Ranger} {
		if free(*addr) {
			continue
		}
		other, err := e2e.FreeAddr()
		if err != nil {
			return err
		}
		say("%s is taken, using %s", *addr, other)
		*addr = other
	}
	return nil
}

func free(addr string) bool {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return false
	}
	l.Close()
	return true
}

// start brings up upstream, Barong and the gateway.
func (d *demo) start(ctx context.Context, root, bin, echo string, who *people) (*client, error) {
	p := d.places
	up, err := e2e.StartEcho(ctx, echo, d.dir, p.Peatio, p.Appl, p.Finex, p.Ranger)
	if err != nil {
		return nil, err
	}
	d.running = append(d.running, up)

	// A loopback client of Envoy has this machine's own address in X-Forwarded-For.
	trusted := []string{"127.0.0.0/8", "::1/128"}
	own, err := e2e.OwnAddresses()
	if err != nil {
		return nil, err
	}
	for _, a := range own {
		if !a.IsLoopback() {
			trusted = append(trusted, a.WithZone("").String())
		}
	}
	began := time.Now()
	d.barong, err = e2e.StartBarong(ctx, bin, d.dir, p.Barong,
		"BARONG_SEEDS="+who.seeds,
		"BARONG_TRUSTED_PROXIES="+strings.Join(trusted, ","),
		"BARONG_DYNAMIC_METADATA=true")
	if err != nil {
		return nil, err
	}
	d.running = append(d.running, d.barong)
	say("barong    REST http://%s, decisions %s (gRPC) and http://%s, ready after %d ms",
		p.Barong.HTTP, p.Barong.GRPC, p.Barong.Forward, time.Since(began).Milliseconds())
	say("upstream  http://%s, an echo in the place of the exchange's engine", p.Peatio)

	if d.envoy == "" {
		return &client{base: "http://barong.demo", http: &http.Client{Transport: &forwardAuth{places: p}}}, nil
	}
	gate, err := e2e.StartEnvoy(ctx, d.envoy, filepath.Join(root, "envoy.yaml"), d.dir, p)
	if err != nil {
		return nil, err
	}
	d.running = append(d.running, gate.(stopper))
	say("gateway   %s, Envoy with the shipped envoy.yaml", gate.URL())
	return &client{base: gate.URL(), http: &http.Client{}}, nil
}

// stop ends the started programs, last one first, and removes the directory.
func (d *demo) stop() {
	for i := len(d.running) - 1; i >= 0; i-- {
		d.running[i].Stop()
	}
	if d.dir != "" {
		os.RemoveAll(d.dir)
	}
}

func (d *demo) epilogue(gate *client, who *people) {
	title("Done")
	if !d.keep {
		say("All four came out as they should. Everything is stopped again; `make demo KEEP=1` leaves it running.")
		return
	}
	var pids []string
	for _, r := range d.running {
		pids = append(pids, fmt.Sprint(r.PID()))
	}
	say("All four came out as they should, and everything keeps running. Try:\n")
	base, header := gate.base, ""
	if d.envoy == "" {
		base = "http://" + d.places.Barong.Forward + "/api/v2/auth"
		header = "(no Envoy: these ask for decisions; a 200 brings the token)"
	}
	if header != "" {
		say("%s", header)
	}
	fmt.Printf("  curl -i %s/api/v2/peatio/account/balances\n", base)
	fmt.Printf("  curl -i -A demo -H 'Cookie: %s' %s/api/v2/peatio/account/balances\n", gate.cookieHeader(), base)
	fmt.Printf("  curl -i -H 'X-Forwarded-For: 198.51.100.7' %s/api/v2/peatio/public/markets\n", base)
	fmt.Printf("\n  Member: %s, password %s (2FA is on)\n", who.member, who.password)
	fmt.Printf("  Files and logs: %s\n  Stop it:        kill %s; rm -r %s\n", d.dir, strings.Join(pids, " "), d.dir)
}

func title(s string) { fmt.Printf("\n== %s ==\n", s) }

func say(format string, args ...any) { fmt.Printf("  "+format+"\n", args...) }
