package resource_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"image/png"
	"net/url"
	"testing"
	"time"

	"github.com/pquerna/otp/totp"

	"barong/internal/account"
	"barong/internal/apitest"
	"barong/internal/audit"
	"barong/internal/expect"
	"barong/internal/factor"
	"barong/internal/rest/resttest"
	"barong/internal/session"
	"barong/internal/store"
)

const otpBase = base + "/otp/"

// pending asks for a secret and returns the next code of it at each call.
func (w *world) pending() (code func() string) {
	w.T.Helper()
	var qr struct{ Data struct{ URL string } }
	w.mine().JSON(w.T, "POST", otpBase+"generate_qrcode", nil).Into(w.T, &qr)
	key := expect.Must(url.Parse(qr.Data.URL))(w.T).Query().Get("secret")
	return func() string {
		w.Now = w.Now.Add(30 * time.Second)
		return expect.Must(totp.GenerateCode(key, w.Now))(w.T)
	}
}

func TestQRCode(t *testing.T) {
	w := newWorld(t)
	a := w.mine().JSON(t, "POST", otpBase+"generate_qrcode", nil)
	var qr struct{ Data struct{ Barcode, URL string } }
	a.Into(t, &qr)
	at := expect.Must(url.Parse(qr.Data.URL))(t)
	secret := at.Query().Get("secret")
	want := "otpauth://totp/Barong:trader@barong.io?algorithm=SHA1&digits=6&issuer=Barong&period=30&secret=" + secret
	if unescaped, _ := url.PathUnescape(qr.Data.URL); unescaped != want || len(secret) != 32 {
		t.Errorf("got %s, want %s with 32 letters", unescaped, want)
	}
	image := expect.Must(png.Decode(bytes.NewReader(expect.Must(base64.StdEncoding.DecodeString(qr.Data.Barcode))(t))))(t)
	expect.Equal(t, []int{image.Bounds().Dx(), image.Bounds().Dy()}, []int{300, 300})
	data := expect.Must(json.Marshal(map[string]string{"barcode": qr.Data.Barcode, "url": qr.Data.URL}))(t)
	a.Want(t, 200, `{"auth":null,"data":`+string(data)+`,"metadata":null,"lease_duration":0,"lease_id":"",`+
		`"renewable":false,"warnings":null,"wrap_info":null}`)
	rows := w.Activities(audit.Query{ActorUID: me})
	if len(rows) != 1 {
		t.Fatalf("%d activities, want one", len(rows))
	}
	r := rows[0]
	expect.Equal(t, []string{r.Topic, r.Action, r.Result, r.UserAgent, r.IP, r.IPCountry},
		[]string{"otp", "request QR code for 2FA", "succeed", apitest.Agent, "10.0.0.1", "Malta"})
}

func TestQRCodeRefusals(t *testing.T) {
	for name, test := range map[string]struct {
		change func(*world)
		status int
		token  string
		after  string
	}{
		"already on":    {func(w *world) { w.SecondFactor(me) }, 400, "resource.otp.already_enabled", ""},
		"sealing fails": {func(w *world) { w.Faults.Fail(apitest.ErrBug, "Seal") }, 422, "totp.error", ""},
		"too many (W-R13)": {func(w *world) {
			for range 5 {
				w.pending()
			}
		}, 429, "resource.otp.too_many_requests", "720"},
		"the store is away": {func(w *world) { w.Faults.Fail(apitest.ErrOutage, "Update") }, 503, "server.internal_error", ""},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			test.change(w)
			a := w.mine().JSON(t, "POST", otpBase+"generate_qrcode", nil)
			a.WantTokens(t, test.status, test.token)
			expect.Equal(t, a.Header.Get("Retry-After"), test.after)
		})
	}
}

func TestCodeIsRequired(t *testing.T) {
	for _, path := range []string{"enable", "disable", "verify", "recovery_codes"} {
		c := newWorld(t).mine()
		c.JSON(t, "POST", otpBase+path, nil).
			WantTokens(t, 400, "resource.otp.missing_code", "resource.otp.empty_code")
		c.JSON(t, "POST", otpBase+path+"?code=123456", nil). // D19: not in a query
									WantTokens(t, 400, "resource.otp.missing_code", "resource.otp.empty_code")
		c.JSON(t, "POST", otpBase+path, map[string]any{"code": " "}).WantTokens(t, 400, "resource.otp.empty_code")
		c.JSON(t, "POST", otpBase+path, map[string]any{"code": map[string]any{"a": 1}}).WantTokens(t, 422, "invalid")
	}
}

