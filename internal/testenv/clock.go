package testenv

import (
	"time"
	"unsafe"
)

// Stepped is the moment of t, which time.Now has returned, as time.Now would have returned it
// had somebody set the machine's clock ahead by so many seconds, or back: another time of day,
// the same monotonic reading. A t without a monotonic reading panics.
func Stepped(t time.Time, seconds int64) time.Time {
	// The layout of package time: in wall the flag of a monotonic reading, 33 bits of seconds
	// since 1885 and 30 bits of nanoseconds.
	const hasMonotonic = 1 << 63
	parts := (*struct {
		wall uint64
		ext  int64
		loc  *time.Location
	})(unsafe.Pointer(&t)) //nolint:gosec // only so can a test set the two clocks apart
	if parts.wall&hasMonotonic == 0 {
		panic("testenv: a time without a monotonic reading")
	}
	parts.wall += uint64(seconds << 30)
	return t
}
