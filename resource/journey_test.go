package resource_test

import (
	"context"
	"log/slog"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/pquerna/otp/totp"

	"barong/identity"
	"barong/internal/account"
	"barong/internal/account/worldtest"
	"barong/internal/audit"
	"barong/internal/caller"
	"barong/internal/limit"
	"barong/internal/rest"
	"barong/internal/rest/resttest"
	"barong/internal/secret"
	"barong/internal/session"
	"barong/internal/signin"
	"barong/internal/store"
	"barong/internal/store/storetest"
	"barong/internal/token"
	"barong/internal/view"
	"barong/policy"
	"barong/resource"
)

// The fakes of this package must match the wiring.
var (
	_ resource.Accounts = worldtest.Own{}
	_ resource.Users    = (*store.DB)(nil)
	_ resource.Sessions = (*session.Manager)(nil)
	_ caller.Verifier   = (*token.Minter)(nil)
	_ identity.Accounts = (*signin.Service)(nil)
	_ identity.Users    = (*store.DB)(nil)
	_ identity.Sessions = (*session.Manager)(nil)
	_ identity.KeySet   = (*token.Keys)(nil)
)

// journey is both namespaces over the real services and an empty SQLite database.
type journey struct {
	t      *testing.T
	now    time.Time
	db     *store.DB
	svc    worldtest.Own
	minter *token.Minter
	client *resttest.Client
	user   account.User
}

