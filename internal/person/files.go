package person

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"
)

// Refusals of the two services that uploads pass through.
var (
	// ErrNoFile says that no file is kept under the name.
	ErrNoFile = errors.New("person: no such file")
	// ErrFiles says that the store of files is out of reach.
	ErrFiles = errors.New("person: the store of files is out of reach")
	// ErrInfected says that the scanner found a virus.
	ErrInfected = errors.New("person: the file is infected")
	// ErrFileName refuses a name that no uploaded file has.
	ErrFileName = errors.New("person: not the name of an uploaded file")
	// ErrScanner says that the scanner is out of reach.
	ErrScanner = errors.New("person: the scanner is out of reach")
)

// maxFileNamePart is the longest part of a name, in bytes.
const maxFileNamePart = 128

// CheckFileName returns ErrFileName unless name has three parts "<uid>/<document id>/<random>" of ASCII
// letters, digits, '-' and '_', each of 1 to 128 bytes. Every store of files refuses other names, so that
// none can lead out of the store.
func CheckFileName(name string) error {
	parts := 0
	for part := range strings.SplitSeq(name, "/") {
		if parts++; parts > 3 || part == "" || len(part) > maxFileNamePart || strings.ContainsFunc(part, notInFileName) {
			return ErrFileName
		}
	}
	if parts != 3 {
		return ErrFileName
	}
	return nil
}

func notInFileName(c rune) bool {
	return (c < '0' || c > '9') && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && c != '-' && c != '_'
}

// Files keeps uploaded files under names that CheckFileName passes. Safe for concurrent use. Errors other
// than ErrNoFile and ErrFileName say that the files are out of reach.
type Files interface {
	// Put keeps the size bytes of content, at least one, under name, whole or not at all; contentType is
	// for a store that serves files itself. It replaces a file of the name; content of another size is an error.
	Put(ctx context.Context, name string, contentType string, size int64, content io.Reader) error
	// Open reads the file; ErrNoFile.
	Open(ctx context.Context, name string) (io.ReadCloser, error)
	// Delete removes the file; nil if there is none.
	Delete(ctx context.Context, name string) error
	// Names yields every file and the time of its last change, in no order, until yield returns false.
	Names(ctx context.Context, yield func(name string, modified time.Time) bool) error
}

// Scanner looks for viruses. Safe for concurrent use.
type Scanner interface {
	// Scan reads content to its end: nil, ErrInfected, or another error if the scanner is out of reach.
	Scan(ctx context.Context, content io.Reader) error
}

// put keeps the file of each document, all or none; ErrFiles.
func (s *Service) put(ctx context.Context, documents []Document, files []Upload) error {
	if s.files == nil {
		return ErrFiles
	}
	for i, d := range documents {
		err := s.files.Put(ctx, d.File, d.Media, d.Size, io.NewSectionReader(files[i].Content, 0, d.Size))
		if err != nil {
			s.drop(ctx, documents[:i+1]) // the store may have kept the one that failed
			return errors.Join(ErrFiles, err)
		}
	}
	return nil
}

// dropTime bounds drop, which goes on when the client has left.
const dropTime = 10 * time.Second

// drop takes the files of documents away that there are no rows of. Those that it cannot reach wait
// for SweepFiles.
func (s *Service) drop(ctx context.Context, documents []Document) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), dropTime)
	defer cancel()
	for _, d := range documents {
		_ = s.files.Delete(ctx, d.File)
	}
}

// scan looks for viruses in each file; ErrInfected, ErrScanner.
func (s *Service) scan(ctx context.Context, files []Upload) error {
	if s.scanner == nil {
		return nil
	}
	for _, f := range files {
		err := s.scanner.Scan(ctx, io.NewSectionReader(f.Content, 0, f.Content.Size()))
		switch {
		case errors.Is(err, ErrInfected):
			return err
		case err != nil:
			return errors.Join(ErrScanner, err)
		}
	}
	return nil
}

// OpenFile opens the file of a document for somebody with its link. Errors: ErrLink, ErrNoDocument,
// ErrFiles.
func (s *Service) OpenFile(ctx context.Context, l Link) (Document, io.ReadCloser, error) {
	d, content, err := s.openFile(ctx, l)
	if err != nil {
		return d, nil, fmt.Errorf("open the file of a document: %w", err)
	}
	return d, content, nil
}

func (s *Service) openFile(ctx context.Context, l Link) (d Document, content io.ReadCloser, err error) {
	if !s.links.verify(l, s.now()) {
		return d, nil, ErrLink
	}
	if d, err = s.rows.Document(ctx, l.ID); err != nil {
		return d, nil, err
	}
	if s.files == nil {
		return d, nil, ErrFiles
	}
	content, err = s.files.Open(ctx, d.File)
	switch {
	case errors.Is(err, ErrNoFile):
		return d, nil, errors.Join(ErrNoDocument, err)
	case err != nil:
		return d, nil, errors.Join(ErrFiles, err)
	}
	return d, content, nil
}

// A file without a row is removed when it is older than an upload may take; one that is much older is
// not the rest of an upload, but a sign that this is another database.
const orphanAge, strangerAge = time.Hour, 7 * 24 * time.Hour

// SweepFiles removes the files of which there is no document: a process ended between the file and the
// row. It returns how many, and how many files it has left because they are too old to be that. It may
// run in several processes at once.
func (s *Service) SweepFiles(ctx context.Context) (removed, strange int, err error) {
	if s.files == nil {
		return 0, 0, nil
	}
	now := s.now()
	ages := map[string]time.Duration{}
	var orphans []string
	var failed error
	look := func() bool {
		var old int
		orphans, old, failed = s.orphans(ctx, ages, orphans)
		strange += old
		clear(ages)
		return failed == nil && len(orphans) < maxOrphans
	}
	err = s.files.Names(ctx, func(name string, modified time.Time) bool {
		if age := now.Sub(modified); age > orphanAge {
			ages[name] = age
		}
		return len(ages) < 200 || look()
	})
	if err != nil {
		return 0, strange, fmt.Errorf("sweep files: %w", errors.Join(ErrFiles, err))
	}
	if failed == nil {
		look()
	}
	if failed != nil {
		return 0, strange, fmt.Errorf("sweep files: %w", failed)
	}
	for n, name := range orphans {
		if err := s.files.Delete(ctx, name); err != nil {
			return n, strange, fmt.Errorf("sweep files: %w", errors.Join(ErrFiles, err))
		}
	}
	return len(orphans), strange, nil
}

// maxOrphans bounds the memory of a sweep.
const maxOrphans = 10_000

// orphans adds to list those of the files without a document that are not too old, and counts the others.
func (s *Service) orphans(ctx context.Context, ages map[string]time.Duration, list []string) (all []string, strange int, err error) {
	known, err := s.rows.DocumentFiles(ctx, slices.Collect(maps.Keys(ages)))
	if err != nil {
		return list, 0, err
	}
	for name, age := range ages {
		switch {
		case slices.Contains(known, name):
		case age > strangerAge:
			strange++
		default:
			list = append(list, name)
		}
	}
	return list, strange, nil
}
