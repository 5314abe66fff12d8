package redis

import (
	"context"
	"encoding/hex"
	"fmt"
	"time"

	"barong/internal/limit"
)

// spendScript is limit.Spend: it takes or gives back one and returns how many microseconds
// to wait, 0 when it did. Redis computes in doubles, which hold these numbers exactly.
// KEYS[1] when the bucket is full; ARGV: now, the number spent times the step, the room (all in
// microseconds), how many milliseconds a bucket is remembered after it is full.
var spendScript = newScript(`
local now, spent, room = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local full = math.min(math.max(tonumber(redis.call('GET', KEYS[1]) or 0), now), now + room) + spent
if full - now > room then return full - now - room end
if full > now then
	redis.call('SET', KEYS[1], string.format('%.0f', full), 'PX', math.ceil((full - now) / 1000) + ARGV[4])
else
	redis.call('DEL', KEYS[1])
end
return 0`)

// skew is how much longer than needed a bucket is remembered: the clocks of replicas differ.
const skew = time.Minute

// limitKey hides the key, which may hold an e-mail address.
func (s *Store) limitKey(key string) string {
	h := limit.HashOf(key)
	return s.cfg.Prefix + "limit:" + hex.EncodeToString(h[:])
}

// Take implements limit.Store, for all replicas together.
func (s *Store) Take(ctx context.Context, key string, r limit.Rule, now time.Time) (time.Duration, error) {
	if !r.Passes() {
		return r.Wait(), nil
	}
	return s.spend(ctx, "take from limit", key, 1, r, now)
}

// Return implements limit.Store.
func (s *Store) Return(ctx context.Context, key string, r limit.Rule, now time.Time) error {
	if !r.Passes() {
		return nil
	}
	_, err := s.spend(ctx, "give back to limit", key, -1, r, now)
	return err
}

func (s *Store) spend(
	ctx context.Context, what, key string, n int64, r limit.Rule, now time.Time,
) (wait time.Duration, err error) {
	step, room := r.Micros()
	v, err := s.eval(ctx, spendScript, call{s.limitKey(key), []any{
		now.UnixMicro(), n * step, room, skew.Milliseconds(),
	}})
	if err != nil {
		return 0, fmt.Errorf("%s: %w", what, err)
	}
	micros, ok := v[0].(int64)
	if !ok || micros < 0 {
		return 0, fmt.Errorf("%s: redis says %v", what, v[0])
	}
	return time.Duration(micros) * time.Microsecond, nil
}

// Clear implements limit.Store.
func (s *Store) Clear(ctx context.Context, key string) error {
	if _, err := s.one(ctx, "DEL", s.limitKey(key)); err != nil {
		return fmt.Errorf("clear limit: %w", err)
	}
	return nil
}
