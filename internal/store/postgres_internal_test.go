package store

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"barong/internal/feed"
	"barong/internal/testenv"
)

func openRawPostgres(t testing.TB, options ...Option) *DB {
	t.Helper()
	db, err := Open(t.Context(), testenv.EmptyDatabase(t), nil, append([]Option{WithoutSync()}, options...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	if _, err := db.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	return db
}

func TestPostgresServersThatDoNotServe(t *testing.T) {
	for name, c := range map[string]struct {
		server server
		want   string
	}{
		"too old":       {server{120_019, "UTF8", "off"}, "version 12, want 13"},
		"not UTF-8":     {server{150_000, "SQL_ASCII", "off"}, "SQL_ASCII, want UTF8"},
		"read-only":     {server{150_000, "UTF8", "on"}, "read-only"},
		"the oldest":    {server{130_000, "UTF8", "off"}, ""},
		"a present one": {server{180_004, "UTF8", "off"}, ""},
	} {
		err := c.server.check()
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %q", name, err, c.want)
		}
	}
}

func TestPostgresEncodingIsChecked(t *testing.T) {
	db := openRawPostgres(t)
	name := "barong_test_0_ascii"
	if _, err := db.w.ExecContext(t.Context(), `CREATE DATABASE `+name+` TEMPLATE template0 ENCODING 'SQL_ASCII' LC_COLLATE 'C' LC_CTYPE 'C'`); err != nil {
		t.Fatal(err)
	}
	defer db.w.ExecContext(context.Background(), `DROP DATABASE `+name)
	url := db.pg.pool.Config().ConnString()
	address, query, _ := strings.Cut(url, "?")
	_, err := Open(t.Context(), address[:strings.LastIndex(address, "/")+1]+name+"?"+query, nil)
	if err == nil || !strings.Contains(err.Error(), "want UTF8") {
		t.Errorf("got %v, want the encoding to be refused", err)
	}
}

func TestPostgresSessions(t *testing.T) {
	show := func(db *DB, name string) (value string) {
		t.Helper()
		if err := db.r.QueryRow(`SELECT current_setting($1)`, name).Scan(&value); err != nil {
			t.Error(err)
		}
		return value
	}
	db := openRawPostgres(t, WithPostgres(Postgres{
		MaxConns: 3, MinConns: 9, Lifetime: time.Hour, Idle: time.Second, ApplicationName: "gate",
		StatementTimeout: 1500 * time.Millisecond,
	}))
	for name, want := range map[string]string{
		"application_name": "gate", "statement_timeout": "1500ms", "idle_in_transaction_session_timeout": "1min",
		"transaction_isolation": "read committed",
	} {
		if got := show(db, name); got != want {
			t.Errorf("%s is %s, want %s; also after a migration", name, got, want)
		}
	}
	if c := db.pg.pool.Config(); c.MaxConns != 3 || c.MinConns != 3 || c.MaxConnLifetime != time.Hour || c.MaxConnIdleTime != time.Second {
		t.Errorf("pool: %+v", c)
	}
	// The settings in the URL win.
	other, err := Open(t.Context(), db.pg.pool.Config().ConnString()+"&pool_max_conns=2&statement_timeout=70000&application_name=mine",
		nil, WithPostgres(Postgres{MaxConns: 9, StatementTimeout: time.Second, ApplicationName: "other"}))
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	if got := show(other, "statement_timeout") + " " + show(other, "application_name"); got != "70s mine" || other.pg.pool.Config().MaxConns != 2 {
		t.Errorf("got %s, %d connections", got, other.pg.pool.Config().MaxConns)
	}
	_, err = exists(t.Context(), db.r, `SELECT 1 FROM pg_sleep(20)`)
	if !Unavailable(err) {
		t.Errorf("a statement that takes too long: got %v, want unavailable", err)
	}
}

// TestPostgresBrokenConnection ends the server's side of a connection between two uses, too
// soon for the pool to notice by itself.
func TestPostgresBrokenConnection(t *testing.T) {
	db := openRawPostgres(t, WithPostgres(Postgres{MaxConns: 1}))
	killer, err := Open(t.Context(), db.pg.pool.Config().ConnString(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer killer.Close()
	kill := func() {
		t.Helper()
		var pid int
		if err := db.r.QueryRow(`SELECT pg_backend_pid()`).Scan(&pid); err != nil {
			t.Fatal(err)
		}
		if _, err := killer.w.Exec(`SELECT pg_terminate_backend($1)`, pid); err != nil {
			t.Fatal(err)
		}
	}
	kill()
	if _, err := db.Head(t.Context()); err != nil {
		t.Errorf("a read: %v", err)
	}
	kill()
	if _, err := db.EndAll(t.Context()); err != nil {
		t.Errorf("a transaction: %v", err)
	}
	// Inside a transaction there is no second try, but the right word.
	err = db.transactOnce(t.Context(), func(tx *txn) error {
		var pid int
		if err := tx.QueryRowContext(t.Context(), `SELECT pg_backend_pid()`).Scan(&pid); err != nil {
			return err
		}
		if _, err := killer.w.Exec(`SELECT pg_terminate_backend($1)`, pid); err != nil {
			return err
		}
		_, err := tx.raiseEpoch(t.Context())
		return err
	})
	if !Unavailable(err) {
		t.Errorf("broken inside: got %v, want unavailable", err)
	}
	if epoch, err := db.Epoch(t.Context()); epoch>>nameBits != 1 || err != nil {
		t.Errorf("epoch %d, %v; want the first after 0", epoch, err)
	}
}

// TestPostgresAbortedTransaction is run again, also when f hides that a statement failed.
func TestPostgresAbortedTransaction(t *testing.T) {
	db := openRawPostgres(t)
	for name, rest := range map[string]func(*txn) error{
		"and went on":     func(tx *txn) error { _, err := tx.raiseEpoch(t.Context()); return err },
		"and was content": func(*txn) error { return nil },
	} {
		runs := 0
		err := db.transact(t.Context(), func(tx *txn) error {
			if runs++; runs == 1 {
				_, err := tx.ExecContext(t.Context(), `INSERT INTO feed (id, seq, pruned) VALUES (1, 0, 0)`)
				if !isUnique(err) {
					t.Errorf("got %v, want a violation", err)
				}
			}
			return rest(tx)
		})
		if err != nil || runs != 2 {
			t.Errorf("%s: %d runs, %v; want 2", name, runs, err)
		}
	}
}

func TestPostgresErrorsAreTold(t *testing.T) {
	for code, want := range map[string]bool{
		"08006": true, "53300": true, "57P01": true, "57P03": true, "57014": true, "58030": true, "25006": true,
		"55P03": true, "25P03": true, "23505": false, "42P01": false, "22021": false, "42501": false,
	} {
		if err := fmt.Errorf("wrapped: %w", &pgconn.PgError{Code: code}); Unavailable(err) != want {
			t.Errorf("%s: unavailable %v, want %v", code, !want, want)
		}
	}
	if Unavailable(nil) || Unavailable(errors.New("x")) || Unavailable(context.Canceled) {
		t.Error("what is no outage counts as one")
	}
}

// A listener that could not connect for long tries again as soon as the feed can be read: an
// announcement that is not heard costs a revocation up to one poll.
func TestPostgresListensAgainWhenTheFeedIsReadable(t *testing.T) {
	down := errors.New("down")
	for name, c := range map[string]struct {
		polls      []error // one a second
		took, next time.Duration
	}{
		"the server stays away":            {[]error{down, down, down, down, down, down}, 4 * time.Second, longestPause},
		"it comes back":                    {[]error{down, down, nil}, 3 * time.Second, shortestPause},
		"it comes back with a gap":         {[]error{down, feed.ErrGap}, 2 * time.Second, shortestPause},
		"the listener alone is not served": {[]error{nil, nil, nil, nil, nil, nil}, 4 * time.Second, longestPause},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				pg := &postgres{readable: make(chan struct{}, 1)}
				go func() {
					for _, err := range c.polls {
						time.Sleep(time.Second)
						pg.polled(err, 0)
					}
				}()
				began := time.Now()
				next := pg.rest(t.Context(), 4*time.Second-time.Millisecond)
				if took := time.Since(began).Round(10 * time.Millisecond); took != c.took || next != c.next {
					t.Errorf("waited %s and then %s, want %s and %s", took, next, c.took, c.next)
				}
				time.Sleep(10 * time.Second)
			})
		})
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	pg := &postgres{readable: make(chan struct{}, 1)}
	if next := pg.rest(ended, time.Hour); next != 0 {
		t.Errorf("after the end: got %s, want 0", next)
	}
}

