package main

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"barong/internal/testenv"
)

// rig is everything that runs during a benchmark.
type rig struct {
	dir, barong, self string
	stage             *testenv.Stage // of the servers
	servers           *servers       // nil until a fixture needs them
	processes         []*process
	empty, own, token *process
	fixtures          map[string]*fixture
}

// A fixture is a barong with the accounts, credentials and rules that its database holds.
type fixture struct {
	*process
	world
}

// The fixtures. Each is made when something is first measured on it.
const (
	small  = "barong-100" // rules
	medium = "barong-10000"
	large  = "barong-100000"
	fresh  = "barong-cold"   // cold sessions, EdDSA
	shared = "barong-shared" // the same on PostgreSQL and Redis
)

const coldSessions = 160_000

func newRig(ctx context.Context, dir string) (*rig, error) {
	r := &rig{dir: dir, barong: filepath.Join(dir, "barong"), stage: testenv.NewStage(ctx), fixtures: map[string]*fixture{}}
	var err error
	if r.self, err = os.Executable(); err != nil {
		return nil, err
	}
	build := exec.CommandContext(ctx, "go", "build", "-o", r.barong, "barong/cmd/barong")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("build barong: %w\n%s", err, out)
	}
	if canPin() {
		// The client, this process, keeps off the servers' processor.
		pin := exec.CommandContext(ctx, "taskset", "-a", "-c", "-p", clientCore, fmt.Sprint(os.Getpid()))
		if out, err := pin.CombinedOutput(); err != nil {
			return nil, fmt.Errorf("pin the client: %w\n%s", err, out)
		}
	}
	return r, nil
}

// fixture returns the fixture of that name, made at the first call.
func (r *rig) fixture(ctx context.Context, name string) (*fixture, error) {
	if f := r.fixtures[name]; f != nil {
		return f, nil
	}
	rules, cold, env := 100, 0, []string(nil)
	at, err := r.file(name)
	switch name {
	case medium:
		rules = 10_000
	case large:
		// Long-lived tokens: a thousand running out in one second would hide the rebuilds.
		rules, env = 100_000, []string{"BARONG_JWT_REUSE=30m", "BARONG_JWT_EXPIRE_TIME=1h"}
	case fresh:
		cold, env = coldSessions, []string{"BARONG_JWT_ALGORITHM=EdDSA"}
	case shared:
		cold, env = coldSessions, []string{"BARONG_JWT_ALGORITHM=EdDSA"}
		at, err = r.sharedPlace(ctx, "bench_sessions")
	}
	if err != nil {
		return nil, err
	}
	w, err := populate(ctx, at, rules, cold)
	if err != nil {
		return nil, fmt.Errorf("populate %s: %w", name, err)
	}
	p, err := r.startBarong(ctx, name, w, env...)
	if err != nil {
		return nil, err
	}
	r.fixtures[name] = &fixture{p, w}
	return r.fixtures[name], nil
}

func (r *rig) stop() {
	for _, p := range r.processes {
		p.stop()
	}
	if err := r.stage.Close(); err != nil && r.servers != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
	}
}

func (r *rig) pinning() string {
	if canPin() {
		return "server on processor " + serverCore + ", client on processor " + clientCore
	}
	return "not pinned"
}

func (r *rig) startEmpty(ctx context.Context, codec string) (*process, error) {
	addr, err := freeAddr()
	if err != nil {
		return nil, err
	}
	p, err := start(ctx, r.dir, "empty-"+codec, nil, func() bool { return listening(addr) }, r.self, "empty", codec, addr)
	if err != nil {
		return nil, err
	}
	p.grpc = addr
	r.processes = append(r.processes, p)
	return p, nil
}

// file is a new place in one file, in the directory that a barong of that name runs in.
func (r *rig) file(name string) (place, error) {
	dir := filepath.Join(r.dir, name)
	return place{database: "sqlite:" + filepath.Join(dir, "barong.db")}, os.MkdirAll(dir, 0o700)
}

