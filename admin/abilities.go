package admin

import (
	"context"
	"net/http"

	"barong/internal/limit"
	"barong/internal/rest"
	"barong/policy/ability"
)

// abilities shows a role's abilities: action to subjects, in the order of the file.
type abilities struct{ ability.RoleAbilities }

// DescribeJSON is for the document.
func (abilities) DescribeJSON() (typ, format string) { return "object", "" }

func (a *API) abilities(g *rest.Group) {
	rest.Add(g, rest.Op{
		Method: http.MethodGet, Status: http.StatusOK,
		Cost:    limit.Read,
		Summary: "Read your role's rights here; {} for none.",
	}, may(a, a.readAbilities))
}

func (a *API) readAbilities(_ context.Context, who staff, _ rest.None) (abilities, error) {
	return abilities{a.Abilities.Of(who.User.Role)}, nil
}
