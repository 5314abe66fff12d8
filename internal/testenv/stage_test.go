package testenv

import (
	"slices"
	"testing"
)

func TestAStageCleansUpAndTellsWhatFailed(t *testing.T) {
	s := NewStage(t.Context())
	var order []string
	if err := s.Do(func() {
		s.Cleanup(func() { order = append(order, "first") })
		s.Cleanup(func() { order = append(order, "second") })
	}); err != nil || s.Failed() {
		t.Errorf("got %v, failed %v; want neither", err, s.Failed())
	}
	err := s.Do(func() {
		s.Fatalf("no %s", "server")
		t.Error("Fatal did not end it")
	})
	if err == nil || err.Error() != "no server" || !s.Failed() {
		t.Errorf("got %v, failed %v; want what Fatal said", err, s.Failed())
	}
	if len(order) > 0 {
		t.Errorf("cleaned up before Close: %q", order)
	}
	if err := s.Close(); err == nil || err.Error() != "no server" {
		t.Errorf("Close returned %v, want what Fatal said", err)
	}
	if want := []string{"second", "first"}; !slices.Equal(order, want) {
		t.Errorf("cleaned up %q, want %q", order, want)
	}
}
