package identity_test

import (
	"encoding/base64"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"barong/internal/account"
	"barong/internal/expect"
	"barong/internal/token"
)

const emails = "/api/v2/identity/users/email/"

// The answer is the same for everybody; a pending user is mailed.
func TestSendConfirmation(t *testing.T) {
	w := newWorld(t)
	pending := w.user(email, 0)
	w.user("active@barong.io", 1)
	w.state(w.user("banned@barong.io", 0).UID, "banned")
	w.News()
	c := w.Browser()
	for address, mailed := range map[string]int{
		" Trader@barong.io ": 1, "active@barong.io": 0, "banned@barong.io": 0, "nobody@barong.io": 0, "no address": 0,
	} {
		c.JSON(t, "POST", emails+"generate_code", body{"email": address}).Want(t, 201, `201`)
		news := w.News()
		if len(news) != mailed || mailed == 1 && news[0].Name != "system.user.email.confirmation.token" {
			t.Errorf("%q: events %q, want %d", address, names(news), mailed)
		}
	}
	expect.Equal(t, w.Deeds(pending.UID), []string(nil)) // not recorded

	c.JSON(t, "POST", emails+"generate_code", body{}).WantTokens(t, 400, "identity.user.missing_email", "identity.user.empty_email")
	c.JSON(t, "POST", emails+"generate_code", body{"email": ""}).WantTokens(t, 400, "identity.user.empty_email")
	c.JSON(t, "POST", emails+"generate_code", body{"email": []int{1}, "lang": body{}}).WantTokens(t, 422, "invalid")
	c.JSON(t, "POST", emails+"generate_code", body{"email": email, "captcha_response": []int{1}}).WantTokens(t, 422, "invalid")
}

// Above the limits of an account nothing is sent and nothing is said; a network's are (W-I11).
func TestMailsAreLimited(t *testing.T) {
	for _, path := range []string{emails, resets} {
		w := newWorld(t)
		w.user(email, 0)
		c := w.Browser()
		for n := range 2 {
			c.JSON(t, "POST", path+"generate_code", body{"email": email}).Want(t, 201, `201`)
			if got := len(w.News()); got != 1-n {
				t.Errorf("%s: request %d sent %d mails, want one a minute", path, n+1, got)
			}
		}
		for n := range 18 {
			c.JSON(t, "POST", path+"generate_code", body{"email": fmt.Sprintf("nobody%d@barong.io", n)}).Want(t, 201, `201`)
		}
		a := c.JSON(t, "POST", path+"generate_code", body{"email": email})
		a.WantTokens(t, 429, "identity.user.too_many_requests")
		expect.Equal(t, a.Header.Get("Retry-After"), "180")
	}
}

// confirmation signs a user up and returns the mailed token.
func (w *world) confirmation() (uid, jwt string) {
	w.T.Helper()
	uid, jwt, _ = w.signedUp()
	return uid, jwt
}

// signedUp is confirmation, with the browser's device cookie.
func (w *world) signedUp() (uid, jwt, device string) {
	w.T.Helper()
	a := w.Browser().JSON(w.T, "POST", signUps, credentials())
	u, _ := w.opened(a, 201)
	jwt, _ = w.link()
	uid, _ = u["uid"].(string)
	_, device = cookies(w.T, a)
	return uid, jwt, device
}

// A confirmed user is active, has level 1 and a session.
func TestConfirmEmail(t *testing.T) {
	w := newWorld(t)
	uid, jwt, device := w.signedUp()
	before, c := w.Deeds(uid), w.Browser().With("Cookie", "_barong_device="+device)
	_, old := w.opened(c.JSON(t, "POST", sessions, credentials()), 201)
	w.News()
	a := c.JSON(t, "POST", emails+"confirm_code", body{"token": jwt, "lang": "ru"})
	u, cookie := w.opened(a, 201)
	expect.Equal(t, []any{u["uid"], u["state"], u["level"]}, []any{uid, "active", 1.0})
	if labels, _ := u["labels"].([]any); len(labels) != 1 || labels[0].(map[string]any)["scope"] != "private" {
		t.Errorf("labels %v, want email:verified, private", u["labels"])
	}
	news := w.News()
	expect.Equal(t, names(news), []string{"model.label.created", "model.user.updated", "system.user.email.confirmed"}) // no session.create
	expect.Equal(t, []string{news[2].Language, member(t, news[2], "domain")}, []string{"ru", "exchange.example"})
	expect.Equal(t, w.Deeds(uid), append(before, "session login succeed")) // not recorded
	if !w.ended(old) || w.ended(cookie) {
		t.Error("want who signed up out of it, and this session standing")
	}
}

