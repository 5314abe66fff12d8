//go:build !unix || solaris || aix

package store

import (
	"errors"
	"os"
)

// lockFile refuses: without a lock two processes could write one file.
func lockFile(path string) (*os.File, error) {
	return nil, errors.New("SQLite is supported only where flock is: " + path)
}
