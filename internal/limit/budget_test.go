package limit_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"

	"pgregory.net/rapid"

	"barong/internal/limit"
)

var noon = time.Unix(1_800_000_000, 0)

func budget() *limit.Budget {
	return limit.NewBudget(new(limit.Memory), new(limit.Memory), func() time.Time { return noon })
}

// Every class bounds networks, has a cost, and has one name.
func TestClasses(t *testing.T) {
	names := map[string]bool{}
	for i, c := range limit.Classes() {
		if c.Cost != 1<<i {
			t.Errorf("%s: bit %b, want the %dth", c.Name, c.Cost, i)
		}
		if !c.Network.Passes() || c.Doc == "" || c.Name == "" || names[c.Name] {
			t.Errorf("%+v lacks a limit by network, a description or a name of its own", c)
		}
		names[c.Name] = true
		if c.Principal != (limit.Rule{}) && (!c.Principal.Passes() ||
			c.Principal.Period*time.Duration(c.Network.Burst) < c.Network.Period*time.Duration(c.Principal.Burst)) {
			t.Errorf("%s: a principal has %+v, more than a network, %+v", c.Name, c.Principal, c.Network)
		}
		if !c.Cost.Known() {
			t.Errorf("%s is not known", c.Name)
		}
	}
	if limit.Cost(0).Known() || limit.Cost(1<<len(names)).Known() {
		t.Error("a cost without a class, or with one that there is not, is known")
	}
	if got := (limit.Hash | limit.Write).String(); got != "write, hash" {
		t.Errorf("String = %q", got)
	}
}

// However costs are mixed, no network gets more of a class than its burst at once, nor do the
// networks around it get more than theirs; a principal neither.
func TestBudgetHoldsWhateverIsAsked(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b := budget()
		passed := map[string]int{}
		cost := limit.Cost(rapid.IntRange(1, 1<<len(limit.Classes())-1).Draw(t, "cost"))
		random := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 0)) //nolint:gosec // the order of a test
		for range rapid.IntRange(1, 1500).Draw(t, "requests") {
			ip := netip.AddrFrom4([4]byte{192, 0, byte(random.IntN(2)), byte(random.IntN(4))})
			uid := fmt.Sprint("ID", random.IntN(2))
			if b.Network(t.Context(), cost, ip) != nil {
				continue
			}
			passed[limit.Network(ip)]++
			passed[limit.WideNetwork(ip)]++
			if b.Principal(t.Context(), cost, uid) == nil {
				passed[uid]++
			}
		}
		for _, c := range cost.Of() {
			for who, n := range passed {
				most := c.Network.Burst
				switch {
				case who[:2] == "ID" && c.Principal == (limit.Rule{}):
					continue
				case who[:2] == "ID":
					most = c.Principal.Burst
				case who[len(who)-2:] == "24":
					most *= limit.WideFactor
				}
				if n > most {
					t.Fatalf("%s: %d of %s passed for %s, want %d at most", cost, n, c.Name, who, most)
				}
			}
		}
	})
}

// A caller that must wait learns for how long, and keeps no neighbour out; far networks never feel it.
func TestBudgetRefusesTheNetworkAlone(t *testing.T) {
	b, ctx := budget(), t.Context()
	flood := netip.MustParseAddr("2001:db8:0:1::1")
	var err error
	n := 0
	for ; n < 10_000 && err == nil; n++ {
		err = b.Network(ctx, limit.Guess, flood.Next())
	}
	if n != 11 || limit.RetryAfter(err) != 6*time.Second || !errors.Is(err, limit.ErrTooMany) {
		t.Errorf("refused at try %d with %v, want the 11th to wait 6 s", n, err)
	}
	for range 1000 {
		_ = b.Network(ctx, limit.Guess, flood)
	}
	for _, near := range []string{"2001:db8:0:2::1", "2001:db8:0:ffff::1", "192.0.2.1", "::ffff:192.0.2.2"} {
		if err := b.Network(ctx, limit.Guess, netip.MustParseAddr(near)); err != nil {
			t.Errorf("%s: %v", near, err)
		}
	}
	// The owner of a /48 has WideFactor times as much of it, not 65536 times.
	passed := 0
	for n := range 200 {
		ip := netip.AddrFrom16([16]byte{0x20, 1, 0xd, 0xb8, 0, 9, 0, byte(n)})
		for range 5 {
			if b.Network(ctx, limit.Guess, ip) == nil {
				passed++
			}
		}
	}
	if want := 10 * limit.WideFactor; passed != want {
		t.Errorf("%d tries from a /48 passed, want %d", passed, want)
	}
}

