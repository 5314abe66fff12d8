package store

import (
	"bytes"
	"context"
	"encoding/hex"
	"fmt"
	"slices"
	"time"

	"barong/internal/feed"
	"barong/internal/session"
)

// EndSession implements session.Ledger. Ending one again keeps the later of both times. It
// goes in the order of ids, so that two callers cannot wait for each other.
func (q queries) EndSession(ctx context.Context, keep time.Duration, ids ...session.ID) error {
	ids = slices.SortedFunc(slices.Values(ids), func(a, b session.ID) int { return bytes.Compare(a[:], b[:]) })
	return q.write(ctx, "end session", func(t *txn) error {
		until, arg := t.after(2, keep)
		for _, id := range ids {
			err := t.exec(ctx, `
				INSERT INTO ended_sessions (id, expires_at) VALUES ($1, `+until+`)
				ON CONFLICT (id) DO UPDATE
				SET expires_at = CASE WHEN excluded.expires_at > ended_sessions.expires_at
				                      THEN excluded.expires_at ELSE ended_sessions.expires_at END`,
				id[:], arg)
			if err != nil {
				return err
			}
			t.changed(feed.Session, hex.EncodeToString(id[:]))
		}
		return nil
	})
}

// EndedSessions implements session.Ledger, in the order of ids.
func (q queries) EndedSessions(ctx context.Context) ([]session.ID, error) {
	return many(ctx, q, "list ended sessions", unlocked, func(row scanner) (id session.ID, err error) {
		return id, row.Scan(exactly(id[:]))
	}, `SELECT id FROM ended_sessions ORDER BY id`)
}

// Ended implements session.Ledger.
func (q queries) Ended(ctx context.Context, id session.ID) (bool, error) {
	return q.has(ctx, "look up ended session", `SELECT 1 FROM ended_sessions WHERE id = $1`, id[:])
}

// Epoch implements session.Ledger.
func (q queries) Epoch(ctx context.Context) (int64, error) {
	return one(ctx, q, "load session epoch", unlocked, nil, value[int64], `SELECT epoch FROM session_epoch WHERE id = 1`)
}

// Moment is the present one. It waits for writers of the policy, and they for it: a cut is either of a
// commit that the moment includes, or later.
func (q queries) Moment(ctx context.Context) (m session.Moment, err error) {
	err = q.write(ctx, "look at the clock", func(t *txn) error {
		if err := t.share(ctx, policyLock); err != nil {
			return err
		}
		now, arg := t.after(1, 0)
		return t.QueryRowContext(ctx, `
			SELECT CAST(`+now+` AS BIGINT), e.epoch, f.seq, f.name, `+q.db.dialect.Server+`
			FROM session_epoch e, feed f WHERE e.id = 1 AND f.id = 1`, arg).
			Scan(at(&m.At), &m.Epoch, &m.Commit.Seq, exactly(m.Commit.Name[:]), &m.Commit.Server)
	})
	return m, err
}

// EndAll implements session.Ledger and account.Tx.
func (q queries) EndAll(ctx context.Context) (epoch int64, err error) {
	err = q.write(ctx, "end all sessions", func(t *txn) (err error) {
		epoch, err = t.raiseEpoch(ctx)
		return err
	})
	return epoch, err
}

func (t *txn) raiseEpoch(ctx context.Context) (epoch int64, err error) {
	err = t.QueryRowContext(ctx, `
		UPDATE session_epoch SET epoch = `+fmt.Sprintf(nextInSQL, "epoch")+` WHERE id = 1
		RETURNING epoch`, nameNoise()).Scan(&epoch)
	if err == nil {
		t.changed(feed.Epoch, "")
	}
	return epoch, err
}

// DeleteEnded forgets records whose time was over before now. It changes no verdict and leaves
// no feed row: those sessions have expired.
func (q queries) DeleteEnded(ctx context.Context, now time.Time) (int, error) {
	return q.deleteInParts(ctx, "delete ended sessions", `
		DELETE FROM ended_sessions
		WHERE id IN (SELECT id FROM ended_sessions WHERE expires_at < $1 LIMIT $2)`, now.UnixMicro())
}
