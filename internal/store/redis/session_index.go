package redis

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"barong/internal/session"
)

// An index is the sorted set of one user's session ids (32 bytes each) by the last moment, in
// milliseconds, that each can live to however much it is used. It lies apart from the records
// and may name a session that is gone: a list reads the records and takes such names out.

// indexScript adds an id, takes out those whose moment has passed, keeps the newest, and lets
// the index live as long as the last of them.
// KEYS[1] index; ARGV: id, its moment, now, how many to keep.
var indexScript = newScript(`
redis.call('ZADD', KEYS[1], ARGV[2], ARGV[1])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', ARGV[3])
redis.call('ZREMRANGEBYRANK', KEYS[1], 0, -1 - tonumber(ARGV[4]))
local last = redis.call('ZRANGE', KEYS[1], -1, -1, 'WITHSCORES')
if last[2] then
	redis.call('PEXPIRE', KEYS[1], string.format('%.0f', math.max(1, tonumber(last[2]) - tonumber(ARGV[3]))))
end
return 1`)

func (s *Store) indexKey(uid string) string { return s.cfg.Prefix + "sessions:" + uid }

// addListed sends set, which stores the record of x under key, and then adds x to its user's
// index: in the same pipeline where one server has both. The order keeps a list from taking
// out a session whose record is on its way.
func (s *Store) addListed(ctx context.Context, key string, set *goredis.Cmd, x session.Session) error {
	last := x.CreatedAt.Add(s.cfg.SessionLife)
	if last.Before(x.ExpiresAt) {
		last = x.ExpiresAt
	}
	add := call{s.indexKey(x.UID), []any{
		x.ID[:], last.UnixMilli() + 1, s.cfg.Now().UnixMilli(), session.MaxListed,
	}}
	note := indexScript.command(context.Background(), "EVALSHA", indexScript.sha, add)
	home, beside := s.laneOf(ctx, key), s.laneOf(ctx, add.key)
	var err error
	if home == beside {
		_, err = home.batch.both(ctx, set, note)
	} else {
		_, err = home.batch.do(ctx, set)
	}
	switch {
	case errors.Is(err, goredis.Nil):
		return errors.New("its id is taken")
	case err != nil:
		return told(err)
	}
	if home == beside {
		err = note.Err()
	} else {
		_, err = beside.batch.do(ctx, note)
	}
	if goredis.HasErrorPrefix(err, "NOSCRIPT") {
		_, err = beside.batch.do(ctx, indexScript.command(context.Background(), "EVAL", indexScript.text, add))
	}
	if err != nil {
		s.cfg.Log.WarnContext(ctx, "session will be missing in lists", "uid", x.UID, "error", err)
	}
	return nil
}

// SessionsOf implements session.Store. A record that cannot be read, as one of a later version
// while replicas are being replaced, is left out and logged.
func (s *Store) SessionsOf(ctx context.Context, uid string, now time.Time) ([]session.Session, error) {
	index := s.indexKey(uid)
	v, err := s.one(ctx, "ZRANGE", index, 0, -1)
	if err != nil {
		return nil, fmt.Errorf("list sessions: %w", err)
	}
	names, _ := v.([]any)
	var ids []session.ID
	var gone []any
	for _, name := range names {
		if text, _ := name.(string); len(text) == len(session.ID{}) {
			ids = append(ids, session.ID([]byte(text)))
		} else {
			gone = append(gone, name)
		}
	}
	records, err := s.records(ctx, ids)
	if err != nil {
		return nil, fmt.Errorf("list sessions: %w", err)
	}
	var all []session.Session
	for i, id := range ids {
		text, there := records[i].(string)
		if !there {
			gone = append(gone, id[:])
			continue
		}
		x, err := decode(id, text)
		switch {
		case err != nil:
			s.cfg.Log.WarnContext(ctx, "session left out of a list", "uid", uid, "error", err)
		case x.UID != uid:
			gone = append(gone, id[:])
		case x.ExpiresAt.After(now):
			all = append(all, x)
		}
	}
	if len(gone) > 0 {
		if _, err := s.one(ctx, "ZREM", index, gone...); err != nil {
			s.cfg.Log.WarnContext(ctx, "index of sessions not pruned", "uid", uid, "error", err)
		}
	}
	return all, nil
}

// records reads the values under ids, nil for none, in pipelines of a batch for each server.
func (s *Store) records(ctx context.Context, ids []session.ID) ([]any, error) {
	ways := make(map[*lane][]*goredis.Cmd, 1)
	cmds := make([]*goredis.Cmd, len(ids))
	for i, id := range ids {
		key := s.sessionKey(id)
		cmds[i] = goredis.NewCmd(ctx, "GET", key)
		l := s.laneOf(ctx, key)
		ways[l] = append(ways[l], cmds[i])
	}
	for l, way := range ways {
		for part := range slices.Chunk(way, s.cfg.Batch) {
			s.run(ctx, l, part)
		}
	}
	values := make([]any, len(cmds))
	for i, c := range cmds {
		v, err := c.Result()
		if err != nil && !errors.Is(err, goredis.Nil) {
			return nil, told(err)
		}
		values[i] = v
	}
	return values, nil
}
