package signin_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"barong/internal/account/worldtest"
	"barong/internal/limit"
	"barong/internal/signin"
)

// slowly is a Hasher that takes its time by the world's clock.
type slowly struct {
	*world
	takes time.Duration
}

func (h slowly) Hash(ctx context.Context, password string) (string, error) {
	return h.Hasher.Hash(ctx, password)
}

func (h slowly) Match(ctx context.Context, digest, password string) (ok, rehash bool, err error) {
	h.Now = h.Now.Add(h.takes)
	return h.Hasher.Match(ctx, digest, password)
}

// Where the work takes longer than the floor, its time stays hidden, too (design D3).
func TestRefusalsTakeWholeFloors(t *testing.T) {
	for takes, want := range map[time.Duration]time.Duration{
		0:                      300 * time.Millisecond,
		40 * time.Millisecond:  300 * time.Millisecond,
		299 * time.Millisecond: 300 * time.Millisecond,
		370 * time.Millisecond: 600 * time.Millisecond,
		900 * time.Millisecond: 1200 * time.Millisecond,
	} {
		w := newWorld(t, worldtest.Config{})
		w.Serve(worldtest.Config{}, slowly{w, takes}, new(limit.Memory))
		_, err := w.signIn("nobody@example.com", password, "")
		if got := w.Now.Add(w.Slept).Sub(start); !errors.Is(err, signin.ErrBadCredentials) || got != want {
			t.Errorf("work of %v: %v after %v, want a refusal after %v", takes, err, got, want)
		}
	}
}
