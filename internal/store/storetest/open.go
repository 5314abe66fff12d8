// Package storetest opens throwaway databases for tests of any package.
package storetest

import (
	"bytes"
	"path/filepath"
	"testing"

	"barong/internal/secret"
	"barong/internal/store"
)

// Open returns a migrated, empty SQLite database in a temporary directory; it is closed
// when the test ends. Pass store.WithClock to fix the time.
func Open(t testing.TB, options ...store.Option) *store.DB {
	t.Helper()
	return OpenPath(t, filepath.Join(t.TempDir(), "barong.db"), options...)
}

// OpenPath is Open for a file of the caller's, new or not.
func OpenPath(t testing.TB, path string, options ...store.Option) *store.DB {
	t.Helper()
	db, err := store.Open(t.Context(), "sqlite:"+path, Sealer(t), append([]store.Option{store.WithoutSync()}, options...)...)
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
