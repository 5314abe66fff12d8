package apikey_test

import (
	"fmt"
	"math/big"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"barong/internal/apikey"
)

func TestParseNetworks(t *testing.T) {
	for name, c := range map[string]struct {
		texts []string
		want  string
		rule  string
	}{
		"an address":                    {[]string{"192.0.2.7"}, "192.0.2.7/32", ""},
		"an IPv6 address":               {[]string{"2001:DB8::1"}, "2001:db8::1/128", ""},
		"host bits go":                  {[]string{"192.0.2.7/24"}, "192.0.2.0/24", ""},
		"commas, blanks and a list":     {[]string{" 192.0.2.1 , 2001:db8::/32", "198.51.100.0/25"}, "192.0.2.1/32 2001:db8::/32 198.51.100.0/25", ""},
		"mapped ones are IPv4":          {[]string{"::ffff:192.0.2.1,::ffff:c000:0200/120"}, "192.0.2.1/32 192.0.2.0/24", ""},
		"each once":                     {[]string{"192.0.2.1,192.0.2.1/32,::ffff:192.0.2.1"}, "192.0.2.1/32", ""},
		"nothing":                       {[]string{}, "", ""},
		"one blank text":                {[]string{"  "}, "", ""},
		"a comma alone is no list":      {[]string{","}, "", "invalid"},
		"a blank between":               {[]string{"192.0.2.1,,192.0.2.2"}, "", "invalid"},
		"a blank beside another":        {[]string{"192.0.2.1", ""}, "", "invalid"},
		"a name":                        {[]string{"localhost"}, "", "invalid"},
		"a zone":                        {[]string{"fe80::1%eth0"}, "", "invalid"},
		"a zone of a block":             {[]string{"fe80::%eth0/64"}, "", "invalid"},
		"octal digits":                  {[]string{"192.000.002.001"}, "", "invalid"},
		"too many bits":                 {[]string{"192.0.2.1/33"}, "", "invalid"},
		"a mask":                        {[]string{"192.0.2.0/255.255.255.0"}, "", "invalid"},
		"the world":                     {[]string{"0.0.0.0/0"}, "", "too_wide"},
		"half of it":                    {[]string{"128.0.0.0/1"}, "", "too_wide"},
		"all of IPv6":                   {[]string{"::/0"}, "", "too_wide"},
		"all of IPv4 in IPv6":           {[]string{"::ffff:0:0/96"}, "", "too_wide"},
		"more than all of IPv4 in IPv6": {[]string{"::ffff:0:0/90"}, "", "too_wide"},
		"the widest":                    {[]string{"10.0.0.0/8,2001::/16"}, "10.0.0.0/8 2001::/16", ""},
		"fifty":                         {[]string{strings.Repeat("192.0.2.1,", 49) + "192.0.2.1"}, "192.0.2.1/32", ""},
		"one more":                      {[]string{strings.Repeat("192.0.2.1,", 50) + "192.0.2.1"}, "", "too_long"},
	} {
		t.Run(name, func(t *testing.T) {
			got, rules := apikey.ParseNetworks(c.texts)
			if text(got) != c.want || strings.Join(rules, " ") != c.rule {
				t.Errorf("got %q, %q; want %q, %q", text(got), rules, c.want, c.rule)
			}
		})
	}
}

func text(n apikey.Networks) string {
	var all []string
	for _, p := range n {
		all = append(all, p.String())
	}
	return strings.Join(all, " ")
}

// number is an address as 128 bits; an IPv4 one is that of its mapped form.
func number(a netip.Addr) *big.Int {
	b := a.As16()
	return new(big.Int).SetBytes(b[:])
}

