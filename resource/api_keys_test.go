package resource_test

import (
	"cmp"
	"encoding/json"
	"net/netip"
	"net/url"
	"strings"
	"testing"
	"time"

	"barong/internal/account"
	"barong/internal/apikey"
	"barong/internal/apitest"
	"barong/internal/expect"
	"barong/internal/factor"
	"barong/internal/limit"
	"barong/internal/rest/resttest"
	"barong/internal/token"
)

const (
	own    = base + "/api_keys"
	robots = base + "/service_accounts/api_keys"
	kid    = "61d025b8573501c2"
)

// keyBase is one of the two families of endpoints: the same rules, other tokens.
type keyBase struct {
	path   string
	holder string
	bound  string // prefix of default tokens
	said   string // prefix of the others
	extra  map[string]string
}

var families = map[string]keyBase{
	"own keys": {own, me, "resource.apikey", "resource.api_key", nil},
	"a service account's keys": {robots, robot, "resource.serviceaccount", "resource.service_accounts",
		map[string]string{"service_account_uid": robot}},
}

// form joins pairs with the parameters of every request of the family.
func (b keyBase) form(pairs ...string) url.Values {
	v := form(pairs...)
	for k, x := range b.extra {
		v.Set(k, x)
	}
	return v
}

func eachFamily(t *testing.T, f func(t *testing.T, b keyBase)) {
	t.Helper()
	for name, b := range families {
		t.Run(name, func(t *testing.T) { f(t, b) })
	}
}

// key adds one of the family's holder.
func (w *world) key(b keyBase, kid string) apikey.Key {
	w.T.Helper()
	k := apikey.Key{
		Kid: kid, Algorithm: apikey.HS256, Scope: []string{"trade"}, State: apikey.Active,
		HolderUID: b.holder, HolderKind: account.KindUser, Secret: "s3cr3t-0123456789",
		Networks: apikey.Networks{netip.MustParsePrefix("192.0.2.0/24")}, ExpiresAt: w.Now.Add(time.Hour).UTC(),
	}
	if b.holder == robot {
		k.HolderKind = account.KindServiceAccount
	}
	w.Secret(k.Secret)
	expect.OK(w.T, w.DB.AddAPIKey(w.T.Context(), &k))
	return k
}

// rowOf is a key as the database has it.
func (w *world) rowOf(b keyBase, kid string) apikey.Key {
	w.T.Helper()
	return expect.Must(w.DB.APIKey(w.T.Context(), b.holder, kid))(w.T)
}

// keyJSON is a key as it is shown, with its secret where one is given.
func keyJSON(t testing.TB, k apikey.Key, secret string) string {
	t.Helper()
	v := map[string]any{
		"kid": k.Kid, "algorithm": k.Algorithm, "scope": k.Scope, "state": k.State, "ip_whitelist": k.Networks, "expires_at": nil,
		"created_at": k.CreatedAt.Format(time.RFC3339), "updated_at": k.UpdatedAt.Format(time.RFC3339),
	}
	v["last_used_at"], v["last_used_ip"] = nil, nil
	if !k.LastUsedAt.IsZero() {
		v["last_used_at"], v["last_used_ip"] = k.LastUsedAt.Format(time.RFC3339), k.LastUsedIP
	}
	if k.Networks == nil {
		v["ip_whitelist"] = []string{}
	}
	if !k.ExpiresAt.IsZero() {
		v["expires_at"] = k.ExpiresAt.Format(time.RFC3339)
	}
	if secret != "" {
		v["secret"] = secret
	}
	return string(expect.Must(json.Marshal(v))(t))
}