// The second factor is no mailbox: the address is confirmed, and no session opened.
func TestConfirmEmailWithASecondFactor(t *testing.T) {
	w := newWorld(t)
	uid := w.user(email, 0).UID // by the operator: not anybody's
	w.Browser().JSON(t, "POST", emails+"generate_code", body{"email": email}).Want(t, 201, `201`)
	jwt, _ := w.link()
	w.PutUser(uid, func(u *account.User) { u.OTP = true })
	a := w.Browser().JSON(t, "POST", emails+"confirm_code", body{"token": jwt})
	closed(t, a)
	var u map[string]any
	a.Into(t, &u)
	keys := []string{}
	for k := range u {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	expect.Equal(t, keys, userKeys(false))
	expect.Equal(t, []any{a.Status, u["state"], u["level"]}, []any{201, "active", 1.0})
}

// A stranger that signed up with another's address is out of the account once its owner comes, in
// another browser; the owner signs in with a password of their own (D27). In the browser of the sign-up,
// or with its password, nothing changes for an honest user.
func TestTheOwnerOfAnAddressGetsTheAccount(t *testing.T) {
	for name, c := range map[string]struct {
		sent body
		same bool
		kept bool
	}{
		"another browser":              {body{}, false, false},
		"the browser of the sign-up":   {body{}, true, true},
		"the password, from elsewhere": {body{"password": password}, false, true},
		"a wrong one":                  {body{"password": fresh}, false, false},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			uid, jwt, device := w.signedUp()
			planted := w.secondFactor(w.User(uid)) // as accounts of before may have it
			w.News()
			owner := w.Browser()
			if c.same {
				owner = owner.With("Cookie", "_barong_device="+device)
			}
			u, _ := w.opened(owner.JSON(t, "POST", emails+"confirm_code", with(c.sent, "token", jwt)), 201)
			expect.Equal(t, []any{u["state"], u["otp"]}, []any{"active", false})
			first := w.Browser().JSON(t, "POST", sessions, with(credentials(), "otp_code", planted()))
			if c.kept {
				w.opened(first, 201)
				return
			}
			first.WantTokens(t, 401, "identity.session.invalid_params")
			link, _ := w.link() // mailed with the confirmation
			owner.JSON(t, "POST", resets+"confirm_code", newPassword(link, fresh)).Want(t, 201, `201`)
			w.opened(owner.JSON(t, "POST", sessions, body{"email": email, "password": fresh}), 201)
		})
	}
}

// Refused confirmations; a missing token is 400 (D2, W-I12).
func TestConfirmEmailRefusals(t *testing.T) {
	for name, c := range map[string]struct {
		change func(w *world, uid, jwt string) (sent any)
		status int
		tokens []string
	}{
		"no token (D2)": {func(*world, string, string) any { return nil }, 400,
			[]string{"identity.user.missing_token", "identity.user.empty_token"}},
		"a blank one": {func(*world, string, string) any { return " " }, 400, []string{"identity.user.empty_token"}},
		"no text":     {func(*world, string, string) any { return []int{1} }, 422, []string{"invalid"}},
		"no token at all": {func(*world, string, string) any { return "invalid token" }, 422,
			[]string{"jwt.decode_and_verify.segments"}},
		"used, and set back to pending": {func(w *world, uid, jwt string) any {
			w.opened(w.Browser().JSON(w.T, "POST", emails+"confirm_code", body{"token": jwt}), 201)
			w.state(uid, "pending")
			return jwt
		}, 422, []string{"identity.user.utilized_token"}},
		"used, and active": {func(w *world, _, jwt string) any {
			w.opened(w.Browser().JSON(w.T, "POST", emails+"confirm_code", body{"token": jwt}), 201)
			return jwt
		}, 422, []string{"identity.user.active_or_doesnt_exist"}},
		"after its life and ten seconds": {func(w *world, _, jwt string) any {
			w.Now = w.Now.Add(time.Hour + 10*time.Second)
			return jwt
		}, 422, []string{"jwt.decode_and_verify.expired"}},
		"of a banned user (W-I12)": {func(w *world, uid, jwt string) any { w.state(uid, "banned"); return jwt }, 422,
			[]string{"identity.user.active_or_doesnt_exist"}},
		"of another address by now (W-I12)": {func(w *world, uid, jwt string) any {
			w.PutUser(uid, func(u *account.User) { u.Email = "other@barong.io" })
			return jwt
		}, 422, []string{"identity.user.active_or_doesnt_exist"}},
		"a reset token": {func(w *world, _, _ string) any { return w.resetLink() }, 422, []string{"jwt.decode_and_verify.raised"}},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			uid, jwt := w.confirmation()
			sent := body{}
			if s := c.change(w, uid, jwt); s != nil {
				sent["token"] = s
			}
			w.News()
			a := w.Browser().JSON(t, "POST", emails+"confirm_code", sent)
			a.WantTokens(t, c.status, c.tokens...)
			closed(t, a)
			expect.Equal(t, names(w.News()), []string{})
		})
	}
}

