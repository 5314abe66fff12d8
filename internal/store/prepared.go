package store

import (
	"context"
	"database/sql"
	"sync/atomic"
)

// prepared is a statement of a frequent read, prepared at its first use: before the
// migration there is nothing to prepare it on. Safe for concurrent use.
type prepared struct {
	text string
	stmt atomic.Pointer[sql.Stmt]
}

// row runs the statement on committed rows.
func (p *prepared) row(ctx context.Context, db *DB, args ...any) *sql.Row {
	pool := db.r
	if db.pg != nil {
		// Every connection of pgx prepares its statements by itself.
		return pool.QueryRowContext(ctx, p.text, args...)
	}
	s := p.stmt.Load() //nolint:sqlclosecheck // DB.Close closes it
	if s == nil {
		fresh, err := pool.PrepareContext(ctx, p.text)
		if err != nil {
			return pool.QueryRowContext(ctx, p.text, args...) // says the same error, or works
		}
		if !p.stmt.CompareAndSwap(nil, fresh) {
			fresh.Close() //nolint:sqlclosecheck // the one that lost, at once
		}
		s = p.stmt.Load() //nolint:sqlclosecheck // as above
	}
	return s.QueryRowContext(ctx, args...)
}

func (p *prepared) close() error {
	if s := p.stmt.Load(); s != nil {
		return s.Close() //nolint:sqlclosecheck // this is the closing
	}
	return nil
}

func (db *DB) prepareTexts() {
	db.sessionByID.text = sessions.query(`WHERE id = $1 AND expires_at > $2`)
	db.userByUID.text = selectUserPrincipal
	db.serviceAccountByUID.text = selectServiceAccountPrincipal
	db.keyByKid.text = selectKeyRecord
}
