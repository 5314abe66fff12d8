package resource

import (
	"context"
	"errors"

	"barong/internal/account"
	"barong/internal/apikey"
	"barong/internal/rest"
	"barong/internal/view"
)

// errNoServiceAccount says that there is none of that uid, or that it is somebody else's.
var errNoServiceAccount = errors.New("resource: no such service account of the caller")

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
	Scope     *string `name:"scope" rule:"nonblank" doc:"Comma-separated."`
	TOTP      string  `name:"totp_code" rule:"required,nonblank" in:"query" missing:"resource.service_accounts.missing_totp"`
}

type serviceAccountKeyChange struct {
	serviceAccount
	keyChange
}

type serviceAccountKeyRef struct {
	serviceAccount
	keyRef
}

func (a *API) serviceAccountKeys(g rest.Group[me]) {
	g = g.Failing(rest.On(errNoServiceAccount, 404, "resource.service_account.doesnt_exist"))
	changes := g.Failing(gateErrors.Under("resource.service_accounts"))
	rest.Add(g, rest.Op{
		Method: "GET", Summary: "List the API keys of one of your service accounts.",
	}, a.listServiceAccountKeys)
	rest.Add(changes, rest.Op{
		Method: "POST", Summary: "Create an API key for one of your service accounts; the only time its secret is shown.",
		Errors: keyErrors,
	}, a.createServiceAccountKey)
	for _, method := range []string{"PUT", "PATCH"} { // R23
		rest.Add(changes, rest.Op{
			Method: method, Path: "/{kid}", Summary: "Change scope or state of an API key of one of your service accounts.",
			Errors: keyChangeErrors,
		}, a.updateServiceAccountKey)
	}
	rest.Add(changes, rest.Op{
		Method: "DELETE", Path: "/{kid}", Summary: "Delete an API key of one of your service accounts.",
	}, a.deleteServiceAccountKey)
}

// owned passes when the service account is the caller's own.
func (a *API) owned(ctx context.Context, who me, s serviceAccount) error {
	_, err := a.Accounts.OwnServiceAccount(ctx, who.Actor, s.UID)
	if errors.Is(err, account.ErrNotFound) {
		return errNoServiceAccount
	}
	return err
}

// opened passes when the service account is the caller's own and then the caller's code is
// right: it is the owner's second factor that counts (AZ-291).
func (a *API) opened(ctx context.Context, who me, s serviceAccount, code string) error {
	if err := a.owned(ctx, who, s); err != nil {
		return err
	}
	return a.Accounts.RequireOTP(ctx, who.Actor, code)
}

func (a *API) listServiceAccountKeys(
	ctx context.Context, who me, in serviceAccountKeyPage,
) (out rest.Page[view.APIKey], err error) {
	if err := a.owned(ctx, who, in.serviceAccount); err != nil {
		return out, err
	}
	return a.pageOfKeys(ctx, who, in.UID, in.Ordering, in.OrderBy, in.Paging)
}

func (a *API) createServiceAccountKey(
	ctx context.Context, who me, in serviceAccountKeyInput,
) (view.APIKey, error) {
	if err := a.opened(ctx, who, in.serviceAccount, in.TOTP); err != nil {
		return view.APIKey{}, err
	}
	k, err := a.Accounts.CreateKey(ctx, who.Actor, apikey.Input{
		HolderUID: in.UID, Algorithm: in.Algorithm, Scope: scopes(in.Scope),
	})
	return view.NewAPIKeyOf(k), err
}

func (a *API) updateServiceAccountKey(
	ctx context.Context, who me, in serviceAccountKeyChange,
) (view.APIKey, error) {
	if err := a.opened(ctx, who, in.serviceAccount, in.TOTP); err != nil {
		return view.APIKey{}, err
	}
	return a.changeKey(ctx, who, in.UID, in.keyChange)
}

func (a *API) deleteServiceAccountKey(
	ctx context.Context, who me, in serviceAccountKeyRef,
) (rest.None, error) {
	if err := a.opened(ctx, who, in.serviceAccount, in.TOTP); err != nil {
		return rest.None{}, err
	}
	return rest.None{}, a.Accounts.DeleteKey(ctx, who.Actor, in.UID, in.Kid)
}
