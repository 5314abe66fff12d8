package policy_test

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"barong/internal/feed"
	"barong/policy"
)

func restriction(id int64, category, scope, value string, code int) policy.Restriction {
	return policy.Restriction{ID: id, Category: category, Scope: scope, Value: value, Code: code,
		State: policy.Enabled}
}

func TestRestricted(t *testing.T) {
	const any = "api/v2/peatio/public/markets"
	const signIn = "api/v2/barong/identity/sessions"
	type rows = []policy.Restriction
	off := restriction(1, "blacklist", "all", "all", 401)
	off.State = policy.Disabled
	for name, test := range map[string]struct {
		rows         rows
		ip           string // default 1.2.3.4
		method, bare string // default GET any
		want         string // "status reason id"
	}{
		"no rows": {},
		"AZ-41: a disabled row takes no part": {
			rows: rows{off}},
		"AZ-47: a blacklist denies with its code": {
			rows: rows{restriction(7, "blacklist", "ip", "1.2.3.4", 433)},
			want: "433 authz.restrict.blacklist 7"},
		"AZ-47: maintenance denies with its code": {
			rows: rows{restriction(7, "maintenance", "all", "all", 471)},
			want: "471 authz.restrict.maintenance 7"},
		"AZ-40: maintenance comes before blacklist": {
			rows: rows{restriction(1, "blacklist", "all", "all", 401), restriction(2, "maintenance", "ip_subnet", "1.0.0.0/8", 471)},
			want: "471 authz.restrict.maintenance 2"},
		"AZ-46: a whitelist hit ends it all": {
			rows: rows{restriction(1, "blacklist", "all", "all", 401), restriction(2, "maintenance", "all", "all", 471), restriction(3, "whitelist", "ip", "1.2.3.4", 401)}},
		"AZ-46: a whitelist does not refuse others": {
			rows: rows{restriction(3, "whitelist", "ip", "4.3.2.1", 401)}},
		"AZ-43: the whitelink path is exempt": {
			rows: rows{restriction(1, "blacklist", "all", "all", 401)}, method: "POST", bare: "api/v2/barong/identity/users/access"},
		"AZ-43: what is below it is not": {
			rows: rows{restriction(1, "blacklist", "all", "all", 401)}, method: "POST", bare: "api/v2/barong/identity/users/access/x",
			want: "401 authz.restrict.blacklist 1"},
		"D6: all before ip, whatever the ids": {
			rows: rows{restriction(1, "blacklist", "ip", "1.2.3.4", 411), restriction(2, "blacklist", "all", "all", 412)},
			want: "412 authz.restrict.blacklist 2"},
		"D6: ip before subnet": {
			rows: rows{restriction(1, "blacklist", "ip_subnet", "1.2.3.4/32", 411), restriction(2, "blacklist", "ip", "1.2.3.4", 412)},
			want: "412 authz.restrict.blacklist 2"},
		"D6: subnet before country": {
			rows: rows{restriction(1, "blacklist", "country", "GB", 411), restriction(2, "blacklist", "ip_subnet", "196.0.0.0/8", 412)},
			ip:   london, want: "412 authz.restrict.blacklist 2"},
		"D6, T-NEW-10: country before continent": {
			rows: rows{restriction(1, "blacklist", "continent", "EU", 411), restriction(2, "blacklist", "country", "GB", 412)},
			ip:   london, want: "412 authz.restrict.blacklist 2"},
		"AZ-45: of nested subnets the lowest id wins, not the longest": {
			rows: rows{restriction(1, "blacklist", "ip_subnet", "1.2.0.0/16", 411), restriction(2, "blacklist", "ip_subnet", "1.0.0.0/8", 412), restriction(3, "blacklist", "ip_subnet", "1.2.3.0/24", 413)},
			want: "411 authz.restrict.blacklist 1"},
		"AZ-45: the outermost may have the lowest id": {
			rows: rows{restriction(1, "blacklist", "ip_subnet", "0.0.0.0/0", 411), restriction(2, "blacklist", "ip_subnet", "1.2.3.0/24", 412)},
			want: "411 authz.restrict.blacklist 1"},
		"AZ-45: a longer prefix wins with a lower id": {
			rows: rows{restriction(5, "blacklist", "ip_subnet", "1.0.0.0/8", 411), restriction(4, "blacklist", "ip_subnet", "1.2.3.0/24", 412)},
			want: "412 authz.restrict.blacklist 4"},
		"AZ-45: of equal rows the lowest id wins": {
			rows: rows{restriction(9, "blacklist", "country", "GB", 411), restriction(8, "blacklist", "country", "GBR", 412)},
			ip:   london, want: "412 authz.restrict.blacklist 8"},
		"T-RES-6: inside a subnet": {
			rows: rows{restriction(1, "blacklist", "ip_subnet", "192.168.32.0/24", 403)}, ip: "192.168.32.42",
			want: "403 authz.restrict.blacklist 1"},
		"T-RES-7: outside a subnet": {
			rows: rows{restriction(1, "blacklist", "ip_subnet", "192.168.32.0/24", 403)}, ip: "192.168.33.3"},
		"T-RES-10: a continent by name": {
			rows: rows{restriction(1, "blacklist", "continent", "EUROPE", 423)}, ip: london,
			want: "423 authz.restrict.blacklist 1"},
		"T-RES-11: another continent": {
			rows: rows{restriction(1, "blacklist", "continent", "EUROPE", 423)}, ip: tokyo},
		"AZ-56: an address that is nowhere": {
			rows: rows{restriction(1, "blacklist", "continent", "EUROPE", 423), restriction(2, "blacklist", "country", "GB", 423)}},
		"D6: geo rules cover IPv6": {
			rows: rows{restriction(1, "blacklist", "country", "Ukraine", 423)}, ip: kyiv,
			want: "423 authz.restrict.blacklist 1"},
		"FX-22: IPv6 subnets": {
			rows: rows{restriction(1, "blacklist", "ip_subnet", "2a02::/16", 403)}, ip: kyiv,
			want: "403 authz.restrict.blacklist 1"},
		"FX-57: a v4-mapped client is IPv4": {
			rows: rows{restriction(1, "blacklist", "ip", "1.2.3.4", 401)}, ip: "::ffff:1.2.3.4",
			want: "401 authz.restrict.blacklist 1"},
		"FX-57: a v4-mapped row is IPv4": {
			rows: rows{restriction(1, "blacklist", "ip_subnet", "::ffff:1.2.3.0/120", 403)},
			want: "403 authz.restrict.blacklist 1"},
		"AZ-44: an IPv4 client is in no IPv6 subnet": {
			rows: rows{restriction(1, "blacklist", "ip_subnet", "::/0", 403)}},
		"an address with a zone is the address": {
			rows: rows{restriction(1, "blacklist", "ip", "fe80::1", 401)}, ip: "fe80::1%eth0",
			want: "401 authz.restrict.blacklist 1"},
		"an unknown address is matched by all only": {
			rows: rows{restriction(1, "blacklist", "ip_subnet", "0.0.0.0/0", 401), restriction(2, "maintenance", "all", "all", 471)}, ip: "invalid",
			want: "471 authz.restrict.maintenance 2"},
		"FX-24: blocklogin refuses signing in": {
			rows: rows{restriction(1, "blocklogin", "all", "all", 401)}, method: "POST", bare: signIn,
			want: "401 authz.restrict.blocklogin 1"},
		"T-RES-1: blocklogin by continent with its own code": {
			rows: rows{restriction(1, "blocklogin", "continent", "EUROPE", 425)}, ip: london, method: "POST", bare: signIn,
			want: "425 authz.restrict.blocklogin 1"},
		"FX-24: signing in by auth0": {
			rows: rows{restriction(1, "blocklogin", "all", "all", 401)}, method: "POST", bare: signIn + "/auth0",
			want: "401 authz.restrict.blocklogin 1"},
		"FX-24: signing up": {
			rows: rows{restriction(1, "blocklogin", "all", "all", 401)}, method: "POST", bare: "api/v2/barong/identity/users",
			want: "401 authz.restrict.blocklogin 1"},
		"FX-24: confirming the mail": {
			rows: rows{restriction(1, "blocklogin", "all", "all", 401)}, method: "POST", bare: "api/v2/barong/identity/users/email/confirm_code",
			want: "401 authz.restrict.blocklogin 1"},
		"FX-24: signing out goes on": {
			rows: rows{restriction(1, "blocklogin", "all", "all", 401)}, method: "DELETE", bare: signIn},
		"AZ-48: blocklogin leaves other paths alone": {
			rows: rows{restriction(1, "blocklogin", "all", "all", 401)}, method: "POST"},
		"AZ-48: paths below are other paths": {
			rows: rows{restriction(1, "blocklogin", "all", "all", 401)}, method: "POST", bare: signIn + "/x"},
	} {
		t.Run(name, func(t *testing.T) {
			r := policy.Rows{Restrictions: test.rows}
			o := located(earth())
			ip := netip.MustParseAddr("1.2.3.4")
			if test.ip == "invalid" {
				ip = netip.Addr{}
			} else if test.ip != "" {
				ip = netip.MustParseAddr(test.ip)
			}
			method, bare := test.method, test.bare
			if method == "" {
				method = "GET"
			}
			if bare == "" {
				bare = any
			}
			for who, e := range map[string]evaluator{
				"snapshot": compile(t, r, policy.RouteRules{}, o),
				"naive":    policy.Naive{Rows: r, Options: o},
			} {
				got := ""
				if d := e.Restricted(ip, method, bare); d != nil {
					got = fmt.Sprint(d.Status, " ", d.Reason, " ", d.ID)
				}
				if got != test.want {
					t.Errorf("%s: got %q, want %q", who, got, test.want)
				}
			}
		})
	}
}

