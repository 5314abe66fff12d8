package management

import (
	"context"

	"barong/internal/person"
	"barong/internal/rest"
	"barong/internal/view"
)

type phonesOf struct {
	UID string `name:"uid" rule:"required,nonblank"`
}

type phoneRef struct {
	UID    string `name:"uid" rule:"required,nonblank"`
	Number string `name:"number" rule:"required,nonblank" doc:"International, with or without +; blanks between digits do not count."`
}

// unmasked shows all of a person.
const unmasked = view.Masks(false)

func (a *API) phones(g rest.Group[services]) {
	g = g.Failing(noUser)
	rest.Add(a.scoped(g, phonesReadScope), rest.Op{Method: "POST", Path: "/get", Summary: "List the phones of a user."}, a.listPhones)
	write := a.scoped(g, phonesWriteScope)
	rest.Add(write, rest.Op{
		Method: "POST", Summary: "Give a user a phone that counts as verified; the label phone stays as it is.",
		Errors: rest.All(
			rest.OnText(person.ErrNoNumber, 400, "management.phone.invalid_num"),
			rest.OnText(person.ErrPhoneProved, 400, "management.phone.number_exist"),
			rest.OnText(person.ErrPhoneHeld, 400, "management.phone.exists")),
	}, a.createPhone)
	rest.Add(write, rest.Op{
		Method: "POST", Path: "/delete", Summary: "Take a phone away; the label phone stays as it is.",
		Errors: rest.OnText(person.ErrNoPhone, 422, "management.phone.doesnt_exists"),
	}, a.deletePhone)
}

func (a *API) listPhones(ctx context.Context, _ services, in phonesOf) ([]view.Phone, error) {
	all, err := a.Persons.PhonesOf(ctx, in.UID)
	return unmasked.PhonesOf(all), err
}

func (a *API) createPhone(ctx context.Context, who services, in phoneRef) (view.Phone, error) {
	p, err := a.Persons.EnterPhone(ctx, who.Actor, in.UID, in.Number)
	return unmasked.PhoneOf(p), err
}

func (a *API) deletePhone(ctx context.Context, who services, in phoneRef) (view.Phone, error) {
	p, err := a.Persons.RemovePhone(ctx, who.Actor, in.UID, in.Number)
	return unmasked.PhoneOf(p), err
}
