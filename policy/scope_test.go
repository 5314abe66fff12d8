package policy_test

import (
	"testing"

	"barong/policy"
	"barong/policy/defaults"
)

// The shipped scopes: trading does not move money out, and no scope of a key reaches what changes the
// account without saying so.
func TestShippedScopes(t *testing.T) {
	data, _ := defaults.File("authz_rules")
	rules, err := policy.ParseRules(data)
	if err != nil {
		t.Fatal(err)
	}
	s, warnings := policy.Compile(policy.Rows{}, rules, shipped())
	if len(warnings) > 0 {
		t.Errorf("warnings %v", warnings)
	}
	all := []string{"read", "trade", "withdraw", "account"}
	for _, name := range all {
		if !s.Scope(name) {
			t.Errorf("no scope %s", name)
		}
	}
	if len(rules.Scopes) != len(all) || s.Scope("Read") || s.Scope("") {
		t.Errorf("scopes %v, want %v alone", rules.Scopes, all)
	}
	for _, c := range []struct {
		method, path string
		of           string // the scopes that cover it
	}{
		{"GET", "api/v2/peatio/market/orders", "read trade"},
		{"HEAD", "api/v2/peatio/market/orders", "read trade"},
		{"POST", "api/v2/peatio/market/orders", "trade"},
		{"POST", "api/v2/peatio/market/orders/1/cancel", "trade"},
		{"DELETE", "api/v2/finex/market/orders/1", "trade"},
		{"GET", "api/v2/ranger/private", "read trade"},
		{"GET", "api/v2/peatio/account/balances", "read"},
		{"GET", "api/v2/peatio/account/withdraws", "read withdraw"},
		{"POST", "api/v2/peatio/account/withdraws", "withdraw"},
		{"POST", "api/v2/peatio/account/beneficiaries", "withdraw"},
		{"DELETE", "api/v2/peatio/account/beneficiaries/1", "withdraw"},
		{"POST", "api/v2/peatio/account/withdraws.json", ""},
		{"POST", "api/v2/peatio/account/withdrawsx", ""},
		{"POST", "api/v2/peatio/account/internal_transfers", "withdraw"},
		{"POST", "api/v2/peatio/account/deposits/intention", ""},
		{"GET", "api/v2/barong/resource/users/me", "account"},
		{"PUT", "api/v2/barong/resource/users/me", "account"},
		{"POST", "api/v2/barong/resource/profiles", "account"},
		{"GET", "api/v2/peatio/admin/members", ""},
		{"GET", "api/v2/peatio", ""},
		{"GET", "api/v2/applogic/private/x", ""},
		{"TRACE", "api/v2/peatio/market/orders", ""},
	} {
		of := ""
		for _, name := range all {
			if s.Scoped([]string{name}, c.method, c.path) {
				of += " " + name
			}
		}
		if of != "" {
			of = of[1:]
		}
		if of != c.of {
			t.Errorf("%s %s: covered by %q, want %q", c.method, c.path, of, c.of)
		}
		if got := s.Scoped(all, c.method, c.path); got != (c.of != "") {
			t.Errorf("%s %s: covered by all of them: %v", c.method, c.path, got)
		}
	}
	if s.Scoped(nil, "GET", "api/v2/peatio/market/orders") || s.Scoped([]string{"", "unknown", "READ"}, "GET", "api/v2/peatio/market/orders") {
		t.Error("a scope that is not defined covers something")
	}
	scopes := []string{"withdraw", "trade"}
	if n := testing.AllocsPerRun(100, func() { s.Scoped(scopes, "POST", "api/v2/peatio/market/orders") }); n != 0 {
		t.Errorf("%v allocations, want 0", n)
	}
}
