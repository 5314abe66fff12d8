package store_test

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"barong/internal/account"
	"barong/internal/apikey"
	"barong/internal/feed"
	"barong/internal/session"
	"barong/internal/store"
	"barong/internal/store/storetest"
	"barong/policy"
)

func TestOpenRefuses(t *testing.T) {
	for url, want := range map[string]string{
		"postgres://u:hush@127.0.0.1:1/d": "refused",
		"mysql:x":                         `"mysql"`,
		"barong.db":                       "sqlite:PATH",
		"sqlite:":                         "path",
		"sqlite::memory:":                 "memory",
		"sqlite:x.db?mode=ro":             "options",
	} {
		db, err := store.Open(t.Context(), url, storetest.Sealer(t))
		if err == nil {
			db.Close()
			t.Errorf("%s: got no error", url)
			continue
		}
		if !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "hush") {
			t.Errorf("%s: got %q, want it to say %s and no password", url, err, want)
		}
	}
}

func TestSecondOpenIsRefused(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "barong.db")
	first, err := store.Open(t.Context(), "sqlite:"+path, storetest.Sealer(t), store.WithoutSync())
	if err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(dir, "link.db")
	if err := os.Symlink(path, link); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{path, link} {
		_, err := store.Open(t.Context(), "sqlite:"+name, storetest.Sealer(t))
		if !errors.Is(err, store.ErrInUse) || !strings.Contains(err.Error(), path) ||
			!strings.Contains(err.Error(), fmt.Sprint("process ", os.Getpid())) {
			t.Errorf("%s: got %v, want ErrInUse with the file and the process", name, err)
		}
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	storetest.OpenPath(t, path) // free again
}

func TestFilesAreOurs(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "deep", "data")
	path := filepath.Join(dir, "a b#%.db") // a name that must be escaped
	db := storetest.OpenPath(t, path)
	u := newUser("1")
	if err := db.AddUser(t.Context(), &u); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]os.FileMode{
		dir: 0o700, path: 0o600, path + "-wal": 0o600, path + "-shm": 0o600, path + ".lock": 0o600,
	} {
		info, err := os.Stat(name)
		if err != nil {
			t.Error(err)
		} else if got := info.Mode().Perm(); got != want {
			t.Errorf("%s: mode %o, want %o", filepath.Base(name), got, want)
		}
	}
}

func TestWideFileIsNarrowed(t *testing.T) {
	path := filepath.Join(t.TempDir(), "barong.db")
	if err := os.WriteFile(path, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, 0o644); err != nil {
		t.Fatal(err)
	}
	storetest.OpenPath(t, path)
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v; want 600", info.Mode(), err)
	}
}

func TestMigrate(t *testing.T) {
	db, err := store.Open(t.Context(), "sqlite:"+filepath.Join(t.TempDir(), "b.db"), storetest.Sealer(t), store.WithoutSync())
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if err := db.Ready(t.Context()); err == nil {
		t.Error("ready before the migration")
	}
	before, err := db.MigrationStatus(t.Context())
	if err != nil || len(before) == 0 || before[0].Applied || before[0].Name != "00001_guards.sql" {
		t.Fatalf("status %+v, %v; want unapplied steps", before, err)
	}
	n, err := db.Migrate(t.Context())
	if err != nil || n != len(before) {
		t.Fatalf("applied %d, %v; want %d", n, err, len(before))
	}
	if n, err = db.Migrate(t.Context()); err != nil || n != 0 {
		t.Errorf("again: applied %d, %v; want 0", n, err)
	}
	if err := db.Ready(t.Context()); err != nil {
		t.Error(err)
	}
	after, err := db.MigrationStatus(t.Context())
	if err != nil || !after[0].Applied || after[0].AppliedAt.IsZero() {
		t.Errorf("status %+v, %v; want applied", after, err)
	}
	db.Close()
	if db.Ping(t.Context()) == nil || db.Ready(t.Context()) == nil {
		t.Error("a closed database answers")
	}
}

func newUser(n string) account.User {
	return account.User{UID: "ID" + n, Email: n + "@example.com", PasswordDigest: "x", Role: "member", State: "active"}
}