func must[T any](t *testing.T) func(T, error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func newJourney(t *testing.T) *journey {
	j := &journey{t: t, now: now}
	clock := func() time.Time { return j.now }
	j.db = storetest.Open(t, store.WithClock(clock))
	for _, role := range []string{"member", "service_account"} {
		p := policy.Permission{Action: policy.Accept, Role: role, Verb: "ALL", Path: "api/v2"}
		if err := j.db.AddPermission(t.Context(), &p); err != nil {
			t.Fatal(err)
		}
	}
	j.svc = worldtest.Open(worldtest.Config{FailureFloor: time.Nanosecond}, j.db,
		secret.NewHasher(1, 4), new(limit.Memory), clock).Own()
	must[int](t)(j.svc.SeedLevels(t.Context(), []account.SeedLevel{{Key: "email", Value: "verified"}}))
	j.user = must[account.User](t)(j.svc.CreateUser(t.Context(),
		account.UserInput{Email: "trader@barong.io", Password: "Tecohvi0", Level: 1}))
	keys := token.DefaultKeysConfig()
	keys.Algorithm = token.EdDSA
	set := must[*token.Keys](t)(token.OpenKeys(t.Context(), j.db, keys, clock))
	j.minter = must[*token.Minter](t)(token.NewMinter(set, token.DefaultConfig()))
	sessions := session.NewManager(session.Config{}, j.db, j.db, clock, nil)

	log := slog.New(slog.DiscardHandler)
	s := must[*rest.Server](t)(rest.New(rest.Config{Log: log}))
	ip := func(*http.Request) netip.Addr { return netip.MustParseAddr("10.0.0.1") }
	(&identity.API{Users: j.db, Accounts: j.svc, Sessions: sessions, ClientIP: ip, Now: clock, Log: log}).Mount(s)
	(&resource.API{
		Users: j.db, Accounts: j.svc, Sessions: sessions, Tokens: j.minter, ClientIP: ip, Now: clock, Log: log,
	}).Mount(s)
	j.client = resttest.New(t, s).With("User-Agent", "Firefox/1")
	return j
}

// signIn returns the cookie's value.
func (j *journey) signIn(code string) string {
	j.t.Helper()
	a := j.client.JSON(j.t, "POST", "/api/v2/identity/sessions", map[string]any{
		"email": " Trader@Barong.io", "password": "Tecohvi0", "otp_code": code,
	})
	if a.Status != 201 {
		j.t.Fatalf("sign in: got %d %s", a.Status, a.Body)
	}
	return j.cookieOf(a)
}

func (j *journey) cookieOf(a resttest.Answer) string {
	j.t.Helper()
	value, _, _ := strings.Cut(strings.TrimPrefix(a.Header.Get("Set-Cookie"), "_barong_session="), ";")
	if len(value) != 32 {
		j.t.Fatalf("got Set-Cookie %q, want a session", a.Header.Get("Set-Cookie"))
	}
	return value
}

// me carries a fresh bearer token, as the gateway would, and the cookie of a session.
func (j *journey) me(cookie string) *resttest.Client {
	j.t.Helper()
	var slot token.Slot
	bearer, err := j.minter.Mint(&slot, 1, token.Claims{
		Party: token.PartyBarong, UID: j.user.UID, Email: j.user.Email, Role: j.user.Role, State: j.user.State,
	}, j.now)
	if err != nil {
		j.t.Fatal(err)
	}
	return j.client.With("Authorization", bearer).With("Cookie", "_barong_session="+cookie)
}

// code is the next one-time code of the secret; time moves on, as each works once.
func (j *journey) code(secret string) string {
	j.t.Helper()
	j.now = j.now.Add(30 * time.Second)
	return must[string](j.t)(totp.GenerateCode(secret, j.now))
}

func (j *journey) signOut(cookie string) int {
	return j.client.With("Cookie", "_barong_session="+cookie).JSON(j.t, "DELETE", "/api/v2/identity/sessions", nil).Status
}

// Sign in, second factor, keys, service account's keys, factor off, sign out: over the
// services that production wires.
func TestJourney(t *testing.T) {
	j := newJourney(t)
	laptop, phone := j.signIn(""), j.signIn("")
	var shownMe view.User
	j.me(laptop).Get(t, "/api/v2/resource/users/me").Into(t, &shownMe)
	diff(t, []any{shownMe.Email, shownMe.State, shownMe.Level, shownMe.OTP}, []any{"trader@barong.io", "active", 1, false})

	// Second factor on: this session goes on under a new id, the other one has ended.
	j.me(laptop).Form(t, "POST", own, url.Values{"algorithm": {"HS256"}, "totp_code": {"1"}}).
		WantTokens(t, 400, "resource.api_key.2fa_disabled")
	var qr struct {
		Data struct{ URL string }
	}
	j.me(laptop).JSON(t, "POST", otpBase+"generate_qrcode", nil).Into(t, &qr)
	key := must[*url.URL](t)(url.Parse(qr.Data.URL)).Query().Get("secret")
	a := j.me(laptop).JSON(t, "POST", otpBase+"enable", map[string]any{"code": j.code(key)})
	a.Want(t, 200, `200`)
	moved := j.cookieOf(a)
	diff(t, []int{j.signOut(laptop), j.signOut(phone)}, []int{204, 204})
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
	j.me(moved).JSON(t, "POST", own, map[string]any{"algorithm": "HS256", "scope": "trade,sell", "totp_code": j.code(key)}).
		Into(t, &made)
	diff(t, []any{len(made.Kid), len(made.Secret), made.Scope, made.State}, []any{16, 32, []string{"trade", "sell"}, "active"})
	j.me(moved).JSON(t, "PATCH", own+"/"+made.Kid, map[string]any{"state": "inactive", "totp_code": j.code(key)}).
		Into(t, &made)
	diff(t, []any{made.State, made.Scope}, []any{"inactive", []string{"trade", "sell"}})
	j.me(moved).JSON(t, "PUT", own+"/unknown", map[string]any{"totp_code": j.code(key)}).
		WantTokens(t, 404, "record.not_found")
	j.me(moved).JSON(t, "PATCH", own+"/"+made.Kid, map[string]any{"state": "active", "totp_code": j.code(key)})

	// A service account's key.
	robot9 := account.ServiceAccount{
		UID: "SI0000000009", OwnerUID: j.user.UID, Email: "r@b.io", Role: "service_account", State: "active",
	}
	if err := j.db.AddServiceAccount(t.Context(), &robot9); err != nil {
		t.Fatal(err)
	}
	j.me(moved).JSON(t, "POST", robot, map[string]any{
		"service_account_uid": robot9.UID, "algorithm": "HS256", "totp_code": j.code(key),
	})
	list := j.me(moved).Get(t, robot+"?service_account_uid="+robot9.UID)
	diff(t, []string{list.Header.Get("Total"), itoa(strings.Count(list.Body, `"secret"`))}, []string{"1", "0"})

	// Second factor off: keys stop, other sessions end.
	a = j.me(moved).JSON(t, "POST", otpBase+"disable", map[string]any{"code": j.code(key)})
	a.Want(t, 200, `200`)
	last := j.cookieOf(a)
	for _, path := range []string{own, robot + "?service_account_uid=" + robot9.UID} {
		if body := j.me(last).Get(t, path).Body; !strings.Contains(body, `"state":"inactive"`) {
			t.Errorf("AZ-286: after the factor is off: got %s, want an inactive key", body)
		}
	}
	diff(t, []int{j.signOut(moved), j.signOut(phone), j.signOut(last), j.signOut(last)}, []int{204, 204, 204, 404})

	rows, _, err := j.db.Activities(context.Background(), audit.Query{Action: "logout", Limit: 10})
	if err != nil || len(rows) != 1 || rows[0].ActorUID != j.user.UID || rows[0].IP != "10.0.0.1" {
		t.Errorf("the logout activity: got %+v, %v", rows, err)
	}
}

func itoa(n int) string { return string(rune('0' + n)) }
