package e2e_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/pquerna/otp/totp"

	"barong/internal/factor/passkeytest"
)

// A life is a person's, through the gate, from the first sign-up to the second.
type life struct {
	*office
	*person
	secret   string // of the second factor
	lastStep int64  // of its last code, in half minutes since 1970
	key      botKey
	device   *passkeytest.Device
}

// botKey is an API key, and the address that its bot calls from.
type botKey struct{ kid, secret, ip string }

// TestALife takes one person through everything that one can do with an account of one's own, in the
// order in which people do it. A step goes on where the one before ended.
func TestALife(t *testing.T) {
	began := time.Now()
	const page = "https://app.exchange.example"
	l := &life{
		office: openOffice(t, "BARONG_PHONE_VERIFICATION=mock", "BARONG_WEBAUTHN_RP_ID=exchange.example", "BARONG_WEBAUTHN_ORIGINS="+page),
		person: newcomer(70), device: &passkeytest.Device{Origin: page},
	}
	for _, step := range []struct {
		name string
		take func(*testing.T)
	}{
		{"signs up and proves the address", l.arrives},
		{"states name, birth and address, and submits them", l.introduces},
		{"proves a phone by the code that it gets", l.provesPhone},
		{"uploads a passport", l.uploads},
		{"is approved by staff, and reaches level 3", l.isApproved},
		{"keeps a piece of data with the account", l.keepsData},
		{"switches the second factor on", l.protects},
		{"makes an API key, by which a bot calls within its scope and networks", l.makesKey},
		{"replaces the key by a new one", l.replacesKey},
		{"signs in elsewhere with a code", l.signsInElsewhere},
		{"signs in by a recovery code, once", l.recovers},
		{"adds a passkey, and signs in by it alone", l.addsPasskey},
		{"reads the activities", l.looksBack},
		{"deletes the account", l.leaves},
		{"signs up again with the same address", l.returns},
	} {
		at := time.Now()
		if !t.Run(step.name, step.take) {
			return
		}
		t.Logf("%s: %s", step.name, time.Since(at).Round(time.Millisecond))
	}
	report(fmt.Sprintf("a life: sign-up to deletion and back through Envoy, PostgreSQL and Redis in %s", time.Since(began).Round(time.Second)))
}

// does is a request of the person's, through the gate; a body is pairs of names and values.
func (l *life) does(t *testing.T, status int, holds, method, path string, body ...string) answer {
	t.Helper()
	var values map[string]string
	if len(body) > 0 {
		values = map[string]string{}
	}
	for i := 0; i+1 < len(body); i += 2 {
		values[body[i]] = body[i+1]
	}
	return l.want(t, status, holds, l.gate, method, path, values)
}

// code is the next one of the second factor: each works once.
func (l *life) code(t *testing.T) string {
	t.Helper()
	now := func() int64 { return time.Now().Unix() / 30 }
	l.lastStep = max(l.lastStep+1, now()-1) // the one before and the one after are taken, too
	eventually(t, "another code", func() bool { return now()+1 >= l.lastStep })
	code, err := totp.GenerateCode(l.secret, time.Unix(30*l.lastStep, 0))
	must(t, err)
	return code
}

// calls is a request of a bot, signed by the key; token "" says that it reaches the upstream.
func (l *life) calls(t *testing.T, k botKey, method, path string, status int, token string) {
	t.Helper()
	nonce := strconv.FormatInt(time.Now().UnixMilli(), 10)
	mac := hmac.New(sha256.New, []byte(k.secret))
	mac.Write([]byte(nonce + k.kid))
	got := raw(t, l.gate, method+" /api/v2"+path+" HTTP/1.1\nUser-Agent: bot\nX-Forwarded-For: "+k.ip+
		"\nX-Auth-Apikey: "+k.kid+"\nX-Auth-Nonce: "+nonce+"\nX-Auth-Signature: "+hex.EncodeToString(mac.Sum(nil)))
	if got.status != status || !strings.Contains(got.body, token) {
		t.Fatalf("%s %s by the key: got %d %s, want %d %s", method, path, got.status, got.body, status, token)
	}
	if token == "" {
		if seen := got.echoed(t); seen.Claims["uid"] != l.uid {
			t.Errorf("%s %s by the key: the upstream saw the claims %v", method, path, seen.Claims)
		}
	}
}

