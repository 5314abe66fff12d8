package storetest

import (
	"fmt"
	"testing"
	"time"

	"barong/internal/store"
)

// TestNonces is the suite of every store.NonceStore; open returns an empty one.
func TestNonces(t *testing.T, open func(testing.TB) store.NonceStore) {
	until := time.Now().Add(time.Hour).Truncate(time.Second)
	use := func(t *testing.T, s store.NonceStore, kid, nonce string, want bool) {
		t.Helper()
		got, err := s.UseNonce(t.Context(), kid, nonce, until)
		if err != nil || got != want {
			t.Errorf("kid %s, nonce %s: fresh %v, %v; want %v", kid, nonce, got, err, want)
		}
	}
	t.Run("a nonce is fresh once for each key", func(t *testing.T) {
		s := open(t)
		use(t, s, "a", "1", true)
		use(t, s, "a", "1", false)
		use(t, s, "a", "2", true)
		use(t, s, "b", "1", true)
	})
	t.Run("of many equal calls one is fresh", func(t *testing.T) {
		s := open(t)
		fresh := make(chan bool, 16)
		for range cap(fresh) {
			go func() {
				ok, err := s.UseNonce(t.Context(), "a", "1", until)
				if err != nil {
					t.Error(err)
				}
				fresh <- ok
			}()
		}
		n := 0
		for range cap(fresh) {
			if <-fresh {
				n++
			}
		}
		if n != 1 {
			t.Errorf("%d calls were fresh, want 1", n)
		}
	})
	t.Run("what may still be replayed is not forgotten", func(t *testing.T) {
		s := open(t)
		for n := range 20 {
			use(t, s, "a", fmt.Sprint(n), true)
		}
		if n, err := s.DeleteNonces(t.Context(), until); err != nil || n != 0 {
			t.Errorf("removed %d, %v; want 0", n, err)
		}
		use(t, s, "a", "1", false)
		// A store that expires by itself may have nothing left to remove.
		if n, err := s.DeleteNonces(t.Context(), until.Add(time.Second)); err != nil || n > 20 {
			t.Errorf("removed %d, %v; want at most 20", n, err)
		}
	})
}
