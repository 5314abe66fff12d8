package audit

import (
	"encoding/json"
	"strconv"
	"strings"
	"sync"
	"time"
)

// maxFolders bounds the principals that are counted in one minute, and in one day; denials of
// any beyond get a row each, or as many as a minute allows.
const maxFolders = 16384

// folder counts denials per principal and minute (FX-37), and the rows of them per UTC day. It
// is safe for concurrent use.
type folder struct {
	limit, daily int

	mu     sync.Mutex
	minute int64
	seen   map[principal]*tally
	day    int64
	today  map[principal]int // rows of before this minute
}

type principal struct{ kind, ref string }

type tally struct {
	rows   int
	folded int64
	first  Activity // of the folded ones
}

func newFolder(limit, daily int) *folder {
	return &folder{limit: limit, daily: daily, seen: map[principal]*tally{}, today: map[principal]int{}}
}

// fold reports whether the activity has been counted and gets no row of its own.
func (f *folder) fold(a Activity) bool {
	if a.Result != Denied || f.limit == 0 {
		return false
	}
	who := principal{a.ActorKind, a.ActorRef}
	f.mu.Lock()
	defer f.mu.Unlock()
	t := f.seen[who]
	switch {
	case t == nil && len(f.seen) >= maxFolders:
		return false
	case t == nil:
		t = &tally{}
		who.ref = strings.Clone(who.ref) // not the whole activity's memory
		who.kind = strings.Clone(who.kind)
		f.seen[who] = t
	}
	if t.rows < f.limit && (f.daily == 0 || f.today[who]+t.rows < f.daily) {
		t.rows++
		return false
	}
	if t.folded == 0 {
		t.first = a
	}
	t.folded++
	return true
}

// spent reports whether a principal's denials are being folded this minute, and if so counts
// one more: it needs no activity.
func (f *folder) spent(kind, ref string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	t := f.seen[principal{kind, ref}]
	if t == nil || t.folded == 0 {
		return false
	}
	t.folded++
	return true
}

// roll starts a new minute when it has come, or at once when forced, and returns a row for each
// actor with folded denials: the first of them with their number in its data.
func (f *folder) roll(now time.Time, force bool) []Activity {
	minute := now.Unix() / 60
	f.mu.Lock()
	defer f.mu.Unlock()
	if minute == f.minute && !force {
		return nil
	}
	f.minute = minute
	if day := minute / (24 * 60); day != f.day {
		f.day, f.today = day, map[principal]int{}
	}
	if len(f.seen) == 0 {
		return nil
	}
	var rows []Activity
	for who, t := range f.seen {
		if _, known := f.today[who]; known || len(f.today) < maxFolders {
			f.today[who] += t.rows
		}
		if t.folded > 0 {
			t.first.Data = withFolded(t.first.Data, t.folded)
			rows = append(rows, t.first)
		}
	}
	f.seen = map[principal]*tally{}
	return rows
}

// withFolded adds "folded": n to a JSON object, or makes one.
func withFolded(data string, n int64) string {
	added := `"folded":` + strconv.FormatInt(n, 10) + `}`
	switch {
	case len(data) > 2 && data[0] == '{' && json.Valid([]byte(data)) && len(data)+len(added) <= maxData:
		return data[:len(data)-1] + "," + added
	default:
		return "{" + added
	}
}
