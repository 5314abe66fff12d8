package secret

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"

	"golang.org/x/crypto/bcrypt"
)

func TestHashRoundTrip(t *testing.T) {
	h := NewHasher(1, 0)
	digest, err := h.Hash(t.Context(), "Corr3ct horse")
	if err != nil {
		t.Fatalf("Hash: %v", err)
	}
	if !strings.HasPrefix(digest, "$argon2id$v=19$m=19456,t=2,p=1$") {
		t.Errorf("Hash = %.40q…; want a PHC string with the design's parameters", digest)
	}
	for password, want := range map[string]bool{"Corr3ct horse": true, "corr3ct horse": false, "": false} {
		ok, rehash, err := h.Match(t.Context(), digest, password)
		if ok != want || rehash || err != nil {
			t.Errorf("Match(%q) = %t, %t, %v; want %t, false, nil", password, ok, rehash, err, want)
		}
	}
	again, _ := h.Hash(t.Context(), "Corr3ct horse")
	if again == digest {
		t.Error("two digests of one password are equal, want a fresh salt each")
	}
}

func TestMatchImportedDigests(t *testing.T) {
	h := NewHasher(2, 0)
	made, err := bcrypt.GenerateFromPassword([]byte("Corr3ct horse"), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	tail := string(made[4:])
	weak := phc{memory: 64, time: 1, threads: 1, salt: Bytes(16)}
	weak.key = weak.derive("Corr3ct horse", 32)
	long, _ := bcrypt.GenerateFromPassword([]byte(strings.Repeat("p", 72)), bcrypt.MinCost)

	for name, c := range map[string]struct {
		digest, password string
		ok, rehash       bool
		err              error
	}{
		"bcrypt 2a is read and replaced":            {"$2a$" + tail, "Corr3ct horse", true, true, nil},
		"bcrypt 2b is read and replaced":            {"$2b$" + tail, "Corr3ct horse", true, true, nil},
		"bcrypt 2y is read and replaced":            {"$2y$" + tail, "Corr3ct horse", true, true, nil},
		"bcrypt with a wrong password":              {"$2a$" + tail, "wrong", false, false, nil},
		"bcrypt 2x is the broken variant":           {"$2x$" + tail, "Corr3ct horse", false, false, ErrDigest},
		"72 bytes match bcrypt":                     {string(long), strings.Repeat("p", 72), true, true, nil},
		"73 bytes never match bcrypt":               {string(long), strings.Repeat("p", 73), false, false, nil},
		"argon2id with weaker parameters":           {weak.String(), "Corr3ct horse", true, true, nil},
		"weaker parameters and a wrong password":    {weak.String(), "wrong", false, false, nil},
		"no digest matches nothing":                 {"", "Corr3ct horse", false, false, nil},
		"no digest does not match an empty one":     {"", "", false, false, nil},
		"an unknown format is an error":             {"{SHA}abc", "Corr3ct horse", false, false, ErrDigest},
		"bcrypt that would take minutes is refused": {"$2a$31$" + tail[3:], "x", false, false, ErrDigest},
	} {
		ok, rehash, err := h.Match(t.Context(), c.digest, c.password)
		if ok != c.ok || rehash != c.rehash || !errors.Is(err, c.err) {
			t.Errorf("%s: Match = %t, %t, %v; want %t, %t, %v", name, ok, rehash, err, c.ok, c.rehash, c.err)
		}
		if err != nil && c.digest != "" && strings.Contains(err.Error(), c.digest) {
			t.Errorf("%s: the error quotes the digest", name)
		}
	}
}

func TestHasherIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := NewHasher(1, 1)
		release, err := h.queue.acquire(t.Context())
		if err != nil {
			t.Fatalf("first: %v", err)
		}
		waiting := make(chan error)
		go func() {
			release, err := h.queue.acquire(t.Context())
			if err == nil {
				release()
			}
			waiting <- err
		}()
		synctest.Wait()
		if got := h.Pending(); got != 2 {
			t.Errorf("Pending = %d with one running and one waiting, want 2", got)
		}
		if _, err := h.Hash(t.Context(), "x"); !errors.Is(err, ErrBusy) {
			t.Errorf("Hash beyond the queue: %v, want ErrBusy", err)
		}
		if _, _, err := h.Match(t.Context(), "", "x"); !errors.Is(err, ErrBusy) {
			t.Errorf("Match beyond the queue: %v, want ErrBusy", err)
		}
		release()
		if err := <-waiting; err != nil {
			t.Errorf("the one in the queue: %v, want its turn", err)
		}
		if got := h.Pending(); got != 0 {
			t.Errorf("Pending = %d after all, want 0", got)
		}
	})
}

