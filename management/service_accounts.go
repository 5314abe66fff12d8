package management

import (
	"context"
	"errors"

	"barong/internal/account"
	"barong/internal/rest"
	"barong/internal/view"
)

type serviceAccountLookup struct {
	UID   *string `name:"uid" rule:"nonblank" oneof:"one"`
	Email *string `name:"email" rule:"nonblank" oneof:"one"`
}

type serviceAccountFilter struct {
	OwnerUID   string `name:"owner_uid" rule:"nonblank"`
	OwnerEmail string `name:"owner_email" rule:"nonblank" doc:"Counts where owner_uid is not sent."`
	rest.LongPaging
}

type serviceAccountInput struct {
	OwnerUID *string `name:"owner_uid" rule:"nonblank" doc:"The user who owns it, and whose state it has."`
	Role     string  `name:"service_account_role" rule:"required,nonblank" doc:"One that permissions name. One above member needs the scope write_roles, too."`
	UID      string  `name:"service_account_uid" rule:"nonblank" doc:"3 to 64 letters, digits, _ and -; one is made up when none is sent."`
	Email    string  `name:"service_account_email" rule:"nonblank" doc:"One is made of the owner's when none is sent."`
	State    string  `name:"service_account_state" rule:"nonblank" doc:"Without an owner; pending when none is sent."`
	Level    *int    `name:"service_account_level" min:"0" max:"1000000" doc:"The owner's, or 0, when none is sent."`
}

type serviceAccountChange struct {
	UID      string  `name:"uid" rule:"required,nonblank"`
	OwnerUID *string `name:"owner_uid" rule:"nonblank" doc:"The new owner, whose state and level it gets."`
}

type serviceAccountRef struct {
	UID string `name:"uid" rule:"required,nonblank"`
}

// ownedServiceAccount is a service account as peer services see it.
type ownedServiceAccount struct {
	Email     string     `json:"email"`
	UID       string     `json:"uid"`
	Role      string     `json:"role"`
	Level     int        `json:"level"`
	State     string     `json:"state"`
	User      *view.User `json:"user" doc:"The owner, null for none."`
	CreatedAt view.Time  `json:"created_at"`
	UpdatedAt view.Time  `json:"updated_at"`
}

func ownedOf(a account.OwnedServiceAccount) ownedServiceAccount {
	v := ownedServiceAccount{
		Email: a.Email, UID: a.UID, Role: a.Role, Level: a.Level, State: a.State,
		CreatedAt: view.Time(a.CreatedAt), UpdatedAt: view.Time(a.UpdatedAt),
	}
	if a.Owner != nil {
		v.User = new(view.UserOf(*a.Owner))
	}
	return v
}

func (a *API) serviceAccounts(g rest.Group[services]) {
	read, write := a.scoped(g, serviceAccountsReadScope), a.scoped(g, serviceAccountsWriteScope)
	missing := notFound(account.ErrNoServiceAccount)
	rest.Add(read, rest.Op{
		Method: "POST", Path: "/get", Status: 200, Summary: "Read a service account.", Errors: missing,
	}, a.readServiceAccount)
	rest.Add(read, rest.Op{
		Method: "POST", Path: "/list", Status: 200, Summary: "List service accounts, everybody's or those of one owner.",
	}, a.listServiceAccounts)
	rest.Add(write, rest.Op{
		Method: "POST", Path: "/create", Summary: "Create a service account.",
		Errors: rest.All(noUser, fourEyes, rest.Rules("role.doesnt_exist", "state.inclusion", "uid.invalid", "email.blank", "email.too_long", "email.invalid",
			"email_or_uid.not_uniq", "email.taken", "uid.taken")),
	}, a.createServiceAccount)
	rest.Add(write, rest.Op{
		Method: "POST", Path: "/update", Summary: "Give a service account an owner, or the state and the level of the one that it has.",
		Errors: rest.All(noUser, fourEyes, rest.OnText(account.ErrNoServiceAccount, 422, "Service account doesnt exist")),
	}, a.updateServiceAccount)
	rest.Add(write, rest.Op{
		Method: "POST", Path: "/delete", Status: 200, Summary: "Disable a service account and its API keys.", Errors: missing,
	}, a.deleteServiceAccount)
}

func (a *API) readServiceAccount(ctx context.Context, _ services, in serviceAccountLookup) (ownedServiceAccount, error) {
	var uid, email string
	if in.UID != nil {
		uid = *in.UID
	} else {
		email = *in.Email
	}
	found, err := a.Accounts.FindServiceAccount(ctx, uid, email)
	return ownedOf(found), err
}

func (a *API) listServiceAccounts(ctx context.Context, _ services, in serviceAccountFilter) (rest.Page[ownedServiceAccount], error) {
	list, total, err := a.Accounts.ListServiceAccounts(ctx, in.OwnerUID, in.OwnerEmail, in.Limit, in.Offset())
	return rest.PageOf(list, total, rest.Paging(in.LongPaging), ownedOf), err
}

func (a *API) createServiceAccount(ctx context.Context, who services, in serviceAccountInput) (ownedServiceAccount, error) {
	lacks := who.Allows(rolesScope)
	made, err := a.Accounts.EnterServiceAccount(ctx, who.Actor, account.ServiceAccountInput{
		Role: in.Role, OwnerUID: in.OwnerUID, UID: in.UID, Email: in.Email, State: in.State, Level: in.Level, Staff: lacks == nil,
	})
	if errors.Is(err, account.ErrRank) {
		err = lacks
	}
	return ownedOf(made), err
}

func (a *API) updateServiceAccount(ctx context.Context, who services, in serviceAccountChange) (ownedServiceAccount, error) {
	lacks := who.Allows(rolesScope)
	changed, err := a.Accounts.AssignServiceAccount(ctx, who.Actor, in.UID, in.OwnerUID, lacks == nil)
	if errors.Is(err, account.ErrRank) {
		err = lacks
	}
	return ownedOf(changed), err
}

func (a *API) deleteServiceAccount(ctx context.Context, who services, in serviceAccountRef) (ownedServiceAccount, error) {
	stopped, err := a.Accounts.StopServiceAccount(ctx, who.Actor, in.UID)
	return ownedOf(stopped), err
}
