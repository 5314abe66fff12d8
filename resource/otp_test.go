package resource_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"barong/internal/account"
	"barong/internal/factor"
	"barong/internal/limit"
	"barong/internal/session"
)

const otpBase = "/api/v2/resource/otp/"

func TestQRCode(t *testing.T) {
	w := newWorld()
	url := "otpauth://totp/Barong:a@b.io?algorithm=SHA1&digits=6&issuer=Barong&period=30&secret=ABC"
	w.otp = func(by account.Actor) (factor.Setup, error) {
		diff(t, by.Client.UserAgent, "Firefox/1")
		diff(t, []string{by.IP.String(), by.Country}, []string{"10.0.0.1", "Malta"})
		return factor.Setup{Secret: "ABC", URL: url, PNG: []byte("png")}, nil
	}
	quoted, err := json.Marshal(url)
	if err != nil {
		t.Fatal(err)
	}
	signedIn(t, w).JSON(t, "POST", otpBase+"generate_qrcode", nil).Want(t, 200,
		`{"auth":null,"data":{"barcode":"`+base64.StdEncoding.EncodeToString([]byte("png"))+`","url":`+string(quoted)+
			`},"metadata":null,"lease_duration":0,"lease_id":"","renewable":false,"warnings":null,"wrap_info":null}`)
	for name, test := range map[string]struct {
		err    error
		status int
		token  string
	}{
		"already on":        {factor.ErrOTPEnabled, 400, "resource.otp.already_enabled"},
		"sealing fails":     {account.ErrSeal, 422, "totp.error"},
		"too many (W-R13)":  {limit.TooMany{RetryAfter: time.Minute}, 429, "resource.otp.too_many_requests"},
		"the store is away": {errOutage, 503, "server.internal_error"},
	} {
		w.otp = func(account.Actor) (factor.Setup, error) {
			return factor.Setup{}, fmt.Errorf("make: %w", test.err)
		}
		t.Run(name, func(t *testing.T) {
			signedIn(t, w).JSON(t, "POST", otpBase+"generate_qrcode", nil).WantTokens(t, test.status, test.token)
		})
	}
}

func TestCodeIsRequired(t *testing.T) {
	for _, path := range []string{"enable", "disable", "verify"} {
		c := signedIn(t, newWorld())
		c.JSON(t, "POST", otpBase+path, nil).
			WantTokens(t, 400, "resource.otp.missing_code", "resource.otp.empty_code")
		c.JSON(t, "POST", otpBase+path+"?code=123456", nil). // D19: not in a query
									WantTokens(t, 400, "resource.otp.missing_code", "resource.otp.empty_code")
		c.JSON(t, "POST", otpBase+path, map[string]any{"code": " "}).WantTokens(t, 400, "resource.otp.empty_code")
		c.JSON(t, "POST", otpBase+path, map[string]any{"code": map[string]any{"a": 1}}).WantTokens(t, 422, "invalid")
	}
}

