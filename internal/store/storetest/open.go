// Package storetest opens throwaway databases for tests of any package.
package storetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"barong/internal/secret"
	"barong/internal/store"
	"barong/internal/testenv"
)

// An Opener returns a migrated, empty database that is closed and removed when the test
// ends.
type Opener func(t testing.TB, options ...store.Option) *store.DB

// Engines runs a test on every engine. Without PostgreSQL on the machine that part is
// skipped, or fails when CI=true.
func Engines(t *testing.T, test func(t *testing.T, open Opener)) {
	t.Run("sqlite", func(t *testing.T) { test(t, Open) })
	t.Run("postgres", func(t *testing.T) { test(t, OpenPostgres) })
}

// OpenPostgres is Open on the PostgreSQL server of this test binary.
func OpenPostgres(t testing.TB, options ...store.Option) *store.DB {
	t.Helper()
	return OpenURL(t, PostgresURL(t), options...)
}

// PostgresURL names a migrated, empty database that is removed when the test ends; its users
// must be closed before.
func PostgresURL(t testing.TB) string {
	t.Helper()
	url := testenv.Database(t, "store", func(url string) error { return migrate(url, nil) })
	return url + "&connect_timeout=15" // many suites connect at once, and the machine may be busy
}

// Open returns a migrated, empty SQLite database in a temporary directory; it is closed
// when the test ends. Pass store.WithClock to fix the time.
func Open(t testing.TB, options ...store.Option) *store.DB {
	t.Helper()
	return OpenPath(t, filepath.Join(t.TempDir(), "barong.db"), options...)
}

// OpenPath is Open for a file of the caller's, new or not.
func OpenPath(t testing.TB, path string, options ...store.Option) *store.DB {
	t.Helper()
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		empty, err := migrated()
		if err != nil {
			t.Fatal(err)
		}
		// Without its directory the file is for the store to make.
		if err := os.WriteFile(path, empty, 0o600); err != nil && !errors.Is(err, fs.ErrNotExist) {
			t.Fatal(err)
		}
	}
	return OpenURL(t, "sqlite:"+path, options...)
}

// migrated is the file of an empty SQLite database, made once for each test binary: under the race
// detector a migration takes longer than most tests.
var migrated = sync.OnceValues(func() (_ []byte, err error) {
	dir, err := os.MkdirTemp("", "barong-storetest")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "template.db")
	sealer, err := secret.NewSealer(sealingKey)
	if err != nil {
		return nil, err
	}
	if err := migrate("sqlite:"+path, sealer); err != nil {
		return nil, err
	}
	// The last connection to close has moved all of the log into the file.
	if _, err := os.Stat(path + "-wal"); !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("the template has a log beside it (%w)", err)
	}
	return os.ReadFile(path)
})

func migrate(url string, sealer store.Sealer) error {
	db, err := store.Open(context.Background(), url, sealer, store.WithoutSync())
	if err != nil {
		return err
	}
	_, err = db.Migrate(context.Background())
	return errors.Join(err, db.Close())
}

// OpenURL opens and migrates any database; it is closed when the test ends.
func OpenURL(t testing.TB, url string, options ...store.Option) *store.DB {
	t.Helper()
	db, err := store.Open(t.Context(), url, Sealer(t), append([]store.Option{
		store.WithoutSync(),
		// Few connections, as many tests may run at once.
		store.WithPostgres(store.Postgres{MaxConns: 8, MinConns: 1}),
	}, options...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Errorf("close database: %v", err)
		}
	})
	if _, err := db.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	return db
}

var sealingKey = bytes.Repeat([]byte{7}, 32)

// Sealer is the sealer of these databases: a fixed key.
func Sealer(t testing.TB) *secret.Sealer {
	t.Helper()
	s, err := secret.NewSealer(sealingKey)
	if err != nil {
		t.Fatal(err)
	}
	return s
}
