package store_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"go.uber.org/goleak"

	"barong/internal/account"
	"barong/internal/apikey"
	"barong/internal/expect"
	"barong/internal/session"
	"barong/internal/store"
	"barong/internal/store/storetest"
	"barong/internal/testenv"
)

func openPostgres(t testing.TB, url string, options ...store.Option) (*store.DB, error) {
	db, err := store.Open(t.Context(), url, storetest.Sealer(t), options...)
	if err == nil {
		t.Cleanup(func() { db.Close() })
	}
	return db, err
}

func TestPostgresRefuses(t *testing.T) {
	good := testenv.EmptyDatabase(t)
	u, err := url.Parse(good)
	if err != nil {
		t.Fatal(err)
	}
	const hush = "hu5h-hu5h"
	wrong := *u
	wrong.User = url.UserPassword("barong", hush)
	absent := *u
	absent.Path = "/nowhere"
	for name, c := range map[string]struct {
		url, want   string
		unavailable bool
	}{
		"a wrong password":               {wrong.String(), "password authentication failed", true},
		"a database that is not there":   {absent.String(), `"nowhere" does not exist`, true},
		"a server that is not there":     {"postgres://u:" + hush + "@127.0.0.1:1/d", "refused", true},
		"the other scheme's name":        {"postgresql://u:" + hush + "@127.0.0.1:1/d", "refused", true},
		"a password cut by a slash":      {"postgres://u:" + hush + "/" + hush + "@h/d", "", false},
		"a password cut by a percent":    {"postgres://u:" + hush + "%zz@h/d", "", false},
		"a port that is no number":       {"postgres://u@h:" + hush + "/d", "port", false},
		"a bad parameter":                {"postgres://u:" + hush + "@h/d?%zz=" + hush, "", false},
		"an unknown sslmode":             {"postgres://u:" + hush + "@h/d?sslmode=maybe", "sslmode", false},
		"a certificate that is not here": {"postgres://u:" + hush + "@h/d?sslmode=verify-full&sslrootcert=/none.pem", "/none.pem", false},
		"a bad pool size":                {"postgres://u:" + hush + "@h/d?pool_max_conns=many", "pool_max_conns", false},
		"a standby":                      {good + "&target_session_attrs=prefer-standby", "standby", false},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := openPostgres(t, c.url)
			if err == nil {
				t.Fatal("got no error")
			}
			if !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\n") {
				t.Errorf("got %q, want one line that says %q", err, c.want)
			}
			for _, text := range []string{err.Error(), fmt.Sprintf("%+v %#v", err, err)} {
				if strings.Contains(text, hush) || strings.Contains(text, password(u)) {
					t.Errorf("the error holds the password: %s", text)
				}
			}
			for e := err; e != nil; e = errors.Unwrap(e) {
				if text := fmt.Sprintf("%#v", e); strings.Contains(text, hush) {
					t.Errorf("an error inside holds the password: %s", text)
				}
			}
			if store.Unavailable(err) != c.unavailable {
				t.Errorf("unavailable is %v, want %v", !c.unavailable, c.unavailable)
			}
		})
	}
}