func TestSwitchOTP(t *testing.T) {
	for name, test := range map[string]struct {
		cookie    string
		change    func(*world)
		restamped []int64
	}{
		"the current session stays, re-stamped (D11)": {cookieValue, nil, []int64{4}},
		"without a cookie":                            {"", nil, nil},
		"with an unknown cookie":                      {"00000000000000000000000000000009", nil, nil},
		"with somebody else's session":                {cookieValue, func(w *world) { w.session.UID = "ID9" }, nil},
		"with a session that has ended before must not revive": {cookieValue,
			func(w *world) { w.session.Generation = 2 }, nil},
		"with an expired session":         {cookieValue, func(w *world) { w.session.ExpiresAt = now }, nil},
		"with a session that ends midway": {cookieValue, func(w *world) { w.restamp = session.ErrNotFound }, nil},
		"a failed re-stamp signs this session out too": {cookieValue,
			func(w *world) { w.restamp = errOutage }, nil},
	} {
		t.Run(name, func(t *testing.T) {
			for _, path := range []string{"enable", "disable"} {
				w := newWorld()
				if test.change != nil {
					test.change(w)
				}
				var by account.Actor
				w.switched = func(actor account.Actor, code string) (int64, error) {
					by = actor
					diff(t, by.UID, meUID)
					diff(t, code, path+" 123456")
					return 4, nil
				}
				c := signedIn(t, w)
				if test.cookie != "" {
					c = c.With("Cookie", "_barong_session="+test.cookie)
				}
				a := c.JSON(t, "POST", otpBase+path, map[string]any{"code": 123456})
				a.Want(t, 200, `200`)
				diff(t, w.restamped, test.restamped)
				if test.restamped != nil { // earlier requests go on, under the same note
					next, _ := session.IDOf(w.renewed)
					diff(t, []any{by.SessionID, by.NextSessionID}, []any{[32]byte(w.session.ID), [32]byte(next)})
				}
				set := a.Header.Get("Set-Cookie")
				if want := test.restamped != nil; strings.HasPrefix(set, "_barong_session="+w.renewed+"; ") != want || (set != "") != want {
					t.Errorf("Set-Cookie: got %q, want one: %v", set, want)
				}
			}
		})
	}
	w := newWorld()
	w.lookup = errOutage
	signedIn(t, w).With("Cookie", "_barong_session="+cookieValue).
		JSON(t, "POST", otpBase+"enable", map[string]any{"code": "1"}).WantTokens(t, 503, "server.internal_error")
}

func TestOTPRefusals(t *testing.T) {
	for name, test := range map[string]struct {
		path   string
		err    error
		status int
		token  string
	}{
		"enable, already on":                         {"enable", factor.ErrOTPEnabled, 400, "resource.otp.already_enabled"},
		"enable, wrong code":                         {"enable", factor.ErrInvalidOTP, 422, "resource.otp.invalid"},
		"enable, used code":                          {"enable", factor.ErrOTPReplay, 422, "totp.error"},
		"enable, sealing fails":                      {"enable", account.ErrSeal, 422, "totp.error"},
		"enable, too many":                           {"enable", limit.TooMany{RetryAfter: time.Minute}, 429, "resource.otp.too_many_requests"},
		"disable, off":                               {"disable", factor.ErrOTPNotEnabled, 400, "resource.otp.not_enabled"},
		"disable, wrong code":                        {"disable", factor.ErrInvalidOTP, 422, "resource.otp.invalid"},
		"disable, used code":                         {"disable", factor.ErrOTPReplay, 422, "totp.error"},
		"verify, off: the token of the other (sic)":  {"verify", factor.ErrOTPNotEnabled, 400, "resource.otp.already_enabled"},
		"verify, wrong code":                         {"verify", factor.ErrInvalidOTP, 422, "resource.otp.invalid"},
		"verify, used code":                          {"verify", factor.ErrOTPReplay, 422, "totp.error"},
		"verify, while the store is away":            {"verify", errOutage, 503, "server.internal_error"},
		"verify, what nobody expected stays with us": {"verify", fmt.Errorf("bug"), 500, "server.internal_error"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld()
			w.switched = func(account.Actor, string) (int64, error) { return 0, fmt.Errorf("switch: %w", test.err) }
			w.verify = func(account.Actor, string) error { return test.err }
			a := signedIn(t, w).JSON(t, "POST", otpBase+test.path, map[string]any{"code": "123456"})
			a.WantTokens(t, test.status, test.token)
			if want := map[bool]string{true: "60"}[test.status == 429]; a.Header.Get("Retry-After") != want {
				t.Errorf("Retry-After: got %q, want %q", a.Header.Get("Retry-After"), want)
			}
		})
	}
}

func TestVerifyOTP(t *testing.T) {
	w := newWorld()
	w.verify = func(_ account.Actor, code string) error {
		diff(t, code, "123 456")
		return nil
	}
	signedIn(t, w).JSON(t, "POST", otpBase+"verify", map[string]any{"code": "123 456"}).Want(t, 200, `200`)
}
