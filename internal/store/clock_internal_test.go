package store

import (
	"bytes"
	"log/slog"
	"testing"
	"time"
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
