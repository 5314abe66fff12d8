package testenv

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
)

// OnDisk reports whether a file of the broker's database, below its queues' own, holds word.
func (r *Rabbit) OnDisk(word string) bool {
	found := false
	_ = filepath.WalkDir(filepath.Join(r.dir, "data"), func(path string, d fs.DirEntry, err error) error {
		if err != nil || found {
			return nil //nolint:nilerr // a file may vanish while the broker writes
		}
		if d.IsDir() && d.Name() == "msg_stores" {
			return fs.SkipDir
		}
		if !d.IsDir() {
			b, _ := os.ReadFile(path)
			found = bytes.Contains(b, []byte(word))
		}
		return nil
	})
	return found
}
