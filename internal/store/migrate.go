package store

import (
	"bytes"
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"strconv"
	"strings"
	"text/template"
	"time"

	"github.com/pressly/goose/v3"
)

// Forward only: a file, once released, never changes. Each says in schema_versions from which
// version on older programs may serve beside it; see admit. The first makes that table and the others
// that guard reads, so that an interrupted Migrate can be run again.
//
//go:embed migrations/*.sql
var migrationFiles embed.FS

// A Migration is one step of the schema.
type Migration struct {
	Version   int64
	Name      string // file name without directory
	Applied   bool
	AppliedAt time.Time // zero when not applied
}

// Migrate brings the schema to the newest version and returns how many steps that took. It
// changes nothing and returns ErrNewerSchema for one beside which this program may not serve,
// ErrOtherKey for a database that another key seals.
//
// Replicas may all call it at once: one works, the others wait for it until ctx ends.
func (db *DB) Migrate(ctx context.Context) (int, error) {
	version, err := db.guard(ctx)
	switch {
	case errors.Is(err, errNoVersion): // empty, or an outage that shows below
	case err != nil:
		return 0, err
	// The usual start finds nothing to do and need not wait for anybody.
	case version >= db.newest:
		return 0, nil
	}
	p, err := db.provider()
	if err != nil {
		return 0, fmt.Errorf("migrate: %w", err)
	}
	done, err := p.Up(ctx)
	if err != nil {
		return len(done), fmt.Errorf("migrate: %w", err)
	}
	// Again: a newer program may have been first while this one waited.
	_, err = db.guard(ctx)
	return len(done), err
}

// MigrationStatus lists the steps that this program knows, oldest first.
func (db *DB) MigrationStatus(ctx context.Context) ([]Migration, error) {
	p, err := db.provider()
	if err != nil {
		return nil, fmt.Errorf("migration status: %w", err)
	}
	steps, err := p.Status(ctx)
	if err != nil {
		return nil, fmt.Errorf("migration status: %w", err)
	}
	list := make([]Migration, 0, len(steps))
	for _, s := range steps {
		list = append(list, Migration{
			Version: s.Source.Version, Name: path.Base(s.Source.Path),
			Applied: s.State == goose.StateApplied, AppliedAt: s.AppliedAt,
		})
	}
	return list, nil
}

// Ready reports whether the database answers and its schema is at least as new as this
// program: nil, or an error that says which of the two is missing.
func (db *DB) Ready(ctx context.Context) error {
	if err := db.Ping(ctx); err != nil {
		return err
	}
	version, err := db.schemaVersion(ctx)
	if err != nil {
		return fmt.Errorf("read schema version (is the database migrated?): %w", err)
	}
	if version < db.newest {
		return fmt.Errorf("schema version is %d, want %d: run barong migrate", version, db.newest)
	}
	return nil
}

func (db *DB) schemaVersion(ctx context.Context) (version int64, err error) {
	err = db.r.QueryRowContext(ctx,
		`SELECT COALESCE(max(version_id), 0) FROM goose_db_version WHERE is_applied`).Scan(&version)
	return version, err
}

func (db *DB) provider() (*goose.Provider, error) {
	files, err := fs.Sub(migrationFiles, "migrations")
	if err != nil {
		return nil, err
	}
	options := []goose.ProviderOption{goose.WithDisableGlobalRegistry(true)}
	dialect := goose.DialectSQLite3
	if db.pg != nil {
		dialect = goose.DialectPostgres
		options = append(options, goose.WithSessionLocker(migrationLock{}))
	}
	return goose.NewProvider(dialect, db.w, rendered{files, db.dialect}, options...)
}

// migrationLock keeps two PostgreSQL clients from migrating at once, and lifts the limit on
// statements meanwhile. It implements lock.SessionLocker.
type migrationLock struct{}

const migrationLockID = 0x6261726f6e67 // any number that is ours

// SessionLock waits until nobody else migrates. It asks again and again instead of waiting
// inside the server, where the waiting statement would hold back an index that is built
// concurrently.
func (migrationLock) SessionLock(ctx context.Context, conn *sql.Conn) error {
	for {
		var locked bool
		err := conn.QueryRowContext(ctx, `SELECT pg_try_advisory_lock($1)`, migrationLockID).Scan(&locked)
		if err != nil {
			return fmt.Errorf("lock migrations: %w", err)
		}
		if locked {
			break
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("another process migrates: %w", ctx.Err())
		case <-time.After(100 * time.Millisecond):
		}
	}
	// A table that is in use for long must not stop, behind us, all others that use it.
	_, err := conn.ExecContext(ctx, `SET statement_timeout = 0; SET lock_timeout = '10s'`)
	return err
}

// SessionUnlock releases the lock of SessionLock.
func (migrationLock) SessionUnlock(ctx context.Context, conn *sql.Conn) error {
	_, err := conn.ExecContext(ctx, `RESET statement_timeout; RESET lock_timeout`)
	_, unlocked := conn.ExecContext(ctx, `SELECT pg_advisory_unlock($1)`, migrationLockID)
	return errors.Join(err, unlocked)
}

// newestMigration is the highest number that an embedded file begins with.
func newestMigration() (int64, error) {
	files, err := fs.ReadDir(migrationFiles, "migrations")
	if err != nil {
		return 0, err
	}
	var newest int64
	for _, f := range files {
		number, _, _ := strings.Cut(f.Name(), "_")
		v, err := strconv.ParseInt(number, 10, 64)
		if err != nil {
			return 0, fmt.Errorf("migration %s: %w", f.Name(), err)
		}
		newest = max(newest, v)
	}
	return newest, nil
}

// rendered shows the files of an FS with the words of a dialect put in.
type rendered struct {
	fs.FS
	words dialect
}

// ReadDir lists without rendering, so sizes are those of the templates.
func (r rendered) ReadDir(name string) ([]fs.DirEntry, error) { return fs.ReadDir(r.FS, name) }

// Open renders a file; directories pass through.
func (r rendered) Open(name string) (fs.File, error) {
	f, err := r.FS.Open(name)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err != nil {
		f.Close()
		return nil, err
	}
	if info.IsDir() {
		return f, nil
	}
	defer f.Close()
	text, err := io.ReadAll(f)
	if err != nil {
		return nil, err
	}
	t, err := template.New(name).Option("missingkey=error").Parse(string(text))
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	if err := t.Execute(&out, r.words); err != nil {
		return nil, err
	}
	return &renderedFile{Reader: bytes.NewReader(out.Bytes()), info: info}, nil
}

type renderedFile struct {
	*bytes.Reader
	info fs.FileInfo
}

func (f *renderedFile) Stat() (fs.FileInfo, error) { return f.info, nil }
func (f *renderedFile) Close() error               { return nil }