// Another link leaves the earlier ones working.
func TestEarlierConfirmationsWork(t *testing.T) {
	w := newWorld(t)
	_, first := w.confirmation()
	w.Now = w.Now.Add(2 * time.Minute)
	w.Browser().JSON(t, "POST", emails+"generate_code", body{"email": email}).Want(t, 201, `201`)
	if second, _ := w.link(); second == first {
		t.Error("the same link twice")
	}
	w.opened(w.Browser().JSON(t, "POST", emails+"confirm_code", body{"token": first}), 201)
}

// linkFrom is a body that uses a mailed token, by endpoint.
func linkFrom() map[string]func(jwt string) body {
	return map[string]func(string) body{
		emails + "confirm_code": func(jwt string) body { return body{"token": jwt} },
		resets + "confirm_code": func(jwt string) body {
			return body{"reset_password_token": jwt, "password": fresh, "confirm_password": fresh}
		},
	}
}

// One word for each problem, which never echoes the token (W-I28).
func TestMailTokenWords(t *testing.T) {
	w := newWorld(t)
	_, confirmation := w.confirmation()
	reset := w.resetLink()
	c := w.Browser()
	for path, sent := range linkFrom() {
		good := confirmation
		if path == resets+"confirm_code" {
			good = reset
		}
		part := strings.Split(good, ".")
		none := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none"}`)) + "." + part[1] + "."
		for word, jwts := range map[string][]string{
			"segments":  {"x", "a.b", good + ".x"},
			"encoding":  {"a.b.c", part[0] + ".#." + part[2]},
			"raised":    {part[0] + "." + part[1] + "." + strings.Repeat("A", len(part[2]))},
			"algorithm": {none},
		} {
			for _, jwt := range jwts {
				w.IP = w.IP.Next()
				c.JSON(t, "POST", path, sent(jwt)).WantTokens(t, 422, "jwt.decode_and_verify."+word)
			}
		}
		for _, word := range token.MailErrorWords() {
			w.IP = w.IP.Next()
			c.JSON(t, "POST", path, sent("word "+word)).WantTokens(t, 422, "jwt.decode_and_verify."+word)
		}
	}
}

// The tokens of mails are tried ten times in a quarter of an hour from one network.
func TestMailTokenTriesAreLimited(t *testing.T) {
	for path, sent := range linkFrom() {
		w := newWorld(t)
		c := w.Browser()
		for range 10 {
			c.JSON(t, "POST", path, sent("x")).WantTokens(t, 422, "jwt.decode_and_verify.segments")
		}
		a := c.JSON(t, "POST", path, sent("x"))
		a.WantTokens(t, 429, "identity.user.too_many_requests")
		expect.Equal(t, a.Header.Get("Retry-After"), "90")
		w.IP = netip.MustParseAddr("10.9.9.9")
		c.JSON(t, "POST", path, sent("x")).WantTokens(t, 422, "jwt.decode_and_verify.segments")
	}
}
