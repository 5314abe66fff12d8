// Package limittest is the suite that every limit.Store passes.
package limittest

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"pgregory.net/rapid"

	"barong/internal/limit"
)

// TestStore is the suite that every limit.Store passes; open returns an empty one.
func TestStore(t *testing.T, open func(testing.TB) limit.Store) {
	for name, test := range map[string]func(*testing.T, store){
		"a burst passes, the next waits until one is back":  burst,
		"one comes back after each part of the period":      refill,
		"a refused one spends nothing":                      refusedIsFree,
		"of many at once no more than the burst pass":       race,
		"of many at once all returned ones can be had anew": returnRace,
		"every key has its own bucket, whatever its text":   keys,
		"what is given back can be spent again":             giveBack,
		"no more can be given back than was spent":          giveBackMore,
		"giving back does not undo what others spent":       giveBackOne,
		"a cleared key begins anew":                         clears,
		"a rule of nothing lets nothing pass":               nothing,
		"a bucket is never emptier than its rule":           smallerRule,
		"a clock that goes back does not lock anyone out":   clockBack,
		"parts of microseconds are not owed":                oddRule,
		"any history is what the arithmetic says":           model,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			// Near the wall clock, which a store may forget by.
			test(t, store{open(t), time.Now().Truncate(time.Second)})
		})
	}
}

type store struct {
	limit.Store
	start time.Time
}

// five is the rule of most tests: one is back every 12 s.
var five = limit.Rule{Burst: 5, Period: time.Minute}

// take spends one of key, five a minute, after so long.
func (s store) take(t *testing.T, key string, after, want time.Duration) {
	t.Helper()
	s.takeBy(t, key, five, after, want)
}

func (s store) takeBy(t *testing.T, key string, r limit.Rule, after, want time.Duration) {
	t.Helper()
	got, err := s.Take(t.Context(), key, r, s.start.Add(after))
	if err != nil || got != want {
		t.Fatalf("key %q after %v: wait %v (%v), want %v", key, after, got, err, want)
	}
}

func (s store) back(t *testing.T, key string, after time.Duration) {
	t.Helper()
	if err := s.Return(t.Context(), key, five, s.start.Add(after)); err != nil {
		t.Fatal(err)
	}
}

func burst(t *testing.T, s store) {
	for range 5 {
		s.take(t, "k", 0, 0)
	}
	s.take(t, "k", 0, 12*time.Second)
	s.take(t, "k", 12*time.Second-time.Microsecond, time.Microsecond)
}

func refill(t *testing.T, s store) {
	for range 5 {
		s.take(t, "k", 0, 0)
	}
	s.take(t, "k", 12*time.Second, 0)
	s.take(t, "k", 12*time.Second, 12*time.Second)
	for range 2 { // two of them
		s.take(t, "k", 40*time.Second, 0)
	}
	s.take(t, "k", 40*time.Second, 8*time.Second)
	for range 5 { // long after, no more than a burst
		s.take(t, "k", time.Hour, 0)
	}
	s.take(t, "k", time.Hour, 12*time.Second)
}

func refusedIsFree(t *testing.T, s store) {
	for range 5 {
		s.take(t, "k", 0, 0)
	}
	for n := range 10 {
		s.take(t, "k", time.Duration(n)*time.Second, 12*time.Second-time.Duration(n)*time.Second)
	}
	s.take(t, "k", 12*time.Second, 0)
}

func race(t *testing.T, s store) {
	if got := s.takeAtOnce(t, 50); got != 5 {
		t.Errorf("%d of 50 at once passed, want 5", got)
	}
}

// takeAtOnce returns how many of n takes at the same time passed.
func (s store) takeAtOnce(t *testing.T, n int) int32 {
	t.Helper()
	var passed atomic.Int32
	var wg sync.WaitGroup
	for range n {
		wg.Go(func() {
			switch wait, err := s.Take(t.Context(), "k", five, s.start); {
			case err != nil:
				t.Error(err)
			case wait == 0:
				passed.Add(1)
			}
		})
	}
	wg.Wait()
	return passed.Load()
}

