package policy_test

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"runtime"
	"testing"
	"time"

	"barong/policy"
	"barong/policy/defaults"
)

// loaded is a snapshot of n permissions, n restrictions and the shipped route rules, with
// questions for it that hit and miss.
type loaded struct {
	*policy.Snapshot
	ips   []netip.Addr
	paths []string
}

func load(t testing.TB, n int) loaded {
	t.Helper()
	var c chooser = rand.New(rand.NewPCG(3, 4)).IntN
	rows := large(c, n)
	rows.Cuts = []policy.Cut{{Scope: "ip_subnet", Value: "1.0.0.0/8", At: moment(1)}, {Scope: "country", Value: "GB", At: moment(2)}}
	rows.Restrictions = append(rows.Restrictions, restriction(1<<40, "blacklist", "country", "UA", 423))
	file, _ := defaults.File("authz_rules")
	rules, err := policy.ParseRules(file)
	if err != nil {
		t.Fatal(err)
	}
	s, _ := policy.Compile(rows, rules, located(openGeo(t)))
	l := loaded{Snapshot: s}
	for range 1024 {
		l.ips = append(l.ips, randomIP(c))
		l.paths = append(l.paths, rows.Permissions[c(n)].Path+"/x")
	}
	l.ips = append(l.ips, netip.MustParseAddr(london), netip.MustParseAddr(kyiv))
	return l
}

// decide asks the questions of one decision.
func (l loaded) decide(i int) bool {
	ip, path := l.ips[i%len(l.ips)], l.paths[i%len(l.paths)]
	d := l.Restricted(ip, "GET", path)
	r := l.Route(path)
	p := l.Permission("member", "GET", path)
	return d == nil && l.Component(path) && r == policy.Neither && p.Allows
}

func TestQuestionsDoNotAllocate(t *testing.T) {
	if raceDetector {
		return
	}
	l := load(t, 2000)
	gb := netip.MustParseAddr("::ffff:" + london)
	created := time.Unix(0, 0)
	for _, ip := range l.ips { // every place is decoded once
		l.Country(ip)
	}
	for name, question := range map[string]func(i int){
		"Restricted": func(i int) { l.Restricted(l.ips[i%len(l.ips)], "POST", "api/v2/barong/identity/sessions") },
		"Component":  func(i int) { l.Component(l.paths[i%len(l.paths)]) },
		"Route":      func(i int) { l.Route(l.paths[i%len(l.paths)]) },
		"Permission": func(i int) { l.Permission("member", "GET", l.paths[i%len(l.paths)]) },
		"Cuts":       func(int) { l.Cuts() },
		"CutOff":     func(i int) { l.CutOff(l.ips[i%len(l.ips)], created) },
		"Country":    func(int) { l.Country(gb) },
		"Fold":       func(i int) { policy.Fold(l.paths[i%len(l.paths)]) },
		"canonical":  func(int) { _, _ = policy.CanonicalPattern("api/v2/barong/admin/engine*") },
	} {
		i := 0
		if got := testing.AllocsPerRun(3000, func() { question(i); i++ }); got != 0 {
			t.Errorf("%s: got %v allocations, want 0", name, got)
		}
	}
}

func BenchmarkDecide(b *testing.B) {
	for _, n := range []int{100, 10_000, 100_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			l := load(b, n)
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				l.decide(i)
			}
		})
	}
}

func BenchmarkPermission(b *testing.B) {
	for _, n := range []int{100, 10_000, 100_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			l := load(b, n)
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				l.Permission("member", "GET", l.paths[i%len(l.paths)])
			}
		})
	}
}

func BenchmarkRestricted(b *testing.B) {
	for _, n := range []int{100, 10_000, 100_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			l := load(b, n)
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				l.Restricted(l.ips[i%len(l.ips)], "GET", "api/v2")
			}
		})
	}
}

func BenchmarkCompile(b *testing.B) {
	for _, n := range []int{100, 10_000, 100_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			rows := large(rand.New(rand.NewPCG(3, 4)).IntN, n)
			b.ReportAllocs()
			var s *policy.Snapshot
			for b.Loop() {
				s, _ = policy.Compile(rows, policy.RouteRules{}, shipped())
			}
			b.ReportMetric(float64(held(rows, &s))/1e6, "MB-held")
		})
	}
}

// held is how much memory a snapshot keeps.
func held(rows policy.Rows, s **policy.Snapshot) uint64 {
	var before, after runtime.MemStats
	*s = nil
	runtime.GC()
	runtime.ReadMemStats(&before)
	*s, _ = policy.Compile(rows, policy.RouteRules{}, shipped())
	runtime.GC()
	runtime.ReadMemStats(&after)
	runtime.KeepAlive(*s)
	runtime.KeepAlive(rows)
	return after.HeapAlloc - before.HeapAlloc
}

func BenchmarkGeo(b *testing.B) {
	g := openGeo(b)
	ip := netip.MustParseAddr(london)
	b.ReportAllocs()
	for b.Loop() {
		g.Lookup(ip)
	}
}
