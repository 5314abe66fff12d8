package store

import (
	"context"

	"barong/internal/factor"
)

const totpTable, totpSecret = "totp_secrets", "secret" // sealing binds to them

// TOTPSecret implements factor.Tx.
func (q queries) TOTPSecret(ctx context.Context, uid string) (factor.TOTPSecret, error) {
	return one(ctx, q, "load totp secret", lockUser(uid), factor.ErrNoSecret, func(row scanner) (s factor.TOTPSecret, err error) {
		var uuid string
		var sealed []byte
		if err = row.Scan(&s.UserUID, &uuid, &sealed, &s.LastStep); err == nil {
			s.Secret, err = q.open(sealed, totpTable, totpSecret, uuid)
		}
		return s, err
	}, `SELECT u.uid, s.uuid, s.secret, s.last_step
		FROM totp_secrets s JOIN users u ON u.id = s.user_id WHERE u.uid = $1`, uid)
}

// PutTOTPSecret implements factor.Tx; a replaced secret gets a new row identity, so
// that the old ciphertext opens nowhere.
func (q queries) PutTOTPSecret(ctx context.Context, s factor.TOTPSecret) error {
	return q.write(ctx, "put totp secret", func(t *txn) error {
		user, err := t.lockedUserID(ctx, s.UserUID)
		if err != nil {
			return err
		}
		row, sealed, err := q.seal(s.Secret, totpTable, totpSecret)
		if err != nil {
			return err
		}
		return t.exec(ctx, `
			INSERT INTO totp_secrets (uuid, user_id, secret, last_step, created_at, updated_at)
			VALUES ($1, $2, $3, $4, $5, $5)
			ON CONFLICT (user_id) DO UPDATE
			SET uuid = excluded.uuid, secret = excluded.secret, last_step = excluded.last_step,
			    updated_at = excluded.updated_at`,
			row, user, sealed, s.LastStep, t.now.UnixMicro())
	})
}

// AdvanceTOTP implements factor.Tx: one conditional write, so of two equal codes
// one wins whatever the isolation.
func (q queries) AdvanceTOTP(ctx context.Context, uid string, step int64) (bool, error) {
	var n int64
	err := q.writeLocked(ctx, "advance totp", lockUser(uid), func(t *txn) (err error) {
		n, err = affected(ctx, t, `
			UPDATE totp_secrets SET last_step = $1, updated_at = $2
			WHERE user_id = (SELECT id FROM users WHERE uid = $3) AND last_step < $1`,
			step, t.now.UnixMicro(), uid)
		return err
	})
	return n > 0, err
}

// DeleteTOTPSecret implements factor.Tx.
func (q queries) DeleteTOTPSecret(ctx context.Context, uid string) error {
	return q.writeLocked(ctx, "delete totp secret", lockUser(uid), func(t *txn) error {
		return t.exec(ctx, `DELETE FROM totp_secrets WHERE user_id = (SELECT id FROM users WHERE uid = $1)`, uid)
	})
}
