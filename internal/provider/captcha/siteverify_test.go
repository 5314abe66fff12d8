package captcha_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	domain "barong/internal/captcha"
	"barong/internal/provider/captcha"
)

// errOutage is every error that is not the client's fault (design D20).
var errOutage = domain.ErrOutage

// kindOf is the error's class.
func kindOf(err error) error {
	for _, kind := range []error{domain.ErrRequired, domain.ErrFields, domain.ErrFailed, domain.ErrOutage} {
		if errors.Is(err, kind) {
			return kind
		}
	}
	return err
}

func newSiteVerify(t testing.TB, f *fake, c captcha.SiteVerifyConfig) *captcha.SiteVerify {
	t.Helper()
	if c.Service == "" {
		c.Service = captcha.ReCAPTCHA
	}
	c.Secret, c.Address = "hunter2", f.URL+"/siteverify"
	s, err := captcha.NewSiteVerify(c, nil)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// W-I24, D20.
func TestSiteVerifyAnswers(t *testing.T) {
	for name, c := range map[string]struct {
		config captcha.SiteVerifyConfig
		status int
		body   string
		want   error
	}{
		"a success passes":                          {body: `{"success":true,"hostname":"any.example"}`},
		"a no is a no":                              {body: `{"success":false,"error-codes":["invalid-input-response"]}`, want: domain.ErrFailed},
		"a no without codes is a no":                {body: `{"success":false}`, want: domain.ErrFailed},
		"a used response is a no":                   {body: `{"success":false,"error-codes":["timeout-or-duplicate"]}`, want: domain.ErrFailed},
		"a no with status 400 is a no":              {status: 400, body: `{"success":false,"error-codes":["invalid-input-response"]}`, want: domain.ErrFailed},
		"a wrong secret is not the client's":        {body: `{"success":false,"error-codes":["invalid-input-secret"]}`, want: errOutage},
		"a missing secret is not the client's":      {body: `{"success":false,"error-codes":["bad-request","missing-input-secret"]}`, want: errOutage},
		"a broken service is not the client's":      {body: `{"success":false,"error-codes":["internal-error"]}`, want: errOutage},
		"status 500 never passes":                   {status: 500, body: `{"success":true}`, want: errOutage},
		"status 503 says nothing":                   {status: 503, body: `{"success":false}`, want: errOutage},
		"status 429 says nothing":                   {status: 429, body: `{"success":false,"error-codes":["x"]}`, want: errOutage},
		"status 403 of a proxy says nothing":        {status: 403, body: `{"success":false}`, want: errOutage},
		"status 404 says nothing":                   {status: 404, body: `not found`, want: errOutage},
		"status 400 never passes":                   {status: 400, body: `{"success":true}`, want: errOutage},
		"status 201 never passes":                   {status: 201, body: `{"success":true}`, want: errOutage},
		"a redirect is not followed":                {status: 302, body: `{"success":true}`, want: errOutage},
		"a page is not an answer":                   {body: `<html>maintenance</html>`, want: errOutage},
		"nothing is not an answer":                  {body: ``, want: errOutage},
		"an answer without success is none":         {body: `{"hostname":"a.example"}`, want: errOutage},
		"success is a boolean":                      {body: `{"success":"true"}`, want: errOutage},
		"text after the answer spoils it":           {body: `{"success":true} {"success":true}`, want: errOutage},
		"an endless answer is none":                 {body: `{"success":true,"x":"` + strings.Repeat("x", 20_000) + `"}`, want: errOutage},
		"recaptcha's version 3 judges by score":     {body: `{"success":true,"score":0.1,"action":"login"}`, want: errOutage},
		"hcaptcha's score is only news":             {config: captcha.SiteVerifyConfig{Service: captcha.HCaptcha}, body: `{"success":true,"score":0.1}`},
		"one of our hosts passes":                   {config: captcha.SiteVerifyConfig{Hosts: []string{"b.example", "A.example"}}, body: `{"success":true,"hostname":"a.EXAMPLE"}`},
		"another host is a no":                      {config: captcha.SiteVerifyConfig{Hosts: []string{"a.example"}}, body: `{"success":true,"hostname":"evil.example"}`, want: domain.ErrFailed},
		"a host below ours is another":              {config: captcha.SiteVerifyConfig{Hosts: []string{"a.example"}}, body: `{"success":true,"hostname":"x.a.example"}`, want: domain.ErrFailed},
		"no host is not ours":                       {config: captcha.SiteVerifyConfig{Hosts: []string{"a.example"}}, body: `{"success":true}`, want: domain.ErrFailed},
		"turnstile answers alike, with its members": {config: captcha.SiteVerifyConfig{Service: captcha.Turnstile, Hosts: []string{"a.example"}}, body: `{"success":true,"challenge_ts":"2026-02-28T15:14:30.096Z","hostname":"a.example","error-codes":[],"action":"login","cdata":"x"}`},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFake(t)
			s := newSiteVerify(t, f, c.config)
			if c.status == 0 {
				c.status = http.StatusOK
			}
			f.answers(c.status, c.body)
			err := s.Verify(t.Context(), domain.Response{Text: "response-of-client"})
			if got := kindOf(err); got != c.want { //nolint:errorlint // classes
				t.Errorf("got %v (%v), want %v", got, err, c.want)
			}
			if text := fmt.Sprint(err); strings.Contains(text, "hunter2") || strings.Contains(text, "response-of-client") || strings.Contains(text, f.URL) {
				t.Errorf("the error tells too much: %s", text)
			}
			if n := len(f.asked()); n != 1 {
				t.Errorf("asked %d times, want once", n)
			}
		})
	}
}

