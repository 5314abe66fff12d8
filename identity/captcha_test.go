package identity_test

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"barong/internal/apitest"
	"barong/internal/captcha"
	"barong/internal/expect"
	"barong/internal/rest/resttest"
)

// protected are the endpoints that a captcha can protect, by the setting's names, with
// their other parameters and their answers.
func protected() map[string]struct {
	path   string
	sent   body
	status int
} {
	type one = struct {
		path   string
		sent   body
		status int
	}
	return map[string]one{
		captcha.SignUp:       {"users", body{"email": "new@barong.io", "password": password}, 201},
		captcha.SignIn:       {"sessions", credentials(), 201},
		captcha.Reset:        {"users/password/generate_code", body{"email": email}, 201},
		captcha.Confirmation: {"users/email/generate_code", body{"email": email}, 201},
	}
}

// Each kind of captcha response at each protected endpoint.
func TestCaptcha(t *testing.T) {
	seccode := body{"geetest_challenge": "a", "geetest_validate": "b", "geetest_seccode": "human"}
	for name, e := range protected() {
		for what, c := range map[string]struct {
			response any
			status   int
			token    string
		}{
			"solved":                                 {"human", e.status, ""},
			"solved, in three fields":                {seccode, e.status, ""},
			"none":                                   {nil, 400, "identity.captcha.required"},
			"a blank one":                            {" ", 400, "identity.captcha.required"},
			"an empty object":                        {body{}, 400, "identity.captcha.required"},
			"wrong":                                  {"robot", 422, "identity.captcha.verification_failed"},
			"wrong, in three fields":                 {with(seccode, "geetest_seccode", "x"), 422, "identity.captcha.verification_failed"},
			"a field short":                          {body{"geetest_challenge": "a"}, 400, "identity.captcha.mandatory_fields"},
			"a field that is no text":                {with(seccode, "geetest_validate", 1), 400, "identity.captcha.mandatory_fields"},
			"wrong parameters are told first":        {"unsent", 400, ""},
			"a captcha service that is away (D20)":   {"away", 503, "server.internal_error"},
			"a captcha service that is broken (D20)": {"broken", 500, "server.internal_error"},
		} {
			t.Run(name+": "+what, func(t *testing.T) {
				w := newWorld(t)
				w.user(email, 0)
				w.Identity.Captcha = captcha.Gate{Verifier: &w.captcha, Protected: []string{name}}
				sent := e.sent
				switch c.response {
				case "away":
					w.captcha.err = apitest.ErrOutage
				case "broken":
					w.captcha.err = apitest.ErrBug
				case "unsent":
					sent = body{}
				}
				if c.response != nil {
					sent = with(sent, "captcha_response", c.response)
				}
				a := w.Browser().JSON(t, "POST", "/api/v2/identity/"+e.path, sent)
				if a.Status != c.status {
					t.Errorf("got %d %s, want %d", a.Status, a.Body, c.status)
				}
				if c.token != "" {
					a.WantTokens(t, c.status, c.token)
				}
				if c.status != e.status {
					closed(t, a)
					expect.Equal(t, names(w.News()), []string{})
				}
			})
		}
	}
}

// once is a captcha service whose responses are good one time each, as those of all are.
type once map[string]bool

func (o once) Verify(_ context.Context, r captcha.Response) error {
	switch used := o[r.Text]; {
	case r.Text == "":
		return captcha.ErrRequired
	case used || !strings.HasPrefix(r.Text, "tok"):
		return captcha.ErrFailed
	}
	o[r.Text] = true
	return nil
}

