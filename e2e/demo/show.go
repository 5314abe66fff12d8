package main

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"sort"
	"strconv"
	"strings"
	"time"

	"github.com/pquerna/otp/totp"

	"barong/e2e"
)

// balances is a path of the exchange's engine that members may use.
const balances = "/api/v2/peatio/account/balances"

// show makes the four requests, and those that have to come before them. It fails at the first
// that does not come out as promised.
func (d *demo) show(ctx context.Context, c *client, who *people) error {
	title("Sign in: a public path, no credential needed")
	in, err := c.do(ctx, http.MethodPost, "/api/v2/barong/identity/sessions", map[string]string{"email": who.member, "password": who.password}, nil)
	if err != nil {
		return err
	}
	if in.status != http.StatusOK && in.status != http.StatusCreated {
		return in.unexpected("the member signed in")
	}
	var me struct {
		UID  string `json:"uid"`
		CSRF string `json:"csrf_token"`
	}
	json.Unmarshal([]byte(in.body), &me)
	c.csrf = me.CSRF
	say("-> %d, signed in as %s (%s)", in.status, who.member, me.UID)

	title("1. Allowed by cookie: members may read their balances")
	got, err := c.do(ctx, http.MethodGet, balances, nil, nil)
	if err != nil {
		return err
	}
	if err := got.showUpstream(true); err != nil {
		return err
	}

	if err := d.showKey(ctx, c); err != nil {
		return err
	}

	title("3. Denied by role: members may not read the list of users")
	if got, err = c.do(ctx, http.MethodGet, "/api/v2/barong/admin/users", nil, nil); err != nil {
		return err
	}
	if err := got.showDenial(http.StatusUnauthorized, "authz.invalid_permission"); err != nil {
		return err
	}

	title("4. Denied by restriction: the network " + blockedNetwork + " is on the black list")
	got, err = c.do(ctx, http.MethodGet, balances, nil, map[string]string{"X-Forwarded-For": "198.51.100.7"})
	if err != nil {
		return err
	}
	return got.showDenial(blockedCode, "authz.restrict.blacklist")
}

// showKey enables 2FA for the member, makes an API key and uses it without the cookie.
func (d *demo) showKey(ctx context.Context, c *client) error {
	title("2. Allowed by API key: the member enables 2FA, makes a key, and a program signs with it")
	qr, err := c.do(ctx, http.MethodPost, "/api/v2/barong/resource/otp/generate_qrcode", nil, nil)
	if err != nil {
		return err
	}
	var made struct{ Data struct{ URL string } }
	json.Unmarshal([]byte(qr.body), &made)
	otpauth, err := url.Parse(made.Data.URL)
	secret := ""
	if err == nil {
		secret = otpauth.Query().Get("secret")
	}
	if secret == "" {
		return qr.unexpected("a new 2FA secret")
	}
	// A code works once. The previous one is still taken, so enabling uses that and the key the
	// current one; near the end of a step it would be too old.
	if left := 30 - time.Now().Unix()%30; left < 3 {
		time.Sleep(time.Duration(left) * time.Second)
	}
	now := time.Now()
	code := func(at time.Time) string { s, _ := totp.GenerateCode(secret, at); return s }
	on, err := c.do(ctx, http.MethodPost, "/api/v2/barong/resource/otp/enable", map[string]string{"code": code(now.Add(-30 * time.Second))}, nil)
	if err != nil {
		return err
	}
	if on.status != http.StatusOK && on.status != http.StatusCreated {
		return on.unexpected("2FA enabled")
	}
	say("-> %d, 2FA is on", on.status)
	key, err := c.do(ctx, http.MethodPost, "/api/v2/barong/resource/api_keys",
		map[string]string{"algorithm": "HS256", "totp_code": code(now)}, nil)
	if err != nil {
		return err
	}
	var k struct{ KID, Secret string }
	json.Unmarshal([]byte(key.body), &k)
	if k.KID == "" || k.Secret == "" {
		return key.unexpected("an API key")
	}
	say("-> %d, key %s", key.status, k.KID)

	nonce := strconv.FormatInt(time.Now().UnixMilli(), 10)
	mac := hmac.New(sha256.New, []byte(k.Secret))
	mac.Write([]byte(nonce + k.KID))
	bot := &client{base: c.base, http: c.http}
	got, err := bot.do(ctx, http.MethodGet, balances, nil, map[string]string{
		"X-Auth-Apikey": k.KID, "X-Auth-Nonce": nonce, "X-Auth-Signature": hex.EncodeToString(mac.Sum(nil))})
	if err != nil {
		return err
	}
	return got.showUpstream(false)
}

// showUpstream prints the request that the upstream saw; anything but a 200 from it with a bearer
// token and without the caller's credentials is an error. With claims it prints the token's.
func (r *reply) showUpstream(claims bool) error {
	var seen e2e.Echoed
	if r.status != http.StatusOK || json.Unmarshal([]byte(r.body), &seen) != nil || seen.Claims == nil {
		return r.unexpected("200 from the upstream with a token")
	}
	for _, h := range []string{"Cookie", "X-Auth-Apikey", "X-Auth-Signature"} {
		if v := strings.Join(seen.Headers[h], ""); strings.Contains(v, sessionCookie) || h != "Cookie" && v != "" {
			return r.unexpected("no " + h + " of the caller at the upstream")
		}
	}
	say("-> 200 from the upstream. It saw neither cookie nor key, but a token that Barong signed.")
	if !claims {
		say("   The token says the same: uid %v, role %v.", seen.Claims["uid"], seen.Claims["role"])
		return nil
	}
	say("   What the token says:")
	names := make([]string, 0, len(seen.Claims))
	for n := range seen.Claims {
		names = append(names, n)
	}
	sort.Strings(names)
	for _, n := range names {
		v, _ := json.Marshal(seen.Claims[n])
		fmt.Printf("       %-12s %s\n", n, v)
	}
	return nil
}

// showDenial prints the denial; another status or reason is an error.
func (r *reply) showDenial(status int, reason string) error {
	if r.status != status || r.body != `{"errors":["`+reason+`"]}` {
		return r.unexpected(fmt.Sprintf("%d %s", status, reason))
	}
	say("-> %d %s", r.status, r.body)
	return nil
}
