package resource_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"barong/internal/account/worldtest"
	"barong/internal/apitest"
	"barong/internal/expect"
	"barong/internal/factor"
	"barong/internal/factor/passkeytest"
	"barong/internal/rest/resttest"
)

const passkeysBase = base + "/passkeys"

// challenge is the cookie of a challenge that an answer sets.
func challenge(t testing.TB, a resttest.Answer) *http.Cookie {
	t.Helper()
	all := a.Header.Values("Set-Cookie")
	if len(all) != 1 {
		t.Fatalf("%d %s sets %q, want one cookie", a.Status, a.Body, all)
	}
	c, err := http.ParseSetCookie(all[0])
	expect.OK(t, err)
	return c
}

// created is the device's answer to a challenge, and a client that shows its cookie, beside that of a
// session unless it is "".
func (w *world) created(d *passkeytest.Device, session string, proof map[string]any) (c *resttest.Client, answer json.RawMessage) {
	w.T.Helper()
	a := w.mine().JSON(w.T, "POST", passkeysBase+"/begin", proof)
	cookie := challenge(w.T, a)
	text := cookie.Name + "=" + cookie.Value
	if session != "" {
		text += "; _barong_session=" + session
	}
	return w.mine().With("Cookie", text), expect.Must(d.Create([]byte(a.Body)))(w.T)
}

func owner() map[string]any { return map[string]any{"password": apitest.Password} }

func TestPasskeys(t *testing.T) {
	w := newWorld(t)
	w.mine().Get(t, passkeysBase).Want(t, 200, `[]`)
	w.mine().JSON(t, "POST", passkeysBase+"/begin", nil).
		WantTokens(t, 400, "resource.passkey.missing_password", "resource.passkey.empty_password")
	a := w.mine().JSON(t, "POST", passkeysBase+"/begin", owner())
	cookie := challenge(t, a)
	expect.Equal(t, []any{a.Status, cookie.Name, cookie.HttpOnly, cookie.Secure, cookie.SameSite, cookie.MaxAge, cookie.Path},
		[]any{201, "_barong_passkey", true, true, http.SameSiteLaxMode, 300, "/api/v2"})
	var begun struct {
		PublicKey struct {
			RP, User, AuthenticatorSelection map[string]any
			Challenge, Attestation           string
			Timeout                          int
			ExcludeCredentials               []any
			PubKeyCredParams                 []map[string]any
		}
	}
	a.Into(t, &begun)
	o := begun.PublicKey
	expect.Equal(t, o.RP, map[string]any{"id": "localhost", "name": "Barong"})
	expect.Equal(t, o.AuthenticatorSelection, map[string]any{"residentKey": "required", "requireResidentKey": true, "userVerification": "required"})
	expect.Equal(t, []any{o.Attestation, o.Timeout, len(o.Challenge), len(o.ExcludeCredentials), o.User["name"]},
		[]any{"none", 300000, 43, 0, "trader@barong.io"})
	expect.Equal(t, o.PubKeyCredParams[1], map[string]any{"type": "public-key", "alg": -7.0})

	d, current, phone := worldtest.NewDevice(), w.open(me), w.open(me)
	c, answer := w.created(d, current, owner())
	a = c.JSON(t, "POST", passkeysBase, map[string]any{"credential": answer, "name": "my phone"})
	var p struct{ ID string }
	a.Into(t, &p)
	shown := `{"id":"` + p.ID + `","name":"my phone","synced":false,"created_at":"2026-11-21T08:00:00Z","last_used_at":null}`
	a.Want(t, 201, shown)
	next, _ := set(t, a)
	if next == "" || next == current || !w.stands(next) || w.stands(phone) {
		t.Error("the current session does not go on alone, under another cookie (D11)")
	}
	w.mine().Get(t, passkeysBase).Want(t, 200, `[`+shown+`]`)

	// As JSON in a text, as form posts have it.
	c, answer = w.created(worldtest.NewDevice(), "", owner())
	a = c.JSON(t, "POST", passkeysBase, map[string]any{"credential": string(answer)})
	expect.Equal(t, a.Status, 201)

	w.mine().JSON(t, "PUT", passkeysBase+"/"+p.ID, map[string]any{"name": "old phone"}).
		Want(t, 200, strings.Replace(shown, "my phone", "old phone", 1))
	stranger := w.As(stranger)
	stranger.JSON(t, "PUT", passkeysBase+"/"+p.ID, map[string]any{"name": "mine"}).WantTokens(t, 404, "record.not_found")
	stranger.JSON(t, "DELETE", passkeysBase+"/"+p.ID, owner()).WantTokens(t, 404, "record.not_found")
	stranger.Get(t, passkeysBase).Want(t, 200, `[]`)
	a = within(w.mine(), w.open(me)).JSON(t, "DELETE", passkeysBase+"/"+p.ID, owner())
	a.Want(t, 204, ``)
	if after, _ := set(t, a); !w.stands(after) {
		t.Error("the current session does not go on")
	}
	w.mine().JSON(t, "DELETE", passkeysBase+"/"+p.ID, owner()).WantTokens(t, 404, "record.not_found")
}

