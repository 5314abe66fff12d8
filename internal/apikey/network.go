package apikey

import (
	"net/netip"
	"slices"
	"strings"

	"barong/internal/invalid"
)

// Networks are the addresses from which a key may be used. None at all means any.
type Networks []netip.Prefix

// MaxNetworks bounds the list of one key.
const MaxNetworks = 50

// A list that admits a large part of the world restricts nothing: these are the shortest prefixes.
const (
	shortestV4 = 8
	shortestV6 = 16
)

const tooWide = "too_wide"

// ParseNetworks reads addresses and CIDR blocks of both families. Each of texts is one of them, or
// several with commas between them; a single blank text is the empty list. The result is in the
// order of texts, without duplicates, each block without its host bits; an address is a block of its
// own, and an IPv4-mapped one is IPv4. rules are the rules of invalid.Fields that texts break: Malformed,
// TooLong (more than MaxNetworks), "too_wide".
func ParseNetworks(texts []string) (list Networks, rules []string) {
	if len(texts) == 1 && strings.TrimSpace(texts[0]) == "" {
		return nil, nil
	}
	n := 0
	for _, text := range texts {
		for part := range strings.SplitSeq(text, ",") {
			if n++; n > MaxNetworks {
				return nil, []string{invalid.TooLong}
			}
			p, rule := parseNetwork(strings.TrimSpace(part))
			if rule != "" {
				return nil, []string{rule}
			}
			if !slices.Contains(list, p) {
				list = append(list, p)
			}
		}
	}
	return list, nil
}

// parseNetwork reads one address or block and names the rule that it breaks, "" for none.
func parseNetwork(text string) (p netip.Prefix, rule string) {
	if strings.Contains(text, "/") {
		block, err := netip.ParsePrefix(text)
		if err != nil {
			return p, invalid.Malformed
		}
		p = block
	} else {
		ip, err := netip.ParseAddr(text)
		if err != nil || ip.Zone() != "" {
			return p, invalid.Malformed
		}
		p = netip.PrefixFrom(ip, ip.BitLen())
	}
	const mapped = 96 // bits before the IPv4 address in ::ffff:0:0/96
	if p.Addr().Is4In6() && p.Bits() >= mapped {
		p = netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-mapped)
	}
	p = p.Masked()
	shortest := shortestV6
	if p.Addr().Is4() {
		shortest = shortestV4
	}
	if p.Bits() < shortest || p.Overlaps(mappedV4) { // the latter would be all of IPv4
		return p, tooWide
	}
	return p, ""
}

// mappedV4 are the IPv4-mapped addresses.
var mappedV4 = netip.MustParsePrefix("::ffff:0:0/96")

// Admit reports whether ip, mapped or not, is in the list or the list is empty. An address that is
// not known is in no list. It allocates nothing.
func (n Networks) Admit(ip netip.Addr) bool {
	if len(n) == 0 {
		return true
	}
	ip = ip.Unmap()
	for i := range n {
		if n[i].Contains(ip) {
			return true
		}
	}
	return false
}
