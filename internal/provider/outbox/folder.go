package outbox

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// A Folder keeps messages of one kind as files, readable by their owner alone. It is safe for
// concurrent use.
type Folder struct {
	// Path is made when it is missing.
	Path string
	// Ext is the end of the names, with the dot.
	Ext string
	// Keep is how many messages stay, the newest; 0 is 1000.
	Keep int
}

// Write keeps a message under a name, in place of any other of that name, and returns its file. A file
// is there whole or not at all.
func (f Folder) Write(name string, message []byte) (file string, err error) {
	if err := os.MkdirAll(f.Path, 0o700); err != nil {
		return "", fmt.Errorf("make folder of messages: %w", err)
	}
	file = filepath.Join(f.Path, name+f.Ext)
	half := file + ".part"
	if err := os.WriteFile(half, message, 0o600); err != nil {
		return "", fmt.Errorf("write message: %w", err)
	}
	if err := os.Rename(half, file); err != nil {
		return "", fmt.Errorf("write message: %w", err)
	}
	return file, f.prune()
}

// prune removes the oldest messages beyond Keep, and no other file.
func (f Folder) prune() error {
	keep := f.Keep
	if keep <= 0 {
		keep = 1000
	}
	names, err := os.ReadDir(f.Path)
	if err != nil {
		return fmt.Errorf("look through messages: %w", err)
	}
	names = slices.DeleteFunc(names, func(e os.DirEntry) bool {
		return !e.Type().IsRegular() || filepath.Ext(e.Name()) != f.Ext
	})
	if len(names) <= keep {
		return nil
	}
	ages := make(map[string]time.Time, len(names))
	for _, e := range names {
		if info, err := e.Info(); err == nil { // else another has removed it
			ages[e.Name()] = info.ModTime()
		}
	}
	slices.SortFunc(names, func(a, b os.DirEntry) int { return ages[a.Name()].Compare(ages[b.Name()]) })
	for _, e := range names[:len(names)-keep] {
		if err := os.Remove(filepath.Join(f.Path, e.Name())); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("remove old message: %w", err)
		}
	}
	return nil
}
