package cluster

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// A Model knows every change that was committed, and when, and judges answers by it. It is
// safe for concurrent use.
type Model struct {
	mu    sync.Mutex
	bound time.Duration
	mute  map[string]span // by name of the gate or replica
	kinds map[Kind]int
	wrong []string
	lost  map[string][]string // the last answers that were no decision, by name
	felt  map[*Grant]int      // how many there were
}

// A span of time; a zero end is open.
type span struct{ from, to time.Time }

// Kind is how an answer is counted.
type Kind struct {
	By   string // the gate or replica: gate, A, B
	Cold bool   // about a session that this replica had never seen
	Said string // allow, deny, unavailable, no answer, WRONG
}

// Answers as they are counted.
const (
	Allow       = "allow"
	Deny        = "deny"
	Unavailable = "unavailable"
	NoAnswer    = "no answer"
	Wrong       = "WRONG"
)

// Prompt is the longest that a replica that hears the feed may take to act by a change, with
// room for a machine that does much else.
const Prompt = time.Second

// NewModel knows of no change yet.
func NewModel() *Model {
	return &Model{bound: Prompt, mute: map[string]span{}, kinds: map[Kind]int{}, lost: map[string][]string{}, felt: map[*Grant]int{}}
}

// Within says how long after its commit a change may go unheard from now on.
func (m *Model) Within(bound time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.bound = bound
}

// MustRefuse has the model expect only Unavailable from that gate or replica between the times.
func (m *Model) MustRefuse(who string, from, to time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.mute[who] = span{from, to}
}

// An Answer is that of the gate or a replica about a grant.
type Answer struct {
	By         string
	Cold       bool
	Asked, Got time.Time
	Status     int
	Reason     string // of a denial
	UID        string // of the token of an allow
	Claims     Claims // of that token, where a replica was asked
	Err        error  // instead of the above
}

// Judge counts an answer and keeps it if it is wrong.
func (m *Model) Judge(g *Grant, a Answer) {
	m.mu.Lock()
	defer m.mu.Unlock()
	said, why := Deny, ""
	maybe := g.possible(a.Asked, a.Got, m.bound)
	quiet, isQuiet := m.mute[a.By]
	switch {
	case a.Err != nil:
		said = NoAnswer
	case a.Status == 200:
		said = Allow
		switch {
		case !maybe.allowed:
			why = "allowed after it was revoked"
		case a.UID != g.UID:
			why = fmt.Sprintf("allowed as %q, want %q", a.UID, g.UID)
		case isQuiet && a.Asked.After(quiet.from) && (quiet.to.IsZero() || a.Got.Before(quiet.to)):
			why = "allowed by what has become too old"
		}
	case a.Status == 503 && a.Reason == "authz.unavailable":
		said = Unavailable
	case a.Reason == g.Refusal && maybe.refused, a.Reason == "authz.invalid_session" && g.lost(a.Got):
	default:
		why = fmt.Sprintf("refused by %d %s", a.Status, a.Reason)
	}
	if why != "" {
		said = Wrong
		if len(m.wrong) < 20 {
			m.wrong = append(m.wrong, fmt.Sprintf("%s of %s at %s: %s (%v)", g.Name, a.By, a.Asked.Format("05.000"), why, g))
		}
	}
	if said == NoAnswer || said == Unavailable {
		m.felt[g]++
		m.lost[a.By] = append(m.lost[a.By][max(0, len(m.lost[a.By])-19):], fmt.Sprintf("%s of %s at %s: %s %v after %v",
			g.Name, a.By, a.Asked.Format("05.000"), said, a.Err, a.Got.Sub(a.Asked)))
	}
	m.kinds[Kind{By: a.By, Cold: a.Cold, Said: said}]++
}

// Wrong are the first wrong answers.
func (m *Model) Wrong() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.wrong)
}

// Lost are the last requests that got no decision from whom was asked.
func (m *Model) Lost(by string) []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.lost[by])
}

// Felt is how often a question about a grant got no decision.
func (m *Model) Felt(g *Grant) int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.felt[g]
}

// Count is how many answers match; an empty by or said matches all.
func (m *Model) Count(by string, cold bool, said ...string) (n int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for k, count := range m.kinds {
		if (by == "" || k.By == by) && k.Cold == cold && (len(said) == 0 || slices.Contains(said, k.Said)) {
			n += count
		}
	}
	return n
}