// A captcha is good once and signing in with a second factor takes two requests: the second
// may send the used one or none, for the client that has shown the password with it, and for nobody
// else. Each row is a request, in order.
func TestTheCodeNeedsNoSecondCaptcha(t *testing.T) {
	const (
		sent, wrong     = "POST", "x"
		missing, failed = "identity.captcha.required", "identity.captcha.verification_failed"
		noCode, badCode = "identity.session.missing_otp", "identity.session.invalid_otp"
		refused         = "identity.session.invalid_params"
	)
	type client struct{ agent, address string }
	type step struct {
		password, code, captcha string // code "good" is the right one
		status                  int
		token                   string
		before                  func(*world, *client)
	}
	elsewhere := func(w *world, _ *client) { w.IP = netip.MustParseAddr("10.9.9.9") }
	first := step{password, "", "tok-1", 401, noCode, nil}
	for name, steps := range map[string][]step{
		"the page sends the used captcha again": {first, {password, "good", "tok-1", 201, "", nil}},
		"a client sends none":                   {first, {password, "good", "", 201, "", nil}},
		"another is as good":                    {first, {password, "good", "tok-2", 201, "", nil}},
		"a wrong code may be put right": {first,
			{password, wrong, "tok-1", 403, badCode, nil}, {password, "good", "tok-1", 201, "", nil}},
		"once": {first, {password, "good", "", 201, "", nil}, {password, "good", "", 400, missing, nil}},
		"a wrong password is tried once, and only the captcha opens the next": {first,
			{wrong, wrong, "", 401, refused, nil}, {wrong, wrong, "", 400, missing, nil},
			{password, "good", "tok-1", 422, failed, nil}, {password, "good", "tok-2", 201, "", nil}},
		"a wrong password with a captcha proves nothing": {
			{wrong, "", "tok-1", 401, refused, nil}, {password, "good", "tok-1", 422, failed, nil},
			{password, "good", "", 400, missing, nil}},
		"no captcha, no first step": {{password, "", "", 400, missing, nil}, {password, "good", "", 400, missing, nil}},
		"without a code it stands for nothing": {first, {password, "", "tok-1", 422, failed, nil},
			{password, " ", "", 400, missing, nil}, {password, "good", "", 201, "", nil}},
		"not from another network":    {first, {password, "good", "", 400, missing, elsewhere}},
		"not from another browser":    {first, {password, "good", "", 400, missing, func(_ *world, who *client) { who.agent = "curl/8" }}},
		"not for another account":     {first, {password, "good", "", 400, missing, func(_ *world, who *client) { who.address = "other@barong.io" }}},
		"not after five minutes":      {first, {password, "good", "", 400, missing, func(w *world, _ *client) { w.Now = w.Now.Add(5 * time.Minute) }}},
		"the address folds as always": {first, {password, "good", "", 201, "", func(_ *world, who *client) { who.address = " TRADER@barong.io" }}},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			who := client{agent: agent, address: email}
			code := w.secondFactor(w.user(email, 1))
			w.user("other@barong.io", 1)
			w.Identity.Captcha = captcha.Gate{Verifier: once{}, Protected: []string{captcha.SignIn}}
			for i, s := range steps {
				if s.before != nil {
					s.before(w, &who)
				}
				say := body{"email": who.address, "password": s.password}
				if s.captcha != "" {
					say["captcha_response"] = s.captcha
				}
				if s.code != "" {
					say["otp_code"] = s.code
				}
				if s.code == "good" {
					say["otp_code"] = code()
				}
				a := w.Browser().With("User-Agent", who.agent).JSON(t, sent, sessions, say)
				if s.token == "" {
					w.opened(a, s.status)
					continue
				}
				a.WantTokens(t, s.status, s.token)
				if t.Failed() {
					t.Fatalf("request %d", i+1)
				}
			}
		})
	}
}

// An endpoint outside the list asks for none; nor does any when the
// captcha is off.
func TestCaptchaOfOthers(t *testing.T) {
	for name, e := range protected() {
		w := newWorld(t)
		w.user(email, 0)
		w.Identity.Captcha.Verifier = &w.captcha
		for other := range protected() {
			if other != name {
				w.Identity.Captcha.Protected = append(w.Identity.Captcha.Protected, other)
			}
		}
		if a := w.Browser().JSON(t, "POST", "/api/v2/identity/"+e.path, e.sent); a.Status != e.status {
			t.Errorf("%s: got %d %s, want %d", name, a.Status, a.Body, e.status)
		}
		w = newWorld(t)
		w.user(email, 0)
		w.Identity.Captcha.Protected = []string{name}
		if a := w.Browser().JSON(t, "POST", "/api/v2/identity/"+e.path, e.sent); a.Status != e.status {
			t.Errorf("%s, captcha off: got %d %s, want %d", name, a.Status, a.Body, e.status)
		}
	}
}

// Where sign-up is not protected, a captcha is asked for after three sign-ups of a network; one that
// is sent counts before (W-I4).
func TestSignUpAsksForACaptchaAfterThree(t *testing.T) {
	w := newWorld(t)
	w.Identity.Captcha = captcha.Gate{Verifier: &w.captcha, Protected: nil}
	signUp := func(n int, response any) resttest.Answer {
		sent := body{"email": fmt.Sprintf("new%d@barong.io", n), "password": password}
		if response != nil {
			sent["captcha_response"] = response
		}
		return w.Browser().JSON(t, "POST", "/api/v2/identity/users", sent)
	}
	signUp(0, "robot").WantTokens(t, 422, "identity.captcha.verification_failed")
	w.opened(signUp(1, "human"), 201)
	for n := range 3 {
		w.opened(signUp(2+n, nil), 201)
	}
	signUp(5, nil).WantTokens(t, 400, "identity.captcha.required")
	w.opened(signUp(5, "human"), 201)
	w.Identity.Captcha.Verifier = nil
	w.opened(signUp(6, nil), 201) // there is none to ask for
}
