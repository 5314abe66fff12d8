package store

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"barong/internal/account"
	"barong/internal/audit"
)

var _ audit.Journal = (*DB)(nil)

// Journal implements audit.Journal.
func (q queries) Journal(ctx context.Context, query audit.JournalQuery) (all []audit.Activity, n int, err error) {
	var f filter
	f.add("a.category = $%d", query.Category)
	for _, m := range []struct {
		column string
		value  *string
	}{{"a.topic", query.Topic}, {"a.action", query.Action}, {"a.actor_uid", query.ActorUID}, {"a.target_uid", query.TargetUID}} {
		if m.value != nil {
			f.add(m.column+" = $%d", *m.value)
		}
	}
	if query.ActorEmail != nil {
		f.add("u.email = $%d", account.FoldEmail(*query.ActorEmail))
	}
	f.between("a.created_at", query.From, query.To)
	page, args := f.page(query.Limit, query.Offset)
	const from = ` FROM activities a JOIN users u ON u.uid = a.actor_uid`
	err = q.view(ctx, "list journal", func(q querier) error {
		if err := q.QueryRowContext(ctx, `SELECT count(*)`+from+f.where(), f.args...).Scan(&n); err != nil {
			return err
		}
		all, err = list(ctx, q, func(row scanner) (a audit.Activity, err error) {
			return a, row.Scan(&a.ID, &a.ActorUID, &a.ActorKind, &a.ActorRef, &a.TargetUID, &a.Category,
				&a.IP, &a.IPCountry, &a.UserAgent, &a.Topic, &a.Action, &a.Result, &a.Data,
				at(&a.CreatedAt))
		}, `SELECT a.id, a.actor_uid, a.actor_kind, a.actor_ref, COALESCE(a.target_uid, ''),
			       a.category, a.ip, a.ip_country, a.user_agent, a.topic, a.action, a.result,
			       COALESCE(a.data, ''), a.created_at`+from+f.where()+`
			ORDER BY a.created_at DESC, a.id DESC`+page, args...)
		return err
	})
	return all, n, err
}

// UsersByUID loads the users among uids, by uid; those that are not there are left out.
func (q queries) UsersByUID(ctx context.Context, uids []string) (map[string]account.User, error) {
	users := make(map[string]account.User, len(uids))
	for part := range slices.Chunk(uids, 200) {
		marks, args := make([]string, len(part)), make([]any, len(part))
		for i, uid := range part {
			marks[i], args[i] = fmt.Sprintf("$%d", i+1), uid
		}
		all, err := list(ctx, q.read(), scanUser, selectUser+`WHERE u.uid IN (`+strings.Join(marks, ", ")+`)`, args...)
		if err != nil {
			return nil, fmt.Errorf("load users: %w", err)
		}
		for _, u := range all {
			users[u.UID] = u
		}
	}
	return users, nil
}
