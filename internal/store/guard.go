package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"barong/internal/account"
)

// ErrNewerSchema says that the database was migrated by a newer program, beside which this one
// may not serve.
var ErrNewerSchema = errors.New("store: the schema is newer than this program")

// ErrOtherKey says that the database is sealed by another key.
var ErrOtherKey = errors.New("store: its sealed values do not open")

// errNoVersion says that the schema's version cannot be read.
var errNoVersion = errors.New("store: no schema version")

// guard returns the schema's version, unless this program or its key may not serve it.
func (db *DB) guard(ctx context.Context) (version int64, err error) {
	version, err = db.schemaVersion(ctx)
	if err != nil {
		return 0, fmt.Errorf("%w: %w", errNoVersion, err)
	}
	if version > db.newest {
		if err := db.admit(ctx, version); err != nil {
			return version, err
		}
		db.log.WarnContext(ctx, "the schema is newer than this program, and admits it",
			"schema_version", version, "known_version", db.newest)
	}
	if version > 0 {
		err = db.checkKey(ctx)
	}
	return version, err
}

// admit refuses a schema of a version above all that this program knows, unless each step of it
// declares that this program may serve beside it, as in a rolling upgrade.
func (db *DB) admit(ctx context.Context, version int64) error {
	type step struct {
		version int64
		oldest  sql.NullInt64
	}
	steps, err := list(ctx, db.r, func(row scanner) (s step, err error) {
		return s, row.Scan(&s.version, &s.oldest)
	}, `SELECT DISTINCT g.version_id, s.oldest
		FROM goose_db_version g LEFT JOIN schema_versions s ON s.version = g.version_id
		WHERE g.is_applied AND g.version_id > $1
		ORDER BY g.version_id`, db.newest)
	if err != nil {
		return fmt.Errorf("read which programs the schema admits: %w", err)
	}
	for _, s := range steps {
		if !s.oldest.Valid {
			return fmt.Errorf("%w: it is version %d, this program knows %d, and step %d does not say that older programs may "+
				"serve beside it: run the newer program, or go back to a backup of before", ErrNewerSchema, version, db.newest, s.version)
		}
		if s.oldest.Int64 > db.newest {
			return fmt.Errorf("%w: it is version %d, this program knows %d, and step %d admits only programs that know %d: "+
				"run the newer program, or go back to a backup of before", ErrNewerSchema, version, db.newest, s.version, s.oldest.Int64)
		}
	}
	return nil
}

// Admitted returns an error of ErrNewerSchema while the schema, when Watch last looked, was one
// beside which this program may not serve. It asks nobody.
func (db *DB) Admitted() error {
	if why := db.refused.Load(); why != nil {
		return *why
	}
	return nil
}

// lookAtSchema notes whether the schema has become one that does not admit this program, or admits
// it again. What a database that does not answer said before stays.
func (db *DB) lookAtSchema(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	version, err := db.schemaVersion(ctx)
	if err == nil && version > db.newest {
		err = db.admit(ctx, version)
	}
	switch {
	case errors.Is(err, ErrNewerSchema):
		db.refused.Store(&err)
		db.log.ErrorContext(ctx, "this program may not serve any more", "error", err)
	case err == nil && db.refused.Swap(nil) != nil:
		db.log.InfoContext(ctx, "the schema admits this program again", "schema_version", version, "known_version", db.newest)
	}
}

const (
	sealCheckTable, sealCheckColumn = "seal_check", "sealed"
	sealCheckText                   = "barong"
)

// checkKey returns ErrOtherKey when the database is sealed by another key. The first call leaves
// the value by which later ones know, if the signing keys already sealed open. Without a Sealer it
// does nothing.
func (db *DB) checkKey(ctx context.Context) error {
	if db.sealer == nil {
		return nil
	}
	for range 2 {
		var uuid string
		var sealed []byte
		err := db.r.QueryRowContext(ctx, `SELECT uuid, sealed FROM seal_check WHERE id = 1`).Scan(&uuid, &sealed)
		if err == nil {
			plain, err := db.open(sealed, sealCheckTable, sealCheckColumn, uuid)
			if err != nil || string(plain) != sealCheckText {
				return errors.Join(ErrOtherKey, err)
			}
			return nil
		}
		if !errors.Is(err, sql.ErrNoRows) {
			return fmt.Errorf("read the check of the sealing key: %w", err)
		}
		if _, err := db.SigningKeys(ctx); errors.Is(err, account.ErrSeal) {
			return errors.Join(ErrOtherKey, err)
		} else if err != nil {
			return err
		}
		// Of several at once one writes, and all look at its row.
		err = db.write(ctx, "note the sealing key", func(t *txn) error {
			uuid, sealed, err := db.seal([]byte(sealCheckText), sealCheckTable, sealCheckColumn)
			if err != nil {
				return err
			}
			return t.exec(ctx, `
				INSERT INTO seal_check (id, uuid, sealed) VALUES (1, $1, $2) ON CONFLICT DO NOTHING`, uuid, sealed)
		})
		if err != nil {
			return err
		}
	}
	return errors.New("the check of the sealing key was removed while it was written")
}
