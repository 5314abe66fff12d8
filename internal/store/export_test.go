package store

import (
	"context"
	"fmt"
)

// Renew has every connection replaced, as after one broke.
func (db *DB) Renew() { db.pg.pool.Reset() }

// Encrypted reports whether a connection of the pool is.
func (db *DB) Encrypted(ctx context.Context) (is bool, err error) {
	err = db.r.QueryRowContext(ctx, `SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()`).Scan(&is)
	return is, err
}

// SetSchemaVersion makes the database forget the steps after a version.
func (db *DB) SetSchemaVersion(ctx context.Context, v int64) error {
	_, err := db.w.ExecContext(ctx, `DELETE FROM goose_db_version WHERE version_id > $1`, v)
	if err == nil {
		_, err = db.w.ExecContext(ctx, `DELETE FROM schema_versions WHERE version > $1`, v)
	}
	return err
}

// Newest is the newest version that this program knows.
func (db *DB) Newest() int64 { return db.newest }

// AddSchemaStep applies a step that a newer program may know; oldest 0: it declares nothing.
func (db *DB) AddSchemaStep(ctx context.Context, v, oldest int64) error {
	_, err := db.w.ExecContext(ctx, `INSERT INTO goose_db_version (version_id, is_applied) VALUES ($1, TRUE)`, v)
	if err == nil && oldest > 0 {
		_, err = db.w.ExecContext(ctx, `INSERT INTO schema_versions (version, oldest) VALUES ($1, $2)`, v, oldest)
	}
	return err
}

// Declared is the oldest version that each step admits.
func (db *DB) Declared(ctx context.Context) (map[int64]int64, error) {
	said := map[int64]int64{}
	_, err := list(ctx, db.r, func(row scanner) (none struct{}, err error) {
		var version, oldest int64
		err = row.Scan(&version, &oldest)
		said[version] = oldest
		return none, err
	}, `SELECT version, oldest FROM schema_versions`)
	return said, err
}

// ForgetKey removes the check of the sealing key.
func (db *DB) ForgetKey(ctx context.Context) error {
	_, err := db.w.ExecContext(ctx, `DELETE FROM seal_check`)
	return err
}

// LookAtSchema looks at the schema now.
func (db *DB) LookAtSchema(ctx context.Context) { db.lookAtSchema(ctx) }

// CompareClock compares the clocks now.
func (db *DB) CompareClock(ctx context.Context) error { return db.compareClock(ctx) }

// EndListener waits for the connection that listens, and ends it at the server.
func (db *DB) EndListener(ctx context.Context) error {
	for {
		n, err := affected(ctx, db.r, `
			SELECT pg_terminate_backend(pid) FROM pg_stat_activity
			WHERE datname = current_database() AND application_name LIKE '% feed'`)
		if n > 0 || err != nil {
			return err
		}
	}
}

// BeOvertaken undoes the newest step, and has a later one that declares nothing follow as soon as
// it is done again. For SQLite.
func (db *DB) BeOvertaken(ctx context.Context, by int64) error {
	_, err := db.w.ExecContext(ctx, fmt.Sprintf(`
		DROP TABLE requests;
		DELETE FROM schema_versions WHERE version = %[1]d;
		DELETE FROM goose_db_version WHERE version_id = %[1]d;
		CREATE TRIGGER overtaken AFTER INSERT ON goose_db_version WHEN NEW.version_id = %[1]d
		BEGIN INSERT INTO goose_db_version (version_id, is_applied) VALUES (%[2]d, TRUE); END`, db.newest, by))
	return err
}
