package store

import (
	"context"
	"crypto/sha256"

	"barong/internal/factor"
)

// recoveryHash is kept of a code, which opens one account.
func recoveryHash(uid, code string) []byte {
	sum := sha256.Sum256([]byte("barong recovery code " + uid + " " + code))
	return sum[:]
}

// RecoveryCodesLeft implements factor.Tx.
func (q queries) RecoveryCodesLeft(ctx context.Context, uid string) (int, error) {
	return one(ctx, q, "count recovery codes", lockUser(uid), nil, value[int], `
		SELECT count(*) FROM recovery_codes WHERE user_id = (SELECT id FROM users WHERE uid = $1)`, uid)
}

// PutRecoveryCodes implements factor.Tx.
func (q queries) PutRecoveryCodes(ctx context.Context, uid string, codes factor.RecoveryCodes) error {
	return q.write(ctx, "put recovery codes", func(t *txn) error {
		user, err := t.lockedUserID(ctx, uid)
		if err != nil {
			return err
		}
		if err := t.exec(ctx, `DELETE FROM recovery_codes WHERE user_id = $1`, user); err != nil {
			return err
		}
		for _, code := range codes {
			err = t.exec(ctx, `INSERT INTO recovery_codes (user_id, hash, created_at) VALUES ($1, $2, $3)`,
				user, recoveryHash(uid, code), t.now.UnixMicro())
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// UseRecoveryCode implements factor.Tx: one conditional write, so of two uses one wins whatever the
// isolation.
func (q queries) UseRecoveryCode(ctx context.Context, uid, code string) (bool, error) {
	var n int64
	err := q.writeLocked(ctx, "use recovery code", lockUser(uid), func(t *txn) (err error) {
		n, err = affected(ctx, t, `
			DELETE FROM recovery_codes
			WHERE user_id = (SELECT id FROM users WHERE uid = $1) AND hash = $2`, uid, recoveryHash(uid, code))
		return err
	})
	return n > 0, err
}

// DeleteRecoveryCodes implements account.Tx.
func (q queries) DeleteRecoveryCodes(ctx context.Context, uid string) error {
	return q.writeLocked(ctx, "delete recovery codes", lockUser(uid), func(t *txn) error {
		return t.exec(ctx, `DELETE FROM recovery_codes WHERE user_id = (SELECT id FROM users WHERE uid = $1)`, uid)
	})
}
