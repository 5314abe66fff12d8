package cluster

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"barong/e2e"
	"barong/internal/config"
	"barong/internal/configured"
	"barong/internal/secret"
	"barong/internal/session"
	"barong/internal/store"
	"barong/internal/store/redis"
	"barong/internal/testenv"
)

// How long replicas believe their caches while they cannot hear of changes: far shorter than the
// defaults, so that the end of it can be watched (design D21).
const (
	CacheMaxStale  = 3 * time.Second
	PolicyMaxStale = 6 * time.Second
	DrainDelay     = 2500 * time.Millisecond // over twice Envoy's health check interval
)

// A Cluster is everything that runs.
type Cluster struct {
	A, B     *Replica
	Gate     string // URL of Envoy
	Admin    string // URL of the admin interface of the Envoy that was started last
	Postgres *testenv.Server
	Redis    *testenv.Redis

	// DB and Sessions are on the same servers as the replicas, past every Cable: a third
	// writer, whose changes reach the replicas by the feed alone.
	DB       *store.DB
	Sessions *session.Manager

	t         testing.TB
	replicas  []*Replica
	tokens    map[*Replica]string // of staff, instead of asking for one each time
	people    int
	countries int    // of inWorld, that grants have
	staff     *Grant // a superadmin's session
}

// Start brings up everything and returns when both replicas are ready; all of it ends with
// the test. Where a server or Envoy is missing the test is skipped, or fails when CI=true.
func Start(t testing.TB, barong string) *Cluster {
	t.Helper()
	root, err := e2e.Root()
	must(t, err)
	tool(t, root, "envoy")
	c := &Cluster{t: t, Redis: testenv.StartRedis(t, testenv.RedisConfig{}), Postgres: testenv.StartPostgres(t, testenv.PostgresConfig{})}

	database := c.Postgres.URL("postgres")
	env := append(environment(t), "BARONG_CACHE_MAX_STALE="+CacheMaxStale.String())
	for _, name := range []string{"A", "B"} {
		r, err := newReplica(t, name, barong, env)
		must(t, err)
		must(t, r.lay(t, database, fmt.Sprintf("127.0.0.1:%d", c.Postgres.Port()), c.Redis.Addr))
		c.replicas = append(c.replicas, r)
	}
	c.A, c.B = c.replicas[0], c.replicas[1]
	c.startAll()
	c.write(database)

	c.Gate = c.Gateway(t, "envoy.yaml")
	return c
}

// Gateway runs one more gateway with a shipped file, adapted to both replicas, until the test ends:
// Envoy, nginx or Caddy. It returns its URL.
func (c *Cluster) Gateway(t testing.TB, file string) (url string) {
	t.Helper()
	root, err := e2e.Root()
	must(t, err)
	upstream := httptest.NewServer(e2e.Echo())
	t.Cleanup(upstream.Close)
	places, err := e2e.FreePlaces(c.A.Addresses, strings.TrimPrefix(upstream.URL, "http://"))
	must(t, err)
	places.Edit = c.bothReplicas
	var gate e2e.Proxy
	switch file {
	case "deploy/nginx.conf":
		gate, err = e2e.StartNginx(t.Context(), tool(t, root, "nginx"), root, t.TempDir(), places)
	case "deploy/Caddyfile":
		gate, err = e2e.StartCaddy(t.Context(), tool(t, root, "caddy"), root, t.TempDir(), places)
	default:
		gate, err = e2e.StartEnvoy(t.Context(), tool(t, root, "envoy"), filepath.Join(root, file), t.TempDir(), places)
		c.Admin = "http://" + places.Admin
	}
	must(t, err)
	t.Cleanup(func() {
		gate.Stop()
		if t.Failed() {
			t.Logf("the gate refused:\n%s", refused(gate.Output()))
		}
	})
	return gate.URL()
}

// tool is the path of a program. Where there is none the test is skipped, or fails when CI=true.
func tool(t testing.TB, root, name string) string {
	t.Helper()
	bin, err := e2e.Tool(t.Context(), root, name)
	if errors.Is(err, e2e.ErrNone) {
		if os.Getenv("CI") == "true" {
			t.Fatalf("NOT RUN, and CI=true: %v", err)
		}
		t.Skipf("NOT RUN: %v", err)
	}
	must(t, err)
	return bin
}

// sealingKey is that of every replica.
var sealingKey = bytes.Repeat([]byte{42}, 32)

