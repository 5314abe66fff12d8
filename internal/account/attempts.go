package account

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// ErrTooManyAttempts is what a TooManyAttempts is, for errors.Is.
var ErrTooManyAttempts = errors.New("account: too many attempts")

// TooManyAttempts says that the caller must wait before trying again.
//
//nolint:errname // reads as a sentence where it is made and matched
type TooManyAttempts struct{ RetryAfter time.Duration }

func (e TooManyAttempts) Error() string {
	return fmt.Sprintf("%v; retry after %v", ErrTooManyAttempts, e.RetryAfter)
}

// Is makes errors.Is(err, ErrTooManyAttempts) true.
func (e TooManyAttempts) Is(target error) bool { return target == ErrTooManyAttempts }

// Attempts counts tries per key in windows that begin with the first of them. It is safe
// for concurrent use: of tries made at once no more than the limit pass.
type Attempts interface {
	// Take counts one try of key, or says how long to wait when limit have been counted
	// within window.
	Take(
		ctx context.Context, key string, limit int, window time.Duration, now time.Time,
	) (wait time.Duration, err error)
	// Return takes one counted try back.
	Return(ctx context.Context, key string, now time.Time) error
}

// MemoryAttempts counts in this process only, and forgets with it. Its zero value is ready.
type MemoryAttempts struct {
	mu      sync.Mutex
	windows map[string]*window
}

type window struct {
	count int
	ends  time.Time
}

// attemptsMax bounds the keys remembered; past it those whose window is over go first, then
// any: a flood of keys must not grow the memory.
const attemptsMax = 100_000

var _ Attempts = (*MemoryAttempts)(nil)

// Take implements Attempts.
func (a *MemoryAttempts) Take(
	_ context.Context, key string, limit int, length time.Duration, now time.Time,
) (time.Duration, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	w := a.windows[key]
	if w == nil || w.count == 0 || !now.Before(w.ends) {
		a.makeRoom(now)
		w = &window{ends: now.Add(length)}
		a.windows[key] = w
	}
	if w.count >= limit {
		return w.ends.Sub(now), nil
	}
	w.count++
	return 0, nil
}

// Return implements Attempts.
func (a *MemoryAttempts) Return(_ context.Context, key string, _ time.Time) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if w := a.windows[key]; w != nil && w.count > 0 {
		w.count--
	}
	return nil
}

func (a *MemoryAttempts) makeRoom(now time.Time) {
	if a.windows == nil {
		a.windows = make(map[string]*window)
	}
	if len(a.windows) < attemptsMax {
		return
	}
	for key, w := range a.windows {
		if !now.Before(w.ends) {
			delete(a.windows, key)
		}
	}
	for key := range a.windows {
		if len(a.windows) < attemptsMax {
			return
		}
		delete(a.windows, key)
	}
}
