package policy_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"barong/internal/invalid"
	"barong/policy"
)

func fieldsOf(t *testing.T, err error) []string {
	t.Helper()
	bad, ok := errors.AsType[invalid.Fields](err)
	if err != nil && !ok {
		t.Fatalf("error %v is no invalid.Fields", err)
	}
	var list []string
	for _, f := range bad {
		list = append(list, f.Token())
	}
	return list
}

func TestPermissionNormalize(t *testing.T) {
	row := func(action, role, verb, path string) policy.Permission {
		return policy.Permission{Action: action, Role: role, Verb: verb, Path: path}
	}
	for name, test := range map[string]struct {
		in   policy.Permission
		want policy.Permission
		bad  []string
	}{
		"AZ-140: action and verb become upper case": {
			in: row("accept", "admin", "get", "api/v2"), want: row("ACCEPT", "admin", "GET", "api/v2")},
		"FX-55: slashes at the ends go": {
			in: row("drop", "admin", "all", "/api/v2/"), want: row("DROP", "admin", "ALL", "api/v2")},
		"FX-51: OPTIONS and HEAD are verbs": {
			in: row("audit", "a", "options", "x"), want: row("AUDIT", "a", "OPTIONS", "x")},
		"AZ-142: the case of a role is kept": {
			in: row("accept", " Admin ", "head", "x"), want: row("ACCEPT", "Admin", "HEAD", "x")},
		"a star stays": {
			in: row("accept", "a", "put", "/x*"), want: row("ACCEPT", "a", "PUT", "x*")},
		"AZ-140: all problems are told at once": {
			bad: []string{"role.blank", "verb.blank", "path.blank", "action.blank"}},
		"FX-51: TRACE is no verb":           {in: row("drop", "a", "TRACE", "x"), bad: []string{"verb.invalid"}},
		"A38: all is no action":             {in: row("all", "a", "get", "x"), bad: []string{"action.invalid"}},
		"FX-55: a double slash is refused":  {in: row("drop", "a", "get", "x//y"), bad: []string{"path.invalid"}},
		"FX-55: an encoding is refused":     {in: row("drop", "a", "get", "%61"), bad: []string{"path.invalid"}},
		"FX-55: a dot segment is refused":   {in: row("drop", "a", "get", "a/../b"), bad: []string{"path.invalid"}},
		"long texts are refused, not cut":   {in: row("drop", strings.Repeat("r", 256), "get", strings.Repeat("p", 256)), bad: []string{"role.too_long", "path.too_long"}},
		"FX-55: slashes alone are no path":  {in: row("drop", "a", "get", "//"), bad: []string{"path.blank"}},
		"a lower-case percent is not kept":  {in: row("drop", "a", "get", "caf%c3%a9"), bad: []string{"path.invalid"}},
		"an upper-case percent is accepted": {in: row("drop", "a", "get", "caf%C3%A9"), want: row("DROP", "a", "GET", "caf%C3%A9")},
	} {
		t.Run(name, func(t *testing.T) {
			got := test.in
			bad := fieldsOf(t, got.Normalize())
			if !slices.Equal(bad, test.bad) {
				t.Fatalf("got problems %v, want %v", bad, test.bad)
			}
			if d := cmp.Diff(test.want, got); bad == nil && d != "" {
				t.Errorf("row (-want +got):\n%s", d)
			}
		})
	}
}

