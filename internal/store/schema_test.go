package store

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"barong/internal/secret"
)

// bothEngines runs a test of the schema on an empty database of each engine.
func bothEngines(t *testing.T, test func(t *testing.T, db *DB)) {
	t.Run("sqlite", func(t *testing.T) { test(t, openRaw(t)) })
	t.Run("postgres", func(t *testing.T) { test(t, openRawPostgres(t)) })
}

// The parts of a user go with the user; history and messages stay.
func TestCascade(t *testing.T) {
	bothEngines(t, func(t *testing.T, db *DB) {
		sealed := []byte{0}
		for _, s := range []struct {
			text string
			args []any
		}{
			{`INSERT INTO users (id, uid, email, password_digest, created_at, updated_at) VALUES (1, 'a', 'a', '', 0, 0), (2, 'b', 'b', '', 0, 0)`, nil},
			{`UPDATE users SET referral_id = 1 WHERE id = 2`, nil},
			{`INSERT INTO service_accounts (id, uid, owner_id, email, created_at, updated_at) VALUES (1, 's', 1, 's', 0, 0)`, nil},
			{`INSERT INTO apikeys (uuid, service_account_id, kid, algorithm, secret, created_at, updated_at) VALUES ('u', 1, 'k', 'HS256', $1, 0, 0)`, []any{sealed}},
			{`INSERT INTO apikeys (uuid, user_id, kid, algorithm, secret, created_at, updated_at) VALUES ('v', 1, 'l', 'HS256', $1, 0, 0)`, []any{sealed}},
			{`INSERT INTO labels (user_id, key, value, created_at, updated_at) VALUES (1, 'a', 'b', 0, 0)`, nil},
			{`INSERT INTO totp_secrets (uuid, user_id, secret, created_at, updated_at) VALUES ('u', 1, $1, 0, 0)`, []any{sealed}},
			{`INSERT INTO recovery_codes (user_id, hash, created_at) VALUES (1, $1, 0)`, []any{sealed}},
			{`INSERT INTO passkey_handles (user_id, handle, created_at) VALUES (1, $1, 0)`, []any{sealed}},
			{`INSERT INTO passkeys (uuid, user_id, name, credential_id, public_key, sign_count, synced, created_at)
			  VALUES ('u', 1, $1, $1, $1, 0, FALSE, 0)`, []any{sealed}},
			{`INSERT INTO mail_tokens (hash, user_id, purpose, expires_at, created_at) VALUES ($1, 1, 'p', 0, 0)`, []any{sealed}},
			{`INSERT INTO kyc_verifications (verification_id, applicant_id, user_id, kind, created_at, updated_at) VALUES ('v', 'a', 1, 'address', 0, 0)`, nil},
			{`INSERT INTO phones (uuid, user_id, country, number, number_index, index_key, created_at, updated_at)
			  VALUES ('u', 1, 'GB', $1, $1, '0123456789abcdef', 0, 0)`, []any{sealed}},
			{`INSERT INTO kyc_steps (user_id, batch, step, external_id, created_at) VALUES (1, 'b', 's', 'e', 0)`, nil},
			{`INSERT INTO documents (uuid, user_id, file, file_name, size, media, doc_type, identificator, created_at, updated_at)
			  VALUES ('u', 1, 'f', $1, 1, 'm', 't', 'i', 0, 0)`, []any{sealed}},
			{`INSERT INTO comments (uuid, user_id, author_uid, title, data, created_at, updated_at) VALUES ('u', 1, 'a', $1, $1, 0, 0)`, []any{sealed}},
			{`INSERT INTO activities (ref, actor_uid, actor_kind, actor_ref, category, ip, user_agent, topic, action, result, day, created_at)
			  VALUES ('r', 'a', 'user', 'a', '', '', '', '', '', '', '', 0)`, nil},
			{`INSERT INTO outbox (uuid, destination, name, user_uid, payload, next_at, created_at) VALUES ('u', 'd', 'n', 'a', $1, 0, 0)`, []any{sealed}},
			{`DELETE FROM users WHERE id = 1`, nil},
		} {
			if _, err := db.w.ExecContext(t.Context(), s.text, s.args...); err != nil {
				t.Fatalf("%s: %v", s.text, err)
			}
		}
		for table, want := range map[string]int{
			"users": 1, "service_accounts": 0, "apikeys": 0, "labels": 0, "totp_secrets": 0, "recovery_codes": 0, "passkey_handles": 0, "passkeys": 0, "mail_tokens": 0,
			"kyc_verifications": 0, "phones": 0, "documents": 0, "kyc_steps": 0, "comments": 0, "activities": 1, "outbox": 1,
		} {
			var n int
			if err := db.r.QueryRowContext(t.Context(), `SELECT count(*) FROM `+table).Scan(&n); err != nil || n != want {
				t.Errorf("%s: %d rows, %v; want %d", table, n, err, want)
			}
		}
		if _, err := db.w.ExecContext(t.Context(),
			`INSERT INTO apikeys (uuid, kid, algorithm, secret, created_at, updated_at) VALUES ('u', 'k', 'HS256', $1, 0, 0)`, sealed); err == nil {
			t.Error("an API key without a holder was stored")
		}
	})
}

