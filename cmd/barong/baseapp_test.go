package main

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"testing"
	"time"

	"github.com/pquerna/otp/totp"
)

// A page acts as the public web client of exchanges (openware/baseapp). It sends JSON bodies below
// one base path, with the token of the last user in X-CSRF-Token. Of a refusal it reads the status
// and the list errors, or the one text error.
type page struct {
	*browser
	base, csrf, agent, ip string
}

// send returns the status, the object of a success, and the messages of a refusal.
func (p *page) send(method, path string, body map[string]any) (status int, user map[string]any, messages []string) {
	p.t.Helper()
	var sent io.Reader
	if body != nil {
		text, err := json.Marshal(body)
		if err != nil {
			p.t.Fatal(err)
		}
		sent = bytes.NewReader(text)
	}
	r, err := http.NewRequest(method, "http://"+p.p.http+p.base+path, sent)
	if err != nil {
		p.t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("User-Agent", p.agent)
	r.Header.Set("X-Forwarded-For", p.ip) // as the ingress writes it; loopback is named as trusted
	if p.csrf != "" && method != http.MethodGet {
		r.Header.Set("X-CSRF-Token", p.csrf)
	}
	resp, err := p.client.Do(r)
	if err != nil {
		p.t.Fatal(err)
	}
	answer := text(p.t, resp)
	var refusal struct {
		Errors []string
		Error  string
	}
	_ = json.Unmarshal([]byte(answer), &user) // a status-only answer is a number
	_ = json.Unmarshal([]byte(answer), &refusal)
	if messages = refusal.Errors; messages == nil && refusal.Error != "" {
		messages = []string{refusal.Error}
	}
	return resp.StatusCode, user, messages
}

// want fails the test unless the answer has that status and, for a refusal, that message.
func (p *page) want(status int, message, method, path string, body map[string]any) map[string]any {
	p.t.Helper()
	got, user, messages := p.send(method, path, body)
	if got != status || message != "" && !slices.Contains(messages, message) || message == "" && messages != nil {
		p.t.Fatalf("%s %s: got %d %v %q, want %d %q", method, path, got, user, messages, status, message)
	}
	return user
}

// signedIn keeps the token of an answer that opened a session, as the client does.
func (p *page) signedIn(user map[string]any) {
	p.t.Helper()
	if p.csrf, _ = user["csrf_token"].(string); p.csrf == "" {
		p.t.Fatalf("no csrf_token in %v", user)
	}
}

// The web client's ways through the endpoints before sign-in and through the gate: its requests,
// and every status and message that it branches on.
func TestBaseapp(t *testing.T) {
	const email, password, better = "trader@barong.example", "Correct-Horse-9-Battery", "Better-Horse-9-Battery"
	type object = map[string]any
	for _, base := range []string{"/api/v2/barong", "/api/v2/auth"} {
		t.Run(base, func(t *testing.T) {
			p := serving(t, t.TempDir(), "BARONG_JWT_ALGORITHM=EdDSA", "BARONG_TRUSTED_PROXIES=127.0.0.0/8")
			admin := newBrowser(p).signIn(firstAdmin, p.password())
			c := &page{browser: newBrowser(p), base: base, agent: "Mozilla/5.0 Firefox/140.0", ip: "198.51.100.1"}
			// mailed is the token of the newest link on the terminal.
			mailed := func(param string) (token string) {
				p.eventually("a mail with "+param, func() bool {
					all := regexp.MustCompile(param+`=([\w.-]+)`).FindAllStringSubmatch(p.out.String(), -1)
					if len(all) > 0 {
						token = all[len(all)-1][1]
					}
					return token != ""
				})
				return token
			}

			// The page loads the settings for the forms, and nobody is signed in.
			configs := c.want(200, "", "GET", "/identity/configs", nil)
			if configs["captcha_type"] != "none" || configs["password_min_entropy"] == nil {
				t.Errorf("configs %v", configs)
			}
			c.want(401, "authz.invalid_session", "GET", "/resource/users/me", nil)
			if e, ok := c.want(201, "", "POST", "/identity/password/validate", object{"password": password})["entropy"].(float64); !ok || e < 14 {
				t.Errorf("entropy %v of a strong password", e)
			}

			// Signing up: a pending user must verify the address, but has a session already.
			c.want(422, "password.requirements", "POST", "/identity/users", object{"email": email, "password": "password", "data": "{}"})
			user := c.want(201, "", "POST", "/identity/users", object{
				"email": email, "password": password, "username": "trader", "data": `{"language":"en"}`, "captcha_response": "",
			})
			if user["state"] != "pending" || user["email"] != email {
				t.Errorf("signed up as %v", user)
			}
			c.signedIn(user)
			c.want(200, "", "GET", "/resource/users/me", nil)
			c.want(422, "email.taken", "POST", "/identity/users", object{"email": email, "password": password})
			c.want(201, "", "POST", "/identity/users/email/generate_code", object{"email": email, "lang": "en"})
			c.want(422, "jwt.decode_and_verify.segments", "POST", "/identity/users/email/confirm_code", object{"token": "x"})
			token := mailed("confirmation_token")
			user = c.want(201, "", "POST", "/identity/users/email/confirm_code", object{"token": token, "lang": "en"})
			if user["state"] != "active" {
				t.Errorf("confirmed as %v", user)
			}
			c.signedIn(user)
			uid, _ := user["uid"].(string)
			c.want(204, "", "DELETE", "/identity/sessions", nil)
			c.want(404, "identity.session.not_found", "DELETE", "/identity/sessions", nil)

			// Signing in: a pending user would be asked for verification, one with otp for codes.
			credentials := object{"email": email, "password": password, "captcha_response": ""}
			c.want(401, "identity.session.invalid_params", "POST", "/identity/sessions", object{"email": email, "password": "x"})
			user = c.want(201, "", "POST", "/identity/sessions", credentials)
			data, _ := user["data"].(string)
			var own struct{ Language string }
			if json.Unmarshal([]byte(data), &own) != nil || own.Language != "en" || user["otp"] != false || user["state"] != "active" {
				t.Errorf("signed in as %v", user)
			}

			// The gate wants the token of the body with every change.
			c.csrf = ""
			c.want(401, "authz.missing_csrf_token", "POST", "/resource/otp/generate_qrcode", nil)
			c.csrf = "00000000000000000000"
			c.want(401, "authz.csrf_token_mismatch", "POST", "/resource/otp/generate_qrcode", nil)
			c.signedIn(user)
			qr, _ := c.want(200, "", "POST", "/resource/otp/generate_qrcode", nil)["data"].(object)
			shown, _ := qr["url"].(string)
			at, err := url.Parse(shown)
			if err != nil {
				t.Fatal(err)
			}
			code := func(ahead time.Duration) string {
				text, err := totp.GenerateCode(at.Query().Get("secret"), time.Now().Add(ahead))
				if err != nil {
					t.Fatal(err)
				}
				return text
			}
			c.want(200, "", "POST", "/resource/otp/enable", object{"code": code(0)})
			c.want(204, "", "DELETE", "/identity/sessions", nil)

			// 401 missing_otp shows the form for codes; a wrong one is 403.
			c.want(401, "identity.session.missing_otp", "POST", "/identity/sessions", credentials)
			with := object{"email": email, "password": password, "otp_code": "000000"}
			if with["otp_code"] == code(0) || with["otp_code"] == code(30*time.Second) {
				with["otp_code"] = "111111"
			}
			c.want(403, "identity.session.invalid_otp", "POST", "/identity/sessions", with)
			with["otp_code"] = code(30 * time.Second) // each code works once
			user = c.want(201, "", "POST", "/identity/sessions", with)
			if user["otp"] != true {
				t.Errorf("signed in as %v", user)
			}
			c.signedIn(user)

			// Another browser with the same cookie: the client signs the user out.
			c.agent = "curl/8"
			c.want(401, "authz.client_session_mismatch", "GET", "/resource/users/me", nil)
			c.agent = "Mozilla/5.0 Firefox/140.0"
			c.want(401, "authz.invalid_session", "GET", "/resource/users/me", nil)

			// A forgotten password.
			c.want(201, "", "POST", "/identity/users/password/generate_code", object{"email": email, "captcha_response": ""})
			reset := object{"reset_password_token": mailed("reset_token"), "password": better, "confirm_password": better}
			c.want(201, "", "POST", "/identity/users/password/confirm_code", reset)
			c.want(422, "identity.user.utilized_token", "POST", "/identity/users/password/confirm_code", reset)

			// Staff lock the account.
			admin.want(201, "", "POST", "/api/v2/admin/users/update", url.Values{"uid": {uid}, "state": {"locked"}})
			c.want(401, "identity.session.not_active", "POST", "/identity/sessions", object{"email": email, "password": better})

			// 471 says that the visitor is restricted, 472 that there is maintenance; a link of
			// staff lets the visitor in, and value.taken sends home a visitor that is in already.
			for ip, x := range map[string][2]string{"198.51.100.71": {"blacklist", "471"}, "198.51.100.72": {"maintenance", "472"}} {
				admin.want(201, "", "POST", "/api/v2/admin/restrictions",
					url.Values{"category": {x[0]}, "scope": {"ip"}, "value": {ip}, "code": {x[1]}})
			}
			c.csrf, c.ip = "", "198.51.100.71"
			p.eventually("the restriction of 198.51.100.71", func() bool {
				status, _, messages := c.send("GET", "/identity/configs", nil)
				return status == 471 && slices.Contains(messages, "authz.restrict.blacklist")
			})
			c.ip = "198.51.100.72"
			p.eventually("the restriction of 198.51.100.72", func() bool {
				status, _, messages := c.send("GET", "/identity/configs", nil)
				return status == 472 && slices.Contains(messages, "authz.restrict.maintenance")
			})
			link := func() object {
				var made struct {
					Token string `json:"whitelink_token"`
				}
				into(t, admin.want(201, "whitelink_token", "POST", "/api/v2/admin/restrictions/whitelink", url.Values{}), &made)
				return object{"whitelink_token": made.Token}
			}
			c.want(422, "identity.user.access.invalid_token", "POST", "/identity/users/access", object{"whitelink_token": "x"})
			c.want(200, "", "POST", "/identity/users/access", link())
			c.want(422, "value.taken", "POST", "/identity/users/access", link())
			p.eventually("the whitelist", func() bool {
				status, _, _ := c.send("GET", "/identity/configs", nil)
				return status == 200
			})
		})
	}
}
