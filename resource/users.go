package resource

import (
	"context"

	"barong/internal/account"
	"barong/internal/factor"
	"barong/internal/limit"
	"barong/internal/rest"
	"barong/internal/signin"
	"barong/internal/view"
)

// ownData is the data of the account. Clients may send the whole account with it, as they have read
// it; all else of that is ignored.
type ownData struct {
	Data string `name:"data" rule:"required,nonblank" doc:"Text of a JSON object of the client's own, at most 1024 characters."`
}

type deletion struct {
	Password string  `name:"password" rule:"required,nonblank" in:"query"`
	Code     *string `name:"otp_code" rule:"nonblank" in:"query" doc:"Needed when the second factor is on."`
}

type passwordChange struct {
	Old     string `name:"old_password" rule:"required,nonblank" in:"body"`
	New     string `name:"new_password" rule:"required,nonblank" in:"body"`
	Confirm string `name:"confirm_password" rule:"required,nonblank" in:"body" doc:"The new one again."`
	Lang    string `name:"lang" doc:"Language of the mail about it, where the account says none: en or ru."`
}

func (a *API) readUser(g rest.Group[me]) {
	rest.Add(g, rest.Op{Method: "GET", Path: "/me", Summary: "Read your own account."}, a.readMe)
}

func (a *API) users(g rest.Group[me]) {
	rest.Add(g, rest.Op{
		Method: "PUT", Path: "/me", Summary: "Replace your client's own data.",
		Errors: rest.Rules("data.too_long", "data.invalid_format"),
	}, a.updateMe)
	rest.Add(g, rest.Op{
		Method: "DELETE", Path: "/me", Reference: 200, Cost: limit.Write | limit.Hash,
		Summary: "Delete your own account. Its address and username are free again; its history stays.",
		Errors: rest.All(
			rest.On(signin.ErrWrongPassword, 422, ".invalid_password"),
			rest.On(factor.ErrMissingOTP, 422, ".missing_otp_code"),
			rest.On(factor.ErrInvalidOTP, 422, ".invalid_otp"),
			rest.On(factor.ErrOTPReplay, 422, "totp.error"),
			rest.On(account.ErrLastSuperadmin, 422, ".last_superadmin"),
			sealErrors,
		),
	}, a.deleteMe)
	rest.Add(g, rest.Op{
		Method: "PUT", Path: "/password", Status: 201, Cost: limit.Write | limit.Hash | limit.Notice,
		Summary: "Change your password; every other session ends.",
		Errors: rest.All(
			rest.On(signin.ErrPasswordsDiffer, 422, "resource.password.doesnt_match"),
			rest.On(signin.ErrWrongPassword, 400, "resource.password.prev_pass_not_correct"),
			rest.On(signin.ErrSamePassword, 400, "resource.password.no_change_provided"),
			rest.Rules("password.too_long", "password.requirements", "password.weak"),
			sessionEnded,
		),
	}, a.changePassword)
}

func (a *API) readMe(ctx context.Context, who me, _ rest.None) (view.UserWithFullInfo, error) {
	b, err := a.Persons.Belongings(ctx, who.User.UID)
	return a.Masks.UserWithFullInfoOf(who.User, b), err
}

func (a *API) updateMe(ctx context.Context, who me, in ownData) (view.UserWithFullInfo, error) {
	u, err := a.Accounts.SetData(ctx, who.Actor, in.Data)
	if err != nil {
		return view.UserWithFullInfo{}, err
	}
	who.User = u
	return a.readMe(ctx, who, rest.None{})
}

func (a *API) deleteMe(ctx context.Context, who me, in deletion) (out done, err error) {
	code := ""
	if in.Code != nil {
		code = *in.Code
	}
	if err := a.SignIns.DeleteAccount(ctx, who.Actor, in.Password, code); err != nil {
		return out, err
	}
	out.Header.Set = []string{a.Cookies.Clear()}
	return out, nil
}

func (a *API) changePassword(ctx context.Context, who me, in passwordChange) (done, error) {
	return a.renewed(ctx, who, func(by account.Actor) (int64, error) {
		return a.SignIns.ChangePassword(ctx, by, signin.PasswordChange{
			Old: in.Old, New: in.New, Confirm: in.Confirm, Language: in.Lang,
		})
	})
}
