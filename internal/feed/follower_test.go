package feed

import (
	"context"
	"errors"
	"math"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// log is a Source in memory; rows up to pruned are gone.
type log struct {
	mu     sync.Mutex
	rows   []Change
	pruned int64
	fail   error
	reads  int
	hint   chan struct{}
}

func newLog() *log { return &log{hint: make(chan struct{}, 1)} }

func (l *log) add(rows ...Change) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.rows = append(l.rows, rows...)
}

func (l *log) set(fail error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.fail = fail
}

func (l *log) Head(context.Context) (int64, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.rows) == 0 {
		return l.pruned, l.fail
	}
	return l.rows[len(l.rows)-1].Seq, l.fail
}

func (l *log) Changes(_ context.Context, after int64, limit int) ([]Change, int64, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.reads++
	if l.fail != nil {
		return nil, 0, l.fail
	}
	if after < l.pruned {
		return nil, 0, ErrGap
	}
	var out []Change
	upTo := after
	for _, r := range l.rows {
		if r.Seq <= after {
			continue
		}
		if len(out) >= limit && r.Seq != out[len(out)-1].Seq {
			break
		}
		out = append(out, r)
		upTo = r.Seq
	}
	return out, upTo, nil
}

func (l *log) DeleteChanges(context.Context, time.Time) (int, error) { return 0, nil }
func (l *log) Hint() <-chan struct{}                                 { return l.hint }

func change(seq int64) Change {
	return Change{Seq: seq, Kind: Key, Ref: strconv.FormatInt(seq, 10)}
}

func TestFollowerDeliversInOrderOverBatches(t *testing.T) {
	l := newLog()
	for i := int64(1); i <= 10; i++ {
		l.add(change(i), change(i))
	}
	f := NewFollower(l, FollowerConfig{Batch: 3}, nil, nil)
	var got []int64
	f.Subscribe(func(c Change) { got = append(got, c.Seq) })
	f.Start(2)
	if err := f.Sync(t.Context()); err != nil {
		t.Fatal(err)
	}
	want := []int64{3, 3, 4, 4, 5, 5, 6, 6, 7, 7, 8, 8, 9, 9, 10, 10}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("delivered (-want +got):\n%s", d)
	}
	if f.Cursor() != 10 {
		t.Errorf("cursor = %d, want 10", f.Cursor())
	}
}

func TestFollowerReadsEvery250msAndAtOnceOnAHint(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLog()
		f := NewFollower(l, FollowerConfig{}, nil, nil)
		var told atomic.Int32
		f.Subscribe(func(Change) { told.Add(1) })
		f.Start(0)
		ctx, stop := context.WithCancel(t.Context())
		go f.Run(ctx)

		l.add(change(1))
		time.Sleep(249 * time.Millisecond)
		synctest.Wait()
		if n := told.Load(); n != 0 {
			t.Errorf("after 249 ms without a hint: told %d, want none", n)
		}
		time.Sleep(time.Millisecond)
		synctest.Wait()
		if n := told.Load(); n != 1 {
			t.Errorf("after 250 ms: told %d, want one change", n)
		}
		l.add(change(2))
		l.hint <- struct{}{}
		synctest.Wait()
		if n := told.Load(); n != 2 {
			t.Errorf("after a hint: told %d, want two changes", n)
		}
		stop()
		synctest.Wait()
	})
}

func TestFollowerFailureKeepsTheCursorAndAges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLog()
		f := NewFollower(l, FollowerConfig{}, nil, nil)
		var told atomic.Int32
		f.Subscribe(func(Change) { told.Add(1) })
		if age := f.Age(time.Now()); age != math.MaxInt64 {
			t.Errorf("age before the first read = %v, want the largest", age)
		}
		f.Start(0)
		ctx, stop := context.WithCancel(t.Context())
		defer stop()
		go f.Run(ctx)
		l.set(errors.New("down"))
		l.add(change(1))
		time.Sleep(10*time.Second + time.Millisecond)
		synctest.Wait()
		if age := f.Age(time.Now()); age != 10*time.Second+time.Millisecond {
			t.Errorf("age = %v, want 10.001s since the start", age)
		}
		if f.Cursor() != 0 || told.Load() != 0 {
			t.Errorf("cursor %d, told %d; want both 0 while the source fails", f.Cursor(), told.Load())
		}
		l.set(nil)
		time.Sleep(250 * time.Millisecond)
		synctest.Wait()
		if age := f.Age(time.Now()); age > 250*time.Millisecond {
			t.Errorf("age = %v after recovery, want at most 250ms", age)
		}
		if f.Cursor() != 1 || told.Load() != 1 {
			t.Errorf("cursor %d, told %d; want both 1 after recovery", f.Cursor(), told.Load())
		}
		stop()
		synctest.Wait()
	})
}

