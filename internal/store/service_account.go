package store

import (
	"context"
	"fmt"

	"barong/internal/account"
	"barong/internal/feed"
)

var serviceAccounts = noun[account.ServiceAccount]{
	columns: `a.id, a.uid, COALESCE(o.uid, ''), a.email, a.role, a.level, a.state, a.version,
	       a.lock_version, a.created_at, a.updated_at`,
	from: `service_accounts a LEFT JOIN users o ON o.id = a.owner_id`,
	into: func(a *account.ServiceAccount) []any {
		return []any{
			&a.ID, &a.UID, &a.OwnerUID, &a.Email, &a.Role, &a.Level, &a.State, &a.Version,
			&a.LockVersion, at(&a.CreatedAt), at(&a.UpdatedAt),
		}
	},
	missing: account.ErrNoServiceAccount,
}

func lockServiceAccount(uid string) lock { return lockRows("service_accounts", "uid = $1", uid) }

// ServiceAccount implements account.Tx.
func (q queries) ServiceAccount(ctx context.Context, uid string) (account.ServiceAccount, error) {
	return serviceAccounts.one(ctx, q, "load service account", lockServiceAccount(uid), `WHERE a.uid = $1`, uid)
}

// ServiceAccountsOf implements account.Tx.
func (q queries) ServiceAccountsOf(ctx context.Context, ownerUID string) ([]account.ServiceAccount, error) {
	return serviceAccounts.many(ctx, q, "list service accounts", unlocked, `WHERE o.uid = $1 ORDER BY a.id`, ownerUID)
}

// ServiceAccountByEmail implements account.Reader; it folds the address itself.
func (q queries) ServiceAccountByEmail(ctx context.Context, email string) (account.ServiceAccount, error) {
	email = account.FoldEmail(email)
	return serviceAccounts.one(ctx, q, "load service account by e-mail", lockRows("service_accounts", "email = $1", email),
		`WHERE a.email = $1`, email)
}

// ServiceAccountPage implements account.Reader.
func (q queries) ServiceAccountPage(ctx context.Context, of account.ServiceAccountQuery) ([]account.ServiceAccount, int, error) {
	var f filter
	if of.OwnerUID != "" {
		f.add("a.owner_id = (SELECT id FROM users WHERE uid = $%d)", of.OwnerUID)
	}
	total, err := one(ctx, q, "count service accounts", unlocked, nil, value[int], `SELECT count(*) FROM service_accounts a`+f.where(), f.args...)
	if err != nil {
		return nil, 0, err
	}
	page, args := f.page(of.Limit, of.Offset)
	list, err := serviceAccounts.many(ctx, q, "list service accounts", unlocked, f.where()+` ORDER BY a.id`+page, args...)
	return list, total, err
}

// AddServiceAccount implements account.Tx; it folds a.Email.
func (q queries) AddServiceAccount(ctx context.Context, a *account.ServiceAccount) error {
	return q.writeLocked(ctx, "add service account", serializeUID(a.UID), func(t *txn) error {
		owner, err := t.ownerID(ctx, a.OwnerUID)
		if err != nil {
			return err
		}
		email := account.FoldEmail(a.Email)
		err = t.free(ctx, account.ErrTaken, `SELECT 1 FROM users WHERE uid = $1 OR email = $2 AND state <> 'deleted'`, a.UID, email)
		if err != nil {
			return err
		}
		a.Email, a.Version, a.LockVersion, a.CreatedAt, a.UpdatedAt = email, nextName(0), 1, t.now, t.now
		err = t.QueryRowContext(ctx, `
			INSERT INTO service_accounts (uid, owner_id, email, role, level, state, version,
			                              lock_version, created_at, updated_at)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $9)
			ON CONFLICT DO NOTHING
			RETURNING id`,
			a.UID, owner, a.Email, a.Role, a.Level, a.State, a.Version, a.LockVersion,
			t.now.UnixMicro()).Scan(&a.ID)
		if err := inserted(err, account.ErrTaken); err != nil {
			return err
		}
		t.changed(feed.Principal, a.UID)
		return nil
	})
}

// PutServiceAccount implements account.Tx. a gets the counters and
// UpdatedAt as written; ErrNotFound also when there is no such owner.
func (q queries) PutServiceAccount(ctx context.Context, a *account.ServiceAccount) error {
	return q.writeLocked(ctx, "put service account", lockServiceAccount(a.UID), func(t *txn) error {
		old, err := serviceAccounts.load(ctx, t, `WHERE a.uid = $1`, a.UID)
		if err != nil {
			return err
		}
		owner, err := t.ownerID(ctx, a.OwnerUID)
		if err != nil {
			return err
		}
		email := account.FoldEmail(a.Email)
		err = t.free(ctx, account.ErrTaken, `SELECT 1 FROM service_accounts WHERE email = $1 AND id <> $2`, email, old.ID)
		if err == nil && email != old.Email {
			err = t.free(ctx, account.ErrTaken, `SELECT 1 FROM users WHERE email = $1 AND state <> 'deleted'`, email)
		}
		if err != nil {
			return err
		}
		version := old.Version
		if email != old.Email || a.OwnerUID != old.OwnerUID || a.Role != old.Role || a.Level != old.Level ||
			a.State != old.State {
			version = nextName(version)
		}
		err = t.exec(ctx, `
			UPDATE service_accounts
			SET owner_id = $1, email = $2, role = $3, level = $4, state = $5, version = $6,
			    lock_version = lock_version + 1, updated_at = $7
			WHERE id = $8`,
			owner, email, a.Role, a.Level, a.State, version, t.now.UnixMicro(), old.ID)
		if err := updated(err, account.ErrTaken); err != nil {
			return err
		}
		a.ID, a.Email, a.CreatedAt, a.UpdatedAt = old.ID, email, old.CreatedAt, t.now
		a.Version, a.LockVersion = version, old.LockVersion+1
		if version != old.Version {
			t.changed(feed.Principal, a.UID)
		}
		return nil
	})
}

// ownerID is the row id of an owner, nil for "".
func (t *txn) ownerID(ctx context.Context, uid string) (*int64, error) {
	if uid == "" {
		return nil, nil
	}
	id, err := userID(ctx, t, uid)
	if err != nil {
		return nil, fmt.Errorf("owner: %w", err)
	}
	return &id, nil
}
