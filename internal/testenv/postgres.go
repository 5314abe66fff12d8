package testenv

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// postgresVar names a server to use instead of one of our own: the URL of any database of
// it, as a role that may create databases.
const postgresVar = "BARONG_TEST_POSTGRES_URL"

// Options of every server: nothing has to survive, and many tests connect at once.
var postgresOptions = []string{
	"fsync=off", "synchronous_commit=off", "full_page_writes=off", "autovacuum=off",
	"wal_level=minimal", "max_wal_senders=0", "shared_buffers=64MB", "max_connections=300",
	"jit=off", "log_min_messages=warning", "deadlock_timeout=100ms",
}

// A Server is a PostgreSQL server of ours on a loopback port.
type Server struct {
	dir, bin string
	port     int
	password string
	options  []string
	copies   bool // knows that copying files is a way to make a database: version 15
	owner    account
	guard    *exec.Cmd
	stdin    *os.File // closing it ends the server
	paused   []int    // its processes, while Pause is in force
}

// shared is the one server of this process and the databases made in it.
type shared struct {
	url       string
	server    *Server // ours, if it is: the garbage collector would close its standard input
	err       error
	mu        sync.Mutex
	templates map[string]string // by key
	made      int
}

// process starts or finds the server of this process, once.
var process = sync.OnceValue(func() *shared {
	s := &shared{templates: map[string]string{}}
	if s.url = os.Getenv(postgresVar); s.url == "" {
		if s.server, s.err = startPostgres(PostgresConfig{}); s.err == nil {
			s.url = s.server.URL("postgres")
		}
		return s
	}
	s.err = dropForgotten(context.Background(), s.url)
	return s
})

// PostgresConfig shapes one server; its zero value is a plain one.
type PostgresConfig struct {
	// Options are further settings, such as "fsync=on"; they win over our own.
	Options []string
	// TLS makes it take encrypted connections too.
	TLS *Certificates
}

// StartPostgres starts a server for one test. It stops when the test ends.
func StartPostgres(t testing.TB, cfg PostgresConfig) *Server {
	t.Helper()
	s, err := startPostgres(cfg)
	if err != nil {
		missing(t, err)
	}
	t.Cleanup(s.end)
	return s
}

// Database returns the URL of a new database that is a copy of a template, which prepare
// fills once for each key. It is dropped when the test ends; close its users before.
func Database(t testing.TB, key string, prepare func(url string) error) string {
	t.Helper()
	s := process()
	if s.err != nil {
		missing(t, s.err)
	}
	template, name, err := s.names(key, prepare)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.create(name, template); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := exec1(s.url, `DROP DATABASE `+name+` WITH (FORCE)`); err != nil {
			t.Error(err)
		}
	})
	return named(s.url, name)
}

// EmptyDatabase is Database without anything in it.
func EmptyDatabase(t testing.TB) string {
	t.Helper()
	return Database(t, "", func(string) error { return nil })
}

// ErrMissing says that the machine lacks a server.
var ErrMissing = errors.New("not installed")

// missing skips the test when the server is not installed, and fails it otherwise.
func missing(t testing.TB, err error) {
	t.Helper()
	if !errors.Is(err, ErrMissing) || os.Getenv("CI") == "true" {
		t.Fatalf("postgres: %v (scripts/services installs it)", err)
	}
	t.Skipf("postgres: %v; scripts/services installs it, or name a server in %s", err, postgresVar)
}

// names returns the template of key, made at its first use, and a name that is free.
func (s *shared) names(key string, prepare func(string) error) (template, name string, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	prefix := databasePrefix + strconv.FormatInt(time.Now().Unix(), 10) + "_" + word()
	template, ok := s.templates[key]
	if !ok {
		template = prefix + "_template"
		if err := s.create(template, "template0"); err != nil {
			return "", "", err
		}
		if err := prepare(named(s.url, template)); err != nil {
			return "", "", fmt.Errorf("prepare template database: %w", err)
		}
		s.templates[key] = template
	}
	s.made++
	return template, fmt.Sprintf("%s_%d", prefix, s.made), nil
}

func (s *shared) create(name, template string) error {
	text := `CREATE DATABASE ` + name + ` TEMPLATE ` + template + ` ENCODING 'UTF8'`
	if s.server != nil && s.server.copies {
		text += ` STRATEGY file_copy`
	}
	return exec1(s.url, text)
}

const databasePrefix = "barong_test_"

