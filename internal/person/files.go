package person

import (
	"context"
	"errors"
	"io"
	"time"
)

// Refusals of the two services that uploads pass through.
var (
	// ErrNoFile says that no file is kept under the name.
	ErrNoFile = errors.New("person: no such file")
	// ErrInfected says that the scanner found a virus.
	ErrInfected = errors.New("person: the file is infected")
)

// Files keeps uploaded files under names "<uid>/<document id>/<random>", whose parts hold ASCII letters,
// digits, '-' and '_' alone. Safe for concurrent use. Errors other than ErrNoFile say that the files are
// out of reach.
type Files interface {
	// Put keeps the size bytes of content under name, whole or not at all; contentType is for a store that
	// serves files itself.
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
