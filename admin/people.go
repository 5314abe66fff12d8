package admin

import (
	"context"

	"barong/internal/account"
	"barong/internal/audit"
	"barong/internal/rest"
	"barong/internal/roster"
	"barong/internal/view"
	"barong/policy/ability"
)

// userFilter are the parameters of lists of users; an empty value is looked for, not ignored.
type userFilter struct {
	UID       *string `name:"uid"`
	Email     *string `name:"email"`
	Role      *string `name:"role"`
	FirstName *string `name:"first_name" doc:"Taken, and without effect: names are sealed."`
	LastName  *string `name:"last_name" doc:"As with first_name."`
	Country   *string `name:"country" doc:"Of any of the profiles."`
	Level     *int    `name:"level"`
	State     *string `name:"state"`
	Range     string  `name:"range" enum:"created,updated" default:"created" value:".invalid_range" doc:"Which time from and to are about."`
	rest.Span
}

// query is the question of the list.
func (f userFilter) query() roster.Query {
	q := roster.Query{
		UID: f.UID, Email: f.Email, Role: f.Role, Country: f.Country, Level: f.Level, State: f.State, Updated: f.Range == "updated",
	}
	q.From, q.To = f.Bounds()
	return q
}

type (
	userOrdering string
	userOrderBy  string
)

func (userOrdering) Values() ([]string, string) {
	return []string{"asc", "desc"}, "user.ordering.invalid_ordering"
}

func (userOrderBy) Values() ([]string, string) {
	return roster.Orders(), "user.ordering.invalid_attribute"
}

type userPage struct {
	Extended bool `name:"extended" default:"false" invalid:".non_boolean_extended" doc:"With profiles and times."`
	userFilter
	Ordering userOrdering `name:"ordering" default:"asc"`
	OrderBy  userOrderBy  `name:"order_by" default:"id" doc:"Users who are equal in it are in the order of their making."`
	rest.Paging
}

type applicantPage struct {
	Extended bool `name:"extended" default:"false" invalid:".non_boolean_extended" doc:"With all that there is about each."`
	userFilter
	rest.Paging
}

type userSearch struct {
	Field string `name:"field" rule:"required,nonblank" doc:"id, uid, email, role, level, otp or state."`
	Value string `name:"value" rule:"required" doc:"The whole value."`
	rest.LongPaging
}

type userRef struct {
	UID string `name:"uid"`
}

// people are the endpoints that read users.
func (a *API) people(s section) {
	g := s.may(ability.Read)
	rest.Add(g, rest.Op{Method: "GET", Summary: "List users."}, a.listUsers)
	rest.Add(g, rest.Op{
		Method: "GET", Path: "/search", Summary: "List the users of whom one field has a value, by address.",
		Errors: rest.On(roster.ErrField, 422, ".non_user_field"),
	}, a.searchUsers)
	rest.Add(g, rest.Op{
		Method: "GET", Path: "/documents/pending",
		Summary: "List the users whose documents wait for a decision, the longest waiting first.",
	}, a.listApplicants)
	rest.Add(g, rest.Op{
		Method: "GET", Path: "/{uid}", Errors: noUser,
		Summary: "Read all that there is about a user. Profiles and clear numbers of phones need the ability to read profiles, documents that to read documents.",
	}, a.readUser)
}

func (a *API) listUsers(ctx context.Context, who staff, in userPage) (rest.Page[view.UserWithProfile], error) {
	q := in.query()
	q.OrderBy, q.Desc, q.Limit, q.Offset = string(in.OrderBy), in.Ordering == "desc", in.Limit, in.Offset()
	clear := in.Extended && a.sight(who).Profiles
	list, total, err := roster.List(ctx, a.People, q, clear)
	show := view.UserInList
	if in.Extended {
		show = view.UserWithProfileOf
	}
	if err == nil && clear {
		a.note(ctx, who, audit.Succeed, rest.Values(in))
	}
	return rest.PageOf(list, total, in.Paging, show), err
}

func (a *API) listApplicants(ctx context.Context, who staff, in applicantPage) (out rest.Page[view.Applicant], err error) {
	q := in.query()
	q.Limit, q.Offset = in.Limit, in.Offset()
	list, total, err := a.People.Applicants(ctx, q)
	if err != nil {
		return out, err
	}
	all := make([]view.Applicant, len(list))
	for i, u := range list {
		all[i].User = view.UserOf(u)
		if in.Extended {
			v, err := a.dossier(ctx, who, u)
			if err != nil {
				return out, err
			}
			all[i] = view.Applicant(v)
		}
	}
	if in.Extended {
		a.note(ctx, who, audit.Succeed, rest.Values(in))
	}
	return rest.PageOf(all, total, in.Paging, func(v view.Applicant) view.Applicant { return v }), nil
}

func (a *API) searchUsers(ctx context.Context, _ staff, in userSearch) (out rest.Page[view.User], err error) {
	q, err := roster.By(in.Field, in.Value)
	if err != nil {
		return out, err
	}
	q.Limit, q.Offset = in.Limit, in.Offset()
	list, total, err := roster.List(ctx, a.People, q, false)
	return rest.PageOf(list, total, rest.Paging(in.LongPaging), func(e roster.Entry) view.User { return view.UserOf(e.User) }), err
}

func (a *API) readUser(ctx context.Context, who staff, in userRef) (view.UserWithKYC, error) {
	v, err := a.dossierOf(ctx, who, in.UID)
	if err == nil {
		a.note(ctx, who, audit.Succeed, rest.Values(in))
	}
	return v, err
}

// dossierOf is the dossier of the user uid.
func (a *API) dossierOf(ctx context.Context, who staff, uid string) (v view.UserWithKYC, err error) {
	u, err := a.Users.User(ctx, uid)
	if err != nil {
		return v, err
	}
	return a.dossier(ctx, who, u)
}

// dossier is all that the caller may see of u.
func (a *API) dossier(ctx context.Context, who staff, u account.User) (v view.UserWithKYC, err error) {
	d, err := a.Persons.Dossier(ctx, u.UID)
	if err != nil {
		return v, err
	}
	return a.sight(who).UserWithKYCOf(u, d, a.Persons.Link), nil
}

// sight is the caller's view of persons, by its role.
func (a *API) sight(who staff) view.Sight {
	return view.Sight{
		Profiles:  a.Abilities.Can(who.User.Role, ability.Read, ability.SubjectProfile),
		Documents: a.Abilities.Can(who.User.Role, ability.Read, ability.SubjectDocument),
	}
}