// refusing counts how often it is asked.
type refusing struct {
	limit.Memory
	asked int
	err   error
}

func (r *refusing) Take(context.Context, string, limit.Rule, time.Time) (time.Duration, error) {
	r.asked++
	return time.Minute, r.err
}

// Only classes that replicas have together ask the shared store, and only for requests that this process
// would let pass; without it nobody passes.
func TestBudgetAsksTheSharedStoreSeldom(t *testing.T) {
	ctx, ip := t.Context(), netip.MustParseAddr("192.0.2.1")
	for _, c := range limit.Classes() {
		shared := &refusing{}
		b := limit.NewBudget(new(limit.Memory), shared, func() time.Time { return noon })
		err := b.Network(ctx, c.Cost, ip)
		if refused := errors.Is(err, limit.ErrTooMany); refused != c.Shared || (shared.asked > 0) != c.Shared {
			t.Errorf("%s: %v, asked %d times", c.Name, err, shared.asked)
		}
		shared.err = errors.New("away")
		if err := b.Network(ctx, c.Cost, ip); c.Shared != errors.Is(err, shared.err) || errors.Is(err, limit.ErrTooMany) {
			t.Errorf("%s without the store: %v", c.Name, err)
		}
		here := &refusing{}
		shared.asked = 0
		b = limit.NewBudget(here, shared, func() time.Time { return noon })
		if err := errors.Join(b.Network(ctx, c.Cost, ip), b.Principal(ctx, c.Cost, "ID1")); !errors.Is(err, limit.ErrTooMany) || shared.asked > 0 {
			t.Errorf("%s: refused here with %v, and asked the shared store %d times", c.Name, err, shared.asked)
		}
	}
	if err := (*limit.Budget)(nil).Network(ctx, limit.Hash, ip); err != nil {
		t.Errorf("no budget: %v", err)
	}
}

func TestNetwork(t *testing.T) {
	for ip, want := range map[string][2]string{
		"192.0.2.1":            {"192.0.2.1/32", "192.0.2.0/24"},
		"::ffff:192.0.2.1":     {"192.0.2.1/32", "192.0.2.0/24"},
		"2001:db8:1:2:3::4":    {"2001:db8:1:2::/64", "2001:db8:1::/48"},
		"2001:db8:1:2:ffff::":  {"2001:db8:1:2::/64", "2001:db8:1::/48"},
		"fe80:0:0:1::5%eth0":   {"fe80:0:0:1::/64", "fe80::/48"},
		"2001:db8:1:3::1":      {"2001:db8:1:3::/64", "2001:db8:1::/48"},
		"2001:db8:1:2:3:4:5:6": {"2001:db8:1:2::/64", "2001:db8:1::/48"},
	} {
		a := netip.MustParseAddr(ip)
		if got := [2]string{limit.Network(a), limit.WideNetwork(a)}; got != want {
			t.Errorf("%s: %s, want %s", ip, got, want)
		}
	}
	if got := limit.Network(netip.Addr{}) + limit.WideNetwork(netip.Addr{}); got != "nowherenowhere" {
		t.Errorf("no address: %s", got)
	}
}

// The price of counting a warm read: two buckets by network, one by principal.
func BenchmarkBudgetRead(b *testing.B) {
	m := limit.NewBudget(new(limit.Memory), nil, nil)
	ip := netip.MustParseAddr("192.0.2.1")
	b.ReportAllocs()
	for b.Loop() {
		_ = m.Network(b.Context(), limit.Read, ip)
		_ = m.Principal(b.Context(), limit.Read, "ID0123456789")
	}
}
