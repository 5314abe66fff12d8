package outbox_test

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"barong/internal/person"
	"barong/internal/provider/outbox"
)

// Messages are whole files for their owner alone; the newest stay, and every other file.
func TestAFolderKeepsTheNewest(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "outbox")
	f := outbox.Folder{Path: dir, Ext: ".sms", Keep: 2}
	for n := range 4 {
		file, err := f.Write(fmt.Sprint("m", n), []byte("text"))
		if err != nil {
			t.Fatal(err)
		}
		info, err := os.Stat(file)
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%v, %v; want mode 0600", info, err)
		}
		at := time.Now().Add(time.Duration(n-10) * time.Minute)
		if err := os.Chtimes(file, at, at); err != nil {
			t.Fatal(err)
		}
		if n == 0 {
			if err := os.WriteFile(filepath.Join(dir, "a.eml"), nil, 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	got, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil {
		t.Fatal(err)
	}
	for i := range got {
		got[i] = filepath.Base(got[i])
	}
	if want := []string{"a.eml", "m2.sms", "m3.sms"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

// The code is in a file and at the terminal, and nowhere else.
func TestPhonesWriteTheirMessages(t *testing.T) {
	var log strings.Builder
	told := ""
	dir := t.TempDir()
	p := outbox.Phones{
		Folder: outbox.Folder{Path: dir, Ext: ".sms"}, Log: slog.New(slog.NewTextHandler(&log, nil)),
		Announce: func(m person.PhoneMessage, file string) { told = m.Text + " " + file },
	}
	m := person.PhoneMessage{To: "+447418084106", Channel: person.ChannelCall, Code: "12345", Text: "Code 12345"}
	via, err := p.Send(t.Context(), m)
	files, _ := filepath.Glob(filepath.Join(dir, "*.sms"))
	if err != nil || via != person.ChannelCall || len(files) != 1 || told != "Code 12345 "+files[0] {
		t.Fatalf("via %q, %v, files %q, announced %q", via, err, files, told)
	}
	text, err := os.ReadFile(files[0])
	if want := "To: +447418084106\nChannel: call\n\nCode 12345\n"; err != nil || string(text) != want {
		t.Errorf("%v, %q; want %q", err, text, want)
	}
	if ok, err := p.Check(t.Context(), m.To, m.Code); ok || err != nil || p.MakesCodes() || log.Len() != 0 {
		t.Errorf("checked %v, %v, log %q", ok, err, log.String())
	}
	p.Folder.Path = files[0] // a file is in the way
	if _, err := p.Send(t.Context(), m); !errors.Is(err, person.ErrPhoneProvider) || log.Len() == 0 || strings.Contains(log.String(), "12345") {
		t.Errorf("%v, log %q", err, log.String())
	}
}
