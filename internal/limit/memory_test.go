package limit_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"barong/internal/limit"
	"barong/internal/limit/limittest"
)

func TestMemory(t *testing.T) {
	limittest.TestStore(t, func(testing.TB) limit.Store { return new(limit.Memory) })
}

func take(t *testing.T, m *limit.Memory, key string, r limit.Rule, now time.Time) time.Duration {
	t.Helper()
	wait, err := m.Take(context.Background(), key, r, now)
	if err != nil {
		t.Fatal(err)
	}
	return wait
}

// A flood of keys drops keys without waiting callers, and those first.
func TestMemoryUnderAFloodKeepsThoseWhoMustWait(t *testing.T) {
	const size = 200
	m := &limit.Memory{Max: size}
	now := time.Unix(1_800_000_000, 0)
	long, short := limit.Rule{Burst: 5, Period: time.Hour}, limit.Rule{Burst: 1, Period: time.Minute}
	for range 5 {
		take(t, m, "waits long", long, now)
	}
	take(t, m, "waits shortly", short, now) // full sooner than any of the flood
	for n := range 50 * size {
		if wait := take(t, m, fmt.Sprint("flood", n), long, now); wait != 0 {
			t.Fatalf("key %d: wait %v, want none", n, wait)
		}
		if got := m.Len(); got > size {
			t.Fatalf("holds %d keys, want %d at most", got, size)
		}
	}
	if wait := take(t, m, "waits long", long, now); wait != 12*time.Minute {
		t.Errorf("who waited long: %v, want 12m", wait)
	}
	if wait := take(t, m, "waits shortly", short, now); wait != time.Minute {
		t.Errorf("who waited shortly: %v, want 1m", wait)
	}
}

// Full buckets go before any other.
func TestMemoryForgetsFullBucketsFirst(t *testing.T) {
	m := &limit.Memory{Max: 32}
	now := time.Unix(1_800_000_000, 0)
	r := limit.Rule{Burst: 2, Period: time.Hour}
	for n := range 31 {
		take(t, m, fmt.Sprint("old", n), limit.Rule{Burst: 2, Period: time.Minute}, now)
	}
	take(t, m, "spent one", r, now)
	now = now.Add(time.Minute)
	take(t, m, "new", r, now)
	if got := m.Len(); got != 2 {
		t.Errorf("holds %d keys, want 2", got)
	}
	take(t, m, "spent one", r, now)
	if wait := take(t, m, "spent one", r, now); wait == 0 {
		t.Error("a bucket that had one left was forgotten")
	}
}

// Even when all wait there is a bound, and those with the shortest wait go.
func TestMemoryIsBoundedWhenAllWait(t *testing.T) {
	m := &limit.Memory{Max: 16}
	start := time.Unix(1_800_000_000, 0)
	r := limit.Rule{Burst: 1, Period: time.Hour}
	for n := range 64 {
		take(t, m, fmt.Sprint(n), r, start.Add(time.Duration(n)*time.Second))
	}
	if got := m.Len(); got > 16 {
		t.Errorf("holds %d keys, want 16 at most", got)
	}
	if wait := take(t, m, "63", r, start.Add(time.Minute)); wait == 0 {
		t.Error("the one that waits longest was set free")
	}
}

func TestMemoryDropsWhatIsGivenBack(t *testing.T) {
	m := new(limit.Memory)
	now := time.Unix(1_800_000_000, 0)
	r := limit.Rule{Burst: 5, Period: time.Hour}
	take(t, m, "k", r, now)
	if err := m.Return(t.Context(), "k", r, now); err != nil || m.Len() != 0 {
		t.Errorf("holds %d keys (%v), want none", m.Len(), err)
	}
}
