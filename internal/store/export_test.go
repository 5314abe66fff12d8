package store

import "context"

// Renew has every connection replaced, as after one broke.
func (db *DB) Renew() { db.pg.pool.Reset() }

// Encrypted reports whether a connection of the pool is.
func (db *DB) Encrypted(ctx context.Context) (is bool, err error) {
	err = db.r.QueryRowContext(ctx, `SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()`).Scan(&is)
	return is, err
}

// SetSchemaVersion makes the database say that it is at a version; below the newest, later
// steps are forgotten.
func (db *DB) SetSchemaVersion(ctx context.Context, v int64) error {
	_, err := db.w.ExecContext(ctx, `DELETE FROM goose_db_version WHERE version_id > $1`, v)
	if err == nil && v > db.newest {
		_, err = db.w.ExecContext(ctx, `INSERT INTO goose_db_version (version_id, is_applied) VALUES ($1, TRUE)`, v)
	}
	return err
}

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
