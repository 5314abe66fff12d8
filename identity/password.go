package identity

import (
	"context"
	"errors"

	"barong/internal/captcha"
	"barong/internal/limit"
	"barong/internal/rest"
	"barong/internal/signin"
)

// errPasswordsDiffer says that the new password was not given twice.
var errPasswordsDiffer = errors.New("identity: the passwords differ")

type resetPassword struct {
	Token    string `name:"reset_password_token" rule:"required,nonblank" in:"body" missing:".missing_pass_token" doc:"From the mail."`
	Password string `name:"password" rule:"required,nonblank" in:"body"`
	Confirm  string `name:"confirm_password" rule:"required,nonblank" in:"body" doc:"The same again."`
	Lang     string `name:"lang" doc:"Language of mails, where the account says none: en or ru."`
}

func (a *API) password(g rest.Group[visitor]) {
	rest.Add(g, rest.Op{
		Method: "POST", Path: "/generate_code", Cost: limit.Write | limit.Mail | called(a.Captcha.Protects(captcha.Reset)),
		Summary: "Ask for a mail that lets you set a new password; the answer is the same whether there is such an account or not.",
		Errors:  captchaErrors,
	}, a.sendReset)
	rest.Add(g, rest.Op{
		Method: "POST", Path: "/confirm_code", Cost: limit.Write | limit.Hash | limit.Notice,
		Summary: "Set a new password by a mailed link; ends every session.",
		Errors: rest.All(
			rest.On(errPasswordsDiffer, 422, ".passwords_doesnt_match"),
			rest.On(signin.ErrUtilizedToken, 422, ".utilized_token"),
			rest.Rules("password.too_long", "password.requirements", "password.weak"),
			linkErrors,
		),
	}, a.resetPassword)
}

func (a *API) sendReset(ctx context.Context, who visitor, in mailRequest) (rest.None, error) {
	if err := a.Captcha.Check(ctx, captcha.Reset, in.response()); err != nil {
		return rest.None{}, err
	}
	return rest.None{}, a.SignIns.SendReset(ctx, signin.MailRequest{
		Email: in.Email, Language: a.Language(in.Lang), Client: who.Client,
	})
}

func (a *API) resetPassword(ctx context.Context, who visitor, in resetPassword) (rest.None, error) {
	if in.Password != in.Confirm {
		return rest.None{}, errPasswordsDiffer
	}
	return rest.None{}, a.SignIns.ResetPassword(ctx, signin.Reset{
		Token: in.Token, Password: in.Password, Language: a.Language(in.Lang), Client: who.Client,
	})
}