// No code is needed, and no secret is shown.
func TestListKeys(t *testing.T) {
	eachFamily(t, func(t *testing.T, b keyBase) {
		w := newWorld(t)
		w.SecondFactor(me)
		first, third, second := w.key(b, kid), w.key(b, "c"), w.key(b, "b")
		other := b
		other.holder = map[string]string{me: robot, robot: me}[b.holder]
		w.key(other, "of-another-holder")
		c := w.mine()
		a := c.Get(t, b.path+"?"+b.form("ordering", "desc", "order_by", "kid", "page", "2", "limit", "1").Encode())
		a.Want(t, 200, "["+keyJSON(t, second, "")+"]")
		expect.Equal(t, []string{a.Header.Get("Total"), a.Header.Get("Per-Page"), a.Header.Get("Page")}, []string{"3", "1", "2"})
		a = c.Get(t, b.path+"?"+b.form().Encode())
		a.Want(t, 200, "["+keyJSON(t, first, "")+","+keyJSON(t, third, "")+","+keyJSON(t, second, "")+"]")
		expect.Equal(t, a.Header.Get("Per-Page"), "100")

		for name, test := range map[string]struct {
			form   url.Values
			tokens []string
		}{
			"ordering":                  {b.form("ordering", "resc"), []string{b.said + ".invalid_ordering"}},
			"order_by secret (W-R12)":   {b.form("order_by", "secret"), []string{b.said + ".invalid_attribute"}},
			"order_by secret_encrypted": {b.form("order_by", "secret_encrypted"), []string{b.said + ".invalid_attribute"}},
			"page":                      {b.form("page", "x"), []string{"non_integer_page", "non_positive_page"}},
			"limit":                     {b.form("limit", "101"), []string{"invalid_limit"}},
			"a list as ordering":        {b.form("ordering[]", "asc"), []string{"invalid", b.said + ".invalid_ordering"}},
			"all of them": {b.form("ordering", "x", "order_by", "x", "page", "0", "limit", "x"), []string{
				b.said + ".invalid_ordering", b.said + ".invalid_attribute", "non_positive_page", "non_integer_limit", "invalid_limit"}},
		} {
			t.Run(name, func(t *testing.T) { c.Get(t, b.path+"?"+test.form.Encode()).WantTokens(t, 422, test.tokens...) })
		}
	})
}

// A key reads itself, and nothing else, by the token that the gate makes of its signature.
func TestReadTheKeyItself(t *testing.T) {
	eachFamily(t, func(t *testing.T, b keyBase) {
		w := newWorld(t)
		k := w.key(b, kid)
		w.key(b, "another0")
		bearer := func(kid string) *resttest.Client {
			t.Helper()
			jwt, err := w.Minter.Mint(new(token.Slot), 1, token.Claims{Party: token.PartyBarong, UID: b.holder, APIKey: kid}, w.Now)
			expect.OK(t, err)
			return w.Client().With("Authorization", jwt)
		}
		c := bearer(kid)
		c.Get(t, own+"/self").Want(t, 200, keyJSON(t, k, ""))
		k.LastUsedAt, k.LastUsedIP = w.Now, netip.MustParseAddr("192.0.2.7")
		expect.OK(t, w.DB.NoteKeyUses(t.Context(), []apikey.Use{{Kid: kid, At: k.LastUsedAt, IP: k.LastUsedIP}}))
		c.Get(t, own+"/self").Want(t, 200, keyJSON(t, k, ""))
		bearer("unknown0").Get(t, own+"/self").WantTokens(t, 404, "record.not_found")
		w.mine().Get(t, own+"/self").WantTokens(t, 404, "record.not_found")
		for name, change := range map[string]func(k *apikey.Key){
			"switched off": func(k *apikey.Key) { k.State = apikey.Inactive },
			"over":         func(k *apikey.Key) { k.ExpiresAt = w.Now },
		} {
			changed := k
			change(&changed)
			expect.OK(t, w.DB.PutAPIKey(t.Context(), &changed))
			if a := c.Get(t, own+"/self"); a.Status != 401 {
				t.Errorf("a key that is %s: %d %s", name, a.Status, a.Body)
			}
			expect.OK(t, w.DB.PutAPIKey(t.Context(), &k))
		}
		if b.holder == me {
			w.Faults.Fail(apitest.ErrOutage, "User")
			c.Get(t, own+"/self").WantTokens(t, 503, "server.internal_error")
			w.Faults.Fail(nil, "User")
			w.PutUser(me, func(u *account.User) { u.State = account.StateBanned })
		} else {
			a := expect.Must(w.DB.ServiceAccount(t.Context(), robot))(t)
			a.State = account.StateDisabled
			expect.OK(t, w.DB.PutServiceAccount(t.Context(), &a))
		}
		c.Get(t, own+"/self").WantTokens(t, 401, "authz.user_not_active")
		expect.OK(t, w.DB.DeleteAPIKey(t.Context(), b.holder, kid))
		c.Get(t, own+"/self").WantTokens(t, 404, "record.not_found")
	})
}

