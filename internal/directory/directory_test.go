package directory_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"barong/internal/account"
	"barong/internal/directory"
	"barong/internal/expect"
	"barong/internal/feed"
)

// reader is an directory.Source over a map.
type reader struct {
	mu         sync.Mutex
	principals map[string]account.Principal
	fail       error
	reads      atomic.Int32
	pause      chan struct{} // when set, a read waits after it has the row
}

func (r *reader) Principal(_ context.Context, uid string) (account.Principal, error) {
	r.reads.Add(1)
	r.mu.Lock()
	p, ok := r.principals[uid]
	fail, pause := r.fail, r.pause
	r.mu.Unlock()
	if pause != nil {
		<-pause
	}
	if fail == nil && !ok {
		fail = account.ErrNotFound
	}
	return p, fail
}

func newReader() *reader {
	return &reader{
		principals: map[string]account.Principal{
			"ID1": {Kind: account.KindUser, UID: "ID1", State: account.StateActive, Version: 1},
		},
	}
}

func TestDirectoryServesUntilTheFeedSaysOtherwise(t *testing.T) {
	r := newReader()
	d := expect.Must(directory.New(directory.Config{Size: 100, Loads: 4}, r, nil))(t)
	state := func() string {
		t.Helper()
		p, err := d.Principal(t.Context(), "ID1")
		if err != nil {
			t.Fatal(err)
		}
		return p.State
	}
	state()
	r.principals["ID1"] = account.Principal{UID: "ID1", State: account.StateBanned, Version: 2}
	if got := state(); got != account.StateActive {
		t.Errorf("before the change is told: %s, want it from memory", got)
	}
	d.Apply(feed.Change{Kind: feed.Principal, Ref: "ID1"})
	if got := state(); got != account.StateBanned {
		t.Errorf("after the change: %s, want banned", got)
	}
	if n := r.reads.Load(); n != 2 {
		t.Errorf("%d reads, want 2", n)
	}
}

// FX-40: a load that began before a change must not be stored after it.
func TestDirectoryALoadThatBeganBeforeAChangeIsNotKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newReader()
		r.pause = make(chan struct{})
		d := expect.Must(directory.New(directory.Config{Size: 100, Loads: 4}, r, nil))(t)
		go func() { _, _ = d.Principal(t.Context(), "ID1") }()
		synctest.Wait() // "active" is read
		r.mu.Lock()
		r.principals["ID1"] = account.Principal{UID: "ID1", State: account.StateBanned}
		r.mu.Unlock()
		d.Apply(feed.Change{Kind: feed.Principal, Ref: "ID1"})
		close(r.pause)
		synctest.Wait()
		p, err := d.Principal(t.Context(), "ID1")
		if err != nil || p.State != account.StateBanned {
			t.Errorf("state %v (%v), want banned", p, err)
		}
	})
}

// Design D20: an outage is not "unknown".
func TestDirectoryTellsAnOutage(t *testing.T) {
	r := newReader()
	r.fail = account.ErrSeal
	d := expect.Must(directory.New(directory.Config{Size: 100, Loads: 4}, r, nil))(t)
	if _, err := d.Principal(t.Context(), "ID1"); !errors.Is(err, account.ErrSeal) {
		t.Errorf("principal: %v, want the outage", err)
	}
}

func TestDirectoryAllocatesNothingWhenWarm(t *testing.T) {
	d := expect.Must(directory.New(directory.Config{Size: 100, Loads: 4}, newReader(), nil))(t)
	ctx := t.Context()
	use := func() {
		if _, err := d.Principal(ctx, "ID1"); err != nil {
			t.Fatal(err)
		}
	}
	use()
	if n := testing.AllocsPerRun(1000, use); n != 0 {
		t.Errorf("%v allocations, want 0", n)
	}
}