// Counts are all answers by kind, as text.
func (m *Model) Counts() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	sums := map[string]int{Wrong: 0}
	for k, n := range m.kinds {
		what := k.Said
		if k.Cold {
			what += " (cold)"
		}
		sums[what] += n
	}
	var parts []string
	for _, what := range slices.Sorted(maps.Keys(sums)) {
		parts = append(parts, fmt.Sprintf("%s %d", what, sums[what]))
	}
	return strings.Join(parts, ", ")
}

// A change of a grant: to allowed or refused, committed some time between begin and end.
type change struct {
	allowed    bool
	either     bool      // allowed or not: nobody knows
	begin, end time.Time // end is zero while that is not known
	over       time.Time // when it was answered or failed
	expected   bool      // a state after a promotion: nobody's change
}

// verdicts that an answer may have.
type verdicts struct{ allowed, refused bool }

// possible are the verdicts that a question asked and answered between the times may get,
// when a change is acted by at most bound after its commit.
func (g *Grant) possible(asked, got time.Time, bound time.Duration) (v verdicts) {
	g.mu.Lock()
	defer g.mu.Unlock()
	all := append([]change{{allowed: true}}, g.changes...)
	for i, c := range all {
		if c.begin.After(got) {
			break
		}
		if slices.ContainsFunc(all[i+1:], func(later change) bool {
			return !later.end.IsZero() && later.end.Add(bound).Before(asked)
		}) {
			continue // certainly overtaken
		}
		v.allowed = v.allowed || c.allowed || c.either
		v.refused = v.refused || !c.allowed || c.either
	}
	return v
}

// change makes one and notes when.
func (g *Grant) change(allowed bool, commit func() error) error {
	g.mu.Lock()
	g.changes = append(g.changes, change{allowed: allowed, begin: time.Now()})
	this, history := len(g.changes)-1, g.history
	g.mu.Unlock()
	err := commit()
	g.mu.Lock()
	defer g.mu.Unlock()
	g.changes[this].over = time.Now()
	switch {
	case g.history != history:
		// Whether it was committed, and in which history, is not known.
		g.changes = append(g.changes, change{either: true, begin: g.changes[this].begin})
	case err == nil:
		g.changes[this].end = g.changes[this].over
	}
	return err
}

// May records a state that the database may have from a time on.
func (g *Grant) May(allowed bool, begin time.Time) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.changes = append(g.changes, change{allowed: allowed, begin: begin, expected: true})
}

// Stands records a database's state of the grant, as it was at the latest at the end: after the
// database was lost between the times of lost, the zero span for none, the state that its
// successor began with. Changes before count for nothing. The effect of a lost change on the
// session store may last: such a session may be gone.
func (g *Grant) Stands(allowed bool, lost span, begin, end time.Time) {
	g.mu.Lock()
	defer g.mu.Unlock()
	before := slices.DeleteFunc(slices.Clone(g.changes), func(c change) bool { return c.expected })
	if len(before) > 0 && g.gone.IsZero() {
		g.gone = begin
	}
	g.changes = append(g.changes, change{allowed: allowed, begin: begin, end: end})
	g.history++
	if lost.to.IsZero() {
		return
	}
	for _, c := range before {
		switch {
		case c.over.IsZero() || c.over.Before(lost.from): // says so when it is over, or was read
		case c.begin.After(lost.to) && !c.end.IsZero(): // made by the successor
			g.changes = append(g.changes, c)
		default:
			g.changes = append(g.changes, change{either: true, begin: c.begin})
		}
	}
}

// lost reports whether the session may be gone from its store by then.
func (g *Grant) lost(by time.Time) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return !g.gone.IsZero() && by.After(g.gone)
}

// Forget says that the session store loses this session from now on.
func (g *Grant) Forget() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.gone = time.Now()
}

func (g *Grant) String() string {
	g.mu.Lock()
	defer g.mu.Unlock()
	var parts []string
	for _, c := range g.changes {
		allowed := strconv.FormatBool(c.allowed)
		if c.either {
			allowed = "?"
		}
		parts = append(parts, fmt.Sprintf("allowed=%s committed %s…%s", allowed, c.begin.Format("05.000"), c.end.Format("05.000")))
	}
	if !g.gone.IsZero() {
		parts = append(parts, "lost "+g.gone.Format("05.000"))
	}
	return strings.Join(parts, "; ")
}
