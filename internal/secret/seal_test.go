package secret

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"
)

func testKey(fill byte) []byte { return bytes.Repeat([]byte{fill}, KeySize) }

func newTestSealer(t testing.TB, current []byte, older ...[]byte) *Sealer {
	t.Helper()
	s, err := NewSealer(current, older...)
	if err != nil {
		t.Fatalf("NewSealer: %v", err)
	}
	return s
}

func TestSealRoundTrip(t *testing.T) {
	s := newTestSealer(t, testKey(1))
	for _, plain := range []string{"", "a", "Ірина", strings.Repeat("x", 100_000)} {
		sealed, err := s.Seal([]byte(plain), "profiles", "first_name", "row-1")
		if err != nil {
			t.Fatalf("Seal: %v", err)
		}
		if plain != "" && len(plain) > 3 && bytes.Contains(sealed, []byte(plain)) {
			t.Errorf("sealed value holds the plain text")
		}
		got, err := s.Open(sealed, "profiles", "first_name", "row-1")
		if err != nil || string(got) != plain {
			t.Errorf("Open = %d bytes, %v; want %d bytes back", len(got), err, len(plain))
		}
	}
}

func TestSealNeverRepeats(t *testing.T) {
	s := newTestSealer(t, testKey(1))
	a, _ := s.Seal([]byte("same"), "t", "c", "r")
	b, _ := s.Seal([]byte("same"), "t", "c", "r")
	if bytes.Equal(a, b) {
		t.Error("two seals of one value are equal, want a fresh nonce each")
	}
}

// The associated data is table, column and row.
func TestMovedCiphertextDoesNotOpen(t *testing.T) {
	s := newTestSealer(t, testKey(1))
	sealed, _ := s.Seal([]byte("value"), "phones", "number", "row-1")
	for name, at := range map[string][3]string{
		"another table":                  {"documents", "number", "row-1"},
		"another column":                 {"phones", "other", "row-1"},
		"another row":                    {"phones", "number", "row-2"},
		"the same bytes split otherwise": {"phonesn", "umber", "row-1"},
		"a row that swallows the column": {"phones", "", "numberrow-1"},
		"nothing":                        {"", "", ""},
	} {
		if got, err := s.Open(sealed, at[0], at[1], at[2]); !errors.Is(err, ErrOpen) || got != nil {
			t.Errorf("%s: Open = %q, %v; want ErrOpen", name, got, err)
		}
	}
}

func TestTamperedCiphertextDoesNotOpen(t *testing.T) {
	s := newTestSealer(t, testKey(1), testKey(2))
	sealed, _ := s.Seal([]byte("value"), "t", "c", "r")
	for i := range sealed {
		bad := bytes.Clone(sealed)
		bad[i] ^= 1
		if got, err := s.Open(bad, "t", "c", "r"); !errors.Is(err, ErrOpen) || got != nil {
			t.Errorf("byte %d flipped: Open = %q, %v; want ErrOpen", i, got, err)
		}
	}
	for n := range len(sealed) {
		if _, err := s.Open(sealed[:n], "t", "c", "r"); !errors.Is(err, ErrOpen) {
			t.Errorf("cut to %d bytes: Open error %v, want ErrOpen", n, err)
		}
	}
}

