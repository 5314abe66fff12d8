package identity_test

import (
	"strings"
	"testing"
	"time"

	"barong/internal/expect"
)

const (
	resets = "/api/v2/identity/users/password/"
	fresh  = "Gol4aid1" // another strong one
)

// resetLink asks for a mail and returns its token; time moves on, so that it may again.
func (w *world) resetLink() string {
	w.T.Helper()
	w.Now = w.Now.Add(2 * time.Minute)
	w.News()
	w.Browser().JSON(w.T, "POST", resets+"generate_code", body{"email": email}).Want(w.T, 201, `201`)
	jwt, _ := w.link()
	return jwt
}

func newPassword(jwt, password string) body {
	return body{"reset_password_token": jwt, "password": password, "confirm_password": password}
}

// The answer is the same for everybody; banned and deleted (W-I10)
// users are mailed nothing.
func TestSendReset(t *testing.T) {
	w := newWorld(t)
	u := w.user(email, 1)
	w.user("pending@barong.io", 0)
	w.state(w.user("banned@barong.io", 1).UID, "banned")
	w.state(w.user("deleted@barong.io", 1).UID, "deleted")
	w.News()
	c := w.Browser()
	for address, mailed := range map[string]int{
		" Trader@barong.io ": 1, "pending@barong.io": 1, "banned@barong.io": 0, "deleted@barong.io": 0,
		"nobody@barong.io": 0, "no address": 0,
	} {
		c.JSON(t, "POST", resets+"generate_code", body{"email": address}).Want(t, 201, `201`)
		news := w.News()
		if len(news) != mailed || mailed == 1 && news[0].Name != "system.user.password.reset.token" {
			t.Errorf("%q: events %q, want %d", address, names(news), mailed)
		}
	}
	expect.Equal(t, w.Deeds(u.UID), []string{"password request password reset succeed"})

	c.JSON(t, "POST", resets+"generate_code", body{}).WantTokens(t, 400, "identity.user.missing_email", "identity.user.empty_email")
	c.JSON(t, "POST", resets+"generate_code", body{"email": ""}).WantTokens(t, 400, "identity.user.empty_email")
	c.JSON(t, "POST", resets+"generate_code", body{"email": []int{1}}).WantTokens(t, 422, "invalid")
	c.JSON(t, "POST", resets+"generate_code", body{"email": email, "captcha_response": []int{1}}).WantTokens(t, 422, "invalid")
}

// The password is new, and every session has ended (D11, W-I7).
func TestResetPassword(t *testing.T) {
	w := newWorld(t)
	u := w.user(email, 1)
	c := w.Browser()
	_, one := w.opened(c.JSON(t, "POST", sessions, credentials()), 201)
	_, two := w.opened(c.JSON(t, "POST", sessions, credentials()), 201)
	w.resetLink()
	jwt := w.resetLink() // the newest of two
	before := w.Deeds(u.UID)
	a := c.JSON(t, "POST", resets+"confirm_code", with(newPassword(jwt, fresh), "lang", "ru"))
	a.Want(t, 201, `201`)
	closed(t, a)
	news := w.News()
	expect.Equal(t, names(news), []string{"model.user.updated", "system.user.password.reset"})
	expect.Equal(t, []string{news[1].Language, member(t, news[1], "domain")}, []string{"ru", "exchange.example"})
	expect.Equal(t, w.Deeds(u.UID), append(before, "password password reset succeed"))
	expect.Equal(t, []bool{w.ended(one), w.ended(two)}, []bool{true, true})
	c.JSON(t, "POST", sessions, credentials()).WantTokens(t, 401, "identity.session.invalid_params")
	w.opened(c.JSON(t, "POST", sessions, body{"email": email, "password": fresh}), 201)
	// The old password may be the new one.
	c.JSON(t, "POST", resets+"confirm_code", newPassword(w.resetLink(), fresh)).Want(t, 201, `201`)
}

