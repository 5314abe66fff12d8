package testenv

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// primaryOptions make a server one that others can follow. A commit is answered after it was
// handed to the kernel, so that a standby lacks only commits that had not reached it.
var primaryOptions = []string{"wal_level=replica", "max_wal_senders=8", "synchronous_commit=on"}

// StartPrimary is StartPostgres for a server that can have a Standby.
func StartPrimary(t testing.TB, cfg PostgresConfig) *Server {
	t.Helper()
	cfg.Options = slices.Concat(primaryOptions, cfg.Options)
	return StartPostgres(t, cfg)
}

// Standby starts a server on the port (0: a free one) that follows s by asynchronous streaming
// and answers reads. It asks for the commits at via, host:port, which leads to s; "" is s
// itself. Like any server it has the same roles and passwords, and ends with the test.
func (s *Server) Standby(t testing.TB, port int, via string) *Server {
	t.Helper()
	if via == "" {
		via = fmt.Sprintf("127.0.0.1:%d", s.port)
	}
	host, viaPort, err := net.SplitHostPort(via)
	must(t, err)
	if port == 0 {
		port, err = FreePort()
		must(t, err)
	}
	dir, err := os.MkdirTemp(memoryDir(), "barong-postgres-")
	must(t, err)
	b := &Server{dir: dir, bin: s.bin, port: port, password: s.password, copies: s.copies, owner: s.owner}
	t.Cleanup(b.end)
	must(t, b.owner.own(dir))
	cmd := exec.Command(filepath.Join(s.bin, "pg_basebackup"), "--pgdata", b.data(), "--dbname", s.URL("postgres"),
		"--checkpoint", "fast", "--wal-method", "stream", "--no-sync")
	cmd.Dir, cmd.SysProcAttr = dir, b.owner.attributes()
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("pg_basebackup: %v\n%s", err, out)
	}
	signal := filepath.Join(b.data(), "standby.signal")
	must(t, errors.Join(os.WriteFile(signal, nil, 0o600), b.owner.own(signal)))
	b.options = append(slices.Clone(s.options), fmt.Sprintf(
		"primary_conninfo=host=%s port=%s user=barong password=%s sslmode=disable", host, viaPort, s.password))
	must(t, b.Start())
	return b
}

// Promote makes a standby a primary and returns when it takes writes.
func (s *Server) Promote(t testing.TB) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	must(t, s.Exec(ctx, "postgres", `SELECT pg_promote(true, 15)`))
	var follows bool
	must(t, s.queryRow(ctx, `SELECT pg_is_in_recovery()`, &follows))
	if follows {
		t.Fatal("the standby is not promoted")
	}
}

// Follows waits until a standby shows every commit that the primary has now.
func (s *Server) Follows(t testing.TB, primary *Server) {
	t.Helper()
	var at string
	must(t, primary.queryRow(t.Context(), `SELECT pg_current_wal_lsn()::text`, &at))
	s.shows(t, `SELECT coalesce(pg_last_wal_replay_lsn() >= $1::text::pg_lsn, false)`, at)
}

// Replayed waits until a standby that hears no more shows all that it has heard. A primary that was
// killed in the middle of a record leaves a part of one, which no standby replays: it is not waited
// for when nothing was replayed for a second.
func (s *Server) Replayed(t testing.TB) {
	t.Helper()
	const question = `SELECT coalesce(pg_last_wal_replay_lsn(), '0/0')::text || ' ' ||
		coalesce(pg_last_wal_replay_lsn() >= pg_last_wal_receive_lsn(), false)::text`
	var last string
	var since time.Time
	until(t, "replayed", func() string { return s.log() }, func(ctx context.Context) bool {
		var at string
		if s.queryRow(ctx, question, &at) != nil {
			return false
		}
		if at != last {
			last, since = at, time.Now()
		}
		return strings.HasSuffix(at, "true") || time.Since(since) > time.Second
	})
}

// shows waits until a query says true.
func (s *Server) shows(t testing.TB, question string, args ...any) {
	t.Helper()
	until(t, question, func() string { return s.log() }, func(ctx context.Context) bool {
		var yes bool
		return s.queryRow(ctx, question, &yes, args...) == nil && yes
	})
}

// queryRow scans the one value of a query on a connection of its own.
func (s *Server) queryRow(ctx context.Context, text string, to any, args ...any) error {
	conn, err := pgx.Connect(ctx, s.URL("postgres"))
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	return conn.QueryRow(ctx, text, args...).Scan(to)
}

func (s *Server) log() string {
	b, _ := os.ReadFile(filepath.Join(s.dir, "log"))
	return string(b)
}

// Kill ends all processes of the server at once, as when its machine loses power, and removes its
// data: it never comes back. After Pause it is the end of a machine that hung. Twice is fine.
func (s *Server) Kill(t testing.TB) {
	t.Helper()
	if s.guard == nil {
		return
	}
	if s.paused == nil {
		s.Pause(t)
	}
	for _, pid := range s.paused {
		// The parent first; a child may have ended with its connection.
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
			t.Fatal(err)
		}
	}
	s.paused = nil
	s.stdin.Close() // the guard removes the folder
	err := s.guard.Wait()
	s.guard = nil
	if err != nil {
		t.Fatalf("end of a killed server: %v\n%s", err, strings.TrimSpace(s.log()))
	}
}
