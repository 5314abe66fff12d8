package store

import (
	"context"

	"barong/internal/account"
	"barong/internal/person"
)

var dataStorages = noun[person.DataStorage]{
	columns: `d.id, u.uid, d.title, d.data, d.created_at, d.updated_at`,
	from:    `data_storages d JOIN users u ON u.id = d.user_id`,
	into: func(d *person.DataStorage) []any {
		return []any{&d.ID, &d.UserUID, &d.Title, &d.Data, at(&d.CreatedAt), at(&d.UpdatedAt)}
	},
	missing: account.ErrNotFound,
}

// DataStorages implements person.Tx.
func (q queries) DataStorages(ctx context.Context, uid string) ([]person.DataStorage, error) {
	return dataStorages.many(ctx, q, "list data storages", lockUser(uid), `WHERE u.uid = $1 ORDER BY d.id`, uid)
}

// AddDataStorage implements person.Tx.
func (q queries) AddDataStorage(ctx context.Context, d *person.DataStorage) error {
	return q.write(ctx, "add data storage", func(t *txn) error {
		user, err := t.lockedUserID(ctx, d.UserUID)
		if err != nil {
			return err
		}
		d.CreatedAt, d.UpdatedAt = t.now, t.now
		err = t.QueryRowContext(ctx, `
			INSERT INTO data_storages (user_id, title, data, created_at, updated_at)
			VALUES ($1, $2, $3, $4, $4)
			ON CONFLICT DO NOTHING
			RETURNING id`, user, d.Title, d.Data, t.now.UnixMicro()).Scan(&d.ID)
		return inserted(err, account.ErrTaken)
	})
}

// DeleteDataStorage implements person.Tx.
func (q queries) DeleteDataStorage(ctx context.Context, uid, title string) error {
	return q.writeLocked(ctx, "delete data storage", lockUser(uid), func(t *txn) error {
		return t.change(ctx, person.ErrNoStorage, `
			DELETE FROM data_storages
			WHERE user_id = (SELECT id FROM users WHERE uid = $1) AND title = $2`, uid, title)
	})
}
