// Package expect holds the few checks that tests of every package share.
package expect

import (
	"errors"
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// OK ends the test when err is an error.
func OK(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// Must takes the results of a call and returns a function that gives the value, or ends the test
// when the call has failed: expect.Must(os.ReadFile(name))(t).
func Must[T any](v T, err error) func(testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		OK(t, err)
		return v
	}
}

// Error ends the test unless err is want, or wraps it.
func Error(t testing.TB, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Fatalf("got error %v, want %v", err, want)
	}
}

// Equal reports the differences between two values; the test goes on.
func Equal(t testing.TB, got, want any, options ...cmp.Option) {
	t.Helper()
	options = append(options, cmpopts.EquateComparable(netip.Addr{}, netip.Prefix{}))
	if d := cmp.Diff(want, got, options...); d != "" {
		t.Errorf("want -, got +:\n%s", d)
	}
}
