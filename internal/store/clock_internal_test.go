package store

import (
	"bytes"
	"log/slog"
	"testing"
	"time"

	"barong/internal/testenv"
)

// A slow exchange proves no difference that it could have caused itself.
func TestASlowAnswerIsNoWrongClock(t *testing.T) {
	base := time.Now()
	for _, c := range []struct {
		theirs, took time.Duration // after the question
		want         int32
	}{
		{0, 0, clockRight}, {time.Second, 0, clockRight}, {1001 * time.Millisecond, 0, clockOdd},
		{-5 * time.Second, 0, clockOdd}, {5001 * time.Millisecond, 0, clockWrong},
		{0, 4 * time.Second, clockRight}, {4 * time.Second, 4 * time.Second, clockRight},
		{-time.Hour, 4 * time.Second, clockWrong},
		{-2 * time.Second, 4 * time.Second, clockOdd}, {6 * time.Second, 4 * time.Second, clockOdd},
		{-6 * time.Second, 4 * time.Second, clockWrong},
	} {
		var log bytes.Buffer
		s := newClockState(slog.New(slog.NewTextHandler(&log, nil)))
		s.compared(base, base.Add(c.took), base.Add(c.theirs).Round(0))
		if got := s.level.Load(); got != c.want || (log.Len() > 0) != (c.want != clockRight) {
			t.Errorf("theirs is %s after the question, which took %s: level %d, want %d; log %q", c.theirs, c.took, got, c.want, &log)
		}
	}
}

// A database that answers slowly does not move the time that all share, beyond what it proves.
func TestASlowAnswerMovesNoClock(t *testing.T) {
	base := time.Now()
	s := newClockState(slog.New(slog.DiscardHandler))
	for _, c := range []struct{ theirs, took, want time.Duration }{
		{-time.Second, 0, time.Second},                        // the first counts, however slow
		{3 * time.Second, 4 * time.Second, time.Second},       // read at its end: theirs may be a second behind
		{-time.Second, 4 * time.Second, time.Second},          // read at its begin
		{-9 * time.Second, 4 * time.Second, 11 * time.Second}, // theirs was set back in between
		{-9 * time.Second, 0, 9 * time.Second},
	} {
		s.compared(base, base.Add(c.took), base.Add(c.theirs).Round(0))
		if got := time.Duration(s.offset.Load()); got != c.want {
			t.Errorf("theirs is %s after the question, which took %s: ahead by %s, want %s", c.theirs, c.took, got, c.want)
		}
	}
}

// A clock that is set back brings back nothing that is over, also while the database is away; one
// that is set ahead is asked about.
func TestAClockThatIsSet(t *testing.T) {
	base := time.Now()
	for _, c := range []struct {
		seconds, shared int64 // by which it is set, and by which the shared time seems to be
	}{{0, 0}, {-1, 0}, {-7200, 0}, {1, 1}, {7200, 7200}} {
		s := newClockState(slog.New(slog.DiscardHandler))
		s.compared(base, base, base.Add(-time.Minute).Round(0))
		for n := range 3 {
			now := testenv.Stepped(base.Add(time.Duration(n)*time.Second), c.seconds)
			want := c.seconds != 0 && (c.shared != 0 || n == 0) // set back it is dealt with
			if got := s.wasSet(now); got != want {
				t.Errorf("set by %d s, look %d: noticed %v, want %v", c.seconds, n, got, want)
			}
			shared := now.Round(0).Add(-time.Duration(s.offset.Load()))
			if off := shared.Sub(base.Round(0)) - time.Duration(n)*time.Second + time.Minute; off != time.Duration(c.shared)*time.Second {
				t.Errorf("set by %d s, look %d: the shared time is %s off, want %d s", c.seconds, n, off, c.shared)
			}
		}
	}
}