// A currency is the session that a change comes with.
type currency struct {
	// cookie opens it, "" for none.
	cookie func(*world) string
	// before changes the world before the request.
	before func(w *world, cookie string)
	// stays says that the session goes on, under another cookie.
	stays bool
	// over says that it has ended by the time of the change, which is refused.
	over bool
}

// currencies are all that may come with a change that ends sessions (D11): the current session alone
// stays; one that has ended, in whatever way, refuses the change.
func currencies() map[string]currency {
	own := func(w *world) string { return w.open(me) }
	return map[string]currency{
		"the current session":     {cookie: own, stays: true},
		"no cookie":               {cookie: func(*world) string { return "" }},
		"an unknown cookie":       {cookie: func(*world) string { return "00000000000000000000000000000009" }},
		"somebody else's session": {cookie: func(w *world) string { return w.open(stranger) }},
		"one that has ended before": {cookie: own, over: true, before: func(w *world, _ string) {
			expect.Must(w.DB.EndSessions(w.T.Context(), me))(w.T)
		}},
		"one that ends midway with all others": {cookie: own, over: true, before: func(w *world, _ string) {
			w.Faults.On("Update", func() error { _, err := w.DB.EndSessions(w.T.Context(), me); return err })
		}},
		"one that ends midway with everybody's": {cookie: own, over: true, before: func(w *world, _ string) {
			w.Faults.On("Update", func() error { _, err := w.DB.EndAll(w.T.Context()); return err })
		}},
		"one that another replica ends midway": {cookie: own, over: true, before: func(w *world, cookie string) {
			id, _ := session.IDOf(cookie)
			w.Faults.On("Update", func() error { return w.DB.EndSession(w.T.Context(), time.Hour, id) })
		}},
		"an expired one": {cookie: own, before: func(w *world, _ string) { w.Now = w.Now.Add(30 * time.Minute) }},
		"one that ends midway": {cookie: own, over: true, before: func(w *world, cookie string) {
			id, _ := session.IDOf(cookie)
			w.Faults.On("Update", func() error { return w.Sessions.End(w.T.Context(), id) })
		}},
		"one that cannot be kept": {cookie: own, before: func(w *world, _ string) { w.Faults.Fail(apitest.ErrOutage, "AddSession") }},
	}
}

// kept checks the sessions after a change that ended them, and returns the cookie that goes on.
func (w *world) kept(a resttest.Answer, old string, c currency) (next string) {
	w.T.Helper()
	next, cleared := set(w.T, a)
	if (next != "") != c.stays || cleared {
		w.T.Errorf("Set-Cookie %q, want one: %v", a.Header.Values("Set-Cookie"), c.stays)
	}
	if old != "" && old == next || c.stays && !w.stands(next) {
		w.T.Error("the session does not go on under another cookie")
	}
	return next
}

func TestSwitchOTP(t *testing.T) {
	for name, test := range currencies() {
		t.Run(name, func(t *testing.T) {
			for _, path := range []string{"enable", "disable"} {
				w := newWorld(t)
				var code func() string
				if path == "enable" {
					code = w.pending()
				} else {
					code = w.SecondFactor(me)
				}
				phone, cookie := w.open(me), test.cookie(w)
				if test.before != nil {
					test.before(w, cookie)
				}
				a := within(w.mine(), cookie).JSON(t, "POST", otpBase+path, map[string]any{"code": code()})
				w.Faults.Fail(nil, "Update", "AddSession")
				if test.over {
					a.WantTokens(t, 401, "authz.invalid_session")
					expect.Equal(t, w.User(me).OTP, path == "disable")
					w.kept(a, cookie, test)
					continue
				}
				a.Want(t, 200, `200`)
				expect.Equal(t, w.User(me).OTP, path == "enable")
				next := w.kept(a, cookie, test)
				if w.stands(phone) {
					t.Error("another session of the user stands")
				}
				p := expect.Must(w.DB.Principal(t.Context(), me))(t)
				if test.stays { // earlier requests go on, under the same note
					from, _ := session.IDOf(cookie)
					to, _ := session.IDOf(next)
					expect.Equal(t, p.Renewal, &account.Renewal{From: from, To: to, Until: w.Now.Add(account.RenewalGrace)})
				}
			}
		})
	}
	for _, path := range []string{"enable", "disable"} {
		w := newWorld(t)
		cookie := w.open(me)
		w.Restart()
		w.Faults.Fail(apitest.ErrOutage, "Session")
		within(w.mine(), cookie).JSON(t, "POST", otpBase+path, map[string]any{"code": "1"}).WantTokens(t, 503, "server.internal_error")
	}
}

