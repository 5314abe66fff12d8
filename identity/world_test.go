package identity_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"barong/authz/authztest"
	"barong/identity"
	"barong/internal/account"
	"barong/internal/audit"
	"barong/internal/event"
	"barong/internal/limit"
	"barong/internal/rest"
	"barong/internal/rest/resttest"
	"barong/internal/session"
	"barong/internal/store"
	"barong/internal/store/storetest"
	"barong/internal/token"
	"barong/policy"
)

// Production wires these.
var (
	_ identity.Accounts   = (*account.Service)(nil)
	_ identity.Users      = (*store.DB)(nil)
	_ identity.Sessions   = (*session.Manager)(nil)
	_ identity.KeySet     = (*token.Keys)(nil)
	_ identity.Whitelinks = (*policy.Service)(nil)
)

// signingKeys take a while to make: worlds share them.
var signingKeys = sync.OnceValues(authztest.NewKeys)

// The listeners to every request and answer of this package's tests.
var coverage resttest.Coverage

// TestMain holds the suite's requests and answers against the promises.
func TestMain(m *testing.M) {
	flag.Parse()
	code := m.Run()
	part := false // of the suite was run
	for _, name := range []string{"test.run", "test.skip", "test.list", "test.fuzz"} {
		part = part || flag.Lookup(name).Value.String() != ""
	}
	if code == 0 && !part {
		for _, problem := range coverage.Missing("testdata/endpoints.tsv", "../docs/never-sent.tsv") {
			fmt.Println("coverage:", problem)
			code = 1
		}
	}
	os.Exit(code)
}

const (
	email    = "trader@barong.io"
	password = "Tecohvi0" // identity §14
	agent    = "Mozilla/5.0 Firefox/140.0"
)

var (
	start     = time.Date(2026, 11, 21, 8, 0, 0, 0, time.UTC)
	errOutage = errors.New("it is away")
	errBug    = errors.New("it is broken")
)

// world is the endpoints over the services that production wires, on an empty database with
// one role and three levels. Only parts outside this program are made up here.
type world struct {
	t   testing.TB
	now time.Time
	ip  netip.Addr
	db  *store.DB
	svc *account.Service
	// keys sign bearer and mail tokens.
	keys     *token.Keys
	sessions *session.Manager
	rules    *policy.Service
	holder   *policy.Holder
	log      bytes.Buffer
	// secrets must be neither in the log nor, but for mailed links, in events.
	secrets []string

	captcha judge
	auth0   provider
	kyc     callbacks
	fail    failures
	api     *identity.API
	account account.Config
	// spent counts the use of callers, if limits are on.
	spent limit.Store
}

func newWorld(t testing.TB) *world {
	t.Helper()
	w := &world{t: t, now: start, spent: new(limit.Memory), ip: netip.MustParseAddr("10.0.0.1"), secrets: []string{password, fresh}}
	t.Cleanup(func() {
		for _, s := range w.secrets {
			if strings.Contains(w.log.String(), s) {
				t.Errorf("the log holds the secret %q", s)
			}
		}
	})
	clock := func() time.Time { return w.now }
	w.db = storetest.Open(t, store.WithClock(clock),
		store.WithDestinations(func(event.Event) []string { return []string{"test"} }))
	w.must(w.db.AddPermission(t.Context(), &policy.Permission{
		Action: policy.Accept, Role: account.RoleMember, Verb: "ALL", Path: "api/v2",
	}))
	keys, err := signingKeys()
	w.must(err)
	w.keys = keys
	devices, err := account.NewDevices(bytes.Repeat([]byte{9}, 32))
	w.must(err)
	w.account = account.Config{
		FailureFloor: time.Nanosecond, Triggers: account.DefaultTriggers(), Mail: letters{w.keys},
		Domain: "exchange.example", DefaultLanguage: "en", Devices: devices,
		Passwords: account.PasswordRules{Dictionary: account.CommonPasswords()},
	}
	w.sessions = session.NewManager(session.Config{}, w.db, w.db, clock, nil)
	w.holder = policy.NewHolder(policy.RouteRules{Pass: []string{"api/v2/barong/identity"}}, policy.Options{}, nil, clock)
	w.rules = policy.NewService(w.db, w.holder, 1, clock)
	w.renew()
	_, err = w.svc.SeedLevels(t.Context(), []account.SeedLevel{
		{Key: "email", Value: "verified", Description: "e-mail"},
		{Key: "phone", Value: "verified", Description: "phone"},
		{Key: "document", Value: "verified", Description: "document"},
	})
	w.must(err)
	log := slog.New(slog.NewJSONHandler(&w.log, nil))
	w.api = &identity.API{
		Config: identity.Config{
			Origins: []string{"https://app.example"}, Languages: []string{"en", "ru"},
			Build: identity.Build{Tag: "3.0.0", SHA: "abc",
				BuiltAt: time.Date(2020, 12, 8, 15, 9, 53, 0, time.FixedZone("", 2*3600))},
			Published: identity.Published{
				SessionExpire: 30 * time.Minute, CaptchaType: "none", PhoneVerification: "mock",
				PasswordPattern: account.DefaultPattern, PasswordEntropy: 14,
			},
		},
		Users: users{w}, Sessions: manager{w.sessions, w}, Whitelinks: whitelinks{w}, KYC: &w.kyc,
		ClientIP: func(*http.Request) netip.Addr { return w.ip },
		Country:  func(netip.Addr) string { return "Malta" },
		Now:      clock, Log: log,
	}
	return w
}