func TestKeyRing(t *testing.T) {
	old := newTestSealer(t, testKey(1))
	ring := newTestSealer(t, testKey(2), testKey(1))
	sealed, _ := old.Seal([]byte("value"), "t", "c", "r")

	if got, err := ring.Open(sealed, "t", "c", "r"); err != nil || string(got) != "value" {
		t.Errorf("Open with the old key in the ring = %q, %v; want the value", got, err)
	}
	if !ring.Stale(sealed) || old.Stale(sealed) {
		t.Errorf("Stale = %t in the new ring, %t in the old; want true, false", ring.Stale(sealed), old.Stale(sealed))
	}
	again, _ := ring.Seal([]byte("value"), "t", "c", "r")
	if _, err := old.Open(again, "t", "c", "r"); !errors.Is(err, ErrOpen) {
		t.Errorf("Open with the old key alone: %v, want ErrOpen: the current key seals", err)
	}
	if ring.Stale(again) {
		t.Error("a fresh value is stale, want not")
	}

	sum, id := old.Index("value", "t", "c")
	all := ring.Indexes("value", "t", "c")
	current, currentID := ring.Index("value", "t", "c")
	if len(all) != 2 || !bytes.Equal(all[0].Sum, current) || all[0].KeyID != currentID ||
		!bytes.Equal(all[1].Sum, sum) || all[1].KeyID != id {
		t.Errorf("Indexes = %v; want the current key's index, then the old one's", all)
	}
	if id == currentID || len(id) != 16 || len(sum) != 32 {
		t.Errorf("key ids %q and %q, %d bytes; want two different ids and 32 bytes", id, currentID, len(sum))
	}
}

func TestIndexIsBoundToItsColumn(t *testing.T) {
	s := newTestSealer(t, testKey(1))
	base, _ := s.Index("380501234567", "phones", "number")
	same, _ := s.Index("380501234567", "phones", "number")
	if !bytes.Equal(base, same) {
		t.Error("one value has two indexes, want one")
	}
	for _, at := range [][3]string{
		{"380501234568", "phones", "number"},
		{"380501234567", "documents", "number"},
		{"380501234567", "phones", "other"},
		{"r380501234567", "phones", "numbe"},
	} {
		if other, _ := s.Index(at[0], at[1], at[2]); bytes.Equal(base, other) {
			t.Errorf("%v has the index of another value or column", at)
		}
	}
}

func TestNewSealerRefuses(t *testing.T) {
	for name, keys := range map[string][][]byte{
		"no key":               {nil},
		"a short key":          {testKey(1)[:31]},
		"a long key":           {append(testKey(1), 0)},
		"a short older key":    {testKey(1), testKey(2)[:16]},
		"the same key twice":   {testKey(1), testKey(1)},
		"an empty older entry": {testKey(1), {}},
	} {
		if _, err := NewSealer(keys[0], keys[1:]...); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func TestSealerPrintsNothing(t *testing.T) {
	s := newTestSealer(t, testKey('k'))
	for _, format := range []string{"%v", "%+v", "%#v", "%s"} {
		if got := fmt.Sprintf(format, s); got != "secret.Sealer" {
			t.Errorf("%s prints %q, want only the type", format, got)
		}
	}
}

func FuzzOpen(f *testing.F) {
	s := newTestSealer(f, testKey(1), testKey(2))
	good, _ := s.Seal([]byte("value"), "t", "c", "r")
	f.Add(good, "t", "c", "r")
	f.Add([]byte("v1"), "", "", "")
	f.Add([]byte{}, "t", "c", "r")
	f.Fuzz(func(t *testing.T, sealed []byte, table, column, row string) {
		plain, err := s.Open(sealed, table, column, row)
		if err == nil && (table != "t" || column != "c" || row != "r" || string(plain) != "value") {
			t.Fatalf("opened something that was never sealed: %q", plain)
		}
		if err != nil && !errors.Is(err, ErrOpen) {
			t.Fatalf("error %v, want ErrOpen", err)
		}
	})
}

func BenchmarkSeal(b *testing.B) {
	s := newTestSealer(b, testKey(1))
	sealed, _ := s.Seal(make([]byte, 64), "apikeys", "secret", UUID())
	b.Run("seal", func(b *testing.B) {
		for b.Loop() {
			_, _ = s.Seal(sealed[:64], "apikeys", "secret", "5c0f1f0a-0000-4000-8000-000000000000")
		}
	})
	b.Run("index", func(b *testing.B) {
		for b.Loop() {
			_, _ = s.Index("380501234567", "phones", "number")
		}
	})
}
