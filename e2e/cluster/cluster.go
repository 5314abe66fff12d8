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
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"barong/e2e"
	"barong/internal/secret"
	"barong/internal/session"
	"barong/internal/store"
	"barong/internal/store/redis"
	"barong/internal/testenv"
)

// How long replicas believe what they hold while they cannot hear of changes (design D21):
// far shorter than the defaults, so that the end of it can be watched.
const (
	CacheMaxStale  = 3 * time.Second
	PolicyMaxStale = 6 * time.Second
	DrainDelay     = 2500 * time.Millisecond // over twice Envoy's health check interval
)

// A Cluster is everything that runs.
type Cluster struct {
	A, B     *Replica
	Gate     string // URL of Envoy
	Admin    string // URL of its admin interface
	Postgres *testenv.Server
	Redis    *testenv.Redis

	// DB and Sessions are on the same servers as the replicas, past every Cable: a third
	// writer, whose changes reach the replicas by the feed alone.
	DB       *store.DB
	Sessions *session.Manager

	t         testing.TB
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
	envoy, err := e2e.Tool(t.Context(), root, "envoy")
	if errors.Is(err, e2e.ErrNone) {
		if os.Getenv("CI") == "true" {
			t.Fatalf("NOT RUN, and CI=true: %v", err)
		}
		t.Skipf("NOT RUN: %v", err)
	}
	must(t, err)
	c := &Cluster{t: t, Redis: testenv.StartRedis(t, testenv.RedisConfig{}), Postgres: testenv.StartPostgres(t, testenv.PostgresConfig{})}
	upstream := httptest.NewServer(e2e.Echo())
	t.Cleanup(upstream.Close)

	key := bytes.Repeat([]byte{42}, 32)
	database := c.Postgres.URL("postgres")
	trusted := []string{"127.0.0.0/8", "::1/128"}
	own, err := e2e.OwnAddresses()
	must(t, err)
	for _, a := range own {
		if !a.IsLoopback() {
			trusted = append(trusted, a.WithZone("").String())
		}
	}
	env := []string{
		"BARONG_SECRET_KEY=" + base64.StdEncoding.EncodeToString(key),
		"BARONG_TRUSTED_PROXIES=" + strings.Join(trusted, ","),
		"BARONG_CACHE_MAX_STALE=" + CacheMaxStale.String(),
		"BARONG_POLICY_MAX_STALE=" + PolicyMaxStale.String(),
		"BARONG_DRAIN_DELAY=" + DrainDelay.String(),
		"BARONG_RATE_LIMITS=false", // a load and a series of changes come from one client
		"BARONG_MAXMINDDB_PATH=" + writeWorld(t),
	}
	for _, r := range []**Replica{&c.A, &c.B} {
		*r, err = newReplica(t, barong, database, fmt.Sprintf("127.0.0.1:%d", c.Postgres.Port()), c.Redis.Addr, env)
		must(t, err)
	}
	c.A.Name, c.B.Name = "A", "B"
	// At the same moment on an empty database: one of them migrates and seeds.
	errs := make([]error, 2)
	var both sync.WaitGroup
	for i, r := range c.Replicas() {
		both.Go(func() { errs[i] = r.Start(t.Context()) })
	}
	both.Wait()
	must(t, errors.Join(errs...))

	sealer, err := secret.NewSealer(key)
	must(t, err)
	c.DB, err = store.Open(t.Context(), database, sealer, store.WithPostgres(store.Postgres{MaxConns: 4, MinConns: 1}))
	must(t, err)
	t.Cleanup(func() { c.DB.Close() })
	redis.LogTo(slog.New(slog.DiscardHandler))
	redisStore, err := redis.Open(t.Context(), redis.Config{URL: "redis://" + c.Redis.Addr, Prefix: "barong:"})
	must(t, err)
	t.Cleanup(func() { redisStore.Close() })
	c.Sessions = session.NewManager(session.Config{}, redisStore, c.DB, nil, nil)
	must(t, c.Sessions.Start(t.Context()))

	places, err := e2e.FreePlaces(c.A.Addresses, strings.TrimPrefix(upstream.URL, "http://"))
	must(t, err)
	places.Edit = c.bothReplicas
	gate, err := e2e.StartEnvoy(t.Context(), envoy, root+"/envoy.yaml", t.TempDir(), places)
	must(t, err)
	t.Cleanup(func() { gate.Stop() })
	c.Gate, c.Admin = gate.URL(), "http://"+places.Admin
	return c
}

