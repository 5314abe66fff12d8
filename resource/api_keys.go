package resource

import (
	"context"
	"net/http"
	"slices"
	"strings"

	"barong/internal/account"
	"barong/internal/apikey"
	"barong/internal/factor"
	"barong/internal/limit"
	"barong/internal/rest"
	"barong/internal/view"
)

// keys is the part of account.Service about API keys. A holder is "" for the actor or the uid
// of a service account of the actor's; account.ErrNotFound for any other.
type keys interface {
	// OwnServiceAccount loads one that the actor owns; ErrNotFound for any other.
	OwnServiceAccount(ctx context.Context, by account.Actor, uid string) (account.ServiceAccount, error)
	// ListKeys returns a page without secrets, and how many keys there are.
	ListKeys(ctx context.Context, by account.Actor, q apikey.Query) ([]apikey.Key, int, error)
	// CreateKey returns the key with its secret. Invalid, ErrCouldNotSaveSecret.
	CreateKey(ctx context.Context, by account.Actor, in apikey.Input) (apikey.Key, error)
	// UpdateKey and DeleteKey: also ErrNotFound for the key; Invalid.
	UpdateKey(ctx context.Context, by account.Actor, holder, kid string, p apikey.Patch) (apikey.Key, error)
	DeleteKey(ctx context.Context, by account.Actor, holder, kid string) error
}

// keyPage is a page of keys, in some order.
type keyPage struct {
	Ordering string `name:"ordering" enum:"asc,desc" default:"asc" value:"resource.api_key.invalid_ordering"`
	OrderBy  string `name:"order_by" enum:"id,kid,algorithm,scope,state,created_at,updated_at" default:"id" value:"resource.api_key.invalid_attribute"`
	rest.Paging
	TOTP string `name:"totp_code" in:"query" doc:"Checked when it is sent."`
}

type newKey struct {
	Algorithm string  `name:"algorithm" rule:"required,nonblank" doc:"HS256."`
	Scope     *string `name:"scope" rule:"nonblank" doc:"Comma-separated."`
	TOTP      string  `name:"totp_code" rule:"required,nonblank" in:"query" missing:"resource.api_key.missing_totp"`
	Kid       string  `name:"kid" rule:"nonblank" doc:"The key's id, if it shall not be made up."`
}

type keyChange struct {
	Kid   string  `name:"kid"`
	Scope *string `name:"scope" rule:"nonblank" doc:"Comma-separated; stays as it is when absent."`
	State *string `name:"state" rule:"nonblank" doc:"active, or inactive or disabled, which are the same to requests; stays as it is when absent."`
	TOTP  string  `name:"totp_code" rule:"required,nonblank" in:"query"`
}

type keyRef struct {
	Kid  string `name:"kid"`
	TOTP string `name:"totp_code" rule:"required,nonblank" in:"query"`
}

// gateFailures are those of RequireOTP under a prefix of tokens.
func gateFailures(prefix string) []rest.Failure {
	return []rest.Failure{
		rest.On(factor.ErrOTPNotEnabled, http.StatusBadRequest, prefix+".2fa_disabled"),
		rest.On(factor.ErrMissingOTP, http.StatusBadRequest, prefix+".missing_totp"),
		rest.On(factor.ErrInvalidOTP, http.StatusUnprocessableEntity, prefix+".invalid_totp"),
		rest.On(factor.ErrOTPReplay, http.StatusUnprocessableEntity, "totp.error"),
		rest.On(account.ErrSeal, http.StatusUnprocessableEntity, "totp.error"),
		rest.TooMany(prefix),
	}
}

// newKeyFailures and keyChangeFailures go before those of the gate: a secret that cannot
// be saved is an ErrSeal, too.
func newKeyFailures() []rest.Failure {
	return []rest.Failure{
		rest.On(apikey.ErrCouldNotSaveSecret, http.StatusUnprocessableEntity, "api_key.could_not_save_secret"),
		rest.Rules("kid.blank", "kid.invalid", "kid.taken", "algorithm.inclusion", "scope.too_long",
			"key_holder_account.invalid", "api_key.limit_reached"),
	}
}

func keyChangeFailures() []rest.Failure {
	return []rest.Failure{rest.Rules("scope.too_long", "state.inclusion", "state.invalid")}
}

