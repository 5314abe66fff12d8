package identity

import (
	"context"

	"barong/internal/factor"
	"barong/internal/limit"
	"barong/internal/rest"
	"barong/internal/signin"
	"barong/internal/view"
)

type passkeySignIn struct {
	Credential rest.TextOrObject `name:"credential" rule:"required" in:"body" invalid:".invalid_passkey" doc:"PublicKeyCredential.toJSON() of navigator.credentials.get, as an object or its JSON."`
	Lang       string            `name:"lang" doc:"Language of mails, where the account says none: en or ru."`
}

// maxCredential is the longest answer of a device, in bytes.
const maxCredential = 64 << 10

func (a *API) passkey(g rest.Group[visitor]) {
	g = a.sameSite(g)
	off := rest.On(factor.ErrNoPasskeys, 422, ".not_configured")
	rest.Add(g, rest.Op{
		Method: "POST", Path: "/passkey/begin", Cost: limit.Answer,
		Summary: "Begin a sign-in by passkey: the answer is what navigator.credentials.get takes, the same for everybody, good for five minutes in this browser.",
		Errors:  off,
	}, a.beginPasskey)
	rest.Add(g, rest.Op{
		Method: "POST", Path: "/passkey", Cost: limit.Write | limit.Notice, MaxBody: maxCredential,
		Summary: "Sign in by a passkey, which counts as both factors; the answer sets the session cookie and holds the CSRF token.",
		Errors: rest.All(
			off,
			rest.On(factor.ErrNoChallenge, 422, ".challenge_expired"),
			rest.On(factor.ErrBadPasskey, 401, ".invalid_passkey"),
			rest.On(signin.ErrBadCredentials, 401, ".invalid_passkey"), // the account changed while it was signed in to
			rest.On(factor.ErrCopiedPasskey, 401, ".copied_passkey"),
			stateErrors,
		),
	}, a.signInPasskey)
}

func (a *API) beginPasskey(_ context.Context, _ visitor, _ rest.None) (out rest.Reply[view.PasskeyRequest, rest.Cookies], err error) {
	r, err := a.SignIns.BeginPasskeySignIn()
	if err != nil {
		return out, err
	}
	out.Body = view.PasskeyRequestOf(r)
	out.Header.Set = []string{factor.SetChallenge(r.Cookie, a.Cookies.Insecure)}
	return out, nil
}

func (a *API) signInPasskey(ctx context.Context, who visitor, in passkeySignIn) (out welcome, err error) {
	d := a.admission(who)
	u, err := a.SignIns.SignInPasskey(ctx, signin.Passkey{
		Cookie: who.challenge, Answer: in.Credential.JSON(), Language: a.Language(in.Lang), Device: who.device,
		Admit: d.ask, Client: who.Client,
	})
	if err != nil {
		return out, err
	}
	return a.open(ctx, who, d, u)
}
