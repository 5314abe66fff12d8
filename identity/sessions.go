package identity

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"barong/internal/account"
	"barong/internal/rest"
	"barong/internal/session"
	"barong/internal/view"
)

// Accounts is what this package asks of account.Service.
type Accounts interface {
	// SignIn proves who somebody is. ErrBadCredentials, ErrBanned, ErrDeleted,
	// ErrNotActive, ErrMissingOTP, ErrInvalidOTP, ErrOTPReplay, TooManyAttempts.
	SignIn(ctx context.Context, in account.SignIn) (account.User, error)
	// SignedOut records that somebody has signed out.
	SignedOut(ctx context.Context, by account.Actor) error
}

// Users is what this package reads; account.Store is one.
type Users interface {
	// User loads by uid; account.ErrNotFound.
	User(ctx context.Context, uid string) (account.User, error)
	// Labels lists a user's labels of both scopes, in row order.
	Labels(ctx context.Context, uid string) ([]account.Label, error)
}

// Sessions is what this package asks of session.Manager.
type Sessions interface {
	// Open starts a session and ends the one that it replaces.
	Open(ctx context.Context, o session.Opening, now time.Time) (cookie string, s session.Session, err error)
	// Lookup finds the session of a cookie value; session.ErrNotFound.
	Lookup(ctx context.Context, cookie string, now time.Time) (*session.Entry, error)
	// End ends one; an error means that it may live on.
	End(ctx context.Context, id session.ID) error
}

type signIn struct {
	Email    rest.Lenient      `name:"email" rule:"required"`
	Password rest.Lenient      `name:"password" rule:"required" in:"body"`
	Captcha  rest.TextOrObject `name:"captcha_response" in:"body" invalid:"identity.session.invalid_captcha_format"`
	OTPCode  string            `name:"otp_code" in:"body" doc:"Code from the authenticator app, when the second factor is on."`
}

func (a *API) sessions(g *rest.Group) {
	rest.Add(g, rest.Op{
		Method: http.MethodPost, Status: http.StatusCreated,
		Summary: "Sign in; the answer sets the session cookie and holds the CSRF token.",
		Errors: []rest.Failure{
			rest.On(account.ErrBadCredentials, http.StatusUnauthorized, "identity.session.invalid_params"),
			rest.On(account.ErrBanned, http.StatusUnauthorized, "identity.session.banned"),
			rest.On(account.ErrDeleted, http.StatusUnauthorized, "identity.session.deleted"),
			rest.On(account.ErrNotActive, http.StatusUnauthorized, "identity.session.not_active"),
			rest.On(account.ErrMissingOTP, http.StatusUnauthorized, "identity.session.missing_otp"),
			rest.On(account.ErrInvalidOTP, http.StatusForbidden, "identity.session.invalid_otp"),
			rest.On(account.ErrOTPReplay, http.StatusUnprocessableEntity, "totp.error"),
			rest.On(account.ErrSeal, http.StatusUnprocessableEntity, "totp.error"),
			rest.On(account.ErrTooManyAttempts, http.StatusTooManyRequests, "identity.session.too_many_requests").After(wait),
		},
	}, sameSite(a, a.signIn))
	rest.Add(g, rest.Op{
		Method: http.MethodDelete, Status: http.StatusNoContent,
		Summary: "Sign out.",
		Errors: []rest.Failure{
			rest.On(errNoSession, http.StatusNotFound, "identity.session.not_found"),
		},
	}, sameSite(a, a.signOut))
}

// errNoSession says that the request came with no session that still stands.
var errNoSession = errors.New("identity: no session")

func (a *API) signIn(ctx context.Context, who visitor, in signIn) (out rest.With[view.UserWithFullInfo], err error) {
	u, err := a.Accounts.SignIn(ctx, account.SignIn{
		Email: string(in.Email), Password: string(in.Password), OTPCode: in.OTPCode,
		Client: who.Client,
	})
	if err != nil {
		return out, err
	}
	labels, err := a.Users.Labels(ctx, u.UID)
	if err != nil {
		return out, fmt.Errorf("load labels: %w", err)
	}
	cookie, s, err := a.Sessions.Open(ctx, session.Opening{
		UID: u.UID, Generation: u.SessionGeneration, IP: who.IP, UserAgent: who.UserAgent, Replaces: who.cookie,
	}, a.Now())
	if err != nil {
		return out, fmt.Errorf("open session: %w", err)
	}
	out.Body = view.UserWithFullInfoOf(u, labels)
	out.Body.CSRFToken = s.CSRFToken
	out.SetCookie = a.setCookie(cookie)
	return out, nil
}

func (a *API) signOut(ctx context.Context, who visitor, _ rest.None) (out rest.With[rest.None], err error) {
	e, err := a.Sessions.Lookup(ctx, who.cookie, a.Now())
	if errors.Is(err, session.ErrNotFound) {
		return out, errNoSession
	}
	if err != nil {
		return out, fmt.Errorf("find session: %w", err)
	}
	u, err := a.Users.User(ctx, e.UID)
	switch {
	case errors.Is(err, account.ErrNotFound):
		return out, errNoSession
	case err != nil:
		return out, fmt.Errorf("load user: %w", err)
	case u.SessionGeneration != e.Generation, !a.Now().Before(e.Expires()):
		return out, errNoSession
	}
	if err := a.Sessions.End(ctx, e.ID); err != nil {
		return out, err
	}
	// The session has ended, which is what was asked; a lost activity is the log's matter.
	err = a.Accounts.SignedOut(ctx, account.Actor{
		UID: u.UID, Role: u.Role, SessionID: e.ID, Client: who.Client,
	})
	if err != nil {
		a.Log.ErrorContext(ctx, "sign-out not recorded",
			slog.String("request_id", rest.RequestID(ctx)), slog.Any("error", err))
	}
	out.SetCookie = a.clearCookie()
	return out, nil
}

// wait is how long an account.TooManyAttempts asks for.
func wait(err error) time.Duration {
	many, _ := errors.AsType[account.TooManyAttempts](err)
	return many.RetryAfter
}