// environment are the settings of every replica, but for its servers.
func environment(t testing.TB) []string {
	t.Helper()
	trusted := []string{"127.0.0.0/8", "::1/128"}
	own, err := e2e.OwnAddresses()
	must(t, err)
	for _, a := range own {
		if !a.IsLoopback() {
			trusted = append(trusted, a.WithZone("").String())
		}
	}
	return []string{
		"BARONG_SECRET_KEY=" + base64.StdEncoding.EncodeToString(sealingKey),
		"BARONG_TRUSTED_PROXIES=" + strings.Join(trusted, ","),
		"BARONG_POLICY_MAX_STALE=" + PolicyMaxStale.String(),
		"BARONG_DRAIN_DELAY=" + DrainDelay.String(),
		"BARONG_RATE_LIMITS=false", // a load and a series of changes come from one client
		"BARONG_STAFF_REQUIRES_2FA=false",
		"BARONG_MAXMINDDB_PATH=" + WriteWorld(t),
	}
}

// startAll starts the replicas at the same moment: on an empty database one of them migrates
// and seeds.
func (c *Cluster) startAll() {
	c.t.Helper()
	errs := make([]error, len(c.replicas))
	var all sync.WaitGroup
	for i, r := range c.replicas {
		all.Go(func() { errs[i] = r.Start(c.t.Context()) })
	}
	all.Wait()
	must(c.t, errors.Join(errs...))
}

// write opens DB and Sessions, the latter in Redis if there is one. They end with the test.
func (c *Cluster) write(database string) {
	c.t.Helper()
	ctx := c.t.Context()
	sealer, err := secret.NewSealer(sealingKey)
	must(c.t, err)
	db, err := store.Open(ctx, database, sealer, store.WithPostgres(store.Postgres{MaxConns: 4, MinConns: 1}))
	must(c.t, err)
	c.t.Cleanup(func() { db.Close() })
	var sessions session.Store = db
	if c.Redis != nil {
		redis.LogTo(slog.New(slog.DiscardHandler))
		s := config.Default()
		s.Redis.URL = config.Secret("redis://" + c.Redis.Addr)
		r, err := redis.Open(ctx, configured.Redis(s))
		must(c.t, err)
		c.t.Cleanup(func() { r.Close() })
		sessions = r
	}
	c.DB = db
	c.Sessions, err = session.NewManager(configured.Sessions(config.Default()), sessions, db, nil, nil)
	must(c.t, err)
	must(c.t, c.Sessions.Start(ctx))
}

// Replicas are all of them.
func (c *Cluster) Replicas() []*Replica { return c.replicas }

// askers are the names to ask in turn: the gate half of the time, if there is one.
func (c *Cluster) askers() (names []string) {
	for _, r := range c.replicas {
		if c.Gate != "" {
			names = append(names, Gate)
		}
		names = append(names, r.Name)
	}
	return names
}

// RestartRedis starts Redis again after Kill, empty or as it was at Save; it then ends with
// the cluster.
func (c *Cluster) RestartRedis() { c.Redis.Restart(c.t) }

// bothReplicas adapts a shipped file as docs/proxies.md says: each endpoint that leads to A gets one
// beside it that leads to B. Nothing else changes, but that Caddy believes clients' addresses.
func (c *Cluster) bothReplicas(kind string, file []byte) []byte {
	toB := map[string]string{port(c.A.GRPC): port(c.B.GRPC), port(c.A.HTTP): port(c.B.HTTP), port(c.A.Forward): port(c.B.Forward), port(c.A.Ops): port(c.B.Ops)}
	switch kind {
	case "nginx":
		return nginxServer.ReplaceAllFunc(file, func(server []byte) []byte {
			b, ok := toB[string(nginxServer.FindSubmatch(server)[1])]
			if !ok {
				return server
			}
			return slices.Concat(server, []byte(" "), portOf.ReplaceAll(server, []byte("127.0.0.1:"+b)))
		})
	case "caddy":
		text := caddyLine.ReplaceAllString(string(file), "$1")
		for a, b := range toB {
			text = regexp.MustCompile(`(reverse_proxy (?:@\w+ )?127\.0\.0\.1:)`+a+` `).ReplaceAllString(text, "${1}"+a+" 127.0.0.1:"+b+" ")
		}
		return []byte(strings.ReplaceAll(text, "192.0.2.0/24", "127.0.0.0/8"))
	}
	return endpoints.ReplaceAllFunc(file, func(endpoint []byte) []byte {
		leads := false
		second := portValue.ReplaceAllFunc(endpoint, func(value []byte) []byte {
			if b, ok := toB[string(portValue.FindSubmatch(value)[1])]; ok {
				leads = true
				return []byte("port_value: " + b)
			}
			return value
		})
		if !leads {
			return endpoint
		}
		return slices.Concat(endpoint, second)
	})
}

