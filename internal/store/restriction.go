package store

import (
	"context"
	"fmt"

	"barong/internal/feed"
	"barong/policy"
	"barong/policy/editor"
)

const enabled = "enabled"

var restrictions = noun[policy.Restriction]{
	columns: `id, category, scope, value, code, state, lock_version, created_at, updated_at`,
	from:    `restrictions`,
	into: func(r *policy.Restriction) []any {
		return []any{
			&r.ID, &r.Category, &r.Scope, &r.Value, &r.Code, &r.State, &r.LockVersion, at(&r.CreatedAt), at(&r.UpdatedAt),
		}
	},
	missing: policy.ErrNotFound,
}

// Restrictions implements policy.Tx.
func (q queries) Restrictions(ctx context.Context) ([]policy.Restriction, error) {
	return restrictions.many(ctx, q, "list restrictions", unlocked, `ORDER BY id`)
}

// RestrictionPage implements editor.Store.
func (q queries) RestrictionPage(ctx context.Context, query editor.RestrictionQuery) ([]policy.Restriction, int, error) {
	order, err := orderBy(query.Order, editor.RestrictionOrders())
	if err != nil {
		return nil, 0, fmt.Errorf("list restrictions: %w", err)
	}
	all, total, err := restrictions.page(ctx, q, "list restrictions", restrictionFilter(query), order, query.Limit, query.Offset)
	return all, total, found(err, nil) // a text that no column can hold is in no row
}

// restrictionFilter is the condition on restrictions.
func restrictionFilter(query editor.RestrictionQuery) (f filter) {
	if query.ID != nil {
		f.add("id = $%d", *query.ID)
	}
	f.match("scope", query.Scope)
	f.match("category", query.Category)
	f.match("state", query.State)
	if query.Values != nil {
		f.in("value", query.Values)
	}
	if query.Code != nil {
		f.add("code = CAST($%d AS BIGINT)", *query.Code) // of any size
	}
	column := "created_at"
	if query.Updated {
		column = "updated_at"
	}
	f.between(column, query.From, query.To)
	return f
}

// AddRestriction implements policy.Tx.
func (q queries) AddRestriction(ctx context.Context, r *policy.Restriction) error {
	return q.writeLocked(ctx, "add restriction", lockPolicy, func(t *txn) error {
		err := t.QueryRowContext(ctx, `
			INSERT INTO restrictions (id, category, scope, value, code, state, lock_version, created_at, updated_at)
			VALUES (`+fmt.Sprintf(nextID, "restrictions")+`, $2, $3, $4, $5, $6, $7, $8, $8)
			ON CONFLICT DO NOTHING
			RETURNING id, lock_version`,
			idStep(), r.Category, r.Scope, r.Value, r.Code, r.State, newVersion(), t.now.UnixMicro()).
			Scan(&r.ID, &r.LockVersion)
		if err := inserted(err, policy.ErrTaken); err != nil {
			return err
		}
		r.CreatedAt, r.UpdatedAt = t.now, t.now
		t.changed(feed.Policy, "")
		return t.cutSessions(ctx, policy.Restriction{}, *r)
	})
}

// PutRestriction implements policy.Tx. A blocklogin rule whose scope or value changes while
// it is enabled counts as becoming enabled: it matches others than before.
func (q queries) PutRestriction(ctx context.Context, r *policy.Restriction) error {
	return q.writeLocked(ctx, "put restriction", lockPolicy, func(t *txn) error {
		old, err := restrictions.load(ctx, t, `WHERE id = $1 AND lock_version = $2`, r.ID, r.LockVersion)
		if err != nil {
			return err
		}
		err = t.free(ctx, policy.ErrTaken, `
			SELECT 1 FROM restrictions
			WHERE category = $1 AND scope = $2 AND value = $3 AND id <> $4`,
			r.Category, r.Scope, r.Value, r.ID)
		if err != nil {
			return err
		}
		version := newVersion()
		err = t.exec(ctx, `
			UPDATE restrictions
			SET category = $1, scope = $2, value = $3, code = $4, state = $5,
			    lock_version = $6, updated_at = $7
			WHERE id = $8`,
			r.Category, r.Scope, r.Value, r.Code, r.State, version, t.now.UnixMicro(), r.ID)
		if err := updated(err, policy.ErrTaken); err != nil {
			return err
		}
		r.LockVersion, r.CreatedAt, r.UpdatedAt = version, old.CreatedAt, t.now
		t.changed(feed.Policy, "")
		return t.cutSessions(ctx, old, *r)
	})
}

// cutSessions ends the sessions that a blocklogin rule matches when it becomes enabled
// (design D11), by one write however many they are.
func (t *txn) cutSessions(ctx context.Context, old, r policy.Restriction) error {
	blocks := func(r policy.Restriction) bool {
		return r.Category == policy.Blocklogin && r.State == enabled
	}
	if !blocks(r) || blocks(old) && old.Scope == r.Scope && old.Value == r.Value {
		return nil
	}
	if r.Scope == policy.ScopeAll {
		_, err := t.raiseEpoch(ctx)
		return err
	}
	return t.exec(ctx, `
		INSERT INTO session_cuts (scope, value, cut_at) VALUES ($1, $2, $3)
		ON CONFLICT (scope, value) DO UPDATE
		SET cut_at = CASE WHEN excluded.cut_at > session_cuts.cut_at
		                  THEN excluded.cut_at ELSE session_cuts.cut_at END`,
		r.Scope, r.Value, t.now.UnixMicro())
}

// DeleteRestriction implements policy.Tx; sessions that the restriction has cut stay cut.
func (q queries) DeleteRestriction(ctx context.Context, id int64) error {
	return q.writeLocked(ctx, "delete restriction", lockPolicy, func(t *txn) error {
		if err := t.change(ctx, policy.ErrNotFound, `DELETE FROM restrictions WHERE id = $1`, id); err != nil {
			return err
		}
		t.changed(feed.Policy, "")
		return nil
	})
}

// Rows implements policy.Store.
func (q queries) Rows(ctx context.Context) (policy.Rows, error) {
	var rows policy.Rows
	err := q.together(ctx, "load policy", func(from querier) (err error) {
		if rows.At, err = q.head(ctx, from); err != nil {
			return err
		}
		if rows.Permissions, err = permissions.list(ctx, from, `ORDER BY id`); err != nil {
			return err
		}
		if rows.Restrictions, err = restrictions.list(ctx, from, `ORDER BY id`); err != nil {
			return err
		}
		rows.Cuts, err = list(ctx, from, func(row scanner) (c policy.Cut, err error) {
			return c, row.Scan(&c.Scope, &c.Value, at(&c.At))
		}, `SELECT scope, value, cut_at FROM session_cuts ORDER BY id`)
		return err
	})
	if err != nil {
		return policy.Rows{}, err
	}
	return rows, nil
}
