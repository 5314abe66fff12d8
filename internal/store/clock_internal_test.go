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
		s := NewClock(slog.New(slog.NewTextHandler(&log, nil)))
		s.Compared(base, base.Add(c.took), base.Add(c.theirs).Round(0))
		if got := s.level.Load(); got != c.want || (log.Len() > 0) != (c.want != clockRight) {
			t.Errorf("theirs is %s after the question, which took %s: level %d, want %d; log %q", c.theirs, c.took, got, c.want, &log)
		}
	}
}

// A database that answers slowly does not move the time that all share, beyond what it proves.
func TestASlowAnswerMovesNoClock(t *testing.T) {
	base := time.Now()
	s := NewClock(slog.New(slog.DiscardHandler))
	for _, c := range []struct{ theirs, took, want time.Duration }{
		{-time.Second, 0, time.Second},                                     // the first counts, however slow
		{3 * time.Second, 4 * time.Second, time.Second},                    // read at its end: theirs may be a second behind
		{-time.Second, 4 * time.Second, time.Second},                       // read at its begin
		{3500 * time.Millisecond, 4 * time.Second, 500 * time.Millisecond}, // read at its end: theirs is less behind
		{-9 * time.Second, 4 * time.Second, 9 * time.Second},               // theirs was set back in between
		{-9 * time.Second, 0, 9 * time.Second},
		{-9 * time.Second, 4 * time.Second, 9 * time.Second},
	} {
		s.Compared(base, base.Add(c.took), base.Add(c.theirs).Round(0))
		if got := s.Offset(base.Add(c.took)); got != c.want {
			t.Errorf("theirs is %s after the question, which took %s: ahead by %s, want %s", c.theirs, c.took, got, c.want)
		}
	}
}

// A clock that is set moves no time that all share, back or ahead, also while the database is away;
// it is asked about.
func TestAClockThatIsSet(t *testing.T) {
	base := time.Now()
	for _, seconds := range []int64{0, -1, -7200, 1, 7200} {
		s := NewClock(slog.New(slog.DiscardHandler))
		s.Compared(base, base, base.Add(-time.Minute).Round(0))
		for n := range 3 {
			went := time.Duration(n) * time.Second
			now := testenv.Stepped(base.Add(went), seconds)
			if got := s.wasSet(now); got != (seconds != 0) {
				t.Errorf("set by %d s, look %d: noticed %v", seconds, n, got)
			}
			if got, want := s.Time(now), base.Round(0).Add(went-time.Minute); !got.Equal(want) {
				t.Errorf("set by %d s, look %d: the shared time is %s, want %s", seconds, n, got, want)
			}
			if got, want := s.Offset(now), time.Duration(seconds)*time.Second+time.Minute; got != want {
				t.Errorf("set by %d s, look %d: ahead by %s, want %s", seconds, n, got, want)
			}
		}
		now := testenv.Stepped(base.Add(4*time.Second), seconds)
		s.Compared(now, now, base.Add(4*time.Second-time.Minute).Round(0))
		if s.wasSet(now) {
			t.Errorf("set by %d s: noticed once more after the comparison", seconds)
		}
	}
}

// A machine that slept is asked about: until then its monotonic clock is behind.
func TestAClockThatSlept(t *testing.T) {
	base := time.Now()
	s := NewClock(slog.New(slog.DiscardHandler))
	s.Compared(base, base, base.Round(0))
	if woken := testenv.Stepped(base.Add(time.Second), 600); !s.wasSet(woken) {
		t.Error("not noticed")
	}
}