// An endpoint of a shipped Envoy file, a line that the Caddyfile has behind #, a server of nginx, and the ports in them.
var (
	endpoints = regexp.MustCompile(`(?m)^        - endpoint:\n(?:            .*\n)+`)
	portValue = regexp.MustCompile(`port_value: (\d+)`)

	caddyLine   = regexp.MustCompile(`# ((?:lb_try_duration|fail_duration|health_uri|health_interval|health_timeout|trusted_proxies) )`)
	nginxServer = regexp.MustCompile(`server 127\.0\.0\.1:(\d+)[^;]*;`)
	portOf      = regexp.MustCompile(`127\.0\.0\.1:\d+`)
)

func port(addr string) string { return addr[strings.LastIndexByte(addr, ':')+1:] }

// A Replica is one `barong serve`.
type Replica struct {
	Name string
	e2e.Addresses
	Database, Redis *Cable // to the servers; nil where it goes to them without one

	bin, dir string
	env      []string
	running  *e2e.Barong
}

func newReplica(t testing.TB, name, bin string, env []string) (r *Replica, err error) {
	r = &Replica{Name: name, bin: bin, dir: t.TempDir(), env: slices.Clone(env)}
	if r.Addresses, err = e2e.FreeAddresses(); err != nil {
		return nil, err
	}
	t.Cleanup(func() {
		if r.running != nil {
			_ = r.Kill() // it may have ended; in order would take the drain delay
		}
		if t.Failed() && r.running != nil {
			t.Logf("replica %s said:\n%s", r.Name, said(r.running.Output()))
		}
	})
	return r, nil
}

// refused are the last lines of Envoy's access log that are no success of an upstream.
func refused(log string) string {
	var kept []string
	for line := range strings.Lines(log) {
		if !strings.Contains(line, `"details":"via_upstream"`) {
			kept = append(kept, line)
		}
	}
	return strings.Join(kept[max(0, len(kept)-40):], "")
}

// lay gives the replica its servers, by a Cable each.
func (r *Replica) lay(t testing.TB, database, postgres, redis string) (err error) {
	if r.Database, err = NewCable(postgres); err != nil {
		return err
	}
	t.Cleanup(r.Database.Close)
	if r.Redis, err = NewCable(redis); err != nil {
		return err
	}
	t.Cleanup(r.Redis.Close)
	r.env = append(r.env,
		"BARONG_DATABASE_URL="+strings.Replace(database, postgres, r.Database.Addr(), 1), "BARONG_REDIS_URL=redis://"+r.Redis.Addr())
	return nil
}

// said returns a replica's last complaints.
func said(log string) string {
	var kept []string
	for line := range strings.Lines(log) {
		if !strings.Contains(line, `"level":"INFO"`) {
			kept = append(kept, line)
		}
	}
	return strings.Join(kept[max(0, len(kept)-40):], "")
}

// Start starts it and waits until it is ready.
func (r *Replica) Start(ctx context.Context) (err error) {
	r.running, err = e2e.StartBarong(ctx, r.bin, r.dir, r.Addresses, r.env...)
	if err != nil {
		return fmt.Errorf("replica %s: %w", r.Name, err)
	}
	return nil
}

// Stop asks it to end and waits.
func (r *Replica) Stop() error { return r.running.Stop() }

// Kill ends it without a warning.
func (r *Replica) Kill() error {
	if err := syscall.Kill(r.running.PID(), syscall.SIGKILL); err != nil {
		return fmt.Errorf("kill replica %s: %w", r.Name, err)
	}
	_ = r.running.Stop() // waits; how it ended is known
	return nil
}

// Ready reports whether /readyz answers 200.
func (r *Replica) Ready() bool {
	client := &http.Client{Timeout: time.Second}
	resp, err := client.Get("http://" + r.Ops + "/readyz")
	if err != nil {
		return false
	}
	resp.Body.Close()
	return resp.StatusCode == http.StatusOK
}

// Health is Envoy's view of the replicas, one line for each way to each; healthy reports whether
// it would ask all of them.
func (c *Cluster) Health() (text string, healthy bool) {
	resp, err := client.Get(c.Admin + "/clusters")
	if err != nil {
		return err.Error(), false
	}
	defer resp.Body.Close()
	all, err := io.ReadAll(resp.Body)
	if err != nil {
		return err.Error(), false
	}
	ways, well := 0, 0
	for line := range strings.Lines(string(all)) {
		_, flags, ok := strings.Cut(line, "::health_flags::")
		if !ok || !strings.HasPrefix(line, "barong") {
			continue
		}
		text += line
		ways++
		if strings.TrimSpace(flags) == "healthy" {
			well++
		}
	}
	return text, ways == 4 && well == ways
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
