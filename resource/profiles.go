package resource

import (
	"context"
	"time"

	"barong/internal/person"
	"barong/internal/rest"
	"barong/internal/view"
)

type profileInput struct {
	FirstName *string    `name:"first_name" in:"body" doc:"1 to 255 letters, digits, spaces, - and '."`
	LastName  *string    `name:"last_name" in:"body" doc:"As the first."`
	DOB       *rest.Date `name:"dob" in:"body" doc:"Date of birth; not in the future."`
	Address   *string    `name:"address" in:"body"`
	Postcode  *string    `name:"postcode" in:"body"`
	City      *string    `name:"city" in:"body"`
	Country   *string    `name:"country" in:"body" doc:"Code of ISO 3166, two or three letters."`
	Metadata  *string    `name:"metadata" in:"body" doc:"JSON text of the client's own."`
	Confirm   bool       `name:"confirm" in:"body" doc:"Submits the profile for its review, which ends the editing."`
}

func (in profileInput) input() person.ProfileInput {
	return person.ProfileInput{
		FirstName: in.FirstName, LastName: in.LastName, DOB: (*time.Time)(in.DOB), Address: in.Address,
		Postcode: in.Postcode, City: in.City, Country: in.Country, Metadata: in.Metadata, Submit: in.Confirm,
	}
}

func (a *API) profiles(g rest.Group[me]) {
	const country = "country.must have alpha2 or alpha3 format"
	fields := rest.Rules("first_name.invalid", "first_name.too_long", "last_name.invalid", "last_name.too_long",
		"city.invalid", "city.too_long", country, "postcode.invalid", "postcode.too_short", "postcode.too_long",
		"address.invalid", "address.too_long", "metadata.too_long", "metadata.invalid_format", "dob.invalid")
	rest.Add(g, rest.Op{Method: "GET", Path: "/me", Summary: "List your profiles."}, a.listProfiles)
	rest.Add(g, rest.Op{
		Method: "POST", Summary: "Create a profile.",
		Errors: rest.All(fields, rest.On(person.ErrProfileOpen, 409, "state.exists")),
	}, a.createProfile)
	rest.Add(g, rest.Op{
		Method: "PUT", Summary: "Change your draft of a profile; what is not sent stays.",
		Errors: rest.All(fields, rest.On(person.ErrNoDraft, 404, ".doesnt_exist_or_not_editable")),
	}, a.updateProfile)
}

func (a *API) listProfiles(ctx context.Context, who me, _ rest.None) ([]view.Profile, error) {
	list, err := a.Persons.Profiles(ctx, who.Actor)
	return a.Masks.ProfilesOf(list), err
}

func (a *API) createProfile(ctx context.Context, who me, in profileInput) (view.Profile, error) {
	p, err := a.Persons.CreateProfile(ctx, who.Actor, in.input())
	return a.Masks.ProfileOf(p), err
}

func (a *API) updateProfile(ctx context.Context, who me, in profileInput) (view.Profile, error) {
	p, err := a.Persons.UpdateProfile(ctx, who.Actor, in.input())
	return a.Masks.ProfileOf(p), err
}
