package limit

import (
	"context"
	"time"
)

// Shared is a Store of several processes that goes by a clock which they share: Time is its time at a
// moment of the caller's. A process whose own clock is wrong then neither gets more
// than its rule allows nor makes the others wait.
type Shared struct {
	Store
	Time func(now time.Time) time.Time
}

// Take implements Store.
func (s Shared) Take(ctx context.Context, key string, r Rule, now time.Time) (time.Duration, error) {
	return s.Store.Take(ctx, key, r, s.Time(now)) //nolint:wrapcheck // it is that store
}

// Return implements Store.
func (s Shared) Return(ctx context.Context, key string, r Rule, now time.Time) error {
	return s.Store.Return(ctx, key, r, s.Time(now)) //nolint:wrapcheck // it is that store
}
