package identity

import (
	"context"
	"slices"

	"barong/internal/captcha"
	"barong/internal/limit"
	"barong/internal/rest"
)

// Endpoints that captchas may protect, as the setting names them.
const (
	CaptchaSignUp       = "user_create"
	CaptchaSignIn       = "session_create"
	CaptchaReset        = "password_reset"
	CaptchaConfirmation = "email_confirmation"
)

// captchaEndpoints are all of them.
func captchaEndpoints() []string {
	return []string{CaptchaSignUp, CaptchaSignIn, CaptchaReset, CaptchaConfirmation}
}

// protects reports whether an endpoint asks for a captcha.
func (a *API) protects(endpoint string) bool {
	return a.Captcha != nil && slices.Contains(a.CaptchaProtected, endpoint)
}

// checkCaptcha checks the captcha of a protected endpoint: captcha.ErrRequired, ErrFields,
// ErrFailed; any other error is an outage of the provider, never a pass (design D20).
func (a *API) checkCaptcha(ctx context.Context, endpoint string, in rest.TextOrObject) error {
	if !a.protects(endpoint) {
		return nil
	}
	return a.Captcha.Verify(ctx, captcha.ResponseOf(in.Text, in.Object))
}

// called is the cost of asking a provider where there is one.
func called(one bool) limit.Cost {
	if one {
		return limit.Call
	}
	return 0
}

// humanOrUnproved is human for sign-up, where a response counts even when none is asked for:
// unproved says that none was given where one could have been (W-I4).
func (a *API) humanOrUnproved(ctx context.Context, in rest.TextOrObject) (unproved bool, err error) {
	sent := in.Text != "" || in.Object != nil
	if a.Captcha == nil || !sent && !slices.Contains(a.CaptchaProtected, CaptchaSignUp) {
		return a.Captcha != nil, nil
	}
	return false, a.Captcha.Verify(ctx, captcha.ResponseOf(in.Text, in.Object))
}

// captchaErrors are the refusals of human.
var captchaErrors = rest.All(
	rest.On(captcha.ErrRequired, 400, "identity.captcha.required"),
	rest.On(captcha.ErrFields, 400, "identity.captcha.mandatory_fields"),
	rest.On(captcha.ErrFailed, 422, "identity.captcha.verification_failed"))
