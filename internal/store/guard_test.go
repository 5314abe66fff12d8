package store_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"barong/internal/secret"
	"barong/internal/store"
	"barong/internal/store/storetest"
	"barong/internal/testenv"
	"barong/internal/token"
)

// A newer schema is served beside only when each of its steps says so.
func TestNewerSchema(t *testing.T) {
	storetest.Engines(t, func(t *testing.T, open storetest.Opener) {
		var log testenv.Log
		db := open(t, store.WithLog(slog.New(slog.NewTextHandler(&log, nil))))
		now := db.Newest()
		type step struct{ version, oldest int64 } // oldest 0: it says nothing
		for name, c := range map[string]struct {
			steps []step
			want  string // "" admits
		}{
			"one step that says nothing":          {[]step{{now + 1, 0}}, "does not say"},
			"far ahead":                           {[]step{{999, 0}}, "does not say"},
			"one step that admits us":             {[]step{{now + 1, now}}, ""},
			"three that admit us":                 {[]step{{now + 1, now}, {now + 2, now - 1}, {now + 3, now}}, ""},
			"one that does not":                   {[]step{{now + 1, now + 1}}, "admits only programs that know"},
			"the middle one does not":             {[]step{{now + 1, now}, {now + 2, now + 2}, {now + 3, now}}, "admits only"},
			"the middle one says nothing":         {[]step{{now + 1, now}, {now + 2, 0}, {now + 3, now}}, "does not say"},
			"one that was rolled back in between": {[]step{{now + 2, now}}, ""},
		} {
			for _, s := range c.steps {
				if err := db.AddSchemaStep(t.Context(), s.version, s.oldest); err != nil {
					t.Fatal(err)
				}
			}
			n, err := db.Migrate(t.Context())
			switch {
			case n != 0:
				t.Errorf("%s: migrated %d steps", name, n)
			case c.want == "" && err != nil:
				t.Errorf("%s: %v; want it admitted", name, err)
			case c.want != "" && (!errors.Is(err, store.ErrNewerSchema) || !strings.Contains(err.Error(), c.want)):
				t.Errorf("%s: %v; want it refused as %q", name, err, c.want)
			}
			if err := db.SetSchemaVersion(t.Context(), now); err != nil {
				t.Fatal(err)
			}
		}
		if !strings.Contains(log.String(), "level=WARN") {
			t.Error("nothing was said")
		}
		if err := db.SetSchemaVersion(t.Context(), 0); err != nil {
			t.Fatal(err)
		}
		if err := db.Ready(t.Context()); err == nil || !strings.Contains(err.Error(), "barong migrate") {
			t.Errorf("got %v, want an older schema to say what to do", err)
		}
	})
}

// A program that serves notices that the schema has become newer than it and does not admit it, and
// that it is admitted again.
func TestASchemaThatStopsAdmitting(t *testing.T) {
	storetest.Engines(t, func(t *testing.T, open storetest.Opener) {
		var log testenv.Log
		db := open(t, store.WithLog(slog.New(slog.NewTextHandler(&log, nil))))
		now := db.Newest()
		ctx, stop := context.WithCancel(t.Context())
		defer stop()
		look := func(when, refused string, lines int, level string) {
			t.Helper()
			before := log.String()
			for range 2 {
				db.LookAtSchema(ctx)
			}
			err := db.Admitted()
			if (err != nil) != (refused != "") || err != nil && (!errors.Is(err, store.ErrNewerSchema) || !strings.Contains(err.Error(), refused)) {
				t.Errorf("%s: got %v, want %q", when, err, refused)
			}
			said := strings.TrimPrefix(log.String(), before)
			if strings.Count(said, "\n") != lines || strings.Count(said, "level="+level) != lines {
				t.Errorf("%s: it says %q, want %d lines %s", when, said, lines, level)
			}
		}
		add := func(v, oldest int64) {
			t.Helper()
			if err := db.AddSchemaStep(t.Context(), v, oldest); err != nil {
				t.Fatal(err)
			}
		}
		look("at first", "", 0, "ERROR")
		add(now+1, now)
		look("after a step that admits it", "", 0, "ERROR")
		add(now+2, now+2)
		look("after one that does not", "admits only programs that know", 2, "ERROR")
		if err := db.SetSchemaVersion(t.Context(), now+1); err != nil {
			t.Fatal(err)
		}
		look("after the step was taken back", "", 1, "INFO")
		add(now+3, 0)
		look("after one that says nothing", "does not say", 2, "ERROR")
		stop()
		look("while the database is away", "does not say", 0, "ERROR")
	})
}

