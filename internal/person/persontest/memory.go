package persontest

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"sync"
	"time"

	"barong/internal/person"
)

// Files is a person.Files in memory. Make one with NewFiles.
type Files struct {
	// Fail is asked before each call, by the verb and the name of the file, "" for Names; its error is
	// the call's. It may be nil. After fails a call of Put behind its effect.
	Fail, After func(verb, name string) error
	// Now is the time of changes; nil for time.Now.
	Now func() time.Time

	mu  sync.Mutex
	all map[string]file
}

type file struct {
	content  []byte
	media    string
	modified time.Time
}

var _ person.Files = (*Files)(nil)

// NewFiles returns an empty one.
func NewFiles() *Files { return &Files{all: map[string]file{}} }

// allowed reports why a call is none: its caller has left, its name is no file's, or Fail says so.
func (f *Files) allowed(ctx context.Context, verb, name string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if verb != "Names" {
		if err := person.CheckFileName(name); err != nil {
			return err
		}
	}
	return ask(f.Fail, verb, name)
}

func ask(f func(verb, name string) error, verb, name string) error {
	if f == nil {
		return nil
	}
	return f(verb, name)
}

// Put implements person.Files.
func (f *Files) Put(ctx context.Context, name, media string, size int64, content io.Reader) error {
	if err := f.allowed(ctx, "Put", name); err != nil {
		return err
	}
	b, err := io.ReadAll(io.LimitReader(content, size+1))
	if err != nil {
		return err
	}
	if int64(len(b)) != size {
		return fmt.Errorf("%d bytes or more, want %d", len(b), size)
	}
	now := time.Now
	if f.Now != nil {
		now = f.Now
	}
	f.mu.Lock()
	f.all[name] = file{b, media, now()}
	f.mu.Unlock()
	return ask(f.After, "Put", name)
}

// Open implements person.Files.
func (f *Files) Open(ctx context.Context, name string) (io.ReadCloser, error) {
	if err := f.allowed(ctx, "Open", name); err != nil {
		return nil, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	one, ok := f.all[name]
	if !ok {
		return nil, person.ErrNoFile
	}
	return io.NopCloser(bytes.NewReader(one.content)), nil
}

// Delete implements person.Files.
func (f *Files) Delete(ctx context.Context, name string) error {
	if err := f.allowed(ctx, "Delete", name); err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.all, name)
	return nil
}

// Names implements person.Files.
func (f *Files) Names(ctx context.Context, yield func(name string, modified time.Time) bool) error {
	if err := f.allowed(ctx, "Names", ""); err != nil {
		return err
	}
	f.mu.Lock()
	found := make(map[string]time.Time, len(f.all))
	for name, one := range f.all {
		found[name] = one.modified
	}
	f.mu.Unlock()
	for name, modified := range found {
		if !yield(name, modified) {
			return nil
		}
	}
	return nil
}

// A Scanner finds the outcome of its function. It reads each file to its end.
type Scanner func(content []byte) error

// Scan implements person.Scanner.
func (s Scanner) Scan(_ context.Context, content io.Reader) error {
	b, err := io.ReadAll(content)
	if err != nil {
		return err
	}
	return s(b)
}
