//go:build unix

package testenv

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
)

// reserved are the files whose locks this process keeps until it ends.
var reserved struct {
	sync.Mutex
	files []*os.File
}

// reserve reports whether the port is now this process's, and nobody had it before.
func reserve(port int) bool {
	dir := filepath.Join(os.TempDir(), fmt.Sprintf("barong-ports-%d", os.Geteuid()))
	if os.MkdirAll(dir, 0o700) != nil {
		return true // without a place for locks it goes by chance
	}
	f, err := os.OpenFile(filepath.Join(dir, strconv.Itoa(port)), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return true
	}
	if syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) != nil {
		f.Close()
		return false
	}
	reserved.Lock()
	defer reserved.Unlock()
	reserved.files = append(reserved.files, f)
	return true
}
