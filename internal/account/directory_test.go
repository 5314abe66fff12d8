package account_test

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"pgregory.net/rapid"

	"barong/internal/account"
	"barong/internal/feed"
)

// reader is an account.Reader over two maps.
type reader struct {
	mu         sync.Mutex
	principals map[string]account.Principal
	keys       map[string]account.KeyRecord
	fail       error
	reads      atomic.Int32
	pause      chan struct{} // when set, a read waits after it has the row
}

func (r *reader) Principal(_ context.Context, uid string) (account.Principal, error) {
	r.reads.Add(1)
	r.mu.Lock()
	p, ok := r.principals[uid]
	fail, pause := r.fail, r.pause
	r.mu.Unlock()
	if pause != nil {
		<-pause
	}
	if fail == nil && !ok {
		fail = account.ErrNotFound
	}
	return p, fail
}

func (r *reader) KeyRecord(_ context.Context, kid string) (account.KeyRecord, error) {
	r.reads.Add(1)
	r.mu.Lock()
	defer r.mu.Unlock()
	k, ok := r.keys[kid]
	if r.fail == nil && !ok {
		return k, account.ErrNotFound
	}
	return k, r.fail
}

func newReader() *reader {
	return &reader{
		principals: map[string]account.Principal{
			"ID1": {Kind: account.KindUser, UID: "ID1", State: account.StateActive, Version: 1},
		},
		keys: map[string]account.KeyRecord{
			"61d025b8573501c2": {
				Kid: "61d025b8573501c2", Algorithm: "HS256", State: account.KeyActive,
				Secret: []byte("2d0b4979c7fe6986daa8e21d1dc0644f"), HolderUID: "ID1",
			},
		},
	}
}

func TestDirectoryServesUntilTheFeedSaysOtherwise(t *testing.T) {
	r := newReader()
	d := account.NewDirectory(account.DirectoryConfig{}, r, nil)
	state := func() string {
		t.Helper()
		p, err := d.Principal(t.Context(), "ID1")
		if err != nil {
			t.Fatal(err)
		}
		return p.State
	}
	state()
	r.principals["ID1"] = account.Principal{UID: "ID1", State: account.StateBanned, Version: 2}
	if got := state(); got != account.StateActive {
		t.Errorf("before the change is told: %s, want it from memory", got)
	}
	d.Apply(feed.Change{Kind: feed.Principal, Ref: "ID1"})
	if got := state(); got != account.StateBanned {
		t.Errorf("after the change: %s, want banned", got)
	}
	if n := r.reads.Load(); n != 2 {
		t.Errorf("%d reads, want 2", n)
	}

	k, err := d.Key(t.Context(), "61d025b8573501c2")
	if err != nil {
		t.Fatal(err)
	}
	d.Stale()
	if again, _ := d.Key(t.Context(), "61d025b8573501c2"); again != k {
		t.Error("a key that stands was replaced on revalidation, its token lost")
	}
	delete(r.keys, "61d025b8573501c2")
	d.Apply(feed.Change{Kind: feed.Key, Ref: "61d025b8573501c2"})
	if _, err := d.Key(t.Context(), "61d025b8573501c2"); !errors.Is(err, account.ErrNotFound) {
		t.Errorf("a deleted key: %v, want ErrNotFound", err)
	}
}

// FX-40: a load that began before a change must not be stored after it.
func TestDirectoryALoadThatBeganBeforeAChangeIsNotKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newReader()
		r.pause = make(chan struct{})
		d := account.NewDirectory(account.DirectoryConfig{}, r, nil)
		go func() { _, _ = d.Principal(t.Context(), "ID1") }()
		synctest.Wait() // "active" is read
		r.mu.Lock()
		r.principals["ID1"] = account.Principal{UID: "ID1", State: account.StateBanned}
		r.mu.Unlock()
		d.Apply(feed.Change{Kind: feed.Principal, Ref: "ID1"})
		close(r.pause)
		synctest.Wait()
		p, err := d.Principal(t.Context(), "ID1")
		if err != nil || p.State != account.StateBanned {
			t.Errorf("state %v (%v), want banned", p, err)
		}
	})
}

