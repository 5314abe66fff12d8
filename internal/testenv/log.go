package testenv

import (
	"bytes"
	"strings"
	"sync"
	"testing"
	"time"
)

// A Log keeps all text written to it and may be read meanwhile. Its zero value is ready.
type Log struct {
	mu   sync.Mutex
	text bytes.Buffer
}

// Write implements io.Writer.
func (l *Log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

// String is all of it so far.
func (l *Log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// Until returns when the log holds part so many times, and fails the test when it does not within
// a minute.
func (l *Log) Until(t testing.TB, times int, part string) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); strings.Count(l.String(), part) < times; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("the log never says %q %d times:\n%s", part, times, l)
		}
	}
}