// dropForgotten removes the databases that runs of more than an hour ago left on a server that is
// not ours.
func dropForgotten(ctx context.Context, url string) error {
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	rows, err := conn.Query(ctx, `SELECT datname FROM pg_database WHERE datname LIKE 'barong\_test\_%'`)
	if err != nil {
		return err
	}
	names, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return err
	}
	for _, name := range names {
		born, _, _ := strings.Cut(strings.TrimPrefix(name, databasePrefix), "_")
		at, err := strconv.ParseInt(born, 10, 64)
		if err != nil || time.Since(time.Unix(at, 0)) < time.Hour {
			continue
		}
		if _, err := conn.Exec(ctx, `DROP DATABASE IF EXISTS `+name); err != nil {
			return err
		}
	}
	return nil
}

// exec1 runs one statement on a connection of its own.
func exec1(url, text string) error {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	_, err = conn.Exec(ctx, text)
	return err
}

// named is url with another database.
func named(url, database string) string {
	address, query, _ := strings.Cut(url, "?")
	slash := strings.LastIndex(address, "/")
	if slash > strings.Index(address, "://")+2 {
		address = address[:slash]
	}
	if query != "" {
		query = "?" + query
	}
	return address + "/" + database + query
}

func word() string {
	var b [4]byte
	rand.Read(b[:]) // never fails
	return hex.EncodeToString(b[:])
}

// postgresBin is the newest installation's folder of programs.
func postgresBin() (string, error) {
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	if err != nil {
		return "", err
	}
	if len(found) > 0 {
		slices.SortFunc(found, func(a, b string) int { return len(a) - len(b) + strings.Compare(a, b) })
		return filepath.Dir(found[len(found)-1]), nil
	}
	if path, err := exec.LookPath("initdb"); err == nil {
		return filepath.Dir(path), nil
	}
	return "", ErrMissing
}

// startPostgres makes a cluster in a temporary directory and starts it.
func startPostgres(cfg PostgresConfig) (*Server, error) {
	bin, err := postgresBin()
	if err != nil {
		return nil, err
	}
	owner, err := unprivileged()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp(memoryDir(), "barong-postgres-")
	if err != nil {
		return nil, err
	}
	major, _ := strconv.Atoi(filepath.Base(filepath.Dir(bin))) // 0 elsewhere than on Debian
	s := &Server{dir: dir, bin: bin, copies: major >= 15, owner: owner, password: word() + word(), options: slices.Concat(postgresOptions, cfg.Options)}
	if err := s.initialize(cfg.TLS); err != nil {
		os.RemoveAll(dir)
		return nil, err
	}
	// Another process may take the port between our look and the server's start.
	for try := 1; ; try++ {
		if s.port, err = FreePort(); err == nil {
			err = s.Start()
		}
		if err == nil {
			return s, nil
		}
		if try == 3 {
			os.RemoveAll(dir)
			return nil, err
		}
	}
}

func (s *Server) initialize(tls *Certificates) error {
	passwordFile := filepath.Join(s.dir, "password")
	if err := os.WriteFile(passwordFile, []byte(s.password), 0o600); err != nil {
		return err
	}
	for _, path := range []string{s.dir, passwordFile} {
		if err := s.owner.own(path); err != nil {
			return err
		}
	}
	cmd := exec.Command(filepath.Join(s.bin, "initdb"), "--pgdata", s.data(), "--username", "barong",
		"--pwfile", passwordFile, "--auth", "password", // SCRAM is slow under the race detector
		"--encoding", "UTF8", "--locale", "C.UTF-8", "--no-sync")
	cmd.Dir, cmd.SysProcAttr = s.dir, s.owner.attributes()
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("initdb: %w\n%s", err, out)
	}
	if tls == nil {
		return nil
	}
	for option, from := range map[string]string{"ssl_cert_file": tls.Cert, "ssl_key_file": tls.Key} {
		pem, err := os.ReadFile(from)
		if err != nil {
			return err
		}
		to := filepath.Join(s.dir, option)
		if err := errors.Join(os.WriteFile(to, pem, 0o600), s.owner.own(to)); err != nil {
			return err
		}
		s.options = append(s.options, option+"="+to)
	}
	s.options = append(s.options, "ssl=on")
	return nil
}

func (s *Server) data() string { return filepath.Join(s.dir, "data") }

// URL names a database of the server, as its superuser.
func (s *Server) URL(database string) string {
	return fmt.Sprintf("postgres://barong:%s@127.0.0.1:%d/%s?sslmode=disable", s.password, s.port, database)
}

// Port is the server's port on 127.0.0.1, the same after a restart.
func (s *Server) Port() int { return s.port }

// Password is that of the role barong.
func (s *Server) Password() string { return s.password }

