package testenv

import (
	"testing"

	"github.com/jackc/pgx/v5"
)

func TestDatabasesAreCopiesOfTheirTemplate(t *testing.T) {
	prepared := 0
	prepare := func(url string) error {
		prepared++
		return exec1(url, `CREATE TABLE noted (n INTEGER)`)
	}
	one, two := Database(t, "noted", prepare), Database(t, "noted", prepare)
	if err := exec1(one, `INSERT INTO noted VALUES (1)`); err != nil {
		t.Fatal(err)
	}
	conn, err := pgx.Connect(t.Context(), two)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	var n int
	if err := conn.QueryRow(t.Context(), `SELECT count(*) FROM noted`).Scan(&n); err != nil || n != 0 {
		t.Errorf("%d rows in the other copy, %v; want none", n, err)
	}
	if prepared != 1 {
		t.Errorf("prepared %d times, want once", prepared)
	}
}

func TestNamedKeepsAddressAndParameters(t *testing.T) {
	for url, want := range map[string]string{
		"postgres://u:p@h:1/a?sslmode=disable": "postgres://u:p@h:1/b?sslmode=disable",
		"postgres://u:p@h:1":                   "postgres://u:p@h:1/b",
		"postgres:///a?host=/run":              "postgres:///b?host=/run",
	} {
		if got := named(url, "b"); got != want {
			t.Errorf("%s: got %s, want %s", url, got, want)
		}
	}
}
