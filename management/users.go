package management

import (
	"context"
	"errors"

	"barong/internal/account"
	"barong/internal/rest"
	"barong/internal/view"
)

type newUser struct {
	Email    string  `name:"email" rule:"required,nonblank"`
	Password string  `name:"password" rule:"required,nonblank" in:"body"`
	Referral *string `name:"referral_uid" rule:"nonblank" doc:"The uid of the user who referred this one."`
}

type userPatch struct {
	UID  string  `name:"uid" rule:"required,nonblank"`
	Role *string `name:"role" rule:"nonblank" anyof:"any" doc:"One that permissions name. One above member, given or taken, needs the scope write_roles beside that of the endpoint."`
	Data *string `name:"data" rule:"nonblank" anyof:"any" doc:"A JSON object as text, at most 1024 characters."`
}

// noUser answers in the words of the endpoints that change a user.
var noUser = rest.OnText(account.ErrNoUser, 422, "user.doesnt_exist")

func (a *API) users(g rest.Group[services]) {
	write := a.scoped(g, usersWriteScope)
	rest.Add(write, rest.Op{
		Method: "POST", Summary: "Create a user, whose address counts as one that a peer service vouches for.",
		Errors: rest.Rules("referral_id.doesnt_exist", "email.invalid", "email.too_long", "email.taken",
			"password.too_long", "password.requirements", "password.weak"),
	}, a.createUser)
	rest.Add(write, rest.Op{
		Method: "POST", Path: "/update", Summary: "Change the role or the data of a user.",
		Errors: rest.All(noUser, rest.On(account.ErrLastSuperadmin, 422, "management.user.last_superadmin"),
			rest.Rules("role.doesnt_exist", "data.too_long", "data.invalid_format")),
	}, a.patchUser)
	rest.Add(write, rest.Op{
		Method: "POST", Path: "/import", Summary: "Take over a person of another service: user, profile and phone, all or none.",
		Errors: importErrors,
	}, a.importPerson)
}

func (a *API) createUser(ctx context.Context, who services, in newUser) (view.UserWithProfile, error) {
	u, err := a.Accounts.EnterUser(ctx, who.Actor, account.UserInput{Email: in.Email, Password: in.Password, Referral: in.Referral})
	if err != nil {
		return view.UserWithProfile{}, err
	}
	return a.withProfiles(ctx, u)
}

func (a *API) patchUser(ctx context.Context, who services, in userPatch) (view.UserWithProfile, error) {
	patch := account.UserPatch{Role: in.Role, Data: in.Data}
	var lacks error
	if in.Role != nil {
		lacks = who.Allows(rolesScope)
		patch.Staff = lacks == nil
	}
	u, err := a.Accounts.PatchUser(ctx, who.Actor, in.UID, patch)
	switch {
	case errors.Is(err, account.ErrRank):
		return view.UserWithProfile{}, lacks
	case err != nil:
		return view.UserWithProfile{}, err
	}
	return a.withProfiles(ctx, u)
}

// page shows a page of users, with their profiles if it is extended.
func (a *API) page(ctx context.Context, list []account.User, total int, at rest.Paging, extended bool) (rest.Page[view.UserWithProfile], error) {
	p := rest.PageOf(list, total, at, func(u account.User) view.UserWithProfile { return view.UserWithProfile{User: view.UserOf(u)} })
	if !extended {
		return p, nil
	}
	for i, u := range list {
		var err error
		if p.Items[i], err = a.withProfiles(ctx, u); err != nil {
			return p, err
		}
	}
	return p, nil
}

// withProfiles shows u with its profiles, unmasked.
func (a *API) withProfiles(ctx context.Context, u account.User) (view.UserWithProfile, error) {
	b, err := a.Persons.Belongings(ctx, u.UID)
	if err != nil {
		return view.UserWithProfile{}, err
	}
	return view.UserWithProfileOf(u, b.Profiles), nil
}
