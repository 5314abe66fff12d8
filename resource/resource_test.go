package resource_test

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"barong/internal/account"
	"barong/internal/apikey"
	"barong/internal/factor"
	"barong/internal/limit"
	"barong/internal/rest"
	"barong/internal/rest/resttest"
	"barong/internal/session"
	"barong/resource"
)

const (
	cookieValue = "00000000000000000000000000000001"
	meUID       = "ID0000000001"
	robotUID    = "SI0000000001"
)

var (
	now       = time.Date(2026, 11, 21, 8, 0, 0, 0, time.UTC)
	errOutage = errors.New("database is away")
)

// world is everything that the endpoints ask, each part replaceable by a test.
type world struct {
	user      account.User
	userErr   error
	labels    []account.Label
	otp       func(by account.Actor) (factor.Setup, error)
	switched  func(by account.Actor, code string) (int64, error)
	verify    func(by account.Actor, code string) error
	require   func(by account.Actor, code string) error
	list      func(by account.Actor, q apikey.Query) ([]apikey.Key, int, error)
	create    func(by account.Actor, in apikey.Input) (apikey.Key, error)
	update    func(holder, kid string, p apikey.Patch) (apikey.Key, error)
	remove    func(holder, kid string) error
	session   session.Session
	restamped []int64
	renewed   string // the cookie value that it was restamped under
	restamp   error
	lookup    error
	ends      ends
}

func newWorld() *world {
	return &world{
		user: account.User{
			ID: 1, UID: meUID, Email: "a@b.io", Role: "member", State: "active", OTP: true,
			SessionGeneration: 3, CreatedAt: now, UpdatedAt: now,
		},
		session: session.Session{
			ID: session.ID{1}, UID: meUID, Generation: 3, CreatedAt: now, ExpiresAt: now.Add(time.Hour),
		},
		require: func(account.Actor, string) error { return nil },
	}
}

func (w *world) User(_ context.Context, uid string) (account.User, error) {
	if w.userErr != nil {
		return account.User{}, w.userErr
	}
	if uid != w.user.UID {
		return account.User{}, account.ErrNotFound
	}
	return w.user, nil
}

func (w *world) Labels(context.Context, string) ([]account.Label, error) { return w.labels, nil }

func (w *world) OTPSecret(_ context.Context, by account.Actor) (factor.Setup, error) {
	return w.otp(by)
}

func (w *world) EnableOTP(_ context.Context, by account.Actor, code string) (int64, error) {
	return w.switched(by, "enable "+code)
}

func (w *world) DisableOTP(_ context.Context, by account.Actor, code string) (int64, error) {
	return w.switched(by, "disable "+code)
}

func (w *world) VerifyOTP(_ context.Context, by account.Actor, code string) error {
	return w.verify(by, code)
}

func (w *world) RequireOTP(_ context.Context, by account.Actor, code string) error {
	return w.require(by, code)
}

func (w *world) OwnServiceAccount(_ context.Context, _ account.Actor, uid string) (account.ServiceAccount, error) {
	if uid != robotUID {
		return account.ServiceAccount{}, account.ErrNotFound
	}
	return account.ServiceAccount{UID: robotUID, OwnerUID: meUID}, nil
}

func (w *world) ListKeys(_ context.Context, by account.Actor, q apikey.Query) ([]apikey.Key, int, error) {
	return w.list(by, q)
}

func (w *world) CreateKey(_ context.Context, by account.Actor, in apikey.Input) (apikey.Key, error) {
	return w.create(by, in)
}

func (w *world) UpdateKey(_ context.Context, _ account.Actor, holder, kid string, p apikey.Patch) (apikey.Key, error) {
	return w.update(holder, kid, p)
}

func (w *world) DeleteKey(_ context.Context, _ account.Actor, holder, kid string) error {
	return w.remove(holder, kid)
}

func (w *world) Verify(jwt string, at time.Time) (string, error) {
	if !at.Equal(now) {
		return "", errors.New("another clock")
	}
	uid, ok := strings.CutPrefix(jwt, "jwt of ")
	if !ok {
		return "", errors.New("forged")
	}
	return uid, nil
}

func (w *world) Lookup(_ context.Context, cookie string, _ time.Time) (*session.Entry, error) {
	if w.lookup != nil {
		return nil, w.lookup
	}
	if cookie != cookieValue {
		return nil, session.ErrNotFound
	}
	return session.NewEntry(w.session), nil
}

func (w *world) Restamp(
	_ context.Context, id session.ID, cookie string, generation int64, _ time.Time,
) (session.Session, error) {
	if w.restamp != nil {
		return session.Session{}, w.restamp
	}
	if id != w.session.ID {
		return session.Session{}, session.ErrNotFound
	}
	w.restamped, w.renewed = append(w.restamped, generation), cookie
	return session.Session{}, nil
}

