//go:build unix && !solaris && !aix

package store

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"syscall"
)

// lockFile takes the exclusive lock of the database at path, held until the returned file
// is closed or the process ends, however it ends. The lock belongs to the open file, so a
// second Open in the same process is refused too.
func lockFile(path string) (*os.File, error) {
	f, err := os.OpenFile(path+".lock", os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open lock file: %w", err)
	}
	err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		by := ""
		if pid, err := io.ReadAll(io.LimitReader(f, 20)); err == nil && len(pid) > 0 {
			by = " by process " + strings.TrimSpace(string(pid))
		}
		f.Close()
		return nil, fmt.Errorf("%w: %s is in use%s; SQLite serves one process at a time, stop the other first",
			ErrInUse, path, by)
	}
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("lock %s.lock: %w", path, err)
	}
	// For the message above only; the lock itself does not depend on the content.
	if err := f.Truncate(0); err == nil {
		_, _ = f.WriteAt([]byte(fmt.Sprintf("%d\n", os.Getpid())), 0)
	}
	return f, nil
}
