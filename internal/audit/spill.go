package audit

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
)

// maxRow is more than one spilled row takes: 8 KiB of data with every byte escaped, and the
// strings beside it.
const maxRow = 128 << 10

// spill is an append-only file of JSON lines, one row each, and the lines still to be written to
// it. Offsets run through both: one beyond the file's end is in pending. The file is emptied
// when everything in it has been read and delivered. It is safe for concurrent use.
type spill struct {
	path string
	max  int64

	mu      sync.Mutex
	pending []byte
	size    int64 // of the file
	pos     int64 // up to which rows have been delivered

	io   sync.Mutex // serialises writing and emptying; taken before mu
	file *os.File
}

// openSpill opens or creates the file (mode 0600) and locks it against other processes, which
// would empty it under us. Its rows from before are there to be read.
func openSpill(path string, most int64) (*spill, error) {
	s := &spill{path: path, max: most}
	if path == "" || most == 0 {
		s.max = 0
		return s, nil
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, fmt.Errorf("open spill file: %w", err)
	}
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open spill file: %w", err)
	}
	if err := lockSpill(f); err != nil {
		f.Close()
		return nil, fmt.Errorf("open spill file %s: another process uses it: %w", path, err)
	}
	end, err := f.Seek(0, io.SeekEnd)
	if err == nil {
		err = f.Chmod(0o600)
	}
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("open spill file: %w", err)
	}
	s.file, s.size = f, end
	// A line that a crash cut short must not swallow the next one.
	if last := make([]byte, 1); end > 0 {
		if _, err := f.ReadAt(last, end-1); err == nil && last[0] != '\n' {
			s.pending = []byte("\n")
		}
	}
	return s, nil
}

// add takes as many of the rows as fit, in order, and returns how many. They are in memory
// until sync.
func (s *spill) add(rows ...Entry) int {
	var lines []byte
	for i, row := range rows {
		line, err := json.Marshal(row)
		if err != nil { // no field of a row can fail
			continue
		}
		line = append(line, '\n')
		s.mu.Lock()
		room := s.size+int64(len(s.pending)+len(lines)+len(line)) <= s.max
		s.mu.Unlock()
		if !room {
			rows = rows[:i]
			break
		}
		lines = append(lines, line...)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pending = append(s.pending, lines...)
	return len(rows)
}

// sync writes the pending lines and waits until they are on disk. After an error they stay
// pending.
func (s *spill) sync() error {
	s.io.Lock()
	defer s.io.Unlock()
	s.mu.Lock()
	lines, at := s.pending, s.size
	s.mu.Unlock()
	if len(lines) == 0 || s.file == nil {
		return nil
	}
	if _, err := s.file.WriteAt(lines, at); err != nil {
		_ = s.file.Truncate(at) // half a line, if any
		return fmt.Errorf("write spill file: %w", err)
	}
	if err := s.file.Sync(); err != nil {
		return fmt.Errorf("write spill file: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.size += int64(len(lines))
	s.pending = append([]byte(nil), s.pending[len(lines):]...)
	return nil
}

// next reads up to n rows after the delivered ones, the offset after them, and the lines that
// were unreadable and skipped.
func (s *spill) next(n int) (rows []Entry, end int64, damaged [][]byte, err error) {
	s.mu.Lock()
	pos, size := s.pos, s.size
	pending := bytes.Clone(s.pending)
	s.mu.Unlock()
	var source io.Reader
	if pos >= size {
		source = bytes.NewReader(pending[min(pos-size, int64(len(pending))):])
	} else {
		source = io.MultiReader(io.NewSectionReader(s.file, pos, size-pos), bytes.NewReader(pending))
	}
	lines := bufio.NewReaderSize(source, 64<<10)
	end = pos
	for len(rows) < n {
		line, err := lines.ReadBytes('\n')
		if err == io.EOF {
			if len(line) > 0 && end+int64(len(line)) <= size { // cut by a crash, nothing follows
				end += int64(len(line))
				damaged = append(damaged, line)
			}
			return rows, end, damaged, nil
		}
		if err != nil {
			return nil, pos, nil, fmt.Errorf("read spill file: %w", err)
		}
		end += int64(len(line))
		if len(bytes.TrimSpace(line)) == 0 {
			continue
		}
		var row Entry
		if json.Unmarshal(line, &row) != nil || row.Ref == "" {
			damaged = append(damaged, line)
			continue
		}
		rows = append(rows, row)
	}
	return rows, end, damaged, nil
}

// rowsIn is how many rows a damaged line held at least: one, as many as begin in it, and as
// many as so many bytes need.
func rowsIn(line []byte) int {
	return max(1, bytes.Count(line, []byte(`{"Ref":"`)), (len(line)+maxRow-1)/maxRow)
}

// done says that everything before the offset has been delivered, and empties the file when
// nothing is left. A crash before that delivers rows again, which their refs make harmless.
func (s *spill) done(end int64) error {
	s.io.Lock()
	defer s.io.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pos = end
	if s.pos < s.size+int64(len(s.pending)) {
		return nil
	}
	if s.file != nil && s.size > 0 {
		if err := s.file.Truncate(0); err != nil {
			return fmt.Errorf("empty spill file: %w", err)
		}
	}
	s.pos, s.size, s.pending = 0, 0, nil
	return nil
}

// empty reports whether there is nothing to deliver.
func (s *spill) empty() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.pos >= s.size+int64(len(s.pending))
}

// bytes is the size of the file with the pending lines.
func (s *spill) bytes() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.size + int64(len(s.pending))
}

// full reports whether another row may not fit.
func (s *spill) full() bool { return s.bytes()+maxRow > s.max }

// bury appends entries that the store will never take to a second file beside this one: rows,
// and damaged lines as they are.
func (s *spill) bury(rows []Entry, damaged [][]byte) error {
	if s.file == nil || len(rows)+len(damaged) == 0 {
		return nil
	}
	f, err := os.OpenFile(s.path+".dead", os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
	if err != nil {
		return fmt.Errorf("open dead-letter file: %w", err)
	}
	defer f.Close()
	enc := json.NewEncoder(f)
	for _, row := range rows {
		if err := enc.Encode(row); err != nil {
			return fmt.Errorf("write dead-letter file: %w", err)
		}
	}
	for _, line := range damaged {
		if _, err := f.Write(append(bytes.TrimSuffix(line, []byte("\n")), '\n')); err != nil {
			return fmt.Errorf("write dead-letter file: %w", err)
		}
	}
	if err := f.Sync(); err != nil {
		return fmt.Errorf("write dead-letter file: %w", err)
	}
	return nil
}

// close writes the pending lines and closes the file.
func (s *spill) close() error {
	err := s.sync()
	if s.file == nil {
		return err
	}
	if e := s.file.Close(); err == nil && e != nil {
		err = fmt.Errorf("close spill file: %w", e)
	}
	return err
}
