package identity_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"barong/internal/account"
	"barong/internal/account/worldtest"
	"barong/internal/apitest"
	"barong/internal/expect"
	"barong/internal/factor/passkeytest"
	"barong/internal/rest/resttest"
	"barong/internal/view"
)

const byPasskey = sessions + "/passkey"

// passkey registers one of the device for u.
func (w *world) passkey(u account.User, d *passkeytest.Device) {
	w.T.Helper()
	me := account.Actor{UID: u.UID}
	c := expect.Must(w.Accounts.BeginPasskey(w.T.Context(), me, password, ""))(w.T)
	answer := expect.Must(d.Create(expect.Must(json.Marshal(view.PasskeyCreationOf(c)))(w.T)))(w.T)
	_, _, err := w.Accounts.AddPasskey(w.T.Context(), me, c.Cookie, answer, "")
	expect.OK(w.T, err)
	w.News()
}

// shown begins a sign-in: it returns the browser that has begun it, and the device's answer.
func (w *world) shown(d *passkeytest.Device) (*resttest.Client, json.RawMessage) {
	w.T.Helper()
	a := w.Client().JSON(w.T, "POST", byPasskey+"/begin", nil)
	all := a.Header.Values("Set-Cookie")
	if a.Status != 201 || len(all) != 1 {
		w.T.Fatalf("begin: %d %s, cookies %q", a.Status, a.Body, all)
	}
	c := expect.Must(http.ParseSetCookie(all[0]))(w.T)
	expect.Equal(w.T, all[0], "_barong_passkey="+c.Value+"; Path=/api/v2; Max-Age=300; HttpOnly; Secure; SameSite=Lax")
	w.Secret(c.Value)
	return w.Client().With("Cookie", c.Name+"="+c.Value), expect.Must(d.Get([]byte(a.Body)))(w.T)
}

// 201, the whole account, the CSRF token, the cookies, the event and the activity of a sign-in.
func TestSignInByPasskey(t *testing.T) {
	w := newWorld(t)
	made, d := w.user(email, 1), worldtest.NewDevice()
	w.passkey(made, d)
	c, answer := w.shown(d)
	u, _ := w.opened(c.JSON(t, "POST", byPasskey, body{"credential": answer}), 201)
	expect.Equal(t, u["uid"], any(made.UID))
	expect.Equal(t, names(w.News()), []string{"system.session.create"})
	deeds := w.Deeds(made.UID)
	expect.Equal(t, deeds[len(deeds)-1], "session login::passkey succeed")
	// Once; the same answer is refused, and so is another browser with a good one.
	c.JSON(t, "POST", byPasskey, body{"credential": answer}).WantTokens(t, 422, "identity.session.challenge_expired")
	_, answer = w.shown(d)
	w.Client().JSON(t, "POST", byPasskey, body{"credential": answer}).WantTokens(t, 422, "identity.session.challenge_expired")
	// The password alone does not sign in beside it.
	w.Client().JSON(t, "POST", sessions, credentials()).WantTokens(t, 401, "identity.session.missing_otp")
	// As text.
	c, answer = w.shown(d)
	w.opened(c.JSON(t, "POST", byPasskey, body{"credential": string(answer), "lang": "ru"}), 201)
}

// The challenge says nothing of anybody: that of an address with passkeys is that of any.
func TestPasskeyChallengesNameNobody(t *testing.T) {
	w := newWorld(t)
	w.passkey(w.user(email, 1), worldtest.NewDevice())
	a := w.Browser().JSON(t, "POST", byPasskey+"/begin", body{"email": email})
	var begun struct{ PublicKey map[string]any }
	a.Into(t, &begun)
	challenge, _ := begun.PublicKey["challenge"].(string)
	delete(begun.PublicKey, "challenge")
	expect.Equal(t, len(challenge), 43)
	expect.Equal(t, begun.PublicKey, map[string]any{"rpId": "localhost", "timeout": 300000.0, "userVerification": "required"})
}

