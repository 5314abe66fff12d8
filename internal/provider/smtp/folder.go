package smtp

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/wneessen/go-mail"

	"barong/internal/event"
	"barong/internal/notify"
)

// A Folder keeps mails as files *.eml, readable by their owner alone, for runs without a mail
// server. It is safe for concurrent use.
type Folder struct {
	// Path is made when it is missing.
	Path string
	// Keep is how many mails stay, the newest; 0 is 1000.
	Keep int
	// Announce, when not nil, gets each mail and its file.
	Announce func(m notify.Message, file string)
	// Now is time.Now when nil.
	Now func() time.Time
}

var _ notify.Sender = Folder{}

// Send implements notify.Sender. A repetition replaces the file. Bodies are written as they
// are, so that links can be copied out of the file.
func (f Folder) Send(_ context.Context, m notify.Message) error {
	now := time.Now
	if f.Now != nil {
		now = f.Now
	}
	msg, err := encode(m, now(), mail.NoEncoding)
	if err != nil {
		return fmt.Errorf("%w: %w", event.ErrPermanent, err)
	}
	var b bytes.Buffer
	if _, err := msg.WriteTo(&b); err != nil {
		return fmt.Errorf("encode mail: %w", err)
	}
	if err := os.MkdirAll(f.Path, 0o700); err != nil {
		return fmt.Errorf("make folder of mails: %w", err)
	}
	file := filepath.Join(f.Path, m.ID+".eml")
	half := file + ".part"
	if err := os.WriteFile(half, b.Bytes(), 0o600); err != nil {
		return fmt.Errorf("write mail: %w", err)
	}
	if err := os.Rename(half, file); err != nil {
		return fmt.Errorf("write mail: %w", err)
	}
	if err := f.prune(); err != nil {
		return err
	}
	if f.Announce != nil {
		f.Announce(m, file)
	}
	return nil
}

// prune removes the oldest mails beyond Keep, and nothing that is no mail.
func (f Folder) prune() error {
	keep := f.Keep
	if keep <= 0 {
		keep = 1000
	}
	names, err := os.ReadDir(f.Path)
	if err != nil {
		return fmt.Errorf("look through mails: %w", err)
	}
	names = slices.DeleteFunc(names, func(e os.DirEntry) bool {
		return !e.Type().IsRegular() || filepath.Ext(e.Name()) != ".eml"
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
			return fmt.Errorf("remove old mail: %w", err)
		}
	}
	return nil
}
