package event

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"barong/internal/testenv"
)

// target is a Sender of a function that counts.
type target struct {
	mu   sync.Mutex
	sent []string // user and id of every call
	answ func(Item) error
}

func (d *target) Send(ctx context.Context, i Item) error {
	d.mu.Lock()
	d.sent = append(d.sent, fmt.Sprintf("%s%d", i.UID, i.ID))
	answer := d.answ
	d.mu.Unlock()
	if answer == nil {
		return nil
	}
	return answer(i)
}

func (d *target) calls() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.sent)
}

func (d *target) answer(f func(Item) error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.answ = f
}

// bench is a relay at work in a bubble.
type bench struct {
	t      *testing.T
	outbox *memory
	to     *target
	log    *testenv.Log
	relay  *Relay
}

// inBubble runs a test with a relay of the default configuration.
func inBubble(t *testing.T, d Destination, test func(b *bench)) {
	t.Helper()
	inBubbleOf(t, Config{}, d, test)
}

func inBubbleOf(t *testing.T, c Config, d Destination, test func(b *bench)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		b := &bench{t: t, outbox: newMemory(), to: &target{}, log: &testenv.Log{}}
		d.Name = "mail"
		if d.Sender == nil {
			d.Sender = b.to
		}
		var err error
		b.relay, err = NewRelay(c, b.outbox, []Destination{d}, slog.New(slog.NewTextHandler(b.log, nil)), nil)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		go b.relay.Run(ctx)
		synctest.Wait()
		test(b)
		cancel()
		<-b.relay.done
	})
}