func TestAddressesAreLocatedOnlyIfNeededAndOnce(t *testing.T) {
	gb, jp := netip.MustParseAddr(london), netip.MustParseAddr(tokyo)
	for name, test := range map[string]struct {
		rows []policy.Restriction
		ip   netip.Addr
		want int
	}{
		"no geographic rule": {[]policy.Restriction{restriction(1, "blacklist", "ip_subnet", "9.0.0.0/8", 403)}, gb, 0},
		"another scope hits": {[]policy.Restriction{
			restriction(1, "blacklist", "country", "GB", 403), restriction(2, "blacklist", "ip", london, 403)}, gb, 0},
		"three categories, two scopes": {[]policy.Restriction{
			restriction(1, "whitelist", "country", "UA", 403), restriction(2, "maintenance", "continent", "SA", 471),
			restriction(3, "blacklist", "country", "US", 403), restriction(4, "blacklist", "continent", "AF", 403)}, jp, 1},
	} {
		t.Run(name, func(t *testing.T) {
			asked := 0
			geo := earth()
			geo.asked = &asked
			s := compile(t, policy.Rows{Restrictions: test.rows}, policy.RouteRules{}, located(geo))
			asked = 0
			s.Restricted(test.ip, "GET", "api/v2")
			if asked != test.want {
				t.Errorf("got %d lookups, want %d", asked, test.want)
			}
		})
	}
}

