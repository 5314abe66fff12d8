package main

import (
	"context"
	"encoding/base64"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"text/tabwriter"
	"time"
)

// rig is everything that runs during a benchmark.
type rig struct {
	dir, barong, self string
	servers           []*process
	empty, own, token *process
	small             *fixture // 100 rules
	medium            *fixture // 10,000
	large             *fixture // 100,000
	fresh             *fixture // cold sessions, EdDSA
}

// A fixture is a barong with the accounts, credentials and rules that its database holds.
type fixture struct {
	*process
	world
}

const coldSessions = 160_000

func newRig(ctx context.Context, dir string) (*rig, error) {
	r := &rig{dir: dir, barong: filepath.Join(dir, "barong")}
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
	if r.empty, err = r.startEmpty(ctx, "generated"); err != nil {
		return r, err
	}
	if r.own, err = r.startEmpty(ctx, "own"); err != nil {
		return r, err
	}
	if r.token, err = r.startEmpty(ctx, "own-token"); err != nil {
		return r, err
	}
	for _, f := range []struct {
		into  **fixture
		name  string
		rules int
		cold  int
		env   []string
	}{
		{&r.small, "barong-100", 100, 0, nil},
		{&r.medium, "barong-10000", 10_000, 0, nil},
		// Long-lived tokens: a thousand running out in one second would hide the rebuilds.
		{&r.large, "barong-100000", 100_000, 0, []string{"BARONG_JWT_REUSE=30m", "BARONG_JWT_EXPIRE_TIME=1h"}},
		{&r.fresh, "barong-cold", 100, coldSessions, []string{"BARONG_JWT_ALGORITHM=EdDSA"}},
	} {
		w, err := populate(ctx, filepath.Join(dir, f.name), f.rules, f.cold)
		if err != nil {
			return r, fmt.Errorf("populate %s: %w", f.name, err)
		}
		p, err := r.startBarong(ctx, f.name, w, f.env...)
		if err != nil {
			return r, err
		}
		*f.into = &fixture{p, w}
	}
	return r, nil
}

func (r *rig) stop() {
	for _, p := range r.servers {
		p.stop()
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
	r.servers = append(r.servers, p)
	return p, nil
}

func (r *rig) startBarong(ctx context.Context, name string, w world, env ...string) (*process, error) {
	addrs := make([]string, 4)
	for i := range addrs {
		a, err := freeAddr()
		if err != nil {
			return nil, err
		}
		addrs[i] = a
	}
	env = append([]string{
		"BARONG_DATABASE_URL=sqlite:" + w.database, "BARONG_SECRET_KEY=" + base64.StdEncoding.EncodeToString(w.key),
		"BARONG_HTTP_ADDR=" + addrs[0], "BARONG_GRPC_ADDR=" + addrs[1], "BARONG_FORWARD_ADDR=" + addrs[2], "BARONG_OPS_ADDR=" + addrs[3],
		"BARONG_GATE=off", "BARONG_APIKEY_NONCE_LIFETIME=24h", "BARONG_LOG_FORMAT=json",
	}, env...)
	p, err := start(ctx, r.dir, name, env, func() bool { return isReady(addrs[3]) }, r.barong, "serve")
	if err != nil {
		return nil, err
	}
	p.grpc, p.ops = addrs[1], addrs[3]
	r.servers = append(r.servers, p)
	return p, nil
}

// A row is one line of the table.
type row struct {
	name     string
	server   *process
	requests [][]byte
	want     string
	once     bool // each request is sent at most once: a cold session is cold once
}

func (r *rig) rows(rounds int) []row {
	s := r.small
	rows := []row{
		{"empty authorizer, generated code, grpc-go's defaults", r.empty, s.warm, "", false},
		{"empty authorizer, our codec and server options", r.own, s.warm, "", false},
		{"the same, answering a token of our length", r.token, s.warm, "", false},
		{"barong: warm session, 100 rules", s.process, s.warm, "Bearer ", false},
		{"barong: warm session, 10,000 rules", r.medium.process, r.medium.warm, "Bearer ", false},
		{"barong: warm session, 100,000 rules", r.large.process, r.large.warm, "Bearer ", false},
		{"barong: warm API key, token reused", s.process, s.keyed, "Bearer ", false},
		{"barong: public path (pass rule)", s.process, s.passing, "", false},
		{"barong: denial by permission, a flood of 10 users", s.process, s.denied[:10], "authz.invalid_permission", false},
		{"barong: denial by permission, 1,000 users, rows written", s.process, s.denied, "authz.invalid_permission", false},
		{"barong: denial by restriction", s.process, s.restricted, "authz.restrict.blacklist", false},
		{"barong: denial, bad signature", s.process, s.forged, "authz.invalid_signature", false},
		{"barong: denial, unknown key", s.process, s.unknown, "authz.unexistent_apikey", false},
		{"barong: cold session from SQLite, fresh EdDSA token", r.fresh.process, nil, "Bearer ", true},
	}
	// Cold sessions are dealt out over the rounds and the storm that follows.
	per := (coldSessions - 100_000) / (rounds + 1)
	rows[len(rows)-1].requests = r.fresh.cold[:per*(rounds+1)]
	return rows
}

// figure is what one measurement of a row gave.
type figure struct {
	cpu            float64 // µs of server CPU per request
	rate           float64
	p50, p99, p999 time.Duration
	toEmpty, toOwn float64
	wrong          int64
	example        []byte
}

func (r *rig) table(ctx context.Context, o options) error {
	rows := r.rows(o.rounds)
	rows = slices.DeleteFunc(rows, func(x row) bool {
		return x.server != r.empty && x.server != r.own && x.server != r.token && !o.only.MatchString(x.name)
	})
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
