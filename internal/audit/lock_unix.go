//go:build unix && !solaris && !aix

package audit

import (
	"os"
	"syscall"
)

// lockSpill holds the file until it is closed or the process ends.
func lockSpill(f *os.File) error {
	return syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
}
