package resource

import (
	"context"

	"barong/internal/limit"
	"barong/internal/person"
	"barong/internal/rest"
	"barong/internal/view"
)

// phoneInput is a number to which a code is to be sent.
type phoneInput struct {
	Number  string `name:"phone_number" rule:"required,nonblank" doc:"International, with the country code; spaces and signs do not matter."`
	Channel string `name:"channel" enum:"sms,call" default:"sms" value:".invalid_channel" doc:"How the code comes. A provider of messages alone sends a message."`
}

type phoneCode struct {
	Number string `name:"phone_number" rule:"required,nonblank"`
	Code   string `name:"verification_code" rule:"required,nonblank" in:"body" doc:"The code that was sent last, within ten minutes and five tries."`
}

// sent is the answer of a code that is on its way.
type sent struct {
	Message string `json:"message"`
}

func (a *API) phones(g rest.Group[me]) {
	number := rest.All(
		rest.On(person.ErrNoNumber, 400, ".invalid_num"),
		rest.On(person.ErrPhoneProved, 400, ".number_exist"),
		rest.On(person.ErrPhonesOff, 422, ".verification_off"),
		rest.On(person.ErrPhoneProvider, 422, ".twilio_unexpected"),
	)
	foreign := rest.On(person.ErrNoPhone, 404, ".doesnt_exist")
	code := rest.All(number,
		rest.On(person.ErrPhoneUnreachable, 422, ".num_not_reachable"),
		rest.On(person.ErrPhoneInvalid, 422, ".num_not_valid"),
		rest.On(person.ErrPhoneContent, 422, ".sms_content_invalid"),
		rest.On(person.ErrPhoneUnsubscribed, 422, ".unsubscribed_recipient"))
	const cost = limit.Write | limit.Call
	rest.Add(g, rest.Op{Method: "GET", Summary: "List your phones, those that await their proof among them."}, a.listPhones)
	rest.Add(g, rest.Op{
		Method: "POST", Status: 200, Reference: 201, Cost: cost, Summary: "Add a phone; a code is sent to it.",
		Errors: rest.All(code,
			rest.On(person.ErrPhoneHeld, 400, ".exists"), rest.On(person.ErrTooManyPhones, 400, ".limit_reached")),
	}, a.addPhone)
	rest.Add(g, rest.Op{
		Method: "POST", Path: "/send_code", Status: 200, Reference: 201, Cost: cost,
		Summary: "Send another code to a phone of yours, in place of the former one.",
		Errors:  rest.All(code, foreign),
	}, a.sendPhoneCode)
	rest.Add(g, rest.Op{
		Method: "POST", Path: "/verify", Cost: cost,
		Summary: "Prove that a phone is yours by the code that was sent to it.",
		Errors:  rest.All(number, foreign, rest.On(person.ErrWrongPhoneCode, 404, ".verification_invalid")),
	}, a.verifyPhone)
}

func (a *API) listPhones(ctx context.Context, who me, _ rest.None) ([]view.Phone, error) {
	list, err := a.Persons.Phones(ctx, who.Actor)
	return a.Masks.PhonesOf(list), err
}

func (a *API) addPhone(ctx context.Context, who me, in phoneInput) (sent, error) {
	via, err := a.Persons.AddPhone(ctx, who.Actor, in.Number, in.Channel)
	return sentBy(via), err
}

func (a *API) sendPhoneCode(ctx context.Context, who me, in phoneInput) (sent, error) {
	via, err := a.Persons.SendPhoneCode(ctx, who.Actor, in.Number, in.Channel)
	return sentBy(via), err
}

func sentBy(channel string) sent { return sent{"Code was sent successfully via " + channel} }

func (a *API) verifyPhone(ctx context.Context, who me, in phoneCode) (view.UserWithFullInfo, error) {
	u, err := a.Persons.VerifyPhone(ctx, who.Actor, in.Number, in.Code)
	if err != nil {
		return view.UserWithFullInfo{}, err
	}
	who.User = u
	return a.readMe(ctx, who, rest.None{})
}
