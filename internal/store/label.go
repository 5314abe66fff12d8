package store

import (
	"context"
	"fmt"

	"barong/internal/account"
)

const selectLabel = `
	SELECT l.id, u.uid, l.key, l.value, l.scope, l.description, l.created_at, l.updated_at
	FROM labels l JOIN users u ON u.id = l.user_id `

func scanLabel(row scanner) (l account.Label, err error) {
	err = row.Scan(&l.ID, &l.UserUID, &l.Key, &l.Value, &l.Scope, &l.Description,
		at(&l.CreatedAt), at(&l.UpdatedAt))
	return l, found(err, account.ErrNotFound)
}

// Labels implements account.LabelStore.
func (q queries) Labels(ctx context.Context, uid string) ([]account.Label, error) {
	if err := q.held(func(t *txn) error { return t.lockUser(ctx, uid) }); err != nil {
		return nil, fmt.Errorf("list labels: %w", err)
	}
	all, err := list(ctx, q.read(), scanLabel, selectLabel+`WHERE u.uid = $1 ORDER BY l.id`, uid)
	if err != nil {
		return nil, fmt.Errorf("list labels: %w", err)
	}
	return all, nil
}

// Label implements account.LabelStore.
func (q queries) Label(ctx context.Context, uid, key, scope string) (account.Label, error) {
	if err := q.held(func(t *txn) error { return t.lockUser(ctx, uid) }); err != nil {
		return account.Label{}, fmt.Errorf("load label: %w", err)
	}
	l, err := scanLabel(q.read().QueryRowContext(ctx,
		selectLabel+`WHERE u.uid = $1 AND l.key = $2 AND l.scope = $3`, uid, key, scope))
	if err != nil {
		return account.Label{}, fmt.Errorf("load label: %w", err)
	}
	return l, nil
}

// PutLabel implements account.LabelStore.
func (q queries) PutLabel(ctx context.Context, l *account.Label) error {
	return q.write(ctx, "put label", func(t *txn) error {
		user, err := t.lockedUserID(ctx, l.UserUID)
		if err != nil {
			return err
		}
		err = t.QueryRowContext(ctx, `
			INSERT INTO labels (user_id, key, value, scope, description, created_at, updated_at)
			VALUES ($1, $2, $3, $4, $5, $6, $6)
			ON CONFLICT (user_id, key, scope) DO UPDATE
			SET value = excluded.value, description = excluded.description,
			    updated_at = excluded.updated_at
			RETURNING id, created_at`,
			user, l.Key, l.Value, l.Scope, l.Description, t.now.UnixMicro()).Scan(&l.ID, at(&l.CreatedAt))
		l.UpdatedAt = t.now
		return err
	})
}

// DeleteLabel implements account.LabelStore.
func (q queries) DeleteLabel(ctx context.Context, uid, key, scope string) error {
	return q.write(ctx, "delete label", func(t *txn) error {
		if err := t.lockUser(ctx, uid); err != nil {
			return err
		}
		n, err := affected(ctx, t, `
			DELETE FROM labels
			WHERE user_id = (SELECT id FROM users WHERE uid = $1) AND key = $2 AND scope = $3`,
			uid, key, scope)
		if err == nil && n == 0 {
			err = account.ErrNotFound
		}
		return err
	})
}

// Levels implements account.LabelStore.
func (q queries) Levels(ctx context.Context) ([]account.Level, error) {
	all, err := list(ctx, q.read(), func(row scanner) (l account.Level, err error) {
		return l, row.Scan(&l.ID, &l.Key, &l.Value, &l.Description)
	}, `SELECT id, key, value, description FROM levels ORDER BY id`)
	if err != nil {
		return nil, fmt.Errorf("list levels: %w", err)
	}
	return all, nil
}

// PutLevel implements account.LabelStore.
func (q queries) PutLevel(ctx context.Context, l account.Level) error {
	return q.write(ctx, "put level", func(t *txn) error {
		if err := t.exclude(ctx, "levels"); err != nil {
			return err
		}
		taken, err := exists(ctx, t,
			`SELECT 1 FROM levels WHERE key = $1 AND value = $2 AND id <> $3`, l.Key, l.Value, l.ID)
		if err != nil {
			return err
		}
		if taken {
			return account.ErrTaken
		}
		_, err = t.ExecContext(ctx, `
			INSERT INTO levels (id, key, value, description, created_at, updated_at)
			VALUES ($1, $2, $3, $4, $5, $5)
			ON CONFLICT (id) DO UPDATE
			SET key = excluded.key, value = excluded.value, description = excluded.description,
			    updated_at = excluded.updated_at`,
			l.ID, l.Key, l.Value, l.Description, t.now.UnixMicro())
		return updated(err, account.ErrTaken)
	})
}
