package eventtest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"barong/internal/event"
	"barong/internal/expect"
)

// A sink is a destination that remembers its items.
type sink struct {
	mu   sync.Mutex
	got  []event.Item
	came chan struct{} // capacity one
	fail func(i event.Item) error
}

func newSink() *sink { return &sink{came: make(chan struct{}, 1)} }

// Send implements event.Sender.
func (s *sink) Send(_ context.Context, i event.Item) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fail != nil {
		if err := s.fail(i); err != nil {
			return err
		}
	}
	s.got = append(s.got, i)
	select {
	case s.came <- struct{}{}:
	default:
	}
	return nil
}

// await waits until so many items came and returns them.
func (s *sink) await(t testing.TB, n int) []event.Item {
	t.Helper()
	timeout := time.After(30 * time.Second)
	for {
		s.mu.Lock()
		got := append([]event.Item(nil), s.got...)
		s.mu.Unlock()
		if len(got) >= n {
			return got
		}
		select {
		case <-s.came:
		case <-timeout:
			t.Fatalf("%d items came, want %d", len(got), n)
		}
	}
}

// quick makes relays that need not be waited for.
var quick = event.Config{
	Poll: 5 * time.Millisecond, Lease: 300 * time.Millisecond, FirstRetry: time.Millisecond, LastRetry: 20 * time.Millisecond,
}

// relay starts one for the destination mail; it ends with the test, or when stop is called
// and then at once, as if killed.
func relay(t testing.TB, c event.Config, o event.Outbox, to event.Sender) (r *event.Relay, stop func()) {
	t.Helper()
	r, err := event.NewRelay(c, o, []event.Destination{{Name: "mail", Sender: to}}, nil, nil)
	expect.OK(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		r.Run(ctx)
		close(ended)
	}()
	stop = func() { cancel(); <-ended }
	t.Cleanup(stop)
	return r, stop
}

// wantOrder checks that every number of every user came, and each first after the one before
// it.
func wantOrder(t testing.TB, got []event.Item, users, each int) {
	t.Helper()
	next := map[string]int{}
	for _, i := range got {
		switch n := number(t, i.Event); {
		case n == next[i.UID]:
			next[i.UID]++
		case n > next[i.UID]:
			t.Errorf("%s: number %d came before %d", i.UID, n, next[i.UID])
		}
	}
	for u := range users {
		if uid := fmt.Sprint("u", u); next[uid] != each {
			t.Errorf("%s: %d of %d numbers came", uid, next[uid], each)
		}
	}
}

func emitNumbers(t testing.TB, s Store, users, each int) {
	t.Helper()
	for n := range each {
		for u := range users {
			emit(t, s, numbered(fmt.Sprint("u", u), n))
		}
	}
}

func relayOrder(t *testing.T, s Store) {
	to := newSink()
	calls := 0
	to.fail = func(i event.Item) error {
		switch calls++; {
		case calls%7 == 0:
			return event.ErrUnavailable
		case calls%3 == 0 && i.Attempts < 2:
			return errors.New("not now")
		}
		return nil
	}
	relay(t, quick, s, to)
	emitNumbers(t, s, 5, 10)
	wantOrder(t, to.await(t, 50), 5, 10)
}

func relayPair(t *testing.T, s Store) {
	to := newSink()
	first, _ := relay(t, quick, s, to)
	second, _ := relay(t, quick, s, to)
	emitNumbers(t, s, 5, 10)
	got := to.await(t, 50)
	wantOrder(t, got, 5, 10)
	if len(got) != 50 {
		t.Errorf("%d deliveries of 50 events", len(got))
	}
	if n := first.Stats()[0].Sent + second.Stats()[0].Sent; n > 50 {
		t.Errorf("the relays count %d deliveries of 50 events", n)
	}
}

// forgetful is an outbox whose relay dies before it can note a delivery.
type forgetful struct {
	event.Outbox
	sent chan struct{}
}

func (f forgetful) DeleteEvents(ctx context.Context, uuids ...string) error {
	f.sent <- struct{}{}
	return errors.New("killed")
}

func (forgetful) ReleaseLease(context.Context, string, string) error { return errors.New("killed") }

func relayKilled(t *testing.T, s Store) {
	to := newSink()
	emitNumbers(t, s, 1, 3)
	dying := forgetful{s, make(chan struct{}, 1000)}
	_, kill := relay(t, quick, dying, to)
	<-dying.sent
	kill()
	before := len(to.await(t, 1))
	if held, err := s.Lease(t.Context(), "events mail", "another", quick.Lease); err != nil || held {
		t.Fatalf("the lease of the killed one: got %v, %v; want it held", held, err)
	}
	relay(t, quick, s, to)
	got := to.await(t, before+3) // all three again
	if a, b := got[0], got[before]; a.ID != b.ID || number(t, b.Event) != 0 {
		t.Errorf("first came %v, after the kill %v; want the same", a.ID, b.ID)
	}
	wantOrder(t, got[before:], 1, 3)
}

// contested is an outbox whose leases another process gets from some moment on.
type contested struct {
	event.Outbox
	lost *atomic.Bool
}

func (c contested) Lease(ctx context.Context, name, holder string, d time.Duration) (bool, error) {
	if c.lost.Load() {
		return false, nil
	}
	return c.Outbox.Lease(ctx, name, holder, d)
}

// stuck is a destination that never answers.
type stuck struct{ begun, ended chan struct{} }

func (s stuck) Send(ctx context.Context, _ event.Item) error {
	s.begun <- struct{}{}
	<-ctx.Done()
	s.ended <- struct{}{}
	return ctx.Err()
}

func relayRobbed(t *testing.T, s Store) {
	emitNumbers(t, s, 1, 1)
	to := stuck{make(chan struct{}, 10), make(chan struct{}, 10)}
	var robbed atomic.Bool
	relay(t, quick, contested{s, &robbed}, to)
	<-to.begun
	// Another process has it, since the database's clock went back for instance.
	robbed.Store(true)
	select {
	case <-to.ended:
	case <-time.After(30 * time.Second):
		t.Fatal("it is still sending")
	}
	items := wantDue(t, s, "mail", later, "u0 0")
	if items[0].Attempts != 0 {
		t.Errorf("%d attempts are counted, want none", items[0].Attempts)
	}
}

func relayWakes(t *testing.T, s Store) {
	slow := quick
	slow.Poll, slow.Lease = time.Hour, 10*time.Hour
	to := newSink()
	relay(t, slow, s, to)
	for n := range 3 { // one of them finds it asleep
		emit(t, s, numbered("u0", n))
		to.await(t, n+1)
	}
}

func relayFlush(t *testing.T, s Store) {
	slow := quick
	slow.Poll, slow.Lease = time.Hour, 10*time.Hour
	to := newSink()
	r, _ := relay(t, slow, quiet{s}, to)
	emit(t, s, numbered("u0", 0))
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	expect.OK(t, awaitHolder(ctx, r))
	emitNumbers(t, s, 3, 5)
	expect.OK(t, r.Close(ctx))
	wantDue(t, s, "mail", later, "")
	if held, err := s.Lease(ctx, "events mail", "another", slow.Lease); err != nil || !held {
		t.Errorf("got %v, %v; want the lease to be free", held, err)
	}
}

// quiet is an outbox without hints.
type quiet struct{ event.Outbox }

func (quiet) EventHint() <-chan struct{} { return nil }

// awaitHolder waits until the relay works.
func awaitHolder(ctx context.Context, r *event.Relay) error {
	for !r.Stats()[0].Holder {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(time.Millisecond):
		}
	}
	return nil
}