// The list admits the addresses that arithmetic on their numbers does.
func TestNetworksAdmitByArithmetic(t *testing.T) {
	address := func(t *rapid.T, name string) netip.Addr {
		// Near each other, so that they meet.
		b := rapid.SliceOfN(rapid.SampledFrom([]byte{0, 1, 127, 128, 255}), 4, 4).Draw(t, name)
		v4 := netip.AddrFrom4([4]byte(b))
		switch rapid.SampledFrom([]string{"v4", "mapped", "v6", "compatible"}).Draw(t, name+" as") {
		case "v4":
			return v4
		case "mapped":
			return netip.AddrFrom16(v4.As16())
		case "v6":
			return netip.AddrFrom16([16]byte{0x20, 0x01, 14: b[2], 15: b[3]})
		}
		return netip.AddrFrom16([16]byte{12: b[0], 13: b[1], 14: b[2], 15: b[3]})
	}
	rapid.Check(t, func(t *rapid.T) {
		type block struct {
			first *big.Int
			bits  int // that may differ
		}
		var texts []string
		var naive []block
		for i := range rapid.IntRange(0, 5).Draw(t, "n") {
			a := address(t, fmt.Sprint("network", i))
			bits := rapid.IntRange(0, a.BitLen()).Draw(t, "bits")
			one := fmt.Sprintf("%s/%d", a, bits)
			if got, rules := apikey.ParseNetworks([]string{one}); len(rules) > 0 {
				if len(got) > 0 || !slices.Equal(rules, []string{"too_wide"}) {
					t.Fatalf("%s: got %v, %q", one, got, rules)
				}
				continue
			}
			texts = append(texts, one)
			naive = append(naive, block{number(a), a.BitLen() - bits})
		}
		list, rules := apikey.ParseNetworks([]string{strings.Join(texts, ",")})
		if len(rules) > 0 {
			t.Fatalf("%q: %q", texts, rules)
		}
		again, rules := apikey.ParseNetworks(strings.Fields(text(list)))
		if len(rules) > 0 || !slices.Equal(again, list) {
			t.Fatalf("%v is read again as %v, %q", list, again, rules)
		}
		ip := address(t, "ip")
		want := len(texts) == 0
		for _, b := range naive {
			shift := uint(b.bits)
			want = want || new(big.Int).Rsh(b.first, shift).Cmp(new(big.Int).Rsh(number(ip), shift)) == 0
		}
		if got := list.Admit(ip); got != want {
			t.Fatalf("%q admits %s: %v, want %v", texts, ip, got, want)
		}
	})
}

func TestNetworksAdmitNobodyUnknown(t *testing.T) {
	list, _ := apikey.ParseNetworks([]string{"10.0.0.0/8,fe80::/16"})
	for _, ip := range []netip.Addr{{}, netip.MustParseAddr("fe80::1%eth0")} {
		if list.Admit(ip) {
			t.Errorf("%q is admitted", ip)
		}
	}
	worst := make(apikey.Networks, 0, apikey.MaxNetworks)
	for i := range apikey.MaxNetworks {
		worst = append(worst, netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(i)}), 16))
	}
	ip := netip.MustParseAddr("192.0.2.1")
	if n := testing.AllocsPerRun(100, func() { worst.Admit(ip) }); n != 0 {
		t.Errorf("%v allocations, want 0", n)
	}
}

func BenchmarkAdmit(b *testing.B) {
	var worst apikey.Networks
	for i := range apikey.MaxNetworks {
		worst = append(worst, netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(i)}), 16))
	}
	ip := netip.MustParseAddr("192.0.2.1")
	for b.Loop() {
		worst.Admit(ip)
	}
}

// Whatever is sent is refused, or is a list of few, narrow and canonical blocks that reads back as
// itself.
func FuzzParseNetworks(f *testing.F) {
	for _, s := range []string{
		"", ",", "192.0.2.1", "192.0.2.7/24, 2001:db8::/32", "::ffff:192.0.2.1/128", "::ffff:0:0/95", "fe80::1%x",
		"0.0.0.0/0", "::/0", "1.2.3.4/08", strings.Repeat("1.1.1.1,", 60),
	} {
		f.Add(s, "")
	}
	f.Add("10.0.0.0/8", "2001::/16")
	f.Fuzz(func(t *testing.T, a, b string) {
		list, rules := apikey.ParseNetworks([]string{a, b})
		if len(rules) > 0 {
			if len(list) > 0 {
				t.Fatalf("refused %q with a list", rules)
			}
			return
		}
		if len(list) > apikey.MaxNetworks {
			t.Fatalf("%d networks", len(list))
		}
		for _, p := range list {
			if p != p.Masked() || p.Addr().Is4In6() || p.Bits() < 8 || p.Contains(netip.IPv6Unspecified().Next()) && p.Bits() < 16 {
				t.Fatalf("%s from %q, %q", p, a, b)
			}
			if !list.Admit(p.Addr()) {
				t.Fatalf("%s does not admit its first address", p)
			}
		}
		again, rules := apikey.ParseNetworks(strings.Fields(text(list)))
		if len(rules) > 0 || !slices.Equal(again, list) {
			t.Fatalf("%v is read again as %v, %q", list, again, rules)
		}
	})
}
