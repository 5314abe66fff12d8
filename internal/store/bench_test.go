package store_test

import (
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"barong/internal/apikey"
	"barong/internal/expect"
	"barong/internal/session"
	"barong/internal/store"
	"barong/internal/store/storetest"
	"barong/internal/testenv"
)

// BenchmarkColdReads makes the reads of a decision whose caches know nothing, alone and among 16
// readers.
func BenchmarkColdReads(b *testing.B) {
	for engine, open := range map[string]storetest.Opener{"sqlite": storetest.Open, "postgres": storetest.OpenPostgres} {
		b.Run(engine, func(b *testing.B) { coldReads(b, open(b)) })
	}
}

func coldReads(b *testing.B, db *store.DB) {
	u := newUser("1")
	expect.OK(b, db.AddUser(b.Context(), &u))
	expect.OK(b, db.AddSession(b.Context(), session.Session{ID: sessionID(1), UID: "ID1", ExpiresAt: time.Now().Add(time.Hour)}))
	expect.OK(b, db.AddAPIKey(b.Context(), &apikey.Key{Kid: "k", Algorithm: "HS256", State: "active", HolderUID: "ID1", Secret: "s"}))
	head, err := db.Head(b.Context())
	expect.OK(b, err)
	for name, read := range map[string]func() error{
		"session":   func() error { _, err := db.Session(b.Context(), sessionID(1), time.Now()); return err },
		"principal": func() error { _, err := db.Principal(b.Context(), "ID1"); return err },
		"key":       func() error { _, err := db.KeyRecord(b.Context(), "k"); return err },
		"no change": func() error { _, _, err := db.Changes(b.Context(), head, 1000); return err },
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				expect.OK(b, read())
			}
		})
		b.Run(name+" by 16", func(b *testing.B) {
			b.SetParallelism(8)
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					if err := read(); err != nil {
						b.Error(err)
					}
				}
			})
		})
	}
}

// BenchmarkCommit compares a verdict-changing write that waits for the disk with one that
// does not, alone and among 16 writers.
func BenchmarkCommit(b *testing.B) {
	sqlite := func(b *testing.B) string { return "sqlite:" + filepath.Join(b.TempDir(), "b.db") }
	for name, c := range map[string]struct {
		url     func(*testing.B) string
		options []store.Option
	}{
		"sqlite synced":   {sqlite, nil},
		"sqlite unsynced": {sqlite, []store.Option{store.WithoutSync()}},
		"postgres synced": {url: func(b *testing.B) string {
			b.Setenv("TMPDIR", os.TempDir()) // on the disk, not in memory
			return testenv.StartPostgres(b, testenv.PostgresConfig{Options: []string{
				"fsync=on", "synchronous_commit=on", "full_page_writes=on",
			}}).URL("postgres")
		}},
		"postgres unsynced": {
			func(b *testing.B) string { return storetest.PostgresURL(b) }, []store.Option{store.WithoutSync()},
		},
	} {
		b.Run(name, func(b *testing.B) {
			db, err := store.Open(b.Context(), c.url(b), storetest.Sealer(b), c.options...)
			expect.OK(b, err)
			defer db.Close()
			_, err = db.Migrate(b.Context())
			expect.OK(b, err)
			b.Run("alone", func(b *testing.B) {
				for b.Loop() {
					expect.OK(b, db.EndSession(b.Context(), time.Hour, sessionID(1)))
				}
			})
			b.Run("by 16", func(b *testing.B) {
				b.SetParallelism(8)
				var n atomic.Int64
				b.RunParallel(func(pb *testing.PB) {
					id := sessionID(int(n.Add(1)))
					for pb.Next() {
						if err := db.EndSession(b.Context(), time.Hour, id); err != nil {
							b.Error(err)
						}
					}
				})
			})
		})
	}
}
