package resource_test

import (
	"errors"
	"fmt"
	"net/url"
	"testing"
	"time"

	"barong/internal/account"
	"barong/internal/apikey"
	"barong/internal/factor"
	"barong/internal/limit"
)

const (
	own   = "/api/v2/resource/api_keys"
	robot = "/api/v2/resource/service_accounts/api_keys"
)

// keyBase is one of the two families of endpoints: the same rules, other tokens.
type keyBase struct {
	path   string
	holder string // the holder in the question to the service
	bound  string // prefix of default tokens
	told   string // prefix of the others
	extra  map[string]string
}

var families = map[string]keyBase{
	"own keys": {own, "", "resource.apikey", "resource.api_key", nil},
	"a service account's keys": {robot, robotUID, "resource.serviceaccount", "resource.service_accounts",
		map[string]string{"service_account_uid": robotUID}},
}

// form joins pairs with the parameters of every request of the family.
func (b keyBase) form(pairs ...string) url.Values {
	v := url.Values{}
	for k, x := range b.extra {
		v.Set(k, x)
	}
	for i := 0; i < len(pairs); i += 2 {
		v.Set(pairs[i], pairs[i+1])
	}
	return v
}

func eachFamily(t *testing.T, f func(t *testing.T, b keyBase)) {
	t.Helper()
	for name, b := range families {
		t.Run(name, func(t *testing.T) { f(t, b) })
	}
}

var aKey = apikey.Key{
	Kid: "61d025b8573501c2", Algorithm: "HS256", Scope: []string{"trade"}, State: "active",
	Secret: "s3cr3t", CreatedAt: now, UpdatedAt: now,
}

const shown = `"kid":"61d025b8573501c2","algorithm":"HS256","scope":["trade"],"state":"active",` +
	`"created_at":"2026-11-21T08:00:00Z","updated_at":"2026-11-21T08:00:00Z"`

// 9.2 #1, 5.8, 5.9: no code needed, no secret shown.
func TestListKeys(t *testing.T) {
	eachFamily(t, func(t *testing.T, b keyBase) {
		var asked apikey.Query
		w := newWorld()
		w.require = func(account.Actor, string) error { return factor.ErrInvalidOTP }
		w.list = func(by account.Actor, q apikey.Query) ([]apikey.Key, int, error) {
			diff(t, by.UID, meUID)
			asked = q
			return []apikey.Key{aKey}, 3, nil
		}
		c := signedIn(t, w)
		a := c.Get(t, b.path+"?"+b.form("ordering", "desc", "order_by", "kid", "page", "2", "limit", "1").Encode())
		a.Want(t, 200, `[{`+shown+`}]`)
		diff(t, asked, apikey.Query{HolderUID: b.holder, OrderBy: "kid", Desc: true, Limit: 1, Offset: 1})
		diff(t, []string{a.Header.Get("Total"), a.Header.Get("Per-Page"), a.Header.Get("Page")}, []string{"3", "1", "2"})
		c.Get(t, b.path+"?"+b.form().Encode())
		diff(t, asked, apikey.Query{HolderUID: b.holder, OrderBy: "id", Limit: 100})

		for name, test := range map[string]struct {
			form   url.Values
			tokens []string
		}{
			"ordering (9.2 #3)":         {b.form("ordering", "resc"), []string{b.told + ".invalid_ordering"}},
			"order_by secret (W-R12)":   {b.form("order_by", "secret"), []string{b.told + ".invalid_attribute"}},
			"order_by secret_encrypted": {b.form("order_by", "secret_encrypted"), []string{b.told + ".invalid_attribute"}},
			"page":                      {b.form("page", "x"), []string{"non_integer_page", "non_positive_page"}},
			"limit (R11)":               {b.form("limit", "101"), []string{"invalid_limit"}},
			"all of them": {b.form("ordering", "x", "order_by", "x", "page", "0", "limit", "x"), []string{
				b.told + ".invalid_ordering", b.told + ".invalid_attribute", "non_positive_page", "non_integer_limit", "invalid_limit"}},
		} {
			t.Run(name, func(t *testing.T) { c.Get(t, b.path+"?"+test.form.Encode()).WantTokens(t, 422, test.tokens...) })
		}
	})
}

// R8: a code that is sent is checked.
func TestListKeysWithACode(t *testing.T) {
	w := newWorld()
	w.list = func(account.Actor, apikey.Query) ([]apikey.Key, int, error) { return nil, 0, nil }
	w.require = func(_ account.Actor, code string) error {
		if code != "1357" {
			return factor.ErrInvalidOTP
		}
		return nil
	}
	c := signedIn(t, w)
	c.Get(t, own+"?totp_code=1357").Want(t, 200, `[]`)
	c.Get(t, own+"?totp_code=").Want(t, 200, `[]`)
	c.Get(t, own+"?totp_code=1234").WantTokens(t, 422, "resource.api_key.invalid_totp")
}

