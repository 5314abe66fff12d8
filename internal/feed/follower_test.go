package feed

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"math"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// log is a Source in memory; rows up to pruned are gone.
type log struct {
	mu      sync.Mutex
	rows    []Change
	names   map[int64]Name
	history byte // in the names of added commits
	server  int64
	pruned  int64
	fail    error
	reads   int
	hint    chan struct{}
}

func newLog() *log { return &log{hint: make(chan struct{}, 1), names: map[int64]Name{}} }

func (l *log) add(rows ...Change) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.rows = append(l.rows, rows...)
	for _, r := range rows {
		l.names[r.Seq] = Name{l.history, byte(r.Seq)}
	}
}

// back takes the log to an earlier commit, from where it has another history.
func (l *log) back(seq int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.rows = slices.DeleteFunc(l.rows, func(c Change) bool { return c.Seq > seq })
	l.history++
}

func (l *log) set(fail error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.fail = fail
}

// at is the place of a number.
func (l *log) at(seq int64) Cursor { return Cursor{seq, l.names[seq], l.server} }

func (l *log) head() Cursor {
	if len(l.rows) == 0 {
		return l.at(l.pruned)
	}
	return l.at(l.rows[len(l.rows)-1].Seq)
}

func (l *log) Head(context.Context) (Cursor, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.head(), l.fail
}

func (l *log) Changes(_ context.Context, after Cursor, limit int) ([]Change, Cursor, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.reads++
	switch {
	case l.fail != nil:
		return nil, Cursor{}, l.fail
	case after.Seq < l.pruned:
		return nil, Cursor{}, ErrPruned
	case after.Seq > l.head().Seq, l.names[after.Seq] != after.Name:
		return nil, Cursor{}, ErrHistory
	case l.server != after.Server:
		return nil, Cursor{}, ErrServer
	}
	var out []Change
	upTo := after
	for _, r := range l.rows {
		if r.Seq <= after.Seq {
			continue
		}
		if len(out) >= limit && r.Seq != out[len(out)-1].Seq {
			break
		}
		out = append(out, r)
		upTo = l.at(r.Seq)
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
	f.Start(l.at(2))
	if err := f.Sync(t.Context()); err != nil {
		t.Fatal(err)
	}
	want := []int64{3, 3, 4, 4, 5, 5, 6, 6, 7, 7, 8, 8, 9, 9, 10, 10}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("delivered (-want +got):\n%s", d)
	}
	if f.Cursor().Seq != 10 {
		t.Errorf("cursor = %s, want 10", f.Cursor())
	}
}

func TestFollowerReadsEvery250msAndAtOnceOnAHint(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLog()
		f := NewFollower(l, FollowerConfig{}, nil, nil)
		var told atomic.Int32
		f.Subscribe(func(Change) { told.Add(1) })
		f.Start(Cursor{})
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
		if at := f.ReadAt(); !at.IsZero() {
			t.Errorf("read at %v before the first read", at)
		}
		f.Start(Cursor{})
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
		if f.Cursor().Seq != 0 || told.Load() != 0 {
			t.Errorf("cursor %s, told %d; want both 0 while the source fails", f.Cursor(), told.Load())
		}
		l.set(nil)
		time.Sleep(250 * time.Millisecond)
		synctest.Wait()
		if age := f.Age(time.Now()); age > 250*time.Millisecond {
			t.Errorf("age = %v after recovery, want at most 250ms", age)
		}
		if at := f.ReadAt(); time.Since(at) != f.Age(time.Now()) {
			t.Errorf("read at %v, %v ago, but the age is %v", at, time.Since(at), f.Age(time.Now()))
		}
		if f.Cursor().Seq != 1 || told.Load() != 1 {
			t.Errorf("cursor %s, told %d; want both 1 after recovery", f.Cursor(), told.Load())
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
		if f.Cursor().Seq != 0 {
			t.Errorf("cursor = %s when marking, want it not yet moved", f.Cursor())
		}
	})
	f.Start(Cursor{})
	if err := f.Sync(t.Context()); err != nil {
		t.Fatal(err)
	}
	if gaps != 1 || told != 0 || f.Cursor().Seq != 9 {
		t.Errorf("gaps %d, told %d, cursor %s; want 1, 0, 9", gaps, told, f.Cursor())
	}

	l.set(errors.New("down"))
	l.pruned = 20
	if err := f.Sync(t.Context()); err == nil || f.Cursor().Seq != 9 {
		t.Errorf("sync with the source down: err %v, cursor %s; want an error and 9", err, f.Cursor())
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

// Subscribers catch up with a missed change before the feed counts as read again, for every
// cause of the delay; in between, they get changes and nobody waits.
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
				f.Start(Cursor{})
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
		f.Start(Cursor{})
		l.add(change(1), change(2))
		if err := f.Reach(t.Context(), l.at(1)); err != nil || told.Load() != 2 {
			t.Errorf("nobody else reads: told %d, %v; want 2", told.Load(), err)
		}
		reads := l.reads
		if err := f.Reach(t.Context(), l.at(2)); err != nil || l.reads != reads {
			t.Errorf("told already: %d more reads, %v", l.reads-reads, err)
		}

		l.set(errors.New("down"))
		l.add(change(3))
		go func() {
			time.Sleep(100 * time.Millisecond)
			l.set(nil)
		}()
		if err := f.Reach(t.Context(), l.at(3)); err != nil || told.Load() != 3 {
			t.Errorf("after an outage: told %d, %v; want 3", told.Load(), err)
		}

		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := f.Reach(ctx, l.at(4)); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("a number that does not come: %v, want the deadline", err)
		}
	})
}