func TestOTPRefusals(t *testing.T) {
	on := func(w *world) func() string { return w.SecondFactor(me) }
	pending := func(w *world) func() string { return w.pending() }
	off := func(*world) func() string { return func() string { return "123456" } }
	// wrong ones five times over
	tries := func(start func(*world) func() string, path string) func(*world) func() string {
		return func(w *world) func() string {
			start(w)
			for range 5 {
				w.mine().JSON(w.T, "POST", otpBase+path, map[string]any{"code": "000000x"}).WantTokens(w.T, 422, "resource.otp.invalid")
			}
			return func() string { return "000000x" }
		}
	}
	used := func(w *world) func() string {
		code := on(w)()
		expect.OK(w.T, w.Accounts.VerifyOTP(w.T.Context(), account.Actor{UID: me}, code))
		return func() string { return code }
	}
	usedAgain := func(w *world) func() string { // after the factor was on, and staff forgot it
		code := pending(w)()
		expect.OK(w.T, store.Update[factor.Tx](w.DB)(w.T.Context(), func(tx factor.Tx) error {
			_, err := tx.AdvanceTOTP(w.T.Context(), me, w.Now.Unix()/30)
			return err
		}))
		return func() string { return code }
	}
	bad := func(start func(*world) func() string) func(*world) func() string {
		return func(w *world) func() string {
			start(w)
			return func() string { return "000000x" }
		}
	}
	fault := func(start func(*world) func() string, err error, verb string) func(*world) func() string {
		return func(w *world) func() string {
			code := start(w)
			w.Faults.Fail(err, verb)
			return code
		}
	}
	for name, test := range map[string]struct {
		path   string
		before func(*world) (code func() string)
		status int
		token  string
		after  string
	}{
		"enable, already on":                        {"enable", on, 400, "resource.otp.already_enabled", ""},
		"enable, wrong code":                        {"enable", bad(pending), 422, "resource.otp.invalid", ""},
		"enable, no secret":                         {"enable", off, 422, "resource.otp.invalid", ""},
		"enable, used code":                         {"enable", usedAgain, 422, "totp.error", ""},
		"enable, the secret does not open":          {"enable", fault(pending, apitest.ErrBug, "Open"), 422, "totp.error", ""},
		"enable, too many":                          {"enable", tries(pending, "enable"), 429, "resource.otp.too_many_requests", "180"},
		"disable, off":                              {"disable", off, 400, "resource.otp.not_enabled", ""},
		"disable, wrong code":                       {"disable", bad(on), 422, "resource.otp.invalid", ""},
		"disable, used code":                        {"disable", used, 422, "totp.error", ""},
		"disable, the secret does not open":         {"disable", fault(on, apitest.ErrBug, "Open"), 422, "totp.error", ""},
		"disable, too many":                         {"disable", tries(on, "disable"), 429, "resource.otp.too_many_requests", "180"},
		"verify, off: the token of the other (sic)": {"verify", off, 400, "resource.otp.already_enabled", ""},
		"verify, wrong code":                        {"verify", bad(on), 422, "resource.otp.invalid", ""},
		"verify, used code":                         {"verify", used, 422, "totp.error", ""},
		"verify, too many":                          {"verify", tries(on, "verify"), 429, "resource.otp.too_many_requests", "180"},
		"verify, while the store is away":           {"verify", fault(on, apitest.ErrOutage, "TOTPSecret"), 503, "server.internal_error", ""},
		"verify, a bug stays with us":               {"verify", fault(on, apitest.ErrBug, "TOTPSecret"), 500, "server.internal_error", ""},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			code := test.before(w)
			before := w.User(me)
			a := w.mine().JSON(t, "POST", otpBase+test.path, map[string]any{"code": code()})
			a.WantTokens(t, test.status, test.token)
			expect.Equal(t, a.Header.Get("Retry-After"), test.after)
			w.Faults.Fail(nil, "TOTPSecret", "Open")
			expect.Equal(t, w.User(me), before)
		})
	}
}