func (l *life) arrives(t *testing.T) {
	l.signUp(t, l.gate)
	l.does(t, 403, `"authz.email_not_verified"`, "GET", "/resource/labels")
	l.confirm(t, l.gate, l.post.token(t, l.email, "Registration Confirmation"))
	l.does(t, 200, `"level":1`, "GET", "/resource/users/me")
	l.does(t, 200, `"key":"email"`, "GET", "/resource/labels")
}

func (l *life) introduces(t *testing.T) {
	l.does(t, 200, "[]", "GET", "/resource/profiles/me")
	l.does(t, 201, `"state":"drafted"`, "POST", "/resource/profiles", "first_name", "Ada", "last_name", "Lovelace", "dob", "10/12/1990")
	l.does(t, 200, `"state":"submitted"`, "PUT", "/resource/profiles", "address", "12 St James's Square", "city", "London",
		"postcode", "SW1Y", "country", "GBR", "confirm", "true")
	if got := l.does(t, 200, `"city":"London"`, "GET", "/resource/profiles/me"); strings.Contains(got.body, "Lovelace") {
		t.Errorf("the name is shown whole: %s", got.body)
	}
}

// number is the phone's.
const number = "+447418084106"

var sentCode = regexp.MustCompile(`\b\d{5,8}\b`)

func (l *life) provesPhone(t *testing.T) {
	l.does(t, 200, "via sms", "POST", "/resource/phones", "phone_number", number)
	files, err := filepath.Glob(filepath.Join(l.replicas[0].Dir, "data", "outbox", "*.sms"))
	must(t, err)
	if len(files) != 1 {
		t.Fatalf("%d messages to phones, want one", len(files))
	}
	text, err := os.ReadFile(files[0])
	must(t, err)
	_, message, _ := strings.Cut(string(text), "\n\n")
	l.does(t, 404, `"resource.phone.verification_invalid"`, "POST", "/resource/phones/verify", "phone_number", number, "verification_code", "x")
	l.does(t, 201, `"level":2`, "POST", "/resource/phones/verify", "phone_number", number, "verification_code", sentCode.FindString(message))
	if got := l.does(t, 200, `4106`, "GET", "/resource/phones"); strings.Contains(got.body, number[1:]) {
		t.Errorf("the number is shown whole: %s", got.body)
	}
}

// passport is a picture, as base64.
const passport = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="

func (l *life) uploads(t *testing.T) {
	l.does(t, 422, "upload", "POST", "/resource/documents", "doc_type", "Passport", "doc_number", "AB 123456",
		"doc_expire", "2040-12-31", "upload", "bm8gcGljdHVyZQ==")
	l.does(t, 201, "", "POST", "/resource/documents", "doc_type", "Passport", "doc_number", "AB 123456",
		"doc_expire", "2040-12-31", "doc_category", "front_side", "upload", "data:image/png;base64,"+passport)
	if got := l.does(t, 200, `"doc_type":"Passport"`, "GET", "/resource/documents"); strings.Contains(got.body, "123456") {
		t.Errorf("the number is shown whole: %s", got.body)
	}
	l.does(t, 200, `"value":"pending"`, "GET", "/resource/labels/document")
}