func TestPasskeySignInRefusals(t *testing.T) {
	state := func(s string) func(*world, account.User) {
		return func(w *world, u account.User) { w.PutUser(u.UID, func(u *account.User) { u.State = s }) }
	}
	for name, test := range map[string]struct {
		before func(*world, account.User)
		forge  func(*passkeytest.Answer)
		status int
		token  string
	}{
		"forged":                  {nil, func(a *passkeytest.Answer) { a.Signature = nil }, 401, "identity.session.invalid_passkey"},
		"unknown":                 {nil, func(a *passkeytest.Answer) { a.ID = []byte("unknown credential") }, 401, "identity.session.invalid_passkey"},
		"of the banned":           {state("banned"), nil, 401, "identity.session.banned"},
		"of a deleted account":    {state("deleted"), nil, 401, "identity.session.deleted"},
		"of the locked":           {state("locked"), nil, 401, "identity.session.not_active"},
		"while the store is away": {func(w *world, _ account.User) { w.Faults.Fail(apitest.ErrOutage, "Update") }, nil, 503, "server.internal_error"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			u, d := w.user(email, 1), worldtest.NewDevice()
			w.passkey(u, d)
			d.Forge = test.forge
			c, answer := w.shown(d)
			if test.before != nil {
				test.before(w, u)
			}
			a := c.JSON(t, "POST", byPasskey, body{"credential": answer})
			w.Faults.Fail(nil, "Update")
			a.WantTokens(t, test.status, test.token)
			closed(t, a)
			expect.Equal(t, names(w.News()), []string{})
		})
	}
	w := newWorld(t)
	d := worldtest.NewDevice()
	w.passkey(w.user(email, 1), d)
	thief := d.Clone()
	c, answer := w.shown(d)
	w.opened(c.JSON(t, "POST", byPasskey, body{"credential": answer}), 201)
	c, answer = w.shown(thief)
	c.JSON(t, "POST", byPasskey, body{"credential": answer}).WantTokens(t, 401, "identity.session.copied_passkey")
	c.JSON(t, "POST", byPasskey, nil).WantTokens(t, 400, "identity.session.missing_credential")
	c.JSON(t, "POST", byPasskey, body{"credential": []any{}}).WantTokens(t, 422, "identity.session.invalid_passkey")
	c.JSON(t, "POST", byPasskey, body{"credential": "{}", "lang": body{}}).WantTokens(t, 422, "invalid")
	for _, path := range []string{byPasskey, byPasskey + "/begin"} {
		w.Client().With("Origin", "https://evil.example").JSON(t, "POST", path, body{"credential": answer}).
			WantTokens(t, 403, "identity.cross_site_request")
	}
	w.Account.NoPasskeys = true
	w.Restart()
	w.Client().JSON(t, "POST", byPasskey+"/begin", nil).WantTokens(t, 422, "identity.session.not_configured")
	w.Client().JSON(t, "POST", byPasskey, body{"credential": answer}).WantTokens(t, 422, "identity.session.not_configured")
}

// FuzzPasskeySignIn: whatever is sent to finish a sign-in gets an answer that is declared.
func FuzzPasskeySignIn(f *testing.F) {
	w := newWorld(f)
	d := worldtest.NewDevice()
	w.passkey(w.user(email, 1), d)
	w.Account.Unlimited = true
	w.Restart()
	_, answer := w.shown(d)
	for _, seed := range []string{
		`{}`, `{"credential":{}}`, `{"credential":"{}"}`, `{"credential":null}`, `{"credential":{"id":1}}`, `[`, ``,
		`{"credential":` + string(answer) + `}`, `{"credential":` + strings.Repeat("[", 50) + strings.Repeat("]", 50) + `}`,
	} {
		f.Add("application/json", seed)
	}
	f.Add("application/x-www-form-urlencoded", "credential=%7B%7D")
	f.Fuzz(func(t *testing.T, media, text string) {
		w.T = t
		defer func() { w.T = f }()
		c, _ := w.shown(d)
		if a := c.Send(t, "POST", byPasskey, media, text); a.Status >= 500 {
			t.Errorf("%d %s", a.Status, a.Body)
		}
	})
}