func (a *API) keys(g *rest.Group) {
	gate := gateFailures("resource.api_key")
	rest.Add(g, rest.Op{
		Method: http.MethodGet, Status: http.StatusOK,
		Cost:    limit.List,
		Summary: "List your API keys.", Errors: gate,
	}, signedIn(a, a.listKeys))
	rest.Add(g, rest.Op{
		Method: http.MethodPost, Status: http.StatusCreated,
		Cost:    limit.Write,
		Summary: "Create an API key; the only time its secret is shown.",
		Errors:  slices.Concat(newKeyFailures(), gate),
	}, signedIn(a, a.createKey))
	for _, method := range []string{http.MethodPatch, http.MethodPut} { // R23
		rest.Add(g, rest.Op{
			Method: method, Path: "/{kid}", Status: http.StatusOK,
			Cost:    limit.Write,
			Summary: "Change scope or state of an API key.",
			Errors:  slices.Concat(keyChangeFailures(), gate),
		}, signedIn(a, a.updateKey))
	}
	rest.Add(g, rest.Op{
		Method: http.MethodDelete, Path: "/{kid}", Status: http.StatusNoContent,
		Cost:    limit.Write,
		Summary: "Delete an API key.", Errors: gate,
	}, signedIn(a, a.deleteKey))
}

func (a *API) listKeys(ctx context.Context, who me, in keyPage) (out rest.Page[view.APIKey], err error) {
	if in.TOTP != "" { // R8: one old document demands it
		if err := a.Accounts.RequireOTP(ctx, who.Actor, in.TOTP); err != nil {
			return out, err
		}
	}
	return a.pageOfKeys(ctx, who, "", in.Ordering, in.OrderBy, in.Paging)
}

func (a *API) createKey(ctx context.Context, who me, in newKey) (view.APIKey, error) {
	if err := a.Accounts.RequireOTP(ctx, who.Actor, in.TOTP); err != nil {
		return view.APIKey{}, err
	}
	return a.addKey(ctx, who, apikey.Input{
		Kid: in.Kid, Algorithm: in.Algorithm, Scope: scopes(in.Scope),
	})
}

func (a *API) updateKey(ctx context.Context, who me, in keyChange) (view.APIKey, error) {
	if err := a.Accounts.RequireOTP(ctx, who.Actor, in.TOTP); err != nil {
		return view.APIKey{}, err
	}
	return a.changeKey(ctx, who, "", in)
}

func (a *API) deleteKey(ctx context.Context, who me, in keyRef) (rest.None, error) {
	if err := a.Accounts.RequireOTP(ctx, who.Actor, in.TOTP); err != nil {
		return rest.None{}, err
	}
	return rest.None{}, a.Accounts.DeleteKey(ctx, who.Actor, "", in.Kid)
}

// pageOfKeys, addKey and changeKey are the same for users and service accounts.
func (a *API) pageOfKeys(
	ctx context.Context, who me, holder, ordering, orderBy string, p rest.Paging,
) (out rest.Page[view.APIKey], err error) {
	list, total, err := a.Accounts.ListKeys(ctx, who.Actor, apikey.Query{
		HolderUID: holder, OrderBy: orderBy, Desc: ordering == "desc", Limit: p.Limit, Offset: p.Offset(),
	})
	if err != nil {
		return out, err
	}
	out = rest.Page[view.APIKey]{Items: make([]view.APIKey, 0, len(list)), Total: total, Paging: p}
	for _, k := range list {
		out.Items = append(out.Items, view.APIKeyOf(k))
	}
	return out, nil
}

func (a *API) addKey(ctx context.Context, who me, in apikey.Input) (view.APIKey, error) {
	k, err := a.Accounts.CreateKey(ctx, who.Actor, in)
	if err != nil {
		return view.APIKey{}, err
	}
	return view.NewAPIKeyOf(k), nil
}

func (a *API) changeKey(ctx context.Context, who me, holder string, in keyChange) (view.APIKey, error) {
	patch := apikey.Patch{State: in.State}
	if in.Scope != nil {
		list := scopes(in.Scope)
		patch.Scope = &list
	}
	k, err := a.Accounts.UpdateKey(ctx, who.Actor, holder, in.Kid, patch)
	if err != nil {
		return view.APIKey{}, err
	}
	return view.APIKeyOf(k), nil
}

// scopes takes the comma-separated form apart, untrimmed (resource 2.6).
func scopes(text *string) []string {
	if text == nil {
		return nil
	}
	return strings.Split(*text, ",")
}