// Replicas are both.
func (c *Cluster) Replicas() []*Replica { return []*Replica{c.A, c.B} }

// RestartRedis starts Redis again after Kill, empty or as it was at Save; it then ends with
// the cluster.
func (c *Cluster) RestartRedis() { c.Redis.Restart(c.t) }

// bothReplicas adapts envoy.yaml: what leads to one Barong leads to two, the REST API with a
// health check, too, as somebody does who runs two.
func (c *Cluster) bothReplicas(_ string, file []byte) []byte {
	text := string(file)
	endpoint := func(addr, more string) string {
		return "        - endpoint:\n            address:\n              socket_address: { address: 127.0.0.1, port_value: " +
			port(addr) + " }\n" + more
	}
	check := func(r *Replica) string {
		return "            health_check_config: { port_value: " + port(r.Ops) + " }\n"
	}
	text = strings.Replace(text, endpoint(c.A.GRPC, ""), endpoint(c.A.GRPC, "")+endpoint(c.B.GRPC, ""), 1)
	text = strings.Replace(text, endpoint(c.A.HTTP, ""), endpoint(c.A.HTTP, check(c.A))+endpoint(c.B.HTTP, check(c.B)), 1)
	const cluster = "  - name: barong\n    type: STATIC\n"
	return []byte(strings.Replace(text, cluster, cluster+
		"    health_checks:\n    - timeout: 1s\n      interval: 1s\n      no_traffic_interval: 1s\n"+
		"      unhealthy_threshold: 1\n      healthy_threshold: 1\n      http_health_check: { path: /readyz }\n", 1))
}

func port(addr string) string { return addr[strings.LastIndexByte(addr, ':')+1:] }

// A Replica is one `barong serve` with a Cable to each server.
type Replica struct {
	Name string
	e2e.Addresses
	Database, Redis *Cable

	bin, dir string
	env      []string
	running  *e2e.Barong
}

func newReplica(t testing.TB, bin, database, postgres, redis string, env []string) (*Replica, error) {
	r := &Replica{bin: bin, dir: t.TempDir()}
	var err error
	if r.Addresses, err = e2e.FreeAddresses(); err != nil {
		return nil, err
	}
	if r.Database, err = NewCable(postgres); err != nil {
		return nil, err
	}
	t.Cleanup(r.Database.Close)
	if r.Redis, err = NewCable(redis); err != nil {
		return nil, err
	}
	t.Cleanup(r.Redis.Close)
	t.Cleanup(func() {
		if r.running != nil {
			_ = r.Kill() // it may have ended; in order would take the drain delay
		}
		if t.Failed() && r.running != nil {
			t.Logf("replica %s said:\n%s", r.Name, said(r.running.Output()))
		}
	})
	r.env = append([]string{
		"BARONG_DATABASE_URL=" + strings.Replace(database, postgres, r.Database.Addr(), 1),
		"BARONG_REDIS_URL=redis://" + r.Redis.Addr(),
	}, env...)
	return r, nil
}

// said is what a replica complained of last.
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

// Ready tells whether /readyz answers 200.
func (r *Replica) Ready() bool {
	client := &http.Client{Timeout: time.Second}
	resp, err := client.Get("http://" + r.Ops + "/readyz")
	if err != nil {
		return false
	}
	resp.Body.Close()
	return resp.StatusCode == http.StatusOK
}

// Health is what Envoy thinks of the replicas, for messages.
func (c *Cluster) Health() string {
	resp, err := client.Get(c.Admin + "/clusters")
	if err != nil {
		return err.Error()
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return err.Error()
	}
	var kept []string
	for line := range strings.Lines(string(text)) {
		if strings.HasPrefix(line, "barong_authz::127") && (strings.Contains(line, "health_flags") || strings.Contains(line, "rq_")) {
			kept = append(kept, line)
		}
	}
	return strings.Join(kept, "")
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
