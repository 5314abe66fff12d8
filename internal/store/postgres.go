package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"barong/internal/feed"
)

// Postgres tunes how a PostgreSQL server is used; zero values mean the defaults. A setting in the
// URL itself (pool_max_conns, statement_timeout, application_name, …) wins.
type Postgres struct {
	MaxConns int           // connections at most, besides the one that listens; 0 leaves it to pgx
	MinConns int           // kept open: 2
	Lifetime time.Duration // of a connection, with up to a tenth more: 30 min
	Idle     time.Duration // after which a connection above MinConns is closed: 5 min
	// StatementTimeout bounds one statement, other than those of migrations; 0 does not.
	StatementTimeout time.Duration
	// IdleInTransaction bounds the pause between two statements of a transaction, so that a
	// frozen process does not keep its locks: 1 min.
	IdleInTransaction time.Duration
	ConnectTimeout    time.Duration // 3 s
	ApplicationName   string        // as pg_stat_activity shows it: "barong"
}

// WithPostgres tunes PostgreSQL; other engines ignore it.
func WithPostgres(p Postgres) Option { return func(s *settings) { s.postgres = p } }

// WithLog lets the store say that it lost, or got back, the connection over which other
// processes announce their changes, and that clocks differ; default no log.
func WithLog(l *slog.Logger) Option { return func(s *settings) { s.log = l } }

// oldestPostgres is the oldest major version that still serves.
const oldestPostgres = 13

// postgres is the part of a DB beyond its pool when the engine is PostgreSQL.
type postgres struct {
	pool  *pgxpool.Pool
	log   *slog.Logger
	born  time.Time
	fresh atomic.Int64 // nanoseconds from born to the last reset

	connected func() // the listener has a new connection, maybe to another server

	unread   atomic.Bool   // the last poll of the feed failed
	readable chan struct{} // signalled when a poll works after one that failed; capacity one

	mu     sync.Mutex
	closed bool
	stop   context.CancelFunc // ends the listener; nil while there is none
	heard  sync.WaitGroup     // the listener
}

func openPostgres(ctx context.Context, rawURL string, sealer Sealer, s settings) (_ *DB, err error) {
	config, err := postgresConfig(rawURL, s)
	if err != nil {
		return nil, err
	}
	newest, err := newestMigration()
	if err != nil {
		return nil, err
	}
	var one oneServer
	config.AfterConnect, config.PrepareConn, config.BeforeClose = one.reached, one.still, one.closed
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return nil, fmt.Errorf("postgres: %w", hidden(err))
	}
	pg := &postgres{pool: pool, log: s.log, born: time.Now().Add(-time.Minute), readable: make(chan struct{}, 1)}
	// All idle connections are the pool's: those that database/sql keeps would be lost to
	// the pool's own health checks.
	w := sql.OpenDB(connector{pg})
	w.SetMaxIdleConns(0)
	db := &DB{
		dialect: postgresDialect(), sealer: sealer, now: s.now, newest: newest,
		hint: make(chan struct{}, 1), emitted: make(chan struct{}, 1), destinations: s.destinations,
		clocks: NewClock(s.log), log: s.log,
		w: w, r: w, pg: pg,
	}
	db.queries = queries{db: db}
	db.prepareTexts()
	pg.connected = db.clocks.Again
	err = db.checkServer(ctx)
	if err == nil {
		err = db.compareClock(ctx)
	}
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return db, nil
}

