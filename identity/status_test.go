package identity_test

import (
	"encoding/json"
	"os"
	"strings"
	"testing"
	"time"

	"barong/identity"
	"barong/internal/account"
	"barong/internal/apitest"
	"barong/internal/expect"
	passwords "barong/internal/password"
)

// The prefixes under which the whole tree is mounted.
func prefixes() []string { return []string{"/api/v2", "/api/v2/barong", "/api/v2/auth"} }

// Every documented endpoint answers, for itself, under every prefix: GET as documented,
// others a refusal or a success of their own.
func TestEveryEndpointUnderEveryPrefix(t *testing.T) {
	text, err := os.ReadFile("testdata/endpoints.tsv")
	if err != nil {
		t.Fatal(err)
	}
	w := newWorld(t)
	c := w.Browser()
	rows := strings.Split(strings.TrimSpace(string(text)), "\n")[1:]
	if len(rows) != 22 {
		t.Fatalf("%d endpoints, want 22", len(rows))
	}
	for _, row := range rows {
		column := strings.Split(row, "\t")
		method, path := column[1], column[2]
		var first string
		for _, prefix := range prefixes() {
			a := c.Send(t, method, prefix+path, "", "")
			if strings.Contains(a.Body, "Route is not found") || a.Status >= 500 || method == "GET" && a.Status != 200 {
				t.Errorf("%s %s%s: got %d %s", method, prefix, path, a.Status, a.Body)
			}
			if first == "" {
				first = a.Body
			} else if a.Body != first {
				t.Errorf("%s %s%s: got %s, elsewhere %s", method, prefix, path, a.Body, first)
			}
		}
	}
	c.Get(t, "/api/v2/barong/auth/identity/ping").Want(t, 404, `{"error":"Route is not found"}`)
	c.Send(t, "PUT", "/api/v2/identity/sessions", "", "").Want(t, 404, `{"error":"Route is not found"}`)
}

// The same facts in both namespaces.
func TestGeneral(t *testing.T) {
	c := newWorld(t).Browser()
	for namespace, wrong := range map[string]string{"identity": "identity.general.invalid_precision", "public": "public.general.invalid_precision"} {
		base := "/api/v2/" + namespace
		c.Get(t, base+"/ping").Want(t, 200, `{"ping":"pong"}`)
		c.Get(t, base+"/time").Want(t, 200, `{"time":1795248000}`)
		c.Get(t, base+"/time?precision=s").Want(t, 200, `{"time":1795248000}`)
		c.Get(t, base+"/time?precision=ms").Want(t, 200, `{"time":1795248000000}`)
		c.Get(t, base+"/time?precision=us").WantTokens(t, 422, wrong)
		c.Get(t, base+"/time?precision=m%00").WantTokens(t, 422, "invalid", wrong)
		c.Get(t, base+"/version").Want(t, 200,
			`{"git_tag":"3.0.0","git_sha":"abc","build_date":"2020-12-08T15:09:53.000+02:00","version":"3.0.0"}`)
	}
}

// The published configuration is the same in both namespaces.
func TestConfigs(t *testing.T) {
	w := newWorld(t)
	c := w.Browser()
	for _, namespace := range []string{"identity", "public"} {
		c.Get(t, "/api/v2/"+namespace+"/configs").Want(t, 200, `{
			"session_expire_time": 1800, "captcha_type": "none", "phone_verification_type": "mock", "password_min_entropy": 14,
			"password_regexp": "(?-mix:^(?=.*[[:lower:]])(?=.*[[:upper:]])(?=.*[[:digit:]])(?=.*[[:graph:]]).{8,80}$)"}`)
	}
	w.Identity.Configs = identity.Configs{
		SessionExpire: 90, CaptchaType: "recaptcha", CaptchaID: "site", PhoneVerification: "twilio_sms",
		PasswordPattern: passwords.PublishedPattern("^.{12,}$"), PasswordEntropy: 20,
	}
	c = w.Browser()
	for _, namespace := range []string{"identity", "public"} {
		c.Get(t, "/api/v2/"+namespace+"/configs").Want(t, 200, `{
			"session_expire_time": 90, "captcha_type": "recaptcha", "captcha_id": "site", "phone_verification_type": "twilio_sms",
			"password_min_entropy": 20, "password_regexp": "(?-mix:^.{12,}$)"}`)
	}
}

// The page of Auth0's sign-in gets its settings, empty ones where it is off.
func TestAuth0Configs(t *testing.T) {
	w := newWorld(t)
	w.Browser().Get(t, "/api/v2/public/configs/auth0").Want(t, 200, `{"auth0_domain":"","auth0_client_id":""}`)
	w.Identity.Auth0Configs = identity.Auth0Configs{Domain: "barong.auth0.com", ClientID: "client"}
	w.Browser().Get(t, "/api/v2/public/configs/auth0").
		Want(t, 200, `{"auth0_domain":"barong.auth0.com","auth0_client_id":"client"}`)
}