func TestSiteVerifyRefusesWithoutAsking(t *testing.T) {
	f := newFake(t)
	f.answers(http.StatusOK, `{"success":true}`)
	s := newSiteVerify(t, f, captcha.SiteVerifyConfig{})
	for name, c := range map[string]struct {
		response domain.Response
		want     error
	}{
		"nothing":                {domain.Response{}, domain.ErrRequired},
		"blanks":                 {domain.Response{Text: " \t\n"}, domain.ErrRequired},
		"an object":              {domain.Response{Fields: map[string]string{"a": "b"}}, domain.ErrFailed},
		"4001 characters":        {domain.Response{Text: strings.Repeat("é", 4001)}, domain.ErrFailed},
		"an object without text": {domain.Response{Fields: map[string]string{}}, domain.ErrFailed},
	} {
		if err := s.Verify(t.Context(), c.response); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
	if got := f.asked(); len(got) != 0 {
		t.Errorf("asked %v, want nothing", got)
	}
	if err := s.Verify(t.Context(), domain.Response{Text: strings.Repeat("é", 4000)}); err != nil {
		t.Errorf("4000 characters: %v, want them accepted", err)
	}
}

// The secret goes in a form, never in the address (W-I24); the client's address is not sent.
func TestSiteVerifySendsAForm(t *testing.T) {
	f := newFake(t)
	for service, want := range map[string]url.Values{
		captcha.ReCAPTCHA: {"secret": {"hunter2"}, "response": {"r&=+ é"}},
		captcha.Turnstile: {"secret": {"hunter2"}, "response": {"r&=+ é"}},
		captcha.HCaptcha:  {"secret": {"hunter2"}, "response": {"r&=+ é"}, "sitekey": {"site"}},
	} {
		f.answers(http.StatusOK, `{"success":true}`)
		s := newSiteVerify(t, f, captcha.SiteVerifyConfig{Service: service, SiteKey: "site"})
		if err := s.Verify(t.Context(), domain.Response{Text: "r&=+ é"}); err != nil {
			t.Errorf("%s: %v", service, err)
		}
		got := f.asked()
		if len(got) != 1 || got[0].method != "POST" || got[0].path != "/siteverify" || got[0].query != "" {
			t.Fatalf("%s: asked %v, want one POST without query", service, got)
		}
		if d := cmp.Diff(want, got[0].form); d != "" {
			t.Errorf("%s (-want +got):\n%s", service, d)
		}
	}
}

func TestAServiceThatIsGoneIsAnOutage(t *testing.T) {
	f := newFake(t)
	s, g := newSiteVerify(t, f, captcha.SiteVerifyConfig{}), newGeeTest(t, f)
	f.Close()
	if err := s.Verify(t.Context(), domain.Response{Text: "r"}); kindOf(err) != errOutage { //nolint:errorlint // classes
		t.Errorf("siteverify: %v, want an outage", err)
	}
	if err := g.Verify(t.Context(), proof("c", "s")); kindOf(err) != errOutage { //nolint:errorlint // classes
		t.Errorf("geetest: %v, want an outage", err)
	}
	if got, err := g.Register(t.Context()); err == nil || got != (domain.Challenge{}) {
		t.Errorf("geetest challenge: %v (%v), want none and an error", got, err)
	}
}

func TestConfigurationsAreChecked(t *testing.T) {
	_, err := captcha.NewSiteVerify(captcha.SiteVerifyConfig{
		Service: "other", Secret: " ", Hosts: []string{"https://a.example"}, Address: "http://a.example",
	}, nil)
	for _, want := range []string{"service", "secret key is missing", "host", "must be https"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want it to mention %q", err, want)
		}
	}
	_, err = captcha.NewGeeTest(captcha.GeeTestConfig{Address: "http://a.example"}, nil)
	for _, want := range []string{"id is missing", "key is missing", "must be https"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want it to mention %q", err, want)
		}
	}
	for _, service := range []string{captcha.ReCAPTCHA, captcha.HCaptcha, captcha.Turnstile} {
		if _, err := captcha.NewSiteVerify(captcha.SiteVerifyConfig{Service: service, Secret: "s"}, nil); err != nil {
			t.Errorf("%s with its own address: %v", service, err)
		}
	}
	if _, err := captcha.NewGeeTest(captcha.GeeTestConfig{ID: "i", Key: "k"}, nil); err != nil {
		t.Errorf("geetest with its own address: %v", err)
	}
}
