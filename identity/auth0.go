package identity

import (
	"context"
	"errors"

	"barong/internal/limit"
	"barong/internal/rest"
	"barong/internal/signin"
	"barong/internal/token"
)

// An IDVerifier checks ID tokens of the configured OpenID Connect provider.
type IDVerifier interface {
	// Verify returns the claims of a good token. token.ErrIDToken: it is refused; any other
	// error is an outage of the provider.
	Verify(ctx context.Context, idToken string) (token.IDClaims, error)
}

// errNoAuth0 says that no provider is configured.
var errNoAuth0 = errors.New("identity: auth0 is not configured")

type auth0SignIn struct {
	Token   string `name:"id_token" rule:"required,nonblank" in:"body" doc:"OpenID Connect ID token, RS256."`
	Nonce   string `name:"nonce" in:"body" doc:"The nonce that the page asked the provider with; with it the token must hold the same, so that a token which was read elsewhere does not sign in."`
	OTPCode string `name:"otp_code" in:"body" doc:"Code from the authenticator app, or a recovery code, when the second factor is on."`
	Lang    string `name:"lang" doc:"Language of mails, where the account says none: en or ru."`
}

func (a *API) auth0(g rest.Group[visitor]) {
	const refused = "identity.session.auth0.invalid_params"
	rest.Add(a.sameSite(g), rest.Op{
		Method: "POST", Path: "/auth0", Status: 200, Reference: 201,
		Cost:    limit.Write | limit.Hash | limit.Notice | called(a.Auth0 != nil),
		Summary: "Sign in, or up, with an ID token of Auth0; the answer sets the session cookie and holds the CSRF token.",
		Errors: rest.All(
			rest.Alike(401, refused, signin.ErrUnverifiedEmail),
			rest.Alike(422, refused, errNoAuth0, token.ErrIDToken, signin.ErrOtherNonce, signin.ErrBadEmail,
				signin.ErrBadCredentials, // the account changed while it was signed in to
				signin.ErrTokenUsed, signin.ErrVerificationAbsent),
			signInErrors,
		),
	}, a.signInAuth0)
}

func (a *API) signInAuth0(ctx context.Context, who visitor, in auth0SignIn) (out welcome, err error) {
	if a.Auth0 == nil {
		return out, errNoAuth0
	}
	claims, err := a.Auth0.Verify(ctx, in.Token)
	if err != nil {
		return out, err
	}
	d := a.admission(who)
	u, err := a.SignIns.SignInAuth0(ctx, signin.Auth0{
		Email: claims.Email, EmailVerified: claims.EmailVerified, OTPCode: in.OTPCode, Asked: in.Nonce,
		Nonce: claims.Nonce, Token: claims.Fingerprint, ExpiresAt: claims.ExpiresAt,
		Language: a.Language(in.Lang), Device: who.device, Admit: d.ask, Client: who.Client,
	})
	if err != nil {
		return out, err
	}
	return a.open(ctx, who, d, u)
}
