package secret

import (
	"runtime"
	"syscall"
	"testing"
	"time"
)

func niceness(t *testing.T) int {
	t.Helper()
	raw, err := syscall.Getpriority(syscall.PRIO_PROCESS, 0)
	if err != nil {
		t.Fatal(err)
	}
	return 20 - raw
}

// Only the thread that hashes is nicer; the caller's thread stays as it was.
func TestHashesRunBehindOtherThreads(t *testing.T) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	mine := niceness(t)
	a := &aside{processors: 1, linger: time.Hour}
	var there int
	a.run(func() { there = niceness(t) })
	a.lower.Stop()
	a.restore()
	if want := min(mine+giveWayBy, 19); there != want {
		t.Errorf("nice %d where it hashes, want %d", there, want)
	}
	if got := niceness(t); got != mine {
		t.Errorf("nice %d where it was called from, want %d", got, mine)
	}
}