// 9.2 #7: the one answer that shows the secret.
func TestCreateKey(t *testing.T) {
	eachFamily(t, func(t *testing.T, b keyBase) {
		var asked apikey.Input
		w := newWorld()
		w.require = func(_ account.Actor, code string) error {
			diff(t, code, "1357")
			return nil
		}
		w.create = func(_ account.Actor, in apikey.Input) (apikey.Key, error) {
			asked = in
			return aKey, nil
		}
		c := signedIn(t, w)
		full := b.form("algorithm", "HS256", "totp_code", "1357", "scope", "trade, sell")
		c.Form(t, "POST", b.path, full).Want(t, 201, `{`+shown+`,"secret":"s3cr3t"}`)
		want := apikey.Input{HolderUID: b.holder, Algorithm: "HS256", Scope: []string{"trade", " sell"}}
		diff(t, asked, want)
		if b.path == own { // R9: the old documents let the client choose
			full.Set("kid", "my-own-kid")
			want.Kid = "my-own-kid"
		}
		full.Del("scope")
		want.Scope = nil
		c.Send(t, "POST", b.path+"?"+full.Encode(), "", "").Want(t, 201, `{`+shown+`,"secret":"s3cr3t"}`)
		diff(t, asked, want)
	})
}

// D2 over AZ-290, AZ-291.
func TestCreateKeyParameters(t *testing.T) {
	eachFamily(t, func(t *testing.T, b keyBase) {
		c := signedIn(t, newWorld())
		for name, test := range map[string]struct {
			form   url.Values
			status int
			tokens []string
		}{
			"nothing": {b.form(), 400, []string{b.bound + ".missing_algorithm", b.bound + ".empty_algorithm",
				b.told + ".missing_totp", b.bound + ".empty_totp_code"}},
			"blank":             {b.form("algorithm", " ", "totp_code", ""), 400, []string{b.bound + ".empty_algorithm", b.bound + ".empty_totp_code"}},
			"no code":           {b.form("algorithm", "HS256"), 400, []string{b.told + ".missing_totp", b.bound + ".empty_totp_code"}},
			"blank scope":       {b.form("algorithm", "HS256", "totp_code", "1", "scope", ""), 422, []string{b.bound + ".empty_scope"}},
			"blank and missing": {b.form("totp_code", "1", "scope", ""), 422, []string{b.bound + ".missing_algorithm", b.bound + ".empty_algorithm", b.bound + ".empty_scope"}},
		} {
			t.Run(name, func(t *testing.T) {
				c.Form(t, "POST", b.path, test.form).WantTokens(t, test.status, test.tokens...)
			})
		}
	})
	signedIn(t, newWorld()).Form(t, "POST", own, url.Values{"algorithm": {"HS256"}, "totp_code": {"1"}, "kid": {""}}).
		WantTokens(t, 422, "resource.apikey.empty_kid")
}

func TestKeyRefusals(t *testing.T) {
	for name, test := range map[string]struct {
		err    error
		status int
		tokens func(b keyBase) []string
		only   string // the one method that can be refused so
	}{
		"2FA off (9.2 #5, 9.9 #15)":   {factor.ErrOTPNotEnabled, 400, told(".2fa_disabled"), ""},
		"wrong code (9.2 #6, #15)":    {factor.ErrInvalidOTP, 422, told(".invalid_totp"), ""},
		"used code":                   {factor.ErrOTPReplay, 422, plain("totp.error"), ""},
		"too many codes":              {limit.TooMany{RetryAfter: time.Minute}, 429, told(".too_many_requests"), ""},
		"the code's secret is sealed": {account.ErrSeal, 422, plain("totp.error"), ""},
		"sealing fails (9.2 #8)":      {errors.Join(apikey.ErrCouldNotSaveSecret, account.ErrSeal), 422, plain("api_key.could_not_save_secret"), "POST"},
		"algorithm kek (9.2 #11)":     {invalid("kid", "blank", "algorithm", "inclusion"), 422, plain("kid.blank", "algorithm.inclusion"), "POST"},
		"holder not active (9.12)":    {invalid("key_holder_account", "invalid"), 422, plain("key_holder_account.invalid"), "POST"},
		"too many keys (W-R10)":       {invalid("api_key", "limit_reached"), 422, plain("api_key.limit_reached"), "POST"},
		"kid taken (R9)":              {invalid("kid", "taken"), 422, plain("kid.taken"), "POST"},
		"unknown key, to change":      {account.ErrNotFound, 404, plain("record.not_found"), "PATCH"},
		"unknown key, to replace":     {account.ErrNotFound, 404, plain("record.not_found"), "PUT"},
		"unknown key, to delete":      {account.ErrNotFound, 404, plain("record.not_found"), "DELETE"},
		"state of an inactive owner":  {invalid("state", "invalid"), 422, plain("state.invalid"), "PATCH"},
		"any state (W-R10)":           {invalid("state", "inclusion"), 422, plain("state.inclusion"), "PUT"},
	} {
		t.Run(name, func(t *testing.T) {
			eachFamily(t, func(t *testing.T, b keyBase) {
				w := newWorld()
				failed := fmt.Errorf("in the service: %w", test.err)
				if test.only == "" {
					w.require = func(account.Actor, string) error { return failed }
				}
				w.create = func(account.Actor, apikey.Input) (apikey.Key, error) { return apikey.Key{}, failed }
				w.update = func(string, string, apikey.Patch) (apikey.Key, error) { return apikey.Key{}, failed }
				w.remove = func(string, string) error { return failed }
				for _, method := range []string{"POST", "PATCH", "PUT", "DELETE"} {
					if test.only != "" && test.only != method {
						continue
					}
					path := b.path
					if method != "POST" {
						path += "/61d025b8573501c2"
					}
					signedIn(t, w).Form(t, method, path, b.form("algorithm", "HS256", "totp_code", "1234")).
						WantTokens(t, test.status, test.tokens(b)...)
				}
			})
		})
	}
}

