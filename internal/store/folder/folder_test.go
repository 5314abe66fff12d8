package folder_test

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"barong/internal/person"
	"barong/internal/person/persontest"
	"barong/internal/store/folder"
)

func open(t testing.TB, dir string) *folder.Files {
	t.Helper()
	f, err := folder.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func put(t testing.TB, f *folder.Files, name, content string) {
	t.Helper()
	must(t, f.Put(t.Context(), name, "image/png", int64(len(content)), strings.NewReader(content)))
}

// entries are all files and folders below dir, by their mode.
func entries(t testing.TB, dir string) map[string]fs.FileMode {
	t.Helper()
	all := map[string]fs.FileMode{}
	must(t, filepath.WalkDir(dir, func(p string, e fs.DirEntry, err error) error {
		if err != nil || p == dir {
			return err
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		name, _ := filepath.Rel(dir, p)
		all[name] = info.Mode()
		return nil
	}))
	return all
}

func TestFiles(t *testing.T) {
	persontest.TestFiles(t, func(t testing.TB) person.Files { return open(t, filepath.Join(t.TempDir(), "documents")) })
}

func TestOnlyTheOwnerReads(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a", "documents")
	old := syscall.Umask(0)
	defer syscall.Umask(old)
	put(t, open(t, dir), "ID1/2/x", "secret")
	info, err := os.Stat(dir)
	must(t, err)
	if info.Mode().Perm() != 0o700 {
		t.Errorf("the folder has mode %v", info.Mode())
	}
	for name, mode := range entries(t, dir) {
		if want := map[string]fs.FileMode{"ID1": fs.ModeDir | 0o700, "ID1/2": fs.ModeDir | 0o700, "ID1/2/x": 0o600}[name]; mode != want {
			t.Errorf("%s has mode %v, want %v", name, mode, want)
		}
	}
}

func TestNothingIsLeftOfFilesThatAreGone(t *testing.T) {
	dir := t.TempDir()
	f := open(t, dir)
	put(t, f, "ID1/1/a", "a")
	put(t, f, "ID1/1/b", "b")
	put(t, f, "ID1/2/c", "c")
	if f.Put(t.Context(), "ID2/1/d", "image/png", 5, strings.NewReader("four")) == nil {
		t.Error("a file that is too short is kept")
	}
	must(t, f.Delete(t.Context(), "ID1/1/a"))
	for _, name := range []string{"ID1", "ID1/1", "ID1/1/b", "ID1/2", "ID1/2/c"} {
		if _, ok := entries(t, dir)[name]; !ok {
			t.Errorf("%s is gone", name)
		}
	}
	if n := len(entries(t, dir)); n != 5 {
		t.Errorf("there are %v", entries(t, dir))
	}
	must(t, f.Delete(t.Context(), "ID1/1/b"))
	must(t, f.Delete(t.Context(), "ID1/2/c"))
	if left := entries(t, dir); len(left) != 0 {
		t.Errorf("left: %v", left)
	}
}

// A folder that somebody else has filled: links lead nowhere, and nothing of it is read or lost.
func TestLinksLeadNowhere(t *testing.T) {
	dir, outside := t.TempDir(), t.TempDir()
	must(t, os.MkdirAll(filepath.Join(outside, "1"), 0o700))
	must(t, os.WriteFile(filepath.Join(outside, "1", "a"), []byte("outside"), 0o600))
	must(t, os.Symlink(outside, filepath.Join(dir, "ID1")))
	must(t, os.MkdirAll(filepath.Join(dir, "ID2", "1"), 0o700))
	must(t, os.Symlink(filepath.Join(outside, "1", "a"), filepath.Join(dir, "ID2", "1", "a")))
	must(t, syscall.Mkfifo(filepath.Join(dir, "ID2", "1", "pipe"), 0o600))
	f := open(t, dir)
	for _, name := range []string{"ID1/1/a", "ID2/1/a", "ID2/1/pipe"} {
		if r, err := f.Open(t.Context(), name); err == nil {
			r.Close()
			t.Errorf("%s is read", name)
		}
	}
	if f.Put(t.Context(), "ID1/1/b", "image/png", 1, strings.NewReader("x")) == nil {
		t.Error("a file is written through a link")
	}
	_ = f.Delete(t.Context(), "ID1/1/a")
	must(t, f.Names(t.Context(), func(name string, _ time.Time) bool {
		t.Errorf("%s is listed", name)
		return true
	}))
	left, err := os.ReadDir(filepath.Join(outside, "1"))
	must(t, err)
	if len(left) != 1 {
		t.Errorf("outside there are %v", left)
	}
}

// The sweep goes over all names, and with that removes the remains of writes that were cut off.
func TestRemainsOfCutOffWritesAreRemoved(t *testing.T) {
	dir := t.TempDir()
	f := open(t, dir)
	old := time.Now().Add(-2 * time.Hour)
	put(t, f, "ID1/1/a", "kept")
	for _, name := range []string{"ID1/1/.part-OLD", "ID1/1/.part-NEW", "ID2/1/.part-OLD", "ID1/1/foreign.txt"} {
		must(t, os.MkdirAll(filepath.Join(dir, filepath.Dir(name)), 0o700))
		must(t, os.WriteFile(filepath.Join(dir, name), []byte("half"), 0o600))
		if !strings.HasSuffix(name, "NEW") {
			must(t, os.Chtimes(filepath.Join(dir, name), old, old))
		}
	}
	must(t, os.MkdirAll(filepath.Join(dir, "ID3", "1"), 0o700))
	for _, name := range []string{"ID3/1", "ID3"} {
		must(t, os.Chtimes(filepath.Join(dir, name), old, old))
	}
	for range 2 { // the first removal makes the folder above young again
		must(t, f.Names(t.Context(), func(string, time.Time) bool { return true }))
	}
	left := entries(t, dir)
	for _, name := range []string{"ID1/1/a", "ID1/1/.part-NEW", "ID1/1/foreign.txt"} {
		if _, ok := left[name]; !ok {
			t.Errorf("%s is gone", name)
		}
	}
	for _, name := range []string{"ID1/1/.part-OLD", "ID2/1/.part-OLD", "ID3/1"} {
		if _, ok := left[name]; ok {
			t.Errorf("%s is left", name)
		}
	}
}

func TestErrorsNameNobody(t *testing.T) {
	dir := t.TempDir()
	must(t, os.WriteFile(filepath.Join(dir, "IDsecret"), nil, 0o600))
	f := open(t, dir)
	_, opened := f.Open(t.Context(), "IDsecret/1/a")
	for verb, err := range map[string]error{
		"put": f.Put(t.Context(), "IDsecret/1/a", "image/png", 1, strings.NewReader("x")), "open": opened,
		"delete": f.Delete(t.Context(), "IDsecret/1/a"),
	} {
		if err == nil || strings.Contains(err.Error(), "IDsecret") || errors.Is(err, person.ErrNoFile) {
			t.Errorf("%s: %v, want an error without the name", verb, err)
		}
	}
	if _, err := folder.Open(filepath.Join(dir, "IDsecret", "x")); err == nil {
		t.Error("a file is opened as a folder")
	}
}

// TestKilledWriter is killed in the middle of its writes; the files that it has left are whole.
func TestKilledWriter(t *testing.T) {
	if dir := os.Getenv("BARONG_TEST_KILLED_WRITER"); dir != "" {
		f := open(t, dir)
		content := bytes.Repeat([]byte("x"), 1<<20)
		os.Stdout.WriteString("writing\n")
		for i := 0; ; i++ {
			must(t, f.Put(t.Context(), "ID1/1/"+string(rune('a'+i%26)), "image/png", 1<<20, bytes.NewReader(content)))
			os.Stdout.WriteString("x")
		}
	}
	dir := t.TempDir()
	cmd := exec.Command(os.Args[0], "-test.run=^TestKilledWriter$")
	cmd.Env = append(os.Environ(), "BARONG_TEST_KILLED_WRITER="+dir)
	out, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	_, err = io.ReadFull(out, make([]byte, 20)) // some are written, and one is under way
	must(t, err)
	must(t, cmd.Process.Kill())
	_ = cmd.Wait()
	f := open(t, dir)
	files := 0
	must(t, f.Names(t.Context(), func(name string, _ time.Time) bool {
		files++
		r, err := f.Open(t.Context(), name)
		must(t, err)
		defer r.Close()
		if n, err := io.Copy(io.Discard, r); n != 1<<20 || err != nil {
			t.Errorf("%s has %d bytes (%v)", name, n, err)
		}
		return true
	}))
	if files == 0 {
		t.Error("nothing was written")
	}
	for name := range entries(t, dir) {
		base := filepath.Base(name)
		if strings.HasPrefix(base, ".") && !strings.HasPrefix(base, ".part-") {
			t.Errorf("%s is left", name)
		}
	}
}
