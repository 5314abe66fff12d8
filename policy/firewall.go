package policy

import (
	"cmp"
	"net/netip"
	"runtime"
	"slices"

	"github.com/gaissmai/bart"
)

// A Locator says where addresses are. Lookup gives the ISO 3166 alpha-2 code of the country
// and the two-letter code of the continent, upper case, either "" when unknown; ok is false
// when nothing is known. Name is the country's name in a language, "" when unknown. It is safe
// for concurrent use; *Geo is one.
type Locator interface {
	Lookup(ip netip.Addr) (country, continent string, ok bool)
	Name(ip netip.Addr, lang string) string
}

// none is a rule number that loses against every other.
const none = int32(1<<31 - 1)

// A wall finds, for an address, the rule that comes first. Rules are numbered in the order in
// which they win, so that of several the lowest number is the answer: a trie gives the longest
// prefix only, so each prefix holds the lowest number of itself and all prefixes around it
// (AZ-45). Single addresses are prefixes of full length.
type wall struct {
	all        int32
	nets       *bart.Table[int32] // nil when there are none
	countries  *[26 * 26]int32    // nil when there are none
	continents *[26 * 26]int32
}

// A probe is one address that several walls are asked about; it is located at most once.
type probe struct {
	ip                 netip.Addr
	geo                Locator
	country, continent string
	located            bool
}

func (p *probe) locate() {
	if !p.located {
		p.located = true
		if p.geo != nil && p.ip.IsValid() {
			p.country, p.continent, _ = p.geo.Lookup(p.ip)
		}
	}
}

// first is the lowest number among the rules that match, none when there is no such rule.
// inScopeOrder says that scopes are numbered one after the other, all first and geographic
// ones last, which saves looking further.
func (w *wall) first(p *probe, inScopeOrder bool) int32 {
	n := w.all
	if inScopeOrder && n != none {
		return n
	}
	if w.nets != nil && p.ip.IsValid() {
		if v, ok := w.nets.Lookup(p.ip); ok {
			n = min(n, v)
		}
	}
	if w.countries == nil && w.continents == nil || inScopeOrder && n != none {
		return n
	}
	p.locate()
	if w.countries != nil {
		n = min(n, byCode(w.countries, p.country))
	}
	if w.continents != nil {
		n = min(n, byCode(w.continents, p.continent))
	}
	return n
}

func byCode(rules *[26 * 26]int32, code string) int32 {
	if i := codeIndex(code); i >= 0 {
		return rules[i]
	}
	return none
}

func codeIndex(code string) int {
	if len(code) != 2 || code[0] < 'A' || code[0] > 'Z' || code[1] < 'A' || code[1] > 'Z' {
		return -1
	}
	return int(code[0]-'A')*26 + int(code[1]-'A')
}

func (w *wall) empty() bool {
	return w.all == none && w.nets == nil && w.countries == nil && w.continents == nil
}

// A brick is one rule on its way into a wall.
type brick struct {
	prefix netip.Prefix
	number int32
}

// A mason builds one wall.
type mason struct {
	wall   wall
	bricks []brick
}

func newMason(rules int) *mason {
	return &mason{wall: wall{all: none}, bricks: make([]brick, 0, rules)}
}

// lay adds a rule. Its value must be one that parses for its scope.
func (m *mason) lay(number int32, t target) {
	switch {
	case t.all:
		m.wall.all = min(m.wall.all, number)
	case t.prefix.IsValid():
		m.bricks = append(m.bricks, brick{t.prefix, number})
	case t.country != "":
		m.wall.countries = mark(m.wall.countries, t.country, number)
	case t.continent != "":
		m.wall.continents = mark(m.wall.continents, t.continent, number)
	}
}

func mark(rules *[26 * 26]int32, code string, number int32) *[26 * 26]int32 {
	if rules == nil {
		rules = new([26 * 26]int32)
		for i := range rules {
			rules[i] = none
		}
	}
	i := codeIndex(code)
	rules[i] = min(rules[i], number)
	return rules
}

// build returns the finished wall.
func (m *mason) build() wall {
	if len(m.bricks) > 0 {
		// Shorter prefixes first: the ones around a prefix are final before it comes.
		slices.SortFunc(m.bricks, func(a, b brick) int {
			return cmp.Or(cmp.Compare(a.prefix.Bits(), b.prefix.Bits()),
				cmp.Compare(a.number, b.number))
		})
		t := new(bart.Table[int32])
		for i, b := range m.bricks {
			if i%breath == 0 {
				runtime.Gosched()
			}
			if around, ok := t.LookupPrefix(b.prefix); ok && around <= b.number {
				continue // a lookup finds the winner without it
			}
			t.Insert(b.prefix, b.number)
		}
		m.wall.nets = t
	}
	m.bricks = nil
	return m.wall
}

// A target is the meaning of a scope and a value.
type target struct {
	all                bool
	prefix             netip.Prefix
	country, continent string
}

// aim parses a scope and its value; the error is for people.
func aim(scope, value string) (t target, err error) {
	switch scope {
	case ScopeAll:
		t.all = true
	case ScopeIP:
		var ip netip.Addr
		if ip, err = parseIP(value); err == nil {
			t.prefix = netip.PrefixFrom(ip, ip.BitLen())
		}
	case ScopeSubnet:
		t.prefix, err = parseSubnet(value)
	case ScopeCountry:
		t.country, err = canonicalValue(scope, value)
	case ScopeContinent:
		t.continent, err = canonicalValue(scope, value)
	default:
		err = errScope
	}
	return t, err
}

func (t target) geographic() bool { return t.country != "" || t.continent != "" }