func returnRace(t *testing.T, s store) {
	for range 5 {
		s.take(t, "k", 0, 0)
	}
	var wg sync.WaitGroup
	for range 3 {
		wg.Go(func() {
			if err := s.Return(t.Context(), "k", five, s.start); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if got := s.takeAtOnce(t, 20); got != 3 {
		t.Errorf("%d passed after three were given back, want 3", got)
	}
}

func keys(t *testing.T, s store) {
	all := []string{"k", "K", "k ", "", "otp:{ID1}", "otp:{ID2}", "caf\xe9\x00", string(make([]byte, 10_000))}
	for _, key := range all {
		for range 5 {
			s.take(t, key, 0, 0)
		}
	}
	for _, key := range all {
		s.take(t, key, 0, 12*time.Second)
	}
}

func giveBack(t *testing.T, s store) {
	for range 5 {
		s.take(t, "k", 0, 0)
	}
	s.back(t, "k", time.Second)
	s.take(t, "k", time.Second, 0)
	s.take(t, "k", time.Second, 11*time.Second)
}

func giveBackMore(t *testing.T, s store) {
	s.back(t, "k", 0)
	s.take(t, "k", 0, 0)
	for range 3 {
		s.back(t, "k", 0)
	}
	for range 5 {
		s.take(t, "k", 0, 0)
	}
	s.take(t, "k", 0, 12*time.Second)
}

func giveBackOne(t *testing.T, s store) {
	for range 4 {
		s.take(t, "k", 0, 0)
	}
	s.back(t, "k", 0)
	for range 2 {
		s.take(t, "k", 0, 0)
	}
	s.take(t, "k", 0, 12*time.Second)
}

func clears(t *testing.T, s store) {
	for _, key := range []string{"k", "other"} {
		for range 5 {
			s.take(t, key, 0, 0)
		}
	}
	for range 2 { // the second has nothing to do
		if err := s.Clear(t.Context(), "k"); err != nil {
			t.Fatal(err)
		}
	}
	for range 5 {
		s.take(t, "k", 0, 0)
	}
	s.take(t, "other", 0, 12*time.Second)
}

func nothing(t *testing.T, s store) {
	for _, r := range []limit.Rule{{}, {Burst: 5}, {Period: time.Hour}, {Burst: -1, Period: time.Hour}, {Burst: 5, Period: -1}} {
		wait, err := s.Take(t.Context(), "k", r, s.start)
		if err != nil || wait < time.Minute {
			t.Errorf("%+v: wait %v (%v), want a minute at least", r, wait, err)
		}
		if err := s.Return(t.Context(), "k", r, s.start); err != nil {
			t.Errorf("%+v: give back: %v", r, err)
		}
	}
}

func smallerRule(t *testing.T, s store) {
	day := limit.Rule{Burst: 1, Period: 24 * time.Hour}
	s.takeBy(t, "k", day, 0, 0)
	s.takeBy(t, "k", day, 0, 24*time.Hour)
	s.take(t, "k", 0, 12*time.Second)
	s.back(t, "k", 0)
	s.take(t, "k", 0, 0)
	s.take(t, "k", 0, 12*time.Second)
}

func clockBack(t *testing.T, s store) {
	for range 5 {
		s.take(t, "k", time.Hour, 0)
	}
	s.take(t, "k", 0, 12*time.Second)
}

// Seven in ten microseconds: one each, so seven are back after seven.
func oddRule(t *testing.T, s store) {
	r := limit.Rule{Burst: 7, Period: 10 * time.Microsecond}
	for range 7 {
		s.takeBy(t, "k", r, 0, 0)
	}
	s.takeBy(t, "k", r, 0, time.Microsecond)
	s.takeBy(t, "k", r, time.Microsecond, 0)
}

// model runs a random history beside a bucket of fractions: Burst at most, refilled evenly.
func model(t *testing.T, s store) {
	n := 0
	rapid.Check(t, func(t *rapid.T) {
		n++ // an empty bucket for each run
		key := fmt.Sprint("model", n)
		r := limit.Rule{Burst: rapid.IntRange(1, 6).Draw(t, "burst"), Period: time.Minute}
		step := int64(time.Minute/time.Microsecond) / int64(r.Burst)
		room := step * int64(r.Burst)
		now, held := s.start, room // microseconds that the bucket holds, step for each
		for range rapid.IntRange(1, 12).Draw(t, "calls") {
			pause := rapid.Int64Range(0, 2*step).Draw(t, "pause")
			now, held = now.Add(time.Duration(pause)*time.Microsecond), min(room, held+pause)
			if rapid.IntRange(0, 4).Draw(t, "kind") == 0 {
				if err := s.Return(t.Context(), key, r, now); err != nil {
					t.Fatal(err)
				}
				held = min(room, held+step)
				continue
			}
			got, err := s.Take(t.Context(), key, r, now)
			want := time.Duration(max(0, step-held)) * time.Microsecond
			if err != nil || got != want {
				t.Fatalf("wait %v (%v), want %v", got, err, want)
			}
			if want == 0 {
				held -= step
			}
		}
	})
}
