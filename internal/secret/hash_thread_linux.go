package secret

import "syscall"

// giveWayBy is by how much lowerPriority makes a thread nicer: a tenth of the weight of the
// others. More would let a busy machine hold up the collector, which waits for all threads.
const giveWayBy = 10

// lowerPriority puts the calling thread behind the others of the process. Where the system
// does not allow it, all stay equal.
func lowerPriority() {
	const thisThread = 0
	raw, err := syscall.Getpriority(syscall.PRIO_PROCESS, thisThread)
	if err != nil {
		return
	}
	nice := 20 - raw // the system call counts down from there
	_ = syscall.Setpriority(syscall.PRIO_PROCESS, thisThread, min(nice+giveWayBy, 19))
}
