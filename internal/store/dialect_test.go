package store

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
)

func openRaw(t testing.TB) *DB {
	t.Helper()
	db, err := Open(t.Context(), "sqlite:"+filepath.Join(t.TempDir(), "b.db"), nil, WithoutSync())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	if _, err := db.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	return db
}

func TestDriverErrorsAreTold(t *testing.T) {
	db := openRaw(t)
	exec := func(text string) error {
		_, err := db.w.ExecContext(context.Background(), text)
		return err
	}
	if err := exec(`INSERT INTO levels (id, key, value, created_at, updated_at) VALUES (1, 'a', 'b', 0, 0)`); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		err               error
		unique, transient bool
	}{
		"a unique key":     {exec(`INSERT INTO levels (id, key, value, created_at, updated_at) VALUES (2, 'a', 'b', 0, 0)`), true, false},
		"a primary key":    {exec(`INSERT INTO levels (id, key, value, created_at, updated_at) VALUES (1, 'c', 'd', 0, 0)`), true, false},
		"a row id":         {exec(`INSERT INTO feed (id, seq, pruned) VALUES (1, 0, 0)`), true, false},
		"a foreign key":    {exec(`INSERT INTO labels (user_id, key, value, created_at, updated_at) VALUES (9, 'a', 'b', 0, 0)`), false, false},
		"a check":          {exec(`INSERT INTO feed (id, seq, pruned) VALUES (2, 0, 0)`), false, false},
		"a missing value":  {exec(`INSERT INTO feed (id, seq) VALUES (1, 0)`), false, false},
		"a syntax error":   {exec(`SELEC`), false, false},
		"pg unique":        {&pgconn.PgError{Code: "23505"}, true, false},
		"pg foreign key":   {&pgconn.PgError{Code: "23503"}, false, false},
		"pg serialization": {&pgconn.PgError{Code: "40001"}, false, true},
		"pg deadlock":      {&pgconn.PgError{Code: "40P01"}, false, true},
		"none of theirs":   {errors.New("UNIQUE constraint failed"), false, false},
	} {
		if c.err == nil {
			t.Errorf("%s: got no error", name)
			continue
		}
		err := fmt.Errorf("wrapped: %w", c.err)
		if isUnique(err) != c.unique || isTransient(err) != c.transient {
			t.Errorf("%s (%v): unique %v, transient %v; want %v, %v", name, err, isUnique(err), isTransient(err), c.unique, c.transient)
		}
	}
}

func TestReadersCannotWrite(t *testing.T) {
	db := openRaw(t)
	if _, err := db.r.ExecContext(t.Context(), `UPDATE feed SET seq = 9`); err == nil {
		t.Error("a reader wrote")
	}
}

func TestDurability(t *testing.T) {
	db, err := Open(t.Context(), "sqlite:"+filepath.Join(t.TempDir(), "b.db"), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	for pragma, want := range map[string]string{
		"journal_mode": "wal", "synchronous": "2", "foreign_keys": "1", "busy_timeout": "5000",
	} {
		var got string
		if err := db.w.QueryRow("PRAGMA " + pragma).Scan(&got); err != nil || got != want {
			t.Errorf("%s is %s, %v; want %s", pragma, got, err, want)
		}
	}
}
