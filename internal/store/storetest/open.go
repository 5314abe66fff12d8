// Package storetest opens throwaway databases for tests of any package.
package storetest

import (
	"bytes"
	"path/filepath"
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
	return testenv.Database(t, "store", func(url string) error {
		db, err := store.Open(t.Context(), url, nil, store.WithoutSync())
		if err != nil {
			return err
		}
		defer db.Close()
		_, err = db.Migrate(t.Context())
		return err
	})
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
	return OpenURL(t, "sqlite:"+path, options...)
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

// Sealer is the sealer of these databases: a fixed key.
func Sealer(t testing.TB) *secret.Sealer {
	t.Helper()
	s, err := secret.NewSealer(bytes.Repeat([]byte{7}, 32))
	if err != nil {
		t.Fatal(err)
	}
	return s
}
