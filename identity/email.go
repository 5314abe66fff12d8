package identity

import (
	"context"

	"barong/internal/captcha"
	"barong/internal/limit"
	"barong/internal/rest"
	"barong/internal/signin"
	"barong/internal/token"
)

type mailRequest struct {
	Email string `name:"email" rule:"required,nonblank"`
	captchaInput
	Lang string `name:"lang" doc:"Language of the mail, where the account says none: en or ru."`
}

type confirmEmail struct {
	Token    string `name:"token" rule:"required,nonblank" in:"body" doc:"From the mail."`
	Password string `name:"password" in:"body" doc:"The one of the sign-up, if the page asks for it: it then stays. It also stays in the browser of the sign-up; anywhere else it goes, and a mail lets the user choose another."`
	Lang     string `name:"lang" doc:"Language of mails, where the account says none: en or ru."`
}

func (a *API) email(g rest.Group[visitor]) {
	rest.Add(g, rest.Op{
		Method: "POST", Path: "/generate_code", Cost: limit.Write | limit.Mail | called(a.Captcha.Protects(captcha.Confirmation)),
		Summary: "Ask for another confirmation mail; the answer is the same whether there is such an account or not.",
		Errors:  captchaErrors,
	}, a.sendConfirmation)
	rest.Add(a.sameSite(g), rest.Op{
		Method: "POST", Path: "/confirm_code", Cost: limit.Write | limit.Hash | limit.Notice,
		Summary: "Confirm your e-mail address. Where the second factor is on, no session is opened and csrf_token is absent.",
		Errors: rest.All(
			addressErrors,
			rest.On(signin.ErrActiveOrUnknown, 422, ".active_or_doesnt_exist"),
			rest.On(signin.ErrUtilizedToken, 422, ".utilized_token"),
			linkErrors,
		),
	}, a.confirmEmail)
}

func (a *API) sendConfirmation(ctx context.Context, who visitor, in mailRequest) (rest.None, error) {
	if err := a.Captcha.Check(ctx, captcha.Confirmation, in.response()); err != nil {
		return rest.None{}, err
	}
	return rest.None{}, a.SignIns.SendConfirmation(ctx, signin.MailRequest{
		Email: in.Email, Language: a.Language(in.Lang), Client: who.Client,
	})
}

func (a *API) confirmEmail(ctx context.Context, who visitor, in confirmEmail) (out welcome, err error) {
	d := a.admission(who)
	u, session, err := a.SignIns.ConfirmEmail(ctx, signin.Confirmation{
		Token: in.Token, Password: in.Password, Language: a.Language(in.Lang), Device: who.device,
		Admit: d.ask, Client: who.Client,
	})
	switch {
	case err != nil:
		return out, err
	case !session:
		return a.show(ctx, u)
	}
	return a.openHere(ctx, who, d, u)
}

// linkErrors are the refusals of a mailed token that does not verify.
var linkErrors = rest.Rules(token.MailRefusals()...)
