package identity

import (
	"context"

	"barong/internal/limit"
	"barong/internal/rest"
	"barong/policy"
	"barong/policy/editor"
)

type access struct {
	Token string `name:"whitelink_token" rule:"required,nonblank" in:"body" doc:"What staff handed out."`
}

func (a *API) access(g rest.Group[visitor]) {
	rest.Add(g, rest.Op{
		Method: "POST", Path: "/access", Status: 200, Reference: 201, Cost: limit.Write | limit.Guess,
		Summary: "Put your address on the whitelist, by a link that staff made.",
		Errors: rest.All(
			rest.On(editor.ErrWhitelink, 422, ".access.invalid_token"),
			rest.On(policy.ErrTaken, 422, "value.taken"),
			rest.Rules("value.invalid"), // a client without an address
		),
	}, a.redeem)
}

func (a *API) redeem(ctx context.Context, who visitor, in access) (rest.None, error) {
	_, err := a.Whitelinks.RedeemWhitelink(ctx, who.Client, in.Token)
	return rest.None{}, err
}
