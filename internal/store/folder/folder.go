package folder

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"
	"time"

	"barong/internal/person"
)

const (
	// part begins the names of writes under way; no name of an uploaded file has a dot.
	part = ".part-"
	// partLife is the age at which a write counts as cut off.
	partLife = time.Hour
	// attempts to write into a folder that Delete removes meanwhile.
	attempts = 100
)

// Files is a store of uploaded files. It is safe for concurrent use, also by several processes.
type Files struct {
	root *os.Root
}

var _ person.Files = (*Files)(nil)

// Open opens the folder dir, and makes it when it is missing.
func Open(dir string) (*Files, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make folder of uploaded files: %w", err)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("open folder of uploaded files: %w", err)
	}
	return &Files{root: root}, nil
}

// Close frees the folder.
func (f *Files) Close() error { return f.root.Close() }

// Put implements person.Files: the file is on the disk, and so is its name, before Put returns.
func (f *Files) Put(ctx context.Context, name, _ string, size int64, content io.Reader) error {
	if err := errors.Join(person.CheckFileName(name), ctx.Err()); err != nil {
		return err
	}
	dir := path.Dir(name)
	half := dir + "/" + part + rand.Text()
	out, err := f.create(dir, half)
	if err != nil {
		return fmt.Errorf("put file: %w", withoutName(err))
	}
	err = fill(ctx, out, size, content)
	if err == nil {
		err = f.root.Rename(half, name)
	}
	if err != nil {
		_ = f.root.Remove(half) // Names does, if this fails
		f.prune(dir)
		return fmt.Errorf("put file: %w", withoutName(err))
	}
	if err := f.settle(dir); err != nil {
		return fmt.Errorf("put file: %w", withoutName(err))
	}
	return nil
}

// create makes the file half in dir, and dir with the folders above it, as often as Delete removes them
// again in between.
func (f *Files) create(dir, half string) (*os.File, error) {
	var err error
	for range attempts {
		if err = f.root.MkdirAll(dir, 0o700); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
		var out *os.File
		if out, err = f.root.OpenFile(half, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600); !errors.Is(err, fs.ErrNotExist) {
			return out, err
		}
	}
	return nil, err
}

// fill writes exactly size bytes of content to out, to the disk itself, and closes out.
func fill(ctx context.Context, out *os.File, size int64, content io.Reader) error {
	n, err := io.Copy(out, io.LimitReader(reader{ctx, content}, size+1))
	if err == nil && n != size {
		err = fmt.Errorf("it has not the %d bytes that were announced", size)
	}
	if err == nil {
		err = out.Sync()
	}
	return errors.Join(err, out.Close())
}

// A reader ends with its context.
type reader struct {
	ctx  context.Context
	from io.Reader
}

// Read implements io.Reader.
func (r reader) Read(p []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	return r.from.Read(p)
}

// settle has the entries of dir and of the folders above it on the disk. A folder that Delete removed
// meanwhile has none.
func (f *Files) settle(dir string) error {
	for ; ; dir = path.Dir(dir) {
		if err := f.sync(dir); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		if dir == "." {
			return nil
		}
	}
}

func (f *Files) sync(dir string) error {
	d, err := f.root.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// Open implements person.Files.
func (f *Files) Open(ctx context.Context, name string) (io.ReadCloser, error) {
	if err := errors.Join(person.CheckFileName(name), ctx.Err()); err != nil {
		return nil, err
	}
	info, err := f.root.Lstat(name) // before it is opened: opening a pipe would wait for a writer
	if err == nil && !info.Mode().IsRegular() {
		return nil, errors.New("open file: it is none")
	}
	var in *os.File
	if err == nil {
		in, err = f.root.Open(name)
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil, person.ErrNoFile
	}
	if err != nil {
		return nil, fmt.Errorf("open file: %w", withoutName(err))
	}
	return in, nil
}

// Delete implements person.Files. It also removes the folders above the file that are empty then.
func (f *Files) Delete(ctx context.Context, name string) error {
	if err := errors.Join(person.CheckFileName(name), ctx.Err()); err != nil {
		return err
	}
	err := f.root.Remove(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	dir := path.Dir(name)
	if err == nil {
		f.prune(dir)
		err = f.settle(dir)
	}
	if err != nil {
		return fmt.Errorf("delete file: %w", withoutName(err))
	}
	return nil
}

// prune removes dir and the folders above it, as far as they are empty.
func (f *Files) prune(dir string) {
	for ; dir != "." && f.root.Remove(dir) == nil; dir = path.Dir(dir) {
	}
}

// Names implements person.Files. On its way it removes writes that were cut off and folders that are
// empty, once they are an hour old. Anything else that is no uploaded file stays, and is not yielded.
func (f *Files) Names(ctx context.Context, yield func(name string, modified time.Time) bool) error {
	err := f.walk(ctx, ".", 0, yield)
	if err != nil && !errors.Is(err, errEnough) {
		return fmt.Errorf("list files: %w", withoutName(err))
	}
	return nil
}

// errEnough ends a walk whose reader wants no more.
var errEnough = errors.New("enough")

// walk yields the files below dir, which lies so many folders below the root. It reads a folder in
// parts: there is one for each user.
func (f *Files) walk(ctx context.Context, dir string, depth int, yield func(string, time.Time) bool) error {
	d, err := f.root.Open(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // deleted since it was listed
	}
	if err != nil {
		return err
	}
	defer d.Close()
	for {
		entries, err := d.ReadDir(256)
		for _, e := range entries {
			if err := f.visit(ctx, path.Join(dir, e.Name()), depth, e, yield); err != nil {
				return err
			}
		}
		if errors.Is(err, io.EOF) || errors.Is(err, fs.ErrNotExist) {
			return ctx.Err()
		}
		if err != nil {
			return err
		}
	}
}

func (f *Files) visit(ctx context.Context, name string, depth int, e fs.DirEntry, yield func(string, time.Time) bool) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	info, err := e.Info()
	if errors.Is(err, fs.ErrNotExist) {
		return nil // deleted since it was listed
	}
	if err != nil {
		return err
	}
	old := time.Since(info.ModTime()) > partLife
	switch {
	case e.IsDir() && depth < 2:
		err = f.walk(ctx, name, depth+1, yield)
		if err == nil && old {
			_ = f.root.Remove(name) // refused unless it is empty
		}
		return err
	case !e.Type().IsRegular():
	case strings.HasPrefix(e.Name(), part) && old:
		_ = f.root.Remove(name)
	case person.CheckFileName(name) == nil && !yield(name, info.ModTime()):
		return errEnough
	}
	return nil
}

// withoutName drops the file's name, which says whose it is, from an error of the system.
func withoutName(err error) error {
	var p *fs.PathError
	if errors.As(err, &p) {
		return fmt.Errorf("%s: %w", p.Op, p.Err)
	}
	var l *os.LinkError
	if errors.As(err, &l) {
		return fmt.Errorf("%s: %w", l.Op, l.Err)
	}
	return err
}