// TestKilledWriter checks the promise of an embedded run: all rows that were committed when the
// process was killed are there afterwards: sessions, keys, policy rows and their feed numbers.
func TestKilledWriter(t *testing.T) {
	const pathVar = "BARONG_STORE_TEST_WRITER"
	if path := os.Getenv(pathVar); path != "" {
		writeUntilKilled(t, path)
	}
	for round := range 3 {
		path := filepath.Join(t.TempDir(), "barong.db")
		cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestKilledWriter$")
		cmd.Env = append(os.Environ(), pathVar+"="+path)
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		last := 0
		for lines := bufio.NewScanner(out); lines.Scan(); {
			if _, err := fmt.Sscanf(lines.Text(), "committed %d", &last); err != nil {
				continue
			}
			if last == 20+round*7 {
				if err := cmd.Process.Kill(); err != nil {
					t.Fatal(err)
				}
			}
		}
		_ = cmd.Wait()
		if last < 20 {
			t.Fatalf("the writer got to %d only", last)
		}
		db := storetest.OpenPath(t, path) // the lock of the dead is free
		for n := range last {
			n++
			if _, err := db.Session(t.Context(), sessionID(n), time.Unix(0, 0)); err != nil {
				t.Errorf("session %d of %d: %v", n, last, err)
			}
			if k, err := db.KeyRecord(t.Context(), fmt.Sprint("kid", n)); err != nil || string(k.Secret) != fmt.Sprint("secret", n) {
				t.Errorf("key %d of %d: %v", n, last, err)
			}
		}
		rows, err := db.Rows(t.Context())
		if err != nil || len(rows.Permissions) < last {
			t.Errorf("%d permissions, %v; want %d or more", len(rows.Permissions), err, last)
		}
		changes, upTo, err := db.Changes(t.Context(), feed.Cursor{}, 1_000_000)
		if err != nil || upTo != rows.At || len(changes) != int(rows.At.Seq) {
			t.Errorf("%d changes up to %s, %v; want %s", len(changes), upTo, err, rows.At)
		}
		db.Close()
	}
}

func sessionID(n int) session.ID { return session.ID{byte(n), byte(n >> 8), 1} }

func writeUntilKilled(t *testing.T, path string) {
	db, err := store.Open(t.Context(), "sqlite:"+path, storetest.Sealer(t))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := db.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	u := newUser("1")
	if err := db.AddUser(t.Context(), &u); err != nil {
		t.Fatal(err)
	}
	for n := 1; ; n++ {
		err := errors.Join(
			db.AddSession(t.Context(), session.Session{ID: sessionID(n), UID: "ID1", ExpiresAt: time.Now().Add(time.Hour)}),
			db.AddAPIKey(t.Context(), &apikey.Key{Kid: fmt.Sprint("kid", n), Algorithm: "HS256", State: "active", HolderUID: "ID1", Secret: fmt.Sprint("secret", n)}),
			db.AddPermission(t.Context(), &policy.Permission{Action: "ACCEPT", Role: "r", Verb: "GET", Path: fmt.Sprint(n)}),
		)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Println("committed", n)
	}
}

// TestClock checks that times written by the store itself come from the clock it was given.
func TestClock(t *testing.T) {
	at := time.Date(2031, 2, 3, 4, 5, 6, 789_012_345, time.FixedZone("east", 3600))
	db := storetest.Open(t, store.WithClock(func() time.Time { return at }))
	u := newUser("1")
	if err := db.AddUser(t.Context(), &u); err != nil {
		t.Fatal(err)
	}
	if want := at.UTC().Truncate(time.Microsecond); !u.CreatedAt.Equal(want) || u.CreatedAt != want {
		t.Errorf("created at %v, want %v", u.CreatedAt, want)
	}
}

func TestRoleExists(t *testing.T) {
	db := storetest.Open(t)
	if err := db.AddPermission(t.Context(), &policy.Permission{Action: "DROP", Role: "admin", Verb: "ALL", Path: "x"}); err != nil {
		t.Fatal(err)
	}
	if ok, err := db.RoleExists(t.Context(), "admin"); !ok || err != nil {
		t.Errorf("got %v, %v; want true", ok, err)
	}
}

// The schema itself keeps a client's user agent short, by whatever method it is written.
func TestNoSessionKeepsALongUserAgent(t *testing.T) {
	db := storetest.Open(t)
	err := db.AddSession(t.Context(), session.Session{
		ID: sessionID(1), UID: "ID1", UserAgent: strings.Repeat("x", 513), ExpiresAt: time.Now().Add(time.Hour),
	})
	if err == nil {
		t.Error("513 bytes of a user agent were stored")
	}
}