// renew makes the account service anew, after a change of w.account; its limits are fresh.
func (w *world) renew() {
	w.svc = account.NewService(w.account, w.db, quick{}, new(limit.Memory), func() time.Time { return w.now })
}

// server mounts the endpoints as w has them now.
func (w *world) server() *rest.Server {
	w.t.Helper()
	w.api.Accounts = accounts{w.svc, w}
	c := rest.Config{Log: w.api.Log, Outages: []error{errOutage}, ClientIP: w.api.ClientIP}
	if !w.account.Limits.Off {
		c.Budget = limit.NewBudget(w.spent, new(limit.Memory), w.api.Now)
	}
	s, err := rest.New(c)
	w.must(err)
	w.t.Cleanup(s.Flush) // lines that wait would be written while the log is looked at
	w.api.Mount(s)
	identity.MountJWKS(s, w.keys, 5*time.Minute)
	return s
}

// browser is a client that keeps no cookies.
func (w *world) browser() *resttest.Client {
	w.t.Helper()
	return resttest.New(w.t, w.server()).Recording(&coverage).With("User-Agent", agent)
}

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

// user makes one; level 1 and above are active.
func (w *world) user(address string, level int) account.User {
	w.t.Helper()
	u, err := w.svc.CreateUser(w.t.Context(), account.NewUser{Email: address, Password: password, Level: level})
	w.must(err)
	w.news()
	return u
}

func (w *world) reload(uid string) account.User {
	w.t.Helper()
	u, err := w.db.User(w.t.Context(), uid)
	w.must(err)
	return u
}

// put writes a user after change, past every rule.
func (w *world) put(uid string, change func(*account.User)) {
	w.t.Helper()
	u := w.reload(uid)
	change(&u)
	w.must(w.db.PutUser(w.t.Context(), &u))
}

func (w *world) state(uid, state string) { w.put(uid, func(u *account.User) { u.State = state }) }

// activities are "topic action result data" of a user, oldest first.
func (w *world) activities(uid string) []string {
	w.t.Helper()
	rows, _, err := w.db.Activities(w.t.Context(), audit.Query{ActorUID: uid, Limit: 100})
	w.must(err)
	var out []string
	for _, a := range slices.Backward(rows) {
		out = append(out, strings.TrimSpace(a.Topic+" "+a.Action+" "+a.Result+" "+a.Data))
	}
	return out
}

// news are the events since the last call, oldest first.
func (w *world) news() (all []event.Event) {
	w.t.Helper()
	items, err := w.db.DueEvents(w.t.Context(), "test", w.now.Add(24*time.Hour), 1000, 1000)
	w.must(err)
	for _, i := range items {
		w.must(i.Err)
		for _, s := range w.secrets {
			if bytes.Contains(i.Record, []byte(s)) || bytes.Contains(i.Changes, []byte(s)) {
				w.t.Errorf("%v holds the secret %q", i.Event, s)
			}
		}
		all = append(all, i.Event)
		w.must(w.db.DeleteEvents(w.t.Context(), i.UUID))
	}
	return all
}

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
	w.t.Helper()
	for _, e := range w.news() {
		if strings.HasSuffix(e.Name, ".token") {
			if jwt != "" {
				w.t.Fatal("two links were mailed, want one")
			}
			jwt, language = member(w.t, e, "token"), e.Language
		}
	}
	if jwt == "" {
		w.t.Fatal("no link was mailed")
	}
	w.secrets = append(w.secrets, jwt)
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

func diff(t testing.TB, got, want any) {
	t.Helper()
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("want -, got +:\n%s", d)
	}
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

// userKeys are the members of UserWithFullInfo (identity 7.1, 14.2 #17, design D16: profile
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
	w.t.Helper()
	if a.Status != status {
		w.t.Fatalf("got %d %s, want %d", a.Status, a.Body, status)
	}
	a.Into(w.t, &u)
	keys := []string{}
	for k := range u {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	diff(w.t, keys, userKeys(true))
	cookie, device := cookies(w.t, a)
	csrf, _ := u["csrf_token"].(string)
	w.secrets = append(w.secrets, cookie, device, csrf)
	if len(csrf) != 20 || strings.Trim(csrf, "0123456789abcdef") != "" {
		w.t.Errorf("csrf_token %q, want 20 hex digits", csrf)
	}
	// D8, W-I6.
	later := w.now.Add(24 * time.Hour).Format(http.TimeFormat)
	diff(w.t, a.Header.Values("Set-Cookie"), []string{
		"_barong_session=" + cookie + "; path=/; expires=" + later + "; Max-Age=86400; HttpOnly; SameSite=Lax; Secure",
		"_barong_device=" + device + "; Path=/api/v2; Max-Age=7776000; HttpOnly; Secure; SameSite=Lax",
	})
	if _, err := w.sessions.Lookup(w.t.Context(), cookie, w.now); err != nil {
		w.t.Errorf("the session of %q: %v", cookie, err)
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
