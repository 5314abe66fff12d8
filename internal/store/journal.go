package store

import (
	"context"

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
	journal := activities
	journal.from += ` JOIN users u ON u.uid = a.actor_uid`
	return journal.page(ctx, q, "list journal", f, `a.created_at DESC, a.id DESC`, query.Limit, query.Offset)
}