// A code that is sent is checked.
func TestListKeysWithACode(t *testing.T) {
	w := newWorld(t)
	c := w.mine()
	c.Get(t, own+"?totp_code=123456").WantTokens(t, 400, "resource.api_key.2fa_disabled")
	next := w.SecondFactor(me)
	code := next()
	c.Get(t, own+"?totp_code="+code).Want(t, 200, `[]`)
	c.Get(t, own+"?totp_code="+code).WantTokens(t, 422, "totp.error")
	c.Get(t, own+"?totp_code=").Want(t, 200, `[]`)
	for range 5 {
		c.Get(t, own+"?totp_code=000000x").WantTokens(t, 422, "resource.api_key.invalid_totp")
	}
	a := c.Get(t, own+"?totp_code=000000x")
	a.WantTokens(t, 429, "resource.api_key.too_many_requests")
	expect.Equal(t, a.Header.Get("Retry-After"), "180")
	w.Faults.Fail(apitest.ErrBug, "Open")
	w.Now = w.Now.Add(time.Hour)
	c.Get(t, own+"?totp_code="+next()).WantTokens(t, 422, "totp.error")
}

// made is a key as its creation shows it.
type made struct {
	Kid, Secret, State, Algorithm string
	Scope                         []string
	Networks                      []string  `json:"ip_whitelist"`
	ExpiresAt                     time.Time `json:"expires_at"`
}

// The one answer that shows the secret.
func TestCreateKey(t *testing.T) {
	eachFamily(t, func(t *testing.T, b keyBase) {
		w := newWorld(t)
		code := w.SecondFactor(me)
		c := w.mine()
		create := func(a resttest.Answer) (k made) {
			t.Helper()
			a.Into(t, &k)
			row := w.rowOf(b, k.Kid)
			a.Want(t, 201, keyJSON(t, row, k.Secret))
			record := expect.Must(w.DB.KeyRecord(t.Context(), k.Kid))(t)
			if string(record.Secret) != k.Secret || len(k.Secret) != 32 {
				t.Error("the secret is another than the stored one, or no 32 letters")
			}
			return k
		}
		full := b.form("algorithm", "HS256", "totp_code", code(), "scope", "trade, read",
			"ip_whitelist", "192.0.2.1, 2001:DB8::/32", "expires_in", "60")
		k := create(c.Form(t, "POST", b.path, full))
		expect.Equal(t, []any{len(k.Kid), k.State, k.Algorithm, k.Scope}, []any{16, "active", "HS256", []string{"trade", "read"}})
		expect.Equal(t, k.Networks, []string{"192.0.2.1/32", "2001:db8::/32"})
		expect.Equal(t, k.ExpiresAt, w.Now.Add(time.Minute))
		want := ""
		if b.path == own { // the old documents let the client choose
			full.Set("kid", "my-own-kid")
			want = "my-own-kid"
		}
		full.Del("scope")
		full.Set("ip_whitelist", "")
		full.Del("expires_in")
		full.Set("totp_code", code())
		k = create(c.Send(t, "POST", b.path+"?"+full.Encode(), "", ""))
		if want != "" {
			expect.Equal(t, k.Kid, want)
		}
		expect.Equal(t, len(w.rowOf(b, k.Kid).Scope), 0)
	})
}

