package limit_test

import (
	"testing"
	"time"

	"barong/internal/limit"
	"barong/internal/limit/limittest"
)

func TestShared(t *testing.T) {
	limittest.TestStore(t, func(testing.TB) limit.Store {
		return limit.Shared{Store: new(limit.Memory), Time: func(now time.Time) time.Time { return now.Add(-time.Hour) }}
	})
}

// However far apart their clocks are, processes have one bucket: the one that is ahead gets no
// more, and the others wait no longer.
func TestProcessesWithDifferentClocksShareABucket(t *testing.T) {
	const ahead = time.Hour
	right, five := new(limit.Memory), limit.Rule{Burst: 5, Period: time.Minute}
	wrong := limit.Shared{Store: right, Time: func(now time.Time) time.Time { return now.Add(-ahead) }}
	now := time.Unix(1_800_000_000, 0)
	for n := range 6 {
		var wait time.Duration
		var err error
		if n%2 == 0 {
			wait, err = wrong.Take(t.Context(), "k", five, now.Add(ahead))
		} else {
			wait, err = right.Take(t.Context(), "k", five, now)
		}
		if want := time.Duration(n/5) * 12 * time.Second; err != nil || wait != want {
			t.Errorf("attempt %d: wait %v (%v), want %v", n+1, wait, err, want)
		}
	}
	if err := wrong.Return(t.Context(), "k", five, now.Add(ahead)); err != nil {
		t.Fatal(err)
	}
	if wait, err := right.Take(t.Context(), "k", five, now); err != nil || wait != 0 {
		t.Errorf("after one was given back: wait %v (%v), want none", wait, err)
	}
}
