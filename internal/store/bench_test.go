package store_test

import (
	"path/filepath"
	"testing"
	"time"

	"barong/internal/account"
	"barong/internal/session"
	"barong/internal/store"
	"barong/internal/store/storetest"
)

// BenchmarkColdReads is what a decision waits for when its caches know nothing.
func BenchmarkColdReads(b *testing.B) {
	db := storetest.Open(b)
	u := newUser("1")
	if err := db.AddUser(b.Context(), &u); err != nil {
		b.Fatal(err)
	}
	if err := db.AddSession(b.Context(), session.Session{ID: sessionID(1), UID: "ID1", ExpiresAt: time.Now().Add(time.Hour)}); err != nil {
		b.Fatal(err)
	}
	if err := db.AddAPIKey(b.Context(), &account.APIKey{Kid: "k", Algorithm: "HS256", State: "active", HolderUID: "ID1", Secret: "s"}); err != nil {
		b.Fatal(err)
	}
	for name, read := range map[string]func() error{
		"session":   func() error { _, err := db.Session(b.Context(), sessionID(1), time.Now()); return err },
		"principal": func() error { _, err := db.Principal(b.Context(), "ID1"); return err },
		"key":       func() error { _, err := db.KeyRecord(b.Context(), "k"); return err },
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if err := read(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkCommit compares a verdict-changing write that waits for the disk with one that
// does not.
func BenchmarkCommit(b *testing.B) {
	for name, options := range map[string][]store.Option{"synced": nil, "unsynced": {store.WithoutSync()}} {
		b.Run(name, func(b *testing.B) {
			db, err := store.Open(b.Context(), "sqlite:"+filepath.Join(b.TempDir(), "b.db"), storetest.Sealer(b), options...)
			if err != nil {
				b.Fatal(err)
			}
			defer db.Close()
			if _, err := db.Migrate(b.Context()); err != nil {
				b.Fatal(err)
			}
			for b.Loop() {
				if err := db.EndSession(b.Context(), sessionID(1), time.Now()); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
