package persontest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"time"

	"pgregory.net/rapid"

	"barong/internal/account/accounttest"
	"barong/internal/person"
)

// TestFiles tests a store of uploaded files; open returns an empty one.
func TestFiles(t *testing.T, open func(testing.TB) person.Files) {
	for name, test := range map[string]func(*testing.T, person.Files){
		"a round trip keeps every byte":                    fileRoundTrip,
		"a name without a file is ErrNoFile":               fileMissing,
		"a second put replaces the file":                   fileReplaced,
		"content of another size is refused":               fileSizes,
		"content that fails to be read is refused":         fileUnreadable,
		"a caller who has left gets nothing done":          fileCallerLeft,
		"a file is deleted, and twice is fine":             fileDeleted,
		"all names are listed, with times, until one says": fileNames,
		"other names are refused, and nothing is written":  fileForeignNames,
		"readers and writers at once see whole files":      fileRace,
	} {
		t.Run(name, func(t *testing.T) { test(t, open(t)) })
	}
}

func put(t testing.TB, f person.Files, name string, content []byte) {
	t.Helper()
	accounttest.Must(t, f.Put(t.Context(), name, "image/png", int64(len(content)), bytes.NewReader(content)))
}

// content reads a file to its end.
func content(ctx context.Context, f person.Files, name string) ([]byte, error) {
	r, err := f.Open(ctx, name)
	if err != nil {
		return nil, err
	}
	b, err := io.ReadAll(r)
	return b, errors.Join(err, r.Close())
}

func wantFile(t testing.TB, f person.Files, name string, want []byte) {
	t.Helper()
	got, err := content(t.Context(), f, name)
	accounttest.Must(t, err)
	if !bytes.Equal(got, want) {
		t.Errorf("%s holds %d bytes that are not the %d put", name, len(got), len(want))
	}
}

func wantNoFile(t testing.TB, f person.Files, name string) {
	t.Helper()
	_, err := content(t.Context(), f, name)
	accounttest.WantErr(t, err, person.ErrNoFile)
}

// listed are all names, sorted.
func listed(t testing.TB, f person.Files) (names []string) {
	t.Helper()
	accounttest.Must(t, f.Names(t.Context(), func(name string, _ time.Time) bool {
		names = append(names, name)
		return true
	}))
	slices.Sort(names)
	return names
}

// noise is so many bytes that no two calls give alike.
func noise(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(rand.Uint32())
	}
	return b
}

func fileRoundTrip(t *testing.T, f person.Files) {
	for i, n := range []int{1, 2, 4095, 1 << 16, 3<<20 + 1} {
		name := fmt.Sprintf("ID1/%d/aZ09-_", i)
		want := noise(n)
		put(t, f, name, want)
		wantFile(t, f, name, want)
	}
	want := noise(100) // a reader that cannot go back
	accounttest.Must(t, f.Put(t.Context(), "ID1/9/x", "application/pdf", 100, iotest.OneByteReader(bytes.NewReader(want))))
	wantFile(t, f, "ID1/9/x", want)
	longest := strings.Repeat("a", 128)
	put(t, f, longest+"/"+longest+"/"+longest, want)
	wantFile(t, f, longest+"/"+longest+"/"+longest, want)
}

func fileMissing(t *testing.T, f person.Files) {
	put(t, f, "ID1/1/a", []byte("x"))
	for _, name := range []string{"ID1/1/b", "ID1/2/a", "ID2/1/a", "1/1/1"} {
		wantNoFile(t, f, name)
	}
}

func fileReplaced(t *testing.T, f person.Files) {
	put(t, f, "ID1/1/a", []byte("a longer one"))
	put(t, f, "ID1/1/a", []byte("short"))
	wantFile(t, f, "ID1/1/a", []byte("short"))
}

// fileSizes puts content that is shorter or longer than announced, under a new name and one that is taken.
func fileSizes(t *testing.T, f person.Files) {
	put(t, f, "ID1/1/taken", []byte("before"))
	for _, n := range []int{0, 1, 99, 101, 1 << 20} {
		for _, name := range []string{"ID1/1/taken", "ID1/2/new"} {
			for kind, r := range map[string]io.Reader{
				"bytes": bytes.NewReader(noise(n)), "a stream": iotest.DataErrReader(bytes.NewReader(noise(n))),
			} {
				if err := f.Put(t.Context(), name, "image/png", 100, r); err == nil {
					t.Errorf("%s: %d bytes of %s are kept as 100", name, n, kind)
				}
			}
		}
	}
	wantFile(t, f, "ID1/1/taken", []byte("before"))
	wantNoFile(t, f, "ID1/2/new")
	accounttest.Equal(t, listed(t, f), []string{"ID1/1/taken"})
}

func fileUnreadable(t *testing.T, f person.Files) {
	broken := errors.New("the client is gone")
	for _, n := range []int{0, 50, 100} {
		r := io.MultiReader(bytes.NewReader(noise(n)), iotest.ErrReader(broken))
		accounttest.WantErr(t, f.Put(t.Context(), "ID1/1/a", "image/png", 100, r), broken)
	}
	wantNoFile(t, f, "ID1/1/a")
	accounttest.Equal(t, len(listed(t, f)), 0)
}