func TestHasherWaitEndsWithTheContext(t *testing.T) {
	h := NewHasher(1, 4)
	release, _ := h.queue.acquire(t.Context())
	defer release()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := h.Hash(ctx, "x"); !errors.Is(err, context.Canceled) {
		t.Errorf("Hash with an ended context: %v, want context.Canceled", err)
	}
	if got := h.Pending(); got != 1 {
		t.Errorf("Pending = %d, want only the one that holds the slot", got)
	}
}

func TestParsePHCRefuses(t *testing.T) {
	salt, key := strings.Repeat("A", 22), strings.Repeat("A", 43)
	good := "$argon2id$v=19$m=19456,t=2,p=1$" + salt + "$" + key
	if _, ok := parsePHC(good); !ok {
		t.Fatalf("parsePHC refuses %q", good)
	}
	for name, digest := range map[string]string{
		"argon2i":                      strings.Replace(good, "argon2id", "argon2i", 1),
		"an older version":             strings.Replace(good, "v=19", "v=16", 1),
		"memory beyond the bound":      strings.Replace(good, "m=19456", "m=999999999", 1),
		"memory that wraps around":     strings.Replace(good, "m=19456", "m=4294967297", 1),
		"less memory than lanes need":  strings.Replace(good, "m=19456", "m=7", 1),
		"too many passes":              strings.Replace(good, "t=2", "t=1000", 1),
		"no passes":                    strings.Replace(good, "t=2", "t=0", 1),
		"256 lanes, which wrap to 0":   strings.Replace(good, "p=1", "p=256", 1),
		"a sign":                       strings.Replace(good, "t=2", "t=+2", 1),
		"a leading zero":               strings.Replace(good, "t=2", "t=02", 1),
		"swapped parameters":           strings.Replace(good, "m=19456,t=2", "t=2,m=19456", 1),
		"a missing parameter":          strings.Replace(good, ",p=1", "", 1),
		"padding":                      good + "=",
		"a short salt":                 strings.Replace(good, salt, "AAAA", 1),
		"a short key":                  strings.Replace(good, key, "AAAA", 1),
		"no key":                       "$argon2id$v=19$m=19456,t=2,p=1$" + salt + "$",
		"a part too many":              good + "$",
		"a line feed inside the salt":  strings.Replace(good, salt, salt[:11]+"\n"+salt[11:], 1),
		"something before the first $": "x" + good,
	} {
		if _, ok := parsePHC(digest); ok {
			t.Errorf("%s: parsePHC accepts %q", name, digest)
		}
	}
}

func FuzzPHC(f *testing.F) {
	f.Add("$argon2id$v=19$m=19456,t=2,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA")
	f.Add("$argon2id$v=19$m=8,t=1,p=1$$")
	f.Add("")
	f.Fuzz(func(t *testing.T, digest string) {
		d, ok := parsePHC(digest)
		if !ok {
			return
		}
		if got := d.String(); got != digest {
			t.Fatalf("parsed %q, prints %q", digest, got)
		}
		if d.memory > argonMaxMemory || d.time > argonMaxTime || d.threads == 0 || d.threads > argonMaxThreads {
			t.Fatalf("%q is beyond the bounds", digest)
		}
	})
}

func BenchmarkHash(b *testing.B) {
	h := NewHasher(1, 0)
	for b.Loop() {
		if _, err := h.Hash(b.Context(), "Corr3ct horse"); err != nil {
			b.Fatal(fmt.Errorf("hash: %w", err))
		}
	}
}