// startBarong runs barong serve on w. Another process may take a port between our look and
// its start: then it is started again.
func (r *rig) startBarong(ctx context.Context, name string, w world, env ...string) (p *process, err error) {
	dir := filepath.Join(r.dir, name)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	for range 3 {
		addrs := make([]string, 4)
		for i := range addrs {
			if addrs[i], err = freeAddr(); err != nil {
				return nil, err
			}
		}
		p, err = start(ctx, dir, name, append([]string{
			"BARONG_DATABASE_URL=" + w.database, "BARONG_REDIS_URL=" + w.redis,
			"BARONG_SECRET_KEY=" + base64.StdEncoding.EncodeToString(w.key),
			"BARONG_HTTP_ADDR=" + addrs[0], "BARONG_GRPC_ADDR=" + addrs[1], "BARONG_FORWARD_ADDR=" + addrs[2], "BARONG_OPS_ADDR=" + addrs[3],
			"BARONG_GATE=off", "BARONG_APIKEY_NONCE_LIFETIME=24h", "BARONG_LOG_FORMAT=json",
		}, env...), func() bool { return isReady(addrs[3]) }, r.barong, "serve")
		if err == nil {
			p.grpc, p.ops = addrs[1], addrs[3]
			r.processes = append(r.processes, p)
			return p, nil
		}
		if !strings.Contains(err.Error(), "address already in use") {
			break
		}
	}
	return nil, err
}

// A row is one line of the table.
type row struct {
	name     string
	on       string // fixture, "" for yardsticks
	server   *process
	requests [][]byte
	pick     func(w world) [][]byte // the requests out of the fixture's world
	want     string
	once     bool // each request is sent at most once: a cold session is cold once
}

// rows are the selected ones, and the yardsticks before them if there are any.
func (r *rig) rows(ctx context.Context, o options) ([]row, error) {
	warm := func(w world) [][]byte { return w.warm }
	denied := func(w world) [][]byte { return w.denied }
	// Cold sessions are dealt out over the rounds and the storm that follows.
	cold := func(w world) [][]byte {
		per := (coldSessions - stormSessions) / (o.rounds + 1)
		return w.cold[:per*(o.rounds+1)]
	}
	rows := []row{
		{name: "barong: warm session, 100 rules", on: small, pick: warm, want: "Bearer "},
		{name: "barong: warm session, 10,000 rules", on: medium, pick: warm, want: "Bearer "},
		{name: "barong: warm session, 100,000 rules", on: large, pick: warm, want: "Bearer "},
		{name: "barong: warm session, PostgreSQL and Redis, 100 rules", on: shared, pick: warm, want: "Bearer "},
		{name: "barong: warm API key, token reused", on: small, pick: func(w world) [][]byte { return w.keyed }, want: "Bearer "},
		{name: "barong: warm API key with scopes, networks and expiry", on: small, pick: func(w world) [][]byte { return w.bound }, want: "Bearer "},
		{name: "barong: public path (pass rule)", on: small, pick: func(w world) [][]byte { return w.passing }},
		{name: "barong: denial by permission, a flood of 10 users", on: small, pick: func(w world) [][]byte { return w.denied[:10] }, want: "authz.invalid_permission"},
		{name: "barong: denial by permission, 1,000 users, rows written", on: small, pick: denied, want: "authz.invalid_permission"},
		{name: "barong: denial by restriction", on: small, pick: func(w world) [][]byte { return w.restricted }, want: "authz.restrict.blacklist"},
		{name: "barong: denial, bad signature", on: small, pick: func(w world) [][]byte { return w.forged }, want: "authz.invalid_signature"},
		{name: "barong: denial, unknown key", on: small, pick: func(w world) [][]byte { return w.unknown }, want: "authz.unexistent_apikey"},
		{name: "barong: cold session from SQLite, fresh EdDSA token", on: fresh, pick: cold, want: "Bearer ", once: true},
		{name: "barong: cold session from Redis, fresh EdDSA token", on: shared, pick: cold, want: "Bearer ", once: true},
	}
	rows = slices.DeleteFunc(rows, func(x row) bool { return !o.only.MatchString(x.name) })
	if len(rows) == 0 {
		return nil, nil
	}
	made := rows[:0]
	for _, x := range rows {
		f, err := r.fixture(ctx, x.on)
		if errors.Is(err, errNoServers) {
			notRun(x.name, err)
			continue
		}
		if err != nil {
			return nil, err
		}
		x.server, x.requests = f.process, x.pick(f.world)
		made = append(made, x)
	}
	f, err := r.fixture(ctx, small)
	if err != nil {
		return nil, err
	}
	for _, y := range []struct {
		codec string
		into  **process
	}{{"generated", &r.empty}, {"own", &r.own}, {"own-token", &r.token}} {
		if *y.into, err = r.startEmpty(ctx, y.codec); err != nil {
			return nil, err
		}
	}
	return append([]row{
		{name: "empty authorizer, generated code, grpc-go's defaults", server: r.empty, requests: f.warm},
		{name: "empty authorizer, our codec and server options", server: r.own, requests: f.warm},
		{name: "the same, answering a token of our length", server: r.token, requests: f.warm},
	}, made...), nil
}

