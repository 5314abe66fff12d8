package e2e_test

import (
	"context"
	"database/sql"
	"maps"
	"net"
	"path/filepath"
	"slices"
	"testing"
	"time"

	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"barong/authz"
	"barong/authz/authztest"
	"barong/internal/config"
	"barong/internal/configured"
	"barong/internal/store"
	"barong/internal/store/redis"
	"barong/internal/store/storetest"
	"barong/internal/testenv"
	"barong/internal/token"
)

// How many steps of the corpus must have been asked on each backend, over gRPC and through
// Envoy. The rest puts down parts that share a store, or never reaches Barong.
const leastOnStores, leastOnStoresThroughEnvoy = 331, 325

// backends are the sets of stores that barong serve can have.
var backends = map[string]func(*testing.T) *backend{
	"sqlite": openSQLite, "postgres": openPostgres, "postgres and redis": openPostgresAndRedis,
}

// TestCorpusOnStores replays the decision corpus on real stores: every case's accounts,
// sessions, keys and policy are rows, the parts between are those of barong serve, and the
// question comes over gRPC. Activities are compared as they are in the database.
func TestCorpusOnStores(t *testing.T) {
	onBackends(t, "", leastOnStores, func(t *testing.T, b *backend, f *authztest.File, c authztest.Case, n *tally) {
		var client authv3.AuthorizationClient
		w := newStoredWorld(t, b, f, func(t *testing.T, s *authz.Server) { client = overGRPC(t, s) })
		steps := c.All()
		for i, step := range steps {
			if why := w.cannot(step); why != "" {
				n.left[why] += len(steps) - i // the later ones build on this one
				return
			}
			must(t, w.begin(t, step))
			q, err := f.Question(step.Request, w.Now())
			must(t, err)
			m, err := client.Check(t.Context(), authztest.CheckRequest(q))
			if err != nil {
				t.Fatalf("step %d: Check failed, which is never the answer: %v", i+1, err)
			}
			n.asked++
			for _, problem := range step.Expect.Problems(w, q, authztest.OfResponse(q, m)) {
				t.Errorf("step %d (%s %s): %s", i+1, q.Method, q.Target, problem)
			}
		}
	})
}

// TestCorpusOnStoresThroughEnvoy is TestCorpusOnStores with one Envoy before it all, as it is
// in TestCorpus: a client's request goes in, and an echo shows the request that came out.
func TestCorpusOnStoresThroughEnvoy(t *testing.T) {
	r := openReplay(t, "envoy")
	onBackends(t, " through envoy", leastOnStoresThroughEnvoy,
		func(t *testing.T, b *backend, f *authztest.File, c authztest.Case, n *tally) {
			r.replay(t, f, newStoredWorld(t, b, f, r.door.opens), c, n)
		})
}

// onBackends gives every case of the corpus to replay, on one backend after the other.
func onBackends(
	t *testing.T, way string, least int,
	replay func(*testing.T, *backend, *authztest.File, authztest.Case, *tally),
) {
	files := corpus(t)
	for _, name := range slices.Sorted(maps.Keys(backends)) {
		t.Run(name, func(t *testing.T) {
			t.Cleanup(func() {
				if t.Skipped() {
					report("corpus on " + name + way + ": NOT RUN")
				}
			})
			b, n := backends[name](t), newTally()
			for _, f := range files {
				t.Run(f.Name, func(t *testing.T) {
					for _, c := range f.Cases {
						t.Run(c.Name, func(t *testing.T) { replay(t, b, f, c, n) })
					}
				})
			}
			n.check(t, "corpus on "+name+way, files, least)
		})
	}
}

// overGRPC serves s on a port of its own, with the codec that barong serve has by default.
func overGRPC(t *testing.T, s *authz.Server) authv3.AuthorizationClient {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	g := authz.NewGRPC(s, authz.GRPCConfig{Workers: 1})
	g.SetReady(true)
	done := make(chan error, 1)
	go func() { done <- g.Serve(listener) }()
	conn, err := grpc.NewClient(listener.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	must(t, err)
	t.Cleanup(func() {
		conn.Close()
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		if err := g.Shutdown(ctx, 0); err != nil {
			t.Errorf("shutdown: %v", err)
		}
		if err := <-done; err != nil {
			t.Errorf("serve: %v", err)
		}
	})
	return authv3.NewAuthorizationClient(conn)
}

// openSQLite opens a backend in one file.
func openSQLite(t *testing.T) *backend {
	path := filepath.Join(t.TempDir(), "barong.db")
	b := newBackend(t, func(o store.Option) *store.DB { return storetest.OpenPath(t, path, o) })
	b.openRaw(t, "sqlite", "file:"+path+"?_pragma=busy_timeout(5000)")
	return b
}

// openPostgres opens a backend in one PostgreSQL database.
func openPostgres(t *testing.T) *backend {
	url := storetest.PostgresURL(t)
	b := newBackend(t, func(o store.Option) *store.DB { return storetest.OpenURL(t, url, o) })
	b.openRaw(t, "pgx", url)
	return b
}

// openPostgresAndRedis opens one with sessions and nonces in Redis.
func openPostgresAndRedis(t *testing.T) *backend {
	b := openPostgres(t)
	server := testenv.StartRedis(t, testenv.RedisConfig{})
	s := config.Default()
	s.Redis.URL, s.Redis.Timeout = config.Secret("redis://"+server.Addr), 5*time.Second
	c := configured.Redis(s)
	c.Now = b.clock.now
	r, err := redis.Open(t.Context(), c)
	must(t, err)
	client := server.Client()
	t.Cleanup(func() {
		client.Close()
		r.Close()
	})
	b.sessions, b.nonces = r, r
	b.clear = func(ctx context.Context) error { return client.FlushAll(ctx).Err() }
	return b
}

func newBackend(t *testing.T, open func(store.Option) *store.DB) *backend {
	t.Helper()
	b := &backend{clock: new(clock), clear: func(context.Context) error { return nil }}
	b.clock.set(time.Now())
	b.db = open(store.WithClock(b.clock.now))
	b.sessions, b.nonces = b.db, b.db
	c := configured.Keys(config.Default())
	c.Algorithm, c.Lifetime = token.EdDSA, 24*time.Hour
	var err error
	b.keys, err = token.OpenKeys(t.Context(), b.db, c, b.clock.now)
	must(t, err)
	return b
}

func (b *backend) openRaw(t *testing.T, driver, name string) {
	t.Helper()
	var err error
	b.raw, err = sql.Open(driver, name)
	must(t, err)
	b.raw.SetMaxOpenConns(1)
	t.Cleanup(func() { b.raw.Close() })
}
