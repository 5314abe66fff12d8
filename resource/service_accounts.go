package resource

import (
	"context"

	"barong/internal/account"
	"barong/internal/apikey"
	"barong/internal/rest"
	"barong/internal/view"
)

// serviceAccount names one of the caller's service accounts.
type serviceAccount struct {
	UID string `name:"service_account_uid" rule:"required" invalid:"resource.service_account.non_string_service_account_uid"`
}

type serviceAccountKeyPage struct {
	serviceAccount
	Ordering ordering `name:"ordering" default:"asc" value:"resource.service_accounts.invalid_ordering"`
	OrderBy  orderBy  `name:"order_by" default:"id" value:"resource.service_accounts.invalid_attribute"`
	rest.Paging
}

type serviceAccountKeyInput struct {
	serviceAccount
	Algorithm string  `name:"algorithm" rule:"required,nonblank" doc:"HS256."`
	Scope     *string `name:"scope" rule:"nonblank" doc:"Comma-separated: what the key may be used for, of the scopes of the rules file (as shipped: read, trade, withdraw, account); without it, for all that its holder may do."`
	TOTP      string  `name:"totp_code" rule:"required,nonblank" in:"query" missing:"resource.service_accounts.missing_totp"`
	keyBounds
}

type serviceAccountKeyChange struct {
	serviceAccount
	keyChange
}

type serviceAccountKeyRef struct {
	serviceAccount
	keyRef
}

func (a *API) serviceAccounts(g rest.Group[me]) {
	rest.Add(g, rest.Op{Method: "GET", Summary: "List your service accounts."}, a.listServiceAccounts)
}

func (a *API) listServiceAccounts(ctx context.Context, who me, _ rest.None) ([]view.ServiceAccount, error) {
	list, err := a.Accounts.ServiceAccounts(ctx, who.Actor)
	shown := make([]view.ServiceAccount, len(list))
	for i, one := range list {
		shown[i] = view.ServiceAccountOf(one, who.User)
	}
	return shown, err
}

func (a *API) serviceAccountKeys(g rest.Group[me]) {
	g = g.Failing(rest.On(account.ErrNoServiceAccount, 404, "resource.service_account.doesnt_exist"))
	changes := g.Failing(gateErrors.Under("resource.service_accounts"))
	rest.Add(g, rest.Op{
		Method: "GET", Summary: "List the API keys of one of your service accounts.",
	}, a.listServiceAccountKeys)
	rest.Add(changes, rest.Op{
		Method: "POST", Summary: "Create an API key for one of your service accounts; the only time its secret is shown.",
		Errors: keyErrors,
	}, a.createServiceAccountKey)
	for _, method := range []string{"PUT", "PATCH"} { // both, as clients send either
		rest.Add(changes, rest.Op{
			Method: method, Path: "/{kid}", Summary: "Change scope, state, addresses or expiry of an API key of one of your service accounts.",
			Errors: keyChangeErrors,
		}, a.updateServiceAccountKey)
	}
	rest.Add(changes, rest.Op{
		Method: "DELETE", Path: "/{kid}", Summary: "Delete an API key of one of your service accounts.",
	}, a.deleteServiceAccountKey)
}

func (a *API) listServiceAccountKeys(
	ctx context.Context, who me, in serviceAccountKeyPage,
) (rest.Page[view.APIKey], error) {
	return a.pageOfKeys(ctx, who, apikey.OfServiceAccount(in.UID), in.Ordering, in.OrderBy, in.Paging)
}

func (a *API) createServiceAccountKey(
	ctx context.Context, who me, in serviceAccountKeyInput,
) (view.APIKey, error) {
	k, err := a.Keys.CreateKey(ctx, who.Actor, in.TOTP, apikey.OfServiceAccount(in.UID), apikey.Input{
		Algorithm: in.Algorithm, Bounds: in.bounds(in.Scope),
	})
	return view.NewAPIKeyOf(k), err
}

func (a *API) updateServiceAccountKey(
	ctx context.Context, who me, in serviceAccountKeyChange,
) (view.APIKey, error) {
	return a.changeKey(ctx, who, apikey.OfServiceAccount(in.UID), in.keyChange)
}

func (a *API) deleteServiceAccountKey(
	ctx context.Context, who me, in serviceAccountKeyRef,
) (rest.None, error) {
	return rest.None{}, a.Keys.DeleteKey(ctx, who.Actor, in.TOTP, apikey.OfServiceAccount(in.UID), in.Kid)
}
