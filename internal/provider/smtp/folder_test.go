package smtp_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"barong/internal/event"
	"barong/internal/notify"
	"barong/internal/provider/smtp"
)

func TestFolderKeepsMailsForTheirOwnerAlone(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "outbox")
	told := ""
	f := smtp.Folder{Path: dir, Announce: func(m notify.Message, file string) { told = m.Link + " " + file }}
	for range 2 { // a repetition replaces
		if err := f.Send(t.Context(), message()); err != nil {
			t.Fatal(err)
		}
	}
	files, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	if len(files) != 1 || files[0].Name() != "barong.1.2.eml" {
		t.Fatalf("got %v, want barong.1.2.eml alone", files)
	}
	info, err := files[0].Info()
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode().Perm() != 0o600 {
		t.Errorf("got mode %v, want 0600", info.Mode().Perm())
	}
	text, err := os.ReadFile(filepath.Join(dir, files[0].Name()))
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(text), message().Link) {
		t.Errorf("the link cannot be copied out of the file:\n%s", text)
	}
	if want := message().Link + " " + filepath.Join(dir, "barong.1.2.eml"); told != want {
		t.Errorf("announced %q, want %q", told, want)
	}

	bad := message()
	bad.To = "nobody"
	if err := f.Send(t.Context(), bad); !errors.Is(err, event.ErrPermanent) {
		t.Errorf("an address that is none: got %v, want it given up", err)
	}
	f.Path = filepath.Join(dir, files[0].Name()) // a file is in the way
	if err := f.Send(t.Context(), message()); err == nil || errors.Is(err, event.ErrPermanent) {
		t.Errorf("a folder that cannot be made: got %v, want another try", err)
	}
}

// The embedded run may go on for months: the oldest mails go, and nothing else.
func TestFolderKeepsTheNewestMails(t *testing.T) {
	dir := t.TempDir()
	note := filepath.Join(dir, "note.txt")
	if err := os.WriteFile(note, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	f := smtp.Folder{Path: dir, Keep: 3}
	for n := range 6 {
		m := message()
		m.ID = fmt.Sprint("barong.", n)
		if err := f.Send(t.Context(), m); err != nil {
			t.Fatal(err)
		}
		at := time.Now().Add(time.Duration(n-10) * time.Minute)
		if err := os.Chtimes(filepath.Join(dir, m.ID+".eml"), at, at); err != nil {
			t.Fatal(err)
		}
	}
	files, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"barong.3.eml", "barong.4.eml", "barong.5.eml", "note.txt"}
	for i := range files {
		files[i] = filepath.Base(files[i])
	}
	if !slices.Equal(files, want) {
		t.Errorf("got %q, want %q", files, want)
	}
}