// postgresConfig reads the URL. Its errors never hold a part of a URL that could not be
// read: an apparent port may be half of a password.
func postgresConfig(rawURL string, s settings) (*pgxpool.Config, error) {
	config, err := pgxpool.ParseConfig(rawURL)
	if err != nil {
		_, problem, _ := strings.Cut(err.Error(), "`: ")
		if problem == "" || strings.HasPrefix(problem, "failed to parse as URL") {
			return nil, errors.New("postgres: not a valid URL; special characters of the password must be percent-encoded")
		}
		return nil, fmt.Errorf("postgres: %s", problem)
	}
	_, query, _ := strings.Cut(rawURL, "?")
	given, err := url.ParseQuery(query)
	if err != nil {
		return nil, errors.New("postgres: the parameters of the URL are not valid")
	}
	// A standby lags: its change feed looks read while revocations are missing from it.
	if a := given.Get("target_session_attrs"); !slices.Contains([]string{"", "any", "primary", "read-write"}, a) {
		return nil, fmt.Errorf("postgres: target_session_attrs=%s would read from a standby, which knows revocations too late", a)
	}
	if config.ConnConfig.ValidateConnect == nil {
		config.ConnConfig.ValidateConnect = pgconn.ValidateConnectTargetSessionAttrsPrimary
	}

	p := s.postgres
	if !given.Has("pool_max_conns") && p.MaxConns > 0 {
		config.MaxConns = int32(p.MaxConns)
	}
	if !given.Has("pool_min_conns") {
		config.MinConns = min(int32(orDefault(p.MinConns, 2)), config.MaxConns)
	}
	if !given.Has("pool_max_conn_lifetime") {
		config.MaxConnLifetime = orDefault(p.Lifetime, 30*time.Minute)
	}
	if !given.Has("pool_max_conn_lifetime_jitter") {
		config.MaxConnLifetimeJitter = config.MaxConnLifetime / 10
	}
	if !given.Has("pool_max_conn_idle_time") {
		config.MaxConnIdleTime = orDefault(p.Idle, 5*time.Minute)
	}
	if !given.Has("pool_ping_timeout") {
		config.PingTimeout = 2 * time.Second
	}
	if config.ConnConfig.ConnectTimeout == 0 {
		config.ConnConfig.ConnectTimeout = orDefault(p.ConnectTimeout, 3*time.Second)
	}
	params := config.ConnConfig.RuntimeParams
	for name, value := range map[string]string{
		"application_name":                    orDefault(p.ApplicationName, "barong"),
		"statement_timeout":                   milliseconds(p.StatementTimeout),
		"idle_in_transaction_session_timeout": milliseconds(orDefault(p.IdleInTransaction, time.Minute)),
	} {
		if params[name] == "" {
			params[name] = value
		}
	}
	if s.synchronous == "OFF" {
		params["synchronous_commit"] = "off"
	}
	return config, nil
}

func orDefault[T comparable](v, standard T) T {
	var zero T
	if v == zero {
		return standard
	}
	return v
}

func milliseconds(d time.Duration) string { return strconv.FormatInt(d.Milliseconds(), 10) }

// checkServer refuses a server that would answer wrongly or never take a write.
func (db *DB) checkServer(ctx context.Context) error {
	var s server
	err := db.r.QueryRowContext(ctx, `
		SELECT CAST(current_setting('server_version_num') AS integer),
		       current_setting('server_encoding'), current_setting('transaction_read_only')`).
		Scan(&s.version, &s.encoding, &s.readOnly)
	if err != nil {
		return fmt.Errorf("postgres: %w", err)
	}
	return s.check()
}

// server holds a PostgreSQL server's report of itself.
type server struct {
	version  int // major * 10000 + minor
	encoding string
	readOnly string // on or off
}

func (s server) check() error {
	switch {
	case s.version/10000 < oldestPostgres:
		return fmt.Errorf("postgres: the server is version %d, want %d or newer", s.version/10000, oldestPostgres)
	case s.encoding != "UTF8":
		return fmt.Errorf("postgres: the encoding of the database is %s, want UTF8", s.encoding)
	case s.readOnly == "on":
		return &unreachable{"postgres: the database is read-only (default_transaction_read_only, or a standby)"}
	}
	return nil
}

// renew has every connection of now replaced when it is next idle: after one broke, or was
// found to be read-only, the others most likely are too.
func (pg *postgres) renew() {
	age := int64(time.Since(pg.born))
	if last := pg.fresh.Load(); age-last > int64(time.Second) && pg.fresh.CompareAndSwap(last, age) {
		pg.pool.Reset()
	}
}

// close ends the listener and the pool. Calls in flight keep their connections until they
// end; it waits a little for them.
func (pg *postgres) close() error {
	pg.mu.Lock()
	pg.closed = true
	if pg.stop != nil {
		pg.stop()
	}
	pg.mu.Unlock()
	pg.heard.Wait()
	done := make(chan struct{})
	go func() { pg.pool.Close(); close(done) }()
	select {
	case <-done:
		return nil
	case <-time.After(5 * time.Second):
		return errors.New("postgres: connections are still in use")
	}
}