func told(suffix string) func(keyBase) []string {
	return func(b keyBase) []string { return []string{b.told + suffix} }
}

func plain(tokens ...string) func(keyBase) []string {
	return func(keyBase) []string { return tokens }
}

func invalid(pairs ...string) error {
	var e account.Invalid
	for i := 0; i < len(pairs); i += 2 {
		e.Problems = append(e.Problems, account.Problem{Field: pairs[i], Reason: pairs[i+1]})
	}
	return e
}

// 9.2 #12, #13, 9.9 #13, #14; R23: both verbs; W-R10: only sent parameters change.
func TestUpdateKey(t *testing.T) {
	eachFamily(t, func(t *testing.T, b keyBase) {
		for _, method := range []string{"PATCH", "PUT"} {
			w := newWorld()
			var asked apikey.Patch
			w.update = func(holder, kid string, p apikey.Patch) (apikey.Key, error) {
				diff(t, []string{holder, kid}, []string{b.holder, "k1"})
				asked = p
				return aKey, nil
			}
			c := signedIn(t, w)
			inactive, sell := "inactive", []string{"sell"}
			c.Form(t, method, b.path+"/k1", b.form("state", "inactive", "totp_code", "1357")).Want(t, 200, `{`+shown+`}`)
			diff(t, asked, apikey.Patch{State: &inactive})
			c.Form(t, method, b.path+"/k1", b.form("scope", "sell", "totp_code", "1357")).Want(t, 200, `{`+shown+`}`)
			diff(t, asked, apikey.Patch{Scope: &sell})
			c.Form(t, method, b.path+"/k1", b.form("totp_code", "1357", "kid", "other")).Want(t, 200, `{`+shown+`}`)
			diff(t, asked, apikey.Patch{})

			c.Form(t, method, b.path+"/k1", b.form()).
				WantTokens(t, 400, b.bound+".missing_totp_code", b.bound+".empty_totp_code")
			c.Form(t, method, b.path+"/k1", b.form("totp_code", " ")).WantTokens(t, 400, b.bound+".empty_totp_code")
			c.Form(t, method, b.path+"/k1", b.form("scope", "", "state", "")).
				WantTokens(t, 422, b.bound+".empty_scope", b.bound+".empty_state", b.bound+".missing_totp_code", b.bound+".empty_totp_code")
		}
	})
}

// 9.2 #16, 9.9 #17: the code may be in the query or the body.
func TestDeleteKey(t *testing.T) {
	eachFamily(t, func(t *testing.T, b keyBase) {
		w := newWorld()
		var gone []string
		w.remove = func(holder, kid string) error {
			gone = append(gone, holder+"/"+kid)
			return nil
		}
		c := signedIn(t, w)
		c.Send(t, "DELETE", b.path+"/k1?"+b.form("totp_code", "1357").Encode(), "", "").Want(t, 204, "")
		c.Form(t, "DELETE", b.path+"/k2", b.form("totp_code", "1357")).Want(t, 204, "")
		diff(t, gone, []string{b.holder + "/k1", b.holder + "/k2"})
		c.Send(t, "DELETE", b.path+"/k1?"+b.form().Encode(), "", "").
			WantTokens(t, 400, b.bound+".missing_totp_code", b.bound+".empty_totp_code")
	})
}

// 5.9: whose service account it is comes before the code, and a stranger's is no account.
func TestServiceAccountMustBeTheCallers(t *testing.T) {
	w := newWorld()
	w.require = func(account.Actor, string) error {
		t.Error("the code was used up")
		return nil
	}
	c := signedIn(t, w)
	for _, e := range []struct{ method, path string }{
		{"GET", robot}, {"POST", robot}, {"PUT", robot + "/k"}, {"PATCH", robot + "/k"}, {"DELETE", robot + "/k"},
	} {
		form := url.Values{"algorithm": {"HS256"}, "totp_code": {"1357"}}
		c.Form(t, e.method, e.path, form).WantTokens(t, 400, "resource.serviceaccount.missing_service_account_uid")
		for _, uid := range []string{"SI0000000009", meUID, ""} {
			form.Set("service_account_uid", uid)
			c.Form(t, e.method, e.path, form).WantTokens(t, 404, "resource.service_account.doesnt_exist")
		}
		c.JSON(t, e.method, e.path, map[string]any{
			"algorithm": "HS256", "totp_code": "1357", "service_account_uid": []string{robotUID},
		}).WantTokens(t, 422, "resource.service_account.non_string_service_account_uid")
	}
}