// TestPostgresSilence wants a server that takes connections and says nothing to be an outage
// soon.
func TestPostgresSilence(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	expect.OK(t, err)
	defer l.Close()
	_, err = openPostgres(t, "postgres://u:p@"+l.Addr().String()+"/d", store.WithPostgres(store.Postgres{ConnectTimeout: 100 * time.Millisecond}))
	if err == nil || !store.Unavailable(err) {
		t.Errorf("got %v, want unavailable", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := store.Open(ctx, "postgres://u:p@"+l.Addr().String()+"/d", nil); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v, want the caller's deadline", err)
	}
}

func password(u *url.URL) string { p, _ := u.User.Password(); return p }

func TestPostgresReplicasMigrateAtOnce(t *testing.T) {
	url := testenv.EmptyDatabase(t)
	var dbs []*store.DB
	for range 4 {
		db, err := openPostgres(t, url)
		if err != nil {
			t.Fatal(err)
		}
		dbs = append(dbs, db)
	}
	steps, err := dbs[0].MigrationStatus(t.Context())
	if err != nil || len(steps) == 0 || steps[0].Applied {
		t.Fatalf("status %+v, %v; want unapplied steps", steps, err)
	}
	if dbs[0].Ready(t.Context()) == nil {
		t.Error("ready before the migration")
	}
	done := make(chan int, len(dbs))
	for _, db := range dbs {
		go func() {
			n, err := db.Migrate(t.Context())
			if err != nil {
				t.Error(err)
			}
			done <- n
		}()
	}
	total := 0
	for range dbs {
		total += <-done
	}
	if total != len(steps) {
		t.Errorf("%d steps were taken, want %d", total, len(steps))
	}
	for _, db := range dbs {
		if err := db.Ready(t.Context()); err != nil {
			t.Error(err)
		}
	}
}

// TestPostgresRestart wants the same DB to work on after its server was away, to say
// meanwhile that the database is unavailable, and to hear others again.
func TestPostgresRestart(t *testing.T) {
	server := testenv.StartPostgres(t, testenv.PostgresConfig{})
	db := storetest.OpenURL(t, server.URL("postgres"), store.WithPostgres(store.Postgres{MaxConns: 4, MinConns: 4}))
	other := storetest.OpenURL(t, server.URL("postgres"))
	u := newUser("1")
	if err := db.AddUser(t.Context(), &u); err != nil {
		t.Fatal(err)
	}
	hint := db.Hint()
	var wg sync.WaitGroup // fills the pool
	for range 4 {
		wg.Go(func() {
			_ = store.Update[account.Tx](db)(t.Context(), func(tx account.Tx) error { _, err := tx.Levels(t.Context()); return err })
		})
	}
	wg.Wait()

	if err := server.Stop(); err != nil {
		t.Fatal(err)
	}
	for what, try := range map[string]func() error{
		"read":  func() error { _, err := db.Principal(t.Context(), "ID1"); return err },
		"write": func() error { _, err := db.EndSessions(t.Context(), "ID1"); return err },
		"ready": func() error { return db.Ready(t.Context()) },
	} {
		if err := try(); err == nil || !store.Unavailable(err) || strings.Contains(err.Error(), server.Password()) {
			t.Errorf("%s without a server: got %v, want unavailable", what, err)
		}
	}
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	for range 10 { // every connection of before is dead, and none may show
		if _, err := db.Principal(t.Context(), "ID1"); err != nil {
			t.Errorf("read after the restart: %v", err)
		}
		if _, err := db.EndSessions(t.Context(), "ID1"); err != nil {
			t.Errorf("write after the restart: %v", err)
		}
	}
	select {
	case <-hint: // of our own commits
	default:
	}
	// The listener connects again in its own time, and says so once; the commits after that
	// are the other process's.
	const twice = 2
	heard := 0
	for deadline := time.Now().Add(60 * time.Second); heard < twice; {
		if _, err := other.EndSessions(t.Context(), "ID1"); err != nil {
			t.Fatal(err)
		}
		select {
		case <-hint:
			heard++
		case <-time.After(200 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			t.Fatalf("of the commits of another process %d were heard after the restart, want %d", heard, twice)
		}
	}
}

// TestPostgresReadOnly wants a primary that takes no writes to serve reads.
func TestPostgresReadOnly(t *testing.T) {
	url := storetest.PostgresURL(t)
	db, err := openPostgres(t, url)
	if err != nil {
		t.Fatal(err)
	}
	u := newUser("1")
	if err := db.AddUser(t.Context(), &u); err != nil {
		t.Fatal(err)
	}
	readOnly := url + "&default_transaction_read_only=on"
	if _, err := openPostgres(t, readOnly); err == nil || !store.Unavailable(err) || !strings.Contains(err.Error(), "read-only") {
		t.Errorf("opened a read-only database: %v", err)
	}
	setReadOnly(t, url, "on")
	for deadline := time.Now().Add(10 * time.Second); ; { // sessions take the setting up when they begin
		if _, err = db.EndSessions(t.Context(), "ID1"); err != nil || time.Now().After(deadline) {
			break
		}
		db.Renew()
	}
	if !store.Unavailable(err) {
		t.Errorf("a write: got %v, want unavailable", err)
	}
	if _, err := db.Principal(t.Context(), "ID1"); err != nil {
		t.Errorf("a read: %v", err)
	}
	setReadOnly(t, url, "off")
	db.Renew()
	if _, err := db.EndSessions(t.Context(), "ID1"); err != nil {
		t.Errorf("a write when it is writable again: %v", err)
	}
}

func TestPostgresTLS(t *testing.T) {
	certs, others := testenv.NewCertificates(t, "db.test"), testenv.NewCertificates(t, "db.test")
	server := testenv.StartPostgres(t, testenv.PostgresConfig{TLS: certs})
	address := fmt.Sprintf("postgres://barong:%s@127.0.0.1:%d/postgres?", server.Password(), server.Port())
	db, err := openPostgres(t, address+"sslmode=verify-full&sslrootcert="+certs.CA)
	if err != nil {
		t.Fatal(err)
	}
	if encrypted, err := db.Encrypted(t.Context()); err != nil || !encrypted {
		t.Errorf("encrypted is %v, %v; want true", encrypted, err)
	}
	if _, err := openPostgres(t, address+"sslmode=verify-full&sslrootcert="+others.CA); err == nil || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("believed a certificate of another authority: %v", err)
	}
}

func TestPostgresHearsOthersAndLeavesNothing(t *testing.T) {
	url := storetest.PostgresURL(t)
	before := goleak.IgnoreCurrent()
	one, err := openPostgres(t, url)
	if err != nil {
		t.Fatal(err)
	}
	two, err := openPostgres(t, url)
	if err != nil {
		t.Fatal(err)
	}
	hint := one.Hint()
	<-hint // the listener is there
	u := newUser("1")
	if err := two.AddUser(t.Context(), &u); err != nil {
		t.Fatal(err)
	}
	select {
	case <-hint:
	case <-time.After(5 * time.Second):
		t.Error("a commit of another process was not heard")
	}
	for _, db := range []*store.DB{one, two} {
		if err := errors.Join(db.Close(), db.Close()); err != nil {
			t.Error(err)
		}
	}
	two.Hint() // listens no more
	goleak.VerifyNone(t, before)
}

// TestPostgresFeedUnderWriters reads the feed while writers of two processes commit
// transactions of mixed length: the reader gets every change once and in order.
func TestPostgresFeedUnderWriters(t *testing.T) {
	url := storetest.PostgresURL(t)
	reader := storetest.OpenURL(t, url)
	writers := []*store.DB{storetest.OpenURL(t, url), storetest.OpenURL(t, url)}
	u := newUser("1")
	if err := reader.AddUser(t.Context(), &u); err != nil {
		t.Fatal(err)
	}
	cursor, err := reader.Head(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	const count, each = 10, 25
	var wg sync.WaitGroup
	for w := range count {
		wg.Go(func() {
			for n := range each {
				err := store.Update[apikey.Tx](writers[w%2])(t.Context(), func(tx apikey.Tx) error {
					for k := range 1 + n%3 { // several rows of one number
						err := tx.AddAPIKey(t.Context(), &apikey.Key{
							Kid: fmt.Sprintf("%d-%d-%d", w, n, k), Algorithm: "HS256", State: "active", HolderUID: "ID1", Secret: "s",
						})
						if err != nil {
							return err
						}
					}
					if n%5 == 0 {
						return io.EOF // rolled back
					}
					return nil
				})
				if err != nil && !errors.Is(err, io.EOF) {
					t.Error(err)
				}
			}
		})
	}
	done := make(chan struct{})
	go func() { wg.Wait(); close(done) }()
	seen := map[string]int64{}
	read := func() {
		all, upTo, err := reader.Changes(t.Context(), cursor, 20)
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range all {
			if _, twice := seen[c.Ref]; twice || c.Seq <= cursor.Seq || c.Seq > upTo.Seq {
				t.Errorf("read %+v after %s, up to %s, seen before: %v", c, cursor, upTo, twice)
			}
			seen[c.Ref] = c.Seq
			if _, err := reader.KeyRecord(t.Context(), c.Ref); err != nil {
				t.Errorf("%+v announces what is not visible: %v", c, err)
			}
		}
		cursor = upTo
	}
	for running := true; running; {
		select {
		case <-done:
			running = false
		default:
		}
		read()
	}
	for head, _ := reader.Head(t.Context()); cursor != head; {
		read()
	}
	want := 0
	for n := range each {
		if n%5 != 0 {
			want += count * (1 + n%3)
		}
	}
	if len(seen) != want {
		t.Errorf("read %d changes, want %d", len(seen), want)
	}
}

// TestPostgresText wants texts that no column can hold to be found nowhere, and to be refused
// without breaking the transaction.
func TestPostgresText(t *testing.T) {
	db := storetest.OpenPostgres(t)
	u := newUser("1")
	if err := db.AddUser(t.Context(), &u); err != nil {
		t.Fatal(err)
	}
	for _, bad := range []string{"a\x00", "\xff"} {
		err := store.Update[account.Tx](db)(t.Context(), func(tx account.Tx) error {
			_, err := tx.User(t.Context(), bad)
			expect.Error(t, err, account.ErrNotFound)
			_, err = tx.UserByEmail(t.Context(), bad)
			expect.Error(t, err, account.ErrNotFound)
			_, err = tx.Label(t.Context(), "ID1", bad, "private")
			expect.Error(t, err, account.ErrNotFound)
			v := newUser("2")
			v.Username = &bad
			expect.Error(t, tx.AddUser(t.Context(), &v), store.ErrText)
			_, err = tx.EndSessions(t.Context(), "ID1")
			return err
		})
		if err != nil {
			t.Errorf("%q: %v", bad, err)
		}
		_, err = db.Principal(t.Context(), bad)
		expect.Error(t, err, account.ErrNotFound)
		_, err = db.KeyRecord(t.Context(), bad)
		expect.Error(t, err, account.ErrNotFound)
		if fresh, err := db.UseNonce(t.Context(), "k", bad, time.Now()); !fresh || err != nil {
			t.Errorf("nonce %q: %v, %v; want fresh", bad, fresh, err)
		}
		if err := db.AddSession(t.Context(), session.Session{ID: session.ID{1, bad[0]}, UID: "ID1", UserAgent: bad}); err != nil {
			t.Errorf("user agent %q: %v", bad, err)
		}
	}
}

func setReadOnly(t testing.TB, rawURL, to string) {
	t.Helper()
	u, err := url.Parse(rawURL)
	expect.OK(t, err)
	name := strings.TrimPrefix(u.Path, "/")
	u.Path = "/postgres"
	conn, err := pgx.Connect(t.Context(), u.String())
	expect.OK(t, err)
	defer conn.Close(t.Context())
	_, err = conn.Exec(t.Context(), `ALTER DATABASE `+name+` SET default_transaction_read_only = `+to)
	expect.OK(t, err)
}
