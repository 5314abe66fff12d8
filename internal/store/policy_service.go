package store

import (
	"context"
	"fmt"

	"barong/internal/feed"
	"barong/policy/editor"
)

var (
	_ editor.Tx    = queries{}
	_ editor.Store = (*DB)(nil)
)

// LockPolicy implements editor.Tx.
func (q queries) LockPolicy(ctx context.Context) error {
	return q.writeLocked(ctx, "lock policy", lockPolicy, func(*txn) error { return nil })
}

// NextChange implements editor.Tx. The lock on the counter is held to the end of the
// transaction, so nobody else takes the number.
func (q queries) NextChange(ctx context.Context) (next feed.Cursor, err error) {
	err = q.write(ctx, "take change number", func(t *txn) error {
		next = t.at
		return t.QueryRowContext(ctx, `UPDATE feed SET seq = seq WHERE id = 1 RETURNING seq + 1`).Scan(&next.Seq)
	})
	return next, err
}

// CountPrincipals implements editor.Tx.
func (q queries) CountPrincipals(ctx context.Context, role string, atMost int) (total int, err error) {
	var f filter
	f.match("role", role)
	page, args := f.page(max(atMost, 1), 0)
	for _, table := range []string{"users", "service_accounts"} {
		var n int
		err := q.read().QueryRowContext(ctx, `SELECT count(*) FROM (SELECT 1 FROM `+table+f.where()+page+`) AS principals`, args...).Scan(&n)
		if err != nil {
			return 0, fmt.Errorf("count principals: %w", err)
		}
		total += n
	}
	return min(total, atMost), nil
}

// RoleInUse implements editor.Store.
func (q queries) RoleInUse(ctx context.Context, role string) (bool, error) {
	const doing = "look for accounts of a role"
	used, err := q.has(ctx, doing, `SELECT 1 FROM users WHERE role = $1 LIMIT 1`, role)
	if err != nil || used {
		return used, err
	}
	return q.has(ctx, doing, `SELECT 1 FROM service_accounts WHERE role = $1 LIMIT 1`, role)
}
