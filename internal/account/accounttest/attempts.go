package accounttest

import (
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"barong/internal/account"
)

// TestAttempts is what every account.Attempts passes; open returns an empty one.
func TestAttempts(t *testing.T, open func(testing.TB) account.Attempts) {
	for name, test := range map[string]func(*testing.T, attempts){
		"the limit passes, the next waits for the window's end": attemptsLimit,
		"of tries at once no more than the limit pass":          attemptsRace,
		"every key has its own window, whatever its text":       attemptsKeys,
		"the next window begins with its first try":             attemptsWindow,
		"a refused try does not lengthen the window":            attemptsRefused,
		"a try that is taken back can be made again":            attemptsReturn,
		"no more can be taken back than was taken":              attemptsReturnMore,
		"a limit of none passes none":                           attemptsNone,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			// Near the wall clock, which a store may forget by.
			test(t, attempts{open(t), time.Now().Truncate(time.Second)})
		})
	}
}

type attempts struct {
	account.Attempts
	start time.Time
}

// take tries key, five times a minute, after so long.
func (a attempts) take(t *testing.T, key string, after, want time.Duration) {
	t.Helper()
	got, err := a.Take(t.Context(), key, 5, time.Minute, a.start.Add(after))
	if err != nil || got != want {
		t.Fatalf("key %q after %v: wait %v (%v), want %v", key, after, got, err, want)
	}
}

func (a attempts) back(t *testing.T, key string) {
	t.Helper()
	if err := a.Return(t.Context(), key, a.start); err != nil {
		t.Fatal(err)
	}
}

func attemptsLimit(t *testing.T, a attempts) {
	for n := range 5 {
		a.take(t, "k", time.Duration(n)*time.Second, 0)
	}
	a.take(t, "k", 20*time.Second, 40*time.Second)
	a.take(t, "k", time.Minute-time.Microsecond, time.Microsecond)
}

func attemptsRace(t *testing.T, a attempts) {
	var passed atomic.Int32
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() {
			switch wait, err := a.Take(t.Context(), "k", 5, time.Minute, a.start); {
			case err != nil:
				t.Error(err)
			case wait == 0:
				passed.Add(1)
			}
		})
	}
	wg.Wait()
	if passed.Load() != 5 {
		t.Errorf("%d of 50 at once passed, want 5", passed.Load())
	}
}

func attemptsKeys(t *testing.T, a attempts) {
	keys := []string{"k", "K", "k ", "", "otp:{ID1}", "otp:{ID2}", "caf\xe9\x00"}
	for _, key := range keys {
		for range 5 {
			a.take(t, key, 0, 0)
		}
	}
	for _, key := range keys {
		a.take(t, key, 0, time.Minute)
	}
}

func attemptsWindow(t *testing.T, a attempts) {
	for range 5 {
		a.take(t, "k", 0, 0)
	}
	for range 5 {
		a.take(t, "k", 90*time.Second, 0)
	}
	a.take(t, "k", 91*time.Second, 59*time.Second)
}

func attemptsRefused(t *testing.T, a attempts) {
	for range 5 {
		a.take(t, "k", 0, 0)
	}
	for n := range 10 {
		a.take(t, "k", time.Duration(n)*time.Second, time.Minute-time.Duration(n)*time.Second)
	}
	a.take(t, "k", time.Minute, 0)
}

func attemptsReturn(t *testing.T, a attempts) {
	for range 5 {
		a.take(t, "k", 0, 0)
	}
	a.back(t, "k")
	a.take(t, "k", time.Second, 0)
	a.take(t, "k", time.Second, 59*time.Second)
}

func attemptsReturnMore(t *testing.T, a attempts) {
	a.back(t, "k")
	a.take(t, "k", 0, 0)
	for range 3 {
		a.back(t, "k")
	}
	for range 5 {
		a.take(t, "k", 0, 0)
	}
	a.take(t, "k", 0, time.Minute)
}

func attemptsNone(t *testing.T, a attempts) {
	wait, err := a.Take(t.Context(), "k", 0, time.Minute, a.start)
	if err != nil || wait <= 0 {
		t.Errorf("wait %v (%v), want some", wait, err)
	}
}