// visit mounts the namespace over w; the client has no credentials.
func visit(t *testing.T, w *world) *resttest.Client {
	t.Helper()
	log := slog.New(slog.DiscardHandler)
	ip := func(*http.Request) netip.Addr { return netip.MustParseAddr("10.0.0.1") }
	spent := new(limit.Memory)
	s, err := rest.New(rest.Config{
		Log: log, Outages: []error{errOutage}, ClientIP: ip,
		Budget: limit.NewBudget(spent, spent, func() time.Time { return now }),
	})
	if err != nil {
		t.Fatal(err)
	}
	a := &resource.API{
		Users: w, Accounts: w, Sessions: w, Tokens: w, Log: log,
		ClientIP: ip,
		Country:  func(netip.Addr) string { return "Malta" },
		Now:      func() time.Time { return now },
	}
	a.Mount(s)
	return resttest.New(t, s)
}

func signedIn(t *testing.T, w *world) *resttest.Client {
	t.Helper()
	return visit(t, w).With("Authorization", "Bearer jwt of "+meUID).With("User-Agent", "Firefox/1")
}

func diff(t testing.TB, got, want any) {
	t.Helper()
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("want -, got +:\n%s", d)
	}
}

// every is every endpoint of the namespace.
var every = []struct{ method, path string }{
	{"GET", "/users/me"}, {"POST", "/otp/generate_qrcode"}, {"POST", "/otp/enable"},
	{"POST", "/otp/disable"}, {"POST", "/otp/verify"}, {"GET", "/api_keys"}, {"POST", "/api_keys"},
	{"PATCH", "/api_keys/k"}, {"PUT", "/api_keys/k"}, {"DELETE", "/api_keys/k"},
	{"GET", "/service_accounts/api_keys"}, {"POST", "/service_accounts/api_keys"},
	{"PATCH", "/service_accounts/api_keys/k"}, {"PUT", "/service_accounts/api_keys/k"},
	{"DELETE", "/service_accounts/api_keys/k"},
	{"GET", "/sessions"}, {"DELETE", "/sessions"}, {"DELETE", "/sessions/h"},
}

// resource 1: authentication comes before parameters, on every endpoint and prefix.
func TestEveryEndpointNeedsABearerToken(t *testing.T) {
	for name, test := range map[string]struct {
		header string
		change func(*world)
		status int
		token  string
	}{
		"none":                   {"", nil, 401, "jwt.decode_and_verify"},
		"another scheme":         {"Basic jwt of " + meUID, nil, 401, "jwt.decode_and_verify"},
		"a lower-case scheme":    {"bearer jwt of " + meUID, nil, 401, "jwt.decode_and_verify"},
		"forged":                 {"Bearer x", nil, 401, "jwt.decode_and_verify"},
		"of a service account":   {"Bearer jwt of " + robotUID, nil, 404, "record.not_found"},
		"of a banned user":       {"Bearer jwt of " + meUID, func(w *world) { w.user.State = "banned" }, 401, "authz.user_not_active"},
		"while the store is out": {"Bearer jwt of " + meUID, func(w *world) { w.userErr = errOutage }, 503, "server.internal_error"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld()
			if test.change != nil {
				test.change(w)
			}
			c := visit(t, w)
			if test.header != "" {
				c = c.With("Authorization", test.header)
			}
			for _, e := range every {
				for _, prefix := range []string{"/api/v2", "/api/v2/barong", "/api/v2/auth"} {
					c.Send(t, e.method, prefix+"/resource"+e.path+"?limit=x", "text/plain", "junk").
						WantTokens(t, test.status, test.token)
				}
			}
		})
	}
}

// D27: before the address is proved, the own account can be read and nothing else done.
func TestUnprovedAddressesReadThemselvesOnly(t *testing.T) {
	w := newWorld()
	w.user.State, w.user.Unproved = "pending", true
	c := signedIn(t, w)
	for _, e := range every {
		if e.method == "GET" && e.path == "/users/me" {
			if a := c.Get(t, "/api/v2/resource/users/me"); a.Status != 200 {
				t.Errorf("reading oneself: %d %s", a.Status, a.Body)
			}
			continue
		}
		c.Send(t, e.method, "/api/v2/resource"+e.path+"?limit=x", "text/plain", "junk").
			WantTokens(t, 403, "authz.email_not_verified")
	}
}

func TestReadMe(t *testing.T) {
	w := newWorld()
	w.user.State = "pending" // may act
	w.labels = []account.Label{{Key: "email", Value: "verified", Scope: "private", CreatedAt: now, UpdatedAt: now}}
	signedIn(t, w).Get(t, "/api/v2/resource/users/me").Want(t, 200, `{"email":"a@b.io","uid":"ID0000000001",
		"role":"member","level":0,"otp":true,"state":"pending","referral_uid":null,"data":null,"username":null,
		"labels":[{"key":"email","value":"verified","scope":"private","created_at":"2026-11-21T08:00:00Z","updated_at":"2026-11-21T08:00:00Z"}],
		"phones":[],"profile":null,"profiles":[],"data_storages":[],
		"created_at":"2026-11-21T08:00:00Z","updated_at":"2026-11-21T08:00:00Z"}`)
}
