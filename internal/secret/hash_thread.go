package secret

import (
	"os"
	"runtime"
	"sync"
	"time"
)

// spareFor is how long the additional processors stay after the last hash: changing their
// number stops the whole process for a moment.
const spareFor = 10 * time.Second

// aside runs work where it delays nothing else of the process. A hash keeps a processor of Go's
// busy for tens of milliseconds, of which the scheduler gives others a share only every ten;
// where there is but one, all decisions wait. So while there is work Go gets additional
// processors, and the work runs on threads that the system puts behind all others of ours.
type aside struct {
	processors int // additional ones

	mu      sync.Mutex
	running int
	before  int // GOMAXPROCS as it was, 0 while it is not raised
	lower   *time.Timer
	linger  time.Duration
}

// run calls work and returns, or panics, when it has. A nil aside runs it here.
func (a *aside) run(work func()) {
	if a == nil {
		work()
		return
	}
	a.enter()
	defer a.leave()
	done := make(chan struct{})
	var failed any
	go func() {
		defer close(done)
		defer func() { failed = recover() }() // for the caller, which may have a guard
		// Never unlocked, so that the thread ends with this goroutine: a priority once
		// lowered is not raised again without a privilege.
		runtime.LockOSThread()
		lowerPriority()
		work()
	}()
	<-done
	if failed != nil {
		panic(failed)
	}
}

func (a *aside) enter() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.running++
	if a.lower != nil {
		a.lower.Stop()
	}
	if a.before == 0 {
		a.before = runtime.GOMAXPROCS(0)
		runtime.GOMAXPROCS(a.before + a.processors)
	}
}

func (a *aside) leave() {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.running--; a.running == 0 {
		a.lower = time.AfterFunc(a.linger, a.restore)
	}
}

// restore takes the additional processors away, unless there is work again.
func (a *aside) restore() {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.running > 0 || a.before == 0 {
		return
	}
	if os.Getenv("GOMAXPROCS") == "" {
		runtime.SetDefaultGOMAXPROCS() // which also follows the limits of a container again
	} else {
		runtime.GOMAXPROCS(a.before)
	}
	a.before = 0
}