// Once another server is reached, connections to the former one serve nobody: those in use break
// with the query on them, which that server may never answer.
func TestPostgresPoolIsOfOneServer(t *testing.T) {
	config, err := postgresConfig(testenv.EmptyDatabase(t), settings{})
	if err != nil {
		t.Fatal(err)
	}
	var one oneServer
	config.AfterConnect, config.PrepareConn, config.BeforeClose = one.reached, one.still, one.closed
	config.MinConns = 0
	pool, err := pgxpool.NewWithConfig(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	acquire := func() (*pgxpool.Conn, uint32) {
		t.Helper()
		c, err := pool.Acquire(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return c, c.Conn().PgConn().PID()
	}
	idle, ofIdle := acquire()
	busy, _ := acquire()
	one.mu.Lock()
	if one.started == 0 || len(one.open) != 2 {
		t.Errorf("started %d, %d connections known; want both of the server", one.started, len(one.open))
	}
	one.started = 1 // so that the server counts as another one from here on
	for c := range one.open {
		one.open[c] = 1
	}
	one.mu.Unlock()
	idle.Release()
	began, broke := time.Now(), make(chan error, 1)
	go func() {
		_, err := busy.Exec(t.Context(), `SELECT pg_sleep(20)`)
		broke <- err
	}()
	again, ofAgain := acquire() // the idle one: nothing is known of a new server yet
	defer again.Release()
	if ofAgain != ofIdle {
		t.Errorf("connection %d serves before another server is reached, want %d", ofAgain, ofIdle)
	}
	next, _ := acquire()
	defer next.Release()
	if err := <-broke; err == nil || time.Since(began) > 10*time.Second {
		t.Errorf("a query at the former server ended with %v after %s", err, time.Since(began))
	}
	busy.Release()
	remembered := func() int {
		one.mu.Lock()
		defer one.mu.Unlock()
		return len(one.open)
	}
	for remembered() != 2 { // again's, until it is released, and next's
		if time.Since(began) > 20*time.Second {
			t.Fatalf("%d connections are remembered, want 2", remembered())
		}
		time.Sleep(time.Millisecond)
	}
}

// A read of the feed that gets no answer for long has the idle connections replaced: one that ends
// soon, or with an error of the server, does not.
func TestPostgresReplacesConnectionsOfAHungServer(t *testing.T) {
	db := openRawPostgres(t)
	pid := func() (n int) {
		t.Helper()
		if err := db.r.QueryRowContext(t.Context(), `SELECT pg_backend_pid()`).Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	former := pid()
	late := fmt.Errorf("read changes: %w", context.DeadlineExceeded)
	db.pg.polled(late, 10*time.Millisecond)
	db.pg.polled(errors.New("down"), time.Minute)
	if now := pid(); now != former {
		t.Errorf("connection %d serves, want %d still", now, former)
	}
	db.pg.polled(late, 2*time.Second)
	if now := pid(); now == former {
		t.Errorf("connection %d serves still", now)
	}
}

// A listener that hears of no commits, as behind a pooler in transaction mode, says so instead of
// being taken for one that hears. Announcements do not leave their database.
func TestPostgresNoticesThatItIsDeaf(t *testing.T) {
	db := openRawPostgres(t)
	config := db.pg.pool.Config().ConnConfig
	config.Database = "postgres"
	began := time.Now()
	err := db.pg.listenOnce(t.Context(), config, func() { t.Error("ready") }, func() { t.Error("heard") })
	if took := time.Since(began); !errors.Is(err, errDeaf) || took > 3*hearsWithin {
		t.Errorf("got %v after %s", err, took)
	}
}