// A read that hangs is given up soon, for the next may find another server. One of a database that
// is only slow goes well in the end: each may take longer than the last, up to a bound.
func TestFollowerGivesUpReadsThatHang(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var took time.Duration // of the next reads; 0 is for ever
		source := slowSource{newLog(), &took}
		f := NewFollower(source, FollowerConfig{}, nil, nil)
		f.Start(Cursor{})
		read := func() (time.Duration, error) {
			began := time.Now()
			err := f.Sync(t.Context())
			return time.Since(began), err
		}
		for i, want := range []time.Duration{2 * time.Second, 4 * time.Second, 8 * time.Second, 8 * time.Second} {
			if d, err := read(); d != want || !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("read %d that hangs: %v after %s, want the deadline after %s", i, err, d, want)
			}
		}
		took = 7 * time.Second
		if d, err := read(); d != took || err != nil {
			t.Errorf("a slow read: %v after %s", err, d)
		}
		took = 3 * time.Second
		if d, err := read(); d != 2*time.Second || err == nil {
			t.Errorf("after one that went well: %v after %s, want the deadline after 2s", err, d)
		}
		// A caller that leaves says nothing about the database.
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := f.Sync(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("after its caller's deadline: %v", err)
		}
		if d, err := read(); d != took || err != nil {
			t.Errorf("a slow read after it: %v after %s, want it to go well within 4s", err, d)
		}
	})
}

// A slowSource answers after a time.
type slowSource struct {
	*log
	took *time.Duration
}

func (s slowSource) Changes(ctx context.Context, after Cursor, limit int) ([]Change, Cursor, error) {
	var done <-chan time.Time
	if *s.took > 0 {
		done = time.After(*s.took)
	}
	select {
	case <-done:
		return s.log.Changes(ctx, after, limit)
	case <-ctx.Done():
		return nil, after, ctx.Err()
	}
}

// A mark keeps the newest commit of its own context and of those made from it.
func TestMark(t *testing.T) {
	Committed(t.Context(), Cursor{Seq: 7}) // nobody asks
	ctx, mark := WithMark(t.Context())
	inner, cancel := context.WithCancel(ctx)
	defer cancel()
	if c, ok := mark.Last(); ok {
		t.Errorf("before a commit: %s", c)
	}
	for _, seq := range []int64{3, 9, 5} {
		Committed(inner, Cursor{Seq: seq, Name: Name{byte(seq)}})
	}
	if c, ok := mark.Last(); !ok || c != (Cursor{Seq: 9, Name: Name{9}}) {
		t.Errorf("got %s, want 9", c)
	}
}

