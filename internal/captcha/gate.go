package captcha

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Endpoints that captchas may protect, as the setting names them.
const (
	SignUp       = "user_create"
	SignIn       = "session_create"
	Reset        = "password_reset"
	Confirmation = "email_confirmation"
)

// Endpoints are all that captchas may protect.
func Endpoints() []string { return []string{SignUp, SignIn, Reset, Confirmation} }

// A Gate asks for captchas where the operator wants them; the zero value asks for none. It is safe
// for concurrent use.
type Gate struct {
	// Verifier is nil where captchas are off.
	Verifier Verifier
	// Protected names the endpoints that ask for one.
	Protected []string
}

// Validate names the endpoints of Protected that are none.
func (g Gate) Validate() error {
	var wrong []error
	for _, name := range g.Protected {
		if !slices.Contains(Endpoints(), name) {
			wrong = append(wrong, fmt.Errorf("captcha_protected_endpoints: %q is none of %s", name, strings.Join(Endpoints(), ", ")))
		}
	}
	return errors.Join(wrong...)
}

// Protects reports whether an endpoint asks for a captcha.
func (g Gate) Protects(endpoint string) bool {
	return g.Verifier != nil && slices.Contains(g.Protected, endpoint)
}

// Check checks the response to the captcha of an endpoint, if that asks for one: ErrRequired,
// ErrFields, ErrFailed; any other error is an outage of the service, never a pass (design D20).
func (g Gate) Check(ctx context.Context, endpoint string, r Response) error {
	if !g.Protects(endpoint) {
		return nil
	}
	return g.Verifier.Verify(ctx, r)
}

// Prove is Check for an endpoint where a response counts, if one is sent, even when none is asked
// for. It reports whether a human is proved, which is so where there are no captchas (W-I4).
func (g Gate) Prove(ctx context.Context, endpoint string, r Response, sent bool) (proved bool, err error) {
	if g.Verifier == nil {
		return true, nil
	}
	if !sent && !g.Protects(endpoint) {
		return false, nil
	}
	return true, g.Verifier.Verify(ctx, r)
}
