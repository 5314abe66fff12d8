package identity_test

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"barong/identity"
	"barong/internal/account"
	"barong/internal/apitest"
	"barong/internal/event"
	"barong/internal/expect"
	passwords "barong/internal/password"
	"barong/internal/rest/resttest"
	"barong/internal/view"
)

func TestMain(m *testing.M) { resttest.Main(m, "testdata/endpoints.tsv") }

const (
	email    = "trader@barong.io"
	password = apitest.Password
	agent    = apitest.Agent
)

// world is one in which members may do everything. Only parts outside this program are made up.
type world struct {
	*apitest.World
	captcha judge
	auth0   provider
	kyc     callbacks
}

func newWorld(t testing.TB) *world {
	t.Helper()
	w := &world{World: apitest.New(t)}
	w.Secret(password, fresh)
	w.Allow(account.RoleMember)
	w.Levels()
	w.Account.Mail = letters{w.Keys}
	w.Restart()
	w.Identity.KYC = &w.kyc
	w.Identity.Languages = []string{"en", "ru"}
	w.Identity.Config = identity.Config{
		Cookies: w.Identity.Cookies, Origins: []string{"https://app.example"},
		Version: identity.Version{GitTag: "3.0.0", GitSHA: "abc", Version: "3.0.0",
			BuildDate: view.LocalTime(time.Date(2020, 12, 8, 15, 9, 53, 0, time.FixedZone("", 2*3600)))},
		Configs: identity.Configs{
			SessionExpire: 1800, CaptchaType: "none", PhoneVerification: "mock",
			PasswordPattern: passwords.PublishedPattern(passwords.DefaultPattern), PasswordEntropy: 14,
		},
	}
	return w
}

// user makes one, whose events are taken; level 1 and above are active.
func (w *world) user(address string, level int) account.User {
	w.T.Helper()
	u := w.SignUp(address, level)
	w.News()
	return u
}

func (w *world) state(uid, state string) { w.PutUser(uid, func(u *account.User) { u.State = state }) }

// names are the events' names.
func names(all []event.Event) []string {
	out := []string{}
	for _, e := range all {
		out = append(out, e.Name)
	}
	return out
}

// link is the one token mailed since the last call of news, and the language of its mail.
func (w *world) link() (jwt, language string) {
	w.T.Helper()
	for _, e := range w.News() {
		if strings.HasSuffix(e.Name, ".token") {
			if jwt != "" {
				w.T.Fatal("two links were mailed, want one")
			}
			jwt, language = member(w.T, e, "token"), e.Language
		}
	}
	if jwt == "" {
		w.T.Fatal("no link was mailed")
	}
	w.Secret(jwt)
	return jwt, language
}

// member is a text in an event's record, "" for none.
func member(t testing.TB, e event.Event, name string) string {
	t.Helper()
	var members map[string]any
	if err := json.Unmarshal(e.Record, &members); err != nil {
		t.Fatal(err)
	}
	text, _ := members[name].(string)
	return text
}

// body is a JSON object to send.
type body = map[string]any

// with is b with more members.
func with(b body, pairs ...any) body {
	out := body{}
	for k, v := range b {
		out[k] = v
	}
	for i := 0; i+1 < len(pairs); i += 2 {
		out[pairs[i].(string)] = pairs[i+1]
	}
	return out
}

// cookies are the session and device cookies that an answer sets, "" for none.
func cookies(t testing.TB, a resttest.Answer) (session, device string) {
	t.Helper()
	for _, text := range a.Header.Values("Set-Cookie") {
		c, err := http.ParseSetCookie(text)
		if err != nil {
			t.Fatalf("%q: %v", text, err)
		}
		switch c.Name {
		case "_barong_session":
			session = c.Value
		case "_barong_device":
			device = c.Value
		default:
			t.Errorf("set %q", text)
		}
	}
	return session, device
}

// userKeys are the members of UserWithFullInfo (D16: profile
// beside profiles); with csrf_token where a session was opened.
func userKeys(csrf bool) []string {
	keys := []string{"email", "uid", "role", "level", "otp", "state", "referral_uid", "data", "username", "labels",
		"phones", "profile", "profiles", "data_storages", "created_at", "updated_at"}
	if csrf {
		keys = append(keys, "csrf_token")
	}
	slices.Sort(keys)
	return keys
}

// opened checks an answer that opens a session: status, members and cookies. It returns the
// user and the session's cookie.
func (w *world) opened(a resttest.Answer, status int) (u map[string]any, cookie string) {
	w.T.Helper()
	if a.Status != status {
		w.T.Fatalf("got %d %s, want %d", a.Status, a.Body, status)
	}
	a.Into(w.T, &u)
	keys := []string{}
	for k := range u {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	expect.Equal(w.T, keys, userKeys(true))
	cookie, device := cookies(w.T, a)
	csrf, _ := u["csrf_token"].(string)
	w.Secret(cookie, device, csrf)
	if len(csrf) != 20 || strings.Trim(csrf, "0123456789abcdef") != "" {
		w.T.Errorf("csrf_token %q, want 20 hex digits", csrf)
	}
	// The session cookie is for the whole site, for a day, and hidden from scripts (D8, W-I6).
	later := w.Now.Add(24 * time.Hour).Format(http.TimeFormat)
	expect.Equal(w.T, a.Header.Values("Set-Cookie"), []string{
		"_barong_session=" + cookie + "; path=/; expires=" + later + "; Max-Age=86400; HttpOnly; SameSite=Lax; Secure",
		"_barong_device=" + device + "; Path=/api/v2; Max-Age=7776000; HttpOnly; Secure; SameSite=Lax",
	})
	if _, err := w.Sessions.Lookup(w.T.Context(), cookie, w.Now); err != nil {
		w.T.Errorf("the session of %q: %v", cookie, err)
	}
	return u, cookie
}

// closed checks that an answer opened nothing.
func closed(t testing.TB, a resttest.Answer) {
	t.Helper()
	if set := a.Header.Values("Set-Cookie"); len(set) != 0 || strings.Contains(a.Body, "csrf_token") {
		t.Errorf("it opened a session: %q, %s", set, a.Body)
	}
}
