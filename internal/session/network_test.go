package session_test

import (
	"net/netip"
	"testing"

	"barong/internal/session"
)

// FX-28, FX-57, T-NEW-15.
func TestSameNetwork(t *testing.T) {
	for name, c := range map[string]struct {
		a, b   string
		v4, v6 int
		want   bool
	}{
		"the same address":                           {"10.1.2.3", "10.1.2.3", 16, 64, true},
		"last address of the /16":                    {"10.1.0.0", "10.1.255.255", 16, 64, true},
		"first address after the /16":                {"10.1.255.255", "10.2.0.0", 16, 64, false},
		"last address of the /64":                    {"2001:db8::", "2001:db8::ffff:ffff:ffff:ffff", 16, 64, true},
		"first address after the /64":                {"2001:db8::ffff:ffff:ffff:ffff", "2001:db8:0:1::", 16, 64, false},
		"a mapped address is its IPv4 address":       {"::ffff:10.1.2.3", "10.1.9.9", 16, 64, true},
		"two mapped addresses of different networks": {"::ffff:10.1.2.3", "::ffff:10.2.2.3", 16, 64, false},
		"different families":                         {"10.1.2.3", "2001:db8::1", 16, 64, false},
		"different families, one side off":           {"10.1.2.3", "2001:db8::1", 0, 64, false},
		"different families, both off":               {"10.1.2.3", "2001:db8::1", 0, 0, true},
		"IPv4 off":                                   {"10.1.2.3", "99.1.2.3", 0, 64, true},
		"IPv4 off does not open IPv6":                {"2001:db8::1", "2001:db9::1", 0, 64, false},
		"a length that is none":                      {"10.1.2.3", "10.1.2.3", 33, 64, false},
		"zones are ignored":                          {"fe80::1%eth0", "fe80::2%eth1", 16, 64, true},
		"no address":                                 {"", "10.1.2.3", 16, 64, false},
	} {
		t.Run(name, func(t *testing.T) {
			a, _ := netip.ParseAddr(c.a)
			b, _ := netip.ParseAddr(c.b)
			if got := session.SameNetwork(a, b, c.v4, c.v6); got != c.want {
				t.Errorf("SameNetwork(%s, %s) = %v, want %v", c.a, c.b, got, c.want)
			}
			if got := session.SameNetwork(b, a, c.v4, c.v6); got != c.want {
				t.Errorf("SameNetwork(%s, %s) = %v, want %v", c.b, c.a, got, c.want)
			}
		})
	}
}

func TestSameNetworkAllocatesNothing(t *testing.T) {
	a, b := netip.MustParseAddr("::ffff:10.1.2.3"), netip.MustParseAddr("10.1.9.9")
	if n := testing.AllocsPerRun(100, func() { session.SameNetwork(a, b, 16, 64) }); n != 0 {
		t.Errorf("%v allocations, want 0", n)
	}
}
