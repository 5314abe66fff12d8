package store

import (
	"context"
	"fmt"

	"barong/internal/feed"
	"barong/policy"
)

var (
	_ policy.ServiceTx    = queries{}
	_ policy.ServiceStore = (*DB)(nil)
)

// LockPolicy implements policy.ServiceTx.
func (q queries) LockPolicy(ctx context.Context) error {
	return q.write(ctx, "lock policy", func(t *txn) error { return t.lockPolicy(ctx) })
}

// NextChange implements policy.ServiceTx. The lock on the counter is held to the end of the
// transaction, so nobody else takes the number.
func (q queries) NextChange(ctx context.Context) (next feed.Cursor, err error) {
	err = q.write(ctx, "take change number", func(t *txn) error {
		next = t.at
		return t.QueryRowContext(ctx, `UPDATE feed SET seq = seq WHERE id = 1 RETURNING seq + 1`).Scan(&next.Seq)
	})
	return next, err
}

// RoleInUse implements policy.ServiceStore.
func (q queries) RoleInUse(ctx context.Context, role string) (bool, error) {
	for _, table := range []string{"users", "service_accounts"} {
		used, err := exists(ctx, q.read(), `SELECT 1 FROM `+table+` WHERE role = $1 LIMIT 1`, role)
		if err != nil {
			return false, fmt.Errorf("look for accounts of a role: %w", err)
		}
		if used {
			return true, nil
		}
	}
	return false, nil
}

// PermissionPage implements policy.ServiceStore.
func (q queries) PermissionPage(ctx context.Context, limit, offset int) (all []policy.Permission, n int, err error) {
	var f filter
	page, args := f.page(limit, offset)
	err = q.view(ctx, "list permissions", func(q querier) error {
		if err := q.QueryRowContext(ctx, `SELECT count(*) FROM permissions`).Scan(&n); err != nil {
			return err
		}
		all, err = list(ctx, q, func(row scanner) (p policy.Permission, err error) {
			return p, row.Scan(&p.ID, &p.Action, &p.Role, &p.Verb, &p.Path, &p.Topic, &p.LockVersion,
				at(&p.CreatedAt), at(&p.UpdatedAt))
		}, `SELECT id, action, role, verb, path, topic, lock_version, created_at, updated_at
			FROM permissions ORDER BY id`+page, args...)
		return err
	})
	return all, n, err
}

// RestrictionPage implements policy.ServiceStore.
func (q queries) RestrictionPage(
	ctx context.Context, query policy.RestrictionQuery,
) (all []policy.Restriction, n int, err error) {
	var f filter
	f.match("scope", query.Scope)
	f.match("category", query.Category)
	column := "created_at"
	if query.Updated {
		column = "updated_at"
	}
	f.between(column, query.From, query.To)
	page, args := f.page(query.Limit, query.Offset)
	err = q.view(ctx, "list restrictions", func(q querier) error {
		err := q.QueryRowContext(ctx, `SELECT count(*) FROM restrictions`+f.where(), f.args...).Scan(&n)
		if err != nil {
			return err
		}
		all, err = list(ctx, q, scanRestriction, selectRestriction+f.where()+` ORDER BY id`+page, args...)
		return err
	})
	return all, n, err
}
