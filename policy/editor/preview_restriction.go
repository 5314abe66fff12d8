package editor

import (
	"cmp"
	"context"
	"fmt"
	"net/netip"
	"slices"

	"barong/policy"
)

// PreviewRestriction works a change out and changes nothing. It refuses the moves that
// ChangeRestriction refuses as not possible at all: ErrNotFound, Invalid, ErrTaken.
//
// Clients are judged by the rows that name them, not by real ones: one address for every
// set of addresses that address rows tell apart, one made-up client for every country and
// continent that a row names.
func (s *Service) PreviewRestriction(ctx context.Context, e Edit, c RestrictionChange) (Preview, error) {
	rows, err := s.store.Rows(ctx)
	if err != nil {
		return Preview{}, fmt.Errorf("preview restriction: %w", err)
	}
	m, err := restrictions.plan(c, rows.Restrictions)
	if err != nil {
		return Preview{}, fmt.Errorf("preview restriction: %w", err)
	}
	p := s.previewRestrictionMove(e, m)
	p.Version = rows.At.Seq
	if len(p.LocksOut) > 0 && !e.forces() {
		p.Refusal = ErrWouldLockOut
	}
	return p, nil
}

// previewRestrictionMove is the effect of a move, but for the version and the refusal.
func (s *Service) previewRestrictionMove(e Edit, m move[policy.Restriction]) Preview {
	p := Preview{EndsSessions: endsSessions(m)}
	if s.shutsOut(e.By.IP, m) {
		p.LocksOut = []string{"*"}
	}
	if m.after != nil {
		p.Warnings = s.warnings(policy.Rows{Restrictions: []policy.Restriction{*m.after}})
	}
	p.Flips = s.restrictionFlips(m)
	p.limit()
	return p
}

// endsSessions says whose sessions the move ends (AZ-50, design D11).
func endsSessions(m move[policy.Restriction]) string {
	blocks := func(r *policy.Restriction) bool { return enabled(r) && r.Category == policy.Blocklogin }
	switch {
	case !blocks(m.after),
		blocks(m.before) && m.before.Scope == m.after.Scope && m.before.Value == m.after.Value:
		return "none"
	case m.after.Scope == policy.ScopeAll:
		return "all"
	}
	return "matching"
}

// fixed is a Locator by which every address lies in one place.
type fixed struct{ country, continent string }

func (f fixed) Lookup(netip.Addr) (country, continent string, ok bool) {
	return f.country, f.continent, true
}

func (fixed) Name(netip.Addr, string) string { return "" }

// A client stands for all that the same rows match.
type client struct {
	ip    netip.Addr
	place fixed
	shown string
}

func (s *Service) restrictionFlips(m move[policy.Restriction]) (flips []Flip) {
	before, after := s.compile(policy.Rows{Restrictions: m.rows}), s.compile(policy.Rows{Restrictions: restrictions.result(m)})
	for _, c := range clientsOf(m) {
		if !before.Locates() && (c.place != fixed{}) {
			continue // without a GeoIP database no such row matches
		}
		x, y := before, after
		if before.Locates() {
			x, y = before.WithLocator(c.place), after.WithLocator(c.place)
		}
		flip := func(verbs []string, path, method, bare string) (changed bool) {
			a, b := x.Restricted(c.ip, method, bare), y.Restricted(c.ip, method, bare)
			if restricted(a) == restricted(b) {
				return false
			}
			flips = append(flips, Flip{Role: "*", Verbs: verbs, Path: path, Client: c.shown,
				Before: restricted(a), After: restricted(b)})
			return true
		}
		// There are two kinds of request: those that open a session and all others.
		if !flip([]string{policy.AllVerbs}, "*", "GET", restrictionsPath) {
			for _, path := range policy.SignInPaths() {
				flip([]string{"POST"}, path, "POST", path)
			}
		}
	}
	slices.SortStableFunc(flips, func(a, b Flip) int { return cmp.Compare(a.Client, b.Client) })
	return flips
}

