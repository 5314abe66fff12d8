package identity_test

import (
	"fmt"
	"testing"

	"barong/identity"
	"barong/internal/rest/resttest"
)

// protected are the endpoints that a captcha can protect, by the setting's names (6.6), with
// what they take else and what they answer then.
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
		identity.CaptchaSignUp:       {"users", body{"email": "new@barong.io", "password": password}, 201},
		identity.CaptchaSignIn:       {"sessions", credentials(), 201},
		identity.CaptchaReset:        {"users/password/generate_code", body{"email": email}, 201},
		identity.CaptchaConfirmation: {"users/email/generate_code", body{"email": email}, 201},
	}
}

// 6.6, ID2, ID13; 14.3 #21, #25 to #28, #30, #38.
func TestCaptcha(t *testing.T) {
	seccode := body{"geetest_challenge": "a", "geetest_validate": "b", "geetest_seccode": "human"}
	for name, e := range protected() {
		for what, c := range map[string]struct {
			response any
			status   int
			token    string
		}{
			"solved (14.3 #21)":                      {"human", e.status, ""},
			"solved, in three fields (14.3 #27)":     {seccode, e.status, ""},
			"none (14.3 #26, #38)":                   {nil, 400, "identity.captcha.required"},
			"a blank one":                            {" ", 400, "identity.captcha.required"},
			"an empty object":                        {body{}, 400, "identity.captcha.required"},
			"wrong (14.3 #25)":                       {"robot", 422, "identity.captcha.verification_failed"},
			"wrong, in three fields (14.3 #28)":      {with(seccode, "geetest_seccode", "x"), 422, "identity.captcha.verification_failed"},
			"a field short (14.3 #30)":               {body{"geetest_challenge": "a"}, 400, "identity.captcha.mandatory_fields"},
			"a field that is no text":                {with(seccode, "geetest_validate", 1), 400, "identity.captcha.mandatory_fields"},
			"wrong parameters are told first":        {"unsent", 400, ""},
			"a captcha service that is away (D20)":   {"away", 503, "server.internal_error"},
			"a captcha service that is broken (D20)": {"broken", 500, "server.internal_error"},
		} {
			t.Run(name+": "+what, func(t *testing.T) {
				w := newWorld(t)
				w.user(email, 0)
				w.api.Captcha, w.api.CaptchaProtected = &w.captcha, []string{name}
				sent := e.sent
				switch c.response {
				case "away":
					w.captcha.err = errOutage
				case "broken":
					w.captcha.err = errBug
				case "unsent":
					sent = body{}
				}
				if c.response != nil {
					sent = with(sent, "captcha_response", c.response)
				}
				a := w.browser().JSON(t, "POST", "/api/v2/identity/"+e.path, sent)
				if a.Status != c.status {
					t.Errorf("got %d %s, want %d", a.Status, a.Body, c.status)
				}
				if c.token != "" {
					a.WantTokens(t, c.status, c.token)
				}
				if c.status != e.status {
					closed(t, a)
					diff(t, names(w.news()), []string{})
				}
			})
		}
	}
}

// 14.2 #1, 14.3 #50: what the list does not name is asked for none; nor is anything when the
// captcha is off, as 14.3 #45 to #49 play it.
func TestCaptchaOfOthers(t *testing.T) {
	for name, e := range protected() {
		w := newWorld(t)
		w.user(email, 0)
		w.api.Captcha = &w.captcha
		for other := range protected() {
			if other != name {
				w.api.CaptchaProtected = append(w.api.CaptchaProtected, other)
			}
		}
		if a := w.browser().JSON(t, "POST", "/api/v2/identity/"+e.path, e.sent); a.Status != e.status {
			t.Errorf("%s: got %d %s, want %d", name, a.Status, a.Body, e.status)
		}
		w = newWorld(t)
		w.user(email, 0)
		w.api.CaptchaProtected = []string{name}
		if a := w.browser().JSON(t, "POST", "/api/v2/identity/"+e.path, e.sent); a.Status != e.status {
			t.Errorf("%s, captcha off: got %d %s, want %d", name, a.Status, a.Body, e.status)
		}
	}
}

// W-I4: where sign-up is not protected, a captcha is asked for after three sign-ups of a
// network; one that is sent counts before.
func TestSignUpAsksForACaptchaAfterThree(t *testing.T) {
	w := newWorld(t)
	w.api.Captcha, w.api.CaptchaProtected = &w.captcha, nil
	signUp := func(n int, response any) resttest.Answer {
		sent := body{"email": fmt.Sprintf("new%d@barong.io", n), "password": password}
		if response != nil {
			sent["captcha_response"] = response
		}
		return w.browser().JSON(t, "POST", "/api/v2/identity/users", sent)
	}
	signUp(0, "robot").WantTokens(t, 422, "identity.captcha.verification_failed")
	w.opened(signUp(1, "human"), 201)
	for n := range 3 {
		w.opened(signUp(2+n, nil), 201)
	}
	signUp(5, nil).WantTokens(t, 400, "identity.captcha.required")
	w.opened(signUp(5, "human"), 201)
	w.api.Captcha = nil
	w.opened(signUp(6, nil), 201) // there is none to ask for
}
