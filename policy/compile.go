package policy

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"runtime"
	"slices"
	"strings"
)

var (
	errScope    = errors.New("unknown scope")
	errCategory = errors.New("unknown category")
)

// yieldEvery is how many rows are compiled before other goroutines get a turn: some 20 µs, so
// that on a machine with two cores a rebuild does not show in the latency of decisions.
const yieldEvery = 64

// Options say how rows are read.
type Options struct {
	// Matching is MatchSegment or MatchPrefix; anything else is MatchSegment, the stricter.
	Matching string
	// Components are the third path segments that may be asked for, none without any; "*" is any
	// path at all; "/name" is a first segment outside api/v2 (FX-6).
	Components []string
	// Geo locates addresses; nil means that country and continent rules never match.
	Geo Locator
	// Lang is the language of Country: en de es fr ja ru.
	Lang string
}

// locator is nil also for a nil *Geo.
func (o Options) locator() Locator {
	if g, ok := o.Geo.(*Geo); ok && g == nil {
		return nil
	}
	return o.Geo
}

// A Warning is something in the rows that an operator should put right; the snapshot works
// without it.
type Warning struct {
	Row     string // "permission 12", "restriction 3", "pass rule", "session cut", "block rule", "scope trade"
	Problem string
}

func (w Warning) String() string { return w.Row + ": " + w.Problem }

// maxWarnings bounds the warnings of one bad import.
const maxWarnings = 100

type warnings struct {
	list    []Warning
	dropped int
}

func (w *warnings) add(problem, row string, id ...any) {
	if len(w.list) == maxWarnings {
		w.dropped++
		return
	}
	w.list = append(w.list, Warning{fmt.Sprintf(row, id...), problem})
}

func (w *warnings) all() []Warning {
	if w.dropped > 0 {
		w.list = append(w.list, Warning{"policy", fmt.Sprintf("%d more warnings", w.dropped)})
	}
	return w.list
}

// Compile builds a Snapshot. It never fails: a row that cannot be understood is left out and
// named in a warning (FX-22). A refusing row that is left out cannot be asked for
// either, since no canonical path has such a form; the exception is a DROP row or block rule
// with an empty path, which refuses everything, as it did in the reference. An ACCEPT or
// AUDIT row or pass rule with an empty path matches nothing.
//
// It lets other goroutines run every few rows, and needs about as much memory as its result.
// The result keeps nothing of rows but short strings.
func Compile(rows Rows, rules RouteRules, o Options) (*Snapshot, []Warning) {
	var w warnings
	s := &Snapshot{
		at:     rows.At,
		gate:   newGate(o.Components),
		geo:    o.locator(),
		lang:   o.Lang,
		topics: []string{""},
		routes: *newTable(len(rules.Block)+len(rules.Pass)+1, 0),
	}
	s.addRestrictions(rows.Restrictions, &w)
	s.addCuts(rows.Cuts, &w)
	s.addRules(rules.Block, Drop, "block rule", o.Matching, &w)
	s.addRules([]string{management}, Drop, "block rule", o.Matching, new(warnings)) // where nobody asks for barong, nothing is lost
	s.addRules(rules.Pass, Accept, "pass rule", o.Matching, &w)
	s.routes.trim()
	s.addScopes(rules.Scopes, o.Matching, &w)
	s.addPermissions(rows.Permissions, o.Matching, &w)
	return s, w.all()
}