// Design D20: an outage is not "unknown".
func TestDirectoryTellsAnOutage(t *testing.T) {
	r := newReader()
	r.fail = account.ErrSeal
	d := account.NewDirectory(account.DirectoryConfig{}, r, nil)
	if _, err := d.Key(t.Context(), "61d025b8573501c2"); !errors.Is(err, account.ErrSeal) {
		t.Errorf("key: %v, want the outage", err)
	}
	if _, err := d.Principal(t.Context(), "ID1"); !errors.Is(err, account.ErrSeal) {
		t.Errorf("principal: %v, want the outage", err)
	}
	if _, err := d.Key(t.Context(), strings.Repeat("k", 256)); !errors.Is(err, account.ErrNotFound) {
		t.Errorf("a kid no column holds: %v, want ErrNotFound without a read", err)
	}
}

func TestDirectoryAllocatesNothingWhenWarm(t *testing.T) {
	d := account.NewDirectory(account.DirectoryConfig{}, newReader(), nil)
	ctx := t.Context()
	use := func() {
		k, err := d.Key(ctx, "61d025b8573501c2")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := d.Principal(ctx, k.HolderUID); err != nil {
			t.Fatal(err)
		}
		k.MAC("1584524005143", k.Kid)
		d.DummyMAC("1584524005143", k.Kid)
	}
	use()
	if n := testing.AllocsPerRun(1000, use); n != 0 {
		t.Errorf("%v allocations, want 0", n)
	}
}

// AZ-119, the specification's vectors.
func TestMACVectors(t *testing.T) {
	for _, v := range []struct{ secret, nonce, kid, want string }{
		{
			"2d0b4979c7fe6986daa8e21d1dc0644f", "1584524005143", "61d025b8573501c2",
			"bd42b945e095880e28d046846dbecf655fdf09d95a396a24fe6fe1df42f15d13",
		},
		{
			"00112233445566778899aabbccddeeff", "1700000000000", "0123456789abcdef",
			"a005e6e3928a9bcb1897b75a44999ca277444f7db6a4d2337677e6e58680e4e6",
		},
	} {
		sum := account.NewKey(account.KeyRecord{Secret: []byte(v.secret)}).MAC(v.nonce, v.kid)
		if got := hex.EncodeToString(sum[:]); got != v.want {
			t.Errorf("MAC(%s, %s) = %s, want %s", v.nonce, v.kid, got, v.want)
		}
	}
}

func TestMACEqualsTheStandardLibrarys(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		key := rapid.SliceOfN(rapid.Byte(), 0, 200).Draw(t, "key")
		nonce := strings.Repeat(rapid.String().Draw(t, "nonce"), rapid.IntRange(1, 40).Draw(t, "times"))
		kid := rapid.String().Draw(t, "kid")
		got := account.NewKey(account.KeyRecord{Secret: key}).MAC(nonce, kid)
		h := hmac.New(sha256.New, key)
		h.Write([]byte(nonce + kid))
		if !hmac.Equal(got[:], h.Sum(nil)) {
			t.Fatalf("MAC of %d+%d bytes with a key of %d differs", len(nonce), len(kid), len(key))
		}
	})
}

func FuzzMAC(f *testing.F) {
	f.Add([]byte("2d0b4979c7fe6986daa8e21d1dc0644f"), "1584524005143", "61d025b8573501c2")
	f.Fuzz(func(t *testing.T, key []byte, nonce, kid string) {
		got := account.NewKey(account.KeyRecord{Secret: key}).MAC(nonce, kid)
		h := hmac.New(sha256.New, key)
		h.Write([]byte(nonce + kid))
		if !hmac.Equal(got[:], h.Sum(nil)) {
			t.Fatal("differs from crypto/hmac")
		}
	})
}
