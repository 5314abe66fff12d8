package account_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"barong/internal/account"
	"barong/internal/limit"
)

// slowly is a Hasher that takes its time by the world's clock.
type slowly struct {
	*world
	takes time.Duration
}

func (h slowly) Hash(ctx context.Context, password string) (string, error) {
	return h.hasher.Hash(ctx, password)
}

func (h slowly) Match(ctx context.Context, digest, password string) (ok, rehash bool, err error) {
	h.now = h.now.Add(h.takes)
	return h.hasher.Match(ctx, digest, password)
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
		w := newWorld(t, account.Config{})
		w.svc = account.NewService(account.Config{}, w.db, slowly{w, takes}, new(limit.Memory), func() time.Time { return w.now })
		w.svc.SetSleep(func(_ context.Context, d time.Duration) { w.now = w.now.Add(d) })
		_, err := w.signIn("nobody@example.com", password, "")
		if got := w.now.Sub(start); !errors.Is(err, account.ErrBadCredentials) || got != want {
			t.Errorf("work of %v: %v after %v, want a refusal after %v", takes, err, got, want)
		}
	}
}