func TestRestrictionNormalize(t *testing.T) {
	row := func(category, scope, value string, code int, state string) policy.Restriction {
		return policy.Restriction{Category: category, Scope: scope, Value: value, Code: code, State: state}
	}
	for name, test := range map[string]struct {
		in, want policy.Restriction
		bad      []string
	}{
		"T-RST-2: an address": {
			in: row("blacklist", "ip", "127.0.0.1", 433, "enabled"), want: row("blacklist", "ip", "127.0.0.1", 433, "enabled")},
		"T-RST-2: letters are no address":    {in: row("blacklist", "ip", "abc.0.0.1", 0, ""), bad: []string{"value.invalid"}},
		"T-RST-2: a prefix is no address":    {in: row("blacklist", "ip", "127.0.0.1/24", 0, ""), bad: []string{"value.invalid"}},
		"FX-22: octets are checked":          {in: row("blacklist", "ip_subnet", "300.1.1.0/24", 0, ""), bad: []string{"value.invalid"}},
		"T-RST-3: a prefix loses host bits":  {in: row("blacklist", "ip_subnet", "127.0.0.1/24", 0, ""), want: row("blacklist", "ip_subnet", "127.0.0.0/24", 403, "enabled")},
		"T-RST-3: bits must be a number":     {in: row("blacklist", "ip_subnet", "127.0.0.1/one", 0, ""), bad: []string{"value.invalid"}},
		"T-RST-3: an address is no prefix":   {in: row("blacklist", "ip_subnet", "127.0.0.1", 0, ""), bad: []string{"value.invalid"}},
		"FX-22: IPv6 addresses":              {in: row("blacklist", "ip", "2001:DB8:0::1", 0, ""), want: row("blacklist", "ip", "2001:db8::1", 401, "enabled")},
		"FX-22: IPv6 prefixes":               {in: row("blacklist", "ip_subnet", "2001:db8::1/32", 0, ""), want: row("blacklist", "ip_subnet", "2001:db8::/32", 403, "enabled")},
		"FX-57: a v4-mapped address folds":   {in: row("blacklist", "ip", "::ffff:1.2.3.4", 0, ""), want: row("blacklist", "ip", "1.2.3.4", 401, "enabled")},
		"FX-57: a v4-mapped prefix folds":    {in: row("blacklist", "ip_subnet", "::ffff:1.2.3.4/120", 0, ""), want: row("blacklist", "ip_subnet", "1.2.3.0/24", 403, "enabled")},
		"a mapped prefix with IPv4's length": {in: row("blacklist", "ip_subnet", "::ffff:1.2.3.4/24", 0, ""), bad: []string{"value.invalid"}},
		"a zone is refused":                  {in: row("blacklist", "ip", "fe80::1%eth0", 0, ""), bad: []string{"value.invalid"}},
		"D6: a country by alpha-2":           {in: row("blacklist", "country", "ua", 0, ""), want: row("blacklist", "country", "UA", 423, "enabled")},
		"D6: a country by alpha-3":           {in: row("blacklist", "country", "USA", 435, "disabled"), want: row("blacklist", "country", "US", 435, "disabled")},
		"D6: a country by name":              {in: row("blacklist", "country", "united kingdom", 0, ""), want: row("blacklist", "country", "GB", 423, "enabled")},
		"D6: a continent by code":            {in: row("blocklogin", "continent", "sa", 0, ""), want: row("blocklogin", "continent", "SA", 423, "enabled")},
		"T-RES-1: a continent by name":       {in: row("blocklogin", "continent", "EUROPE", 425, ""), want: row("blocklogin", "continent", "EU", 425, "enabled")},
		"FX-20: an unknown country":          {in: row("blacklist", "country", "Atlantis", 0, ""), bad: []string{"value.invalid"}},
		"FX-20: a continent is no country":   {in: row("blacklist", "country", "EU", 0, ""), bad: []string{"value.invalid"}},
		"FX-20: a country is no continent":   {in: row("blacklist", "continent", "UA", 0, ""), bad: []string{"value.invalid"}},
		"AZ-49: maintenance is 471":          {in: row("maintenance", "continent", "EU", 0, ""), want: row("maintenance", "continent", "EU", 471, "enabled")},
		"AZ-49: all is 401":                  {in: row("blocklogin", "all", "all", 0, ""), want: row("blocklogin", "all", "all", 401, "enabled")},
		"AZ-49: a whitelist's code is by rule": {
			in: row("whitelist", "ip_subnet", "10.0.0.0/8", 444, ""), want: row("whitelist", "ip_subnet", "10.0.0.0/8", 403, "enabled")},
		"AZ-42: scope and category lists":     {in: row("allow", "planet", "x", 0, "running"), bad: []string{"category.invalid", "scope.invalid", "state.invalid"}},
		"AZ-42: required fields":              {in: policy.Restriction{}, bad: []string{"category.blank", "scope.blank", "value.blank"}},
		"FX-23: 200 is refused":               {in: row("blacklist", "all", "all", 200, ""), bad: []string{"code.invalid"}},
		"FX-23: 522 is refused":               {in: row("blacklist", "all", "all", 522, ""), bad: []string{"code.invalid"}},
		"FX-23: the bounds are accepted":      {in: row("blacklist", "all", "all", 499, ""), want: row("blacklist", "all", "all", 499, "enabled")},
		"values over 64 bytes are refused":    {in: row("blacklist", "all", strings.Repeat("x", 65), 0, ""), bad: []string{"value.too_long"}},
		"words may be in any case":            {in: row("BlackList", "ALL", "all", 0, "Disabled"), want: row("blacklist", "all", "all", 401, "disabled")},
		"a leading zero is not taken for IP4": {in: row("blacklist", "ip", "010.0.0.1", 0, ""), bad: []string{"value.invalid"}},
	} {
		t.Run(name, func(t *testing.T) {
			got := test.in
			bad := fieldsOf(t, got.Normalize())
			if !slices.Equal(bad, test.bad) {
				t.Fatalf("got problems %v, want %v", bad, test.bad)
			}
			if d := cmp.Diff(test.want, got); bad == nil && d != "" {
				t.Errorf("row (-want +got):\n%s", d)
			}
		})
	}
}

