package policy

import (
	"net/netip"
	"strings"
	"time"

	"barong/internal/feed"
)

// A Denial is a restriction that refuses a request. It is shared: do not write to it.
type Denial struct {
	Status int    // 400…499
	Reason string // authz.restrict.<category> (AZ-47, AZ-48)
	ID     int64  // of the restriction row
}

// Route is the route rules' verdict on a path before any credential is looked at.
type Route uint8

// Block wins over Pass (AZ-30).
const (
	Neither Route = iota
	Block         // deny (AZ-71)
	Pass          // allow without a token (AZ-72)
)

func (r Route) String() string {
	switch r {
	case Block:
		return "block"
	case Pass:
		return "pass"
	}
	return "neither"
}

// A Permit is the permission rows' verdict on a role, a method and a path.
type Permit struct {
	Allows bool // at least one ACCEPT and no DROP (AZ-145)
	// Audit is whether an AUDIT row matches, whatever Allows is. Topic is that row's, "" when it
	// has none.
	Audit bool
	Topic string
}

// A Snapshot is one compiled, read-only version of the policy. Its methods do not allocate,
// take no lock, and are safe for concurrent use. The one thing that may change beneath it is
// the Locator's data.
//
// Paths are canonical and folded (see Fold), without a leading slash.
type Snapshot struct {
	at         feed.Cursor
	indexes    [4]index    // by category, in the order of Categories
	denials    [4][]Denial // by rule number
	restricts  bool
	cuts       index
	cutTimes   []time.Time // by rule number, latest first
	cutVersion int64
	routes     table
	roles      map[string]*table
	scopes     map[string]*table // of API keys
	topics     []string
	gate       gate
	geo        Locator
	lang       string
}

// Version is the change-feed number of At, for people to read.
func (s *Snapshot) Version() int64 { return s.at.Seq }

// At is the newest commit that the snapshot includes.
func (s *Snapshot) At() feed.Cursor { return s.at }

// Restricted is the restriction that refuses a request, nil when none does (AZ-40…48). bare
// is the path without the last dot suffix of its last segment (FX-5), method the request's
// own. WhitelinkPath is exempt; a whitelist hit exempts from everything else; blocklogin
// refuses only requests that open a session (FX-24). An invalid address is matched by scope all only.
func (s *Snapshot) Restricted(ip netip.Addr, method, bare string) *Denial {
	if !s.restricts || bare == WhitelinkPath {
		return nil
	}
	p := probe{ip: foldIP(ip), geo: s.geo}
	for i := range s.indexes {
		x := &s.indexes[i]
		if x.empty() {
			continue
		}
		if i == blockloginIndex && !signsIn(method, bare) {
			continue
		}
		n := x.first(&p, true)
		switch {
		case n == none:
		case i == whitelistIndex:
			return nil
		default:
			return &s.denials[i][n]
		}
	}
	return nil
}

// BlocksLogin reports whether a blocklogin rule keeps an address from opening a session, whatever else
// restricts it. A whitelist hit exempts from it.
func (s *Snapshot) BlocksLogin(ip netip.Addr) bool {
	p := probe{ip: foldIP(ip), geo: s.geo}
	return s.indexes[whitelistIndex].first(&p, true) == none && s.indexes[blockloginIndex].first(&p, true) != none
}

// Component says whether a path belongs to a component that may be asked for at all (FX-6).
func (s *Snapshot) Component(path string) bool { return s.gate.admits(path) }

// Route looks at the block list, then at the pass list.
func (s *Snapshot) Route(path string) Route {
	m := s.routes.match(path, get)
	switch {
	case m.drop:
		return Block
	case m.accept:
		return Pass
	}
	return Neither
}

// Permission sums up all rows of the role (AZ-142…146). A method that is none of the seven is
// denied; HEAD is also matched by GET rows (FX-51). Of several AUDIT rows the longest path
// wins, then the lowest id (FX-52).
func (s *Snapshot) Permission(role, method, path string) Permit {
	v := verbOf(method)
	t := s.roles[role]
	if v == 0 || t == nil {
		return Permit{}
	}
	m := t.match(path, v)
	return Permit{Allows: m.accept && !m.drop, Audit: m.audit, Topic: s.topics[m.topic]}
}

// Role says whether any permission row names the role (AZ-147).
func (s *Snapshot) Role(role string) bool { return s.roles[role] != nil }

// PermissionsPath is where permissions are seen and changed.
const PermissionsPath = own + "admin/permissions"

// MissingRepairs are the methods that the role may not use at PermissionsPath, of those by which
// permissions are seen and put right: none means that the role can manage the policy.
func (s *Snapshot) MissingRepairs(role string) (missing []string) {
	for _, verb := range []string{"GET", "POST", "PUT", "DELETE"} {
		if !s.Permission(role, verb, PermissionsPath).Allows {
			missing = append(missing, verb)
		}
	}
	return missing
}

// Locates reports whether the snapshot knows where addresses are.
func (s *Snapshot) Locates() bool { return s.geo != nil }

// WithLocator is the snapshot as it would decide if addresses were where l says.
func (s *Snapshot) WithLocator(l Locator) *Snapshot {
	moved := *s
	moved.geo = l
	return &moved
}

// Cuts distinguishes sets of session cuts: the same set has the same number, 0 is the empty one.
// A session that CutOff spared under one number is spared until the number changes.
func (s *Snapshot) Cuts() int64 { return s.cutVersion }

// CutOff says whether a session that was opened from an address at a time has been ended by a
// blocklogin rule (design D11).
func (s *Snapshot) CutOff(ip netip.Addr, created time.Time) bool {
	if s.cutVersion == 0 {
		return false
	}
	p := probe{ip: foldIP(ip), geo: s.geo}
	n := s.cuts.first(&p, false)
	return n != none && created.Before(s.cutTimes[n])
}

// Country is the name of the address's country for activities, "" when unknown (AZ-57).
func (s *Snapshot) Country(ip netip.Addr) string {
	if s.geo == nil {
		return ""
	}
	return s.geo.Name(foldIP(ip), s.lang)
}

const (
	whitelistIndex  = 0
	blockloginIndex = 3
)

// A gate is the list of components (FX-6).
type gate struct {
	any   bool
	third map[string]struct{} // third segments after api/v2
	first map[string]struct{} // first segments, given as "/admin"
}

func newGate(components []string) gate {
	g := gate{third: map[string]struct{}{}, first: map[string]struct{}{}}
	for _, c := range components {
		switch name := strings.TrimPrefix(c, "/"); {
		case c == "*":
			g.any = true
		case name == "":
		case name != c:
			g.first[name] = struct{}{}
		default:
			g.third[name] = struct{}{}
		}
	}
	return g
}

func (g *gate) admits(path string) bool {
	if g.any {
		return true
	}
	if rest, ok := strings.CutPrefix(path, root); ok {
		segment, _, _ := strings.Cut(rest, "/")
		if _, ok = g.third[segment]; ok {
			return true
		}
	}
	segment, _, _ := strings.Cut(path, "/")
	_, ok := g.first[segment]
	return ok
}