// isApproved has a member of staff, who holds a second factor, look at the labels and approve the document.
func (l *life) isApproved(t *testing.T) {
	boss := l.superadmin(t)
	boss.does(t, 200, l.uid, "GET", "/admin/users/labels?key=document&value=pending")
	boss.does(t, 422, "admin.user.update_himself", "POST", "/admin/users/labels/update",
		"uid", boss.uid, "key", "document", "value", "verified", "scope", "private")
	l.does(t, 401, "authz.invalid_permission", "POST", "/admin/users/labels/update",
		"uid", l.uid, "key", "document", "value", "verified", "scope", "private")
	boss.does(t, 422, "key.taken", "POST", "/admin/users/labels", "uid", l.uid, "key", "document", "value", "verified", "scope", "private")
	boss.does(t, 200, "200", "PUT", "/admin/users/labels", "uid", l.uid, "key", "document", "value", "rejected", "scope", "private")
	l.does(t, 200, `"level":2`, "GET", "/resource/users/me")
	boss.does(t, 204, "", "DELETE", "/admin/users/labels", "uid", l.uid, "key", "document", "scope", "private")
	boss.does(t, 201, "201", "POST", "/admin/users/labels",
		"uid", l.uid, "key", "document", "value", "verified", "scope", "private", "description", "passport seen")
	l.does(t, 200, `"level":3`, "GET", "/resource/users/me")
	boss.does(t, 200, l.uid, "GET", "/admin/activities/admin?topic=labels")
}

func (l *life) keepsData(t *testing.T) {
	l.does(t, 201, "", "POST", "/resource/data_storage", "title", "preferences", "data", `{"theme":"dark"}`)
	l.does(t, 200, `{\"language\":\"en\"}`, "PUT", "/resource/users/me", "data", `{"language":"en"}`)
	l.does(t, 200, `preferences`, "GET", "/resource/users/me")
}

func (l *life) protects(t *testing.T) {
	var setup struct{ Data struct{ URL string } }
	got := l.does(t, 200, "otpauth://", "POST", "/resource/otp/generate_qrcode")
	must(t, json.Unmarshal([]byte(got.body), &setup))
	_, after, _ := strings.Cut(setup.Data.URL, "secret=")
	l.secret, _, _ = strings.Cut(after, "&")
	l.does(t, 200, "", "POST", "/resource/otp/enable", "code", l.code(t))
	l.does(t, 200, `"otp":true`, "GET", "/resource/users/me")
}

// newKey makes an API key with the next code.
func (l *life) newKey(t *testing.T) (k botKey) {
	t.Helper()
	got := l.does(t, 201, `"secret"`, "POST", "/resource/api_keys", "algorithm", "HS256", "scope", "trade", "ip_whitelist", l.ip+"/30",
		"totp_code", l.code(t))
	var made struct{ Kid, Secret string }
	must(t, json.Unmarshal([]byte(got.body), &made))
	return botKey{made.Kid, made.Secret, l.ip}
}

func (l *life) makesKey(t *testing.T) {
	l.key = l.newKey(t)
	l.calls(t, l.key, "GET", "/peatio/market/orders", 200, "")
	l.calls(t, l.key, "GET", "/barong/resource/api_keys", 401, "authz.invalid_permission")
	l.calls(t, l.key, "GET", "/peatio/account/balances", 401, "authz.apikey_scope_not_allowed")
	moved := l.key
	moved.ip = "203.0.113.70"
	l.calls(t, moved, "GET", "/peatio/market/orders", 401, "authz.apikey_address_not_allowed")
	forged := l.key
	forged.secret += "x"
	l.calls(t, forged, "GET", "/peatio/market/orders", 401, "authz.invalid_signature")
}

func (l *life) replacesKey(t *testing.T) {
	next := l.newKey(t)
	l.calls(t, next, "GET", "/peatio/market/orders", 200, "")
	l.does(t, 204, "", "DELETE", "/resource/api_keys/"+l.key.kid+"?totp_code="+l.code(t))
	l.calls(t, l.key, "GET", "/peatio/market/orders", 401, "authz.")
	l.calls(t, next, "GET", "/peatio/market/orders", 200, "")
	l.key = next
}

func (l *life) signsInElsewhere(t *testing.T) {
	other := &life{office: l.office, person: l.elsewhere(), secret: l.secret, lastStep: l.lastStep}
	other.does(t, 401, `"identity.session.missing_otp"`, "POST", "/identity/sessions", "email", l.email, "password", l.password)
	other.enter(t, "active", l.gate, "/identity/sessions", map[string]string{
		"email": l.email, "password": l.password, "otp_code": other.code(t),
	})
	l.lastStep = other.lastStep
	l.does(t, 204, "", "DELETE", "/resource/sessions") // everywhere else
	other.refused(t, l.gate)
}

