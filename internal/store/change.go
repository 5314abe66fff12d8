package store

import (
	"context"
	"fmt"
	"time"

	"barong/internal/feed"
)

// Head implements feed.Source.
func (q queries) Head(ctx context.Context) (feed.Cursor, error) {
	head, err := q.head(ctx, q.read())
	if err != nil {
		return feed.Cursor{}, fmt.Errorf("read feed head: %w", err)
	}
	return head, nil
}

// head is the newest commit that q sees.
func (q queries) head(ctx context.Context, from querier) (head feed.Cursor, err error) {
	err = from.QueryRowContext(ctx, `SELECT seq, name, `+q.db.dialect.Server+` FROM feed WHERE id = 1`).
		Scan(&head.Seq, exactly(head.Name[:]), &head.Server)
	return head, err
}

// Includes reports whether the commit at c is part of this database's history: nil,
// feed.ErrHistory, or feed.ErrPruned where it is too old to say.
func (q queries) Includes(ctx context.Context, c feed.Cursor) error {
	c.Server = 0
	return q.together(ctx, "look for a commit", func(from querier) error {
		_, err := q.follows(ctx, from, c)
		return err
	})
}

// follows returns the newest commit if everything after the cursor is kept, else an ErrGap.
// Numbers have no gaps: each that was not pruned has rows.
func (q queries) follows(ctx context.Context, from querier, after feed.Cursor) (head feed.Cursor, err error) {
	pruned := feed.Cursor{}
	err = from.QueryRowContext(ctx,
		`SELECT seq, name, pruned, pruned_name, `+q.db.dialect.Server+` FROM feed WHERE id = 1`).
		Scan(&head.Seq, exactly(head.Name[:]), &pruned.Seq, exactly(pruned.Name[:]), &head.Server)
	if err != nil {
		return head, err
	}
	there := feed.Cursor{Seq: after.Seq} // the commit of this number
	switch after.Seq {
	case head.Seq:
		there.Name = head.Name
	case pruned.Seq:
		there.Name = pruned.Name
	default:
		if after.Seq < pruned.Seq {
			return head, feed.ErrPruned
		}
		err := from.QueryRowContext(ctx, `SELECT name FROM changes WHERE seq = $1 LIMIT 1`, after.Seq).
			Scan(exactly(there.Name[:]))
		if err != nil {
			return head, found(err, feed.ErrHistory) // beyond the head, too
		}
	}
	switch {
	case !there.Same(after):
		return head, feed.ErrHistory
	case after.Server != 0 && after.Server != head.Server:
		return head, feed.ErrServer
	}
	return head, nil
}

// Changes implements feed.Source. A number with more than limit rows is returned whole.
func (q queries) Changes(ctx context.Context, after feed.Cursor, limit int) ([]feed.Change, feed.Cursor, error) {
	limit = max(limit, 1)
	var all []feed.Change
	upTo, began := after, time.Now()
	err := q.together(ctx, "read changes", func(from querier) error {
		head, err := q.follows(ctx, from, after)
		if err != nil {
			return err
		}
		upTo = head
		if after.Seq == head.Seq {
			return nil
		}
		// The number of the first row that does not fit ends the page.
		beyond, err := list(ctx, from, value[int64],
			`SELECT seq FROM changes WHERE seq > $1 ORDER BY seq LIMIT 1 OFFSET $2`, after.Seq, limit)
		if err != nil {
			return err
		}
		if len(beyond) > 0 {
			// Its number may have begun before it; then none of that number fits, unless it
			// is the first.
			upTo.Seq = max(beyond[0]-1, after.Seq+1)
		}
		// The last row's name is that of the number the page ends with.
		all, err = list(ctx, from, func(row scanner) (c feed.Change, err error) {
			return c, row.Scan(&c.Seq, &c.Kind, &c.Ref, exactly(upTo.Name[:]))
		}, `SELECT seq, kind, ref, name FROM changes WHERE seq > $1 AND seq <= $2 ORDER BY seq, kind, ref`,
			after.Seq, upTo.Seq)
		return err
	})
	if q.db.pg != nil {
		q.db.pg.polled(err, time.Since(began))
	}
	if err != nil {
		return nil, feed.Cursor{}, err
	}
	return all, upTo, nil
}

// DeleteChanges implements feed.Source. It prunes from the oldest up to the first row that
// is young enough, so that the kept rows have no holes even when clocks disagree.
func (q queries) DeleteChanges(ctx context.Context, before time.Time) (int, error) {
	pruned, err := q.oldChanges(ctx, before)
	if err != nil {
		return 0, err
	}
	// The mark first and alone: every commit waits for that row, and a reader that comes
	// between finds a gap where rows still are, which costs no change.
	err = q.write(ctx, "prune changes", func(t *txn) error {
		return t.exec(ctx, `
			UPDATE feed
			SET pruned = $1, pruned_name = (SELECT name FROM changes WHERE seq = $1 LIMIT 1)
			WHERE id = 1 AND pruned < $1`, pruned)
	})
	if err != nil {
		return 0, err
	}
	return q.deleteInParts(ctx, "prune changes", `
		DELETE FROM changes
		WHERE (seq, kind, ref) IN (SELECT seq, kind, ref FROM changes WHERE seq <= $1 ORDER BY seq LIMIT $2)`, pruned)
}

// oldChanges is the number up to which all changes were written before a time.
func (q queries) oldChanges(ctx context.Context, before time.Time) (upTo int64, err error) {
	err = q.together(ctx, "look for old changes", func(q querier) error {
		young, err := list(ctx, q, value[int64],
			`SELECT seq FROM changes WHERE created_at >= $1 ORDER BY seq LIMIT 1`, before.UnixMicro())
		if err != nil {
			return err
		}
		if len(young) > 0 {
			upTo = young[0] - 1
			return nil
		}
		return q.QueryRowContext(ctx, `SELECT seq FROM feed WHERE id = 1`).Scan(&upTo)
	})
	return upTo, err
}

// Hint implements feed.Source. Every call returns the same channel, so it serves one
// receiver. On PostgreSQL the first call begins to listen for the commits of other processes
// too; one of this process may then be signalled twice.
func (db *DB) Hint() <-chan struct{} {
	if db.pg != nil {
		db.pg.listen(db.signal)
	}
	return db.hint
}
