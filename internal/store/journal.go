package store

import (
	"context"

	"barong/internal/account"
	"barong/internal/audit"
)

var _ audit.Journal = (*DB)(nil)

// Journal implements audit.Journal.
func (q queries) Journal(ctx context.Context, query audit.JournalQuery) ([]audit.Activity, int, error) {
	return q.activities(ctx, "list journal", journalFilter(query), query.Limit, query.Offset)
}

// journalFilter is the condition on activities a.
func journalFilter(query audit.JournalQuery) (f filter) {
	if query.Category != audit.CategoryAdmin {
		f.conds = append(f.conds, `a.actor_uid IN (SELECT u.uid FROM users u)`)
	}
	f.add("a.category = $%d", query.Category)
	for _, m := range []struct {
		column string
		value  *string
	}{{"a.topic", query.Topic}, {"a.action", query.Action}, {"a.actor_uid", query.ActorUID}, {"a.target_uid", query.TargetUID}} {
		if m.value != nil {
			f.add(m.column+" = $%d", *m.value)
		}
	}
	f.match("a.result", query.Result)
	if query.ActorEmail != nil {
		f.add("a.actor_uid IN (SELECT u.uid FROM users u WHERE u.email = $%d)", account.FoldEmail(*query.ActorEmail))
	}
	f.between("a.created_at", query.From, query.To)
	return f
}