// A code works once; blanks within and a number for a text are taken.
func TestVerifyOTP(t *testing.T) {
	w := newWorld(t)
	code := w.SecondFactor(me)
	text := code()
	w.mine().JSON(t, "POST", otpBase+"verify", map[string]any{"code": text}).Want(t, 200, `200`)
	w.mine().JSON(t, "POST", otpBase+"verify", map[string]any{"code": text}).WantTokens(t, 422, "totp.error")
	for text = code(); text[0] == '0'; text = code() { // a number has no leading zero
	}
	w.mine().JSON(t, "POST", otpBase+"verify", map[string]any{"code": json.Number(text)}).Want(t, 200, `200`)
}

// Recovery codes are shown once, in place of older ones, and switch the factor off.
func TestRecoveryCodes(t *testing.T) {
	w := newWorld(t)
	const path = otpBase + "recovery_codes"
	w.mine().JSON(t, "POST", path, nil).WantTokens(t, 400, "resource.otp.missing_code", "resource.otp.empty_code")
	w.mine().JSON(t, "POST", path, map[string]any{"code": "123456"}).WantTokens(t, 400, "resource.otp.not_enabled")
	code := w.SecondFactor(me)
	w.mine().JSON(t, "POST", path, map[string]any{"code": "000000x"}).WantTokens(t, 422, "resource.otp.invalid")
	text := code()
	a := w.mine().JSON(t, "POST", path, map[string]any{"code": text})
	var first, second struct{ Codes []string }
	a.Into(t, &first)
	if a.Status != 201 || len(first.Codes) != factor.RecoveryCodeCount {
		t.Fatalf("got %d and %d codes, want 201 and ten", a.Status, len(first.Codes))
	}
	w.mine().JSON(t, "POST", path, map[string]any{"code": text}).WantTokens(t, 422, "totp.error")
	w.mine().JSON(t, "POST", path, map[string]any{"code": first.Codes[0]}).WantTokens(t, 422, "resource.otp.invalid")
	w.mine().JSON(t, "POST", otpBase+"verify", map[string]any{"code": first.Codes[0]}).WantTokens(t, 422, "resource.otp.invalid")
	w.mine().JSON(t, "POST", path, map[string]any{"code": code()}).Into(t, &second)
	w.mine().JSON(t, "POST", otpBase+"disable", map[string]any{"code": first.Codes[1]}).WantTokens(t, 422, "resource.otp.invalid")
	w.mine().JSON(t, "POST", otpBase+"disable", map[string]any{"code": second.Codes[0]}).Want(t, 200, `200`)
	expect.Equal(t, w.User(me).OTP, false)
	expect.Equal(t, expect.Must(w.DB.RecoveryCodesLeft(t.Context(), me))(t), 0)
}

func TestRecoveryCodeRefusals(t *testing.T) {
	for name, test := range map[string]struct {
		verb   string
		fault  error
		status int
		token  string
	}{
		"the secret does not open": {"Open", apitest.ErrBug, 422, "totp.error"},
		"the store is away":        {"TOTPSecret", apitest.ErrOutage, 503, "server.internal_error"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			code := w.SecondFactor(me)
			w.Faults.Fail(test.fault, test.verb)
			w.mine().JSON(t, "POST", otpBase+"recovery_codes", map[string]any{"code": code()}).WantTokens(t, test.status, test.token)
		})
	}
	w := newWorld(t)
	w.SecondFactor(me)
	for range 5 {
		w.mine().JSON(t, "POST", otpBase+"recovery_codes", map[string]any{"code": "aaaa-bbbb-cccc-dddd"}).WantTokens(t, 422, "resource.otp.invalid")
	}
	w.mine().JSON(t, "POST", otpBase+"recovery_codes", map[string]any{"code": "000000x"}).WantTokens(t, 429, "resource.otp.too_many_requests")
}
