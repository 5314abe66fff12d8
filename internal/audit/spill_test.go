package audit

import (
	"encoding/json"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// kill -9: whatever is on disk is delivered by the next process, nothing twice.
func TestLeftoversAreReplayed(t *testing.T) {
	c := spillConfig(t)
	s := &shelf{down: true}
	w := newWriter(t, c, s)
	record(t, w, numbered(0, 300))
	if err := w.Close(t.Context()); err != nil {
		t.Fatalf("Close: %v", err)
	}
	left, err := os.ReadFile(c.SpillPath)
	if err != nil {
		t.Fatal(err)
	}

	// The store has the first hundred already: the crash came before the file was emptied.
	s.down = false
	for i, line := range strings.SplitAfter(string(left), "\n")[:100] {
		var row Entry
		if err := json.Unmarshal([]byte(line), &row); err != nil {
			t.Fatalf("line %d: %v", i, err)
		}
		if err := s.AddActivities(t.Context(), []Entry{row}); err != nil {
			t.Fatal(err)
		}
	}
	for name, tail := range map[string]string{
		"a line cut by the crash":     `{"Ref":"00","Topic":"cu`,
		"garbage lines":               "\x00\x00\x00\n{}\nnull\n[1]\n",
		"an empty line and a cut one": "\n{",
	} {
		if err := os.WriteFile(c.SpillPath, append(slices.Clone(left), tail...), 0o644); err != nil {
			t.Fatal(err)
		}
		again := newWriter(t, c, s)
		record(t, again, []string{name})
		if err := again.Close(t.Context()); err != nil {
			t.Errorf("%s: Close: %v", name, err)
		}
		got := s.topics()
		if len(got) < 301 || !slices.Equal(got[:300], numbered(0, 300)) || got[len(got)-1] != name {
			t.Errorf("%s: %d rows in the store, want the 300 once, in order, and the new one", name, len(got))
		}
		if info, err := os.Stat(c.SpillPath); err != nil || info.Size() != 0 || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: the spill file is left at %v (%v), want it empty and 0600", name, info, err)
		}
	}
}

func TestACutLineDoesNotSwallowTheNext(t *testing.T) {
	c := spillConfig(t)
	if err := os.WriteFile(c.SpillPath, []byte(`{"Ref":"00","Topic":"cu`), 0o600); err != nil {
		t.Fatal(err)
	}
	s := &shelf{down: true}
	w := newWriter(t, c, s)
	record(t, w, numbered(0, 3))
	if err := w.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if w.Lost() != 1 {
		t.Errorf("Lost = %d, want the one unreadable line", w.Lost())
	}
	s.down = false
	w = newWriter(t, c, s)
	if err := w.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	wantTopics(t, s, numbered(0, 3))
}

func TestTwoProcessesCannotShareASpillFile(t *testing.T) {
	c := spillConfig(t)
	w := newWriter(t, c, &shelf{})
	if _, err := NewWriter(c, &shelf{}, slog.New(slog.DiscardHandler), time.Now); err == nil {
		t.Error("a second writer opens the same spill file")
	}
	if err := w.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := newWriter(t, c, &shelf{}).Close(t.Context()); err != nil {
		t.Errorf("after the first has closed it: %v", err)
	}
}

func FuzzSpill(f *testing.F) {
	f.Add([]byte("{\"Ref\":\"00\",\"Topic\":\"x\"}\n"), uint8(2))
	f.Add([]byte("\n\n{"), uint8(1))
	f.Fuzz(func(t *testing.T, content []byte, n uint8) {
		path := filepath.Join(t.TempDir(), "s")
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		s, err := openSpill(path, 1<<20)
		if err != nil {
			t.Fatal(err)
		}
		defer s.close()
		s.add(Entry{Ref: "last"})
		var last string
		for range len(content) + 2 {
			rows, end, _, err := s.next(int(n)%5 + 1)
			if err != nil {
				t.Fatal(err)
			}
			if len(rows) > 0 {
				last = rows[len(rows)-1].Ref
			}
			if err := s.done(end); err != nil {
				t.Fatal(err)
			}
			if s.empty() {
				break
			}
		}
		if !s.empty() || last != "last" {
			t.Fatalf("stuck, or the row after the garbage was lost: %q", last)
		}
	})
}

func countLines(t testing.TB, path string) int {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return strings.Count(string(b), "\n")
}

// A damaged part is kept as it is beside the spill file, and counted once, as the least number
// of rows that it can have held, however often the store refuses the rows around it.
func TestDamagedLinesAreKeptAndCounted(t *testing.T) {
	c := spillConfig(t)
	s := &shelf{down: true}
	w := newWriter(t, c, s)
	record(t, w, numbered(0, 6))
	if err := w.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	left, err := os.ReadFile(c.SpillPath)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.SplitAfter(string(left), "\n")
	two := strings.Replace(lines[1], "\n", "\x00", 1) + strings.ReplaceAll(lines[2], ":", "\x00") + ""
	two = strings.Replace(two, `{"Ref"`+"\x00", `{"Ref":`, 1) // a line feed and more are gone, the second begin is there
	long := strings.Repeat("\x00", 2*maxRow+1) + "\n"
	damaged := two + "{cut\n" + long
	if err := os.WriteFile(c.SpillPath, []byte(lines[0]+damaged+lines[3]+lines[4]+lines[5]), 0o600); err != nil {
		t.Fatal(err)
	}
	down := newWriter(t, c, s) // it reads them, and the store takes nothing
	if err := down.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if down.Lost() != 0 {
		t.Errorf("Lost = %d before anything was given up, want 0", down.Lost())
	}
	s.down = false
	w = newWriter(t, c, s)
	if err := w.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := s.topics(); len(got) != 4 {
		t.Errorf("%d rows in the store, want the four whole ones", len(got))
	}
	if w.Lost() != 2+1+3 {
		t.Errorf("Lost = %d, want two rows of one line, one, and three of a long one", w.Lost())
	}
	dead, err := os.ReadFile(c.SpillPath + ".dead")
	if err != nil || string(dead) != damaged {
		t.Errorf("%d bytes are kept (%v), want the %d that were damaged", len(dead), err, len(damaged))
	}
}
