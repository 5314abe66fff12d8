package store

import (
	"context"
	"fmt"
	"slices"

	"barong/internal/feed"
	"barong/policy"
)

// lockPolicy makes writers of policy rows wait for each other: there are few, and their
// rules look at other rows than the one they write.
func (t *txn) lockPolicy(ctx context.Context) error {
	const name = "policy"
	if t.dialect.Exclude == "" || slices.Contains(t.held, name) {
		return nil
	}
	if err := t.exclude(ctx, name); err != nil {
		return err
	}
	t.tick() // sessions opened while we waited are cut off too
	return nil
}

// writePolicy is write for policy rows.
func (q queries) writePolicy(ctx context.Context, what string, f func(*txn) error) error {
	return q.write(ctx, what, func(t *txn) error {
		if err := t.lockPolicy(ctx); err != nil {
			return err
		}
		return f(t)
	})
}

func listPermissions(ctx context.Context, q querier) ([]policy.Permission, error) {
	return list(ctx, q, func(row scanner) (p policy.Permission, err error) {
		return p, row.Scan(&p.ID, &p.Action, &p.Role, &p.Verb, &p.Path, &p.Topic, &p.LockVersion,
			at(&p.CreatedAt), at(&p.UpdatedAt))
	}, `SELECT id, action, role, verb, path, topic, lock_version, created_at, updated_at
		FROM permissions ORDER BY id`)
}

// Permissions implements policy.Tx.
func (q queries) Permissions(ctx context.Context) ([]policy.Permission, error) {
	all, err := listPermissions(ctx, q.read())
	if err != nil {
		return nil, fmt.Errorf("list permissions: %w", err)
	}
	return all, nil
}

// RoleExists implements account.Tx.
func (q queries) RoleExists(ctx context.Context, role string) (bool, error) {
	ok, err := exists(ctx, q.read(), `SELECT 1 FROM permissions WHERE role = $1 LIMIT 1`, role)
	if err != nil {
		return false, fmt.Errorf("look up role: %w", err)
	}
	return ok, nil
}

// AddPermission implements policy.Tx.
func (q queries) AddPermission(ctx context.Context, p *policy.Permission) error {
	return q.writePolicy(ctx, "add permission", func(t *txn) error {
		err := t.QueryRowContext(ctx, `
			INSERT INTO permissions (action, role, verb, path, topic, lock_version, created_at, updated_at)
			VALUES ($1, $2, $3, $4, $5, 1, $6, $6)
			ON CONFLICT DO NOTHING
			RETURNING id`,
			p.Action, p.Role, p.Verb, p.Path, p.Topic, t.now.UnixMicro()).Scan(&p.ID)
		if err := inserted(err, policy.ErrTaken); err != nil {
			return err
		}
		p.LockVersion, p.CreatedAt, p.UpdatedAt = 1, t.now, t.now
		t.changed(feed.Policy, "")
		return nil
	})
}

// PutPermission implements policy.Tx; ErrTaken when another row has its role, verb, path
// and action.
func (q queries) PutPermission(ctx context.Context, p *policy.Permission) error {
	return q.writePolicy(ctx, "put permission", func(t *txn) error {
		taken, err := exists(ctx, t, `
			SELECT 1 FROM permissions
			WHERE role = $1 AND verb = $2 AND path = $3 AND action = $4 AND id <> $5`,
			p.Role, p.Verb, p.Path, p.Action, p.ID)
		if err != nil {
			return err
		}
		if taken {
			return policy.ErrTaken
		}
		err = t.QueryRowContext(ctx, `
			UPDATE permissions
			SET action = $1, role = $2, verb = $3, path = $4, topic = $5,
			    lock_version = lock_version + 1, updated_at = $6
			WHERE id = $7 AND lock_version = $8
			RETURNING lock_version, created_at`,
			p.Action, p.Role, p.Verb, p.Path, p.Topic, t.now.UnixMicro(), p.ID, p.LockVersion).
			Scan(&p.LockVersion, at(&p.CreatedAt))
		if err := updated(found(err, policy.ErrNotFound), policy.ErrTaken); err != nil {
			return err
		}
		p.UpdatedAt = t.now
		t.changed(feed.Policy, "")
		return nil
	})
}

// DeletePermission implements policy.Tx.
func (q queries) DeletePermission(ctx context.Context, id int64) error {
	return q.writePolicy(ctx, "delete permission", func(t *txn) error {
		n, err := affected(ctx, t, `DELETE FROM permissions WHERE id = $1`, id)
		if err != nil {
			return err
		}
		if n == 0 {
			return policy.ErrNotFound
		}
		t.changed(feed.Policy, "")
		return nil
	})
}
