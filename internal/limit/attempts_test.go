package limit

import (
	"context"
	"errors"
	"testing"
	"time"
)

func fixed() time.Time { return time.Unix(1_800_000_000, 0) }

func wait(t *testing.T, err error) time.Duration {
	t.Helper()
	many, ok := errors.AsType[TooMany](err)
	if !ok && err != nil {
		t.Fatalf("err = %v, want TooMany or none", err)
	}
	return many.RetryAfter
}

func TestSpendTakesAllOrNone(t *testing.T) {
	s := NewAttempts(new(Memory), fixed)
	ctx := t.Context()
	wide := Try{Key: "wide", Rule: Rule{Burst: 2, Period: time.Minute}}
	hour, minute := Try{Key: "hour", Rule: Rule{Burst: 1, Period: time.Hour}}, Try{Key: "minute", Rule: Rule{Burst: 1, Period: time.Minute}}
	if got := wait(t, s.Spend(ctx, hour, minute)); got != 0 {
		t.Fatalf("first: wait %v, want none", got)
	}
	for range 5 { // the longest wait, whatever the order; wide is given back
		if got := wait(t, s.Spend(ctx, wide, minute, hour)); got != time.Hour {
			t.Errorf("wait %v, want 1h", got)
		}
		if got := wait(t, s.Spend(ctx, hour, wide, minute)); got != time.Hour {
			t.Errorf("wait %v, want 1h", got)
		}
	}
	for range 2 {
		if got := wait(t, s.Spend(ctx, wide)); got != 0 {
			t.Errorf("the one that was given back: wait %v, want none", got)
		}
	}
	if got := wait(t, s.Spend(ctx, wide)); got != 30*time.Second {
		t.Errorf("third: wait %v, want 30s", got)
	}
}

// broken fails at the key failsAt.
type broken struct {
	Memory
	take, giveBack error
	failsAt        string
}

func (b *broken) Take(ctx context.Context, key string, r Rule, now time.Time) (time.Duration, error) {
	if key == b.failsAt {
		return 0, b.take
	}
	return b.Memory.Take(ctx, key, r, now)
}

func (b *broken) Return(ctx context.Context, key string, r Rule, now time.Time) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	return errors.Join(b.giveBack, b.Memory.Return(ctx, key, r, now))
}

func TestSpendInAnOutage(t *testing.T) {
	away := errors.New("away")
	one, two := Try{Key: "one", Rule: Rule{Burst: 1, Period: time.Hour}}, Try{Key: "two", Rule: Rule{Burst: 1, Period: time.Hour}}
	b := &broken{take: away, failsAt: "two"}
	s := NewAttempts(b, fixed)
	ctx, cancel := context.WithCancel(t.Context())
	cancel() // takes are given back for callers that have left, too
	if err := s.Spend(ctx, one, two); !errors.Is(err, away) || errors.Is(err, ErrTooMany) {
		t.Errorf("err = %v, want the outage", err)
	}
	if got := wait(t, s.Spend(t.Context(), one)); got != 0 {
		t.Errorf("wait %v, want what was taken before the outage back", got)
	}
	b.failsAt, b.giveBack = "", away
	if err := s.Spend(t.Context(), two, one); !errors.Is(err, away) {
		t.Errorf("giving back failed: %v, want the outage", err)
	}
}

func TestUnlimited(t *testing.T) {
	s := Unlimited(new(Memory), fixed)
	one := Try{Key: "one", Rule: Rule{Burst: 1, Period: time.Hour}, Around: "all"}
	for range 100 {
		if err := errors.Join(s.Spend(t.Context(), one), s.GiveBack(t.Context(), one), s.Forget(t.Context(), one)); err != nil {
			t.Fatal(err)
		}
	}
	for n := range 3 {
		if ok, err := s.Once(t.Context(), "a token", time.Minute); err != nil || ok != (n == 0) {
			t.Errorf("use %d: %v, %v; want the first alone to count", n+1, ok, err)
		}
	}
}
