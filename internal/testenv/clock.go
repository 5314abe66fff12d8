package testenv

import (
	"time"
	"unsafe"
)

// Stepped is the moment of t, which time.Now has returned, as time.Now would have returned it
// had somebody set the machine's clock ahead by so many seconds, or back: another time of day,
// the same monotonic reading. In a bubble of synctest, whose times have none, it is the time since
// the bubble began.
func Stepped(t time.Time, seconds int64) time.Time {
	// The layout of package time: in wall the flag of a monotonic reading, 33 bits of seconds
	// since 1885 and 30 bits of nanoseconds; in ext the reading.
	const hasMonotonic = 1 << 63
	parts := (*struct {
		wall uint64
		ext  int64
		loc  *time.Location
	})(unsafe.Pointer(&t)) //nolint:gosec // only so can a test set the two clocks apart
	if parts.wall&hasMonotonic == 0 {
		since1885 := t.Unix() - time.Date(1885, 1, 1, 0, 0, 0, 0, time.UTC).Unix()
		parts.ext = int64(t.Sub(time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)))
		parts.wall |= hasMonotonic | uint64(since1885)<<30
	}
	parts.wall += uint64(seconds << 30)
	return t
}
