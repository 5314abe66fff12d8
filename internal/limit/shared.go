package limit

import (
	"context"
	"time"
)

// Shared is a Store of several processes that goes by a clock which they share: Ahead is by how
// much the caller's is ahead of it. A process whose own clock is wrong then neither gets more
// than its rule allows nor makes the others wait.
type Shared struct {
	Store
	Ahead func() time.Duration
}

// Take implements Store.
func (s Shared) Take(ctx context.Context, key string, r Rule, now time.Time) (time.Duration, error) {
	return s.Store.Take(ctx, key, r, now.Add(-s.Ahead())) //nolint:wrapcheck // it is that store
}

// Return implements Store.
func (s Shared) Return(ctx context.Context, key string, r Rule, now time.Time) error {
	return s.Store.Return(ctx, key, r, now.Add(-s.Ahead())) //nolint:wrapcheck // it is that store
}
