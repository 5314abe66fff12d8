package resource

import (
	"context"
	"fmt"
	"net/http"

	"barong/internal/limit"
	"barong/internal/rest"
	"barong/internal/view"
)

func (a *API) users(g *rest.Group) {
	rest.Add(g, rest.Op{
		Method: http.MethodGet, Path: "/me", Status: http.StatusOK,
		Cost:    limit.Read,
		Summary: "Read your own account.",
	}, unproved(a, a.readMe))
}

func (a *API) readMe(ctx context.Context, who me, _ rest.None) (view.UserWithFullInfo, error) {
	labels, err := a.Users.Labels(ctx, who.User.UID)
	if err != nil {
		return view.UserWithFullInfo{}, fmt.Errorf("load labels: %w", err)
	}
	return view.UserWithFullInfoOf(who.User, labels), nil
}
