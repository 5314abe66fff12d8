package redis_test

import (
	"testing"
	"time"
)

// FX-10.
func TestNonces(t *testing.T) {
	server, cfg := start(t)
	cfg.Prefix = "k:"
	s, raw := open(t, cfg), server.Client()
	defer raw.Close()
	until := time.Now().Add(10 * time.Second)
	for _, of := range [][2]string{{"a", "1:2"}, {"a:1", "2"}, {"a", ":"}, {"a:", ""}, {"", "a::"}, {"1:a", "1"}, {"{x}", "1"}} {
		if fresh, err := s.UseNonce(t.Context(), of[0], of[1], until); err != nil || !fresh {
			t.Errorf("kid %q, nonce %q: fresh %v (%v), want it apart from all others", of[0], of[1], fresh, err)
		}
		if fresh, err := s.UseNonce(t.Context(), of[0], of[1], until); err != nil || fresh {
			t.Errorf("kid %q, nonce %q again: fresh %v (%v), want not", of[0], of[1], fresh, err)
		}
	}
	for _, key := range raw.Keys(t.Context(), "*").Val() {
		if life := raw.PTTL(t.Context(), key).Val(); life <= 5*time.Second || life > 10*time.Second {
			t.Errorf("%s lives %v, want until the nonce is too old", key, life)
		}
	}
	// One that is too old already is taken once and leaves nothing.
	if fresh, err := s.UseNonce(t.Context(), "old", "1", time.Now().Add(-time.Minute)); err != nil || !fresh {
		t.Errorf("an old one: fresh %v (%v), want fresh", fresh, err)
	}
}