func TestPasskeyRefusals(t *testing.T) {
	wrong := map[string]any{"password": "wrong"}
	w := newWorld(t)
	d := worldtest.NewDevice()
	c, answer := w.created(d, "", owner())
	w.mine().JSON(t, "POST", passkeysBase, nil).WantTokens(t, 400, "resource.passkey.missing_credential")
	w.mine().JSON(t, "POST", passkeysBase, map[string]any{"credential": []any{}}).WantTokens(t, 422, "resource.passkey.invalid_passkey")
	w.mine().JSON(t, "POST", passkeysBase, map[string]any{"credential": answer}).WantTokens(t, 422, "resource.passkey.challenge_expired")
	long := strings.Repeat("x", 65)
	c.JSON(t, "POST", passkeysBase, map[string]any{"credential": answer, "name": long}).WantTokens(t, 422, "name.too_long")
	c.JSON(t, "POST", passkeysBase, map[string]any{"credential": answer}).Into(t, &struct{}{})
	c, _ = w.created(worldtest.NewDevice(), "", owner())
	c.JSON(t, "POST", passkeysBase, map[string]any{"credential": answer}).WantTokens(t, 422, "resource.passkey.invalid_passkey")
	var list []struct{ ID string }
	w.mine().Get(t, passkeysBase).Into(t, &list)
	one := passkeysBase + "/" + list[0].ID
	w.mine().JSON(t, "PUT", one, map[string]any{"name": long}).WantTokens(t, 422, "name.too_long")
	w.mine().JSON(t, "PUT", one, nil).WantTokens(t, 400, "resource.passkey.missing_name", "resource.passkey.empty_name")
	w.mine().JSON(t, "DELETE", one, nil).WantTokens(t, 400, "resource.passkey.missing_password", "resource.passkey.empty_password")

	// Another's device with the same credential id.
	thief := worldtest.NewDevice()
	id := d.Keys[0].ID
	thief.Twist = func(a *passkeytest.Answer) { a.ID = id }
	thief.Forge = func(a *passkeytest.Answer) { copy(a.Data[55:], id) }
	c, answer = w.created(thief, "", owner())
	c.JSON(t, "POST", passkeysBase, map[string]any{"credential": answer}).WantTokens(t, 422, "resource.passkey.already_registered")

	for _, test := range []struct{ method, path string }{{"POST", passkeysBase + "/begin"}, {"DELETE", one}} {
		w.mine().JSON(t, test.method, test.path, wrong).WantTokens(t, 422, "resource.passkey.invalid_password")
	}
	for _, verb := range []string{"Seal"} {
		c, answer = w.created(worldtest.NewDevice(), "", owner())
		w.Faults.Fail(apitest.ErrBug, verb)
		c.JSON(t, "POST", passkeysBase, map[string]any{"credential": answer}).WantTokens(t, 422, "totp.error")
		w.mine().JSON(t, "PUT", one, map[string]any{"name": "x"}).WantTokens(t, 422, "totp.error")
		w.Faults.Fail(nil, verb)
	}
	code := w.SecondFactor(me)
	for _, test := range []struct{ method, path string }{{"POST", passkeysBase + "/begin"}, {"DELETE", one}} {
		w.mine().JSON(t, test.method, test.path, owner()).WantTokens(t, 422, "resource.passkey.missing_code")
		bad := owner()
		bad["code"] = "000000x"
		w.mine().JSON(t, test.method, test.path, bad).WantTokens(t, 422, "resource.passkey.invalid_code")
		good := owner()
		good["code"] = code()
		if test.method == "POST" {
			expect.Equal(t, w.mine().JSON(t, test.method, test.path, good).Status, 201)
			w.mine().JSON(t, test.method, test.path, good).WantTokens(t, 422, "totp.error")
			good["code"] = code()
			w.Faults.Fail(apitest.ErrBug, "Open")
			w.mine().JSON(t, test.method, test.path, good).WantTokens(t, 422, "totp.error")
			w.Faults.Fail(nil, "Open")
			continue
		}
		w.mine().JSON(t, test.method, test.path, good).Want(t, 204, ``)
		w.mine().JSON(t, test.method, test.path, good).WantTokens(t, 422, "totp.error")
	}
}

