package main

import (
	"database/sql"
	"encoding/base64"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"barong/internal/store/storetest"
)

// everyCommand lists the commands that open the database, each as a person types it.
var everyCommand = []string{
	"serve", "migrate", "seed", "keys list", "keys rotate", "keys public", "users create --email x@example.com --generate",
	"sessions revoke --all", "sessions revoke --user ID1", "explain GET /api/v2/barong/identity/ping",
}

func withoutPorts(env []string) []string {
	for _, name := range []string{"HTTP", "GRPC", "FORWARD", "OPS"} {
		env = append(env, "BARONG_"+name+"_ADDR=127.0.0.1:0")
	}
	return env
}

// No command works with a key that is not the database's, and each says so.
func TestTheKeyOfAnotherDatabaseIsNamed(t *testing.T) {
	key := func(b string) string {
		return "BARONG_SECRET_KEY=" + base64.StdEncoding.EncodeToString([]byte(strings.Repeat(b, 32)))
	}
	sqlite := newConsole(t)
	sqlite.env = withoutPorts(sqlite.env)
	sqlite.run("", "migrate").want(t, 0)
	path := filepath.Join(sqlite.dir, "secret.key")
	if err := os.WriteFile(path, []byte(base64.StdEncoding.EncodeToString([]byte(strings.Repeat("x", 32)))), 0o600); err != nil {
		t.Fatal(err)
	}
	postgres := newConsole(t)
	postgres.env = withoutPorts([]string{"BARONG_DATABASE_URL=" + storetest.PostgresURL(t), "BARONG_JWT_ALGORITHM=EdDSA", key("a")})
	postgres.run("", "migrate").want(t, 0)
	postgres.env = append(postgres.env[:2:2], append(postgres.env[3:], key("b"))...)
	for _, command := range everyCommand {
		sqlite.run("", command).want(t, 1, path+" is not the key of this database")
		postgres.run("", command).want(t, 1, "BARONG_SECRET_KEY is not the key of this database")
	}
}

// A replica that serves while the schema becomes one that does not admit it says so to probes, goes
// on deciding, and recovers.
func TestAReplicaThatTheSchemaAdmitsNoMore(t *testing.T) {
	url := storetest.PostgresURL(t)
	p := serving(t, t.TempDir(), "BARONG_DATABASE_URL="+url, "BARONG_JWT_ALGORITHM=EdDSA",
		"BARONG_SECRET_KEY="+base64.StdEncoding.EncodeToString(make([]byte, 32)))
	db, err := sql.Open("pgx", url)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	change := func(text string, status int) {
		t.Helper()
		if _, err := db.ExecContext(t.Context(), text); err != nil {
			t.Fatal(err)
		}
		p.eventually(fmt.Sprint("status ", status), func() bool {
			// It looks when it connects: nobody waits a minute.
			_, _ = db.ExecContext(t.Context(), `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
				WHERE datname = current_database() AND application_name LIKE '% feed'`)
			time.Sleep(200 * time.Millisecond)
			return p.status("/readyz") == status
		})
	}
	change(`INSERT INTO goose_db_version (version_id, is_applied) VALUES (999, TRUE)`, 503)
	if body := p.page("/readyz"); !strings.Contains(body, "newer than this program") {
		t.Errorf("the reason is %s", body)
	}
	resp, err := http.Get("http://" + p.http + "/api/v2/barong/identity/ping")
	if err != nil {
		t.Fatal(err)
	}
	if resp.Body.Close(); resp.StatusCode != http.StatusOK {
		t.Errorf("decides with %d", resp.StatusCode)
	}
	change(`INSERT INTO schema_versions (version, oldest) VALUES (999, 1)`, 200)
}

// No command works on a schema that is newer than this program, unless it admits it.
func TestASchemaOfTheFutureIsRefused(t *testing.T) {
	c := newConsole(t)
	c.env = withoutPorts(c.env)
	c.run("", "migrate").want(t, 0)
	change := func(text string) {
		t.Helper()
		db, err := sql.Open("sqlite", filepath.Join(c.dir, "barong.db"))
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		if _, err := db.ExecContext(t.Context(), text); err != nil {
			t.Fatal(err)
		}
	}
	change(`INSERT INTO goose_db_version (version_id, is_applied) VALUES (999, TRUE)`)
	for _, command := range everyCommand {
		c.run("", command).want(t, 1, "version 999", "this program knows ")
	}
	change(`INSERT INTO schema_versions (version, oldest) VALUES (999, 1)`)
	c.run("", "keys list").want(t, 0, "newer than this program, and admits it", "999")
	c.run("", "migrate").want(t, 0, "newer than this program, and admits it")
}
