package resource

import (
	"context"
	"fmt"

	"barong/internal/rest"
	"barong/internal/view"
)

func (a *API) users(g rest.Group[me]) {
	rest.Add(g, rest.Op{Method: "GET", Path: "/me", Summary: "Read your own account."}, a.readMe)
}

func (a *API) readMe(ctx context.Context, who me, _ rest.None) (view.UserWithFullInfo, error) {
	labels, err := a.Users.Labels(ctx, who.User.UID)
	if err != nil {
		return view.UserWithFullInfo{}, fmt.Errorf("load labels: %w", err)
	}
	return view.UserWithFullInfoOf(who.User, labels), nil
}
