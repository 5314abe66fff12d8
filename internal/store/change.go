package store

import (
	"context"
	"fmt"
	"time"

	"barong/internal/feed"
)

// Head implements feed.Source.
func (q queries) Head(ctx context.Context) (seq int64, err error) {
	err = q.read().QueryRowContext(ctx, `SELECT seq FROM feed WHERE id = 1`).Scan(&seq)
	if err != nil {
		return 0, fmt.Errorf("read feed head: %w", err)
	}
	return seq, nil
}

// Changes implements feed.Source. A number with more than limit rows is returned whole.
func (q queries) Changes(ctx context.Context, after int64, limit int) ([]feed.Change, int64, error) {
	limit = max(limit, 1)
	var all []feed.Change
	upTo := after
	err := q.view(ctx, "read changes", func(q querier) error {
		var head, pruned int64
		err := q.QueryRowContext(ctx, `SELECT seq, pruned FROM feed WHERE id = 1`).Scan(&head, &pruned)
		if err != nil {
			return err
		}
		// A cursor beyond the head belongs to another history: a restored database.
		if after < pruned || after > head {
			return feed.ErrGap
		}
		if after == head {
			return nil
		}
		// The number of the first row that does not fit ends the page.
		upTo = head
		var beyond int64
		more, err := exists64(ctx, q, &beyond,
			`SELECT seq FROM changes WHERE seq > $1 ORDER BY seq LIMIT 1 OFFSET $2`, after, limit)
		if err != nil {
			return err
		}
		if more {
			// Its number may have begun before it; then none of that number fits, unless it
			// is the first.
			upTo = beyond - 1
			var first int64
			if _, err := exists64(ctx, q, &first, `SELECT min(seq) FROM changes WHERE seq > $1`, after); err != nil {
				return err
			}
			upTo = max(upTo, first)
		}
		all, err = list(ctx, q, func(row scanner) (c feed.Change, err error) {
			return c, row.Scan(&c.Seq, &c.Kind, &c.Ref)
		}, `SELECT seq, kind, ref FROM changes WHERE seq > $1 AND seq <= $2 ORDER BY seq, kind, ref`, after, upTo)
		return err
	})
	if q.db.pg != nil {
		q.db.pg.polled(err)
	}
	if err != nil {
		return nil, 0, err
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
// is young enough, so that what is kept has no holes even when clocks disagree.
func (q queries) DeleteChanges(ctx context.Context, before time.Time) (int, error) {
	pruned, err := q.oldChanges(ctx, before)
	if err != nil {
		return 0, err
	}
	// The mark first and alone: every commit waits for that row, and a reader who comes
	// between finds a gap where rows still are, which costs no change.
	err = q.write(ctx, "prune changes", func(t *txn) error {
		_, err := t.ExecContext(ctx, `UPDATE feed SET pruned = $1 WHERE id = 1 AND pruned < $1`, pruned)
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
