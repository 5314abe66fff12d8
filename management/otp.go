package management

import (
	"context"
	"encoding/json"
	"errors"
	"strconv"

	"barong/internal/account"
	"barong/internal/factor"
	"barong/internal/rest"
	"barong/internal/token"
)

// A Countersigner adds this service's signature to messages; token.Keys is one.
type Countersigner interface {
	// Countersign is that of token.Keys; token.ErrNoCountersign.
	Countersign(message map[string]any) (token.Countersigned, error)
}

type countersignature struct {
	UserUID string      `name:"user_uid" rule:"required,nonblank"`
	Code    string      `name:"otp_code" rule:"required,nonblank" in:"body" doc:"Of the user's authenticator app; it is used up."`
	JWT     rest.Object `name:"jwt" rule:"required,nonblank" doc:"The JWS in general JSON serialization that is to be signed. Its claims must not have the members sub, uid or event, and its signatures of services that the keychain knows must be right."`
}

// badJWT is the reason against a message that is not signed.
type badJWT string

func (e badJWT) Error() string { return "management: the message is not signed: " + string(e) }

func (e badJWT) Tokens() []string {
	return []string{"JWT is invalid by the reason " + strconv.Quote(string(e))}
}

func (a *API) otp(g rest.Group[services]) {
	g = a.scoped(g, otpScope).Worded(rest.Wording{Rules: verbatim}).Failing(notFound(account.ErrNoUser))
	rest.Add(g, rest.Op{
		Method: "POST", Path: "/sign", Summary: "Sign a message of a peer service, if a user gives a one-time code for it.",
		Errors: rest.All(
			rest.OnText(factor.ErrOTPNotEnabled, 422, "Account has not enabled 2FA"),
			rest.OnText(factor.ErrInvalidOTP, 422, "OTP code is invalid"),
			rest.OnText(factor.ErrOTPReplay, 422, "This code was already used. Wait until the next time period"),
			rest.Rules(`JWT is invalid by the reason "payload is missing"`)),
	}, a.sign)
}

func (a *API) sign(ctx context.Context, who services, in countersignature) (token.Countersigned, error) {
	if err := a.Codes.UseFor(ctx, who.Actor, in.UserUID, in.Code); err != nil {
		return token.Countersigned{}, err
	}
	signed, err := a.Signer.Countersign(in.JWT)
	if errors.Is(err, token.ErrNoCountersign) {
		return token.Countersigned{}, badJWT(token.ReasonOf(err))
	}
	if err != nil {
		return token.Countersigned{}, err
	}
	body, err := json.Marshal(in.JWT)
	if err != nil {
		return token.Countersigned{}, err
	}
	if fault := a.Peers.Fault(body); fault != "" {
		return token.Countersigned{}, badJWT(fault)
	}
	return signed, nil
}
