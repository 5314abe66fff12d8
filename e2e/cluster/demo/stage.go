package main

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"testing"
)

// A stage is a test without go test, because what starts the servers asks for one. What it
// does not have is not called: the rest of testing.TB is nil.
type stage struct {
	testing.TB
	ctx      context.Context
	cleanups []func()
	failed   bool
}

// perform runs f on a stage and cleans up; the exit status. f may end by Fatal.
func perform(ctx context.Context, f func(*stage)) int {
	s := &stage{ctx: ctx}
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer func() {
			for len(s.cleanups) > 0 {
				last := s.cleanups[len(s.cleanups)-1]
				s.cleanups = s.cleanups[:len(s.cleanups)-1]
				last()
			}
		}()
		f(s)
	}()
	<-done
	if s.failed {
		return 1
	}
	return 0
}

func (s *stage) Helper()                  {}
func (s *stage) Context() context.Context { return s.ctx }
func (s *stage) Cleanup(f func())         { s.cleanups = append(s.cleanups, f) }
func (s *stage) Failed() bool             { return s.failed }

func (s *stage) TempDir() string {
	dir, err := os.MkdirTemp("", "barong-cluster-")
	s.must(err)
	s.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

func (s *stage) Log(args ...any)                 { fmt.Fprintln(os.Stderr, args...) }
func (s *stage) Logf(format string, args ...any) { fmt.Fprintf(os.Stderr, format+"\n", args...) }

func (s *stage) Error(args ...any) {
	s.failed = true
	s.Log(args...)
}

func (s *stage) Errorf(format string, args ...any) {
	s.failed = true
	s.Logf(format, args...)
}

func (s *stage) Fatal(args ...any) {
	s.Error(args...)
	runtime.Goexit()
}

func (s *stage) Fatalf(format string, args ...any) {
	s.Errorf(format, args...)
	runtime.Goexit()
}

// Skipf is for what is not on this machine: then there is nothing to show.
func (s *stage) Skipf(format string, args ...any) { s.Fatalf(format, args...) }

func (s *stage) must(err error) {
	if err != nil {
		s.Fatal("demo:", err)
	}
}