func (b *bench) after(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

func (b *bench) wantCalls(want ...string) {
	b.t.Helper()
	if got := b.to.calls(); !slices.Equal(got, want) {
		b.t.Errorf("sent %v, want %v", got, want)
	}
}

func (b *bench) wantLines(want int, with string) {
	b.t.Helper()
	if got := strings.Count(b.log.String(), with); got != want {
		b.t.Errorf("%d lines with %q, want %d:\n%s", got, with, want, b.log)
	}
}

func TestDestinationThatIsDownIsLeftAlone(t *testing.T) {
	inBubble(t, Destination{Parallel: 1}, func(b *bench) {
		b.to.answer(func(Item) error { return fmt.Errorf("connect: %w", ErrUnavailable) })
		for n := range 50 {
			b.outbox.add(fmt.Sprint("u", n%10))
		}
		b.after(time.Hour)
		calls := len(b.to.calls())
		// Waits end at 30 s, half of it by chance.
		if calls < 120 || calls > 300 {
			t.Errorf("%d attempts in an hour, want one in 15 to 30 s", calls)
		}
		b.wantLines(1, "level=ERROR")
		b.wantLines(1, "\n")
		s := b.relay.Stats()[0]
		if s.Up || s.Sent != 0 || s.Retried != 0 || s.Waiting != 50 {
			t.Errorf("stats are %+v", s)
		}
		for n := range 50 {
			if r := b.outbox.row(n); r.Attempts != 0 {
				t.Fatalf("an attempt of %v is counted", r)
			}
		}
		b.to.answer(nil)
		b.after(time.Minute)
		if got, want := len(b.to.calls())-calls, 50; got != want {
			t.Errorf("%d deliveries, want %d", got, want)
		}
		b.wantLines(2, "\n")
		if s := b.relay.Stats()[0]; !s.Up || s.Sent != 50 || s.Waiting != 0 {
			t.Errorf("stats are %+v", s)
		}
	})
}

func TestHintsDoNotShortenTheRestOfADestination(t *testing.T) {
	inBubble(t, Destination{}, func(b *bench) {
		b.to.answer(func(Item) error { return ErrUnavailable })
		b.outbox.add("u")
		b.after(5 * time.Minute)
		before := len(b.to.calls())
		for range 1000 {
			b.outbox.add("u")
			b.after(time.Millisecond)
		}
		if got := len(b.to.calls()) - before; got > 1 {
			t.Errorf("%d attempts in a second of emitting, want one at most", got)
		}
	})
}

func TestFailedEventWaitsLongerEachTimeAndHoldsBackItsUserOnly(t *testing.T) {
	inBubble(t, Destination{Parallel: 1}, func(b *bench) {
		var mu sync.Mutex
		var times []time.Time
		b.to.answer(func(i Item) error {
			if i.ID == 1 {
				mu.Lock()
				defer mu.Unlock()
				times = append(times, time.Now())
				return errors.New("mailbox busy")
			}
			return nil
		})
		b.outbox.add("a")
		b.outbox.add("a")
		b.outbox.add("b")
		synctest.Wait()
		b.wantCalls("a1", "b3")
		b.after(time.Hour)
		b.to.answer(nil)
		mu.Lock()
		defer mu.Unlock()
		for n := 1; n < len(times); n++ {
			most := min(time.Second<<(n-1), 5*time.Minute)
			if wait := times[n].Sub(times[n-1]); wait < most/2 || wait > most+time.Second {
				t.Errorf("wait %d is %v, want %v to %v", n, wait, most/2, most)
			}
		}
		if r := b.outbox.row(0); r.Attempts != len(times) || r.reason != "mailbox busy" {
			t.Errorf("the row tells of %d attempts and %q, want %d", r.Attempts, r.reason, len(times))
		}
		if !b.relay.Stats()[0].Up {
			t.Error("one failing event makes the destination down")
		}
		before := len(b.to.calls())
		b.after(5 * time.Minute)
		if got := b.to.calls()[before:]; !slices.Equal(got, []string{"a1", "a2"}) {
			t.Errorf("afterwards sent %v, want a1, a2", got)
		}
	})
}

func TestFailuresAreLoggedOnceAMinute(t *testing.T) {
	inBubble(t, Destination{}, func(b *bench) {
		b.to.answer(func(i Item) error {
			if i.ID%2 == 0 {
				return errors.New("refused")
			}
			return nil
		})
		for n := range 200 {
			b.outbox.add(fmt.Sprint("u", n))
		}
		b.after(30 * time.Second)
		b.wantLines(1, "\n")
	})
}

func TestPermanentFailureIsParkedAndHoldsBackNothing(t *testing.T) {
	inBubble(t, Destination{Parallel: 1}, func(b *bench) {
		b.to.answer(func(i Item) error {
			if i.ID == 1 {
				return fmt.Errorf("no such mailbox: %w", ErrPermanent)
			}
			return nil
		})
		b.outbox.add("a")
		b.outbox.add("a")
		b.after(time.Hour)
		b.wantCalls("a1", "a2")
		if r := b.outbox.row(0); !r.parked || !strings.Contains(r.reason, "no such mailbox") {
			t.Errorf("the row is %+v, want it parked with its reason", r)
		}
		b.wantLines(1, "level=ERROR")
		if s := b.relay.Stats()[0]; s.GaveUp != 1 || s.Sent != 1 || s.Parked != 1 {
			t.Errorf("stats are %+v", s)
		}
	})
}

func TestEventThatFailsForLongIsGivenUp(t *testing.T) {
	inBubble(t, Destination{GiveUp: time.Hour}, func(b *bench) {
		b.to.answer(func(i Item) error {
			if i.ID == 1 {
				return errors.New("busy")
			}
			return nil
		})
		b.outbox.add("a")
		b.outbox.add("a")
		b.after(59 * time.Minute)
		if b.outbox.row(0).parked {
			t.Error("it was parked too soon")
		}
		b.after(7 * time.Minute)
		if !b.outbox.row(0).parked || b.outbox.row(1) != nil {
			t.Error("want the first parked and the second delivered")
		}
	})
}

// Items are written, put off and given up by one clock, whatever that of the sender's machine says.
func TestSenderWithAWrongClock(t *testing.T) {
	for _, ahead := range []time.Duration{-24 * time.Hour, 24 * time.Hour} {
		c := Config{Shared: func(now time.Time) time.Time { return now.Add(-ahead) }}
		inBubbleOf(t, c, Destination{GiveUp: time.Hour}, func(b *bench) {
			failures := 2
			b.to.answer(func(i Item) error {
				if i.ID == 1 || failures == 0 {
					return nil
				}
				failures--
				return errors.New("busy")
			})
			b.outbox.set(func() {
				for n := range 2 {
					b.outbox.rows = append(b.outbox.rows, &row{Item: Item{
						UUID: strconv.Itoa(n + 1), ID: int64(n + 1), Event: Event{Name: "system.x", UID: "a"}, CreatedAt: time.Now().Add(-ahead),
					}})
				}
			})
			b.after(time.Minute)
			if b.outbox.row(0) != nil || b.outbox.row(1) != nil {
				t.Errorf("%s ahead: %+v and %+v wait, want both delivered after two failures", ahead, b.outbox.row(0), b.outbox.row(1))
			}
			b.to.answer(func(Item) error { return errors.New("busy") })
			b.outbox.set(func() {
				b.outbox.rows = append(b.outbox.rows, &row{Item: Item{UUID: "3", ID: 3, Event: Event{Name: "system.x", UID: "a"}, CreatedAt: time.Now().Add(-ahead)}})
			})
			b.after(59 * time.Minute)
			if b.outbox.row(2).parked {
				t.Errorf("%s ahead: it was given up too soon", ahead)
			}
			b.after(7 * time.Minute)
			if !b.outbox.row(2).parked {
				t.Errorf("%s ahead: it was not given up", ahead)
			}
		})
	}
}

func TestEventThatDoesNotOpenIsNotSent(t *testing.T) {
	inBubble(t, Destination{}, func(b *bench) {
		b.outbox.set(func() {
			b.outbox.rows = []*row{{Item: Item{UUID: "1", ID: 1, Err: errors.New("no key"), CreatedAt: time.Now()}}}
		})
		b.after(time.Minute)
		b.wantCalls()
		if r := b.outbox.row(0); r == nil || r.parked || r.Attempts == 0 {
			t.Errorf("the row is %+v, want it to wait", r)
		}
	})
}

func TestDeliveryThatCannotBeNotedIsNotRepeated(t *testing.T) {
	inBubble(t, Destination{Parallel: 1}, func(b *bench) {
		b.outbox.set(func() { b.outbox.undying = errors.New("disk full") })
		b.outbox.add("a")
		b.outbox.add("b")
		b.after(time.Hour)
		b.wantCalls("a1", "b2")
		b.wantLines(1, "\n")
		b.outbox.set(func() { b.outbox.undying = nil })
		b.outbox.add("c")
		b.after(time.Minute)
		b.wantCalls("a1", "b2", "c3")
	})
}

func TestDatabaseThatIsDownIsLeftAlone(t *testing.T) {
	inBubble(t, Destination{}, func(b *bench) {
		b.outbox.set(func() { b.outbox.broken = errors.New("away") })
		b.outbox.add("a")
		b.after(time.Hour)
		if n, _ := b.outbox.calls(); n > 300 {
			t.Errorf("%d calls in an hour", n)
		}
		b.wantLines(1, "\n")
		b.outbox.set(func() { b.outbox.broken = nil })
		b.after(time.Minute)
		b.wantCalls("a1")
	})
}

// hanging is a Sender that returns when its context ends.
type hanging struct {
	mu      sync.Mutex
	now     map[string]int // sends of a user at this time
	most    int            // at once
	overlap bool           // of one user
	ended   int
}

func (h *hanging) Send(ctx context.Context, i Item) error {
	h.mu.Lock()
	h.now[i.UID]++
	total := 0
	for _, n := range h.now {
		total += n
		h.overlap = h.overlap || n > 1
	}
	h.most = max(h.most, total)
	h.mu.Unlock()
	<-ctx.Done()
	h.mu.Lock()
	defer h.mu.Unlock()
	h.now[i.UID]--
	h.ended++
	return ctx.Err()
}

func (h *hanging) counts() (ended, most int, overlap bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.ended, h.most, h.overlap
}

// Rests and leases of a lane are ages: setting the machine's clock neither prolongs nor ends them.
func TestLaneWhileTheClockIsSet(t *testing.T) {
	for _, step := range []int64{-3600, 3600} {
		at := time.Now()
		l := lane{
			outbox: newMemory(), config: Config{}.withDefaults(), log: slog.New(slog.DiscardHandler),
			now: func() time.Time { return at },
		}
		if held, err := l.hold(t.Context()); !held || err != nil {
			t.Fatal(held, err)
		}
		rest := l.rest(t.Context(), errors.New("away"))
		left := l.left()
		at = testenv.Stepped(at, step)
		if got := l.restUntil.Sub(l.now()); got != rest {
			t.Errorf("clock set by %d s: the lane rests for %s, want %s", step, got, rest)
		}
		if got := l.left(); got != left {
			t.Errorf("clock set by %d s: the lease has %s left, want %s", step, got, left)
		}
	}
}

func TestSendsAreBoundedInNumberAndTime(t *testing.T) {
	h := &hanging{now: map[string]int{}}
	inBubble(t, Destination{Sender: h, Parallel: 3, Timeout: time.Minute}, func(b *bench) {
		for n := range 30 {
			b.outbox.add(fmt.Sprint("u", n%10))
		}
		b.after(59 * time.Second)
		if ended, most, overlap := h.counts(); ended != 0 || most != 3 || overlap {
			t.Errorf("%d ended, %d at once, of one user %v; want none, 3, false", ended, most, overlap)
		}
		// The lease of 15 s was extended meanwhile.
		if n, _ := b.outbox.calls(); !b.relay.Stats()[0].Holder || n < 10 {
			t.Errorf("the lease was asked for %d times in a minute", n)
		}
		b.after(2 * time.Second)
		if ended, _, _ := h.counts(); ended != 3 || b.outbox.row(0).Attempts != 1 {
			t.Errorf("%d ended, %d attempts; want 3 and 1", ended, b.outbox.row(0).Attempts)
		}
	})
}

// The lease may run out while nobody can extend it.
func TestSendingEndsBeforeTheLease(t *testing.T) {
	h := &hanging{now: map[string]int{}}
	inBubble(t, Destination{Sender: h, Timeout: time.Hour}, func(b *bench) {
		b.outbox.add("a")
		synctest.Wait()
		b.outbox.set(func() { b.outbox.broken = errors.New("away") })
		b.after(11 * time.Second)
		if ended, _, _ := h.counts(); ended != 1 {
			t.Error("it is still sending after two thirds of the lease")
		}
		if got := b.outbox.row(0).Attempts; got != 0 {
			t.Errorf("%d attempts are counted, want none", got)
		}
	})
}

func TestCloseIsBounded(t *testing.T) {
	h := &hanging{now: map[string]int{}}
	inBubble(t, Destination{Sender: h, Timeout: time.Hour}, func(b *bench) {
		b.outbox.add("a")
		synctest.Wait()
		ctx, cancel := context.WithTimeout(context.Background(), 3*time.Second)
		defer cancel()
		began := time.Now()
		if err := b.relay.Close(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v, want the deadline's error", err)
		}
		if took := time.Since(began); took != 3*time.Second {
			t.Errorf("it took %v, want 3 s", took)
		}
		if ended, _, _ := h.counts(); ended != 1 {
			t.Errorf("it ended %d sends, want one", ended)
		}
		if _, left := b.outbox.calls(); b.outbox.row(0) == nil || left != 1 {
			t.Error("want the event kept and the lease left")
		}
	})
}

func TestCloseSendsWhatIsDueAndNotToWhoIsDown(t *testing.T) {
	for name, answer := range map[string]error{"up": nil, "down": ErrUnavailable} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, Destination{}, func(b *bench) {
				b.to.answer(func(Item) error { return answer })
				for n := range 250 {
					b.outbox.add(fmt.Sprint("u", n%7))
				}
				began := time.Now()
				if err := b.relay.Close(context.Background()); err != nil || time.Since(began) > time.Second {
					t.Errorf("got %v after %v", err, time.Since(began))
				}
				if got := b.relay.Stats()[0].Sent; answer == nil && got != 250 || answer != nil && got != 0 {
					t.Errorf("sent %d", got)
				}
			})
		})
	}
}

