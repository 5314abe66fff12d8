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

// row runs the statement on pool.
func (p *prepared) row(ctx context.Context, pool *sql.DB, args ...any) *sql.Row {
	s := p.stmt.Load()
	if s == nil {
		fresh, err := pool.PrepareContext(ctx, p.text)
		if err != nil {
			return pool.QueryRowContext(ctx, p.text, args...) // says the same error, or works
		}
		if !p.stmt.CompareAndSwap(nil, fresh) {
			fresh.Close()
		}
		s = p.stmt.Load()
	}
	return s.QueryRowContext(ctx, args...)
}

func (p *prepared) close() error {
	if s := p.stmt.Load(); s != nil {
		return s.Close()
	}
	return nil
}

func (db *DB) prepareTexts() {
	db.sessionByID.text = selectSession
	db.userByUID.text = selectUserPrincipal
	db.serviceAccountByUID.text = selectServiceAccountPrincipal
	db.keyByKid.text = selectKeyRecord
}
