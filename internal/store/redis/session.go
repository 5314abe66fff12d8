package redis

import (
	"context"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"barong/internal/session"
)

// slideScript sets a later expiry in a record that is there and lengthens its life: never
// creates, never shortens (FX-46).
// KEYS[1] record; ARGV: the expiry in microseconds, the same as eight bytes, the life in
// milliseconds.
var slideScript = newScript(`
local head = redis.call('GETRANGE', KEYS[1], 0, 8)
if #head < 9 or string.byte(head, 1) ~= 1 then return 0 end
local old = 0
for i = 2, 9 do old = old * 256 + string.byte(head, i) end
if old >= tonumber(ARGV[1]) then return 0 end
redis.call('SETRANGE', KEYS[1], 1, ARGV[2])
redis.call('PEXPIRE', KEYS[1], ARGV[3])
return 1`)

func (s *Store) sessionKey(id session.ID) string {
	return s.cfg.Prefix + "session:" + hex.EncodeToString(id[:])
}

// life is the time to live of a key that must be kept until then: whole milliseconds, at least one.
func (s *Store) life(until time.Time) int64 {
	return max(1, (until.Sub(s.cfg.Now()) + time.Millisecond - 1).Milliseconds())
}

// Session implements session.Store. Calls at the same time share exchanges with Redis. A value
// that is no session of this id is an error, neither ErrNotFound nor Unavailable.
func (s *Store) Session(ctx context.Context, id session.ID, now time.Time) (session.Session, error) {
	v, err := s.one(ctx, "GET", s.sessionKey(id))
	if errors.Is(err, goredis.Nil) {
		return session.Session{}, session.ErrNotFound
	}
	if err != nil {
		return session.Session{}, fmt.Errorf("load session: %w", err)
	}
	text, _ := v.(string)
	found, err := decode(id, text)
	if err != nil {
		return session.Session{}, fmt.Errorf("load session: %w", err)
	}
	if !found.ExpiresAt.After(now) {
		return session.Session{}, session.ErrNotFound
	}
	return found, nil
}

// AddSession implements session.Store; another session under the same id is an error. A
// session whose record is stored counts even if it could not be added to its user's index, which
// only makes it miss in lists and is logged.
func (s *Store) AddSession(ctx context.Context, x session.Session) error {
	b, err := encode(x)
	if err != nil {
		return fmt.Errorf("add session: %w", err)
	}
	key := s.sessionKey(x.ID)
	set := goredis.NewCmd(context.Background(), "SET", key, b, "NX", "PX", s.life(x.ExpiresAt.Add(session.Afterlife)))
	if err := s.addListed(ctx, key, set, x); err != nil {
		return fmt.Errorf("add session: %w", err)
	}
	return nil
}

// SlideSessions implements session.Store, in pipelines of a batch each. An error may leave
// some written; sliding again is harmless.
func (s *Store) SlideSessions(ctx context.Context, to map[session.ID]time.Time) error {
	calls := make([]call, 0, min(len(to), s.cfg.Batch))
	left := len(to)
	for id, at := range to {
		left--
		expires := at.UnixMicro()
		if expires < 0 || expires >= 1<<53 {
			return fmt.Errorf("slide sessions: to %v", at)
		}
		calls = append(calls, call{s.sessionKey(id), []any{
			expires, binary.BigEndian.AppendUint64(nil, uint64(expires)), s.life(at.Add(session.Afterlife)),
		}})
		if len(calls) < s.cfg.Batch && left > 0 {
			continue
		}
		if _, err := s.eval(ctx, slideScript, calls...); err != nil {
			return fmt.Errorf("slide sessions: %w", err)
		}
		calls = calls[:0]
	}
	return nil
}

// DeleteSession implements session.Store.
func (s *Store) DeleteSession(ctx context.Context, id session.ID) error {
	if _, err := s.one(ctx, "DEL", s.sessionKey(id)); err != nil {
		return fmt.Errorf("delete session: %w", err)
	}
	return nil
}