// Mail arrives late and out of order, so the
// newest three links of a user work, and all of them are void once one was used.
func TestEarlierResetLinks(t *testing.T) {
	w := newWorld(t)
	w.user(email, 1)
	c := w.Browser()
	var links []string
	for range 4 {
		links = append(links, w.resetLink())
	}
	c.JSON(t, "POST", resets+"confirm_code", newPassword(links[0], fresh)).WantTokens(t, 422, "identity.user.utilized_token")
	c.JSON(t, "POST", resets+"confirm_code", newPassword(links[1], fresh)).Want(t, 201, `201`)
	for _, jwt := range links[1:] {
		c.JSON(t, "POST", resets+"confirm_code", newPassword(jwt, fresh)).WantTokens(t, 422, "identity.user.utilized_token")
	}
}

// Refused resets; a missing parameter is 400 (D2, W-I10).
func TestResetPasswordRefusals(t *testing.T) {
	all := func(password string) func(*world, string) body {
		return func(_ *world, jwt string) body { return newPassword(jwt, password) }
	}
	set := func(name string, value any) func(*world, string) body {
		return func(_ *world, jwt string) body { return with(newPassword(jwt, fresh), name, value) }
	}
	for name, c := range map[string]struct {
		sent   func(w *world, jwt string) body
		status int
		tokens []string
		note   string // of the activity
	}{
		"all blank (D2)": {func(*world, string) body { return newPassword("", "") }, 400, []string{
			"identity.user.empty_reset_password_token", "identity.user.empty_password", "identity.user.empty_confirm_password"}, ""},
		"nothing (D2)": {func(*world, string) body { return body{} }, 400, []string{
			"identity.user.missing_pass_token", "identity.user.empty_reset_password_token",
			"identity.user.missing_password", "identity.user.empty_password",
			"identity.user.missing_confirm_password", "identity.user.empty_confirm_password"}, ""},
		"no text":          {set("reset_password_token", []int{1}), 422, []string{"invalid"}, ""},
		"no token":         {set("reset_password_token", "invalid"), 422, []string{"jwt.decode_and_verify.segments"}, ""},
		"different":        {set("confirm_password", "Gol4aid2"), 422, []string{"identity.user.passwords_doesnt_match"}, ""},
		"no shape":         {all("Simple"), 422, []string{"password.requirements"}, "password.requirements"},
		"weak":             {all("Password1"), 422, []string{"password.weak"}, "password.weak"},
		"too long (W-I18)": {all("Tecohvi0" + strings.Repeat("xY3!z", 13)), 422, []string{"password.too_long"}, "password.too_long"},
		"after its life": {func(w *world, jwt string) body {
			w.Now = w.Now.Add(time.Hour + 10*time.Second)
			return newPassword(jwt, fresh)
		}, 422, []string{"jwt.decode_and_verify.expired"}, ""},
		"banned meanwhile (W-I10)": {func(w *world, jwt string) body { w.byEmail("banned"); return newPassword(jwt, fresh) },
			422, []string{"identity.user.utilized_token"}, ""},
		"a confirmation token": {func(w *world, _ string) body {
			w.byEmail("pending")
			w.Browser().JSON(w.T, "POST", emails+"generate_code", body{"email": email}).Want(w.T, 201, `201`)
			jwt, _ := w.link()
			return newPassword(jwt, fresh)
		}, 422, []string{"jwt.decode_and_verify.raised"}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			u := w.user(email, 1)
			jwt := w.resetLink()
			before := w.Deeds(u.UID)
			sent := c.sent(w, jwt)
			w.News()
			a := w.Browser().JSON(t, "POST", resets+"confirm_code", sent)
			a.WantTokens(t, c.status, c.tokens...)
			closed(t, a)
			expect.Equal(t, names(w.News()), []string{})
			if c.note != "" {
				before = append(before, `password password reset failed {"reason":"`+c.note+`"}`)
			}
			expect.Equal(t, w.Deeds(u.UID), before)
			if digest := w.User(u.UID).PasswordDigest; digest != "#"+password {
				t.Errorf("the password changed to %s", digest)
			}
			if c.note != "" { // the link still works
				w.Browser().JSON(t, "POST", resets+"confirm_code", newPassword(jwt, fresh)).Want(t, 201, `201`)
			}
		})
	}
	w := newWorld(t)
	w.user(email, 1)
	w.Browser().JSON(t, "POST", resets+"confirm_code?password="+fresh+"&confirm_password="+fresh, // D19
		body{"reset_password_token": "x"}).WantTokens(t, 400, "identity.user.missing_password", "identity.user.empty_password",
		"identity.user.missing_confirm_password", "identity.user.empty_confirm_password")
}
