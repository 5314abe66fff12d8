package admin

import (
	"context"

	"barong/internal/rest"
	"barong/policy/ability"
)

// abilities shows a role's abilities: action to subjects, in the order of the file.
type abilities struct{ ability.RoleAbilities }

// DescribeJSON is for the document.
func (abilities) DescribeJSON() (typ, format string) { return "object", "" }

func (a *API) abilities(g rest.Group[staff]) {
	rest.Add(g, rest.Op{Method: "GET", Summary: "Read your role's rights here; {} for none."}, a.readAbilities)
}

func (a *API) readAbilities(_ context.Context, who staff, _ rest.None) (abilities, error) {
	return abilities{a.Abilities.Of(who.User.Role)}, nil
}
