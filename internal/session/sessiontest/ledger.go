package sessiontest

import (
	"context"
	"slices"
	"testing"
	"time"

	"barong/internal/expect"
	"barong/internal/session"
)

// Ledger is a session.Ledger and its sweeper.
type Ledger interface {
	session.Ledger
	Moment(ctx context.Context) (session.Moment, error)
	DeleteEnded(ctx context.Context, now time.Time) (int, error)
}

// TestLedger is the suite that every Ledger passes; open returns an empty one, whose clock is right. That
// writes leave change-feed rows is tested by feedtest.
func TestLedger(t *testing.T, open func(testing.TB) Ledger) {
	for name, test := range map[string]func(*testing.T, Ledger){
		"an ended session is on record until its time": ended,
		"ending twice keeps the later time":            endedTwice,
		"thousands of ended sessions are forgotten":    forgetMany,
		"the epoch is another each time":               epoch,
		"a moment has the newest commit and epoch":     moment,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, open(t))
		})
	}
}

func ended(t *testing.T, l Ledger) {
	expect.OK(t, l.EndSession(t.Context(), 3*time.Hour, id(1)))
	expect.OK(t, l.EndSession(t.Context(), time.Hour, id(2)))
	for n, want := range map[int]bool{1: true, 2: true, 3: false} {
		got, err := l.Ended(t.Context(), id(n))
		expect.OK(t, err)
		equal(t, got, want)
	}
	all, err := l.EndedSessions(t.Context())
	expect.OK(t, err)
	if len(all) != 2 || !slices.Contains(all, id(1)) || !slices.Contains(all, id(2)) {
		t.Errorf("got %v, want both", all)
	}
	n, err := l.DeleteEnded(t.Context(), base.Add(2*time.Hour))
	expect.OK(t, err)
	equal(t, n, 1)
	got, err := l.Ended(t.Context(), id(2))
	expect.OK(t, err)
	equal(t, got, false)
	all, err = l.EndedSessions(t.Context())
	expect.OK(t, err)
	equal(t, all, []session.ID{id(1)})
}

func endedTwice(t *testing.T, l Ledger) {
	for _, d := range []time.Duration{time.Hour, 3 * time.Hour, time.Second} {
		expect.OK(t, l.EndSession(t.Context(), d, id(1)))
	}
	n, err := l.DeleteEnded(t.Context(), base.Add(2*time.Hour))
	expect.OK(t, err)
	equal(t, n, 0)
}

func forgetMany(t *testing.T, l Ledger) {
	const many = 1001
	for n := range many {
		expect.OK(t, l.EndSession(t.Context(), time.Minute, id(n)))
	}
	n, err := l.DeleteEnded(t.Context(), base.Add(time.Hour))
	expect.OK(t, err)
	equal(t, n, many)
}

func epoch(t *testing.T, l Ledger) {
	first, err := l.Epoch(t.Context())
	expect.OK(t, err)
	const writers = 8
	got := make(chan int64, writers)
	for range writers {
		go func() {
			e, err := l.EndAll(t.Context())
			if err != nil {
				t.Error(err)
			}
			got <- e
		}()
	}
	seen := map[int64]bool{}
	for range writers {
		seen[<-got] = true
	}
	last, err := l.Epoch(t.Context())
	expect.OK(t, err)
	if len(seen) != writers || !seen[last] || seen[first] || last < first {
		t.Errorf("%d different epochs, the last %d after %d; want %d and one of them", len(seen), last, first, writers)
	}
}

func moment(t *testing.T, l Ledger) {
	first, err := l.Moment(t.Context())
	expect.OK(t, err)
	epoch, err := l.EndAll(t.Context())
	expect.OK(t, err)
	expect.OK(t, l.EndSession(t.Context(), time.Hour, id(1)))
	second, err := l.Moment(t.Context())
	expect.OK(t, err)
	equal(t, second.Epoch, epoch)
	equal(t, second.Commit.Seq, first.Commit.Seq+2)
	if first.At.IsZero() || second.At.Before(first.At) || first.Epoch == epoch {
		t.Errorf("got %+v after %+v", second, first)
	}
}
