package redis_test

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"net"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"barong/internal/config"
	"barong/internal/configured"
	"barong/internal/expect"
	"barong/internal/limit"
	"barong/internal/limit/limittest"
	"barong/internal/session"
	"barong/internal/session/sessiontest"
	"barong/internal/store"
	"barong/internal/store/redis"
	"barong/internal/store/storetest"
	"barong/internal/testenv"
)

var _ store.NonceStore = (*redis.Store)(nil)

func TestMain(m *testing.M) {
	redis.LogTo(slog.New(slog.DiscardHandler))
	os.Exit(m.Run())
}

// patient is the timeout of suites: they prove answers, on machines busy with other tests.
const patient = 5 * time.Second

var prefixes atomic.Int64

// open returns an empty store: the server is shared, the keys are not.
func open(t testing.TB, cfg redis.Config) *redis.Store {
	t.Helper()
	if cfg.Prefix == config.Default().Redis.Prefix { // each store has keys of its own
		cfg.Prefix = fmt.Sprintf("barong:%d:", prefixes.Add(1))
	}
	s, err := redis.Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// suites runs everything that a table of the database passes too.
func suites(t *testing.T, cfg redis.Config) {
	t.Helper()
	cfg.DialTimeout, cfg.Timeout = patient, patient
	if err := open(t, cfg).Ping(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Run("sessions", func(t *testing.T) {
		sessiontest.TestStore(t, func(t testing.TB) session.Store { return open(t, cfg) })
	})
	t.Run("nonces", func(t *testing.T) {
		storetest.TestNonces(t, func(t testing.TB) store.NonceStore { return open(t, cfg) })
	})
	t.Run("limits", func(t *testing.T) {
		limittest.TestStore(t, func(t testing.TB) limit.Store { return open(t, cfg) })
	})
}

// shipped is the configuration of the default settings for the servers of a URL.
func shipped(url string) redis.Config {
	s := config.Default()
	s.Redis.URL = config.Secret(url)
	return configured.Redis(s)
}

// complete is c with the default settings in the place of what it lacks.
func complete(c redis.Config) redis.Config {
	d := shipped(c.URL)
	c.DialTimeout, c.Timeout = cmp.Or(c.DialTimeout, d.DialTimeout), cmp.Or(c.Timeout, d.Timeout)
	c.PoolSize, c.Prefix, c.SessionLife = cmp.Or(c.PoolSize, d.PoolSize), cmp.Or(c.Prefix, d.Prefix), d.SessionLife
	return c
}

// manager keeps sessions in a store.
func manager(t testing.TB, c session.Config, s session.Store, clock func() time.Time) *session.Manager {
	t.Helper()
	return expect.Must(session.NewManager(c, s, ledger{}, clock, nil))(t)
}

// start starts a plain server and says how to open it.
func start(t testing.TB) (*testenv.Redis, redis.Config) {
	t.Helper()
	server := testenv.StartRedis(t, testenv.RedisConfig{})
	return server, shipped("redis://" + server.Addr + "/0")
}

func TestOneServer(t *testing.T) {
	_, cfg := start(t)
	suites(t, cfg)
}

// documented are the rights that the package comment says are enough.
const documented = "resetkeys ~barong:* -@all +get +set +del +evalsha +eval +getrange +setrange " +
	"+pexpire +zadd +zrange +zrem +zremrangebyscore +zremrangebyrank +ping +hello"

func TestTLSAndRestrictedUser(t *testing.T) {
	certificates := testenv.NewCertificates(t, "redis.test")
	server := testenv.StartRedis(t, testenv.RedisConfig{
		Username: "gate", Password: "s3cr3t/pass", Rules: documented, TLS: certificates,
	})
	cfg := shipped("rediss://gate:s3cr3t%2Fpass@" + server.Addr)
	cfg.CA, cfg.Cert, cfg.Key, cfg.DialTimeout = certificates.CA, certificates.Cert, certificates.Key, patient
	suites(t, cfg)
	t.Run("a server name that the certificate has is believed", func(t *testing.T) {
		cfg := cfg
		cfg.ServerName = "redis.test"
		if err := open(t, cfg).Ping(t.Context()); err != nil {
			t.Error(err)
		}
	})
	for name, spoil := range map[string]func(*redis.Config){
		"another server name":    func(c *redis.Config) { c.ServerName = "other.test" },
		"another CA":             func(c *redis.Config) { c.CA = testenv.NewCertificates(t, "redis.test").CA },
		"no certificate of ours": func(c *redis.Config) { c.Cert, c.Key = "", "" },
		"no TLS": func(c *redis.Config) {
			*c = shipped(strings.Replace(c.URL, "rediss", "redis", 1))
		},
	} {
		t.Run(name+" is no connection", func(t *testing.T) {
			cfg := cfg
			spoil(&cfg)
			if err := open(t, cfg).Ping(t.Context()); err == nil {
				t.Error("connected")
			} else if strings.Contains(err.Error(), "s3cr3t") {
				t.Errorf("the error tells the password: %v", err)
			}
		})
	}
}

func TestSentinel(t *testing.T) {
	set := testenv.StartRedisSentinel(t)
	cfg := shipped("redis:")
	cfg.Sentinels, cfg.Master = []string{set.Addr}, set.Name
	suites(t, cfg)

	t.Run("after a failover it serves again, in between nothing is not found", func(t *testing.T) {
		s := open(t, cfg)
		x := put(t, s)
		replicated(t, set.Replica, 1)
		set.Master.Kill()
		begun, outages := time.Now(), 0
		for {
			_, err := s.Session(t.Context(), x.ID, time.Now())
			if err == nil {
				break
			}
			if !redis.Unavailable(err) {
				t.Fatalf("during the failover: %v, want it unavailable", err)
			}
			if outages++; time.Since(begun) > 30*time.Second {
				t.Fatalf("no failover: %v", err)
			}
			time.Sleep(10 * time.Millisecond)
		}
		t.Logf("served again after %v, %d calls failed", time.Since(begun).Round(time.Millisecond), outages)
		for {
			err := s.AddSession(t.Context(), newSession("after"))
			if err == nil {
				break
			}
			if !redis.Unavailable(err) || time.Since(begun) > 30*time.Second {
				t.Fatalf("adding after the failover: %v", err)
			}
			time.Sleep(10 * time.Millisecond)
		}
	})
}

func TestCluster(t *testing.T) {
	set := testenv.StartRedisCluster(t)
	cfg := shipped("redis:")
	cfg.Cluster = set.Addrs()[:1]
	suites(t, cfg)
	t.Run("the URL's host is a seed too", func(t *testing.T) {
		both := shipped("redis://" + set.Nodes[2].Addr)
		both.Cluster = set.Addrs()[:1]
		suites(t, both)
	})

	t.Run("a node that hangs takes only its own sessions along", func(t *testing.T) {
		s := open(t, cfg)
		var all []session.Session
		for n := range 60 {
			x := newSession(fmt.Sprint("hang", n))
			add(t, s, x)
			all = append(all, x)
		}
		set.Nodes[1].Pause(t)
		defer set.Nodes[1].Resume(t)
		found, outages := 0, 0
		begun := time.Now()
		for _, x := range all {
			_, err := s.Session(t.Context(), x.ID, time.Now())
			switch {
			case err == nil:
				found++
			case redis.Unavailable(err):
				outages++
			default:
				t.Fatalf("got %v, want the session or an outage", err)
			}
		}
		took := time.Since(begun)
		t.Logf("%d found, %d unavailable in %v", found, outages, took)
		if took > 3*time.Second { // three timeouts and no more
			t.Errorf("took %v, want the breaker to end that", took)
		}
		if found == 0 || outages == 0 {
			t.Errorf("%d found and %d unavailable, want some of both", found, outages)
		}
	})
}

// replicated waits until the server holds so many keys at least.
func replicated(t *testing.T, server *testenv.Redis, keys int64) {
	t.Helper()
	c := server.Client()
	defer c.Close()
	for range 1000 {
		if c.DBSize(context.WithoutCancel(t.Context())).Val() >= keys {
			time.Sleep(50 * time.Millisecond) // those of the suites are among them
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
	t.Fatal("the replica does not follow")
}

// silent is an address that takes connections and says nothing.
func silent(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l.Addr().String()
}
