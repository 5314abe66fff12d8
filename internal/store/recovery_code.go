package store

import (
	"context"
	"fmt"
	"strings"

	"barong/internal/factor"
)

const recoveryTable, recoveryHash = "recovery_codes", "hash" // hashing binds to them

// recoveryValue is the value that is hashed: a code opens one account.
func recoveryValue(uid, code string) string { return uid + " " + code }

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
			i, err := q.index(recoveryValue(uid, code), recoveryTable, recoveryHash)
			if err != nil {
				return err
			}
			err = t.exec(ctx, `INSERT INTO recovery_codes (user_id, hash, key_id, created_at) VALUES ($1, $2, $3, $4)`,
				user, i.Sum, i.KeyID, t.now.UnixMicro())
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// UseRecoveryCode implements factor.Tx: one conditional write, so of two uses one wins whatever the
// isolation. The code may have been hashed under an older key.
func (q queries) UseRecoveryCode(ctx context.Context, uid, code string) (bool, error) {
	all, err := q.indexes(recoveryValue(uid, code), recoveryTable, recoveryHash)
	if err != nil {
		return false, fmt.Errorf("use recovery code: %w", err)
	}
	args, marks := []any{uid}, make([]string, len(all))
	for n, i := range all {
		args = append(args, i.Sum)
		marks[n] = fmt.Sprintf("$%d", len(args))
	}
	var n int64
	err = q.writeLocked(ctx, "use recovery code", lockUser(uid), func(t *txn) (err error) {
		n, err = affected(ctx, t, `
			DELETE FROM recovery_codes
			WHERE user_id = (SELECT id FROM users WHERE uid = $1) AND hash IN (`+strings.Join(marks, ", ")+`)`, args...)
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
