package policy_test

import (
	"bytes"
	"context"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"

	"github.com/maxmind/mmdbwriter"
	"github.com/maxmind/mmdbwriter/mmdbtype"

	"barong/internal/config"
	"barong/policy"
)

// evaluator is the common part of a Snapshot and its reference.
type evaluator interface {
	Version() int64
	Restricted(ip netip.Addr, method, bare string) *policy.Denial
	Component(path string) bool
	Route(path string) policy.Route
	Permission(role, method, path string) policy.Permit
	Country(ip netip.Addr) string
}

var (
	_ evaluator      = (*policy.Snapshot)(nil)
	_ evaluator      = policy.Naive{}
	_ policy.Locator = (*policy.Geo)(nil)
)

// compile builds both evaluators and fails on warnings that are not expected.
func compile(t testing.TB, rows policy.Rows, rules policy.RouteRules, o policy.Options) *policy.Snapshot {
	t.Helper()
	s, warnings := policy.Compile(rows, rules, o)
	for _, w := range warnings {
		t.Errorf("unexpected warning: %s", w)
	}
	return s
}

// world is a Locator from a map.
type world struct {
	places map[string][2]string // address → country, continent
	asked  *int
}

func (w world) Lookup(ip netip.Addr) (country, continent string, ok bool) {
	if w.asked != nil {
		*w.asked++
	}
	p, ok := w.places[ip.String()]
	return p[0], p[1], ok
}

func (w world) Name(ip netip.Addr, lang string) string {
	if p, ok := w.places[ip.String()]; ok {
		return lang + ":" + p[0]
	}
	return ""
}

// The addresses of the reference's own examples.
const (
	london = "196.245.163.202"
	tokyo  = "140.227.60.114"
	kyiv   = "2a02:2378::1"
)

func earth() world {
	return world{places: map[string][2]string{
		london: {"GB", "EU"}, tokyo: {"JP", "AS"}, kyiv: {"UA", "EU"},
	}}
}

// database writes a MaxMind country database.
func database(t testing.TB, path string, countries map[string][3]string) {
	t.Helper()
	tree, err := mmdbwriter.New(mmdbwriter.Options{
		DatabaseType: "GeoLite2-Country", Languages: []string{"en", "de"}, RecordSize: 24,
		IncludeReservedNetworks: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	for prefix, c := range countries {
		_, network, err := net.ParseCIDR(prefix)
		if err != nil {
			t.Fatal(err)
		}
		record := mmdbtype.Map{
			"continent": mmdbtype.Map{"code": mmdbtype.String(c[1])},
			"country": mmdbtype.Map{
				"iso_code": mmdbtype.String(c[0]),
				"names": mmdbtype.Map{
					"en": mmdbtype.String(c[2]), "de": mmdbtype.String("de " + c[2]),
				},
			},
		}
		if err := tree.Insert(network, record); err != nil {
			t.Fatal(err)
		}
	}
	var b bytes.Buffer
	if _, err := tree.WriteTo(&b); err != nil {
		t.Fatal(err)
	}
	// As operators do it: beside, then renamed.
	if err := os.WriteFile(path+".new", b.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
}

func atlas() map[string][3]string {
	return map[string][3]string{
		"196.245.163.0/24": {"GB", "EU", "United Kingdom"},
		"140.227.0.0/16":   {"JP", "AS", "Japan"},
		"2a02:2378::/32":   {"UA", "EU", "Ukraine"},
	}
}

func openGeo(t testing.TB) *policy.Geo {
	t.Helper()
	path := filepath.Join(t.TempDir(), "country.mmdb")
	database(t, path, atlas())
	g, err := policy.OpenGeo(path)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// shelf is a policy.Store of rows in memory that are only read.
type shelf struct {
	policy.Store
	mu     sync.Mutex
	rows   policy.Rows
	reads  int
	onRows func() error // called before every Rows
}

func (s *shelf) Rows(context.Context) (policy.Rows, error) {
	if s.onRows != nil {
		if err := s.onRows(); err != nil {
			return policy.Rows{}, err
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.reads++
	r := s.rows
	r.Permissions = slices.Clone(r.Permissions)
	r.Restrictions = slices.Clone(r.Restrictions)
	return r, nil
}

// ofPolicy are the default settings of the policy.
var ofPolicy = config.Default().Policy

// shipped are the options of the default settings.
func shipped() policy.Options {
	return policy.Options{Matching: ofPolicy.PathMatching, Components: ofPolicy.Components, Lang: ofPolicy.GeoIPLang}
}

// located are shipped ones that locate addresses by geo.
func located(geo policy.Locator) policy.Options {
	o := shipped()
	o.Geo = geo
	return o
}