func (l *life) recovers(t *testing.T) {
	var made struct{ Codes []string }
	got := l.does(t, 201, `"codes"`, "POST", "/resource/otp/recovery_codes", "code", l.code(t))
	must(t, json.Unmarshal([]byte(got.body), &made))
	credentials := map[string]string{"email": l.email, "password": l.password, "otp_code": made.Codes[0]}
	other := l.elsewhere()
	other.enter(t, "active", l.gate, "/identity/sessions", credentials)
	again := l.elsewhere()
	again.want(t, 403, `"identity.session.invalid_otp"`, l.gate, "POST", "/identity/sessions", credentials)
	other.want(t, 204, "", l.gate, "DELETE", "/identity/sessions", nil)
}

func (l *life) addsPasskey(t *testing.T) {
	begun := l.does(t, 201, `"challenge"`, "POST", "/resource/passkeys/begin", "password", l.password, "code", l.code(t))
	made, err := l.device.Create([]byte(begun.body))
	must(t, err)
	l.does(t, 201, `"name":"phone"`, "POST", "/resource/passkeys", "credential", string(made), "name", "phone")

	other := l.elsewhere()
	begun = other.want(t, 201, `"challenge"`, l.gate, "POST", "/identity/sessions/passkey/begin", map[string]string{})
	shown, err := l.device.Get([]byte(begun.body))
	must(t, err)
	thief := l.elsewhere() // without the cookie of the challenge
	thief.want(t, 422, `"identity.session.challenge_expired"`, l.gate, "POST", "/identity/sessions/passkey", map[string]string{"credential": string(shown)})
	other.enter(t, "active", l.gate, "/identity/sessions/passkey", map[string]string{"credential": string(shown)})
	other.want(t, 200, `"level":3`, l.gate, "GET", "/resource/users/me", nil)
	other.want(t, 204, "", l.gate, "DELETE", "/identity/sessions", nil)
}

func (l *life) looksBack(t *testing.T) {
	for topic, action := range map[string]string{"session": `"login::2fa"`, "otp": `"use recovery code"`, "account": `"signup"`} {
		l.does(t, 200, action, "GET", "/resource/users/activity/"+topic)
	}
	if got := l.does(t, 200, "", "GET", "/resource/users/activity/all?limit=100"); strings.Contains(got.body, l.secret) || strings.Contains(got.body, "Lovelace") {
		t.Errorf("activities show what is private: %s", got.body)
	}
}

func (l *life) leaves(t *testing.T) {
	before := *l.person
	l.does(t, 204, "", "DELETE", "/resource/users/me?password="+l.password+"&otp_code="+l.code(t))
	before.refused(t, l.gate)
	l.calls(t, l.key, "GET", "/peatio/market/orders", 401, "authz.")
}

func (l *life) returns(t *testing.T) {
	was := l.uid
	l.person = &person{email: l.email, password: l.password, ip: l.ip, cookies: map[string]string{}}
	l.signUp(t, l.gate)
	if l.uid == was {
		t.Errorf("the new account is the old one, %s", was)
	}
	l.confirm(t, l.gate, l.lastToken(t))
	l.does(t, 200, `"phones":[]`, "GET", "/resource/users/me")
	l.does(t, 200, "via sms", "POST", "/resource/phones", "phone_number", number)
}

// lastToken is that of the newest confirmation mail, once there are two.
func (l *life) lastToken(t *testing.T) string {
	t.Helper()
	var tokens []string
	eventually(t, "a second confirmation mail to "+l.email, func() bool {
		tokens = nil
		for _, m := range l.post.all(l.email) {
			if link := mailedLink.FindStringSubmatch(m.text); link != nil && m.subject == "Registration Confirmation" {
				tokens = append(tokens, link[1])
			}
		}
		return len(tokens) == 2
	})
	return tokens[1]
}