func (s *Snapshot) addRestrictions(rows []Restriction, w *warnings) {
	// Numbers go by scope, then by id: the order of winning (AZ-44, AZ-45, design D6).
	order := make([]int32, 0, len(rows))
	for i := range rows {
		if strings.EqualFold(rows[i].State, Enabled) {
			order = append(order, int32(i))
		}
	}
	slices.SortStableFunc(order, func(a, b int32) int {
		x, y := &rows[a], &rows[b]
		return cmp.Or(cmp.Compare(scopeRank(x.Scope), scopeRank(y.Scope)),
			cmp.Compare(x.ID, y.ID))
	})
	categories := Categories()
	var count [4]int
	for _, i := range order {
		if c := slices.Index(categories, rows[i].Category); c >= 0 {
			count[c]++
		}
	}
	var builders [4]*indexBuilder
	for c := range builders {
		builders[c] = newIndexBuilder(count[c])
		s.denials[c] = make([]Denial, 0, count[c])
	}
	for n, i := range order {
		if n%yieldEvery == 0 {
			runtime.Gosched()
		}
		r := &rows[i]
		c := slices.Index(categories, r.Category)
		if c < 0 {
			w.add(errCategory.Error()+" "+r.Category+", left out", "restriction %d", r.ID)
			continue
		}
		t, err := parseTarget(r.Scope, r.Value)
		if err != nil {
			w.add(err.Error()+", left out", "restriction %d", r.ID)
			continue
		}
		if t.geographic() && s.geo == nil {
			w.add("never matches, there is no GeoIP database", "restriction %d", r.ID)
			continue
		}
		code := r.Code
		if !denies(code) {
			code = DefaultCode(r.Category, r.Scope)
			w.add(fmt.Sprintf("code %d is outside 400 to 499, used as %d", r.Code, code),
				"restriction %d", r.ID)
		}
		builders[c].add(int32(len(s.denials[c])), t)
		s.denials[c] = append(s.denials[c], Denial{code, reasonOf(r.Category), r.ID})
	}
	for i, b := range builders {
		s.indexes[i] = b.build()
		s.restricts = s.restricts || !s.indexes[i].empty()
	}
}

// RestrictionReasons are the reasons of denials by a restriction, for each category that denies.
func RestrictionReasons() []string {
	return []string{reasonOf(Maintenance), reasonOf(Blacklist), reasonOf(Blocklogin)}
}

func reasonOf(category string) string {
	switch category {
	case Maintenance:
		return "authz.restrict.maintenance"
	case Blacklist:
		return "authz.restrict.blacklist"
	}
	return ReasonBlocklogin
}

// ReasonBlocklogin is the reason of denials by a blocklogin rule (AZ-48).
const ReasonBlocklogin = "authz.restrict.blocklogin"

func (s *Snapshot) addCuts(cuts []Cut, w *warnings) {
	cuts = slices.Clone(cuts)
	// The latest first: the number that wins is the cut that ends most.
	slices.SortFunc(cuts, func(a, b Cut) int {
		return cmp.Or(b.At.Compare(a.At), cmp.Compare(a.Scope, b.Scope),
			cmp.Compare(a.Value, b.Value))
	})
	b := newIndexBuilder(len(cuts))
	sum := fnv.New64a()
	for _, c := range cuts {
		t, err := parseTarget(c.Scope, c.Value)
		if err != nil {
			w.add(err.Error()+", left out", "session cut")
			continue
		}
		if t.geographic() && s.geo == nil {
			w.add("never matches, there is no GeoIP database", "session cut")
			continue
		}
		b.add(int32(len(s.cutTimes)), t)
		s.cutTimes = append(s.cutTimes, c.At)
		var at [8]byte
		binary.BigEndian.PutUint64(at[:], uint64(c.At.UnixMicro()))
		sum.Write(at[:])
		sum.Write([]byte(c.Scope + "\x00" + c.Value + "\x00"))
	}
	s.cuts = b.build()
	if len(s.cutTimes) > 0 {
		s.cutVersion = int64(sum.Sum64()>>1) | 1
	}
}

func (s *Snapshot) addRules(patterns []string, action, row, matching string, w *warnings) {
	var buf [8]spelling
	for _, p := range patterns {
		sp, ok, problem := read(p, action, matching)
		if problem != "" {
			w.add(problem, "%s %q", row, p)
		}
		if !ok {
			continue
		}
		list := spellings(buf[:0], sp, action != Accept)
		s.warnUnreachable(list, w, "%s %q", row, p)
		for _, one := range list {
			s.routes.put(one, action, get, 0)
		}
	}
}