// A newer program that migrates while this one waits for its turn is noticed, too.
func TestSchemaThatBecomesNewerMeanwhile(t *testing.T) {
	db := storetest.Open(t)
	if err := db.BeOvertaken(t.Context(), 999); err != nil {
		t.Fatal(err)
	}
	if n, err := db.Migrate(t.Context()); !errors.Is(err, store.ErrNewerSchema) {
		t.Errorf("migrated %d steps, %v; want ErrNewerSchema", n, err)
	}
}

// Every migration declares which older programs may serve beside it.
func TestMigrationsDeclareWhomTheyAdmit(t *testing.T) {
	db := storetest.Open(t)
	said, err := db.Declared(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for v := int64(1); v <= db.Newest(); v++ {
		if said[v] == 0 {
			t.Errorf("migration %d has no row in schema_versions: INSERT INTO schema_versions (version, oldest) VALUES (%d, …)", v, v)
		}
	}
}

func sealedBy(t *testing.T, b byte) *secret.Sealer {
	t.Helper()
	s, err := secret.NewSealer(bytes.Repeat([]byte{b}, 32))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// Of replicas with different keys that meet in an empty database one kind serves.
func TestOneKeySealsADatabase(t *testing.T) {
	url := storetest.PostgresURL(t)
	var wg sync.WaitGroup
	var mu sync.Mutex
	served := map[int]int{}
	for n := range 6 {
		wg.Go(func() {
			db, err := store.Open(t.Context(), url, sealedBy(t, byte(1+n%2)), store.WithoutSync())
			if err != nil {
				t.Error(err)
				return
			}
			defer db.Close()
			switch _, err := db.Migrate(t.Context()); {
			case err == nil:
				mu.Lock()
				served[n%2]++
				mu.Unlock()
			case !errors.Is(err, store.ErrOtherKey):
				t.Errorf("got %v, want ErrOtherKey", err)
			}
		})
	}
	wg.Wait()
	if len(served) != 1 || served[0]+served[1] != 3 {
		t.Errorf("of two keys %v served, want all three of one", served)
	}
}

// A database of before the check keeps its key: a wrong one is not noted as its own.
func TestTheKeyIsNotedWhereItOpensWhatIsSealed(t *testing.T) {
	url := storetest.PostgresURL(t)
	right := storetest.OpenURL(t, url)
	err := right.UpdateSigningKeys(t.Context(), func([]token.SigningKey) ([]token.SigningKey, error) {
		return []token.SigningKey{{Kid: "k", Use: "bearer", Algorithm: "EdDSA", State: token.Active, PrivatePEM: []byte("pem"), ActivatedAt: time.Now()}}, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := right.ForgetKey(t.Context()); err != nil {
		t.Fatal(err)
	}
	wrong, err := store.Open(t.Context(), url, sealedBy(t, 9), store.WithoutSync())
	if err != nil {
		t.Fatal(err)
	}
	defer wrong.Close()
	if _, err := wrong.Migrate(t.Context()); !errors.Is(err, store.ErrOtherKey) {
		t.Errorf("got %v, want ErrOtherKey", err)
	}
	if _, err := right.Migrate(t.Context()); err != nil {
		t.Errorf("with the right key: %v", err)
	}
}
