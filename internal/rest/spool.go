package rest

import (
	"bufio"
	"errors"
	"io"
	"os"
)

// errSpool says that the disk does not take an upload.
var errSpool = errors.New("rest: spool of an upload")

// spool keeps the files and the long texts of one request in a file without a name: they cost no
// memory, and are gone with the process. It is for one goroutine. The zero value is ready.
type spool struct {
	dir  string // "" for the system's
	file *os.File
	size int64
}

// piece is a part of a spool that is being written; the next one begins after its end.
type piece struct {
	*bufio.Writer
	of    *spool
	start int64
}

// piece begins one. Errors are errSpool.
func (s *spool) piece() (*piece, error) {
	if s.file == nil {
		f, err := os.CreateTemp(s.dir, "barong-upload-*") // mode 0600
		if err != nil {
			return nil, errors.Join(errSpool, err)
		}
		s.file = f
		_ = os.Remove(f.Name()) // where that fails, close does it
	}
	return &piece{bufio.NewWriterSize(diskWriter{io.NewOffsetWriter(s.file, s.size)}, 32<<10), s, s.size}, nil
}

// diskWriter marks the errors of the disk, which are not the client's.
type diskWriter struct{ w io.Writer }

// Write implements io.Writer.
func (d diskWriter) Write(b []byte) (int, error) {
	n, err := d.w.Write(b)
	if err != nil {
		err = errors.Join(errSpool, err)
	}
	return n, err
}

// end returns the whole piece, of size bytes.
func (p *piece) end(size int64) (*io.SectionReader, error) {
	if err := p.Flush(); err != nil {
		return nil, err
	}
	p.of.size = p.start + size
	return io.NewSectionReader(p.of.file, p.start, size), nil
}

// take keeps all that r gives. An error is that of r, or errSpool.
func (s *spool) take(r io.Reader) (*io.SectionReader, error) {
	p, err := s.piece()
	if err != nil {
		return nil, err
	}
	n, err := io.Copy(p.Writer, onlyReader{r})
	if err != nil {
		return nil, err
	}
	return p.end(n)
}

// onlyReader hides the other methods of a reader, so that copying goes through one small buffer.
type onlyReader struct{ io.Reader }

// close frees the disk.
func (s *spool) close() {
	if s.file == nil {
		return
	}
	_ = s.file.Close()
	_ = os.Remove(s.file.Name()) // gone already where files may be removed while they are open
}
