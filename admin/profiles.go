package admin

import (
	"context"
	"errors"
	"net/url"
	"time"

	"barong/internal/account"
	"barong/internal/person"
	"barong/internal/rest"
	"barong/internal/view"
	"barong/policy/ability"
)

type profileInput struct {
	UID       string     `name:"uid" rule:"required" in:"body"`
	FirstName *string    `name:"first_name" in:"body" doc:"1 to 255 letters, digits, spaces, - and '."`
	LastName  *string    `name:"last_name" in:"body" doc:"As the first."`
	DOB       *rest.Date `name:"dob" in:"body" doc:"Date of birth; not in the future."`
	Address   *string    `name:"address" in:"body"`
	Postcode  *string    `name:"postcode" in:"body"`
	City      *string    `name:"city" in:"body"`
	Country   *string    `name:"country" in:"body" doc:"Code of ISO 3166, two or three letters."`
	Metadata  *string    `name:"metadata" in:"body" doc:"JSON text of the client's own."`
}

type profileReview struct {
	profileInput
	State *string `name:"state" in:"body" doc:"verified or rejected; drafted gives the profile back to its person, submitted leaves it as it is."`
}

func (in profileInput) input() person.ProfileInput {
	return person.ProfileInput{
		FirstName: in.FirstName, LastName: in.LastName, DOB: (*time.Time)(in.DOB), Address: in.Address,
		Postcode: in.Postcode, City: in.City, Country: in.Country, Metadata: in.Metadata,
	}
}

// errNothing says that a review neither decides nor changes anything.
var errNothing = errors.New("admin: neither a state nor a field of a profile")

func (a *API) profiles(s section) {
	rest.Add(s.may(ability.Read), rest.Op{Method: "GET", Summary: "List the profiles of everybody."}, a.listProfiles)
	refusals := rest.All(
		rest.On(account.ErrActorChanged, 401, "admin.ability.not_permitted"),
		rest.On(account.ErrSuperadminOnly, 422, "admin.profiles.superadmin_change"),
		rest.On(account.ErrSelf, 422, "admin.profiles.update_himself"),
		rest.On(account.ErrRank, 422, "admin.profiles.insufficient_rank"),
		rest.Rules("first_name.invalid", "first_name.too_long", "last_name.invalid", "last_name.too_long",
			"city.invalid", "city.too_long", "country.must have alpha2 or alpha3 format", "postcode.invalid",
			"postcode.too_short", "postcode.too_long", "address.invalid", "address.too_long", "metadata.too_long",
			"metadata.invalid_format", "dob.invalid"))
	rest.Add(s.may(ability.Create), rest.Op{
		Method: "POST", Summary: "State a profile for a user; another member of staff may have to verify it.",
		Errors: rest.All(
			rest.On(account.ErrNoUser, 404, "admin.user.doesnt_exist"),
			rest.On(person.ErrProfileOpen, 422, "state.exists"), refusals),
	}, a.stateProfile)
	rest.Add(s.may(ability.Update), rest.Op{
		Method: "PUT", Summary: "Decide about the submitted profile of a user, or change it.",
		Errors: rest.All(
			rest.On(person.ErrNoSubmission, 404, "admin.profiles.doesnt_exist_or_not_editable"),
			rest.On(errNothing, 422, ".missing_state"),
			rest.On(person.ErrSecondReviewer, 422, "admin.profiles.second_admin_approval"),
			rest.Rules("state.inclusion"), refusals),
	}, a.reviewProfile)
}

func (a *API) listProfiles(ctx context.Context, _ staff, in rest.Paging) (rest.Page[view.Profile], error) {
	list, total, err := a.Persons.ProfilePage(ctx, in.Limit, in.Offset())
	return rest.PageOf(list, total, in, view.Masks(false).ProfileOf), err
}

func (a *API) stateProfile(ctx context.Context, who staff, in profileInput) (out rest.Reply[view.Profile, created], err error) {
	p, err := a.Persons.StateProfile(ctx, who.Actor, in.UID, in.input())
	if err != nil {
		return out, err
	}
	out.Body = view.Masks(false).ProfileOf(p)
	out.Header.Location = rest.Address(ctx, "/admin/profiles", url.Values{"uid": {in.UID}})
	return out, nil
}

func (a *API) reviewProfile(ctx context.Context, who staff, in profileReview) (view.Profile, error) {
	fields := in.input()
	if in.State == nil && fields == (person.ProfileInput{}) {
		return view.Profile{}, errNothing
	}
	p, err := a.Persons.ReviewProfile(ctx, who.Actor, in.UID, person.Review{ProfileInput: fields, State: in.State})
	return view.Masks(false).ProfileOf(p), err
}
