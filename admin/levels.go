package admin

import (
	"context"

	"barong/internal/rest"
	"barong/policy/ability"
)

// level is a rung of the ladder: users of level 2 have the private labels of rungs 1 and 2.
type level struct {
	ID    int64  `json:"id" doc:"The number of the level."`
	Key   string `json:"key"`
	Value string `json:"value"`
}

func (a *API) levels(s section) {
	rest.Add(s.may(ability.Read), rest.Op{Method: "GET", Summary: "List the levels and the labels that they take."}, a.listLevels)
}

func (a *API) listLevels(ctx context.Context, _ staff, _ rest.None) ([]level, error) {
	list, err := a.Accounts.Levels(ctx)
	out := make([]level, len(list))
	for i, l := range list {
		out[i] = level{l.ID, l.Key, l.Value}
	}
	return out, err
}
