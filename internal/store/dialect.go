package store

import (
	"database/sql"
	"database/sql/driver"
	"errors"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// A dialect is all that engines differ in; every statement is otherwise the same text.
type dialect struct {
	Name  string
	PK    string // column type of a primary key that is never reused
	BYTES string // column type of byte strings
	Lock  string // suffix of a SELECT that locks the rows it reads
}

func sqliteDialect() dialect {
	// AUTOINCREMENT: without it SQLite reuses the id of a deleted last row. No lock suffix:
	// a writing transaction is immediate and alone.
	return dialect{Name: "sqlite", PK: "INTEGER PRIMARY KEY AUTOINCREMENT", BYTES: "BLOB"}
}

// isUnique reports whether err is the violation of a unique or primary key. Which one it
// was is never asked of the driver: writers check before they write, in their transaction,
// and this is the answer to a race that the check lost.
func isUnique(err error) bool {
	if e, ok := errors.AsType[*sqlite.Error](err); ok {
		return e.Code() == sqlite3.SQLITE_CONSTRAINT_UNIQUE ||
			e.Code() == sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY
	}
	if e, ok := errors.AsType[*pgconn.PgError](err); ok {
		return e.Code == "23505"
	}
	return false
}

// isTransient reports whether the engine asks for the whole transaction to be run again.
func isTransient(err error) bool {
	if e, ok := errors.AsType[*sqlite.Error](err); ok {
		primary := e.Code() & 0xff
		return primary == sqlite3.SQLITE_BUSY || primary == sqlite3.SQLITE_LOCKED
	}
	if e, ok := errors.AsType[*pgconn.PgError](err); ok {
		return e.Code == "40001" || e.Code == "40P01" // serialization failure, deadlock
	}
	return false
}

// Unavailable reports whether err says that the database cannot be reached or used just
// now, and nothing about what was asked of it: callers answer 503 (design D20).
func Unavailable(err error) bool {
	if errors.Is(err, driver.ErrBadConn) || errors.Is(err, sql.ErrConnDone) {
		return true
	}
	if e, ok := errors.AsType[*sqlite.Error](err); ok {
		switch e.Code() & 0xff {
		case sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_FULL,
			sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_NOMEM, sqlite3.SQLITE_CORRUPT:
			return true
		}
		return false
	}
	if e, ok := errors.AsType[*pgconn.PgError](err); ok {
		// Connection exceptions, resources, operator intervention, read-only standby.
		return strings.HasPrefix(e.Code, "08") || strings.HasPrefix(e.Code, "53") ||
			strings.HasPrefix(e.Code, "57") || e.Code == "25006"
	}
	_, ok := errors.AsType[*pgconn.ConnectError](err)
	return ok
}