// feedChannel is the name under which commits are announced to other processes.
const feedChannel = "barong_feed"

// listen starts the listener, once. It signals hint whenever any process has committed
// changes, and after every break, during which announcements are lost.
func (pg *postgres) listen(hint func()) {
	pg.mu.Lock()
	defer pg.mu.Unlock()
	if pg.closed || pg.stop != nil {
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	pg.stop = cancel
	config := pg.pool.Config().ConnConfig
	config.RuntimeParams["application_name"] += " feed"
	pg.heard.Go(func() {
		pause, failing := shortestPause, false
		for {
			err := pg.listenOnce(ctx, config, func() {
				if failing {
					pg.log.InfoContext(ctx, "change announcements are heard again")
				}
				pause, failing = shortestPause, false
				pg.connected()
				hint()
			}, hint)
			if ctx.Err() != nil {
				return
			}
			if !failing {
				failing = true
				pg.log.WarnContext(ctx, "change announcements are not heard; the feed is polled", "error", hidden(err))
			}
			if pause = pg.rest(ctx, pause); pause == 0 {
				return
			}
		}
	})
}

// Between two tries to listen.
const (
	shortestPause = 100 * time.Millisecond
	longestPause  = 5 * time.Second
)

// rest waits between two tries to listen, but no longer than until the feed can be read
// again: then the server is back, and waiting on would cost every revocation a poll. It
// returns the next pause, 0 when ctx has ended.
func (pg *postgres) rest(ctx context.Context, pause time.Duration) time.Duration {
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return 0
	case <-pg.readable:
		return shortestPause
	case <-timer.C:
		return min(2*pause, longestPause)
	}
}

// polled notes how a read of the feed went. If nothing came for long, the machine at the other end
// may hang, and with it all connections that idle: they would keep reads waiting one by one.
func (pg *postgres) polled(err error, took time.Duration) {
	const long = time.Second
	if err != nil && !errors.Is(err, feed.ErrGap) {
		pg.unread.Store(true)
		if errors.Is(err, context.DeadlineExceeded) && took >= long {
			pg.renew()
		}
		return
	}
	if pg.unread.CompareAndSwap(true, false) {
		select {
		case pg.readable <- struct{}{}:
		default:
		}
	}
}

// hears makes sure that announcements of other connections arrive on conn: behind a pooler that
// gives each transaction another connection to the server LISTEN succeeds and nothing is heard.
func (pg *postgres) hears(ctx context.Context, conn *pgx.Conn) error {
	ctx, cancel := context.WithTimeout(ctx, hearsWithin)
	defer cancel()
	if _, err := pg.pool.Exec(ctx, "SELECT pg_notify($1, '')", feedChannel); err != nil {
		return err
	}
	if _, err := conn.WaitForNotification(ctx); err != nil {
		if pgconn.Timeout(err) {
			return errDeaf
		}
		return err
	}
	return nil
}

// hearsWithin is how long an announcement may take.
const hearsWithin = 5 * time.Second

var errDeaf = errors.New("an announcement did not arrive: a pooler in transaction mode before PostgreSQL? It must be in session mode")

// listenOnce listens on one connection until it breaks or ctx ends.
func (pg *postgres) listenOnce(ctx context.Context, config *pgx.ConnConfig, ready, heard func()) error {
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return err
	}
	defer func() {
		// ctx may have ended; saying goodbye must not take long.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		_ = conn.Close(ctx)
	}()
	if _, err := conn.Exec(ctx, "LISTEN "+feedChannel); err != nil {
		return err
	}
	if err := pg.hears(ctx, conn); err != nil {
		return err
	}
	ready()
	const silence = 30 * time.Second // after which the peer must prove that it lives
	for {
		err := func() error {
			ctx, cancel := context.WithTimeout(ctx, silence)
			defer cancel()
			_, err := conn.WaitForNotification(ctx)
			return err
		}()
		switch {
		case err == nil:
			heard()
			continue
		case ctx.Err() != nil:
			return ctx.Err()
		case !pgconn.Timeout(err):
			return err
		}
		err = func() error {
			ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
			defer cancel()
			return conn.Ping(ctx)
		}()
		if err != nil {
			return err
		}
	}
}
