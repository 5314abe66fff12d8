package store

import (
	"context"
	"fmt"

	"barong/internal/feed"
	"barong/policy"
	"barong/policy/editor"
)

// policyLock is held by writers of the policy, and shared by those that need a moment between two
// of them.
const policyLock = "policy"

// lockPolicy makes writers of policy rows wait for each other: there are few, and their
// rules look at other rows than the one they write. Their time is the database's, of after the wait:
// a blocklogin rule cuts off the sessions that were opened meanwhile, by any process.
func lockPolicy(ctx context.Context, t *txn) error {
	taken, err := t.serialize(ctx, policyLock)
	if err != nil || !taken {
		return err
	}
	now, err := readClock(ctx, t, t.dialect)
	if err != nil {
		return fmt.Errorf("read the database's clock: %w", err)
	}
	t.now = now.UTC()
	return nil
}

var permissions = noun[policy.Permission]{
	columns: `id, action, role, verb, path, topic, lock_version, created_at, updated_at`,
	from:    `permissions`,
	into: func(p *policy.Permission) []any {
		return []any{
			&p.ID, &p.Action, &p.Role, &p.Verb, &p.Path, &p.Topic, &p.LockVersion, at(&p.CreatedAt), at(&p.UpdatedAt),
		}
	},
	missing: policy.ErrNotFound,
}

// Permissions implements policy.Tx.
func (q queries) Permissions(ctx context.Context) ([]policy.Permission, error) {
	return permissions.many(ctx, q, "list permissions", unlocked, `ORDER BY id`)
}

// PermissionPage implements editor.Store.
func (q queries) PermissionPage(ctx context.Context, query editor.PermissionQuery) ([]policy.Permission, int, error) {
	order, err := orderBy(query.Order, editor.PermissionOrders())
	if err != nil {
		return nil, 0, fmt.Errorf("list permissions: %w", err)
	}
	all, total, err := permissions.page(ctx, q, "list permissions", permissionFilter(query), order, query.Limit, query.Offset)
	return all, total, found(err, nil) // a text that no column can hold is in no row
}

// permissionFilter is the condition on permissions.
func permissionFilter(query editor.PermissionQuery) (f filter) {
	if query.ID != nil {
		f.add("id = $%d", *query.ID)
	}
	for _, want := range []struct {
		column string
		value  *string
	}{{"role", query.Role}, {"verb", query.Verb}, {"action", query.Action}, {"topic", query.Topic}} {
		if want.value != nil {
			f.add(want.column+" = $%d", *want.value)
		}
	}
	if query.Path != nil {
		f.begins("path", *query.Path)
	}
	return f
}

// RoleExists implements account.Tx.
func (q queries) RoleExists(ctx context.Context, role string) (bool, error) {
	return q.has(ctx, "look up role", `SELECT 1 FROM permissions WHERE role = $1 LIMIT 1`, role)
}

// AddPermission implements policy.Tx.
func (q queries) AddPermission(ctx context.Context, p *policy.Permission) error {
	return q.writeLocked(ctx, "add permission", lockPolicy, func(t *txn) error {
		err := t.QueryRowContext(ctx, `
			INSERT INTO permissions (id, action, role, verb, path, topic, lock_version, created_at, updated_at)
			VALUES (`+fmt.Sprintf(nextID, "permissions")+`, $2, $3, $4, $5, $6, $7, $8, $8)
			ON CONFLICT DO NOTHING
			RETURNING id, lock_version`,
			idStep(), p.Action, p.Role, p.Verb, p.Path, p.Topic, newVersion(), t.now.UnixMicro()).
			Scan(&p.ID, &p.LockVersion)
		if err := inserted(err, policy.ErrTaken); err != nil {
			return err
		}
		p.CreatedAt, p.UpdatedAt = t.now, t.now
		t.changed(feed.Policy, "")
		return nil
	})
}

// PutPermission implements policy.Tx; ErrTaken when another row has its role, verb, path
// and action.
func (q queries) PutPermission(ctx context.Context, p *policy.Permission) error {
	return q.writeLocked(ctx, "put permission", lockPolicy, func(t *txn) error {
		err := t.free(ctx, policy.ErrTaken, `
			SELECT 1 FROM permissions
			WHERE role = $1 AND verb = $2 AND path = $3 AND action = $4 AND id <> $5`,
			p.Role, p.Verb, p.Path, p.Action, p.ID)
		if err != nil {
			return err
		}
		err = t.QueryRowContext(ctx, `
			UPDATE permissions
			SET action = $1, role = $2, verb = $3, path = $4, topic = $5,
			    lock_version = $6, updated_at = $7
			WHERE id = $8 AND lock_version = $9
			RETURNING lock_version, created_at`,
			p.Action, p.Role, p.Verb, p.Path, p.Topic, newVersion(), t.now.UnixMicro(), p.ID, p.LockVersion).
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
	return q.writeLocked(ctx, "delete permission", lockPolicy, func(t *txn) error {
		if err := t.change(ctx, policy.ErrNotFound, `DELETE FROM permissions WHERE id = $1`, id); err != nil {
			return err
		}
		t.changed(feed.Policy, "")
		return nil
	})
}