func restricted(d *policy.Denial) Verdict {
	if d == nil {
		return Verdict{Allows: true}
	}
	return Verdict{Status: d.Status, Reason: d.Reason}
}

// clientsOf are those whose verdict the move can turn: everybody that the row matches, divided
// by all other rows.
func clientsOf(m move[policy.Restriction]) (all []client) {
	var nets []netip.Prefix
	places := map[fixed]bool{}
	note := func(r policy.Restriction) (t policy.Target, ok bool) {
		t, err := r.Target()
		return t, err == nil && enabled(&r)
	}
	for _, r := range slices.Concat(m.rows, restrictions.result(m)) {
		t, ok := note(r)
		switch {
		case !ok:
		case t.Prefix.IsValid():
			nets = append(nets, t.Prefix)
		case t.Country != "" || t.Continent != "":
			places[fixed{t.Country, t.Continent}] = true
		}
	}
	slices.SortFunc(nets, func(a, b netip.Prefix) int { return cmp.Or(a.Addr().Compare(b.Addr()), a.Bits()-b.Bits()) })
	nets = slices.Compact(nets)
	seen := map[string]bool{}
	put := func(c client) {
		if !seen[c.shown] {
			seen[c.shown] = true
			all = append(all, c)
		}
	}
	elsewhere, somewhere := unnamed(nets)
	inside := func(around netip.Prefix) {
		for _, n := range nets {
			if around.IsValid() && (around.Bits() > n.Bits() || !around.Contains(n.Addr())) {
				continue
			}
			if ip, ok := ownAddr(n, nets); ok {
				put(client{ip: ip, shown: shownPrefix(n)})
			}
		}
	}
	for _, r := range []*policy.Restriction{m.before, m.after} {
		if r == nil {
			continue
		}
		t, ok := note(*r)
		switch {
		case !ok:
		case t.All:
			if somewhere {
				put(client{ip: elsewhere, shown: "elsewhere"})
				for at := range places {
					put(client{elsewhere, at, at.String()})
				}
			}
			inside(netip.Prefix{})
		case t.Prefix.IsValid():
			inside(t.Prefix)
		case somewhere:
			at := fixed{t.Country, t.Continent}
			put(client{elsewhere, at, at.String()})
		}
	}
	return all
}

// String names the place for people.
func (f fixed) String() string {
	if f.country != "" {
		return "country " + f.country
	}
	return "continent " + f.continent
}

func shownPrefix(p netip.Prefix) string {
	if p.IsSingleIP() {
		return p.Addr().String()
	}
	return p.String()
}

// ownAddr is an address in p that no smaller prefix of nets has.
func ownAddr(p netip.Prefix, nets []netip.Prefix) (netip.Addr, bool) {
	ip := p.Addr()
	for ip.IsValid() && p.Contains(ip) {
		var around netip.Prefix // the largest smaller one
		for _, n := range nets {
			if n.Bits() > p.Bits() && n.Contains(ip) && (!around.IsValid() || n.Bits() < around.Bits()) {
				around = n
			}
		}
		if !around.IsValid() {
			return ip, true
		}
		ip = last(around).Next()
	}
	return netip.Addr{}, false
}

// last is the highest address of p.
func last(p netip.Prefix) netip.Addr {
	b := p.Masked().Addr().AsSlice()
	for i := p.Bits(); i < len(b)*8; i++ {
		b[i/8] |= 1 << (7 - i%8)
	}
	ip, _ := netip.AddrFromSlice(b)
	return ip
}

// unnamed is an address that none of nets has.
func unnamed(nets []netip.Prefix) (netip.Addr, bool) {
	for _, all := range []netip.Prefix{netip.PrefixFrom(netip.IPv4Unspecified(), 0), netip.PrefixFrom(netip.IPv6Unspecified(), 0)} {
		if slices.Contains(nets, all) {
			continue
		}
		if ip, ok := ownAddr(all, nets); ok {
			return ip, true
		}
	}
	return netip.Addr{}, false
}