// Parameters of a new key: those that are missing are 400, those that are wrong 422 (D2, AZ-290, AZ-291).
func TestCreateKeyParameters(t *testing.T) {
	eachFamily(t, func(t *testing.T, b keyBase) {
		c := newWorld(t).mine()
		for name, test := range map[string]struct {
			form   url.Values
			status int
			tokens []string
		}{
			"nothing": {b.form(), 400, []string{b.bound + ".missing_algorithm", b.bound + ".empty_algorithm",
				b.said + ".missing_totp", b.bound + ".empty_totp_code"}},
			"blank":             {b.form("algorithm", " ", "totp_code", ""), 400, []string{b.bound + ".empty_algorithm", b.bound + ".empty_totp_code"}},
			"no code":           {b.form("algorithm", "HS256"), 400, []string{b.said + ".missing_totp", b.bound + ".empty_totp_code"}},
			"blank scope":       {b.form("algorithm", "HS256", "totp_code", "1", "scope", ""), 422, []string{b.bound + ".empty_scope"}},
			"blank and missing": {b.form("totp_code", "1", "scope", ""), 422, []string{b.bound + ".missing_algorithm", b.bound + ".empty_algorithm", b.bound + ".empty_scope"}},
			"no code, and a blank scope": {b.form("algorithm", "HS256", "scope", ""), 422, []string{
				b.bound + ".empty_scope", b.said + ".missing_totp", b.bound + ".empty_totp_code"}},
			"a list as algorithm": {b.form("algorithm[]", "HS256", "totp_code", "1"), 422, []string{"invalid"}},
		} {
			t.Run(name, func(t *testing.T) {
				c.Form(t, "POST", b.path, test.form).WantTokens(t, test.status, test.tokens...)
			})
		}
	})
	newWorld(t).mine().Form(t, "POST", own, url.Values{"algorithm": {"HS256"}, "totp_code": {"1"}, "kid": {""}}).
		WantTokens(t, 422, "resource.apikey.empty_kid")
}

// A refusal of a change of keys.
type refusal struct {
	// before makes the world, and the code to send; nil is one with a right code.
	before func(w *world, b keyBase) (code string)
	form   []string // beside algorithm and code
	kid    string   // in the path; "" is one that there is
	status int
	tokens func(keyBase) []string
	only   string // the methods that can be refused so, "" for all
	family string // "" for both
	after  string // Retry-After
}

