package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"

	"barong/internal/apikey"
	"barong/internal/audit"
	"barong/internal/directory"
	"barong/internal/event"
	"barong/internal/feed"
	"barong/internal/limit"
	"barong/internal/session"
	"barong/internal/token"
	"barong/policy"
)

// ErrInUse says that another process, or another DB of this one, has the SQLite file open.
var ErrInUse = errors.New("store: database in use")

// A DB is an open database. It is safe for concurrent use. Its methods are those of the
// interfaces asserted below; called on the DB each is a transaction of its own, called on
// the T of Update it is part of that transaction.
//
// Transactions are as if one ran after the other where it matters: inside Update, reading
// a user, a service account or a part of one keeps everyone else from changing it until the
// end. On SQLite that is so because writers are alone, on PostgreSQL by locks.
//
// Do not call a writing method of the DB inside Update: it waits for the transaction that
// waits for it, until its context ends.
type DB struct {
	queries
	dialect dialect
	w, r    *sql.DB // SQLite: one writing connection, many reading; else the same pool
	sealer  Sealer
	now     func() time.Time
	hint    chan struct{}
	emitted chan struct{}
	lock    *os.File  // SQLite only
	pg      *postgres // PostgreSQL only
	newest  int64     // version of the newest embedded migration

	destinations func(event.Event) []string // nil: nobody wants events
	leases       leases                     // SQLite only
	clocks       *Clock
	refused      atomic.Pointer[error] // why the schema does not admit this program
	log          *slog.Logger

	sessionByID, userByUID, serviceAccountByUID, keyByKid prepared
}

var (
	_ directory.Source = (*DB)(nil)
	_ apikey.Source    = (*DB)(nil)
	_ apikey.UseStore  = (*DB)(nil)
	_ session.Store    = (*DB)(nil)
	_ session.Ledger   = (*DB)(nil)
	_ policy.Store     = (*DB)(nil)
	_ token.KeyStore   = (*DB)(nil)
	_ audit.Store      = (*DB)(nil)
	_ event.Outbox     = (*DB)(nil)
	_ feed.Source      = (*DB)(nil)
	_ limit.Store      = (*DB)(nil)
	_ NonceStore       = (*DB)(nil)
)

// An Option changes how Open opens.
type Option func(*settings)

type settings struct {
	now         func() time.Time
	readers     int
	synchronous string
	postgres    Postgres
	log         *slog.Logger

	destinations func(event.Event) []string
}

// WithClock is this process's clock, from which every time comes that the store itself writes;
// default time.Now. On SQLite it is the database's clock too.
func WithClock(now func() time.Time) Option { return func(s *settings) { s.now = now } }

// WithReaders sets how many SQLite connections may read at once; default 8.
func WithReaders(n int) Option { return func(s *settings) { s.readers = max(n, 1) } }

// WithoutSync leaves writing to disk to the operating system, or to PostgreSQL's later: a
// crash of the process loses nothing, one of the machine may lose commits and damage an
// SQLite file. For tests.
func WithoutSync() Option { return func(s *settings) { s.synchronous = "OFF" } }

// Open opens the database that rawURL names. The schema is not touched; call Migrate.
//
//   - sqlite:PATH makes the file (mode 0600) and its directory (0700) when they are missing.
//     It wraps ErrInUse, naming the file, while anyone else has it open.
//   - postgres://… and postgresql://… take libpq's parameters (sslmode, sslrootcert,
//     several hosts, …) and those of pgxpool. The server must be version 13 or newer, the
//     database UTF8 and writable, no standby.
//
// Unavailable is true of the error when the server could not be reached. No error holds the
// password. The caller closes.
func Open(ctx context.Context, rawURL string, sealer Sealer, options ...Option) (*DB, error) {
	// FULL costs one fsync a commit: without it a killed process still loses nothing, since
	// the log has reached the kernel, but a power cut could bring back a session that was
	// ended or a key that was deleted. Sessions slide and activities are written in batches,
	// so few commits stand between a request and its answer.
	s := settings{now: time.Now, readers: 8, synchronous: "FULL", log: slog.New(slog.DiscardHandler)}
	for _, o := range options {
		o(&s)
	}
	scheme, rest, ok := strings.Cut(rawURL, ":")
	if !ok {
		return nil, errors.New("open database: want sqlite:PATH or postgres://…, got a value without a scheme")
	}
	var db *DB
	var err error
	switch scheme {
	case "sqlite":
		db, err = openSQLite(ctx, strings.TrimPrefix(rest, "//"), sealer, s)
	case "postgres", "postgresql":
		db, err = openPostgres(ctx, rawURL, sealer, s)
	default:
		// Only the scheme: the rest may hold a password.
		err = fmt.Errorf("scheme %q is not supported, want sqlite:PATH or postgres://…", scheme)
	}
	if err != nil {
		return nil, fmt.Errorf("open database: %w", err)
	}
	return db, nil
}

