// Package defaults holds the built-in policy files.
package defaults

import (
	"embed"
	"strings"
)

//go:embed *.yml
var files embed.FS

// Names lists the names that File knows.
func Names() []string {
	return []string{"abilities", "authz_rules", "barong", "management_api", "seeds"}
}

// File is the built-in file of that name, with or without ".yml": seeds, authz_rules,
// abilities, management_api and barong, the rules about accounts. The caller may keep and change it.
//
// They are the reference's but for this: admin/engine is admin/engines, as the route is called
// (FX-2); PATCH is audited too (FX-37); role service_account has the rows of sa_maker, and
// there are titles to store data under (design D15); a row that support had twice is there
// once.
func File(name string) ([]byte, bool) {
	data, err := files.ReadFile(strings.TrimSuffix(name, ".yml") + ".yml")
	return data, err == nil
}
