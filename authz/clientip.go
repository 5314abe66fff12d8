package authz

import (
	"fmt"
	"net/netip"
	"strings"

	"github.com/gaissmai/bart"
)

// An edge is a network before ours that names the client's address in its own header.
type edge uint8

const (
	edgeNone edge = iota
	edgeCloudflare
	edgeAkamai
)

// maxHops bounds the walk along X-Forwarded-For. No honest chain comes near it.
const maxHops = 64

// A suspicion is a doubt about a client's address: somebody else may be judged.
type suspicion uint8

const (
	suspectNothing suspicion = iota
	// suspectPeer: a private peer that is no trusted proxy sends X-Forwarded-For. It is most
	// likely a proxy that trusted_proxies leaves out, and all its clients share its address.
	suspectPeer
	// suspectHop: the same of an address further out in X-Forwarded-For.
	suspectHop
	// suspectUnreadable: a trusted hop sent something else than an address. The request is refused.
	suspectUnreadable
	suspicions
)

// String names it in metrics and the log.
func (x suspicion) String() string {
	return [...]string{"", "untrusted_peer", "untrusted_hop", "unreadable"}[x]
}

// clientIP is the address that the request is judged by, unmapped and without zone (D13).
// From the peer it walks outward as long as the current address is a trusted proxy: each
// one vouches for the next right-most entry of X-Forwarded-For. At the end of the list and
// after maxHops, the last good address counts. The header of an edge counts only when the
// walk reaches one of its networks, and only if it is there.
//
// When a trusted hop or an edge sends something else than an address, the result is the zero
// Addr and suspectUnreadable, since the hop's own address would stand for all its clients.
//
// A peer on a Unix socket is a trusted proxy at 127.0.0.1 when c.trustPipe. Without a
// peer the result is the zero Addr and suspectNothing, and the request is to be refused:
// otherwise all clients of a gateway that is configured so would share one address.
func (c *parseConfig) clientIP(r *request) (netip.Addr, suspicion) {
	current := r.peer.Unmap()
	vouched := false
	switch {
	case r.peerPipe && c.trustPipe:
		current, vouched = netip.AddrFrom4([4]byte{127, 0, 0, 1}), true
	case r.peerPipe || !r.peer.IsValid():
		return netip.Addr{}, suspectNothing
	case current.Zone() != "":
		current = current.WithZone("")
	}
	list := trim(r.forwardedFor)
	for hop := 0; hop < maxHops; hop++ {
		if c.edge != edgeNone && c.edgePeers.Contains(current) {
			told := r.cfConnectingIP
			if c.edge == edgeAkamai {
				told = r.trueClientIP
			}
			if told = trim(told); told != "" {
				return readable(parseHop(told))
			}
		}
		if list == "" {
			return current, suspectNothing
		}
		if !vouched && !c.trusted.Contains(current) {
			switch {
			case !current.IsPrivate() && !current.IsLoopback() && !current.IsLinkLocalUnicast():
				return current, suspectNothing
			case hop == 0:
				return current, suspectPeer
			}
			return current, suspectHop
		}
		vouched = false
		entry := list
		if i := strings.LastIndexByte(list, ','); i >= 0 {
			list, entry = list[:i], list[i+1:]
		} else {
			list = ""
		}
		next := parseHop(trim(entry))
		if !next.IsValid() {
			return readable(next)
		}
		current = next
	}
	return current, suspectNothing
}

// readable is the result of clientIP for an address that somebody sent.
func readable(a netip.Addr) (netip.Addr, suspicion) {
	if !a.IsValid() {
		return netip.Addr{}, suspectUnreadable
	}
	return a, suspectNothing
}

// parseHop reads an address as proxies write one: alone, with a port, or in brackets with or
// without one (RFC 7239 §6 has those forms). Anything else gives the zero Addr.
func parseHop(s string) netip.Addr {
	if len(s) > longestHop {
		return netip.Addr{}
	}
	if inside, ok := strings.CutPrefix(s, "["); ok {
		host, port, closed := cutByte(inside, ']')
		if !closed || strings.IndexByte(host, ':') < 0 || port != "" && (port[0] != ':' || !isPort(port[1:])) {
			return netip.Addr{}
		}
		return parseAddress(host)
	}
	if i := strings.IndexByte(s, ':'); i >= 0 && strings.IndexByte(s[i+1:], ':') < 0 { // one colon: IPv4 and port
		if !isPort(s[i+1:]) {
			return netip.Addr{}
		}
		s = s[:i]
	}
	return parseAddress(s)
}

// longestHop is more than any address, zone and port.
const longestHop = 128

func isPort(s string) bool {
	if len(s) < 1 || len(s) > 5 {
		return false
	}
	n := 0
	for i := 0; i < len(s); i++ {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
		n = n*10 + int(s[i]-'0')
	}
	return n <= 65535
}

// networks makes a set of prefixes; v4-mapped ones are unmapped.
func networks(list []netip.Prefix) (*bart.Lite, error) {
	set := new(bart.Lite)
	for _, p := range list {
		if !p.IsValid() {
			return nil, fmt.Errorf("%v is not a network", p)
		}
		if a := p.Addr(); a.Is4In6() {
			if p.Bits() < 96 {
				return nil, fmt.Errorf("%v mixes IPv4 and IPv6", p)
			}
			p = netip.PrefixFrom(a.Unmap(), p.Bits()-96)
		}
		set.Insert(p.Masked())
	}
	return set, nil
}

// cloudflareNetworks are the networks that Cloudflare publishes (AZ-12).
func cloudflareNetworks() []netip.Prefix {
	return prefixes(
		"173.245.48.0/20", "103.21.244.0/22", "103.22.200.0/22", "103.31.4.0/22",
		"141.101.64.0/18", "108.162.192.0/18", "190.93.240.0/20", "188.114.96.0/20",
		"197.234.240.0/22", "198.41.128.0/17", "162.158.0.0/15", "104.16.0.0/12",
		"172.64.0.0/13", "131.0.72.0/22",
		"2400:cb00::/32", "2606:4700::/32", "2803:f800::/32", "2405:b500::/32",
		"2405:8100::/32", "2a06:98c0::/29", "2c0f:f248::/32",
	)
}

func prefixes(list ...string) []netip.Prefix {
	out := make([]netip.Prefix, len(list))
	for i, s := range list {
		out[i] = netip.MustParsePrefix(s)
	}
	return out
}
