package store

import (
	"context"
	"crypto/subtle"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"time"

	"barong/internal/account"
	"barong/internal/person"
	"barong/internal/secret"
)

// Sealing and hashing bind to these.
const (
	phonesTable = "phones"
	phoneNumber = "number"
	phoneCode   = "code"
)

// sealedPhone is a phone as its row has it.
type sealedPhone struct {
	person.Phone
	row    string
	number []byte
}

// provedPhone is the condition of a proof that counts.
const provedPhone = `validated_at IS NOT NULL AND released_at IS NULL`

var phones = noun[sealedPhone]{
	columns: `p.id, p.uuid, u.uid, p.country, p.number, CASE WHEN p.released_at IS NULL THEN p.validated_at END,
	       p.created_at, p.updated_at`,
	from: `phones p JOIN users u ON u.id = p.user_id`,
	into: func(p *sealedPhone) []any {
		return []any{
			&p.ID, &p.row, &p.UserUID, &p.Country, &p.number, at(&p.ProvedAt), at(&p.CreatedAt), at(&p.UpdatedAt),
		}
	},
	missing: person.ErrNoPhone,
}

// Phones implements person.Tx.
func (q queries) Phones(ctx context.Context, uid string) ([]person.Phone, error) {
	sealed, err := phones.many(ctx, q, "list phones", lockUser(uid), `WHERE u.uid = $1 ORDER BY p.id`, uid)
	if err != nil {
		return nil, err
	}
	all := make([]person.Phone, len(sealed))
	for i, p := range sealed {
		number, err := q.open(p.number, phonesTable, phoneNumber, p.row)
		if err != nil {
			return nil, fmt.Errorf("list phones: %w", err)
		}
		p.Number = string(number)
		all[i] = p.Phone
	}
	return all, nil
}

// PhoneProved implements person.Tx.
func (q queries) PhoneProved(ctx context.Context, number string) (bool, error) {
	is, err := q.numberIs(number)
	if err != nil {
		return false, fmt.Errorf("look for phone: %w", err)
	}
	return q.has(ctx, "look for phone", `SELECT 1 FROM phones WHERE `+is.cond(1)+` AND `+provedPhone, is.args()...)
}

// PhoneHolder implements person.Reader.
func (q queries) PhoneHolder(ctx context.Context, number string) (string, error) {
	const doing = "find the holder of a phone"
	is, err := q.numberIs(number)
	if err != nil {
		return "", fmt.Errorf("%s: %w", doing, err)
	}
	return one(ctx, q, doing, unlocked, person.ErrNoPhone, value[string], `
		SELECT u.uid FROM phones p JOIN users u ON u.id = p.user_id
		WHERE `+is.cond(1)+` ORDER BY CASE WHEN p.validated_at IS NOT NULL AND p.released_at IS NULL THEN 0 ELSE 1 END, p.id LIMIT 1`, is.args()...)
}

// PhoneAlias implements person.Tx.
func (q queries) PhoneAlias(number string) (string, error) {
	is, err := q.numberIs(number)
	if err != nil {
		return "", fmt.Errorf("name phone: %w", err)
	}
	return hex.EncodeToString(is.current().Sum), nil
}

// AddPhone implements person.Tx.
func (q queries) AddPhone(ctx context.Context, p *person.Phone) error {
	return q.write(ctx, "add phone", func(t *txn) error {
		user, err := t.lockedUserID(ctx, p.UserUID)
		if err != nil {
			return err
		}
		is, err := q.numberIs(p.Number)
		if err != nil {
			return err
		}
		// The unique key sees equal numbers under one key alone.
		err = t.free(ctx, account.ErrTaken, `SELECT 1 FROM phones WHERE user_id = $1 AND `+is.cond(2),
			append([]any{user}, is.args()...)...)
		if err != nil {
			return err
		}
		row, sealed, err := q.seal([]byte(p.Number), phonesTable, phoneNumber)
		if err != nil {
			return err
		}
		p.CreatedAt, p.UpdatedAt = t.now, t.now
		err = t.QueryRowContext(ctx, `
			INSERT INTO phones (uuid, user_id, country, number, number_index, index_key, created_at, updated_at)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $7)
			ON CONFLICT DO NOTHING
			RETURNING id`,
			row, user, p.Country, sealed, is.current().Sum, is.current().KeyID, t.now.UnixMicro()).Scan(&p.ID)
		return inserted(err, account.ErrTaken)
	})
}

// DeletePhone implements person.Tx.
func (q queries) DeletePhone(ctx context.Context, uid, number string) error {
	return q.onPhone(ctx, "delete phone", uid, number, func(t *txn, row string) error {
		return t.exec(ctx, `DELETE FROM phones WHERE uuid = $1`, row)
	})
}

// PutPhoneCode implements person.Tx.
func (q queries) PutPhoneCode(ctx context.Context, uid, number, code string, until time.Time) error {
	return q.onPhone(ctx, "put code of phone", uid, number, func(t *txn, row string) error {
		var kept []byte
		if code != "" {
			hash, err := q.index(codeOf(row, code), phonesTable, phoneCode)
			if err != nil {
				return err
			}
			kept = hash.Sum
		}
		return t.exec(ctx, `UPDATE phones SET code = $1, code_expires_at = $2, tries = 0, updated_at = $3 WHERE uuid = $4`,
			kept, until.UnixMicro(), t.now.UnixMicro(), row)
	})
}

