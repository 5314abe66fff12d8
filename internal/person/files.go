package person

import (
	"context"
	"errors"
	"io"
	"strings"
	"time"
)

// Refusals of the two services that uploads pass through.
var (
	// ErrNoFile says that no file is kept under the name.
	ErrNoFile = errors.New("person: no such file")
	// ErrInfected says that the scanner found a virus.
	ErrInfected = errors.New("person: the file is infected")
	// ErrFileName refuses a name that no uploaded file has.
	ErrFileName = errors.New("person: not the name of an uploaded file")
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