// Refusals change nothing and, but for those of the code, use no code up.
func TestKeyRefusals(t *testing.T) {
	right := func(w *world, _ keyBase) string { return w.SecondFactor(me)() }
	with := func(change func(*world, keyBase)) func(*world, keyBase) string {
		return func(w *world, b keyBase) string {
			code := right(w, b)
			change(w, b)
			return code
		}
	}
	inactive := with(func(w *world, b keyBase) {
		if b.holder == me {
			w.PutUser(me, func(u *account.User) { u.State = account.StatePending })
			return
		}
		a := expect.Must(w.DB.ServiceAccount(w.T.Context(), robot))(w.T)
		a.State = "inactive"
		expect.OK(w.T, w.DB.PutServiceAccount(w.T.Context(), &a))
	})
	long := strings.Repeat("x", 256)
	for name, test := range map[string]refusal{
		"2FA off":    {before: func(*world, keyBase) string { return "123456" }, status: 400, tokens: said(".2fa_disabled")},
		"wrong code": {before: func(w *world, b keyBase) string { right(w, b); return "000000x" }, status: 422, tokens: said(".invalid_totp")},
		"used code": {before: func(w *world, b keyBase) string {
			code := right(w, b)
			expect.OK(w.T, w.Accounts.VerifyOTP(w.T.Context(), account.Actor{UID: me}, code))
			return code
		}, status: 422, tokens: plain("totp.error")},
		"too many codes": {before: func(w *world, b keyBase) string {
			code := right(w, b)
			for range 5 {
				expect.Error(w.T, w.Accounts.VerifyOTP(w.T.Context(), account.Actor{UID: me}, "000000x"), factor.ErrInvalidOTP)
			}
			expect.Error(w.T, w.Accounts.VerifyOTP(w.T.Context(), account.Actor{UID: me}, code), limit.ErrTooMany)
			return code
		}, status: 429, tokens: said(".too_many_requests"), after: "180"},
		"the code's secret is sealed": {before: with(func(w *world, _ keyBase) { w.Faults.Fail(apitest.ErrBug, "Open") }), status: 422, tokens: plain("totp.error")},
		"sealing fails": {before: with(func(w *world, _ keyBase) { w.Faults.Fail(apitest.ErrBug, "Seal") }), status: 422,
			tokens: plain("api_key.could_not_save_secret"), only: "POST"},
		"algorithm kek":             {form: []string{"algorithm", "kek"}, status: 422, tokens: plain("kid.blank", "algorithm.inclusion"), only: "POST"},
		"a kid that cannot be":      {form: []string{"kid", "a b"}, status: 422, tokens: plain("kid.invalid"), only: "POST", family: own},
		"kid taken":                 {form: []string{"kid", kid}, status: 422, tokens: plain("kid.taken"), only: "POST", family: own},
		"too long a scope":          {form: []string{"scope", long}, status: 422, tokens: plain("scope.too_long"), only: "POST PATCH PUT"},
		"a scope that is none":      {form: []string{"scope", "trade,sell"}, status: 422, tokens: plain("scope.unknown"), only: "POST PATCH PUT"},
		"a network that is none":    {form: []string{"ip_whitelist", "192.0.2.1,x"}, status: 422, tokens: plain("ip_whitelist.invalid"), only: "POST PATCH PUT"},
		"a network of everybody":    {form: []string{"ip_whitelist", "0.0.0.0/0"}, status: 422, tokens: plain("ip_whitelist.too_wide"), only: "POST PATCH PUT"},
		"too many networks":         {form: []string{"ip_whitelist", strings.Repeat("192.0.2.1,", 51)}, status: 422, tokens: plain("ip_whitelist.too_long"), only: "POST PATCH PUT"},
		"withdrawing from anywhere": {form: []string{"scope", "withdraw", "ip_whitelist", ""}, status: 422, tokens: plain("ip_whitelist.required"), only: "POST PATCH PUT"},
		"trading for ever":          {form: []string{"scope", "trade", "ip_whitelist", "", "expires_in", "7776001"}, status: 422, tokens: plain("expires_in.too_long"), only: "POST PATCH PUT"},
		"a life before its start":   {form: []string{"expires_in", "-1"}, status: 422, tokens: plain("expires_in.invalid"), only: "POST PATCH PUT"},
		"holder not active":         {before: inactive, status: 422, tokens: plain("key_holder_account.invalid"), only: "POST"},
		"too many keys (W-R10)": {before: func(w *world, b keyBase) string {
			w.Account.MaxKeys = 1
			w.Restart()
			return right(w, b)
		}, status: 422, tokens: plain("api_key.limit_reached"), only: "POST"},
		"unknown key":                {kid: "unknown", status: 404, tokens: plain("record.not_found"), only: "PATCH PUT DELETE"},
		"somebody else's key":        {kid: "theirs00", status: 404, tokens: plain("record.not_found"), only: "PATCH PUT DELETE"},
		"state of an inactive owner": {before: inactive, form: []string{"state", "active"}, status: 422, tokens: plain("state.invalid"), only: "PATCH PUT"},
		"any state (W-R10)":          {form: []string{"state", "x"}, status: 422, tokens: plain("state.inclusion"), only: "PATCH PUT"},
	} {
		t.Run(name, func(t *testing.T) {
			for family, b := range families {
				if test.family != "" && test.family != b.path {
					continue
				}
				t.Run(family, func(t *testing.T) {
					for _, method := range []string{"POST", "PATCH", "PUT", "DELETE"} {
						if test.only != "" && !strings.Contains(" "+test.only+" ", " "+method+" ") {
							continue
						}
						w := newWorld(t)
						key := w.key(b, kid)
						theirs := b
						theirs.holder = map[string]string{me: stranger, robot: foreign}[b.holder]
						w.key(theirs, "theirs00")
						if test.before == nil {
							test.before = right
						}
						form := b.form(append([]string{"algorithm", "HS256", "totp_code", test.before(w, b)}, test.form...)...)
						path := b.path
						if method != "POST" {
							path += "/" + cmp.Or(test.kid, kid)
						}
						a := w.mine().Form(t, method, path, form)
						a.WantTokens(t, test.status, test.tokens(b)...)
						expect.Equal(t, a.Header.Get("Retry-After"), test.after)
						w.Faults.Fail(nil, "Open", "Seal")
						key.Secret = ""
						expect.Equal(t, w.rowOf(b, kid), key)
						_, n, err := w.DB.APIKeys(t.Context(), apikey.Query{HolderUID: b.holder, OrderBy: "id", Limit: 1})
						expect.OK(t, err)
						expect.Equal(t, n, 1)
					}
				})
			}
		})
	}
}