func fileCallerLeft(t *testing.T, f person.Files) {
	put(t, f, "ID1/1/a", []byte("x"))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if f.Put(ctx, "ID1/1/b", "image/png", 1, bytes.NewReader([]byte("x"))) == nil {
		t.Error("put for a caller who has left")
	}
	if _, err := f.Open(ctx, "ID1/1/a"); err == nil || errors.Is(err, person.ErrNoFile) {
		t.Errorf("open: %v, want an error other than ErrNoFile", err)
	}
	if f.Delete(ctx, "ID1/1/a") == nil {
		t.Error("deleted for a caller who has left")
	}
	if f.Names(ctx, func(string, time.Time) bool { return true }) == nil {
		t.Error("listed for a caller who has left")
	}
	accounttest.Equal(t, listed(t, f), []string{"ID1/1/a"})
}

func fileDeleted(t *testing.T, f person.Files) {
	for _, name := range []string{"ID1/1/a", "ID1/1/b", "ID1/2/a", "ID2/1/a"} {
		put(t, f, name, []byte(name))
	}
	for _, name := range []string{"ID1/1/a", "ID1/1/a", "ID1/1/c", "ID3/1/a"} {
		accounttest.Must(t, f.Delete(t.Context(), name))
	}
	wantNoFile(t, f, "ID1/1/a")
	accounttest.Equal(t, listed(t, f), []string{"ID1/1/b", "ID1/2/a", "ID2/1/a"})
	put(t, f, "ID1/1/a", []byte("again"))
	wantFile(t, f, "ID1/1/a", []byte("again"))
}

func fileNames(t *testing.T, f person.Files) {
	accounttest.Equal(t, len(listed(t, f)), 0)
	begin := time.Now().Add(-2 * time.Second) // some stores keep whole seconds
	var want []string
	for i := range 30 {
		name := fmt.Sprintf("ID%d/%d/f%d", i%3, i%7, i)
		put(t, f, name, []byte("x"))
		want = append(want, name)
	}
	slices.Sort(want)
	accounttest.Equal(t, listed(t, f), want)
	n := 0
	accounttest.Must(t, f.Names(t.Context(), func(name string, modified time.Time) bool {
		if modified.Before(begin) || modified.After(time.Now().Add(2*time.Second)) {
			t.Errorf("%s was changed at %v", name, modified)
		}
		n++
		return n < 5
	}))
	accounttest.Equal(t, n, 5)
}

// fileForeignNames tries names that are none, by grammar: parts of a path, good and bad, in any number.
func fileForeignNames(t *testing.T, f person.Files) {
	put(t, f, "ID1/1/a", []byte("x"))
	part := rapid.OneOf(
		rapid.SampledFrom([]string{
			"", ".", "..", "...", "a", "ID1", "1", ".part", "a.b", "a b", "a\\b", "a\x00", "\xff", "é", "%2e%2e", "~", "C:", "a\n",
			strings.Repeat("a", 129),
		}),
		rapid.StringN(1, 8, 32),
	)
	rapid.Check(t, func(t *rapid.T) {
		name := strings.Join(rapid.SliceOfN(part, 0, 5).Draw(t, "parts"), "/")
		if person.CheckFileName(name) == nil {
			return
		}
		ctx := context.Background()
		for verb, err := range map[string]error{
			"put":    f.Put(ctx, name, "image/png", 1, bytes.NewReader([]byte("x"))),
			"delete": f.Delete(ctx, name),
			"open": func() error {
				_, err := content(ctx, f, name)
				return err
			}(),
		} {
			if !errors.Is(err, person.ErrFileName) {
				t.Fatalf("%s %q: %v, want ErrFileName", verb, name, err)
			}
		}
	})
	accounttest.Equal(t, listed(t, f), []string{"ID1/1/a"})
}

// fileRace has writers and deleters of one document, whose readers see none or a whole file.
func fileRace(t *testing.T, f person.Files) {
	versions := [][]byte{bytes.Repeat([]byte("a"), 70_000), bytes.Repeat([]byte("b"), 70_000)}
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			name := fmt.Sprintf("ID1/1/%d", i%2)
			for n := range 15 {
				ctx := context.Background()
				var err error
				switch (i/2 + n) % 3 {
				case 0:
					err = f.Put(ctx, name, "image/png", 70_000, bytes.NewReader(versions[n%2]))
				case 1:
					err = f.Delete(ctx, name)
				default:
					var got []byte
					got, err = content(ctx, f, name)
					if errors.Is(err, person.ErrNoFile) {
						err = nil
					} else if err == nil && !bytes.Equal(got, versions[0]) && !bytes.Equal(got, versions[1]) {
						err = fmt.Errorf("read %d bytes of no version", len(got))
					}
				}
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	put(t, f, "ID1/1/0", versions[0])
	wantFile(t, f, "ID1/1/0", versions[0])
}
