package testenv

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"testing"
)

// A Stage is a test without go test, for programs that need the servers of this package. Nothing
// calls the methods that it lacks: the rest of testing.TB is nil.
type Stage struct {
	testing.TB
	ctx      context.Context
	cleanups []func()
	failure  error // the first of Fatal, Error or Skip
}

// NewStage returns a stage with that context. Close it.
func NewStage(ctx context.Context) *Stage { return &Stage{ctx: ctx} }

// Do calls f, which may end by Fatal or Skip, and returns the failure said then, or by Error. f
// runs on a goroutine of its own, one at a time.
func (s *Stage) Do(f func()) error {
	done := make(chan struct{})
	go func() {
		defer close(done)
		f()
	}()
	<-done
	return s.failure
}

// Close cleans up, the last first, and returns the failure as Do does.
func (s *Stage) Close() error {
	for len(s.cleanups) > 0 {
		last := s.cleanups[len(s.cleanups)-1]
		s.cleanups = s.cleanups[:len(s.cleanups)-1]
		last()
	}
	return s.failure
}

// Helper implements testing.TB.
func (s *Stage) Helper() {}

// Context is the stage's.
func (s *Stage) Context() context.Context { return s.ctx }

// Cleanup has f called by Close.
func (s *Stage) Cleanup(f func()) { s.cleanups = append(s.cleanups, f) }

// Failed reports whether anything was wrong so far.
func (s *Stage) Failed() bool { return s.failure != nil }

// TempDir is a new directory that Close removes.
func (s *Stage) TempDir() string {
	dir, err := os.MkdirTemp("", "barong-stage-")
	if err != nil {
		s.Fatal(err)
	}
	s.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// Log prints to standard error.
func (s *Stage) Log(args ...any) { fmt.Fprintln(os.Stderr, args...) }

// Logf is Log with a format.
func (s *Stage) Logf(format string, args ...any) { fmt.Fprintf(os.Stderr, format+"\n", args...) }

// Error notes a failure, of which Do returns the first.
func (s *Stage) Error(args ...any) {
	if s.failure == nil {
		s.failure = errors.New(fmt.Sprint(args...))
	}
}

// Errorf is Error with a format.
func (s *Stage) Errorf(format string, args ...any) { s.Error(fmt.Sprintf(format, args...)) }

// Fatal is Error and ends the function that Do called.
func (s *Stage) Fatal(args ...any) {
	s.Error(args...)
	runtime.Goexit()
}

// Fatalf is Fatal with a format.
func (s *Stage) Fatalf(format string, args ...any) { s.Fatal(fmt.Sprintf(format, args...)) }

// Skipf is Fatalf: for a program missing on this machine, and then there is nothing to show.
func (s *Stage) Skipf(format string, args ...any) { s.Fatalf(format, args...) }
