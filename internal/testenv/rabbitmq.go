package testenv

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
)

// RabbitConfig shapes one throwaway RabbitMQ; its zero value is a plain one.
type RabbitConfig struct {
	// TLS makes it speak nothing else, to clients with or without a certificate.
	TLS *Certificates
}

// A Rabbit is a RabbitMQ broker of a test, on loopback ports. Durable queues and persistent
// messages outlive Kill and Restart; everything ends with the test.
type Rabbit struct {
	Addr               string
	Username, Password string

	dir, node  string
	epmd, dist string
	tls        *tls.Config // nil: plain
	broker     *os.Process
	done       chan struct{} // closed when the broker has ended
}

// StartRabbit starts one, with a name server (epmd) of its own, and waits until it takes
// logins: about seven seconds. With no RabbitMQ installed the test is skipped, or fails when
// CI=true.
func StartRabbit(t testing.TB, cfg RabbitConfig) *Rabbit {
	t.Helper()
	if err := rabbitMissing(); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatalf("rabbitmq: %v (scripts/services installs it)", err)
		}
		t.Skipf("rabbitmq: %v; scripts/services installs it", err)
	}
	r := &Rabbit{
		Addr: net.JoinHostPort("127.0.0.1", freePort(t)), Username: "barong", Password: word() + word(),
		dir: t.TempDir(), epmd: freePort(t), dist: freePort(t),
	}
	if cfg.TLS != nil {
		r.tls = cfg.TLS.client(t)
	}
	r.node = "barong" + r.epmd + "@localhost"
	for _, name := range []string{"home", "data", "log"} {
		must(t, os.Mkdir(filepath.Join(r.dir, name), 0o700))
	}
	must(t, os.WriteFile(filepath.Join(r.dir, "plugins"), []byte("[].\n"), 0o600))
	must(t, os.WriteFile(r.config(), []byte(r.settings(cfg.TLS)), 0o600))

	names := exec.Command("epmd", "-port", r.epmd, "-address", "127.0.0.1")
	ended := make(chan struct{})
	must(t, startTied(names, ended))
	t.Cleanup(func() {
		_ = names.Process.Kill() // an error says that it has ended
		<-ended
	})
	until(t, "epmd answers", r.output, func(ctx context.Context) bool {
		return accepts(ctx, net.JoinHostPort("127.0.0.1", r.epmd))
	})
	r.start(t)
	t.Cleanup(r.Kill)
	return r
}

func rabbitMissing() error {
	if _, err := os.Stat(rabbitServer); err != nil {
		return ErrMissing
	}
	if _, err := exec.LookPath("epmd"); err != nil {
		return ErrMissing
	}
	return nil
}

// rabbitServer is where Debian's package has the program itself; the one on PATH only runs as
// the package's own user.
const rabbitServer = "/usr/lib/rabbitmq/bin/rabbitmq-server"

func (r *Rabbit) config() string { return filepath.Join(r.dir, "rabbitmq.conf") }

func (r *Rabbit) settings(c *Certificates) string {
	lines := []string{
		"default_user = " + r.Username, "default_pass = " + r.Password,
		"log.console = true", "log.console.level = warning",
		// The disk and memory of the machine are everybody's: no alarm stops publishers.
		"disk_free_limit.absolute = 1MB", "vm_memory_high_watermark.absolute = 4GB",
	}
	if c == nil {
		lines = append(lines, "listeners.tcp.1 = "+r.Addr)
	} else {
		lines = append(lines, "listeners.tcp = none", "listeners.ssl.1 = "+r.Addr,
			"ssl_options.cacertfile = "+c.CA, "ssl_options.certfile = "+c.Cert, "ssl_options.keyfile = "+c.Key,
			"ssl_options.verify = verify_peer", "ssl_options.fail_if_no_peer_cert = false")
	}
	return strings.Join(lines, "\n") + "\n"
}

func (r *Rabbit) start(t testing.TB) {
	t.Helper()
	out, err := os.OpenFile(filepath.Join(r.dir, "output"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	must(t, err)
	defer out.Close()
	cmd := exec.Command(rabbitServer)
	cmd.Dir, cmd.Stdout, cmd.Stderr = r.dir, out, out
	cmd.Env = []string{
		"PATH=" + os.Getenv("PATH"), "LANG=C.UTF-8", "HOME=" + filepath.Join(r.dir, "home"),
		"ERL_EPMD_PORT=" + r.epmd, "ERL_EPMD_ADDRESS=127.0.0.1",
		"RABBITMQ_NODENAME=" + r.node, "RABBITMQ_DIST_PORT=" + r.dist,
		"RABBITMQ_MNESIA_BASE=" + filepath.Join(r.dir, "data"), "RABBITMQ_LOG_BASE=" + filepath.Join(r.dir, "log"),
		"RABBITMQ_LOGS=-", "RABBITMQ_CONFIG_FILE=" + r.config(), "RABBITMQ_CONF_ENV_FILE=/dev/null",
		"RABBITMQ_ENABLED_PLUGINS_FILE=" + filepath.Join(r.dir, "plugins"),
		"RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS=-kernel inet_dist_use_interface {127,0,0,1} +S 2:2 +sbwt none",
		// The scripts become the broker instead of staying as its parent: one process to end.
		"RUNNING_UNDER_SYSTEMD=true",
	}
	r.done = make(chan struct{})
	must(t, startTied(cmd, r.done))
	r.broker = cmd.Process
	deadline := time.Now().Add(60 * time.Second)
	for {
		c, err := r.Dial()
		if err == nil {
			must(t, c.Close())
			return
		}
		select {
		case <-r.done:
			err = errors.Join(err, errors.New("it has ended"))
		case <-time.After(100 * time.Millisecond):
			if time.Now().Before(deadline) {
				continue
			}
		}
		r.Kill()
		t.Fatalf("rabbitmq does not come up: %v\n%s", err, r.output())
	}
}

// URL is how to log in: amqp, or amqps when it speaks TLS.
func (r *Rabbit) URL() string {
	scheme := "amqp"
	if r.tls != nil {
		scheme = "amqps"
	}
	return fmt.Sprintf("%s://%s:%s@%s/", scheme, r.Username, r.Password, r.Addr)
}

// Port is the broker's, the same after a restart.
func (r *Rabbit) Port() int {
	_, port, _ := net.SplitHostPort(r.Addr)
	n, _ := strconv.Atoi(port)
	return n
}

// Dial logs in. The caller closes.
func (r *Rabbit) Dial() (*amqp.Connection, error) {
	cfg := amqp.Config{Dial: amqp.DefaultDial(5 * time.Second)}
	if r.tls != nil {
		cfg.TLSClientConfig = r.tls.Clone() // the client names the server in it
	}
	return amqp.DialConfig(r.URL(), cfg)
}

// Kill ends the broker at once, connections and all, and waits until it is gone; twice is
// fine.
func (r *Rabbit) Kill() {
	_ = r.broker.Kill() // an error says that it has ended
	<-r.done
}

// Restart starts it again after Kill, at the same address and with its data, and waits until
// it takes logins.
func (r *Rabbit) Restart(t testing.TB) {
	t.Helper()
	r.start(t)
}

func (r *Rabbit) output() string {
	b, _ := os.ReadFile(filepath.Join(r.dir, "output"))
	return string(b)
}