// The guard stops the server when its standard input ends, which is at the latest when the
// process that holds the other end does, however it dies. On the line "stop" it leaves the data.
const guard = `
"$@" >>"$dir/log" 2>&1 &
pid=$!
trap '' INT TERM HUP
told=
read -r told
kill -INT $pid 2>/dev/null
[ ! -f "$dir/paused" ] || kill -CONT $(cat "$dir/paused") 2>/dev/null
wait $pid
[ "$told" = stop ] || rm -rf "$dir"
`

// Start starts the server again after Stop and waits until it takes connections.
func (s *Server) Start() error {
	in, stdin, err := os.Pipe()
	if err != nil {
		return err
	}
	defer in.Close()
	args := []string{"-c", guard, "guard", filepath.Join(s.bin, "postgres"), "-D", s.data(),
		"-c", "listen_addresses=127.0.0.1", "-c", "port=" + strconv.Itoa(s.port), "-c", "unix_socket_directories="}
	for _, o := range s.options {
		args = append(args, "-c", o)
	}
	cmd := exec.Command("/bin/sh", args...)
	cmd.Dir, cmd.SysProcAttr, cmd.Stdin = s.dir, s.owner.attributes(), in
	cmd.Env = append(os.Environ(), "dir="+s.dir)
	if err := cmd.Start(); err != nil {
		stdin.Close()
		return err
	}
	s.guard, s.stdin = cmd, stdin
	if err := s.await(15 * time.Second); err != nil {
		log, _ := os.ReadFile(filepath.Join(s.dir, "log"))
		return errors.Join(fmt.Errorf("postgres does not come up: %w\n%s", err, log), s.Stop())
	}
	return nil
}

// await returns when the server answers a query.
func (s *Server) await(patience time.Duration) error {
	deadline := time.Now().Add(patience)
	for {
		err := exec1(s.URL("postgres"), `SELECT 1`)
		if err == nil || time.Now().After(deadline) {
			return err
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// Pause stops all of its processes where they stand, connections open: new ones are taken by
// the kernel, and nothing is answered any more. The server must be up.
func (s *Server) Pause(t testing.TB) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	conn, err := pgx.Connect(ctx, s.URL("postgres"))
	must(t, err)
	defer conn.Close(ctx)
	text, err := os.ReadFile(filepath.Join(s.data(), "postmaster.pid"))
	must(t, err)
	first, _, _ := strings.Cut(string(text), "\n")
	postmaster, err := strconv.Atoi(first)
	must(t, err)
	// The parent first: from then on there are no others but those that it lists.
	must(t, syscall.Kill(postmaster, syscall.SIGSTOP))
	s.paused = []int{postmaster}
	rows, err := conn.Query(ctx, `SELECT pid FROM pg_stat_activity WHERE pid <> pg_backend_pid()`)
	must(t, err)
	children, err := pgx.CollectRows(rows, pgx.RowTo[int])
	must(t, err)
	s.paused = append(s.paused, children...)
	list := strings.Trim(fmt.Sprint(s.paused), "[]")
	must(t, os.WriteFile(filepath.Join(s.dir, "paused"), []byte(list), 0o644)) // for the guard, which is another user
	for _, pid := range children {
		if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil && !errors.Is(err, syscall.ESRCH) {
			t.Fatal(err)
		}
	}
}

// Resume undoes Pause.
func (s *Server) Resume() {
	for _, pid := range s.paused {
		_ = syscall.Kill(pid, syscall.SIGCONT) // a connection may have ended
	}
	s.paused = nil
	os.Remove(filepath.Join(s.dir, "paused"))
}

// SetReadOnly makes the server take no writes in transactions that begin from now on, as a
// primary that was demoted does, or take them again.
func (s *Server) SetReadOnly(on bool) error {
	// The setting is that of this transaction, too.
	err := exec1(s.URL("postgres")+"&default_transaction_read_only=off",
		`ALTER SYSTEM SET default_transaction_read_only = `+strconv.FormatBool(on))
	if err != nil {
		return err
	}
	return exec1(s.URL("postgres"), `SELECT pg_reload_conf()`)
}

// Stop ends the server at once, breaking its connections, and keeps the data.
func (s *Server) Stop() error {
	if s.guard == nil {
		return nil
	}
	s.Resume()
	fmt.Fprintln(s.stdin, "stop")
	s.stdin.Close()
	err := s.guard.Wait()
	s.guard = nil
	return err
}

// end stops the server and removes its data.
func (s *Server) end() {
	_ = s.Stop()
	os.RemoveAll(s.dir)
}
