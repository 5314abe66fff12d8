package resource

import (
	"context"
	"encoding/base64"
	"net/http"
	"slices"

	"barong/internal/account"
	"barong/internal/factor"
	"barong/internal/limit"
	"barong/internal/rest"
	"barong/internal/session"
)

// codes is the part of account.Service about one-time codes. Beside the errors named here
// those about a code: factor.ErrInvalidOTP, ErrOTPReplay, TooManyAttempts.
type codes interface {
	// OTPSecret makes a new pending secret, in place of any other. ErrOTPEnabled,
	// TooManyAttempts.
	OTPSecret(ctx context.Context, by account.Actor) (factor.Setup, error)
	// EnableOTP and DisableOTP switch the second factor and end every session of an older
	// generation than the one that they return. ErrOTPEnabled, ErrOTPNotEnabled.
	EnableOTP(ctx context.Context, by account.Actor, code string) (generation int64, err error)
	DisableOTP(ctx context.Context, by account.Actor, code string) (generation int64, err error)
	// VerifyOTP uses a code up. ErrOTPNotEnabled.
	VerifyOTP(ctx context.Context, by account.Actor, code string) error
	// RequireOTP is the gate before changes to API keys; it uses the code up.
	// ErrOTPNotEnabled, ErrMissingOTP.
	RequireOTP(ctx context.Context, by account.Actor, code string) error
}

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

type oneTimeCode struct {
	Code string `name:"code" rule:"required,nonblank" in:"body" doc:"Code from the authenticator app."`
}

func (a *API) otp(g *rest.Group) {
	alreadyOn := rest.On(factor.ErrOTPEnabled, http.StatusBadRequest, "resource.otp.already_enabled")
	secret := []rest.Failure{
		rest.On(account.ErrSeal, http.StatusUnprocessableEntity, "totp.error"),
	}
	code := append([]rest.Failure{
		rest.On(factor.ErrInvalidOTP, http.StatusUnprocessableEntity, "resource.otp.invalid"),
		rest.On(factor.ErrOTPReplay, http.StatusUnprocessableEntity, "totp.error"),
	}, secret...)
	rest.Add(g, rest.Op{
		Method: http.MethodPost, Path: "/generate_qrcode", Status: http.StatusOK, Reference: http.StatusCreated,
		Cost:    limit.Write,
		Summary: "Make a secret for an authenticator app, in place of a pending one.",
		Errors:  slices.Concat(secret, []rest.Failure{alreadyOn}),
	}, signedIn(a, a.makeQRCode))
	rest.Add(g, rest.Op{
		Method: http.MethodPost, Path: "/enable", Status: http.StatusOK, Reference: http.StatusCreated,
		Cost:    limit.Write,
		Summary: "Switch the second factor on; every other session ends.",
		Errors:  slices.Concat(code, []rest.Failure{alreadyOn}),
	}, signedIn(a, a.enableOTP))
	rest.Add(g, rest.Op{
		Method: http.MethodPost, Path: "/disable", Status: http.StatusOK,
		Cost:    limit.Write,
		Summary: "Switch the second factor off; API keys become inactive, every other session ends.",
		Errors: slices.Concat(code, []rest.Failure{
			rest.On(factor.ErrOTPNotEnabled, http.StatusBadRequest, "resource.otp.not_enabled"),
		}),
	}, signedIn(a, a.disableOTP))
	rest.Add(g, rest.Op{
		Method: http.MethodPost, Path: "/verify", Status: http.StatusOK, Reference: http.StatusCreated,
		Cost:    limit.Write,
		Summary: "Check a code, which uses it up.",
		Errors: slices.Concat(code, []rest.Failure{ // the token is the reference's, whatever it says
			rest.On(factor.ErrOTPNotEnabled, http.StatusBadRequest, "resource.otp.already_enabled"),
		}),
	}, signedIn(a, a.verifyOTP))
}

func (a *API) makeQRCode(ctx context.Context, who me, _ rest.None) (qrCode, error) {
	setup, err := a.Accounts.OTPSecret(ctx, who.Actor)
	if err != nil {
		return qrCode{}, err
	}
	return qrCode{Data: qrCodeData{
		Barcode: base64.StdEncoding.EncodeToString(setup.PNG), URL: setup.URL,
	}}, nil
}

func (a *API) enableOTP(ctx context.Context, who me, in oneTimeCode) (rest.With[rest.None], error) {
	return a.switchOTP(ctx, who, in, a.Accounts.EnableOTP)
}

func (a *API) disableOTP(ctx context.Context, who me, in oneTimeCode) (rest.With[rest.None], error) {
	return a.switchOTP(ctx, who, in, a.Accounts.DisableOTP)
}

// switchOTP ends all sessions of the caller but the one it acts in.
func (a *API) switchOTP(
	ctx context.Context, who me, in oneTimeCode,
	change func(context.Context, account.Actor, string) (int64, error),
) (out rest.With[rest.None], err error) {
	current, err := a.current(ctx, who)
	if err != nil {
		return out, err
	}
	next := session.NewCookie()
	generation, err := change(ctx, who.renewing(current, next), in.Code)
	if err != nil {
		return out, err
	}
	out.SetCookie = a.keep(ctx, current, next, generation)
	return out, nil
}

func (a *API) verifyOTP(ctx context.Context, who me, in oneTimeCode) (rest.None, error) {
	return rest.None{}, a.Accounts.VerifyOTP(ctx, who.Actor, in.Code)
}