func said(suffix string) func(keyBase) []string {
	return func(b keyBase) []string { return []string{b.said + suffix} }
}

func plain(tokens ...string) func(keyBase) []string {
	return func(keyBase) []string { return tokens }
}

// Both verbs; only sent parameters change (W-R10).
func TestUpdateKey(t *testing.T) {
	eachFamily(t, func(t *testing.T, b keyBase) {
		for _, method := range []string{"PATCH", "PUT"} {
			w := newWorld(t)
			code := w.SecondFactor(me)
			c := w.mine()
			want := w.key(b, kid)
			want.Secret = ""
			update := func(pairs ...string) {
				t.Helper()
				a := c.Form(t, method, b.path+"/"+kid, b.form(append(pairs, "totp_code", code())...))
				want.UpdatedAt = w.Now
				a.Want(t, 200, keyJSON(t, want, ""))
				expect.Equal(t, w.rowOf(b, kid), want)
			}
			want.State = "inactive"
			update("state", "inactive")
			want.Scope, want.ScopeEnforced = []string{"read"}, true
			update("scope", "read")
			update("kid", "other")
			want.State = "disabled" // D30
			update("state", "disabled")
			want.State, want.Scope = "active", []string{"read", "trade"}
			update("state", "active", "scope", "read,trade")
			want.Networks = apikey.Networks{netip.MustParsePrefix("198.51.100.7/32")}
			update("ip_whitelist", "::ffff:198.51.100.7")
			want.ExpiresAt = time.Time{}
			update("expires_in", "0")
			want.Scope = []string{"read"}
			update("scope", "read")
			want.Networks = apikey.Networks{}
			update("ip_whitelist", "")

			c.Form(t, method, b.path+"/k1", b.form()).
				WantTokens(t, 400, b.bound+".missing_totp_code", b.bound+".empty_totp_code")
			c.Form(t, method, b.path+"/k1", b.form("totp_code", " ")).WantTokens(t, 400, b.bound+".empty_totp_code")
			c.Form(t, method, b.path+"/k1", b.form("scope", "", "state", "")).
				WantTokens(t, 422, b.bound+".empty_scope", b.bound+".empty_state", b.bound+".missing_totp_code", b.bound+".empty_totp_code")
			c.Form(t, method, b.path+"/k1", b.form("totp_code", "1", "state[]", "active")).WantTokens(t, 422, "invalid")
		}
	})
}

