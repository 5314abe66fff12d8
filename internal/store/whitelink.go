package store

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"barong/policy"
)

// AddWhitelink implements policy.ServiceTx.
func (q queries) AddWhitelink(ctx context.Context, w policy.Whitelink) error {
	return q.write(ctx, "add whitelink", func(t *txn) error {
		now, arg := t.after(1, -late)
		_, err := t.ExecContext(ctx, `DELETE FROM whitelinks WHERE expires_at <= `+now, arg)
		if err != nil {
			return err
		}
		_, err = t.ExecContext(ctx, `
			INSERT INTO whitelinks (hash, creator_uid, uses, expires_at, created_at)
			VALUES ($1, $2, $3, $4, $5)`,
			w.Hash[:], w.CreatorUID, w.Uses, w.ExpiresAt.UnixMicro(), t.now.UnixMicro())
		return err
	})
}

// UseWhitelink implements policy.ServiceTx.
func (q queries) UseWhitelink(ctx context.Context, hash [32]byte, now time.Time) (policy.Whitelink, error) {
	w := policy.Whitelink{Hash: hash}
	err := q.write(ctx, "use whitelink", func(t *txn) error {
		err := t.QueryRowContext(ctx, `
			UPDATE whitelinks SET uses = uses - 1
			WHERE hash = $1 AND uses > 0 AND expires_at > $2
			RETURNING creator_uid, uses, expires_at`, hash[:], now.UnixMicro()).
			Scan(&w.CreatorUID, &w.Uses, at(&w.ExpiresAt))
		if !errors.Is(err, sql.ErrNoRows) {
			return err
		}
		var known bool
		err = t.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM whitelinks WHERE hash = $1 AND expires_at > $2)`,
			hash[:], now.UnixMicro()).Scan(&known)
		switch {
		case err != nil:
			return err
		case known:
			return policy.ErrWhitelinkUsed
		}
		return policy.ErrWhitelink
	})
	if err != nil {
		return policy.Whitelink{}, err
	}
	return w, nil
}