func TestRelayThatNeverRanCloses(t *testing.T) {
	r, err := NewRelay(Config{}, newMemory(), nil, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Close(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestNewRelayRefuses(t *testing.T) {
	for name, tt := range map[string]struct {
		config Config
		to     []Destination
	}{
		"a destination without a name":     {Config{}, []Destination{{Sender: &target{}}}},
		"a destination without a sender":   {Config{}, []Destination{{Name: "a"}}},
		"two destinations of one name":     {Config{}, []Destination{{Name: "a", Sender: &target{}}, {Name: "a", Sender: &target{}}}},
		"a negative poll interval":         {Config{Poll: -1}, nil},
		"a lease that is over at once":     {Config{Lease: time.Millisecond}, nil},
		"a batch of less than one":         {Config{Batch: -1}, nil},
		"a last retry sooner than a first": {Config{FirstRetry: time.Hour}, nil},
	} {
		if _, err := NewRelay(tt.config, newMemory(), tt.to, nil, nil); err == nil {
			t.Errorf("%s: got no error", name)
		}
	}
}

func TestEventsDoNotPrintTheirRecord(t *testing.T) {
	e := ResetToken(Notice{User: User{UID: "ID1", Email: "secret@example.com"}}, "secret-token")
	for _, v := range []any{e, Item{Event: e}, &e, []Item{{Event: e}}} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s"} {
			if text := fmt.Sprintf(verb, v); strings.Contains(text, "secret") {
				t.Errorf("%s of %T tells it: %s", verb, v, text)
			}
		}
	}
}
