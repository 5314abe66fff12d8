package redis_test

import (
	"strings"
	"testing"
	"time"

	"barong/internal/limit"
)

func TestKeysOfLimitsHideWhoIsMeantAndAreForgotten(t *testing.T) {
	server, cfg := start(t)
	cfg.Prefix = "k:"
	s, raw := open(t, cfg), server.Client()
	defer raw.Close()
	now := time.Now()
	r := limit.Rule{Burst: 5, Period: time.Hour}
	for range 3 {
		if _, err := s.Take(t.Context(), "sign-in:me@example.com", r, now); err != nil {
			t.Fatal(err)
		}
	}
	keys := raw.Keys(t.Context(), "*").Val()
	if len(keys) != 1 || strings.Contains(keys[0], "me@") {
		t.Fatalf("keys %q, want one that names nobody", keys)
	}
	if life := raw.PTTL(t.Context(), keys[0]).Val(); life < 36*time.Minute || life > 37*time.Minute {
		t.Errorf("it lives %v, want a little longer than until it is full", life)
	}
	for range 3 {
		if err := s.Return(t.Context(), "sign-in:me@example.com", r, now); err != nil {
			t.Fatal(err)
		}
	}
	if keys := raw.Keys(t.Context(), "*").Val(); len(keys) != 0 {
		t.Errorf("a full bucket left %q", keys)
	}
}