// TryPhoneCode implements person.Tx. The condition is part of the write, so that no more tries pass
// however many there are at once.
func (q queries) TryPhoneCode(ctx context.Context, uid, number, code string, most int, now time.Time) (right bool, err error) {
	const doing = "try code of phone"
	is, err := q.numberIs(number)
	if err != nil {
		return false, fmt.Errorf("%s: %w", doing, err)
	}
	err = q.writeLocked(ctx, doing, lockUser(uid), func(t *txn) error {
		var row string
		var kept []byte
		err := t.QueryRowContext(ctx, `
			UPDATE phones SET tries = tries + 1
			WHERE user_id = (SELECT id FROM users WHERE uid = $1) AND code_expires_at > $2 AND tries < $3
			  AND `+is.cond(4)+` AND NOT (`+provedPhone+`)
			RETURNING uuid, code`,
			append([]any{uid, now.UnixMicro(), most}, is.args()...)...).Scan(&row, &kept)
		if err != nil {
			return found(err, person.ErrNoPhone)
		}
		all, err := q.indexes(codeOf(row, code), phonesTable, phoneCode)
		if err != nil {
			return err
		}
		right = false // in each run
		for _, one := range all {
			if subtle.ConstantTimeCompare(one.Sum, kept) == 1 {
				right = true
			}
		}
		return nil
	})
	return right, err
}

// ProvePhone implements person.Tx. The row moves to the current key, under which the unique key
// compares; transactions that prove the number under different keys wait for each other.
func (q queries) ProvePhone(ctx context.Context, uid, number string, proved time.Time) error {
	is, err := q.numberIs(number)
	if err != nil {
		return fmt.Errorf("prove phone: %w", err)
	}
	return q.onPhone(ctx, "prove phone", uid, number, func(t *txn, row string) error {
		for _, one := range is {
			if err := serialize("phone "+hex.EncodeToString(one.Sum))(ctx, t); err != nil {
				return err
			}
		}
		err := t.free(ctx, account.ErrTaken, `SELECT 1 FROM phones WHERE `+is.cond(1)+` AND `+provedPhone, is.args()...)
		if err != nil {
			return err
		}
		return updated(t.exec(ctx, `
			UPDATE phones
			SET validated_at = $1, released_at = NULL, code = NULL, code_expires_at = NULL,
			    number_index = $2, index_key = $3, updated_at = $4
			WHERE uuid = $5`,
			proved.UnixMicro(), is.current().Sum, is.current().KeyID, t.now.UnixMicro(), row), account.ErrTaken)
	})
}

// ReleasePhones implements account.Tx.
func (q queries) ReleasePhones(ctx context.Context, uid string) (int, error) {
	var n int64
	err := q.writeLocked(ctx, "release phones", lockUser(uid), func(t *txn) (err error) {
		n, err = affected(ctx, t, `
			UPDATE phones SET released_at = $1, updated_at = $1
			WHERE user_id = (SELECT id FROM users WHERE uid = $2) AND `+provedPhone,
			t.now.UnixMicro(), uid)
		return err
	})
	return int(n), err
}

// onPhone is write for one phone of a user, whose row is locked with the user; person.ErrNoPhone.
func (q queries) onPhone(ctx context.Context, doing, uid, number string, f func(t *txn, row string) error) error {
	is, err := q.numberIs(number)
	if err != nil {
		return fmt.Errorf("%s: %w", doing, err)
	}
	return q.writeLocked(ctx, doing, lockUser(uid), func(t *txn) error {
		var row string
		err := t.QueryRowContext(ctx, `
			SELECT uuid FROM phones
			WHERE user_id = (SELECT id FROM users WHERE uid = $1) AND `+is.cond(2),
			append([]any{uid}, is.args()...)...).Scan(&row)
		if errors.Is(err, sql.ErrNoRows) {
			return person.ErrNoPhone
		}
		if err != nil {
			return err
		}
		return f(t, row)
	})
}

// numberIs are the keyed hashes of a number, by any of which its row may be found.
func (q queries) numberIs(number string) (anyIndex, error) {
	return q.indexes(number, phonesTable, phoneNumber)
}

// anyIndex are the hashes of one value, the current key's first.
type anyIndex []secret.BlindIndex

func (is anyIndex) current() secret.BlindIndex { return is[0] }

// cond is the condition that number_index is one of them; its first parameter is $from.
func (is anyIndex) cond(from int) string {
	marks := make([]string, len(is))
	for i := range is {
		marks[i] = fmt.Sprintf("$%d", from+i)
	}
	return "number_index IN (" + strings.Join(marks, ", ") + ")"
}

func (is anyIndex) args() []any {
	args := make([]any, len(is))
	for i, one := range is {
		args[i] = one.Sum
	}
	return args
}

// codeOf binds a code to its row.
func codeOf(row, code string) string { return row + " " + code }
