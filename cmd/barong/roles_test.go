package main

import (
	"slices"
	"testing"

	"barong/internal/config"
)

// Every role that the shipped permissions name has a rank: staff by the abilities, or a member
// by the setting. One without could be given by superadmins only.
func TestShippedRolesHaveARank(t *testing.T) {
	s := config.Default()
	f, err := policyFiles(s)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range f.seeds.Permissions {
		if !slices.Contains(f.abilities.Staff(), p.Role) && !slices.Contains(s.Account.MemberRoles, p.Role) {
			t.Errorf("nobody has placed the role %q", p.Role)
		}
	}
	for _, role := range s.Account.MemberRoles {
		if slices.Contains(f.abilities.Staff(), role) {
			t.Errorf("%q is both staff's and a member's", role)
		}
	}
}
