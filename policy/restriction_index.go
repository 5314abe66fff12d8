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

// An index finds, for an address, the rule that comes first. Rules are numbered in the order in
// which they win, so that of several the lowest number is the answer: a trie gives the longest
// prefix only, so each prefix holds the lowest number of itself and all prefixes around it
// (AZ-45). Single addresses are prefixes of full length.
type index struct {
	all        int32
	nets       *bart.Table[int32] // nil when there are none
	countries  *[26 * 26]int32    // nil when there are none
	continents *[26 * 26]int32
}

// A probe is one address that several indexes are asked about; it is located at most once.
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
func (x *index) first(p *probe, inScopeOrder bool) int32 {
	n := x.all
	if inScopeOrder && n != none {
		return n
	}
	if x.nets != nil && p.ip.IsValid() {
		if v, ok := x.nets.Lookup(p.ip); ok {
			n = min(n, v)
		}
	}
	if x.countries == nil && x.continents == nil || inScopeOrder && n != none {
		return n
	}
	p.locate()
	if x.countries != nil {
		n = min(n, byCode(x.countries, p.country))
	}
	if x.continents != nil {
		n = min(n, byCode(x.continents, p.continent))
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

func (x *index) empty() bool {
	return x.all == none && x.nets == nil && x.countries == nil && x.continents == nil
}

// A rule is one prefix of an index that is being built, and its number.
type rule struct {
	prefix netip.Prefix
	number int32
}

// An indexBuilder builds one index.
type indexBuilder struct {
	index index
	rules []rule
}

func newIndexBuilder(rules int) *indexBuilder {
	return &indexBuilder{index: index{all: none}, rules: make([]rule, 0, rules)}
}

// add adds a rule. Its value must be one that parses for its scope.
func (b *indexBuilder) add(number int32, t Target) {
	switch {
	case t.All:
		b.index.all = min(b.index.all, number)
	case t.Prefix.IsValid():
		b.rules = append(b.rules, rule{t.Prefix, number})
	case t.Country != "":
		b.index.countries = mark(b.index.countries, t.Country, number)
	case t.Continent != "":
		b.index.continents = mark(b.index.continents, t.Continent, number)
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

// build returns the finished index.
func (b *indexBuilder) build() index {
	if len(b.rules) > 0 {
		// Shorter prefixes first: the ones around a prefix are final before it comes.
		slices.SortFunc(b.rules, func(x, y rule) int {
			return cmp.Or(cmp.Compare(x.prefix.Bits(), y.prefix.Bits()),
				cmp.Compare(x.number, y.number))
		})
		t := new(bart.Table[int32])
		for i, r := range b.rules {
			if i%yieldEvery == 0 {
				runtime.Gosched()
			}
			if around, ok := t.LookupPrefix(r.prefix); ok && around <= r.number {
				continue // a lookup finds the winner without it
			}
			t.Insert(r.prefix, r.number)
		}
		b.index.nets = t
	}
	b.rules = nil
	return b.index
}

// A Target is the set of addresses that a scope and a value name: all of them, a prefix, a
// country or a continent, by its two-letter code. The other fields are zero.
type Target struct {
	All                bool
	Prefix             netip.Prefix
	Country, Continent string
}

// parseTarget parses a scope and its value; the error is for people.
func parseTarget(scope, value string) (t Target, err error) {
	switch scope {
	case ScopeAll:
		t.All = true
	case ScopeIP:
		var ip netip.Addr
		if ip, err = parseIP(value); err == nil {
			t.Prefix = netip.PrefixFrom(ip, ip.BitLen())
		}
	case ScopeSubnet:
		t.Prefix, err = parseSubnet(value)
	case ScopeCountry:
		t.Country, err = canonicalValue(scope, value)
	case ScopeContinent:
		t.Continent, err = canonicalValue(scope, value)
	default:
		err = errScope
	}
	return t, err
}

func (t Target) geographic() bool { return t.Country != "" || t.Continent != "" }
