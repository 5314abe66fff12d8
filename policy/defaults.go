package policy

import (
	"embed"
	"strings"
)

//go:embed defaults/*.yml
var defaults embed.FS

// DefaultNames lists the names that Default knows.
func DefaultNames() []string { return []string{"abilities", "authz_rules", "barong", "seeds"} }

// Default is the built-in file of that name, with or without ".yml": seeds, authz_rules,
// abilities and barong, the rules about accounts. The caller may keep and change it.
//
// They are the reference's but for this: admin/engine is admin/engines, as the route is called
// (FX-2); PATCH is audited too (FX-37); role service_account has the rows of sa_maker, and
// there are titles to store data under (design D15); a row that support had twice is there
// once.
func Default(name string) ([]byte, bool) {
	data, err := defaults.ReadFile("defaults/" + strings.TrimSuffix(name, ".yml") + ".yml")
	return data, err == nil
}