// figure is the result of one measurement of a row.
type figure struct {
	cpu            float64 // µs of server CPU per request
	rate           float64
	p50, p99, p999 time.Duration
	toEmpty, toOwn float64
	wrong          int64
	example        []byte
}

func (r *rig) table(ctx context.Context, o options) error {
	rows, err := r.rows(ctx, o)
	if err != nil || len(rows) == 0 {
		return err
	}
	all := make([][]figure, len(rows))
	for round := -1; round < o.rounds; round++ { // the first warms up and is not counted
		var empty, own float64
		for i, x := range rows {
			requests := x.requests
			if x.once {
				per := len(requests) / (o.rounds + 1)
				requests = requests[(round+1)*per : (round+2)*per]
			}
			f, err := measure(ctx, x, requests, o)
			if err != nil {
				return fmt.Errorf("%s: %w", x.name, err)
			}
			if f.wrong > 0 {
				return fmt.Errorf("%s: %d wrong answers, such as %q", x.name, f.wrong, f.example)
			}
			switch i {
			case 0:
				empty = f.cpu
			case 1:
				own = f.cpu
			}
			if i > 0 {
				f.toOwn = f.cpu / own
			}
			f.toEmpty = f.cpu / empty
			if round >= 0 {
				all[i] = append(all[i], f)
			}
		}
	}
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 1, ' ', 0)
	fmt.Fprintln(w, "| row\t| CPU µs (min–max)\t| × generated\t| × our codec\t| req/s\t| p50 µs\t| p99 µs\t| p999 µs\t|")
	fmt.Fprintln(w, "|---\t|--:\t|--:\t|--:\t|--:\t|--:\t|--:\t|--:\t|")
	for i, x := range rows {
		f := all[i]
		cpus := column(f, func(f figure) float64 { return f.cpu })
		us := func(get func(figure) time.Duration) float64 {
			return median(column(f, func(f figure) float64 { return float64(get(f)) / 1e3 }))
		}
		own := "–"
		if i > 0 {
			own = fmt.Sprintf("%.2f", median(column(f, func(f figure) float64 { return f.toOwn })))
		}
		fmt.Fprintf(w, "| %s\t| %.1f (%.1f–%.1f)\t| %.2f\t| %s\t| %.0f\t| %.0f\t| %.0f\t| %.0f\t|\n", x.name,
			median(cpus), slices.Min(cpus), slices.Max(cpus),
			median(column(f, func(f figure) float64 { return f.toEmpty })),
			own,
			median(column(f, func(f figure) float64 { return f.rate })),
			us(func(f figure) time.Duration { return f.p50 }),
			us(func(f figure) time.Duration { return f.p99 }),
			us(func(f figure) time.Duration { return f.p999 }))
	}
	return w.Flush()
}

func measure(ctx context.Context, x row, requests [][]byte, o options) (figure, error) {
	c, err := dial(x.server.grpc, o.conns)
	if err != nil {
		return figure{}, err
	}
	defer c.close()
	if !x.once { // connections up, caches warm
		if _, err := c.closed(ctx, requests, nil, o.workers, 200*time.Millisecond, false); err != nil {
			return figure{}, err
		}
	}
	before, err := x.server.cpu()
	if err != nil {
		return figure{}, err
	}
	res, err := c.closed(ctx, requests, []byte(x.want), o.workers, o.each, x.once)
	if err != nil {
		return figure{}, err
	}
	after, err := x.server.cpu()
	if err != nil {
		return figure{}, err
	}
	return figure{
		cpu: float64(after-before) / 1e3 / float64(res.sent), rate: float64(res.sent) / res.elapsed.Seconds(),
		p50: res.quantile(.5), p99: res.quantile(.99), p999: res.quantile(.999), wrong: res.wrong, example: res.example,
	}, nil
}

func column(f []figure, get func(figure) float64) []float64 {
	out := make([]float64, len(f))
	for i := range f {
		out[i] = get(f[i])
	}
	return out
}

func median(v []float64) float64 {
	v = slices.Sorted(slices.Values(v))
	if len(v) == 0 {
		return 0
	}
	return v[len(v)/2]
}

func mib(n int64) string { return fmt.Sprintf("%.0f MiB", float64(n)/(1<<20)) }
