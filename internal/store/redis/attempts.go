package redis

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"time"
)

// takeScript counts one try, or returns how many microseconds to wait.
// KEYS[1] hash n, e; ARGV: limit, now, end of a window that began now (both in
// microseconds), the life of such a window in milliseconds.
var takeScript = newScript(`
local was = redis.call('HMGET', KEYS[1], 'n', 'e')
local n, e = tonumber(was[1] or 0), tonumber(was[2] or 0)
local limit, now = tonumber(ARGV[1]), tonumber(ARGV[2])
local fresh = n == 0 or now >= e
if fresh then n, e = 0, tonumber(ARGV[3]) end
if n >= limit then return e - now end
if fresh then
	redis.call('HSET', KEYS[1], 'n', 1, 'e', ARGV[3])
	redis.call('PEXPIRE', KEYS[1], ARGV[4])
else
	redis.call('HINCRBY', KEYS[1], 'n', 1)
end
return 0`)

// returnScript takes one counted try back. KEYS[1] as above.
var returnScript = newScript(`
if tonumber(redis.call('HGET', KEYS[1], 'n') or 0) > 0 then
	redis.call('HINCRBY', KEYS[1], 'n', -1)
end
return 0`)

// skew is how much longer than a window it is remembered: the clocks of replicas differ.
const skew = time.Minute

// attemptsKey hides the key, which may hold an e-mail address.
func (s *Store) attemptsKey(key string) string {
	sum := sha256.Sum256([]byte(key))
	return s.cfg.Prefix + "attempts:" + hex.EncodeToString(sum[:])
}

// Take implements account.Attempts, for all replicas together. After an error the try may
// have been counted.
func (s *Store) Take(
	ctx context.Context, key string, limit int, window time.Duration, now time.Time,
) (wait time.Duration, err error) {
	v, err := s.eval(ctx, takeScript, call{s.attemptsKey(key), []any{
		limit, now.UnixMicro(), now.Add(window).UnixMicro(), max(1, (window + skew).Milliseconds()),
	}})
	if err != nil {
		return 0, fmt.Errorf("count attempt: %w", err)
	}
	micros, ok := v[0].(int64)
	if !ok || micros < 0 {
		return 0, fmt.Errorf("count attempt: redis says %v", v[0])
	}
	return time.Duration(micros) * time.Microsecond, nil
}

// Return implements account.Attempts.
func (s *Store) Return(ctx context.Context, key string, _ time.Time) error {
	if _, err := s.eval(ctx, returnScript, call{key: s.attemptsKey(key)}); err != nil {
		return fmt.Errorf("return attempt: %w", err)
	}
	return nil
}