func TestFollowerGapMarksEverythingStaleAndJumpsToTheHead(t *testing.T) {
	l := newLog()
	l.pruned = 5
	l.add(change(9))
	f := NewFollower(l, FollowerConfig{}, nil, nil)
	told, gaps := 0, 0
	f.Subscribe(func(Change) { told++ })
	f.OnGap(func() {
		gaps++
		if f.Cursor() != 0 {
			t.Errorf("cursor = %d when marking, want it not yet moved", f.Cursor())
		}
	})
	f.Start(0)
	if err := f.Sync(t.Context()); err != nil {
		t.Fatal(err)
	}
	if gaps != 1 || told != 0 || f.Cursor() != 9 {
		t.Errorf("gaps %d, told %d, cursor %d; want 1, 0, 9", gaps, told, f.Cursor())
	}

	l.set(errors.New("down"))
	l.pruned = 20
	if err := f.Sync(t.Context()); err == nil || f.Cursor() != 9 {
		t.Errorf("sync with the source down: err %v, cursor %d; want an error and 9", err, f.Cursor())
	}
}

func TestFollowerSyncHonoursItsContext(t *testing.T) {
	f := NewFollower(newLog(), FollowerConfig{}, nil, nil)
	f.reading <- struct{}{}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := f.Sync(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("err = %v, want context.Canceled while another read goes on", err)
	}
}

// What is done about a missed change is done before the feed counts as read again, whatever
// made it late; in between, changes are told and nobody waits.
func TestFollowerCatchesUpBeforeTheReadCounts(t *testing.T) {
	for name, miss := range map[string]func(*log, *Follower){
		"a failed read": func(l *log, f *Follower) {
			l.set(errors.New("down"))
			if f.Sync(context.Background()) == nil {
				panic("it did not fail")
			}
			l.set(nil)
		},
		"a gap":     func(l *log, _ *Follower) { l.mu.Lock(); l.pruned = 1; l.mu.Unlock() },
		"a silence": func(*log, *Follower) { time.Sleep(1001 * time.Millisecond) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := newLog()
				f := NewFollower(l, FollowerConfig{}, nil, nil)
				told, caught := 0, 0
				var refuse error
				f.Subscribe(func(Change) { told++ })
				f.OnCatchUp(func(context.Context) error {
					caught++
					if age := f.Age(time.Now()); age < 500*time.Millisecond {
						t.Errorf("age %v while catching up, want that of the read before", age)
					}
					return refuse
				})
				f.Start(0)
				time.Sleep(500 * time.Millisecond)
				l.add(change(2))
				miss(l, f)

				refuse = errors.New("no policy")
				for i := range 2 {
					if err := f.Sync(t.Context()); !errors.Is(err, refuse) || caught != i+1 {
						t.Errorf("got %v and %d calls, want the refusal and %d", err, caught, i+1)
					}
					if age := f.Age(time.Now()); age < 500*time.Millisecond {
						t.Errorf("age %v after a refusal, want that of the read before", age)
					}
				}
				refuse = nil
				if err := f.Sync(t.Context()); err != nil || f.Age(time.Now()) != 0 {
					t.Errorf("got %v, age %v; want nil and 0", err, f.Age(time.Now()))
				}
				calls, before := caught, told
				time.Sleep(250 * time.Millisecond)
				l.add(change(3))
				if err := f.Sync(t.Context()); err != nil || caught != calls || told != before+1 {
					t.Errorf("in time: got %v, %d calls and %d changes, want %d and %d", err, caught, told, calls, before+1)
				}
			})
		})
	}
}

// Reach waits for one number: it reads itself, goes on after a failed read, and ends with the
// context when the number does not come.
func TestFollowerReaches(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLog()
		f := NewFollower(l, FollowerConfig{}, nil, nil)
		var told atomic.Int64
		f.Subscribe(func(c Change) { told.Store(c.Seq) })
		f.Start(0)
		l.add(change(1), change(2))
		if err := f.Reach(t.Context(), 1); err != nil || told.Load() != 2 {
			t.Errorf("nobody else reads: told %d, %v; want 2", told.Load(), err)
		}
		reads := l.reads
		if err := f.Reach(t.Context(), 2); err != nil || l.reads != reads {
			t.Errorf("told already: %d more reads, %v", l.reads-reads, err)
		}

		l.set(errors.New("down"))
		l.add(change(3))
		go func() {
			time.Sleep(100 * time.Millisecond)
			l.set(nil)
		}()
		if err := f.Reach(t.Context(), 3); err != nil || told.Load() != 3 {
			t.Errorf("after an outage: told %d, %v; want 3", told.Load(), err)
		}

		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := f.Reach(ctx, 4); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("a number that does not come: %v, want the deadline", err)
		}
	})
}

// A mark keeps the newest number of its own context and of those made from it.
func TestMark(t *testing.T) {
	Committed(t.Context(), 7) // nobody asks
	ctx, mark := WithMark(t.Context())
	inner, cancel := context.WithCancel(ctx)
	defer cancel()
	if mark.Seq() != 0 {
		t.Errorf("before a commit: %d", mark.Seq())
	}
	for _, seq := range []int64{3, 9, 5} {
		Committed(inner, seq)
	}
	if mark.Seq() != 9 {
		t.Errorf("got %d, want 9", mark.Seq())
	}
}