// strings of one column.
func column(t *testing.T, db *DB, text string) []string {
	t.Helper()
	all, err := list(t.Context(), db.r, value[string], text)
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// Tables refer to accounts by row id, by an index, and say what a deletion does to them. The
// columns that hold a uid instead are listed: their rows outlive the account or live elsewhere too.
func TestTablesReferByRowID(t *testing.T) {
	db := openRaw(t)
	references := column(t, db, `
		SELECT m.name || '.' || k."from" || ' ' || k."table" || '.' || k."to" || ' ' || k.on_delete
		FROM sqlite_schema m JOIN pragma_foreign_key_list(m.name) k
		WHERE m.type = 'table'`)
	if len(references) < 8 {
		t.Fatalf("found %d references: %q", len(references), references)
	}
	indexed := column(t, db, `
		SELECT m.name || '.' || c.name
		FROM sqlite_schema m JOIN pragma_index_list(m.name) i JOIN pragma_index_info(i.name) c
		WHERE m.type = 'table' AND c.seqno = 0 AND c.name IS NOT NULL`) // not an expression
	for _, r := range references {
		part := strings.Fields(r)
		from, to, deleted := part[0], part[1], strings.Join(part[2:], " ")
		if !strings.HasSuffix(to, ".id") {
			t.Errorf("%s refers to %s, want a row id", from, to)
		}
		if deleted != "CASCADE" && deleted != "SET NULL" {
			t.Errorf("%s: ON DELETE %s; want it decided", from, deleted)
		}
		if !slices.Contains(indexed, from) {
			t.Errorf("no index begins with %s: deleting what it refers to reads the whole table", from)
		}
	}
	uids := column(t, db, `
		SELECT m.name || '.' || c.name FROM sqlite_schema m JOIN pragma_table_info(m.name) c
		WHERE m.type = 'table' AND (c.name = 'uid' OR c.name LIKE '%\_uid' ESCAPE '\') ORDER BY 1`)
	want := []string{
		"activities.actor_uid", "activities.target_uid", "comments.author_uid", "outbox.user_uid", "profiles.author_uid", "requests.target_uid", "service_accounts.uid",
		"sessions.uid", "users.uid", "whitelinks.creator_uid",
	}
	if !slices.Equal(uids, want) {
		t.Errorf("columns of uids: %q, want %q; a part of an account refers to it by user_id", uids, want)
	}
}

// hotReads are frequent statements with the PostgreSQL types of their parameters.
func hotReads(db *DB) map[string]string {
	return map[string]string{
		db.sessionByID.text:                                      "bytea, bigint",
		selectUserPrincipal:                                      "text",
		selectServiceAccountPrincipal:                            "text",
		selectKeyRecord:                                          "text",
		`SELECT 1 FROM ended_sessions WHERE id = $1`:             "bytea",
		`SELECT id FROM sessions WHERE expires_at < $1 LIMIT $2`: "bigint, bigint",
		users.query(byEmail):                                     "text",
		`SELECT seq, kind, ref FROM changes WHERE seq > $1 AND seq <= $2 ORDER BY seq, kind, ref`:        "bigint, bigint",
		phones.query(`WHERE u.uid = $1 ORDER BY p.id`):                                                   "text",
		`SELECT 1 FROM phones WHERE number_index IN ($1) AND ` + provedPhone:                             "bytea",
		labels.query(`WHERE u.uid = $1 ORDER BY l.id`):                                                   "text",
		apiKeys.query(`WHERE k.kid = $1 AND (u.uid = $2 OR s.uid = $2)`):                                 "text, text",
		verifications.query(`WHERE u.uid = $1 AND v.kind = $2 ORDER BY v.id DESC LIMIT 1`):               "text, text",
		`DELETE FROM mail_tokens WHERE user_id = (SELECT id FROM users WHERE uid = $1) AND purpose = $2`: "text, text",
		activities.query(`WHERE a.actor_uid = $1 ORDER BY a.created_at DESC, a.id DESC LIMIT $2`):        "text, bigint",
	}
}

// A missing index turns a cold read into a scan.
func TestHotReadsUseAnIndex(t *testing.T) {
	bothEngines(t, func(t *testing.T, db *DB) {
		for text, types := range hotReads(db) {
			plan, scan := sqlitePlan, "SCAN"
			if db.pg != nil {
				plan, scan = postgresPlan, "Seq Scan"
			}
			if steps := plan(t, db, text, types); steps == "" || strings.Contains(steps, scan) {
				t.Errorf("%s\nplan: %s", text, steps)
			}
		}
	})
}

func sqlitePlan(t *testing.T, db *DB, text, types string) string {
	t.Helper()
	plan, err := list(t.Context(), db.r, func(row scanner) (step string, err error) {
		var id, parent, unused int
		return step, row.Scan(&id, &parent, &unused, &step)
	}, "EXPLAIN QUERY PLAN "+text, []any{"a", "b"}[:1+strings.Count(types, ",")]...)
	if err != nil {
		t.Fatal(err)
	}
	return strings.Join(plan, "; ")
}

func postgresPlan(t *testing.T, db *DB, text, types string) string {
	t.Helper()
	tx, err := db.r.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Rollback()
	// Tables are empty: only a scan that cannot be avoided is left.
	for _, s := range []string{
		`SET LOCAL enable_seqscan = off`, `SET LOCAL enable_bitmapscan = off`, `SET LOCAL plan_cache_mode = force_generic_plan`,
		`PREPARE hot (` + types + `) AS ` + text,
	} {
		if _, err := tx.ExecContext(t.Context(), s); err != nil {
			t.Fatal(err)
		}
	}
	plan, err := list(t.Context(), tx, value[string],
		`EXPLAIN EXECUTE hot (`+strings.Join([]string{"NULL", "NULL"}[:1+strings.Count(types, ",")], ", ")+`)`)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.ExecContext(t.Context(), `DEALLOCATE hot`); err != nil {
		t.Fatal(err)
	}
	return strings.Join(plan, "\n")
}

// Migrate goes on where an earlier one was interrupted, and knows the sealing key after each step.
func TestInterruptedMigration(t *testing.T) {
	sealedBy := func(b byte) *secret.Sealer {
		s, err := secret.NewSealer([]byte(strings.Repeat(string(rune(b)), 32)))
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	for steps := range newestOf(t) + 1 {
		db, err := Open(t.Context(), "sqlite:"+t.TempDir()+"/b.db", sealedBy(1), WithoutSync())
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		p, err := db.provider()
		if err != nil {
			t.Fatal(err)
		}
		if steps > 0 {
			if _, err := p.UpTo(t.Context(), steps); err != nil {
				t.Fatalf("to step %d: %v", steps, err)
			}
			if _, err := db.guard(t.Context()); err != nil {
				t.Errorf("after step %d: %v", steps, err)
			}
			db.sealer = sealedBy(2)
			if n, err := db.Migrate(t.Context()); n != 0 || !errors.Is(err, ErrOtherKey) {
				t.Errorf("with another key after step %d: migrated %d more, %v; want ErrOtherKey", steps, n, err)
			}
			db.sealer = sealedBy(1)
		}
		if n, err := db.Migrate(t.Context()); err != nil || n != int(db.newest-steps) {
			t.Errorf("after step %d: migrated %d more, %v; want %d", steps, n, err, db.newest-steps)
		}
		if err := db.Ready(t.Context()); err != nil {
			t.Errorf("after step %d and the rest: %v", steps, err)
		}
	}
}

func newestOf(t *testing.T) int64 {
	t.Helper()
	newest, err := newestMigration()
	if err != nil {
		t.Fatal(err)
	}
	return newest
}
