package authz

import (
	"net/netip"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"barong/internal/config"
)

func testParseConfig(t testing.TB, trusted []string, gateway string, akamai ...string) *parseConfig {
	t.Helper()
	list := config.Default().Client.TrustedProxies
	if trusted != nil {
		list = prefixes(trusted...)
	}
	c, err := newParseConfig(list, gateway, prefixes(akamai...), true)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestClientIP(t *testing.T) {
	proxies := []string{"10.0.0.0/8", "127.0.0.0/8", "::1/128"}
	for name, c := range map[string]struct {
		peer, xff string
		want      string
		trusted   []string // proxies when nil
		gateway   string
		cf, aka   string
		akamai    []string
		suspect   suspicion
	}{
		"no proxy: the peer (FX-26)":                    {peer: "203.0.113.9", want: "203.0.113.9"},
		"an untrusted peer is not believed (FX-26)":     {peer: "203.0.113.9", xff: "198.51.100.1", want: "203.0.113.9"},
		"a trusted peer vouches for the last entry":     {peer: "10.0.0.1", xff: "1.1.1.1, 198.51.100.1", want: "198.51.100.1"},
		"trusted hops are walked through":               {peer: "10.0.0.1", xff: "1.1.1.1, 198.51.100.1,10.1.1.1 ,127.0.0.1", want: "198.51.100.1"},
		"loopback alone is trusted by default (D13)":    {peer: "127.0.0.1", xff: "198.51.100.1, 10.1.1.1", want: "10.1.1.1", trusted: []string{"127.0.0.0/8"}, suspect: suspectHop},
		"no entry: the peer":                            {peer: "10.0.0.1", want: "10.0.0.1"},
		"all trusted: the left-most":                    {peer: "10.0.0.1", xff: "10.0.0.3, 10.0.0.2", want: "10.0.0.3"},
		"an entry that is no address is refused (D13)":  {peer: "10.0.0.1", xff: "198.51.100.1, unknown, 10.0.0.2", suspect: suspectUnreadable},
		"an empty entry is refused":                     {peer: "10.0.0.1", xff: "198.51.100.1,", suspect: suspectUnreadable},
		"beyond an untrusted hop nothing is read":       {peer: "10.0.0.1", xff: "unknown, 198.51.100.1", want: "198.51.100.1"},
		"an untrusted peer's nonsense is not read":      {peer: "203.0.113.9", xff: "unknown", want: "203.0.113.9"},
		"a blank list is none":                          {peer: "10.0.0.1", xff: " \t", want: "10.0.0.1"},
		"an address with a port":                        {peer: "10.0.0.1", xff: "198.51.100.1:80", want: "198.51.100.1"},
		"IPv6 in brackets":                              {peer: "10.0.0.1", xff: "[2001:db8::1]", want: "2001:db8::1"},
		"IPv6 in brackets with a port":                  {peer: "10.0.0.1", xff: "[2001:db8::1]:65535", want: "2001:db8::1"},
		"IPv4-mapped in brackets with a port":           {peer: "10.0.0.1", xff: "[::ffff:198.51.100.1]:1", want: "198.51.100.1"},
		"a zone in brackets":                            {peer: "10.0.0.1", xff: "[fe80::1%eth0]:1", want: "fe80::1"},
		"trusted hops with ports are walked through":    {peer: "10.0.0.1", xff: "198.51.100.1:1, 10.0.0.3:2, [::1]:3", want: "198.51.100.1"},
		"IPv4 in brackets is refused":                   {peer: "10.0.0.1", xff: "[198.51.100.1]", suspect: suspectUnreadable},
		"a port that is none is refused":                {peer: "10.0.0.1", xff: "198.51.100.1:65536", suspect: suspectUnreadable},
		"an empty port is refused":                      {peer: "10.0.0.1", xff: "198.51.100.1:", suspect: suspectUnreadable},
		"a bracket that stays open is refused":          {peer: "10.0.0.1", xff: "[2001:db8::1", suspect: suspectUnreadable},
		"text after the bracket is refused":             {peer: "10.0.0.1", xff: "[2001:db8::1]x", suspect: suspectUnreadable},
		"quotes are refused":                            {peer: "10.0.0.1", xff: `"198.51.100.1"`, suspect: suspectUnreadable},
		"a name is refused":                             {peer: "10.0.0.1", xff: "client.example", suspect: suspectUnreadable},
		"a private peer that is not trusted (02)":       {peer: "172.17.0.1", xff: "198.51.100.1", want: "172.17.0.1", suspect: suspectPeer},
		"a private peer without a list":                 {peer: "172.17.0.1", want: "172.17.0.1"},
		"a private hop that is not trusted":             {peer: "10.0.0.1", xff: "198.51.100.1, 172.17.0.1", want: "172.17.0.1", suspect: suspectHop},
		"a private client":                              {peer: "10.0.0.1", xff: "172.17.0.1", want: "172.17.0.1"},
		"IPv4-mapped is IPv4 (FX-57)":                   {peer: "::ffff:10.0.0.1", xff: "::ffff:198.51.100.1", want: "198.51.100.1"},
		"IPv6":                                          {peer: "::1", xff: "2001:DB8::1", want: "2001:db8::1"},
		"a zone is dropped":                             {peer: "fe80::1%eth0", want: "fe80::1"},
		"a zone in the list is dropped":                 {peer: "::1", xff: "fe80::2%eth1", want: "fe80::2"},
		"cloudflare: its header, from its networks":     {peer: "173.245.48.7", want: "198.51.100.1", gateway: "cloudflare", cf: "198.51.100.1"},
		"cloudflare: behind a trusted proxy":            {peer: "10.0.0.1", xff: "6.6.6.6, 2606:4700::9", want: "198.51.100.1", gateway: "cloudflare", cf: " 198.51.100.1 "},
		"cloudflare: not from elsewhere":                {peer: "203.0.113.9", want: "203.0.113.9", gateway: "cloudflare", cf: "198.51.100.1"},
		"cloudflare: not from a trusted proxy alone":    {peer: "10.0.0.1", xff: "203.0.113.9", want: "203.0.113.9", gateway: "cloudflare", cf: "198.51.100.1"},
		"cloudflare: nonsense is refused (D13)":         {peer: "173.245.48.7", xff: "9.9.9.9", gateway: "cloudflare", cf: "198.51.100.1, 1.1.1.1", suspect: suspectUnreadable},
		"cloudflare: akamai's header is ignored":        {peer: "173.245.48.7", want: "173.245.48.7", gateway: "cloudflare", aka: "198.51.100.1"},
		"no gateway: no header (AZ-14)":                 {peer: "173.245.48.7", want: "173.245.48.7", cf: "198.51.100.1", aka: "198.51.100.1"},
		"akamai: its header, from its networks (FX-27)": {peer: "23.32.0.1", want: "198.51.100.1", gateway: "akamai", aka: "198.51.100.1", akamai: []string{"23.32.0.0/11"}},
		"akamai: only if it parses (FX-27, D13)":        {peer: "23.32.0.1", gateway: "akamai", aka: "1.2.3.4/8", akamai: []string{"23.32.0.0/11"}, suspect: suspectUnreadable},
		"akamai: without its header":                    {peer: "23.32.0.1", want: "23.32.0.1", gateway: "akamai", akamai: []string{"23.32.0.0/11"}},
		"akamai: not from elsewhere":                    {peer: "10.0.0.1", xff: "9.9.9.9", want: "9.9.9.9", gateway: "akamai", aka: "198.51.100.1", akamai: []string{"23.32.0.0/11"}},
	} {
		t.Run(name, func(t *testing.T) {
			if c.trusted == nil {
				c.trusted = proxies
			}
			config := testParseConfig(t, c.trusted, c.gateway, c.akamai...)
			r := request{peer: netip.MustParseAddr(c.peer), forwardedFor: c.xff,
				cfConnectingIP: c.cf, trueClientIP: c.aka}
			got, suspect := config.clientIP(&r)
			if c.want == "" && got.IsValid() || c.want != "" && got.String() != c.want || suspect != c.suspect {
				t.Errorf("got %v (%s), want %s (%s)", got, suspect, c.want, c.suspect)
			}
		})
	}
}

func TestClientIPWithoutPeer(t *testing.T) {
	c := testParseConfig(t, nil, "none")
	if got, _ := c.clientIP(&request{forwardedFor: "1.2.3.4"}); got.IsValid() {
		t.Errorf("no peer gives %v, want none", got)
	}
	r := request{peerPipe: true, forwardedFor: "1.2.3.4"}
	if got, _ := c.clientIP(&r); got.String() != "1.2.3.4" {
		t.Errorf("a trusted socket vouches for %v, want 1.2.3.4", got)
	}
	r.forwardedFor = ""
	if got, _ := c.clientIP(&r); got.String() != "127.0.0.1" {
		t.Errorf("a trusted socket alone is %v, want 127.0.0.1", got)
	}
	c.trustPipe = false
	if got, _ := c.clientIP(&r); got.IsValid() {
		t.Errorf("an untrusted socket gives %v, want none", got)
	}
}

// Nobody is believed where the list is empty: loopback is only the setting's default.
func TestWithoutTrustedProxiesNobodyIsBelieved(t *testing.T) {
	c, err := newParseConfig(nil, "", nil, false)
	if err != nil {
		t.Fatal(err)
	}
	for _, peer := range []string{"127.0.0.1", "::1", "10.0.0.1"} {
		if c.trusted.Contains(netip.MustParseAddr(peer)) {
			t.Errorf("%s is believed", peer)
		}
	}
}

func TestNewParseConfigRefuses(t *testing.T) {
	for name, make := range map[string]func() (*parseConfig, error){
		"an unknown gateway":      func() (*parseConfig, error) { return newParseConfig(nil, "fastly", nil, false) },
		"akamai without networks": func() (*parseConfig, error) { return newParseConfig(nil, "akamai", nil, false) },
		"a zero network":          func() (*parseConfig, error) { return newParseConfig([]netip.Prefix{{}}, "", nil, false) },
		"a network over both families": func() (*parseConfig, error) {
			return newParseConfig(prefixes("::ffff:0:0/90"), "", nil, false)
		},
	} {
		if c, err := make(); err == nil {
			t.Errorf("%s: got %+v, want an error", name, c)
		}
	}
	c, err := newParseConfig(prefixes("::ffff:10.0.0.0/104"), "", nil, false)
	if err != nil || !c.trusted.Contains(netip.MustParseAddr("10.9.9.9")) {
		t.Errorf("a v4-mapped network does not hold its IPv4 addresses (%v)", err)
	}
}

// naiveAddress reads an address the slow way.
func naiveAddress(s string) netip.Addr {
	a, err := netip.ParseAddr(strings.Trim(s, " \t"))
	if err != nil {
		return netip.Addr{}
	}
	return a.Unmap().WithZone("")
}

var withPort = regexp.MustCompile(`^(?:([0-9.]+):([0-9]{1,5})|\[([^\]]*:[^\]]*)\](?::([0-9]{1,5}))?)$`)

// naiveHop is naiveAddress with brackets and port.
func naiveHop(s string) netip.Addr {
	s = strings.Trim(s, " \t")
	if m := withPort.FindStringSubmatch(s); m != nil {
		if port, _ := strconv.Atoi(m[2] + m[4]); port > 65535 {
			return netip.Addr{}
		}
		s = m[1] + m[3]
	}
	if len(s) > 100 {
		return netip.Addr{}
	}
	return naiveAddress(s)
}

func naiveClientIP(peer netip.Addr, xff, told string, trusted, edges []netip.Prefix) netip.Addr {
	in := func(list []netip.Prefix, a netip.Addr) bool {
		for _, p := range list {
			if p.Contains(a) {
				return true
			}
		}
		return false
	}
	chain := []netip.Addr{peer}
	if xff = strings.Trim(xff, " \t"); xff != "" {
		entries := strings.Split(xff, ",")
		for i := len(entries) - 1; i >= 0 && len(chain) <= 64; i-- {
			chain = append(chain, naiveHop(entries[i]))
		}
	}
	for i, a := range chain {
		if i == 64 {
			return a
		}
		if in(edges, a) && strings.Trim(told, " \t") != "" {
			return naiveHop(told)
		}
		if !in(trusted, a) || i+1 == len(chain) {
			return a
		}
		if !chain[i+1].IsValid() {
			return netip.Addr{}
		}
	}
	return netip.Addr{}
}

func FuzzClientIP(f *testing.F) {
	for _, s := range []string{
		"1.2.3.4, 10.0.0.2", "::ffff:1.2.3.4", "fe80::1%e, 10.1.1.1", "1.2.3.4%e", "::ffff:1.2.3.4%e",
		"[::1]:1", "1.2.3.4:1, [fe80::1%e]", "[1.2.3.4]", "1.2.3.4:99999", "[]:1", "2606:4700::1,10.0.0.1", ",", "fe80::1%", "%", "::1%a%b", "", "10.0.0.1,10.0.0.1", strings.Repeat("10.0.0.1,", 70) + "10.0.0.2",
	} {
		f.Add("10.0.0.1", s, "9.9.9.9")
		f.Add(s, "1.1.1.1,"+s, s)
	}
	trusted := prefixes("10.0.0.0/8", "fe80::/10")
	c, err := newParseConfig(trusted, "cloudflare", nil, false)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, peer, xff, told string) {
		if got, want := parseAddress(trim(peer)), naiveAddress(peer); got != want {
			t.Fatalf("parseAddress(%q) = %v, want %v", peer, got, want)
		}
		p := parseAddress(peer)
		if !p.IsValid() {
			p = netip.MustParseAddr("10.0.0.1")
		}
		r := request{peer: p, forwardedFor: xff, cfConnectingIP: told}
		got, suspect := c.clientIP(&r)
		want := naiveClientIP(p, xff, told, trusted, cloudflareNetworks())
		if got != want || got.IsValid() == (suspect == suspectUnreadable) {
			t.Fatalf("peer %v, list %q, edge %q: got %v, want %v", p, xff, told, got, want)
		}
	})
}
