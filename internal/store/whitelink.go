package store

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"barong/policy/editor"
)

// AddWhitelink implements editor.Tx.
func (q queries) AddWhitelink(ctx context.Context, w editor.Whitelink) error {
	return q.write(ctx, "add whitelink", func(t *txn) error {
		now, arg := t.after(1, -late)
		if err := t.exec(ctx, `DELETE FROM whitelinks WHERE expires_at <= `+now, arg); err != nil {
			return err
		}
		return t.exec(ctx, `
			INSERT INTO whitelinks (hash, creator_uid, uses, expires_at, created_at)
			VALUES ($1, $2, $3, $4, $5)`,
			w.Hash[:], w.CreatorUID, w.Uses, w.ExpiresAt.UnixMicro(), t.now.UnixMicro())
	})
}

// UseWhitelink implements editor.Tx.
func (q queries) UseWhitelink(ctx context.Context, hash [32]byte, now time.Time) (editor.Whitelink, error) {
	w := editor.Whitelink{Hash: hash}
	err := q.write(ctx, "use whitelink", func(t *txn) error {
		err := t.QueryRowContext(ctx, `
			UPDATE whitelinks SET uses = uses - 1
			WHERE hash = $1 AND uses > 0 AND expires_at > $2
			RETURNING creator_uid, uses, expires_at`, hash[:], now.UnixMicro()).
			Scan(&w.CreatorUID, &w.Uses, at(&w.ExpiresAt))
		if !errors.Is(err, sql.ErrNoRows) {
			return err
		}
		err = t.free(ctx, editor.ErrWhitelinkUsed,
			`SELECT 1 FROM whitelinks WHERE hash = $1 AND expires_at > $2`, hash[:], now.UnixMicro())
		if err != nil {
			return err
		}
		return editor.ErrWhitelink
	})
	if err != nil {
		return editor.Whitelink{}, err
	}
	return w, nil
}