func TestBadRestrictionsAreLeftOutWithAWarning(t *testing.T) {
	ip := netip.MustParseAddr("1.2.3.4")
	var none *policy.Geo
	for name, test := range map[string]struct {
		row  policy.Restriction
		geo  policy.Locator
		warn string
		want int // status, 0 = not restricted
	}{
		"FX-22, T-NEW-12: an impossible prefix":   {row: restriction(3, "blacklist", "ip_subnet", "300.1.1.0/24", 403), warn: "restriction 3: "},
		"FX-22: an impossible address":            {row: restriction(3, "blacklist", "ip", "1.2.3", 403), warn: "restriction 3: "},
		"FX-20: an unknown country":               {row: restriction(3, "blacklist", "country", "Ruritania", 403), geo: earth(), warn: "restriction 3: "},
		"a country and no GeoIP database":         {row: restriction(3, "blacklist", "country", "GB", 403), warn: "restriction 3: never matches, there is no GeoIP database"},
		"a continent and a database that is nil":  {row: restriction(3, "blacklist", "continent", "EU", 403), geo: none, warn: "restriction 3: never matches, there is no GeoIP database"},
		"an unknown scope":                        {row: restriction(3, "blacklist", "planet", "Earth", 403), warn: "restriction 3: unknown scope"},
		"an unknown category":                     {row: restriction(3, "greylist", "all", "all", 403), warn: "restriction 3: unknown category"},
		"FX-23, T-NEW-11: code 200 is clamped":    {row: restriction(3, "blacklist", "all", "all", 200), warn: "restriction 3: code 200", want: 401},
		"FX-23, T-NEW-11: code 522 is clamped":    {row: restriction(3, "maintenance", "all", "all", 522), warn: "restriction 3: code 522", want: 471},
		"FX-23: the clamped code is by the scope": {row: restriction(3, "blacklist", "ip_subnet", "1.0.0.0/8", 0), warn: "restriction 3: code 0", want: 403},
	} {
		t.Run(name, func(t *testing.T) {
			rows := policy.Rows{Restrictions: []policy.Restriction{test.row}}
			o := located(test.geo)
			s, warnings := policy.Compile(rows, policy.RouteRules{}, o)
			if len(warnings) != 1 || !strings.HasPrefix(warnings[0].String(), test.warn) {
				t.Errorf("got warnings %v, want one that begins with %q", warnings, test.warn)
			}
			for who, e := range map[string]evaluator{"snapshot": s, "naive": policy.Naive{Rows: rows, Options: o}} {
				got := 0
				if d := e.Restricted(ip, "GET", "api/v2"); d != nil {
					got = d.Status
				}
				if got != test.want {
					t.Errorf("%s: got status %d, want %d", who, got, test.want)
				}
			}
		})
	}
}

