package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"barong/internal/account"
)

var requests = noun[account.Request]{
	columns: `id, action, asker_kind, asker, asker_role, target_uid, content, seen, preview, rules, state, reason, decider,
		created_at, expires_at, decided_at`,
	from: `requests`,
	into: func(r *account.Request) []any {
		return []any{
			&r.ID, &r.Action, &r.AskerKind, &r.Asker, &r.AskerRole, &r.TargetUID, &r.Content, &r.Seen, &r.Preview, &r.Rules,
			&r.State, &r.Reason, &r.Decider, at(&r.CreatedAt), at(&r.ExpiresAt), at(&r.DecidedAt),
		}
	},
	missing: account.ErrNoRequest,
}

// Request implements account.Reader.
func (q queries) Request(ctx context.Context, id int64) (account.Request, error) {
	return requests.one(ctx, q, "load request", lockRows("requests", "id = $1", id), `WHERE id = $1`, id)
}

// RequestPage implements account.Reader.
func (q queries) RequestPage(ctx context.Context, query account.RequestQuery) ([]account.Request, int, error) {
	var f filter
	f.match("state", query.State)
	f.match("action", query.Action)
	f.match("asker", query.Asker)
	return requests.page(ctx, q, "list requests", f, "id DESC", query.Limit, query.Offset)
}

// OverdueRequests implements account.Reader.
func (q queries) OverdueRequests(ctx context.Context, limit int) ([]account.Request, error) {
	now, err := q.clock(ctx)
	if err != nil {
		return nil, fmt.Errorf("list overdue requests: %w", err)
	}
	return requests.many(ctx, q, "list overdue requests", unlocked,
		`WHERE state = 'open' AND expires_at <= $1 ORDER BY expires_at, id LIMIT $2`, now.UnixMicro(), limit)
}

// AddRequest implements account.Tx. The step from one id to the next is random: a confirmation of a request
// that a failover lost must not find another one of its number.
func (q queries) AddRequest(ctx context.Context, r *account.Request, life time.Duration, most int) error {
	return q.writeLocked(ctx, "add request", serialize("requests"), func(t *txn) error {
		var open int
		err := t.QueryRowContext(ctx, `SELECT count(*) FROM requests WHERE asker_kind = $1 AND asker = $2 AND state = 'open'`,
			r.AskerKind, r.Asker).Scan(&open)
		if err != nil {
			return err
		}
		if open >= most {
			return account.ErrTooManyRequests
		}
		expires, arg := t.after(12, life)
		r.State, r.Reason, r.Decider, r.CreatedAt, r.DecidedAt = account.RequestOpen, "", "", t.now, time.Time{}
		return t.QueryRowContext(ctx, `
			INSERT INTO requests (id, action, asker_kind, asker, asker_role, target_uid, content, seen, preview, rules, state, reason,
				decider, created_at, expires_at)
			VALUES (`+fmt.Sprintf(nextID, "requests")+`, $2, $3, $4, $5, $6, $7, $8, $9, $10, 'open', '', '', $11, `+expires+`)
			RETURNING id, expires_at`,
			idStep(), r.Action, r.AskerKind, r.Asker, r.AskerRole, r.TargetUID, r.Content, r.Seen, r.Preview, r.Rules,
			t.now.UnixMicro(), arg).Scan(&r.ID, at(&r.ExpiresAt))
	})
}

// CloseRequest implements account.Tx. Of two that close one request, the second finds it closed.
func (q queries) CloseRequest(ctx context.Context, r *account.Request) error {
	return q.write(ctx, "close request", func(t *txn) error {
		now, arg := t.after(6, 0)
		when := `expires_at > ` + now
		if r.State == account.RequestLapsed && r.Reason == account.LapsedByTime {
			when = `expires_at <= ` + now
		}
		err := t.QueryRowContext(ctx, `
			UPDATE requests SET state = $1, reason = $2, decider = $3, decided_at = $4
			WHERE id = $5 AND state = 'open' AND `+when+`
			RETURNING decided_at`, r.State, r.Reason, r.Decider, t.now.UnixMicro(), r.ID, arg).Scan(at(&r.DecidedAt))
		if errors.Is(err, sql.ErrNoRows) {
			return account.ErrRequestClosed
		}
		return err
	})
}
