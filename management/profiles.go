package management

import (
	"context"
	"time"

	"barong/internal/person"
	"barong/internal/rest"
	"barong/internal/view"
)

// statement is a profile as a peer service sends it.
type statement struct {
	FirstName *string    `name:"first_name" rule:"nonblank"`
	LastName  *string    `name:"last_name" rule:"nonblank"`
	DOB       *rest.Date `name:"dob" rule:"nonblank" doc:"YYYY-MM-DD."`
	Address   *string    `name:"address" rule:"nonblank"`
	Postcode  *string    `name:"postcode" rule:"nonblank" in:"body"`
	City      *string    `name:"city" rule:"nonblank"`
	Country   *string    `name:"country" rule:"nonblank" doc:"ISO 3166, two or three letters."`
	State     *string    `name:"state" rule:"nonblank" doc:"Of the profile: drafted, which is the default, submitted, verified or rejected."`
}

type profileInput struct {
	UID string `name:"uid" rule:"required,nonblank"`
	statement
	Metadata *string `name:"metadata" rule:"nonblank" doc:"JSON text."`
}

type personImport struct {
	Email    string  `name:"email" rule:"required,nonblank"`
	Digest   string  `name:"password_digest" rule:"required,nonblank" in:"body" doc:"Of bcrypt: $2a$, $2b$ or $2y$, of cost 15 at most."`
	Referral *string `name:"referral_uid" rule:"nonblank" doc:"The uid of the user who referred this one."`
	Phone    *string `name:"phone" rule:"nonblank" doc:"International; it counts as verified."`
	statement
}

// profileRules are the rules that a profile can break, but for those of metadata.
var profileRules = rest.Rules("first_name.invalid", "first_name.too_long", "last_name.invalid", "last_name.too_long",
	"city.invalid", "city.too_long", "country.must have alpha2 or alpha3 format", "postcode.invalid", "postcode.too_short", "postcode.too_long",
	"address.invalid", "address.too_long", "dob.invalid", "state.inclusion")

func (a *API) profiles(g rest.Group[services]) {
	rest.Add(a.scoped(g, usersWriteScope), rest.Op{
		Method: "POST", Summary: "Add a profile of a user, in any state; of drafted and submitted ones there may be one.",
		Errors: rest.All(noUser, profileRules, rest.Rules("metadata.too_long", "metadata.invalid_format", "state.exists")),
	}, a.createProfile)
}

func (a *API) createProfile(ctx context.Context, who services, in profileInput) (view.UserWithProfile, error) {
	p := in.entry()
	p.Metadata = in.Metadata
	u, err := a.Persons.EnterProfile(ctx, who.Actor, in.UID, p)
	if err != nil {
		return view.UserWithProfile{}, err
	}
	return a.withProfiles(ctx, u)
}

// importErrors are those of an import.
var importErrors = rest.All(
	rest.OnText(person.ErrUserExists, 422, "User already exists by this email"),
	rest.Rules("referral_id.doesnt_exist", "email.invalid", "email.too_long", "password_digest.invalid", "number.invalid", "number.taken"),
	profileRules)

func (a *API) importPerson(ctx context.Context, who services, in personImport) (view.UserWithProfile, error) {
	u, err := a.Persons.ImportPerson(ctx, who.Actor, person.Import{
		Email: in.Email, Digest: in.Digest, Referral: in.Referral, Phone: in.Phone, Profile: in.entry(),
	})
	if err != nil {
		return view.UserWithProfile{}, err
	}
	return a.withProfiles(ctx, u)
}

func (in statement) entry() person.ProfileEntry {
	p := person.ProfileEntry{ProfileInput: person.ProfileInput{
		FirstName: in.FirstName, LastName: in.LastName, Address: in.Address, Postcode: in.Postcode, City: in.City, Country: in.Country,
		DOB: (*time.Time)(in.DOB),
	}}
	if in.State != nil {
		p.State = *in.State
	}
	return p
}