// The code may be in the query or the body.
func TestDeleteKey(t *testing.T) {
	eachFamily(t, func(t *testing.T, b keyBase) {
		w := newWorld(t)
		code := w.SecondFactor(me)
		w.key(b, "k1")
		w.key(b, "k2")
		c := w.mine()
		c.Send(t, "DELETE", b.path+"/k1?"+b.form("totp_code", code()).Encode(), "", "").Want(t, 204, "")
		c.Form(t, "DELETE", b.path+"/k2", b.form("totp_code", code())).Want(t, 204, "")
		for _, gone := range []string{"k1", "k2"} {
			_, err := w.DB.APIKey(t.Context(), b.holder, gone)
			expect.Error(t, err, account.ErrNotFound)
		}
		c.Send(t, "DELETE", b.path+"/k1?"+b.form().Encode(), "", "").
			WantTokens(t, 400, b.bound+".missing_totp_code", b.bound+".empty_totp_code")
		c.Send(t, "DELETE", b.path+"/k1?"+b.form("totp_code[]", "1").Encode(), "", "").WantTokens(t, 422, "invalid")
	})
}

// The owner of the service account is checked before the code, and a stranger's is no account.
func TestServiceAccountMustBeTheCallers(t *testing.T) {
	w := newWorld(t)
	code := w.SecondFactor(me)()
	c := w.mine()
	for _, e := range []resttest.Endpoint{
		{Method: "GET", Path: robots}, {Method: "POST", Path: robots}, {Method: "PUT", Path: robots + "/k"},
		{Method: "PATCH", Path: robots + "/k"}, {Method: "DELETE", Path: robots + "/k"},
	} {
		form := url.Values{"algorithm": {"HS256"}, "totp_code": {code}}
		c.Form(t, e.Method, e.Path, form).WantTokens(t, 400, "resource.serviceaccount.missing_service_account_uid")
		for _, uid := range []string{foreign, "SI0000000404", me, ""} {
			form.Set("service_account_uid", uid)
			c.Form(t, e.Method, e.Path, form).WantTokens(t, 404, "resource.service_account.doesnt_exist")
		}
		c.JSON(t, e.Method, e.Path, map[string]any{
			"algorithm": "HS256", "totp_code": code, "service_account_uid": []string{robot},
		}).WantTokens(t, 422, "resource.service_account.non_string_service_account_uid")
	}
	expect.OK(t, w.Accounts.VerifyOTP(t.Context(), account.Actor{UID: me}, code)) // it was not used up
}

// A person's own service accounts, with the owner; nobody else's.
func TestListServiceAccounts(t *testing.T) {
	w := newWorld(t)
	a := expect.Must(w.DB.ServiceAccount(t.Context(), robot))(t)
	owner := w.User(me)
	at := func(x time.Time) string { return x.Format(time.RFC3339) }
	want := string(expect.Must(json.Marshal([]any{map[string]any{
		"id": a.ID, "uid": robot, "owner_id": owner.ID, "email": a.Email, "role": "service_account", "level": 0, "state": "active",
		"user": map[string]any{
			"email": owner.Email, "uid": me, "role": "member", "level": 1, "otp": false, "state": "active",
			"referral_uid": nil, "data": nil, "username": nil,
		},
		"created_at": at(a.CreatedAt), "updated_at": at(a.UpdatedAt),
	}}))(t))
	w.mine().Get(t, base+"/service_accounts").Want(t, 200, want)
	w.AddUser(account.User{UID: "ID0000000003", Email: "third@barong.io", Role: account.RoleMember, State: account.StateActive})
	w.As("ID0000000003").Get(t, base+"/service_accounts").Want(t, 200, `[]`)
}
