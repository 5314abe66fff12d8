package apikey_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"barong/internal/apikey"
)

// uses is an apikey.UseStore that keeps them in memory.
type uses struct {
	mu      sync.Mutex
	batches [][]apikey.Use
	fail    error
}

func (s *uses) NoteKeyUses(_ context.Context, all []apikey.Use) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fail == nil {
		s.batches = append(s.batches, slices.Clone(all))
	}
	return s.fail
}

// written are the uses, and the sizes of batches, since the last call.
func (s *uses) written() (all []string, sizes []int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, b := range s.batches {
		sizes = append(sizes, len(b))
		for _, u := range b {
			all = append(all, fmt.Sprintf("%s %s %s", u.Kid, u.At.Format("15:04:05"), u.IP))
		}
	}
	s.batches = nil
	return all, sizes
}

func TestUsesAreWrittenOnceAMinuteInBatches(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &uses{}
		u := apikey.NewUses(store, nil)
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() { u.Run(ctx); close(ended) }()
		pass := func(d time.Duration) { time.Sleep(d); synctest.Wait() }
		want := func(want ...string) {
			t.Helper()
			if got, _ := store.written(); !slices.Equal(got, want) {
				t.Fatalf("written %q, want %q", got, want)
			}
		}
		one, two := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("2001:db8::1")
		a, b := apikey.NewEntry(apikey.Record{Kid: "a"}), apikey.NewEntry(apikey.Record{Kid: "b", LastUsedAt: time.Now().Add(-50 * time.Second)})
		for range 100 {
			u.Note(a, one, time.Now())
			u.Note(a, two, time.Now())
			u.Note(b, two, time.Now()) // written 50 s ago
		}
		want()
		pass(time.Second)
		want("a 00:00:00 192.0.2.1")
		pass(58 * time.Second)
		u.Note(a, two, time.Now())
		u.Note(b, two, time.Now())
		pass(time.Second)
		want("b 00:00:59 2001:db8::1")
		u.Note(a, two, time.Now())
		u.Note(a, one, time.Now().Add(-time.Hour)) // a clock that was set back
		pass(time.Second)
		want("a 00:01:00 2001:db8::1", "a 23:01:00 192.0.2.1")

		// An outage loses uses, not the writer.
		store.fail = errors.New("away")
		u.Note(apikey.NewEntry(apikey.Record{Kid: "lost"}), one, time.Now())
		pass(2 * time.Second)
		store.fail = nil
		u.Note(apikey.NewEntry(apikey.Record{Kid: "kept"}), one, time.Now())
		pass(time.Second)
		want("kept 00:01:03 192.0.2.1")

		// More than there is room for never waits; batches are bounded and in order.
		for i := range 5000 {
			u.Note(apikey.NewEntry(apikey.Record{Kid: fmt.Sprintf("%04d", 5000-i)}), one, time.Now())
		}
		pass(time.Second)
		_, sizes := store.written()
		if len(sizes) != 16 || slices.Max(sizes) != 256 {
			t.Errorf("batches of %v, want 16 of 256", sizes)
		}
		u.Note(apikey.NewEntry(apikey.Record{Kid: "last"}), one, time.Now())
		cancel()
		<-ended
		want("last 00:01:05 192.0.2.1")
	})
}

func TestNotingAUseIsFree(t *testing.T) {
	u := apikey.NewUses(&uses{}, nil)
	k := apikey.NewEntry(apikey.Record{Kid: "a"})
	now, ip := time.Now(), netip.MustParseAddr("192.0.2.1")
	if n := testing.AllocsPerRun(1000, func() { u.Note(k, ip, now) }); n != 0 {
		t.Errorf("%v allocations, want 0", n)
	}
}

// Of many requests at once one is noted.
func TestOneOfManyUsesIsNoted(t *testing.T) {
	store := &uses{}
	u := apikey.NewUses(store, nil)
	k := apikey.NewEntry(apikey.Record{Kid: "a"})
	now := time.Now()
	var all sync.WaitGroup
	for range 16 {
		all.Go(func() { u.Note(k, netip.MustParseAddr("192.0.2.1"), now) })
	}
	all.Wait()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	u.Run(ctx)
	if got, _ := store.written(); len(got) != 1 {
		t.Errorf("written %q, want one", got)
	}
}
