package store

import (
	"context"
	"database/sql"
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
		Scan(&head.Seq, named(&head.Name), &head.Server)
	return head, err
}

// named scans a column of names; NULL is the zero name.
func named(n *feed.Name) sql.Scanner { return (*nameColumn)(n) }

type nameColumn feed.Name

// Scan implements sql.Scanner.
func (n *nameColumn) Scan(v any) error {
	*n = nameColumn{}
	raw, ok := v.([]byte)
	switch {
	case v == nil:
		return nil
	case !ok || len(raw) != len(n):
		return fmt.Errorf("not a name: %T of %d bytes", v, len(raw))
	}
	*n = nameColumn(raw)
	return nil
}

// Includes reports whether the commit at c is part of this database's history: nil,
// feed.ErrHistory, or feed.ErrPruned where it is too old to say.
func (q queries) Includes(ctx context.Context, c feed.Cursor) error {
	c.Server = 0
	return q.view(ctx, "look for a commit", func(from querier) error {
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
		Scan(&head.Seq, named(&head.Name), &pruned.Seq, named(&pruned.Name), &head.Server)
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
			Scan(named(&there.Name))
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
	upTo := after
	err := q.view(ctx, "read changes", func(from querier) error {
		head, err := q.follows(ctx, from, after)
		if err != nil {
			return err
		}
		upTo = head
		if after.Seq == head.Seq {
			return nil
		}
		// The number of the first row that does not fit ends the page.
		var beyond int64
		more, err := exists64(ctx, from, &beyond,
			`SELECT seq FROM changes WHERE seq > $1 ORDER BY seq LIMIT 1 OFFSET $2`, after.Seq, limit)
		if err != nil {
			return err
		}
		if more {
			// Its number may have begun before it; then none of that number fits, unless it
			// is the first.
			upTo.Seq = max(beyond-1, after.Seq+1)
		}
		// The last row's name is that of the number the page ends with.
		all, err = list(ctx, from, func(row scanner) (c feed.Change, err error) {
			return c, row.Scan(&c.Seq, &c.Kind, &c.Ref, named(&upTo.Name))
		}, `SELECT seq, kind, ref, name FROM changes WHERE seq > $1 AND seq <= $2 ORDER BY seq, kind, ref`,
			after.Seq, upTo.Seq)
		return err
	})
	if q.db.pg != nil {
		q.db.pg.polled(err)
	}
	if err != nil {
		return nil, feed.Cursor{}, err
	}
	return all, upTo, nil
}

// exists64 scans the one number of a query and reports whether there was a row.
func exists64(ctx context.Context, q querier, n *int64, text string, args ...any) (bool, error) {
	numbers, err := list(ctx, q, func(row scanner) (n int64, err error) { return n, row.Scan(&n) }, text, args...)
	if err != nil || len(numbers) == 0 {
		return false, err
	}
	*n = numbers[0]
	return true, nil
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
		_, err := t.ExecContext(ctx, `
			UPDATE feed
			SET pruned = $1, pruned_name = (SELECT name FROM changes WHERE seq = $1 LIMIT 1)
			WHERE id = 1 AND pruned < $1`, pruned)
		return err
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
	err = q.view(ctx, "look for old changes", func(q querier) error {
		var young int64
		some, err := exists64(ctx, q, &young,
			`SELECT seq FROM changes WHERE created_at >= $1 ORDER BY seq LIMIT 1`, before.UnixMicro())
		if err != nil {
			return err
		}
		if some {
			upTo = young - 1
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
