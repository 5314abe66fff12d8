package policy_test

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"barong/policy"
)

// words is where random rows and questions come from: few and alike, so that they meet.
var words = struct {
	pieces, stars, roles, verbs, actions, methods, topics, components []string
	ips, nets, scopes, categories, countries, continents, keyScopes   []string
}{
	keyScopes: []string{"read", "trade", "withdraw"},

	pieces: []string{"api/v2", "/", "/", "/", "api", "v2", "barong", "auth", "admin", "identity", "ad",
		"peatio", "foo", "foobar", "Foo", "PEATIO", "Admin", "a", ".", ".json", "-", "_", "~", "x", "%61", "é", "..", ";"},
	stars:   []string{"", "", "", "*", "/*", "/"},
	roles:   []string{"admin", "member", "Admin"},
	verbs:   []string{"GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "ALL", "get", "TRACE"},
	actions: []string{"ACCEPT", "ACCEPT", "DROP", "AUDIT", "accept", "OTHER"},
	methods: []string{"GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "TRACE", "get", ""},
	topics:  []string{"", "", "t1", "t2", "t3"},
	components: []string{"*", "barong", "peatio", "admin", "foo", "/api", "/foo", "",
		"ad", "barong", "peatio"},
	ips: []string{"1.2.3.4", "1.2.3.5", "1.2.4.1", "9.9.9.9", "::ffff:1.2.3.4", "2001:db8::1", "2001:db8:1::1",
		"::", "0.0.0.0", "255.255.255.255", "fe80::1%eth0", london, tokyo, kyiv, "::ffff:" + london},
	nets: []string{"0.0.0.0/0", "1.0.0.0/8", "1.2.0.0/16", "1.2.3.0/24", "1.2.3.4/32", "1.2.3.4/31", "1.2.3.9/28",
		"::/0", "2001:db8::/32", "2001:db8::1/128", "2001:db8::/48", "::ffff:1.2.3.0/120", "::ffff:0:0/96",
		"::ffff:1.2.3.4/24", "300.1.1.0/24", "1.2.3.4", "196.0.0.0/8"},
	scopes:     []string{"all", "ip", "ip", "ip_subnet", "ip_subnet", "ip_subnet", "country", "continent", "planet"},
	categories: []string{"whitelist", "maintenance", "blacklist", "blacklist", "blocklogin", "greylist"},
	countries:  []string{"GB", "gbr", "United Kingdom", "JP", "Japan", "UA", "Atlantis"},
	continents: []string{"EU", "europe", "AS", "Nowhere"},
}

// chooser is the randomness: rapid's in properties, a seeded generator for large tables.
type chooser func(n int) int

func (c chooser) of(list []string) string { return list[c(len(list))] }

func (c chooser) path() string {
	var b strings.Builder
	if c(4) > 0 {
		b.WriteString("api/v2/")
	}
	for range c(6) {
		b.WriteString(c.of(words.pieces))
	}
	return b.String()
}

// canonical is a path as it reaches the policy.
func (c chooser) canonical() string {
	for {
		p, err := policy.CanonicalPattern(c.path())
		if err != nil {
			continue
		}
		p, _ = policy.Fold(p)
		return p
	}
}

func (c chooser) restriction(id int64) policy.Restriction {
	r := policy.Restriction{ID: id, Category: c.of(words.categories), Scope: c.of(words.scopes),
		State: policy.Enabled, Code: 399 + c(103)}
	if c(8) == 0 {
		r.State = policy.Disabled
	}
	r.Value = c.value(r.Scope)
	return r
}

func (c chooser) value(scope string) string {
	switch scope {
	case "ip":
		return c.of(words.ips)
	case "ip_subnet":
		return c.of(words.nets)
	case "country":
		return c.of(words.countries)
	case "continent":
		return c.of(words.continents)
	}
	return "all"
}

func (c chooser) permission(id int64) policy.Permission {
	return policy.Permission{ID: id, Role: c.of(words.roles), Verb: c.of(words.verbs),
		Action: c.of(words.actions), Path: c.path() + c.of(words.stars), Topic: c.of(words.topics)}
}

func moment(n int) time.Time { return time.Unix(1_800_000_000+int64(n), 0) }

// policyOf makes up a whole policy of up to n rows of each kind.
func (c chooser) policyOf(n int) policy.Naive {
	var p policy.Naive
	p.Rows.At.Seq = int64(c(100))
	for range c(n + 1) {
		p.Rows.Restrictions = append(p.Rows.Restrictions, c.restriction(int64(c(50))))
	}
	// Ties between equal ids have no answer in the rules.
	for i := range p.Rows.Restrictions {
		p.Rows.Restrictions[i].ID = p.Rows.Restrictions[i].ID*100 + int64(i)
	}
	for i := range c(n + 1) {
		row := c.permission(int64(c(50)*100 + i))
		if i > 0 && c(3) == 0 { // several rows about one path
			row.Path = p.Rows.Permissions[c(i)].Path
		}
		p.Rows.Permissions = append(p.Rows.Permissions, row)
	}
	for range c(min(n, 5) + 1) {
		scope := c.of(words.scopes)
		p.Rows.Cuts = append(p.Rows.Cuts, policy.Cut{Scope: scope, Value: c.value(scope), At: moment(c(5))})
	}
	for range c(min(n, 6) + 1) {
		p.Rules.Pass = append(p.Rules.Pass, c.path()+c.of(words.stars))
	}
	for range c(min(n, 3) + 1) {
		p.Rules.Block = append(p.Rules.Block, c.path()+c.of(words.stars))
	}
	p.Rules.Scopes = map[string][]policy.Endpoint{}
	for range c(min(n, 6) + 1) {
		name := c.of(words.keyScopes)
		p.Rules.Scopes[name] = append(p.Rules.Scopes[name],
			policy.Endpoint{Verb: strings.ToUpper(c.of(words.verbs)), Path: c.path() + c.of(words.stars)})
	}
	if c(4) == 0 {
		p.Options.Matching = policy.MatchPrefix
	}
	if c(4) > 0 {
		p.Options.Geo = earth()
	}
	p.Options.Components = shipped().Components
	if c(2) == 0 {
		p.Options.Components = []string{c.of(words.components), c.of(words.components)}
	}
	return p
}

// ask puts one random question to both and reports where they differ.
func (c chooser) ask(s *policy.Snapshot, n policy.Naive) error {
	var ip netip.Addr
	if c(10) > 0 {
		ip = netip.MustParseAddr(c.of(words.ips))
	}
	method, path := c.of(words.methods), c.canonical()
	rows := n.Rows.Permissions
	for _, name := range words.keyScopes {
		for _, e := range n.Rules.Scopes[name] {
			rows = append(rows[:len(rows):len(rows)], policy.Permission{Path: e.Path})
		}
	}
	if len(rows) > 0 && c(2) == 0 {
		// Near a row: its own path and something after it.
		p := strings.TrimSuffix(rows[c(len(rows))].Path, "*") + c.of([]string{"", "/", ".", "-", "x", "/x", "~/"})
		if p, err := policy.CanonicalPattern(p); err == nil {
			path, _ = policy.Fold(p)
		}
		if c(2) == 0 { // in another case
			from := c(len(path) + 1)
			path = path[:from] + strings.ToUpper(path[from:])
			path, _ = policy.Fold(path)
		}
	}
	bare := path
	switch c(4) {
	case 0:
		bare, method = "api/v2/barong/identity/sessions", "POST"
	case 1:
		bare = "api/v2/barong/identity/users/access"
	}
	got, want := s.Restricted(ip, method, bare), n.Restricted(ip, method, bare)
	if (got == nil) != (want == nil) || got != nil && *got != *want {
		return fmt.Errorf("Restricted(%s, %q, %q): compiled %+v, naive %+v", ip, method, bare, got, want)
	}
	if got, want := s.Component(path), n.Component(path); got != want {
		return fmt.Errorf("Component(%q): compiled %v, naive %v", path, got, want)
	}
	if got, want := s.Route(path), n.Route(path); got != want {
		return fmt.Errorf("Route(%q): compiled %s, naive %s", path, got, want)
	}
	for _, role := range words.roles {
		if got, want := s.Permission(role, method, path), n.Permission(role, method, path); got != want {
			return fmt.Errorf("Permission(%s, %q, %q): compiled %+v, naive %+v", role, method, path, got, want)
		}
	}
	if got, want := s.BlocksLogin(ip), n.BlocksLogin(ip); got != want {
		return fmt.Errorf("BlocksLogin(%s): compiled %v, naive %v", ip, got, want)
	}
	for _, scopes := range [][]string{nil, {"read"}, {"trade", "withdraw"}, {"unknown", "read"}} {
		if got, want := s.Scoped(scopes, method, path), n.Scoped(scopes, method, path); got != want {
			return fmt.Errorf("Scoped(%q, %q, %q): compiled %v, naive %v", scopes, method, path, got, want)
		}
	}
	created := moment(c(6) - 1)
	if got, want := s.CutOff(ip, created), n.CutOff(ip, created); got != want {
		return fmt.Errorf("CutOff(%s, %s): compiled %v, naive %v", ip, created, got, want)
	}
	if got, want := s.Country(ip), n.Country(ip); got != want {
		return fmt.Errorf("Country(%s): compiled %q, naive %q", ip, got, want)
	}
	return nil
}

func TestCompiledAgreesWithNaive(t *testing.T) {
	for name, size := range map[string]int{"one row of each kind": 1, "a few rows": 4, "twenty rows": 20} {
		// Each run of rapid is 100 policies.
		for i := range 10 {
			t.Run(fmt.Sprint(name, " ", i), rapid.MakeCheck(func(t *rapid.T) { agree(t, size) }))
		}
	}
}

func FuzzCompiledAgreesWithNaive(f *testing.F) {
	f.Fuzz(rapid.MakeFuzz(func(t *rapid.T) { agree(t, 6) }))
}

func agree(t *rapid.T, size int) {
	var c chooser = func(n int) int { return rapid.IntRange(0, n-1).Draw(t, "n") }
	n := c.policyOf(size)
	s, _ := policy.Compile(n.Rows, n.Rules, n.Options)
	for range 8 {
		if err := c.ask(s, n); err != nil {
			t.Fatalf("%v\nrows: %+v\nrules: %+v\noptions: %+v", err, n.Rows, n.Rules, n.Options)
		}
	}
}

// TestCompiledAgreesWithNaiveAtSize has tables as large as design section 7 asks for.
func TestCompiledAgreesWithNaiveAtSize(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	var c chooser = r.IntN
	n := policy.Naive{Rows: large(c, 100_000), Options: located(earth())}
	s, _ := policy.Compile(n.Rows, n.Rules, n.Options)
	questions := 100
	if raceDetector {
		questions = 4
	}
	hits, permits := 0, 0
	for range questions {
		x := n.Rows.Restrictions[c(len(n.Rows.Restrictions))]
		ip := randomIP(c)
		if x.Scope == "ip" {
			ip = netip.MustParseAddr(x.Value)
		}
		got, want := s.Restricted(ip, "GET", "api/v2"), n.Restricted(ip, "GET", "api/v2")
		if (got == nil) != (want == nil) || got != nil && *got != *want {
			t.Errorf("Restricted(%s): compiled %+v, naive %+v", ip, got, want)
		}
		if got != nil {
			hits++
		}
		p := n.Rows.Permissions[c(len(n.Rows.Permissions))]
		path := strings.TrimSuffix(p.Path, "*") + []string{"", "/x", ".json", "x"}[c(4)]
		method := words.methods[c(7)]
		if got, want := s.Permission(p.Role, method, path), n.Permission(p.Role, method, path); got != want {
			t.Errorf("Permission(%s, %s, %s): compiled %+v, naive %+v", p.Role, method, path, got, want)
		} else if got.Allows {
			permits++
		}
	}
	if !raceDetector && (hits < 5 || permits < 5) {
		t.Errorf("got %d denials and %d permits of %d, too few to mean anything", hits, permits, questions)
	}
}

// large is a policy of n permissions and n restrictions, spread over roles, components and the
// address space, with prefixes in one another.
func large(c chooser, n int) policy.Rows {
	var rows policy.Rows
	components := shipped().Components
	actions := []string{"ACCEPT", "ACCEPT", "ACCEPT", "ACCEPT", "DROP", "AUDIT"}
	for i := range n {
		p := policy.Permission{ID: int64(i + 1), Role: words.roles[c(2)], Action: actions[c(len(actions))],
			Verb: words.verbs[c(8)], Topic: words.topics[c(len(words.topics))],
			Path: fmt.Sprintf("api/v2/%s/s%d/r%d", components[c(len(components))], c(1+n/50), c(100))}
		if c(200) == 0 {
			p.Path += "*"
		}
		rows.Permissions = append(rows.Permissions, p)
		r := policy.Restriction{ID: int64(i + 1), State: policy.Enabled, Scope: "ip", Code: 400 + c(100),
			Category: words.categories[c(5)], Value: randomIP(c).String()}
		if r.Category == "whitelist" {
			r.Category = "blacklist"
		}
		if c(2) == 0 {
			ip := randomIP(c)
			bits := 12 + c(20)
			if ip.Is6() {
				bits = 20 + c(100)
			}
			r.Scope, r.Value = "ip_subnet", netip.PrefixFrom(ip, bits).Masked().String()
		}
		rows.Restrictions = append(rows.Restrictions, r)
	}
	return rows
}

func randomIP(c chooser) netip.Addr {
	if c(4) == 0 {
		a := [16]byte{0x20, 0x01, byte(c(4))}
		for i := 3; i < 16; i++ {
			a[i] = byte(c(256))
		}
		return netip.AddrFrom16(a)
	}
	return netip.AddrFrom4([4]byte{byte(1 + c(200)), byte(c(256)), byte(c(256)), byte(c(256))})
}

func TestRowsInAnyOrder(t *testing.T) {
	rows := policy.Rows{Permissions: grants("AUDIT GET api/v2 first", "AUDIT GET api/v2/ second", "ACCEPT GET api/v2")}
	slices.Reverse(rows.Permissions)
	before := slices.Clone(rows.Permissions)
	s := compile(t, rows, policy.RouteRules{}, shipped())
	if got := s.Permission("r", "GET", "api/v2/x").Topic; got != "first" {
		t.Errorf("FX-52: got topic %q, want first", got)
	}
	if !slices.Equal(rows.Permissions, before) {
		t.Error("Compile changed the order of its argument")
	}
}