func TestCountry(t *testing.T) {
	for name, test := range map[string]struct{ in, want string }{
		"alpha-2":                      {"GB", "GB"},
		"alpha-3":                      {"gbr", "GB"},
		"the name of the CLDR":         {"Côte d’Ivoire", "CI"},
		"without accents":              {"Cote d'Ivoire", "CI"},
		"the name of GeoIP data":       {"Ivory Coast", "CI"},
		"an ampersand":                 {"Trinidad and Tobago", "TT"},
		"a saint":                      {"Saint Kitts and Nevis", "KN"},
		"a country's former name":      {"Czech Republic", "CZ"},
		"a name of four letters":       {"Peru", "PE"},
		"Kosovo, as GeoIP data has it": {"XK", "XK"},
		"UK is not the code":           {"UK", ""},
		"AN is gone":                   {"AN", ""},
		"SU is gone":                   {"SU", ""},
		"EU is no country":             {"EU", ""},
		"ZZ is no country":             {"ZZ", ""},
		"numbers are no codes":         {"840", ""},
		"nothing":                      {"", ""},
		"a letter":                     {"G", ""},
	} {
		t.Run(name, func(t *testing.T) {
			if got, ok := policy.CountryCode(test.in); got != test.want || ok != (test.want != "") {
				t.Errorf("Country(%q) = %q, %v, want %q", test.in, got, ok, test.want)
			}
		})
	}
	for in, want := range map[string]string{"eu": "EU", "Europe": "EU", "NORTH AMERICA": "NA",
		"south-america": "SA", "Oceania": "OC", "AN": "AN", "": "", "UA": "", "Eur": ""} {
		if got, ok := policy.ContinentCode(in); got != want || ok != (want != "") {
			t.Errorf("Continent(%q) = %q, %v, want %q", in, got, ok, want)
		}
	}
}

func TestEveryCountryIsFoundByItsCodes(t *testing.T) {
	n := 0
	for a := 'A'; a <= 'Z'; a++ {
		for b := 'A'; b <= 'Z'; b++ {
			code := string(a) + string(b)
			if got, ok := policy.CountryCode(code); ok {
				n++
				if got != code {
					t.Errorf("Country(%q) = %q", code, got)
				}
			}
		}
	}
	if n != 250 { // ISO 3166-1's 249 and XK
		t.Errorf("got %d countries, want 250", n)
	}
}
