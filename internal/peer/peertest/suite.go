package peertest

import (
	"context"
	"crypto/sha256"
	"sync"
	"testing"
	"time"

	"barong/internal/peer"
)

// A Store is a peer.Store that forgets.
type Store interface {
	peer.Store
	// Sweep forgets the records that are over by the store's clock, and returns how many.
	Sweep(ctx context.Context) (int, error)
}

// TestStore is the suite of every peer.Store. open returns two handles of one empty store, as two
// replicas have them.
func TestStore(t *testing.T, open func(testing.TB) (a, b Store)) {
	id := func(s string) [sha256.Size]byte { return sha256.Sum256([]byte(s)) }
	claim := func(t *testing.T, s Store, name string, until time.Time, want bool) {
		t.Helper()
		first, err := s.ClaimMessage(t.Context(), id(name), until)
		if err != nil || first != want {
			t.Errorf("claim of %s: first %v, %v; want %v", name, first, err, want)
		}
	}
	t.Run("a message is first once, on any replica", func(t *testing.T) {
		a, b := open(t)
		until := time.Now().Add(time.Hour)
		claim(t, a, "1", until, true)
		claim(t, a, "1", until, false)
		claim(t, b, "1", until.Add(time.Hour), false)
		claim(t, b, "2", until, true)
		claim(t, a, "2", until, false)
	})
	t.Run("of claims at once, on two replicas, one is first", func(t *testing.T) {
		a, b := open(t)
		until := time.Now().Add(time.Hour)
		for round := range 5 {
			var mu sync.Mutex
			first := 0
			var all sync.WaitGroup
			for n := range 16 {
				all.Go(func() {
					s := []Store{a, b}[n%2]
					ok, err := s.ClaimMessage(context.Background(), id(string(rune('a'+round))), until)
					if err != nil {
						t.Error(err)
					}
					if ok {
						mu.Lock()
						first++
						mu.Unlock()
					}
				})
			}
			all.Wait()
			if first != 1 {
				t.Errorf("%d claims were first, want 1", first)
			}
		}
	})
	t.Run("the sweep forgets those that are over, and no others", func(t *testing.T) {
		a, b := open(t)
		claim(t, a, "over", time.Now().Add(-time.Hour), true)
		claim(t, a, "lives", time.Now().Add(time.Minute), true)
		if n, err := b.Sweep(t.Context()); err != nil || n != 1 {
			t.Errorf("swept %d, %v; want 1", n, err)
		}
		claim(t, b, "over", time.Now().Add(-time.Hour), true)
		claim(t, b, "lives", time.Now().Add(time.Minute), false)
	})
}
