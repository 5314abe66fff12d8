package limit

import (
	"context"
	"crypto/sha256"
	"time"
)

// A Rule is the size of a bucket: Burst at once, given back evenly over Period, of which a
// microsecond for each is the least. Without both a rule lets nothing pass.
type Rule struct {
	Burst  int
	Period time.Duration
}

// A Store holds buckets. It is safe for concurrent use: of calls at once no more pass than
// one after the other would. Keys are any text; two texts are two buckets. A key goes with
// one rule; when that changes, a bucket is never emptier than the new one can be.
//
// now is the caller's clock; where it may run apart from that of other callers, Shared makes
// one of them.
type Store interface {
	// Take spends one of key's bucket and returns 0, or returns how long it takes until one
	// is there, having spent nothing. After an error it may have been spent.
	Take(ctx context.Context, key string, r Rule, now time.Time) (wait time.Duration, err error)
	// Return gives one back; a bucket never holds more than Burst.
	Return(ctx context.Context, key string, r Rule, now time.Time) error
	// Clear forgets the key: its bucket is full.
	Clear(ctx context.Context, key string) error
}

// never is the wait of a rule that lets nothing pass: callers may ask again, to hear the same.
const never = time.Minute

// Passes reports whether r lets anything pass at all.
func (r Rule) Passes() bool { return r.Burst > 0 && r.Period > 0 }

// Wait is the time for callers of a rule that lets nothing pass.
func (r Rule) Wait() time.Duration { return max(r.Period, never) }

// Micros are the rule in whole microseconds: step is the time after which one is given back,
// room that after which an empty bucket is full. It is for a rule that passes.
func (r Rule) Micros() (step, room int64) {
	step = max(1, r.Period.Microseconds()/int64(r.Burst))
	return step, step * int64(r.Burst)
}

// Spend is the whole arithmetic. A bucket of the rule is full at full; at now, n (1, or -1
// to give back) are spent, after which it is full at next. When that is more than it holds,
// wait is above 0 and next is as good as full. All are microseconds.
func Spend(full, now, n, step, room int64) (next, wait int64) {
	// Full already, or never so far away: a larger rule or another clock wrote it.
	full = min(max(full, now), now+room)
	next = max(full+n*step, now)
	if wait = next - now - room; wait > 0 {
		return full, wait
	}
	return next, 0
}

// A KeyHash stands in stores in place of a key, which may hold an e-mail address and be of
// any length.
type KeyHash [sha256.Size]byte

// HashOf is the SHA-256 of key.
func HashOf(key string) KeyHash { return sha256.Sum256([]byte(key)) }
