package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"barong/internal/factor"
)

const passkeysTable, passkeyName = "passkeys", "name" // sealing binds to them

// sealedPasskey is a passkey as its row has it.
type sealedPasskey struct {
	factor.Passkey
	name []byte
}

var passkeys = noun[sealedPasskey]{
	columns: `p.uuid, u.uid, p.name, p.credential_id, h.handle, p.public_key, p.sign_count, p.synced, p.created_at, p.last_used_at`,
	from:    `passkeys p JOIN users u ON u.id = p.user_id JOIN passkey_handles h ON h.user_id = p.user_id`,
	into: func(p *sealedPasskey) []any {
		return []any{
			&p.ID, &p.UserUID, &p.name, &p.CredentialID, &p.Handle, &p.PublicKey, &p.SignCount, &p.Synced,
			at(&p.CreatedAt), at(&p.LastUsedAt),
		}
	},
	missing: factor.ErrNoPasskey,
}

// opened is p with its name.
func (q queries) openedPasskey(p sealedPasskey) (factor.Passkey, error) {
	name, err := q.open(p.name, passkeysTable, passkeyName, p.ID)
	p.Name = string(name)
	return p.Passkey, err
}

// Passkeys implements factor.Tx.
func (q queries) Passkeys(ctx context.Context, uid string) ([]factor.Passkey, error) {
	sealed, err := passkeys.many(ctx, q, "list passkeys", lockUser(uid), `WHERE u.uid = $1 ORDER BY p.id`, uid)
	if err != nil {
		return nil, err
	}
	all := make([]factor.Passkey, len(sealed))
	for i, p := range sealed {
		if all[i], err = q.openedPasskey(p); err != nil {
			return nil, fmt.Errorf("list passkeys: %w", err)
		}
	}
	return all, nil
}

// PasskeyOf implements factor.Tx.
func (q queries) PasskeyOf(ctx context.Context, credentialID []byte) (factor.Passkey, error) {
	p, err := passkeys.one(ctx, q, "load passkey", unlocked, `WHERE p.credential_id = $1`, credentialID)
	if err != nil {
		return factor.Passkey{}, err
	}
	return q.openedPasskey(p)
}

// UserHandle implements factor.Tx.
func (q queries) UserHandle(ctx context.Context, uid string, fresh []byte) (handle []byte, err error) {
	err = q.write(ctx, "load user handle", func(t *txn) error {
		user, err := t.lockedUserID(ctx, uid)
		if err != nil {
			return err
		}
		err = t.QueryRowContext(ctx, `SELECT handle FROM passkey_handles WHERE user_id = $1`, user).Scan(&handle)
		if !errors.Is(err, sql.ErrNoRows) {
			return err
		}
		handle = fresh
		return t.exec(ctx, `INSERT INTO passkey_handles (user_id, handle, created_at) VALUES ($1, $2, $3)`,
			user, fresh, t.now.UnixMicro())
	})
	return handle, err
}

// AddPasskey implements factor.Tx. The lock on the user makes two at once count each other.
func (q queries) AddPasskey(ctx context.Context, p *factor.Passkey, most int) error {
	return q.write(ctx, "add passkey", func(t *txn) error {
		user, err := t.lockedUserID(ctx, p.UserUID)
		if err != nil {
			return err
		}
		var held int
		if err := t.QueryRowContext(ctx, `SELECT count(*) FROM passkeys WHERE user_id = $1`, user).Scan(&held); err != nil {
			return err
		}
		if held >= most {
			return factor.ErrTooManyPasskeys
		}
		row, sealed, err := q.seal([]byte(p.Name), passkeysTable, passkeyName)
		if err != nil {
			return err
		}
		p.ID, p.CreatedAt = row, t.now
		var id int64
		err = t.QueryRowContext(ctx, `
			INSERT INTO passkeys (uuid, user_id, name, credential_id, public_key, sign_count, synced, created_at, last_used_at)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
			ON CONFLICT DO NOTHING
			RETURNING id`,
			row, user, sealed, p.CredentialID, p.PublicKey, int64(p.SignCount), p.Synced, t.now.UnixMicro(), orNull(p.LastUsedAt)).Scan(&id)
		return inserted(err, factor.ErrPasskeyTaken)
	})
}

// UsePasskey implements factor.Tx: one conditional write, so of two uses with one count one wins
// whatever the isolation.
func (q queries) UsePasskey(ctx context.Context, uid, id string, count uint32) error {
	return q.writeLocked(ctx, "use passkey", lockUser(uid), func(t *txn) error {
		const mine = ` uuid = $1 AND user_id = (SELECT id FROM users WHERE uid = $2)`
		n, err := affected(ctx, t, `
			UPDATE passkeys SET sign_count = $3, last_used_at = $4
			WHERE`+mine+` AND (sign_count < $3 OR sign_count = 0 AND $3 = 0)`, id, uid, int64(count), t.now.UnixMicro())
		if err != nil || n > 0 {
			return err
		}
		there, err := exists(ctx, t, `SELECT 1 FROM passkeys WHERE`+mine, id, uid)
		switch {
		case err != nil:
			return err
		case there:
			return factor.ErrCopiedPasskey
		}
		return factor.ErrNoPasskey
	})
}

// RenamePasskey implements factor.Tx.
func (q queries) RenamePasskey(ctx context.Context, uid, id, name string) error {
	return q.writeLocked(ctx, "rename passkey", lockUser(uid), func(t *txn) error {
		sealed, err := q.sealAs([]byte(name), passkeysTable, passkeyName, id)
		if err != nil {
			return err
		}
		return t.change(ctx, factor.ErrNoPasskey, `
			UPDATE passkeys SET name = $1 WHERE uuid = $2 AND user_id = (SELECT id FROM users WHERE uid = $3)`, sealed, id, uid)
	})
}

// DeletePasskey implements factor.Tx.
func (q queries) DeletePasskey(ctx context.Context, uid, id string) error {
	return q.writeLocked(ctx, "delete passkey", lockUser(uid), func(t *txn) error {
		return t.change(ctx, factor.ErrNoPasskey,
			`DELETE FROM passkeys WHERE uuid = $1 AND user_id = (SELECT id FROM users WHERE uid = $2)`, id, uid)
	})
}

// DeletePasskeys implements account.Tx.
func (q queries) DeletePasskeys(ctx context.Context, uid string) (n int, err error) {
	err = q.writeLocked(ctx, "delete passkeys", lockUser(uid), func(t *txn) error {
		gone, err := affected(ctx, t, `DELETE FROM passkeys WHERE user_id = (SELECT id FROM users WHERE uid = $1)`, uid)
		n = int(gone)
		return err
	})
	return n, err
}
