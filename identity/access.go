package identity

import (
	"context"
	"errors"
	"net/http"

	"barong/internal/account"
	"barong/internal/feed"
	"barong/internal/invalid"
	"barong/internal/limit"
	"barong/internal/rest"
	"barong/policy"
	"barong/policy/editor"
)

// Whitelinks is this package's part of editor.Service.
type Whitelinks interface {
	// RedeemWhitelink puts the client's address on the whitelist: editor.ErrWhitelink,
	// policy.ErrTaken, invalid.Fields.
	RedeemWhitelink(ctx context.Context, c account.Client, token string) (version feed.Cursor, err error)
}

// errNoAddress says that the client has no address that a restriction can name.
var errNoAddress = errors.New("identity: the client has no address")

type access struct {
	Token string `name:"whitelink_token" rule:"required,nonblank" in:"body" doc:"What staff handed out."`
}

func (a *API) access(g *rest.Group) {
	rest.Add(g, rest.Op{
		Method: http.MethodPost, Path: "/access", Status: http.StatusOK, Reference: http.StatusCreated,
		Cost:    limit.Write | limit.Guess,
		Summary: "Put your address on the whitelist, by a link that staff made.",
		Errors: []rest.Failure{
			rest.On(editor.ErrWhitelink, http.StatusUnprocessableEntity, "identity.user.access.invalid_token"),
			rest.On(policy.ErrTaken, http.StatusUnprocessableEntity, "value.taken"),
			rest.On(errNoAddress, http.StatusUnprocessableEntity, "value.invalid"),
		},
	}, anyone(a, a.redeem))
}

func (a *API) redeem(ctx context.Context, who visitor, in access) (rest.None, error) {
	_, err := a.Whitelinks.RedeemWhitelink(ctx, who.Client, in.Token)
	if _, bad := errors.AsType[invalid.Fields](err); bad {
		err = errNoAddress
	}
	return rest.None{}, err
}
