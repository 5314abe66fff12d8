package policy_test

import (
	"context"
	"net/netip"
	"slices"
	"testing"

	"barong/policy"
	"barong/policy/editor"
)

// noRows is the store of an empty policy.
type noRows struct{ editor.Store }

func (noRows) Rows(context.Context) (policy.Rows, error) { return policy.Rows{}, nil }

// TestSignInPathsAreOneList adds a path to the list of those at which sessions are opened: the
// compiled policy, the naive one and the preview must all follow it, and one that is not in the
// list must stay open.
func TestSignInPathsAreOneList(t *testing.T) {
	const another = "api/v2/barong/identity/sessions/another"
	paths := []string{
		"api/v2/barong/identity/sessions",
		"api/v2/barong/identity/sessions/auth0",
		"api/v2/barong/identity/sessions/passkey",
		"api/v2/barong/identity/users",
		"api/v2/barong/identity/users/email/confirm_code",
	}
	refused := func(t *testing.T, path string) (compiled, naive, previewed bool) {
		t.Helper()
		ip := netip.MustParseAddr("192.0.2.1")
		row := policy.Restriction{ID: 1, Category: policy.Blocklogin, Scope: policy.ScopeIP, Value: ip.String(),
			State: policy.Enabled, Code: 401}
		rows := policy.Rows{Restrictions: []policy.Restriction{row}}
		snapshot, _ := policy.Compile(rows, policy.RouteRules{}, shipped())
		if snapshot.Restricted(ip, "GET", path) != nil {
			t.Errorf("blocklogin refuses GET %s", path)
		}
		reference := policy.Naive{Rows: rows}
		holder := policy.NewHolder(policy.RouteRules{}, shipped(), nil, nil)
		service := editor.NewService(noRows{}, holder, 1, nil)
		p, err := service.PreviewRestriction(t.Context(), editor.Edit{}, editor.RestrictionChange{
			Category: &row.Category, Scope: &row.Scope, Value: &row.Value, State: &row.State, Code: &row.Code})
		if err != nil {
			t.Fatal(err)
		}
		return snapshot.Restricted(ip, "POST", path) != nil, reference.Restricted(ip, "POST", path) != nil,
			slices.ContainsFunc(p.Flips, func(f editor.Flip) bool { return f.Path == path && !f.After.Allows })
	}
	check := func(t *testing.T, path string, want bool) {
		t.Helper()
		compiled, naive, previewed := refused(t, path)
		if compiled != want || naive != want || previewed != want {
			t.Errorf("POST %s: compiled refuses %v, naive %v, preview %v; want all %v", path, compiled, naive, previewed, want)
		}
	}
	for _, path := range paths {
		check(t, path, true)
	}
	check(t, another, false)
	defer policy.AddSignIn(another)()
	check(t, another, true)
}
