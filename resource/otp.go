package resource

import (
	"context"
	"encoding/base64"

	"barong/internal/account"
	"barong/internal/factor"
	"barong/internal/rest"
)

// qrCode has the shape of the secret engine that the reference uses; clients read data.
type qrCode struct {
	Auth          *string    `json:"auth"`
	Data          qrCodeData `json:"data"`
	Metadata      *string    `json:"metadata"`
	LeaseDuration int        `json:"lease_duration"`
	LeaseID       string     `json:"lease_id"`
	Renewable     bool       `json:"renewable"`
	Warnings      *string    `json:"warnings"`
	WrapInfo      *string    `json:"wrap_info"`
}

type qrCodeData struct {
	Barcode string `json:"barcode" doc:"PNG, 300 by 300, in base64."`
	URL     string `json:"url" doc:"otpauth://totp/… with the secret."`
}

type oneTimeOrRecoveryCode struct {
	Code string `name:"code" rule:"required,nonblank" in:"body" doc:"Code from the authenticator app, or a recovery code."`
}

type oneTimeCode struct {
	Code string `name:"code" rule:"required,nonblank" in:"body" doc:"Code from the authenticator app."`
}

type recoveryCodes struct {
	Codes []string `json:"codes" doc:"Ten; each is good once, in the place of a code from the app, when signing in or switching the second factor off."`
}

// sealErrors are those of every use of a secret, codeErrors those about a code.
var (
	sealErrors = rest.On(account.ErrSeal, 422, "totp.error")
	codeErrors = rest.All(
		rest.On(factor.ErrInvalidOTP, 422, ".invalid"),
		rest.On(factor.ErrOTPReplay, 422, "totp.error"),
		sealErrors)
)

func (a *API) otp(g rest.Group[me]) {
	alreadyOn := rest.On(factor.ErrOTPEnabled, 400, ".already_enabled")
	rest.Add(g, rest.Op{
		Method: "POST", Path: "/generate_qrcode", Status: 200, Reference: 201,
		Summary: "Make a secret for an authenticator app, in place of a pending one.",
		Errors:  rest.All(sealErrors, alreadyOn),
	}, a.makeQRCode)
	rest.Add(g, rest.Op{
		Method: "POST", Path: "/enable", Status: 200, Reference: 201,
		Summary: "Switch the second factor on; every other session ends.",
		Errors:  rest.All(codeErrors, alreadyOn, sessionEnded),
	}, a.enableOTP)
	rest.Add(g, rest.Op{
		Method: "POST", Path: "/disable", Status: 200,
		Summary: "Switch the second factor off; API keys become inactive, every other session ends.",
		Errors:  rest.All(codeErrors, rest.On(factor.ErrOTPNotEnabled, 400, ".not_enabled"), sessionEnded),
	}, a.disableOTP)
	rest.Add(g, rest.Op{
		Method: "POST", Path: "/recovery_codes",
		Summary: "Make recovery codes, in place of all others. They are shown this once.",
		Errors:  rest.All(codeErrors, rest.On(factor.ErrOTPNotEnabled, 400, ".not_enabled")),
	}, a.makeRecoveryCodes)
	rest.Add(g, rest.Op{
		Method: "POST", Path: "/verify", Status: 200, Reference: 201,
		Summary: "Check a code, which uses it up.",
		// The token is the reference's, whatever it says.
		Errors: rest.All(codeErrors, rest.On(factor.ErrOTPNotEnabled, 400, ".already_enabled")),
	}, a.verifyOTP)
}

func (a *API) makeQRCode(ctx context.Context, who me, _ rest.None) (qrCode, error) {
	setup, err := a.Codes.OTPSecret(ctx, who.Actor)
	return qrCode{Data: qrCodeData{
		Barcode: base64.StdEncoding.EncodeToString(setup.PNG), URL: setup.URL,
	}}, err
}

func (a *API) enableOTP(ctx context.Context, who me, in oneTimeCode) (done, error) {
	return a.renewed(ctx, who, func(by account.Actor) (int64, error) { return a.Codes.EnableOTP(ctx, by, in.Code) })
}

func (a *API) disableOTP(ctx context.Context, who me, in oneTimeOrRecoveryCode) (done, error) {
	return a.renewed(ctx, who, func(by account.Actor) (int64, error) { return a.Codes.DisableOTP(ctx, by, in.Code) })
}

func (a *API) verifyOTP(ctx context.Context, who me, in oneTimeCode) (rest.None, error) {
	return rest.None{}, a.Codes.VerifyOTP(ctx, who.Actor, in.Code)
}

func (a *API) makeRecoveryCodes(ctx context.Context, who me, in oneTimeCode) (recoveryCodes, error) {
	codes, err := a.Codes.NewRecoveryCodes(ctx, who.Actor, in.Code)
	return recoveryCodes{Codes: codes}, err
}
