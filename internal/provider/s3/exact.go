package s3

import (
	"errors"
	"fmt"
	"io"
	"sync"
)

// exact passes on content that has the announced size, and fails on other content before its last byte
// is out, so that no service can take it for whole.
type exact struct {
	mu    sync.Mutex // the HTTP client may read on after it has returned
	from  io.Reader
	size  int64
	left  int64
	wrong error // the fault of the content; or errClosed
}

var errClosed = errors.New("the content is not read any more")

func newExact(content io.Reader, size int64) *exact {
	return &exact{from: content, size: size, left: size}
}

// body is the reader for the client, which sends it again if it can go back.
func (e *exact) body() io.Reader {
	s, ok := e.from.(io.Seeker)
	if !ok {
		return e
	}
	start, err := s.Seek(0, io.SeekCurrent)
	if err != nil {
		return e
	}
	return rewindable{e, s, start}
}

// Read implements io.Reader.
func (e *exact) Read(p []byte) (int, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	switch {
	case e.wrong != nil:
		return 0, e.wrong
	case e.left == 0:
		return 0, io.EOF
	}
	n, err := e.from.Read(p[:min(int64(len(p)), e.left)])
	e.left -= int64(n)
	switch {
	case err != nil && !errors.Is(err, io.EOF):
		e.wrong = err
	case e.left > 0 && err != nil:
		e.wrong = e.sized()
	case e.left == 0 && err == nil:
		e.wrong = e.ended()
	}
	if e.wrong != nil {
		return 0, e.wrong
	}
	return n, nil
}

// ended returns nil when there is nothing more to read.
func (e *exact) ended() error {
	n, err := io.ReadFull(e.from, make([]byte, 1))
	switch {
	case n > 0:
		return e.sized()
	case errors.Is(err, io.EOF):
		return nil
	}
	return err
}

func (e *exact) sized() error {
	return fmt.Errorf("it has not the %d bytes that were announced", e.size)
}

// close leaves the content to its owner and returns the fault that it had.
func (e *exact) close() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	wrong := e.wrong
	e.wrong = errClosed
	return wrong
}

// rewindable is exact over content that can be read again.
type rewindable struct {
	*exact
	seeker io.Seeker
	start  int64
}

// Seek implements io.Seeker for the start alone.
func (r rewindable) Seek(offset int64, whence int) (int64, error) {
	if offset != 0 || whence != io.SeekStart {
		return 0, errors.New("only the start can be sought")
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.wrong != nil {
		return 0, r.wrong
	}
	r.left = r.size
	return r.seeker.Seek(r.start, io.SeekStart)
}
