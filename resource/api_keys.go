package resource

import (
	"context"
	"strings"

	"barong/internal/apikey"
	"barong/internal/factor"
	"barong/internal/rest"
	"barong/internal/view"
)

// The words of lists of keys; their tokens differ by list.
type (
	ordering string
	orderBy  string
)

func (ordering) Values() ([]string, string) { return []string{"asc", "desc"}, ".invalid_ordering" }
func (orderBy) Values() ([]string, string) {
	return []string{"id", "kid", "algorithm", "scope", "state", "created_at", "updated_at"}, ".invalid_attribute"
}

type keyPage struct {
	Ordering ordering `name:"ordering" default:"asc" value:"resource.api_key.invalid_ordering"`
	OrderBy  orderBy  `name:"order_by" default:"id" value:"resource.api_key.invalid_attribute"`
	rest.Paging
	TOTP string `name:"totp_code" in:"query" doc:"Checked when it is sent."`
}

type keyInput struct {
	Algorithm string  `name:"algorithm" rule:"required,nonblank" doc:"HS256."`
	Scope     *string `name:"scope" rule:"nonblank" doc:"Comma-separated: what the key may be used for, of the scopes of the rules file (as shipped: read, trade, withdraw, account); without it, for all that its holder may do."`
	TOTP      string  `name:"totp_code" rule:"required,nonblank" in:"query" missing:"resource.api_key.missing_totp"`
	Kid       string  `name:"kid" rule:"nonblank" doc:"The key's id, if it shall not be made up."`
	keyBounds
}

// keyBounds are where and how long a key may be used.
type keyBounds struct {
	Networks  *[]string `name:"ip_whitelist" doc:"Addresses and networks (CIDR) that requests may come from, at most 50, as a list or comma-separated; empty means any."`
	ExpiresIn *int      `name:"expires_in" doc:"Seconds from now until the key is refused; 0, and none at creation, mean the longest that the rules of the exchange admit, without any for ever."`
}

type keyChange struct {
	Kid   string  `name:"kid"`
	Scope *string `name:"scope" rule:"nonblank" doc:"Comma-separated, as at creation; stays as it is when absent."`
	State *string `name:"state" rule:"nonblank" doc:"active, or inactive or disabled, which are the same to requests; stays as it is when absent."`
	TOTP  string  `name:"totp_code" rule:"required,nonblank" in:"query"`
	keyBounds
}

type keyRef struct {
	Kid  string `name:"kid"`
	TOTP string `name:"totp_code" rule:"required,nonblank" in:"query"`
}

// gateErrors are those of RequireOTP for a code that was sent. Those of a new key go before them: a
// secret that cannot be saved is an ErrSeal, too. kidErrors are those of a kid of the client's own.
var (
	gateErrors = rest.All(
		rest.On(factor.ErrOTPNotEnabled, 400, ".2fa_disabled"),
		rest.On(factor.ErrInvalidOTP, 422, ".invalid_totp"),
		rest.On(factor.ErrOTPReplay, 422, "totp.error"),
		sealErrors,
		rest.TooMany())
	keyErrors = rest.All(
		rest.On(apikey.ErrCouldNotSaveSecret, 422, "api_key.could_not_save_secret"),
		rest.Rules("kid.blank", "algorithm.inclusion"), boundErrors,
		rest.Rules("key_holder_account.invalid", "api_key.limit_reached"))
	kidErrors       = rest.Rules("kid.invalid", "kid.taken")
	keyChangeErrors = rest.All(boundErrors, rest.Rules("state.inclusion", "state.invalid"))
	boundErrors     = rest.Rules("scope.too_long", "scope.unknown",
		"ip_whitelist.invalid", "ip_whitelist.too_long", "ip_whitelist.too_wide", "ip_whitelist.required",
		"expires_in.invalid", "expires_in.too_long")
)

func (a *API) keys(g rest.Group[me]) {
	g = g.Failing(gateErrors.Under("resource.api_key"))
	rest.Add(g, rest.Op{Method: "GET", Summary: "List your API keys."}, a.listKeys)
	rest.Add(g, rest.Op{
		Method: "POST", Summary: "Create an API key; the only time its secret is shown.",
		Errors: rest.All(keyErrors, kidErrors),
	}, a.createKey)
	for _, method := range []string{"PATCH", "PUT"} { // both, as clients send either
		rest.Add(g, rest.Op{
			Method: method, Path: "/{kid}", Summary: "Change scope, state, addresses or expiry of an API key.", Errors: keyChangeErrors,
		}, a.updateKey)
	}
	rest.Add(g, rest.Op{Method: "DELETE", Path: "/{kid}", Summary: "Delete an API key."}, a.deleteKey)
}

func (a *API) keyItself(g rest.Group[signer]) {
	rest.Add(g, rest.Op{
		Method: "GET", Path: "/self", Summary: "Read the API key that signs the request: its scope, addresses and expiry.",
	}, a.readSelf)
}

func (a *API) readSelf(ctx context.Context, who signer, _ rest.None) (view.APIKey, error) {
	k, err := a.Keys.Self(ctx, who.uid, who.kid)
	return view.APIKeyOf(k), err
}

func (a *API) listKeys(ctx context.Context, who me, in keyPage) (out rest.Page[view.APIKey], err error) {
	if strings.TrimSpace(in.TOTP) != "" { // one old document of the API demands it
		if err := a.Codes.RequireOTP(ctx, who.Actor, in.TOTP); err != nil {
			return out, err
		}
	}
	return a.pageOfKeys(ctx, who, apikey.Holder{}, in.Ordering, in.OrderBy, in.Paging)
}

func (a *API) createKey(ctx context.Context, who me, in keyInput) (view.APIKey, error) {
	k, err := a.Keys.CreateKey(ctx, who.Actor, in.TOTP, apikey.Holder{}, apikey.Input{
		Kid: in.Kid, Algorithm: in.Algorithm, Bounds: in.bounds(in.Scope),
	})
	return view.NewAPIKeyOf(k), err
}

func (a *API) updateKey(ctx context.Context, who me, in keyChange) (view.APIKey, error) {
	return a.changeKey(ctx, who, apikey.Holder{}, in)
}

func (a *API) deleteKey(ctx context.Context, who me, in keyRef) (rest.None, error) {
	return rest.None{}, a.Keys.DeleteKey(ctx, who.Actor, in.TOTP, apikey.Holder{}, in.Kid)
}

// pageOfKeys and changeKey are the same for users and service accounts.
func (a *API) pageOfKeys(
	ctx context.Context, who me, of apikey.Holder, order ordering, by orderBy, p rest.Paging,
) (rest.Page[view.APIKey], error) {
	list, total, err := a.Keys.ListKeys(ctx, who.Actor, of, apikey.Query{
		OrderBy: string(by), Desc: order == "desc", Limit: p.Limit, Offset: p.Offset(),
	})
	return rest.PageOf(list, total, p, view.APIKeyOf), err
}

func (a *API) changeKey(ctx context.Context, who me, of apikey.Holder, in keyChange) (view.APIKey, error) {
	k, err := a.Keys.UpdateKey(ctx, who.Actor, in.TOTP, of, in.Kid, apikey.Patch{
		State: in.State, Bounds: in.bounds(in.Scope),
	})
	return view.APIKeyOf(k), err
}

// bounds takes the comma-separated form of a scope apart, untrimmed.
func (in keyBounds) bounds(scope *string) apikey.Bounds {
	b := apikey.Bounds{Networks: in.Networks, ExpiresIn: in.ExpiresIn}
	if scope != nil {
		b.Scope = new(strings.Split(*scope, ","))
	}
	return b
}
