package admin

import (
	"context"
	"strings"

	"barong/internal/account"
	"barong/internal/apikey"
	"barong/internal/rest"
	"barong/internal/view"
	"barong/policy/ability"
)

// The words of the list of keys.
type (
	keyOrdering string
	keyColumn   string
)

func (keyOrdering) Values() ([]string, string) {
	return []string{"asc", "desc"}, "api_keys.ordering.invalid_ordering"
}

func (keyColumn) Values() ([]string, string) {
	return []string{
		"id", "key_holder_account_id", "key_holder_account_type", "kid", "algorithm", "scope", "state", "created_at", "updated_at",
	}, "api_keys.ordering.invalid_attribute"
}

// column is that of the list; the keys of one holder are equal by their holder.
func (c keyColumn) column() string {
	if strings.HasPrefix(string(c), "key_holder_account_") {
		return "id"
	}
	return string(c)
}

type keyPage struct {
	UID      string      `name:"uid" rule:"required,nonblank" doc:"Of the user or service account that holds them."`
	Ordering keyOrdering `name:"ordering" default:"asc"`
	OrderBy  keyColumn   `name:"order_by" default:"id"`
	rest.Paging
}

type ownerRef struct {
	UID string `name:"uid" rule:"required,nonblank" doc:"Of the owner."`
}

func (a *API) apiKeys(s section) {
	rest.Add(s.may(ability.Read), rest.Op{
		Method: "GET", Summary: "List the API keys of a user or service account.",
		Errors: rest.On(account.ErrNotFound, 404, "admin.user.doesnt_exist"),
	}, a.listKeys)
}

func (a *API) serviceAccounts(s section) {
	rest.Add(s.may(ability.Read), rest.Op{
		Method: "GET", Summary: "List the service accounts of a user.",
		Errors: rest.On(account.ErrNotFound, 404, "admin.user.doesnt_exist"),
	}, a.listServiceAccounts)
}

func (a *API) listKeys(ctx context.Context, _ staff, in keyPage) (rest.Page[view.APIKey], error) {
	list, total, err := a.Keys.KeysOf(ctx, apikey.Query{
		HolderUID: in.UID, OrderBy: in.OrderBy.column(), Desc: in.Ordering == "desc", Limit: in.Limit, Offset: in.Offset(),
	})
	return rest.PageOf(list, total, in.Paging, view.APIKeyOf), err
}

func (a *API) listServiceAccounts(ctx context.Context, _ staff, in ownerRef) ([]view.ServiceAccount, error) {
	owner, list, err := a.Accounts.ServiceAccountsOf(ctx, in.UID)
	shown := make([]view.ServiceAccount, len(list))
	for i, one := range list {
		shown[i] = view.ServiceAccountOf(one, owner)
	}
	return shown, err
}
