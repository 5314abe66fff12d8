package store

import (
	"context"

	"barong/internal/account"
)

var labels = noun[account.Label]{
	columns: `l.id, u.uid, l.key, l.value, l.scope, l.description, l.created_at, l.updated_at`,
	from:    `labels l JOIN users u ON u.id = l.user_id`,
	into: func(l *account.Label) []any {
		return []any{&l.ID, &l.UserUID, &l.Key, &l.Value, &l.Scope, &l.Description, at(&l.CreatedAt), at(&l.UpdatedAt)}
	},
	missing: account.ErrNoLabel,
}

// Labels implements account.Tx.
func (q queries) Labels(ctx context.Context, uid string) ([]account.Label, error) {
	return labels.many(ctx, q, "list labels", lockUser(uid), `WHERE u.uid = $1 ORDER BY l.id`, uid)
}

// Label implements account.Tx.
func (q queries) Label(ctx context.Context, uid, key, scope string) (account.Label, error) {
	return labels.one(ctx, q, "load label", lockUser(uid),
		`WHERE u.uid = $1 AND l.key = $2 AND l.scope = $3`, uid, key, scope)
}

// LabelHolders implements account.Reader. It finds the page among the labels, by their index, before
// it looks at users.
func (q queries) LabelHolders(ctx context.Context, of account.LabelQuery) (all []account.User, total int, err error) {
	err = q.together(ctx, "list users with a label", func(q querier) error {
		f := holders(of)
		if err := q.QueryRowContext(ctx, holderCount+f.where(), f.args...).Scan(&total); err != nil || of.Offset >= total {
			return err
		}
		rest, args := holderPage(f, of.Limit, of.Offset)
		all, err = users.list(ctx, q, rest, args...)
		return err
	})
	return all, total, err
}

const holderCount = `SELECT count(DISTINCT l.user_id) FROM labels l`

// holderPage is the part of a query after FROM that takes a page of users.
func holderPage(f filter, limit, offset int) (rest string, args []any) {
	page, args := f.page(limit, offset)
	return ` WHERE u.id IN (SELECT DISTINCT l.user_id FROM labels l` + f.where() + ` ORDER BY l.user_id` + page + `) ORDER BY u.id`, args
}

// holders is the condition of a query on labels l.
func holders(of account.LabelQuery) (f filter) {
	scopes := []string{of.Scope}
	if of.Scope == "" { // the index begins with it
		scopes = []string{account.ScopePrivate, account.ScopePublic}
	}
	marks, args := inList(scopes)
	f.conds, f.args = append(f.conds, "l.scope IN "+marks), args
	f.match("l.key", of.Key)
	f.match("l.value", of.Value)
	column := "l.created_at"
	if of.Updated {
		column = "l.updated_at"
	}
	f.between(column, of.From, of.To)
	return f
}

// LabelCounts implements account.Tx.
func (q queries) LabelCounts(ctx context.Context) ([]account.LabelCount, error) {
	return many(ctx, q, "count labels", unlocked, func(row scanner) (c account.LabelCount, err error) {
		return c, row.Scan(&c.Key, &c.Value, &c.Users)
	}, `SELECT key, value, count(*) FROM labels WHERE scope = 'private' GROUP BY key, value ORDER BY key, value`)
}

// PutLabel implements account.Tx.
func (q queries) PutLabel(ctx context.Context, l *account.Label) error {
	return q.write(ctx, "put label", func(t *txn) error {
		user, err := t.lockedUserID(ctx, l.UserUID)
		if err != nil {
			return err
		}
		l.UpdatedAt = t.now
		return t.QueryRowContext(ctx, `
			INSERT INTO labels (user_id, key, value, scope, description, created_at, updated_at)
			VALUES ($1, $2, $3, $4, $5, $6, $6)
			ON CONFLICT (user_id, key, scope) DO UPDATE
			SET value = excluded.value, description = excluded.description,
			    updated_at = excluded.updated_at
			RETURNING id, created_at`,
			user, l.Key, l.Value, l.Scope, l.Description, t.now.UnixMicro()).Scan(&l.ID, at(&l.CreatedAt))
	})
}

// DeleteLabel implements account.Tx.
func (q queries) DeleteLabel(ctx context.Context, uid, key, scope string) error {
	return q.writeLocked(ctx, "delete label", lockUser(uid), func(t *txn) error {
		return t.change(ctx, account.ErrNoLabel, `
			DELETE FROM labels
			WHERE user_id = (SELECT id FROM users WHERE uid = $1) AND key = $2 AND scope = $3`,
			uid, key, scope)
	})
}

// Levels implements account.Tx.
func (q queries) Levels(ctx context.Context) ([]account.Level, error) {
	return many(ctx, q, "list levels", unlocked, func(row scanner) (l account.Level, err error) {
		return l, row.Scan(&l.ID, &l.Key, &l.Value, &l.Description)
	}, `SELECT id, key, value, description FROM levels ORDER BY id`)
}

// PutLevel implements account.Tx.
func (q queries) PutLevel(ctx context.Context, l account.Level) error {
	return q.writeLocked(ctx, "put level", serialize("levels"), func(t *txn) error {
		err := t.free(ctx, account.ErrTaken,
			`SELECT 1 FROM levels WHERE key = $1 AND value = $2 AND id <> $3`, l.Key, l.Value, l.ID)
		if err != nil {
			return err
		}
		err = t.exec(ctx, `
			INSERT INTO levels (id, key, value, description, created_at, updated_at)
			VALUES ($1, $2, $3, $4, $5, $5)
			ON CONFLICT (id) DO UPDATE
			SET key = excluded.key, value = excluded.value, description = excluded.description,
			    updated_at = excluded.updated_at`,
			l.ID, l.Key, l.Value, l.Description, t.now.UnixMicro())
		return updated(err, account.ErrTaken)
	})
}
