package captcha

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"unicode/utf8"

	"barong/internal/captcha"
	"barong/internal/provider/outbound"
)

// Services that share the siteverify call.
const (
	ReCAPTCHA = "recaptcha"
	HCaptcha  = "hcaptcha"
	Turnstile = "turnstile"
)

// addresses of the services' own.
func addressOf(service string) string {
	switch service {
	case ReCAPTCHA:
		return "https://www.google.com/recaptcha/api/siteverify"
	case HCaptcha:
		return "https://api.hcaptcha.com/siteverify"
	case Turnstile:
		return "https://challenges.cloudflare.com/turnstile/v0/siteverify"
	}
	return ""
}

const maxAnswer = 16 << 10 // bytes; real ones have a few hundred

// SiteVerifyConfig names a service and our account there.
type SiteVerifyConfig struct {
	// Service is ReCAPTCHA, HCaptcha or Turnstile.
	Service string
	// Secret is the key that only we and the service know.
	Secret string
	// SiteKey, for HCaptcha, makes the service refuse responses made for another site of the
	// same account; "" lets it pass.
	SiteKey string
	// Hosts are the names of the sites whose responses count; none means any.
	Hosts []string
	// Address replaces the service's own; "" means that.
	Address string
}

// Validate lists every problem.
func (c SiteVerifyConfig) Validate() error {
	var problems []error
	if addressOf(c.Service) == "" {
		problems = append(problems, fmt.Errorf("service is %q, want %s, %s or %s", c.Service, ReCAPTCHA, HCaptcha, Turnstile))
	}
	if strings.TrimSpace(c.Secret) == "" {
		problems = append(problems, errors.New("the secret key is missing"))
	}
	for _, host := range c.Hosts {
		if host == "" || strings.ContainsAny(host, ":/ *") {
			problems = append(problems, fmt.Errorf("host %q is not a host name alone", host))
		}
	}
	if c.Address != "" {
		if err := outbound.CheckAddress(c.Address); err != nil {
			problems = append(problems, fmt.Errorf("the address %w", err))
		}
	}
	return errors.Join(problems...)
}

// A SiteVerify asks one of the services that share the siteverify call.
type SiteVerify struct {
	config SiteVerifyConfig
	client *outbound.Client
}

var _ captcha.Verifier = (*SiteVerify)(nil)

// NewSiteVerify makes one; transport may be nil.
func NewSiteVerify(c SiteVerifyConfig, transport http.RoundTripper) (*SiteVerify, error) {
	if err := c.Validate(); err != nil {
		return nil, fmt.Errorf("captcha: configuration: %w", err)
	}
	if c.Address == "" {
		c.Address = addressOf(c.Service)
	}
	return &SiteVerify{config: c, client: outbound.New(0, transport)}, nil
}

// Verify implements captcha.Verifier. The service does not get the client's address.
func (s *SiteVerify) Verify(ctx context.Context, r captcha.Response) error {
	switch {
	case r.Fields != nil:
		return captcha.ErrFailed // these services make texts
	case strings.TrimSpace(r.Text) == "":
		return captcha.ErrRequired
	case utf8.RuneCountInString(r.Text) > captcha.MaxResponse:
		return captcha.ErrFailed
	}
	form := url.Values{"secret": {s.config.Secret}, "response": {r.Text}}
	if s.config.Service == HCaptcha && s.config.SiteKey != "" {
		form.Set("sitekey", s.config.SiteKey)
	}
	status, body, err := s.client.PostForm(ctx, s.config.Address, form, maxAnswer)
	if err != nil {
		return outage(s.config.Service, err)
	}
	v, err := parseVerdict(status, body)
	if err != nil {
		return outage(s.config.Service, err)
	}
	return s.judge(v)
}

// outage is why a service did not judge.
func outage(service string, err error) error {
	return fmt.Errorf("ask %s: %w: %w", service, captcha.ErrOutage, err)
}

// judge turns the service's answer into ours.
func (s *SiteVerify) judge(v verdict) error {
	if !*v.Success {
		for _, code := range v.Codes {
			switch code {
			case "missing-input-secret", "invalid-input-secret", "internal-error":
				// Not about the client: our key is wrong, or the service is broken.
				return outage(s.config.Service, fmt.Errorf("it says %s", code))
			}
		}
		return captcha.ErrFailed
	}
	if s.config.Service == ReCAPTCHA && v.Score != nil {
		// Version 3 calls every visitor a success and leaves the judgement to the score.
		return outage(ReCAPTCHA, errors.New("it answers with a score: the keys are of version 3, want version 2"))
	}
	if len(s.config.Hosts) > 0 && !slices.ContainsFunc(s.config.Hosts, func(host string) bool {
		return strings.EqualFold(host, v.Hostname)
	}) {
		return captcha.ErrFailed // solved on another site (W-I24)
	}
	return nil
}

// verdict is the answer of the services.
type verdict struct {
	Success  *bool           `json:"success"`
	Hostname string          `json:"hostname"`
	Codes    []string        `json:"error-codes"`
	Score    json.RawMessage `json:"score"`
}

// parseVerdict reads an answer; Success is not nil when it returns no error. Some services
// give their refusals a status of their own; a success has 200.
func parseVerdict(status int, body []byte) (verdict, error) {
	var v verdict
	if status != http.StatusOK && (status < 400 || status > 499) {
		return v, fmt.Errorf("status %d", status)
	}
	if json.Unmarshal(body, &v) != nil || v.Success == nil {
		return v, fmt.Errorf("status %d, and the answer is not understood", status)
	}
	if *v.Success && status != http.StatusOK {
		return v, fmt.Errorf("status %d with a success", status)
	}
	if status == http.StatusTooManyRequests || !*v.Success && status != http.StatusOK && len(v.Codes) == 0 {
		return v, fmt.Errorf("status %d", status)
	}
	return v, nil
}