// The public password check (W-I26).
func TestValidatePassword(t *testing.T) {
	for _, namespace := range []string{"identity", "public"} {
		w := newWorld(t)
		c := w.Browser()
		path := "/api/v2/" + namespace + "/password/validate"
		validate := func(password any) (status int, body string) {
			a := c.JSON(t, "POST", path, map[string]any{"password": password})
			return a.Status, a.Body
		}
		for password, want := range map[string]string{ // 6.5
			"Tecohvi0": `{"entropy":15.5}`, "testPassword111": `{"entropy":14.125}`, "": `{"entropy":-2}`,
			"Password1": `{"entropy":2}`, strings.Repeat("é", 256): "",
		} {
			if status, body := validate(password); status != 201 || want != "" && body != want {
				t.Errorf("%s, %.20q: got %d %s, want 201 %s", path, password, status, body, want)
			}
		}
		c.JSON(t, "POST", path, body{}).WantTokens(t, 400, namespace+".general.missing_password")
		c.JSON(t, "POST", path, body{"password": body{}}).WantTokens(t, 422, "invalid")
		c.JSON(t, "POST", path+"?password=Tecohvi0", body{}). // D19
									WantTokens(t, 400, namespace+".general.missing_password")
		c.JSON(t, "POST", path, body{"password": strings.Repeat("a", 257)}).WantTokens(t, 422, "password.too_long")

		w.Now = w.Now.Add(time.Hour)
		for range 300 { // fifteen people type a password of twenty letters
			if status, body := validate("Tecohvi0"); status != 201 {
				t.Fatalf("got %d %s within the limit", status, body)
			}
		}
		a := c.JSON(t, "POST", path, body{"password": "Tecohvi0"})
		a.WantTokens(t, 429, namespace+".general.too_many_requests")
		expect.Equal(t, a.Header.Get("Retry-After"), "1")
		w.Now = w.Now.Add(time.Minute)
		w.Secret("testPassword111")
		expect.Equal(t, len(w.News()), 0)
	}
}

// The registration of a GeeTest challenge (W-I24).
func TestRegisterGeetest(t *testing.T) {
	const path = "/api/v2/identity/users/register_geetest"
	w := newWorld(t)
	w.Browser().Get(t, path).Want(t, 200, `""`)
	w.Identity.Geetest = &w.captcha
	w.Browser().Get(t, path).Want(t, 200, `{"gt":"gt-id","challenge":"0cc175b9c0f1b6a831c399e269772661"}`)
	w.captcha.err = apitest.ErrOutage
	w.Browser().Get(t, path).Want(t, 200, `""`)
	if !strings.Contains(w.Log.String(), "GeeTest does not answer") {
		t.Error("the operator is told nothing")
	}
}

func TestJWKS(t *testing.T) {
	w := newWorld(t)
	c := w.Browser()
	for _, path := range []string{
		"/.well-known/jwks.json", "/api/v2/public/jwks.json", "/api/v2/barong/public/jwks.json", "/api/v2/auth/public/jwks.json",
	} {
		a := c.Get(t, path)
		var set struct{ Keys []json.RawMessage }
		a.Into(t, &set)
		if a.Status != 200 || len(set.Keys) != 1 {
			t.Errorf("%s: got %d %s, want the one bearer key", path, a.Status, a.Body)
		}
		expect.Equal(t, []string{a.Header.Get("Cache-Control"), a.Header.Get("Content-Type")},
			[]string{"public, max-age=300", "application/jwk-set+json"})
	}
}

// A browser's Accept-Language chooses the language of mails where nobody else does.
func TestLanguageOfMails(t *testing.T) {
	for name, c := range map[string]struct {
		accept, data, lang, want string
	}{
		"nothing said: the default":                      {"", "", "", "en"},
		"the browser's":                                  {"ru-RU,ru;q=0.9,en;q=0.8", "", "", "ru"},
		"the best of those that mails have":              {"de, fr;q=0.9, ru;q=0.5, en;q=0.1", "", "", "ru"},
		"by weight, not by place":                        {"en;q=0.2, ru;q=0.7", "", "", "ru"},
		"none of those":                                  {"de, fr", "", "", "en"},
		"any":                                            {"*", "", "", "en"},
		"no header of that kind":                         {"ru;q=x;;", "", "", "en"},
		"one that is too long":                           {"ru," + strings.Repeat("de,", 200), "", "", "en"},
		"the user's own before the browser's":            {"en", `{"language":"RU"}`, "", "ru"},
		"lang before the user's own":                     {"en", `{"language":"en"}`, "RU_ru", "ru"},
		"a lang that mails do not have is nobody's":      {"ru", "", "xx", "ru"},
		"a lang of nonsense never fails":                 {"", "", "\x01 '; drop", "en"},
		"the user's own that is no language is nobody's": {"ru", `{"language":7}`, "", "ru"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			u := w.user(email, 0)
			if c.data != "" {
				w.PutUser(u.UID, func(u *account.User) { u.Data = &c.data })
			}
			b := w.Browser()
			if c.accept != "" {
				b = b.With("Accept-Language", c.accept)
			}
			for _, path := range []string{"email", "password"} {
				b.JSON(t, "POST", "/api/v2/identity/users/"+path+"/generate_code", body{"email": email, "lang": c.lang}).
					Want(t, 201, "201")
				if _, got := w.link(); got != c.want {
					t.Errorf("%s: mailed in %q, want %q", path, got, c.want)
				}
			}
		})
	}
}
