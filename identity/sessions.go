package identity

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"

	"barong/internal/account"
	"barong/internal/captcha"
	"barong/internal/factor"
	"barong/internal/limit"
	"barong/internal/rest"
	"barong/internal/session"
	"barong/internal/signin"
)

type signIn struct {
	Email    rest.Lenient      `name:"email" rule:"required"`
	Password rest.Lenient      `name:"password" rule:"required" in:"body"`
	Captcha  rest.TextOrObject `name:"captcha_response" in:"body" invalid:".invalid_captcha_format"`
	OTPCode  string            `name:"otp_code" in:"body" doc:"Code from the authenticator app, or a recovery code, when the second factor is on."`
}

func (a *API) sessions(g rest.Group[visitor]) {
	g = a.sameSite(g)
	rest.Add(g, rest.Op{
		Method: "POST", Reference: 200,
		Cost:    limit.Write | limit.Hash | limit.Notice | called(a.Captcha.Protects(captcha.SignIn)),
		Summary: "Sign in; the answer sets the session cookie and holds the CSRF token.",
		Errors: rest.All(
			rest.On(signin.ErrBadCredentials, 401, ".invalid_params"),
			signInErrors, captchaErrors,
		),
	}, a.signIn)
	rest.Add(g, rest.Op{
		Method: "DELETE", Reference: 200, Cost: limit.Write, Summary: "Sign out.",
		Errors: rest.On(errNoSession, 404, ".not_found").SetCookie(a.Cookies.Clear()),
	}, a.signOut)
}

// stateErrors are the refusals of accounts and addresses that may not act, and signInErrors all that come
// after the first factor was proved.
var (
	stateErrors = rest.All(
		addressErrors,
		rest.On(signin.ErrBanned, 401, ".banned"),
		rest.On(signin.ErrDeleted, 401, ".deleted"),
		rest.On(signin.ErrNotActive, 401, ".not_active"))
	signInErrors = rest.All(
		stateErrors,
		rest.On(factor.ErrMissingOTP, 401, ".missing_otp"),
		rest.On(factor.ErrInvalidOTP, 403, ".invalid_otp"),
		rest.On(factor.ErrOTPReplay, 422, "totp.error"),
		rest.On(account.ErrSeal, 422, "totp.error"))
)

// errNoSession says that the request came with no session, not even one that is over.
var errNoSession = errors.New("identity: no session")

func (a *API) signIn(ctx context.Context, who visitor, in signIn) (out welcome, err error) {
	d := a.admission(who)
	attempt := signin.SignIn{
		Email: string(in.Email), Password: string(in.Password), OTPCode: in.OTPCode,
		Device: who.device, Admit: d.ask, Client: who.Client,
	}
	// A client that comes back with the code has used the captcha up, and a page sends it again (D30).
	if a.Captcha.Protects(captcha.SignIn) && strings.TrimSpace(in.OTPCode) != "" {
		if attempt.Human, err = a.SignIns.AwaitsCode(ctx, attempt); err != nil {
			return out, err
		}
	}
	if !attempt.Human {
		if err := a.Captcha.Check(ctx, captcha.SignIn, captcha.ResponseOf(in.Captcha.Text, in.Captcha.Object)); err != nil {
			return out, err
		}
		attempt.Human = a.Captcha.Protects(captcha.SignIn)
	}
	u, err := a.SignIns.SignIn(ctx, attempt)
	if err != nil {
		return out, err
	}
	return a.open(ctx, who, d, u)
}

// signOut ends the sessions that the request came with: of several cookies one may be left
// over from another path or domain, and then none of them is wanted any more. One that ran out,
// or ended with all others of its user, is over already: a page that signs its visitor out then
// must not fail.
func (a *API) signOut(ctx context.Context, who visitor, _ rest.None) (out rest.Reply[rest.None, rest.Cookies], err error) {
	known := false
	for _, cookie := range who.cookies {
		found, err := a.signOutOf(ctx, who, cookie)
		if err != nil {
			return out, err
		}
		known = known || found
	}
	if !known {
		return out, errNoSession
	}
	out.Header.Set = append([]string{a.Cookies.Clear()}, who.twins...)
	return out, nil
}

// signOutOf ends the session of one cookie and reports whether there is any, even one that is
// over.
func (a *API) signOutOf(ctx context.Context, who visitor, cookie string) (known bool, err error) {
	e, err := a.Sessions.Lookup(ctx, cookie, a.Now())
	if errors.Is(err, session.ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("find session: %w", err)
	}
	u, err := a.Users.User(ctx, e.UID)
	switch {
	case errors.Is(err, account.ErrNotFound):
		return false, nil
	case err != nil:
		return false, fmt.Errorf("load user: %w", err)
	}
	if err := a.Sessions.End(ctx, e.ID); err != nil {
		return false, err
	}
	if !e.Of(u.SessionGeneration, e.Epoch) { // nobody signs out of a session that others ended
		return true, nil
	}
	// The session has ended, as asked; a lost activity is the log's matter.
	err = a.SignIns.RecordSignOut(ctx, account.Actor{
		UID: u.UID, Role: u.Role, Client: who.Client,
	})
	if err != nil {
		a.Log.ErrorContext(ctx, "sign-out not recorded",
			slog.String("request_id", rest.RequestID(ctx)), slog.Any("error", err))
	}
	return true, nil
}
