package redis

import (
	"testing"
	"time"
)

func TestBreaker(t *testing.T) {
	now := time.Unix(0, 0)
	b := &breaker{limit: 3, pause: time.Second, now: func() time.Time { return now }}
	allows := func(want, wantProbe bool) {
		t.Helper()
		if probe, ok := b.allow(); ok != want || probe != wantProbe {
			t.Fatalf("allowed %v (probe %v), want %v (%v)", ok, probe, want, wantProbe)
		}
	}
	opens := func(probe, want bool) {
		t.Helper()
		if got := b.failed(probe); got != want {
			t.Fatalf("opened %v, want %v", got, want)
		}
	}
	// A success in between starts the count again.
	opens(false, false)
	opens(false, false)
	b.succeeded()
	opens(false, false)
	opens(false, false)
	allows(true, false)
	opens(false, true)
	allows(false, false)
	opens(false, false) // a call that had begun before
	if opened, open := b.state(); opened != 1 || !open {
		t.Errorf("opened %d times, open %v; want once and open", opened, open)
	}

	now = now.Add(time.Second)
	allows(true, true)
	allows(false, false) // one finds out
	opens(true, false)
	allows(false, false)

	now = now.Add(time.Second)
	allows(true, true)
	b.gaveUp(false) // another's withdrawal does not end it
	allows(false, false)
	b.gaveUp(true)
	allows(true, true) // the next finds out
	if !b.succeeded() {
		t.Error("not closed by the success")
	}
	allows(true, false)
	allows(true, false)
	if b.succeeded() {
		t.Error("closed twice")
	}
}