func TestPasskeysAreBounded(t *testing.T) {
	w := newWorld(t)
	var late *resttest.Client
	var answer json.RawMessage
	for range factor.MaxPasskeys {
		late, answer = w.created(worldtest.NewDevice(), "", owner())
		expect.Equal(t, late.JSON(t, "POST", passkeysBase, map[string]any{"credential": answer}).Status, 201)
	}
	w.mine().JSON(t, "POST", passkeysBase+"/begin", owner()).WantTokens(t, 422, "resource.passkey.limit_reached")
	w.Account.NoPasskeys = true
	w.Restart()
	w.mine().JSON(t, "POST", passkeysBase+"/begin", owner()).WantTokens(t, 422, "resource.passkey.not_configured")
	w.mine().JSON(t, "POST", passkeysBase, map[string]any{"credential": answer}).WantTokens(t, 422, "resource.passkey.not_configured")
}

// The limit holds for a registration that began below it, also when the passkeys that fill it ended
// no session.
func TestPasskeysAreBoundedAtTheEnd(t *testing.T) {
	w := newWorld(t)
	c, answer := w.created(worldtest.NewDevice(), "", owner())
	for i := range factor.MaxPasskeys {
		p := factor.Passkey{UserUID: me, CredentialID: []byte{byte(i)}, PublicKey: []byte("key")}
		expect.OK(t, w.DB.AddPasskey(t.Context(), &p, factor.MaxPasskeys))
	}
	c.JSON(t, "POST", passkeysBase, map[string]any{"credential": answer}).WantTokens(t, 422, "resource.passkey.limit_reached")
}

// A registration or a deletion in a session that has ended, or ends meanwhile, is refused.
func TestLatePasskeys(t *testing.T) {
	for name, test := range currencies() {
		if !test.over {
			continue
		}
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			cookie := test.cookie(w)
			c, answer := w.created(worldtest.NewDevice(), cookie, owner())
			test.before(w, cookie)
			a := c.JSON(t, "POST", passkeysBase, map[string]any{"credential": answer})
			w.Faults.Fail(nil, "Update")
			if a.Status != 401 && a.Status != 422 {
				t.Errorf("%d %s, want a refusal", a.Status, a.Body)
			}
			w.mine().Get(t, passkeysBase).Want(t, 200, `[]`)

			one, cookie := w.registered(), test.cookie(w)
			test.before(w, cookie)
			a = within(w.mine(), cookie).JSON(t, "DELETE", passkeysBase+"/"+one, owner())
			w.Faults.Fail(nil, "Update")
			a.WantTokens(t, 401, "authz.invalid_session")
			expect.Equal(t, len(expect.Must(w.DB.Passkeys(t.Context(), me))(t)), 1)
		})
	}
}

// Of each parameter but the credential, which may be an object, a list is refused.
func TestPasskeyParametersAreNoLists(t *testing.T) {
	w := newWorld(t)
	one := passkeysBase + "/" + w.registered()
	list := []string{"x"}
	for _, test := range []struct {
		method, path string
		body         map[string]any
	}{
		{"POST", passkeysBase + "/begin", map[string]any{"password": list}},
		{"POST", passkeysBase, map[string]any{"credential": map[string]any{}, "name": list}},
		{"PUT", one, map[string]any{"name": list}},
		{"DELETE", one, map[string]any{"password": list}},
	} {
		w.mine().JSON(t, test.method, test.path, test.body).WantTokens(t, 422, "invalid")
	}
}

// registered gives the user one more passkey and returns its id.
func (w *world) registered() string {
	w.T.Helper()
	c, answer := w.created(worldtest.NewDevice(), "", owner())
	var p struct{ ID string }
	c.JSON(w.T, "POST", passkeysBase, map[string]any{"credential": answer}).Into(w.T, &p)
	return p.ID
}

// FuzzPasskeyBodies: whatever is sent to finish a registration gets an answer that is declared.
func FuzzPasskeyBodies(f *testing.F) {
	w := newWorld(f)
	w.Account.Unlimited = true
	w.Restart()
	d := worldtest.NewDevice()
	_, answer := w.created(d, "", owner())
	for _, seed := range []string{
		`{}`, `{"credential":{}}`, `{"credential":"{}"}`, `{"credential":null}`, `{"credential":{"id":1}}`, `[`, ``,
		`{"credential":` + string(answer) + `}`, `{"credential":` + string(answer) + `,"name":"` + strings.Repeat("x", 70) + `"}`,
	} {
		f.Add("application/json", seed)
	}
	f.Add("application/x-www-form-urlencoded", "credential=%7B%7D")
	f.Fuzz(func(t *testing.T, media, text string) {
		w.T = t
		defer func() { w.T = f }()
		c, _ := w.created(worldtest.NewDevice(), "", owner())
		a := c.Send(t, "POST", passkeysBase, media, text)
		if a.Status >= 500 {
			t.Errorf("%d %s", a.Status, a.Body)
		}
	})
}
