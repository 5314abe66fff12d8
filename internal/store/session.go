package store

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"barong/internal/session"
)

var sessions = noun[session.Session]{
	columns: `id, uid, ip, user_agent, csrf_token, generation, epoch, created_at, expires_at`,
	from:    `sessions`,
	into: func(s *session.Session) []any {
		return []any{
			exactly(s.ID[:]), &s.UID, address(&s.IP), &s.UserAgent, &s.CSRFToken, &s.Generation, &s.Epoch,
			at(&s.CreatedAt), at(&s.ExpiresAt),
		}
	},
	missing: session.ErrNotFound,
}

// Session implements session.Store.
func (db *DB) Session(ctx context.Context, id session.ID, now time.Time) (session.Session, error) {
	s, err := sessions.scan(db.sessionByID.row(ctx, db, id[:], now.UnixMicro()))
	if err != nil {
		return session.Session{}, fmt.Errorf("load session: %w", err)
	}
	return s, nil
}

// SessionsOf implements session.Store, newest first.
func (q queries) SessionsOf(ctx context.Context, uid string, now time.Time) ([]session.Session, error) {
	return sessions.many(ctx, q, "list sessions", unlocked, `
		WHERE uid = $1 AND expires_at > $2
		ORDER BY created_at DESC, id LIMIT $3`, uid, now.UnixMicro(), session.MaxListed)
}

// AddSession implements session.Store; an id that exists is an error.
func (q queries) AddSession(ctx context.Context, s session.Session) error {
	return q.write(ctx, "add session", func(t *txn) error {
		ip := ""
		if s.IP.IsValid() {
			ip = s.IP.String()
		}
		return t.exec(ctx, `
			INSERT INTO sessions (id, uid, ip, user_agent, csrf_token, generation, epoch, created_at, expires_at)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)`,
			s.ID[:], s.UID, ip, []byte(s.UserAgent), s.CSRFToken, s.Generation, s.Epoch,
			s.CreatedAt.UnixMicro(), s.ExpiresAt.UnixMicro())
	})
}

// SlideSessions implements session.Store: a statement and a transaction for every 200, in
// the order of ids so that two callers cannot wait for each other. An error may leave some
// written; sliding again is harmless.
func (q queries) SlideSessions(ctx context.Context, to map[session.ID]time.Time) error {
	ids := slices.SortedFunc(maps.Keys(to), func(a, b session.ID) int { return bytes.Compare(a[:], b[:]) })
	for part := range slices.Chunk(ids, 200) {
		var values []string
		var args []any
		for _, id := range part {
			n := len(args)
			values = append(values, fmt.Sprintf("(CAST($%d AS %s), CAST($%d AS BIGINT))", n+1, q.db.dialect.BYTES, n+2))
			args = append(args, id[:], to[id].UnixMicro())
		}
		err := q.write(ctx, "slide sessions", func(t *txn) error {
			return t.exec(ctx, `
				WITH slid (id, expires_at) AS (VALUES `+strings.Join(values, ", ")+`)
				UPDATE sessions SET expires_at = slid.expires_at
				FROM slid
				WHERE sessions.id = slid.id AND sessions.expires_at < slid.expires_at`, args...)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// DeleteSession implements session.Store.
func (q queries) DeleteSession(ctx context.Context, id session.ID) error {
	_, err := q.run(ctx, "delete session", `DELETE FROM sessions WHERE id = $1`, id[:])
	return err
}

// DeleteExpired removes sessions that expired before now.
func (q queries) DeleteExpired(ctx context.Context, now time.Time) (int, error) {
	return q.deleteInParts(ctx, "delete expired sessions", `
		DELETE FROM sessions WHERE id IN (SELECT id FROM sessions WHERE expires_at < $1 LIMIT $2)`, now.UnixMicro())
}
