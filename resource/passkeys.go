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

// passkeyProof is the proof that it is the owner who changes the ways in.
type passkeyProof struct {
	Password string `name:"password" rule:"required,nonblank" in:"body" doc:"Your current password."`
	Code     string `name:"code" in:"body" doc:"Code from the authenticator app, when the second factor is on."`
}

type newPasskey struct {
	Credential rest.TextOrObject `name:"credential" rule:"required" in:"body" invalid:".invalid_passkey" doc:"PublicKeyCredential.toJSON() of navigator.credentials.create, as an object or its JSON."`
	Name       string            `name:"name" in:"body" doc:"For yourself; at most 64 characters."`
}

type passkeyName struct {
	ID   string `name:"id"`
	Name string `name:"name" rule:"required,nonblank" in:"body" doc:"At most 64 characters."`
}

type passkeyRef struct {
	ID string `name:"id"`
	passkeyProof
}

// maxCredential is the longest answer of a device, in bytes.
const maxCredential = 64 << 10

func (a *API) passkeys(g rest.Group[me]) {
	off := rest.On(factor.ErrNoPasskeys, 422, ".not_configured")
	tooMany := rest.On(factor.ErrTooManyPasskeys, 422, ".limit_reached")
	proofs := rest.All(
		rest.On(signin.ErrWrongPassword, 422, ".invalid_password"),
		rest.On(factor.ErrMissingOTP, 422, ".missing_code"),
		rest.On(factor.ErrInvalidOTP, 422, ".invalid_code"),
		rest.On(factor.ErrOTPReplay, 422, "totp.error"),
		sealErrors)
	rest.Add(g, rest.Op{Method: "GET", Summary: "List your passkeys, the oldest first."}, a.listPasskeys)
	rest.Add(g, rest.Op{
		Method: "POST", Path: "/begin", Cost: limit.Write | limit.Hash,
		Summary: "Begin a new passkey: the answer is what navigator.credentials.create takes, good for five minutes in this browser.",
		Errors:  rest.All(proofs, off, tooMany),
	}, a.beginPasskey)
	rest.Add(g, rest.Op{
		Method: "POST", Cost: limit.Write | limit.Notice, MaxBody: maxCredential,
		Summary: "Register the passkey that the browser has made; every other session ends, and the password alone does not sign in any more.",
		Errors: rest.All(
			off, tooMany, sealErrors, sessionEnded,
			rest.On(factor.ErrNoChallenge, 422, ".challenge_expired"),
			rest.On(factor.ErrBadPasskey, 422, ".invalid_passkey"),
			rest.On(factor.ErrPasskeyTaken, 422, ".already_registered"),
			rest.Rules("name.too_long")),
	}, a.addPasskey)
	rest.Add(g, rest.Op{
		Method: "PUT", Path: "/{id}", Summary: "Give a passkey another name.",
		Errors: rest.All(sealErrors, rest.Rules("name.too_long")),
	}, a.renamePasskey)
	rest.Add(g, rest.Op{
		Method: "DELETE", Path: "/{id}", Cost: limit.Write | limit.Hash,
		Summary: "Delete a passkey; every other session ends.",
		Errors:  rest.All(proofs, sessionEnded),
	}, a.deletePasskey)
}

func (a *API) listPasskeys(ctx context.Context, who me, _ rest.None) ([]view.Passkey, error) {
	all, err := a.Codes.Passkeys(ctx, who.Actor)
	shown := make([]view.Passkey, len(all))
	for i, p := range all {
		shown[i] = view.PasskeyOf(p)
	}
	return shown, err
}

func (a *API) beginPasskey(ctx context.Context, who me, in passkeyProof) (out rest.Reply[view.PasskeyCreation, rest.Cookies], err error) {
	c, err := a.SignIns.BeginPasskey(ctx, who.Actor, in.Password, in.Code)
	if err != nil {
		return out, err
	}
	out.Body = view.PasskeyCreationOf(c)
	out.Header.Set = []string{factor.SetChallenge(c.Cookie, a.Cookies.Insecure)}
	return out, nil
}

func (a *API) addPasskey(ctx context.Context, who me, in newPasskey) (out rest.Reply[view.Passkey, rest.Cookies], err error) {
	var p factor.Passkey
	kept, err := a.renewed(ctx, who, func(by account.Actor) (generation int64, err error) {
		p, generation, err = a.Codes.AddPasskey(ctx, by, who.challenge, in.Credential.JSON(), in.Name)
		return generation, err
	})
	if err != nil {
		return out, err
	}
	out.Body, out.Header = view.PasskeyOf(p), kept.Header
	return out, nil
}

func (a *API) renamePasskey(ctx context.Context, who me, in passkeyName) (view.Passkey, error) {
	p, err := a.Codes.RenamePasskey(ctx, who.Actor, in.ID, in.Name)
	return view.PasskeyOf(p), err
}

func (a *API) deletePasskey(ctx context.Context, who me, in passkeyRef) (done, error) {
	return a.renewed(ctx, who, func(by account.Actor) (int64, error) {
		return a.SignIns.DeletePasskey(ctx, by, in.Password, in.Code, in.ID)
	})
}