// read makes a spelling of a stored path; not ok when the row matches nothing. Denying and
// auditing rows are in lower case, see table.match.
func read(path, action, matching string) (sp spelling, ok bool, problem string) {
	pattern, err := CanonicalPattern(path)
	switch {
	case errors.Is(err, ErrEmptyPattern) && action == Drop:
		return spelling{"", anything}, true, "path is empty, refuses everything"
	case errors.Is(err, ErrEmptyPattern):
		return sp, false, "path is empty, matches nothing"
	case err != nil:
		return sp, false, err.Error() + ", matches nothing"
	}
	if action != Accept {
		pattern = strings.ToLower(pattern) // it is ASCII
	}
	return spell(pattern, matching, action != Accept), true, ""
}

func (s *Snapshot) addPermissions(rows []Permission, matching string, w *warnings) {
	byID := func(a, b Permission) int { return cmp.Compare(a.ID, b.ID) }
	if !slices.IsSortedFunc(rows, byID) {
		rows = slices.Clone(rows)
		slices.SortStableFunc(rows, byID)
	}
	// Counted first, so that nothing is grown and thrown away.
	type size struct{ entries, bytes int }
	sizes := map[string]size{}
	for i := range rows {
		n := sizes[rows[i].Role]
		sizes[rows[i].Role] = size{n.entries + 1, n.bytes + len(rows[i].Path)}
	}
	s.roles = make(map[string]*table, len(sizes))
	topicIndex := map[string]uint32{"": 0}
	var buf [8]spelling
	for i := range rows {
		if i%yieldEvery == 0 {
			runtime.Gosched()
		}
		p := &rows[i]
		t := s.roles[p.Role]
		if t == nil {
			n := sizes[p.Role]
			t = newTable(n.entries, n.bytes)
			s.roles[strings.Clone(p.Role)] = t
		}
		action, v := strings.ToUpper(p.Action), covered(strings.ToUpper(p.Verb))
		if action != Accept && action != Drop && action != Audit {
			w.add("unknown action "+p.Action+", left out", "permission %d", p.ID)
			continue
		}
		if v == 0 {
			w.add("unknown verb "+p.Verb+", left out", "permission %d", p.ID)
			continue
		}
		sp, ok, problem := read(p.Path, action, matching)
		if problem != "" {
			w.add(problem, "permission %d", p.ID)
		}
		if !ok {
			continue
		}
		list := spellings(buf[:0], sp, action != Accept)
		s.warnUnreachable(list, w, "permission %d", p.ID)
		var topic uint32
		if action == Audit {
			n, ok := topicIndex[p.Topic]
			if !ok {
				n = uint32(len(s.topics))
				topic := strings.Clone(p.Topic)
				topicIndex[topic] = n
				s.topics = append(s.topics, topic)
			}
			topic = n
		}
		for _, one := range list {
			t.put(one, action, v, topic)
		}
	}
	for _, t := range s.roles {
		t.trim()
	}
}

// warnUnreachable warns of a row that no request can match, because the components of all its
// spellings are refused beforehand (FX-2).
func (s *Snapshot) warnUnreachable(all []spelling, w *warnings, row string, id ...any) {
	if s.gate.any || slices.ContainsFunc(all, s.reachable) {
		return
	}
	w.add(fmt.Sprintf("path %q matches no known component", all[0].text), row, id...)
}

// reachable says whether the gate admits some path that begins with the text.
func (s *Snapshot) reachable(sp spelling) bool {
	if s.gate.admits(sp.text) || strings.HasPrefix(root, sp.text) || sp.text+"/" == root {
		return true
	}
	rest, ok := strings.CutPrefix(sp.text, root)
	if !ok || sp.bound != anything {
		return false
	}
	for c := range s.gate.third {
		if strings.HasPrefix(c, rest) {
			return true
		}
	}
	return false
}
