package store

import (
	"context"
	"time"

	"barong/internal/account"
	"barong/internal/signin"
)

// MailToken implements signin.Tx.
func (q queries) MailToken(ctx context.Context, hash [32]byte, now time.Time) (signin.MailToken, error) {
	return one(ctx, q, "load mail token", unlocked, signin.ErrNoLink, func(row scanner) (signin.MailToken, error) {
		m := signin.MailToken{Hash: hash}
		return m, row.Scan(&m.UserUID, &m.Purpose, at(&m.ExpiresAt), at(&m.CreatedAt))
	}, `SELECT u.uid, m.purpose, m.expires_at, m.created_at
		FROM mail_tokens m JOIN users u ON u.id = m.user_id
		WHERE m.hash = $1 AND m.expires_at > $2`, hash[:], now.UnixMicro())
}

// AddMailToken implements signin.Tx. The lock on the user makes two at once count
// each other.
func (q queries) AddMailToken(ctx context.Context, m signin.MailToken, keep int) error {
	return q.write(ctx, "add mail token", func(t *txn) error {
		user, err := t.lockedUserID(ctx, m.UserUID)
		if err != nil {
			return err
		}
		var id int64
		err = t.QueryRowContext(ctx, `
			INSERT INTO mail_tokens (hash, user_id, purpose, expires_at, created_at)
			VALUES ($1, $2, $3, $4, $5)
			ON CONFLICT DO NOTHING
			RETURNING id`,
			m.Hash[:], user, m.Purpose, m.ExpiresAt.UnixMicro(), t.now.UnixMicro()).Scan(&id)
		if err != nil || keep <= 0 {
			return inserted(err, account.ErrTaken)
		}
		return t.exec(ctx, `
			DELETE FROM mail_tokens
			WHERE user_id = $1 AND purpose = $2 AND id NOT IN (
				SELECT id FROM mail_tokens WHERE user_id = $1 AND purpose = $2 ORDER BY id DESC LIMIT $3)`,
			user, m.Purpose, keep)
	})
}

// UseMailToken implements signin.Tx: one conditional write, so of two uses one
// wins whatever the isolation.
func (q queries) UseMailToken(ctx context.Context, hash [32]byte, now time.Time) (bool, error) {
	n, err := q.run(ctx, "use mail token",
		`DELETE FROM mail_tokens WHERE hash = $1 AND expires_at > $2`, hash[:], now.UnixMicro())
	return n > 0, err
}

// DeleteMailTokens implements signin.Tx.
func (q queries) DeleteMailTokens(ctx context.Context, uid, purpose string) error {
	return q.writeLocked(ctx, "delete mail tokens", lockUser(uid), func(t *txn) error {
		var f filter
		f.add("user_id = (SELECT id FROM users WHERE uid = $%d)", uid)
		f.match("purpose", purpose)
		return t.exec(ctx, `DELETE FROM mail_tokens`+f.where(), f.args...)
	})
}

// DeleteExpiredMailTokens forgets links that have expired at now and returns how many.
func (q queries) DeleteExpiredMailTokens(ctx context.Context, now time.Time) (int, error) {
	return q.deleteInParts(ctx, "delete expired mail tokens", `
		DELETE FROM mail_tokens
		WHERE id IN (SELECT id FROM mail_tokens WHERE expires_at <= $1 LIMIT $2)`, now.UnixMicro())
}