func openSQLite(ctx context.Context, path string, sealer Sealer, s settings) (_ *DB, err error) {
	switch {
	case path == "":
		return nil, errors.New("sqlite: wants a path")
	case strings.HasPrefix(path, ":memory:"):
		return nil, errors.New("sqlite::memory: cannot be shared by several connections; use a file in a temporary directory")
	case strings.Contains(path, "?"):
		return nil, fmt.Errorf("sqlite: %q: options after the path are not supported", path)
	}
	if path, err = prepareFile(path); err != nil {
		return nil, err
	}
	newest, err := newestMigration()
	if err != nil {
		return nil, err
	}
	db := &DB{
		dialect: sqliteDialect(), sealer: sealer, now: s.now, newest: newest,
		hint: make(chan struct{}, 1), emitted: make(chan struct{}, 1), destinations: s.destinations,
		clocks: NewClock(s.log), log: s.log,
	}
	db.queries = queries{db: db}
	db.prepareTexts()
	defer func() {
		if err != nil {
			db.Close()
		}
	}()
	if db.lock, err = lockFile(path); err != nil {
		return nil, err
	}
	// busy_timeout comes first: it also covers the switch to WAL after a crash.
	both := []string{
		"busy_timeout(5000)", "journal_mode(WAL)", "synchronous(" + s.synchronous + ")", "foreign_keys(1)",
	}
	// The writer is opened and used first: it turns the file into WAL mode, which readers
	// may not do.
	if db.w, err = openPool(ctx, path, 1, "immediate", both); err != nil {
		return nil, err
	}
	if db.r, err = openPool(ctx, path, s.readers, "deferred", append(both, "query_only(1)")); err != nil {
		return nil, err
	}
	return db, nil
}

// openPool opens size connections at most, kept open, and proves that one works.
func openPool(ctx context.Context, path string, size int, txlock string, pragmas []string) (*sql.DB, error) {
	dsn := (&url.URL{Scheme: "file", Path: path, RawQuery: url.Values{
		"_txlock": {txlock}, "_pragma": pragmas,
	}.Encode()}).String()
	pool, err := sql.Open("sqlite", dsn)
	if err != nil {
		return nil, err
	}
	pool.SetMaxOpenConns(size)
	pool.SetMaxIdleConns(size)
	var one int
	if err := pool.QueryRowContext(ctx, "SELECT 1").Scan(&one); err != nil {
		pool.Close()
		return nil, err
	}
	return pool, nil
}

// prepareFile makes the file and its directory readable by us alone and returns the path
// without symbolic links, so that two names of one file share one lock.
func prepareFile(path string) (string, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return "", fmt.Errorf("make the directory of the database: %w", err)
	}
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return "", err
	}
	f.Close()
	if path, err = filepath.EvalSymlinks(path); err != nil {
		return "", err
	}
	// SQLite gives its log and index the mode of the file they belong to.
	for _, name := range []string{path, path + "-wal", path + "-shm"} {
		if err := os.Chmod(name, 0o600); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return "", err
		}
	}
	return path, nil
}

// Close ends all connections and releases the file; again, it does nothing. Calls in flight
// fail, or on PostgreSQL end first, for up to five seconds.
func (db *DB) Close() error {
	var errs []error
	for _, p := range []*prepared{&db.sessionByID, &db.userByUID, &db.serviceAccountByUID, &db.keyByKid} {
		errs = append(errs, p.close())
	}
	if db.r != nil && db.r != db.w {
		errs = append(errs, db.r.Close())
	}
	if db.w != nil {
		errs = append(errs, db.w.Close())
	}
	if db.pg != nil {
		errs = append(errs, db.pg.close())
	}
	if db.lock != nil {
		if err := db.lock.Close(); !errors.Is(err, os.ErrClosed) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// Ping reports whether the database answers a read.
func (db *DB) Ping(ctx context.Context) error {
	var one int
	if err := db.r.QueryRowContext(ctx, "SELECT 1").Scan(&one); err != nil {
		return fmt.Errorf("ping database: %w", err)
	}
	return nil
}
