package testenv

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"
)

// RedisConfig shapes one throwaway Redis; its zero value is a plain one.
type RedisConfig struct {
	// Username and Password are of the only user that may log in; "" leaves the default
	// user open to everybody.
	Username, Password string
	// Rules are that user's ACL rules, such as "~barong:* +get"; "" allows everything.
	Rules string
	// TLS makes it speak nothing else, to clients with a certificate of the same CA.
	TLS *Certificates
	// Args are further settings of redis-server, such as "--appendonly", "yes".
	Args []string
}

// A Redis is a redis-server of a test, on a loopback port, keeping nothing on disk. It is
// killed when the test ends.
type Redis struct {
	Addr string

	process *os.Process
	dir     string
	args    []string
	log     string
	done    chan struct{} // closed when it has ended
	client  *goredis.Options
}

// StartRedis starts one and waits until it answers. With no redis-server to be had the test
// is skipped, or fails when CI=true.
func StartRedis(t testing.TB, cfg RedisConfig) *Redis {
	t.Helper()
	r := &Redis{}
	args := cfg.Args
	if cfg.Username != "" || cfg.Password != "" {
		user := cfg.Username
		if user == "" {
			user = "default"
		}
		rules := cfg.Rules
		if rules == "" {
			rules = "~* &* +@all"
		}
		acl := "user " + user + " on >" + cfg.Password + " " + rules + "\n"
		if user != "default" {
			acl += "user default off\n"
		}
		path := filepath.Join(t.TempDir(), "users.acl")
		must(t, os.WriteFile(path, []byte(acl), 0o600))
		args = append(args, "--aclfile", path)
	}
	port := freePort(t)
	r.Addr = net.JoinHostPort("127.0.0.1", port)
	r.client = &goredis.Options{Addr: r.Addr, Username: cfg.Username, Password: cfg.Password}
	if cfg.TLS != nil {
		args = append(args, "--port", "0", "--tls-port", port, "--tls-auth-clients", "yes",
			"--tls-ca-cert-file", cfg.TLS.CA, "--tls-cert-file", cfg.TLS.Cert, "--tls-key-file", cfg.TLS.Key)
		r.client.TLSConfig = cfg.TLS.client(t)
	} else {
		args = append(args, "--port", port)
	}
	r.start(t, t.TempDir(), append([]string{
		"--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--repl-diskless-sync-delay", "0",
	}, args...)...)
	until(t, "redis at "+r.Addr+" answers", r.output, func(ctx context.Context) bool {
		if cfg.Rules != "" {
			return accepts(ctx, r.Addr) // that user may not be allowed to PING
		}
		c := r.Client()
		defer c.Close()
		return c.Ping(ctx).Err() == nil
	})
	return r
}

// start runs redis-server with args in dir until the test ends.
func (r *Redis) start(t testing.TB, dir string, args ...string) {
	t.Helper()
	bin := redisServer(t)
	r.dir, r.args, r.log = dir, args, filepath.Join(dir, "log")
	out, err := os.Create(r.log)
	must(t, err)
	defer out.Close()
	cmd := exec.Command(bin, args...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = dir, out, out
	r.done = make(chan struct{})
	must(t, startTied(cmd, r.done))
	r.process = cmd.Process
	t.Cleanup(r.Kill)
}

// Client connects with the rights of the configured user. It tries everything once, so that a test
// sees the server's own answers.
func (r *Redis) Client() *goredis.Client {
	o := *r.client
	o.MaxRetries, o.DialerRetries = -1, 1
	o.DialTimeout, o.ReadTimeout, o.ContextTimeoutEnabled = time.Second, time.Second, true
	return goredis.NewClient(&o)
}

// Pause stops it where it stands, connections open: nothing is answered any more.
func (r *Redis) Pause(t testing.TB) {
	t.Helper()
	must(t, r.process.Signal(syscall.SIGSTOP))
}

// Resume undoes Pause.
func (r *Redis) Resume(t testing.TB) {
	t.Helper()
	must(t, r.process.Signal(syscall.SIGCONT))
}

// Kill ends it at once and waits until it is gone; twice is fine.
func (r *Redis) Kill() {
	_ = r.process.Kill() // an error says that it has ended
	<-r.done
}

// Save makes the next Restart bring back the keys of now, as one from an old backup does.
func (r *Redis) Save(t testing.TB) {
	t.Helper()
	c := r.Client()
	defer c.Close()
	must(t, c.Save(t.Context()).Err())
}

// Restart starts it again after Kill, at the same address and empty, or with the keys of a Save
// since it was started, and waits until it takes connections.
func (r *Redis) Restart(t testing.TB) {
	t.Helper()
	r.start(t, r.dir, r.args...)
	until(t, "redis at "+r.Addr+" is back", r.output, func(ctx context.Context) bool {
		return accepts(ctx, r.Addr)
	})
	// It listens before it has read the file, and answers once it has.
	until(t, "redis at "+r.Addr+" has read what was saved", r.output, func(ctx context.Context) bool {
		c := r.Client()
		defer c.Close()
		err := c.Ping(ctx).Err()
		return err == nil || !strings.HasPrefix(err.Error(), "LOADING")
	})
	if err := os.Remove(filepath.Join(r.dir, "dump.rdb")); !errors.Is(err, os.ErrNotExist) {
		must(t, err)
	}
}

func (r *Redis) output() string {
	b, _ := os.ReadFile(r.log)
	return string(b)
}

// redisServer is the path of redis-server: $REDIS_SERVER_BIN, the one on PATH, or one that
// scripts/tool fetches.
func redisServer(t testing.TB) string {
	t.Helper()
	path, err := findRedis()
	if err == nil {
		return path
	}
	if os.Getenv("CI") == "true" {
		t.Fatalf("no redis-server: %v", err)
	}
	t.Skipf("no redis-server: %v", err)
	return ""
}

// findRedis looks once for all tests of a process.
var findRedis = sync.OnceValues(func() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		tool := filepath.Join(dir, "scripts", "tool")
		if _, err := os.Stat(tool); err == nil {
			var errs bytes.Buffer
			cmd := exec.Command(tool, "redis-server")
			cmd.Stderr = &errs
			out, err := cmd.Output()
			if err != nil {
				return "", fmt.Errorf("%w: %s", err, strings.TrimSpace(errs.String()))
			}
			return strings.TrimSpace(string(out)), nil
		}
		up := filepath.Dir(dir)
		if up == dir {
			return "", errors.New("no scripts/tool above the working directory")
		}
		dir = up
	}
})

// freePort is FreePort for commands.
func freePort(t testing.TB) string {
	t.Helper()
	port, err := FreePort()
	must(t, err)
	return strconv.Itoa(port)
}

func accepts(ctx context.Context, addr string) bool {
	c, err := new(net.Dialer).DialContext(ctx, "tcp", addr)
	if err != nil {
		return false
	}
	c.Close()
	return true
}

// until waits for ready, 20 s at most: these servers share a machine with everything else.
func until(t testing.TB, what string, output func() string, ready func(context.Context) bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	for !ready(ctx) {
		select {
		case <-ctx.Done():
			t.Fatalf("never: %s\n%s", what, output())
		case <-time.After(10 * time.Millisecond):
		}
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