// Whatever number the other history has reached when it is first read, and on whatever server
// the same one is read on, all is marked before anything of it counts as read.
func TestFollowerNoticesAnotherHistory(t *testing.T) {
	for name, c := range map[string]struct {
		happens func(*log)
		lost    int64 // histories
		level   string
	}{
		"which is shorter":       {func(l *log) { l.back(2); l.add(change(3)) }, 1, "ERROR"},
		"which is as long":       {func(l *log) { l.back(2); l.add(change(3), change(4)) }, 1, "ERROR"},
		"which has grown longer": {func(l *log) { l.back(2); l.add(change(3), change(4), change(5), change(6)) }, 1, "ERROR"},
		"on another server":      {func(l *log) { l.server = 8; l.add(change(5)) }, 0, "WARN"},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLog()
			l.server = 7
			for i := int64(1); i <= 4; i++ {
				l.add(change(i))
			}
			var lines bytes.Buffer
			f := NewFollower(l, FollowerConfig{}, nil, slog.New(slog.NewTextHandler(&lines, nil)))
			told, gaps, caught := 0, 0, 0
			f.Subscribe(func(Change) { told++ })
			f.OnGap(func() { gaps++ })
			f.OnCatchUp(func(context.Context) error {
				if caught++; gaps == 0 {
					t.Error("caught up before anything was marked")
				}
				return nil
			})
			before := l.at(4)
			f.Start(before)
			c.happens(l)
			if err := f.Sync(t.Context()); err != nil {
				t.Fatal(err)
			}
			if gaps != 1 || told != 0 || caught != 1 || f.Cursor() != l.head() || f.Histories() != c.lost || f.Servers() != 1-c.lost {
				t.Errorf("gaps %d, told %d, caught up %d, cursor %s, histories %d, servers %d; want 1, 0, 1, %s, %d, %d",
					gaps, told, caught, f.Cursor(), f.Histories(), f.Servers(), l.head(), c.lost, 1-c.lost)
			}
			if n := strings.Count(lines.String(), "\n"); n != 1 || !strings.Contains(lines.String(), "level="+c.level) ||
				!strings.Contains(lines.String(), before.Name.String()) || !strings.Contains(lines.String(), l.head().Name.String()) {
				t.Errorf("want one line of level %s that names %s and %s; got %s", c.level, before, l.head(), lines.String())
			}
			l.add(change(l.head().Seq + 1))
			if err := f.Sync(t.Context()); err != nil || gaps != 1 || told != 1 {
				t.Errorf("afterwards: %v, gaps %d, told %d; want the next change alone", err, gaps, told)
			}
		})
	}
}

// A gap that could not be jumped over stays one, though the first server should answer again.
func TestFollowerForgetsNoGap(t *testing.T) {
	l := newLog()
	l.add(change(1))
	f := NewFollower(l, FollowerConfig{}, nil, nil)
	gaps := 0
	f.OnGap(func() { gaps++ })
	f.Start(l.at(1))
	down := errors.New("down")
	f.source = flaky{l, func() error { l.server = 0; return down }}
	l.server = 8
	if err := f.Sync(t.Context()); !errors.Is(err, down) || gaps != 0 {
		t.Fatalf("without a head: %v, gaps %d", err, gaps)
	}
	f.source = l
	if err := f.Sync(t.Context()); err != nil || gaps != 1 {
		t.Errorf("got %v, gaps %d; want one", err, gaps)
	}
}

type flaky struct {
	*log
	head func() error
}

func (f flaky) Head(context.Context) (Cursor, error) { return Cursor{}, f.head() }

// A cursor that has passed a number has not delivered the commit for sure: it may be of a
// history in which the number is another's.
func TestFollowerReachesCommitsNotNumbers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLog()
		l.add(change(1), change(2), change(3), change(4))
		f := NewFollower(l, FollowerConfig{}, nil, nil)
		gaps := 0
		f.OnGap(func() { gaps++ })
		f.Start(l.at(4))
		l.back(2)
		l.add(change(3))
		if err := f.Reach(t.Context(), l.at(3)); err != nil || gaps != 1 || f.Cursor() != l.at(3) {
			t.Errorf("got %v, gaps %d, cursor %s; want all marked and %s", err, gaps, f.Cursor(), l.at(3))
		}
		// Of many callers that wait, each is content with a read that began after it came.
		l.add(change(4))
		four := l.at(4)
		l.add(change(5))
		if err := f.Sync(t.Context()); err != nil {
			t.Fatal(err)
		}
		reads := l.reads
		f.reading <- struct{}{}
		var all sync.WaitGroup
		for range 50 {
			all.Go(func() {
				if err := f.Reach(t.Context(), four); err != nil {
					t.Error(err)
				}
			})
		}
		synctest.Wait()
		<-f.reading
		all.Wait()
		if n := l.reads - reads; n != 1 {
			t.Errorf("fifty who wait at once took %d reads, want 1", n)
		}
	})
}

func TestParseCursor(t *testing.T) {
	for _, c := range []Cursor{{}, {Seq: 17, Name: NewName()}, {Seq: math.MaxInt64, Name: NewName()}} {
		if got, err := ParseCursor(c.String()); err != nil || got != c {
			t.Errorf("%s: got %s, %v", c, got, err)
		}
	}
}

func FuzzParseCursor(f *testing.F) {
	for _, text := range []string{
		Cursor{}.String(), Cursor{Seq: 17, Name: Name{1}}.String(), "", "17", "17-", "-", "+1-" + Name{}.String(),
		"017-" + Name{}.String(), "1-" + strings.Repeat("A", 32), "99999999999999999999-" + Name{}.String(),
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if c, err := ParseCursor(text); err == nil && c.String() != text {
			t.Errorf("%q became %s", text, c)
		}
	})
}
