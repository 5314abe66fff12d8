package twilio

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"barong/internal/person"
)

// Verify lets Twilio make, send and check codes. It is safe for concurrent use.
type Verify struct{ client *client }

var _ person.PhoneProvider = (*Verify)(nil)

// NewVerify checks c and makes one; transport may be nil.
func NewVerify(c Config, transport http.RoundTripper, log *slog.Logger) (*Verify, error) {
	problems := c.problems()
	if !plain(c.ServiceSID) {
		problems = append(problems, errors.New("the service sid is missing, or has other characters than letters and digits"))
	}
	if err := errors.Join(problems...); err != nil {
		return nil, fmt.Errorf("twilio: configuration: %w", err)
	}
	return &Verify{newClient(c, verifyAddress, transport, log)}, nil
}

// locales are the languages that Verify has texts for; in any other it takes that of the country.
var locales = strings.Fields("af ar ca cs da de el en es fi fr he hi hr hu id it ja ko ms nb nl pl pt ro ru sk sv th tl tr uk vi")

// MakesCodes implements person.PhoneProvider.
func (*Verify) MakesCodes() bool { return true }

// Send implements person.PhoneProvider.
func (v *Verify) Send(ctx context.Context, m person.PhoneMessage) (string, error) {
	form := url.Values{"To": {m.To}, "Channel": {m.Channel}}
	if slices.Contains(locales, m.Language) {
		form.Set("Locale", m.Language)
	}
	if _, err := v.client.post(ctx, v.path("Verifications"), form); err != nil {
		return "", v.client.fail(ctx, "start verification", err)
	}
	return m.Channel, nil
}

const approved = "approved"

// noVerification and triedTooOften are Twilio's codes of a verification that it does not know, or no
// more, and of one that takes no further code.
const noVerification, triedTooOften = 20404, 60202

// Check implements person.PhoneProvider. A verification that Twilio has forgotten, that has failed, or
// that was tried too often, takes no code.
func (v *Verify) Check(ctx context.Context, to, code string) (bool, error) {
	a, err := v.client.post(ctx, v.path("VerificationCheck"), url.Values{"To": {to}, "Code": {code}})
	if r, ok := errors.AsType[refusal](err); ok && (r.failed() || r.is(noVerification, triedTooOften)) {
		return false, nil
	}
	if err != nil {
		return false, v.client.fail(ctx, "check verification", err)
	}
	return a.status == approved, nil
}

func (v *Verify) path(what string) string {
	return "/v2/Services/" + v.client.config.ServiceSID + "/" + what
}
