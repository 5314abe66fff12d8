package identity

import (
	"context"
	"errors"
	"unicode/utf8"

	"barong/internal/limit"
	"barong/internal/rest"
)

// Configs is the part of the configuration that sign-up and sign-in pages need.
type Configs struct {
	SessionExpire int64 `json:"session_expire_time" doc:"Seconds."`
	// CaptchaType is none, recaptcha, geetest, hcaptcha or turnstile.
	CaptchaType string `json:"captcha_type"`
	CaptchaID   string `json:"captcha_id,omitempty" doc:"The site key, where pages need one."`
	// PhoneVerification is mock, twilio_sms, twilio_verify or off.
	PhoneVerification string  `json:"phone_verification_type"`
	PasswordEntropy   float64 `json:"password_min_entropy" doc:"Least strength of new passwords."`
	PasswordPattern   string  `json:"password_regexp" doc:"What new passwords must match."`
}

// Auth0Configs is the part that Auth0's sign-in page needs.
type Auth0Configs struct {
	Domain   string `json:"auth0_domain"`
	ClientID string `json:"auth0_client_id"`
}

type validate struct {
	Password string `name:"password" rule:"required" in:"body"`
}

type strength struct {
	Entropy float64 `json:"entropy" doc:"Bits, as password_min_entropy counts them."`
}

// maxValidated bounds the work on input of anybody (W-I26).
const maxValidated = 256

// errPasswordTooLong says that a password is longer than that.
var errPasswordTooLong = errors.New("identity: password too long")

// configs adds the endpoints that both namespaces have.
func (a *API) configs(g rest.Group[visitor]) {
	rest.Add(g, rest.Op{
		Method: "GET", Path: "/configs", Cost: limit.Answer, Summary: "Read the settings of sign-up and sign-in pages.",
	}, a.readConfigs)
	rest.Add(g, rest.Op{
		Method: "POST", Path: "/password/validate", Cost: limit.Judge, Summary: "Ask how strong a password is.",
		Errors: rest.On(errPasswordTooLong, 422, "password.too_long"),
	}, a.validatePassword)
}

func (a *API) readConfigs(context.Context, visitor, rest.None) (Configs, error) {
	return a.Configs, nil
}

func (a *API) validatePassword(_ context.Context, _ visitor, in validate) (strength, error) {
	if utf8.RuneCountInString(in.Password) > maxValidated {
		return strength{}, errPasswordTooLong
	}
	return strength{a.SignIns.Entropy(in.Password)}, nil
}

func (a *API) auth0Configs(g rest.Group[visitor]) {
	rest.Add(g, rest.Op{
		Method: "GET", Path: "/configs/auth0", Cost: limit.Answer,
		Summary: "Read the settings of the Auth0 sign-in page; empty when it is off.",
	}, a.readAuth0Configs)
}

func (a *API) readAuth0Configs(context.Context, visitor, rest.None) (Auth0Configs, error) {
	return a.Auth0Configs, nil
}
