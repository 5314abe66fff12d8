package secret

import (
	"errors"
	"runtime"
	"sync"
	"testing"
	"time"
)

// While there is work Go has additional processors, and afterwards as many as before.
func TestHashesBringTheirOwnProcessors(t *testing.T) {
	before := runtime.GOMAXPROCS(0)
	t.Setenv("GOMAXPROCS", "as it is") // so that the number is put back, not found anew
	a := &aside{processors: 2, linger: time.Hour}
	both := make(chan int)
	var all sync.WaitGroup
	for range 2 {
		all.Go(func() { a.run(func() { both <- runtime.GOMAXPROCS(0) }) })
	}
	for range 2 {
		if got := <-both; got != before+2 {
			t.Errorf("GOMAXPROCS is %d during work, want %d", got, before+2)
		}
	}
	all.Wait()
	if got := runtime.GOMAXPROCS(0); got != before+2 {
		t.Errorf("GOMAXPROCS is %d right after work, want %d", got, before+2)
	}
	a.lower.Stop()
	a.run(func() { a.restore() })
	if got := runtime.GOMAXPROCS(0); got != before+2 {
		t.Errorf("GOMAXPROCS is %d after it was to be put back during work, want %d", got, before+2)
	}
	a.lower.Stop()
	for range 2 { // a timer may fire after another has
		a.restore()
		if got := runtime.GOMAXPROCS(0); got != before {
			t.Errorf("GOMAXPROCS is %d in the end, want %d", got, before)
		}
	}
}

func TestGiveWayGivesTheSameAnswers(t *testing.T) {
	h := NewHasher(1, 0).GiveWay()
	defer func() { h.aside.lower.Stop(); h.aside.restore() }()
	digest, err := h.Hash(t.Context(), "Corr3ct horse")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		digest, password string
		ok               bool
		err              error
	}{
		{digest, "Corr3ct horse", true, nil},
		{digest, "wrong", false, nil},
		{"", "Corr3ct horse", false, nil},
		{"{SHA}abc", "Corr3ct horse", false, ErrDigest},
	} {
		if ok, _, err := h.Match(t.Context(), c.digest, c.password); ok != c.ok || !errors.Is(err, c.err) {
			t.Errorf("Match(%.12q, %q) = %t, %v; want %t, %v", c.digest, c.password, ok, err, c.ok, c.err)
		}
	}
	if got := h.Pending(); got != 0 {
		t.Errorf("Pending = %d after all, want 0", got)
	}
}

// A panic belongs to the caller, where the server's guard is.
func TestAPanicAsideIsTheCallers(t *testing.T) {
	a := &aside{processors: 1, linger: time.Hour}
	defer func() {
		if got := recover(); got != "broken" {
			t.Errorf("recovered %v, want broken", got)
		}
		a.lower.Stop()
		a.restore()
		if a.running != 0 {
			t.Errorf("%d are running, want none", a.running)
		}
	}()
	a.run(func() { panic("broken") })
}
