package identity

import (
	"context"

	"barong/internal/captcha"
	"barong/internal/limit"
	"barong/internal/rest"
	"barong/internal/signin"
)

type signUp struct {
	Email    string  `name:"email" rule:"required,nonblank"`
	Password string  `name:"password" rule:"required,nonblank" in:"body"`
	Username *string `name:"username" doc:"4 to 12 letters and digits."`
	RefID    *string `name:"refid" doc:"uid of the user that recommended us."`
	captchaInput
	Data *string `name:"data" doc:"Text of a JSON object of the client's own, at most 1024 characters; its member language is that of mails."`
	Lang string  `name:"lang" doc:"Language of mails, where data says none: en or ru."`
}

func (a *API) users(g rest.Group[visitor]) {
	rest.Add(a.sameSite(g), rest.Op{
		Method: "POST", Cost: limit.Write | limit.Hash | limit.Mail | called(a.Captcha.Verifier != nil),
		Summary: "Sign up; the answer sets the session cookie and holds the CSRF token.",
		Errors: rest.All(
			addressErrors,
			rest.On(signin.ErrReferralFormat, 422, ".invalid_referral_format"),
			rest.On(signin.ErrReferralUnknown, 422, ".referral_doesnt_exist"),
			rest.Rules("data.too_long", "data.invalid_format", "role.doesnt_exist", "email.invalid", "email.taken",
				"username.too_short", "username.too_long", "username.invalid", "username.taken",
				"password.too_long", "password.requirements", "password.weak"),
			captchaErrors,
		),
	}, a.signUp)
}

func (a *API) signUp(ctx context.Context, who visitor, in signUp) (out welcome, err error) {
	proved, err := a.Captcha.Prove(ctx, captcha.SignUp, in.response(), in.Captcha.Text != "" || in.Captcha.Object != nil)
	if err != nil {
		return out, err
	}
	d := a.admission(who)
	u, err := a.SignIns.SignUp(ctx, signin.SignUp{
		Email: in.Email, Password: in.Password, Username: in.Username, Data: in.Data, RefID: in.RefID,
		Unproved: !proved, Language: a.Language(in.Lang), Admit: d.ask, Client: who.Client,
	})
	if err != nil {
		return out, err
	}
	return a.openHere(ctx, who, d, u)
}
