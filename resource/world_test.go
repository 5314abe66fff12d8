package resource_test

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"barong/internal/account"
	"barong/internal/apitest"
	"barong/internal/expect"
	"barong/internal/rest/resttest"
	"barong/internal/session"
	"barong/internal/token"
)

func TestMain(m *testing.M) { resttest.Main(m, "testdata/endpoints.tsv") }

const (
	base     = "/api/v2/resource"
	me       = "ID0000000001"
	stranger = "ID0000000002"
	robot    = "SI0000000001" // a service account of mine
	foreign  = "SI0000000009" // one of the stranger's
)

// world has two members, me and a stranger, each with a service account.
type world struct{ *apitest.World }

func newWorld(t testing.TB) *world {
	t.Helper()
	return peopled(t, apitest.New(t))
}

// peopled adds the two to a world.
func peopled(t testing.TB, of *apitest.World) *world {
	t.Helper()
	w := &world{of}
	w.Levels()
	for uid, email := range map[string]string{me: "trader@barong.io", stranger: "other@barong.io"} {
		w.AddUser(account.User{
			UID: uid, Email: email, PasswordDigest: "#" + apitest.Password, Role: account.RoleMember,
			Level: 1, State: account.StateActive,
		})
		expect.OK(t, w.DB.PutLabel(t.Context(), &account.Label{
			UserUID: uid, Key: "email", Value: "verified", Scope: account.ScopePrivate,
		}))
	}
	for uid, owner := range map[string]string{robot: me, foreign: stranger} {
		expect.OK(t, w.DB.AddServiceAccount(t.Context(), &account.ServiceAccount{
			UID: uid, OwnerUID: owner, Email: uid + "@barong.io", Role: "service_account", State: account.StateActive,
		}))
	}
	return w
}

// form joins pairs of a name and a value.
func form(pairs ...string) url.Values {
	v := url.Values{}
	for i := 0; i < len(pairs); i += 2 {
		v.Set(pairs[i], pairs[i+1])
	}
	return v
}

// mine is my client, behind the gateway, without a session of its own.
func (w *world) mine() *resttest.Client { return w.As(me) }

// within is a client with a session cookie, "" for none.
func within(c *resttest.Client, cookie string) *resttest.Client {
	if cookie == "" {
		return c
	}
	return c.With("Cookie", "_barong_session="+cookie)
}

// open gives a user a session of this moment and returns its cookie.
func (w *world) open(uid string) string {
	w.T.Helper()
	cookie, _ := w.OpenSession(uid)
	return cookie
}

// stands reports whether a cookie opens a session of its user's generation that has not run out.
func (w *world) stands(cookie string) bool {
	w.T.Helper()
	e, err := w.Sessions.Lookup(w.T.Context(), cookie, w.Now)
	if err != nil {
		expect.Error(w.T, err, session.ErrNotFound)
		return false
	}
	return e.Generation == w.User(e.UID).SessionGeneration && w.Now.Before(e.Expires())
}

// set is the value that an answer gives the session cookie, "" for none; cleared says that it
// takes the cookie away.
func set(t testing.TB, a resttest.Answer) (value string, cleared bool) {
	t.Helper()
	all := a.Header.Values("Set-Cookie")
	if len(all) == 0 {
		return "", false
	}
	c, err := http.ParseSetCookie(all[0])
	expect.OK(t, err)
	if len(all) != 1 || c.Name != "_barong_session" {
		t.Errorf("set %q, want the session's cookie alone", all)
	}
	return c.Value, c.MaxAge < 0
}

// send asks one endpoint, wherever its parameters belong.
func send(t testing.TB, c *resttest.Client, e resttest.Endpoint, prefix string) resttest.Answer {
	t.Helper()
	return c.Send(t, e.Method, prefix+e.Path+"?limit=x", "text/plain", "junk")
}

