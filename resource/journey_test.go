package resource_test

import (
	"context"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/pquerna/otp/totp"

	"barong/internal/account"
	"barong/internal/apitest"
	"barong/internal/audit"
	"barong/internal/expect"
	"barong/internal/rest/resttest"
	"barong/internal/secret"
	"barong/internal/view"
)

// journey is a new user's, over real password hashes.
type journey struct {
	*apitest.World
	client *resttest.Client
	user   account.User
}

func newJourney(t *testing.T) *journey {
	t.Helper()
	j := &journey{World: apitest.New(t)}
	j.Allow("member", "service_account")
	j.Hasher = secret.NewHasher(1, 4)
	j.Restart()
	j.Levels()
	j.user = j.SignUp("trader@barong.io", 1)
	j.client = j.Client()
	return j
}

// signIn returns the cookie's value.
func (j *journey) signIn(code string) string {
	j.T.Helper()
	a := j.client.JSON(j.T, "POST", "/api/v2/identity/sessions", map[string]any{
		"email": " Trader@Barong.io", "password": "Tecohvi0", "otp_code": code,
	})
	if a.Status != 201 {
		j.T.Fatalf("sign in: got %d %s", a.Status, a.Body)
	}
	return j.cookieOf(a)
}

func (j *journey) cookieOf(a resttest.Answer) string {
	j.T.Helper()
	value, _, _ := strings.Cut(strings.TrimPrefix(a.Header.Get("Set-Cookie"), "_barong_session="), ";")
	if len(value) != 32 {
		j.T.Fatalf("got Set-Cookie %q, want a session", a.Header.Get("Set-Cookie"))
	}
	return value
}

// me carries a bearer token, as the gateway would, and the cookie of a session.
func (j *journey) me(cookie string) *resttest.Client {
	j.T.Helper()
	return within(j.As(j.user.UID), cookie)
}

// code is the next one-time code of the secret; time moves on, as each works once.
func (j *journey) code(secret string) string {
	j.T.Helper()
	j.Now = j.Now.Add(30 * time.Second)
	return expect.Must(totp.GenerateCode(secret, j.Now))(j.T)
}

func (j *journey) signOut(cookie string) int {
	return j.client.With("Cookie", "_barong_session="+cookie).JSON(j.T, "DELETE", "/api/v2/identity/sessions", nil).Status
}

// Sign in, second factor, keys, service account's keys, factor off, sign out: over the
// services that production wires.
func TestJourney(t *testing.T) {
	j := newJourney(t)
	laptop, phone := j.signIn(""), j.signIn("")
	var shownMe view.User
	j.me(laptop).Get(t, "/api/v2/resource/users/me").Into(t, &shownMe)
	expect.Equal(t, []any{shownMe.Email, shownMe.State, shownMe.Level, shownMe.OTP}, []any{"trader@barong.io", "active", 1, false})

	// Second factor on: this session goes on under a new id, the other one has ended.
	j.me(laptop).Form(t, "POST", own, url.Values{"algorithm": {"HS256"}, "totp_code": {"1"}}).
		WantTokens(t, 400, "resource.api_key.2fa_disabled")
	var qr struct {
		Data struct{ URL string }
	}
	j.me(laptop).JSON(t, "POST", otpBase+"generate_qrcode", nil).Into(t, &qr)
	key := expect.Must(url.Parse(qr.Data.URL))(t).Query().Get("secret")
	a := j.me(laptop).JSON(t, "POST", otpBase+"enable", map[string]any{"code": j.code(key)})
	a.Want(t, 200, `200`)
	moved := j.cookieOf(a)
	expect.Equal(t, []int{j.signOut(laptop), j.signOut(phone)}, []int{204, 204})
	j.me(moved).JSON(t, "POST", otpBase+"generate_qrcode", nil).WantTokens(t, 400, "resource.otp.already_enabled")

	// Signing in takes a code now, once.
	signIn := func(code string) resttest.Answer {
		return j.client.JSON(t, "POST", "/api/v2/identity/sessions",
			map[string]any{"email": "trader@barong.io", "password": "Tecohvi0", "otp_code": code})
	}
	signIn("").WantTokens(t, 401, "identity.session.missing_otp")
	signIn("000000x").WantTokens(t, 403, "identity.session.invalid_otp")
	code := j.code(key)
	phone = j.signIn(code)
	signIn(code).WantTokens(t, 422, "totp.error")
	j.me(moved).JSON(t, "POST", otpBase+"verify", map[string]any{"code": j.code(key)}).Want(t, 200, `200`)

	// A user's own key.
	var made struct {
		Kid, Secret, State string
		Scope              []string
	}
	j.me(moved).JSON(t, "POST", own, map[string]any{"algorithm": "kek", "totp_code": j.code(key)}).
		WantTokens(t, 422, "kid.blank", "algorithm.inclusion")
	j.me(moved).JSON(t, "POST", own, map[string]any{"algorithm": "HS256", "scope": "trade,read", "totp_code": j.code(key)}).
		Into(t, &made)
	expect.Equal(t, []any{len(made.Kid), len(made.Secret), made.Scope, made.State}, []any{16, 32, []string{"trade", "read"}, "active"})
	j.me(moved).JSON(t, "PATCH", own+"/"+made.Kid, map[string]any{"state": "inactive", "totp_code": j.code(key)}).
		Into(t, &made)
	expect.Equal(t, []any{made.State, made.Scope}, []any{"inactive", []string{"trade", "read"}})
	j.me(moved).JSON(t, "PUT", own+"/unknown", map[string]any{"totp_code": j.code(key)}).
		WantTokens(t, 404, "record.not_found")
	j.me(moved).JSON(t, "PATCH", own+"/"+made.Kid, map[string]any{"state": "active", "totp_code": j.code(key)})

	// A service account's key.
	robot9 := account.ServiceAccount{
		UID: "SI0000000009", OwnerUID: j.user.UID, Email: "r@b.io", Role: "service_account", State: "active",
	}
	if err := j.DB.AddServiceAccount(t.Context(), &robot9); err != nil {
		t.Fatal(err)
	}
	j.me(moved).JSON(t, "POST", robots, map[string]any{
		"service_account_uid": robot9.UID, "algorithm": "HS256", "totp_code": j.code(key),
	})
	list := j.me(moved).Get(t, robots+"?service_account_uid="+robot9.UID)
	expect.Equal(t, []string{list.Header.Get("Total"), strconv.Itoa(strings.Count(list.Body, `"secret"`))}, []string{"1", "0"})

	// Second factor off: keys stop, other sessions end.
	a = j.me(moved).JSON(t, "POST", otpBase+"disable", map[string]any{"code": j.code(key)})
	a.Want(t, 200, `200`)
	last := j.cookieOf(a)
	for _, path := range []string{own, robots + "?service_account_uid=" + robot9.UID} {
		if body := j.me(last).Get(t, path).Body; !strings.Contains(body, `"state":"inactive"`) {
			t.Errorf("AZ-286: after the factor is off: got %s, want an inactive key", body)
		}
	}
	expect.Equal(t, []int{j.signOut(moved), j.signOut(phone), j.signOut(last), j.signOut(last)}, []int{204, 204, 204, 404})

	rows, _, err := j.DB.Activities(context.Background(), audit.Query{Action: "logout", Limit: 10})
	if err != nil || len(rows) != 1 || rows[0].ActorUID != j.user.UID || rows[0].IP != "10.0.0.1" {
		t.Errorf("the logout activity: got %+v, %v", rows, err)
	}
}
