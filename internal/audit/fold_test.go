package audit

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// FX-37: denials above 60 a minute of one principal become one counted row.
func TestDenialsFold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &shelf{}
		w := newWriter(t, spillConfig(t), s)
		stop := run(t, w)
		deny := func(who string, n int) {
			for range n {
				a := activity("denied")
				a.ActorRef, a.Result = who, Denied
				w.Record(a)
			}
		}
		deny("ID1", 1000)
		deny("ID2", 60)
		record(t, w, numbered(0, 100)) // not denials
		time.Sleep(w.config.Flush)
		synctest.Wait()
		if got := len(s.topics()); got != 60+60+100 {
			t.Errorf("%d rows within the minute, want 60 denials of each and the others", got)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		counted := foldedRows(t, s)
		if len(counted) != 1 || counted["ID1"] != 940 {
			t.Errorf("counted rows %v, want one of ID1 with 940", counted)
		}
		if w.Folded() != 940 {
			t.Errorf("Folded = %d, want 940", w.Folded())
		}
		if w.Fold(activity("x").ActorKind, "ID1") {
			t.Error("a new minute has begun, and yet a denial is only counted")
		}
		deny("ID1", 61) // a new minute
		stop()
		if counted := foldedRows(t, s); counted["ID1"] != 941 {
			t.Errorf("after Close %v are counted, want the running minute's too", counted)
		}
	})
}

// foldedRows sums "folded" by principal.
func foldedRows(t testing.TB, s *shelf) map[string]int {
	s.mu.Lock()
	defer s.mu.Unlock()
	sums := map[string]int{}
	for _, r := range s.rows {
		var data struct {
			Path   string `json:"path"`
			Folded int    `json:"folded"`
		}
		if err := json.Unmarshal([]byte(r.Data), &data); err != nil || data.Path == "" {
			t.Errorf("data %q: %v", r.Data, err)
		}
		if data.Folded > 0 {
			sums[r.ActorRef] += data.Folded
		}
	}
	return sums
}

// FX-37: once a principal's denials fold, Fold counts them without an activity.
func TestFoldCountsWithoutAnActivity(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &shelf{}
		w := newWriter(t, spillConfig(t), s)
		stop := run(t, w)
		a := activity("denied")
		a.ActorRef, a.Result = "ID1", Denied
		if w.Fold(a.ActorKind, a.ActorRef) {
			t.Error("the first denial was only counted: nothing would be written")
		}
		for range 61 {
			w.Record(a)
		}
		time.Sleep(w.config.Flush)
		synctest.Wait()
		for range 39 {
			if !w.Fold(a.ActorKind, a.ActorRef) {
				t.Fatal("a denial above the limit asks for an activity")
			}
		}
		if w.Fold(a.ActorKind, "ID2") {
			t.Error("another principal's denial was folded")
		}
		stop()
		if counted := foldedRows(t, s); counted["ID1"] != 40 {
			t.Errorf("counted rows %v, want ID1 with 40", counted)
		}
	})
}

func TestFolderIsBounded(t *testing.T) {
	f := newFolder(1, 0)
	for i := range maxFolders + 100 {
		if f.fold(Activity{Result: Denied, ActorRef: fmt.Sprint(i)}) {
			t.Fatal("a first denial was folded")
		}
	}
	if len(f.seen) != maxFolders {
		t.Errorf("%d principals counted, want at most %d", len(f.seen), maxFolders)
	}
	for data, want := range map[string]string{
		"": `{"folded":2}`, "{}": `{"folded":2}`, `{"a":1}`: `{"a":1,"folded":2}`, "broken": `{"folded":2}`,
		`{"a":"` + strings.Repeat("x", maxData-8) + `"}`: `{"folded":2}`,
	} {
		if got := withFolded(data, 2); got != want {
			t.Errorf("withFolded(%.20q) = %.40q, want %q", data, got, want)
		}
	}
}

// A principal that is refused for ever, just below the limit of a minute, fills no table.
func TestDenialsFoldByTheDayToo(t *testing.T) {
	f := newFolder(60, 1000)
	now := time.Date(2026, 11, 21, 0, 0, 0, 0, time.UTC)
	f.roll(now, false)
	day := func() (own, counted int) {
		for range 24 * 60 {
			for range 60 {
				if !f.fold(Activity{Result: Denied, ActorRef: "ID1"}) {
					own++
				}
			}
			now = now.Add(time.Minute)
			counted += len(f.roll(now, false))
		}
		return own, counted
	}
	for range 2 { // the next day begins anew
		if own, counted := day(); own != 1000 || counted > 24*60 {
			t.Errorf("%d rows and %d counted ones in a day, want 1000 and at most 1440", own, counted)
		}
	}
	if own := !f.fold(Activity{Result: Denied, ActorRef: "ID2"}); !own {
		t.Error("somebody else's denial was folded")
	}
}