// guarded are all endpoints but those of the documentation, which anybody may read (FX-58).
func guarded(c *resttest.Client) []resttest.Endpoint {
	return slices.DeleteFunc(c.Endpoints("resource"), func(e resttest.Endpoint) bool {
		return e.Path == "/resource/swagger_doc" || e.Path == "/resource/swagger_doc/x"
	})
}

// Authentication comes before parameters, on every endpoint and prefix.
func TestEveryEndpointNeedsABearerToken(t *testing.T) {
	const refused = "jwt.decode_and_verify"
	w := newWorld(t)
	mine, robots := w.Bearer(me), w.Bearer(robot)
	upstream, err := w.Minter.Mint(new(token.Slot), 1, token.Claims{Party: token.PartyComponents, UID: me}, w.Now)
	expect.OK(t, err)
	for name, test := range map[string]struct {
		header string
		change func(*world)
		status int
		token  string
	}{
		"none":                   {"", nil, 401, refused},
		"another scheme":         {"Basic " + strings.TrimPrefix(mine, "Bearer "), nil, 401, refused},
		"a lower-case scheme":    {"b" + strings.TrimPrefix(mine, "B"), nil, 401, refused},
		"forged":                 {"Bearer x", nil, 401, refused},
		"one of other keys":      {mine[:len(mine)-8] + "AAAAAAAA", nil, 401, refused},
		"one for upstreams":      {upstream, nil, 401, refused},
		"one that ran out":       {mine, func(w *world) { w.Now = w.Now.Add(time.Hour) }, 401, refused},
		"of a service account":   {robots, nil, 404, "record.not_found"},
		"of a banned user":       {mine, func(w *world) { w.PutUser(me, func(u *account.User) { u.State = account.StateBanned }) }, 401, "authz.user_not_active"},
		"while the store is out": {mine, func(w *world) { w.Faults.Fail(apitest.ErrOutage, "User") }, 503, "server.internal_error"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			if test.change != nil {
				test.change(w)
			}
			c := w.Client()
			if test.header != "" {
				c = c.With("Authorization", test.header)
			}
			for _, e := range guarded(c) {
				for _, prefix := range c.Prefixes() {
					send(t, c, e, prefix).WantTokens(t, test.status, test.token)
				}
			}
		})
	}
	if n := len(guarded(w.Client())); n < 18 {
		t.Errorf("%d endpoints, want all", n)
	}
}

// Before the address is proved, users can read their own account and do nothing else (D27).
func TestUnprovedAddressesReadThemselvesOnly(t *testing.T) {
	w := newWorld(t)
	w.PutUser(me, func(u *account.User) { u.State, u.Unproved = account.StatePending, true })
	c := w.mine()
	for _, e := range guarded(c) {
		if e.Method == "GET" && e.Path == "/resource/users/me" {
			if a := c.Get(t, base+"/users/me"); a.Status != 200 {
				t.Errorf("reading oneself: %d %s", a.Status, a.Body)
			}
			continue
		}
		send(t, c, e, "/api/v2").WantTokens(t, 403, "authz.email_not_verified")
	}
}

func TestReadMe(t *testing.T) {
	w := newWorld(t)
	w.PutUser(me, func(u *account.User) { u.State, u.OTP = account.StatePending, true }) // may act
	w.mine().Get(t, base+"/users/me").Want(t, 200, `{"email":"trader@barong.io","uid":"ID0000000001",
		"role":"member","level":1,"otp":true,"state":"pending","referral_uid":null,"data":null,"username":null,
		"labels":[{"key":"email","value":"verified","scope":"private","created_at":"2026-11-21T08:00:00Z","updated_at":"2026-11-21T08:00:00Z"}],
		"phones":[],"profile":null,"profiles":[],"data_storages":[],
		"created_at":"2026-11-21T08:00:00Z","updated_at":"2026-11-21T08:00:00Z"}`)
	w.Faults.Fail(apitest.ErrOutage, "Labels")
	w.mine().Get(t, base+"/users/me").WantTokens(t, 503, "server.internal_error")
}
