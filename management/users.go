package management

import (
	"context"
	"errors"

	"barong/internal/account"
	"barong/internal/rest"
	"barong/internal/roster"
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

type userLookup struct {
	UID   *string `name:"uid" rule:"nonblank" oneof:"one"`
	Email *string `name:"email" rule:"nonblank" oneof:"one"`
	Phone *string `name:"phone_num" rule:"nonblank" oneof:"one" doc:"International; an account that has proved it comes before one that has not."`
}

type userFilter struct {
	Extended bool   `name:"extended" doc:"Show profiles, too."`
	Range    string `name:"range" default:"created" enum:"created,updated" value:"Non positive page" doc:"Whether from and to bound the creation of the account or its last change."`
	rest.Span
	rest.LongPaging
	UID     *string `name:"uid"`
	Email   *string `name:"email"`
	Role    *string `name:"role"`
	Country *string `name:"country" doc:"Of one of the profiles."`
	Level   *int    `name:"level"`
	State   *string `name:"state"`
}

// asked answers roles that wait for a second member of the staff, fourEyes changes that need one and cannot
// wait.
var (
	asked = rest.All(
		rest.Accepted(func(r account.Asked) (view.Waiting, string) { return view.WaitingOf(r), "" }),
		rest.OnText(account.ErrTooManyRequests, 422, "request.too_many_open"))
	fourEyes = rest.OnText(account.ErrFourEyes, 422, "role.four_eyes")
)

// noUser answers in the words of the endpoints that change a user.
var noUser = rest.OnText(account.ErrNoUser, 422, "user.doesnt_exist")

func (a *API) users(g rest.Group[services]) {
	read, write := a.scoped(g, usersReadScope), a.scoped(g, usersWriteScope)
	rest.Add(read, rest.Op{
		Method: "POST", Path: "/get", Summary: "Read a user with all that there is about the person.", Errors: notFound(account.ErrNotFound),
	}, a.readUser)
	rest.Add(read, rest.Op{Method: "POST", Path: "/list", Reference: 200, Summary: "List users, by the time of their creation."}, a.listUsers)
	rest.Add(write, rest.Op{
		Method: "POST", Summary: "Create a user, whose address counts as one that a peer service vouches for.",
		Errors: rest.Rules("referral_id.doesnt_exist", "email.invalid", "email.too_long", "email.taken",
			"password.too_long", "password.requirements", "password.weak"),
	}, a.createUser)
	rest.Add(write, rest.Op{
		Method: "POST", Path: "/update", Summary: "Change the role or the data of a user.",
		Errors: rest.All(noUser, lastSuperadmin, asked, fourEyes,
			rest.Rules("role.doesnt_exist", "data.too_long", "data.invalid_format")),
	}, a.patchUser)
	rest.Add(write, rest.Op{
		Method: "POST", Path: "/import", Summary: "Take over a person of another service: user, profile and phone, all or none.",
		Errors: importErrors,
	}, a.importPerson)
}

func (a *API) readUser(ctx context.Context, _ services, in userLookup) (view.UserWithKYC, error) {
	u, err := a.lookUp(ctx, in)
	if err != nil {
		return view.UserWithKYC{}, err
	}
	d, err := a.Persons.Dossier(ctx, u.UID)
	if err != nil {
		return view.UserWithKYC{}, err
	}
	return view.Sight{Profiles: true, Documents: true}.UserWithKYCOf(u, d, a.Persons.Link), nil
}

// lookUp finds the user of the one parameter that was sent; account.ErrNotFound.
func (a *API) lookUp(ctx context.Context, in userLookup) (account.User, error) {
	switch {
	case in.UID != nil:
		return a.Roster.User(ctx, *in.UID)
	case in.Email != nil:
		return a.Roster.UserByEmail(ctx, *in.Email)
	}
	uid, err := a.Persons.PhoneHolder(ctx, *in.Phone)
	if err != nil {
		return account.User{}, err
	}
	return a.Roster.User(ctx, uid)
}

func (a *API) listUsers(ctx context.Context, _ services, in userFilter) (rest.Page[view.UserWithProfile], error) {
	q := roster.Query{
		UID: in.UID, Email: in.Email, Role: in.Role, State: in.State, Level: in.Level, Country: in.Country,
		Updated: in.Range == "updated", OrderBy: "id", Limit: in.Limit, Offset: in.Offset(),
	}
	q.From, q.To = in.Bounds()
	list, total, err := roster.List(ctx, a.Roster, q, in.Extended)
	return entries(list, total, in.LongPaging, in.Extended), err
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

// entries shows a page of a list, with profiles if it is extended.
func entries(list []roster.Entry, total int, at rest.LongPaging, extended bool) rest.Page[view.UserWithProfile] {
	show := view.UserInList
	if extended {
		show = view.UserWithProfileOf
	}
	return rest.PageOf(list, total, rest.Paging(at), show)
}

// withProfiles shows u with its profiles, unmasked.
func (a *API) withProfiles(ctx context.Context, u account.User) (view.UserWithProfile, error) {
	b, err := a.Persons.Belongings(ctx, u.UID)
	if err != nil {
		return view.UserWithProfile{}, err
	}
	return view.UserWithProfileOf(roster.Entry{User: u, Profiles: b.Profiles}), nil
}
