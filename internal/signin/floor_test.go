package signin_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"barong/internal/account/worldtest"
	"barong/internal/config"
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

// floor is the default of the setting, which every fixture has that says no other.
var floor = config.Default().Account.SigninFloor

// Where the work takes longer than the floor, its time stays hidden, too (design D3).
func TestRefusalsTakeWholeFloors(t *testing.T) {
	for takes, want := range map[time.Duration]time.Duration{
		0:                          floor,
		40 * time.Millisecond:      floor,
		floor - time.Millisecond:   floor,
		floor + time.Millisecond:   2 * floor,
		3*floor - time.Millisecond: 3 * floor,
	} {
		w := newWorld(t, worldtest.Config{})
		w.Serve(worldtest.Config{}, slowly{w, takes}, new(limit.Memory))
		_, err := w.signIn("nobody@example.com", password, "")
		if got := w.Now.Add(w.Slept).Sub(start); !errors.Is(err, signin.ErrBadCredentials) || got != want {
			t.Errorf("work of %v: %v after %v, want a refusal after %v", takes, err, got, want)
		}
	}
}