func TestWarningsAreBounded(t *testing.T) {
	var rows policy.Rows
	for i := range int64(1000) {
		rows.Restrictions = append(rows.Restrictions, restriction(i, "blacklist", "ip", "x", 401))
	}
	_, warnings := policy.Compile(rows, policy.RouteRules{}, shipped())
	if len(warnings) != 101 || warnings[100].Problem != "900 more warnings" {
		t.Errorf("got %d warnings, the last %v", len(warnings), warnings[len(warnings)-1])
	}
}

func TestCutOff(t *testing.T) { // D11, AZ-50
	at := func(m int) time.Time { return time.Date(2026, 1, 1, 0, m, 0, 0, time.UTC) }
	cuts := []policy.Cut{
		{Scope: "ip_subnet", Value: "1.0.0.0/8", At: at(10)},
		{Scope: "ip_subnet", Value: "1.2.0.0/16", At: at(5)},
		{Scope: "ip", Value: "1.2.3.4", At: at(20)},
		{Scope: "country", Value: "GB", At: at(10)},
		{Scope: "continent", Value: "EU", At: at(15)},
	}
	rows := policy.Rows{Cuts: cuts}
	o := located(earth())
	s := compile(t, rows, policy.RouteRules{}, o)
	for name, test := range map[string]struct {
		ip      string
		created time.Time
		want    bool
	}{
		"before the cut":                         {"1.9.9.9", at(9), true},
		"at the cut":                             {"1.9.9.9", at(10), false},
		"after the cut":                          {"1.9.9.9", at(11), false},
		"a wider and later cut counts":           {"1.2.9.9", at(7), true},
		"the latest of nested cuts counts":       {"1.2.3.4", at(19), true},
		"another address":                        {"2.2.2.2", at(0), false},
		"a country":                              {london, at(9), true},
		"the continent's later cut counts":       {london, at(14), true},
		"a v4-mapped address is IPv4":            {"::ffff:1.9.9.9", at(9), true},
		"an IPv6 address":                        {kyiv, at(14), true},
		"sub-microsecond times are not rounded":  {"1.9.9.9", at(10).Add(-1), true},
		"a session without a time is older":      {"1.9.9.9", time.Time{}, true},
		"an address that is nowhere is let pass": {"9.9.9.9", time.Time{}, false},
	} {
		t.Run(name, func(t *testing.T) {
			ip := netip.MustParseAddr(test.ip)
			if got := s.CutOff(ip, test.created); got != test.want {
				t.Errorf("snapshot: got %v, want %v", got, test.want)
			}
			if got := (policy.Naive{Rows: rows, Options: o}).CutOff(ip, test.created); got != test.want {
				t.Errorf("naive: got %v, want %v", got, test.want)
			}
		})
	}

	version := func(cuts ...policy.Cut) int64 {
		s, _ := policy.Compile(policy.Rows{At: feed.Cursor{Seq: 9}, Cuts: cuts}, policy.RouteRules{}, o)
		return s.Cuts()
	}
	if got := version(); got != 0 {
		t.Errorf("Cuts without cuts: got %d, want 0", got)
	}
	a, b, swapped := version(cuts[0]), version(cuts[:2]...), version(cuts[1], cuts[0])
	if a == 0 || a == b || b != swapped {
		t.Errorf("Cuts: got %d for one, %d for two, %d for the two in another order", a, b, swapped)
	}
	later := cuts[0]
	later.At = at(11)
	if version(later) == a {
		t.Error("Cuts: a later cut has the same number")
	}
	all := compile(t, policy.Rows{Cuts: []policy.Cut{{Scope: "all", Value: "all", At: at(3)}}},
		policy.RouteRules{}, shipped())
	if !all.CutOff(netip.Addr{}, at(2)) || all.CutOff(netip.Addr{}, at(3)) {
		t.Error("a cut of scope all must end every older session and no other")
	}
}

func TestCountryName(t *testing.T) { // AZ-57
	german := located(earth())
	german.Lang = "de"
	s := compile(t, policy.Rows{}, policy.RouteRules{}, german)
	got := []string{s.Country(netip.MustParseAddr("::ffff:" + london)), s.Country(netip.MustParseAddr("9.9.9.9"))}
	if d := cmp.Diff([]string{"de:GB", ""}, got); d != "" {
		t.Errorf("Country (-want +got):\n%s", d)
	}
	if got := compile(t, policy.Rows{}, policy.RouteRules{}, shipped()).Country(netip.MustParseAddr(london)); got != "" {
		t.Errorf("Country without a database: got %q", got)
	}
}
