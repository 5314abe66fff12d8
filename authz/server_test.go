package authz

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"barong/authz/authztest"
	"barong/internal/account"
	"barong/internal/apikey"
	"barong/internal/audit"
	"barong/internal/directory"
	"barong/internal/feed"
	"barong/internal/session"
	"barong/internal/token"
	"barong/policy"
)

// The parts that main gives to New.
var (
	_ Rules    = (*policy.Holder)(nil)
	_ Feed     = (*feed.Follower)(nil)
	_ Sessions = (*session.Manager)(nil)
	_ Accounts = (*directory.Directory)(nil)
	_ Keys     = (*apikey.Cache)(nil)
	_ Tokens   = (*token.Minter)(nil)
)

// fakes are parts whose every call can be replaced. All others are the world's.
type fakes struct {
	load      func() *policy.Snapshot
	age       func() time.Duration
	lookup    func(context.Context, string) (*session.Entry, error)
	end       func() error
	slide     func()
	epoch     func() int64
	principal func(context.Context, string) (*account.Principal, error)
	reload    func(context.Context, string) (*account.Principal, error)
	key       func(context.Context, string) (*apikey.Entry, error)
	reuse     func() (string, bool)
	mint      func() (string, error)
	nonce     func() (bool, error)
	record    func() bool
	w         *authztest.World
}

func (f *fakes) Load() *policy.Snapshot {
	if f.load != nil {
		return f.load()
	}
	return f.w.Rules().Load()
}

func (f *fakes) Age(time.Time) time.Duration {
	if f.age != nil {
		return f.age()
	}
	return 0
}

func (f *fakes) Lookup(ctx context.Context, cookie string, now time.Time) (*session.Entry, error) {
	if f.lookup != nil {
		return f.lookup(ctx, cookie)
	}
	return f.w.Sessions.Lookup(ctx, cookie, now)
}

func (f *fakes) Slide(e *session.Entry, now time.Time) {
	if f.slide != nil {
		f.slide()
	}
}

func (f *fakes) End(ctx context.Context, id session.ID) error {
	if f.end != nil {
		return f.end()
	}
	return f.w.Sessions.End(ctx, id)
}

func (f *fakes) Ended(id session.ID) bool { return f.w.Sessions.Ended(id) }

func (f *fakes) Epoch() int64 {
	if f.epoch != nil {
		return f.epoch()
	}
	return f.w.Sessions.Epoch()
}

func (f *fakes) Principal(ctx context.Context, uid string) (*account.Principal, error) {
	if f.principal != nil {
		return f.principal(ctx, uid)
	}
	return f.w.Accounts.Principal(ctx, uid)
}

func (f *fakes) Reload(ctx context.Context, uid string) (*account.Principal, error) {
	if f.reload != nil {
		return f.reload(ctx, uid)
	}
	return f.w.Accounts.Reload(ctx, uid)
}

func (f *fakes) Key(ctx context.Context, kid string) (*apikey.Entry, error) {
	if f.key != nil {
		return f.key(ctx, kid)
	}
	return f.w.Keys.Key(ctx, kid)
}

func (f *fakes) DummyMAC(nonce, kid string) [32]byte { return f.w.Keys.DummyMAC(nonce, kid) }

func (f *fakes) Reuse(slot *token.Slot, party string, version int64, now time.Time) (string, bool) {
	if f.reuse != nil {
		return f.reuse()
	}
	return f.w.Minter.Reuse(slot, party, version, now)
}

func (f *fakes) Mint(slot *token.Slot, version int64, c token.Claims, now time.Time) (string, error) {
	if f.mint != nil {
		return f.mint()
	}
	return f.w.Minter.Mint(slot, version, c, now)
}

func (f *fakes) UseNonce(context.Context, string, string, time.Time) (bool, error) {
	if f.nonce != nil {
		return f.nonce()
	}
	return true, nil
}

func (f *fakes) Fold(string, string) bool { return false }

func (f *fakes) Record(audit.Activity) bool {
	if f.record != nil {
		return f.record()
	}
	return true
}

// small is a world with one user, a session and a key, in which everything is allowed.
func small(t testing.TB) *authztest.World {
	t.Helper()
	f, err := authztest.Parse("small", []byte(`
about: one user with a session and a key
rules: [AZ-30]
policy:
  permissions: ["member ACCEPT ALL api/v2/peatio/market", "member AUDIT POST api/v2/peatio/market"]
  pass: [api/v2/peatio/public]
  scopes: {read: [GET api/v2/peatio/account], trade: [ALL api/v2/peatio/market]}
accounts:
  users: [{uid: ID1, otp: true}]
  sessions: [{name: home, user: ID1}]
  api_keys:
    - {kid: 61d025b8573501c2, holder: ID1}
    - {kid: bound, holder: ID1, scope: [read, trade], left: 1h, ip_whitelist: [192.0.2.0/24, "2001:db8::/32", 203.0.113.10]}
cases:
  - name: by session
    request: {path: "/api/v2/peatio/market/orders?market=btcusd", cookies: "lang=en; _barong_session={home}"}
  - name: by API key
    request: {path: /api/v2/peatio/market/orders, sign: {kid: 61d025b8573501c2}}
  - name: by a bound API key
    request: {path: /api/v2/peatio/market/orders, sign: {kid: bound}}
  - name: by session, audited
    request: {method: POST, path: /api/v2/peatio/market/orders, session: home, csrf: home}
  - name: by session, from another browser
    request: {path: /api/v2/peatio/market/orders, session: home, user_agent: other}
  - name: denied by role
    request: {path: /api/v2/peatio/admin, session: home}
  - name: anonymous on a pass path
    request: {path: /api/v2/peatio/public/ping}
`))
	if err != nil {
		t.Fatal(err)
	}
	w, err := authztest.NewWorld(f, signingKeys(t))
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// asked is the request of a case of the small world.
func asked(t testing.TB, w *authztest.World, name string) request {
	t.Helper()
	for _, c := range w.File.Cases {
		if c.Name == name {
			q, err := w.File.Question(c.Request, w.Now())
			if err != nil {
				t.Fatal(err)
			}
			return fromProto(authztest.CheckRequest(q))
		}
	}
	t.Fatalf("no case %q", name)
	return request{}
}

func fakeServer(t testing.TB, f *fakes, change func(*Config, *Parts)) *Server {
	t.Helper()
	c := shipped()
	p := Parts{
		Rules: f, Feed: f, Sessions: f, Accounts: f, Keys: f, Tokens: f, Nonces: f, Activities: f, Now: f.w.Now,
	}
	if change != nil {
		change(&c, &p)
	}
	s, err := New(p, c)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// TestEveryFailureIsAnOutage: whatever part fails, by error or by panic, and at whichever
// step, the answer is 503 (FX-29, FX-49, FX-61, T-NEW-16).
func TestEveryFailureIsAnOutage(t *testing.T) {
	broken := errors.New("broken")
	for name, test := range map[string]struct {
		ask  string
		fail func(*fakes)
	}{
		"the policy panics":  {"by session", func(f *fakes) { f.load = func() *policy.Snapshot { panic(1) } }},
		"there is no policy": {"by session", func(f *fakes) { f.load = func() *policy.Snapshot { return nil } }},
		"the age panics":     {"anonymous on a pass path", func(f *fakes) { f.age = func() time.Duration { panic(1) } }},
		"the session store fails": {"by session", func(f *fakes) {
			f.lookup = func(context.Context, string) (*session.Entry, error) { return nil, broken }
		}},
		"the session store panics":       {"by session", func(f *fakes) { f.lookup = func(context.Context, string) (*session.Entry, error) { panic(1) } }},
		"sliding panics":                 {"by session", func(f *fakes) { f.slide = func() { panic(1) } }},
		"the epoch panics":               {"by session", func(f *fakes) { f.epoch = func() int64 { panic(1) } }},
		"ending a session fails":         {"by session, from another browser", func(f *fakes) { f.end = func() error { return broken } }},
		"ending a session panics":        {"by session, from another browser", func(f *fakes) { f.end = func() error { panic(1) } }},
		"ending a vanished user's fails": {"by session", func(f *fakes) { f.principal = gone; f.end = func() error { return broken } }},
		"the account store fails": {"by session", func(f *fakes) {
			f.principal = func(context.Context, string) (*account.Principal, error) { return nil, broken }
		}},
		"the account store panics": {"by session", func(f *fakes) { f.principal = func(context.Context, string) (*account.Principal, error) { panic(1) } }},
		"the holder of a key fails": {"by API key", func(f *fakes) {
			f.principal = func(context.Context, string) (*account.Principal, error) { return nil, broken }
		}},
		"the key store fails": {"by API key", func(f *fakes) {
			f.key = func(context.Context, string) (*apikey.Entry, error) { return nil, account.ErrSeal }
		}},
		"the key store panics":             {"by API key", func(f *fakes) { f.key = func(context.Context, string) (*apikey.Entry, error) { panic(1) } }},
		"the nonce store fails":            {"by API key", func(f *fakes) { f.nonce = func() (bool, error) { return true, broken } }},
		"the nonce store panics":           {"by API key", func(f *fakes) { f.nonce = func() (bool, error) { panic(1) } }},
		"reusing a token panics":           {"by session", func(f *fakes) { f.reuse = func() (string, bool) { panic(1) } }},
		"minting fails":                    {"by session", func(f *fakes) { f.mint = func() (string, error) { return "Bearer x", broken } }},
		"minting panics":                   {"by session", func(f *fakes) { f.mint = func() (string, error) { panic(1) } }},
		"minting gives nothing":            {"by session", func(f *fakes) { f.mint = func() (string, error) { return "", nil } }},
		"recording an allow fails":         {"by session, audited", func(f *fakes) { f.record = func() bool { return false } }},
		"recording an allow panics":        {"by session, audited", func(f *fakes) { f.record = func() bool { panic(1) } }},
		"recording a denial by role fails": {"denied by role", func(f *fakes) { f.record = func() bool { return false } }},
	} {
		t.Run(name, func(t *testing.T) {
			w := small(t)
			f := &fakes{w: w}
			test.fail(f)
			s := fakeServer(t, f, func(c *Config, _ *Parts) { c.AuditRequired, c.Replay = true, ReplayEnforce })
			r := asked(t, w, test.ask)
			var d decision
			s.conclude(t.Context(), &r, &d, nil)
			if d.status != http.StatusServiceUnavailable || d.reason != reasonUnavailable || !d.outage {
				t.Errorf("got %d %q (outage: %v), want 503 %q", d.status, d.reason, d.outage, reasonUnavailable)
			}
			if d.bearer != "" || d.clearCookie != "" || d.cookie != cookieKeep || d.cause == nil {
				t.Errorf("got bearer %q, Set-Cookie %q, cause %v; want nothing but a cause", d.bearer, d.clearCookie, d.cause)
			}
		})
	}
}

// A session that says to be of a later generation than the user in memory is judged by the
// database: it was opened a moment ago, or in a history that was lost.
func TestALaterGenerationIsAskedAbout(t *testing.T) {
	of := func(generation int64) *account.Principal {
		return &account.Principal{
			Kind: account.KindUser, UID: "ID1", Role: account.RoleMember, State: account.StateActive, Level: 3,
			SessionGeneration: generation,
		}
	}
	for name, test := range map[string]struct {
		remembered, stored, session, epoch int64
		fail                               error
		status, asked                      int
	}{
		"the user in memory is behind":           {remembered: 5, stored: 7, session: 7, status: 200, asked: 1},
		"the session's history was lost":         {remembered: 5, stored: 5, session: 7, status: 401, asked: 1},
		"the same number, and no other":          {remembered: 5, stored: 5, session: 5, status: 200},
		"an older session asks nobody":           {remembered: 5, stored: 3, session: 3, status: 401},
		"a later epoch of a history that is not": {remembered: 5, stored: 5, session: 5, epoch: 9, status: 401},
		"the database is away":                   {remembered: 5, session: 7, fail: errors.New("down"), status: 503, asked: 1},
	} {
		t.Run(name, func(t *testing.T) {
			w := small(t)
			asks := 0
			f := &fakes{w: w}
			f.lookup = func(ctx context.Context, cookie string) (*session.Entry, error) {
				e, err := w.Sessions.Lookup(ctx, cookie, w.Now())
				if err != nil {
					return nil, err
				}
				s := e.Session
				s.Generation, s.Epoch = test.session, s.Epoch+test.epoch
				return session.NewEntry(s), nil
			}
			f.principal = func(context.Context, string) (*account.Principal, error) { return of(test.remembered), nil }
			f.reload = func(context.Context, string) (*account.Principal, error) {
				asks++
				return of(test.stored), test.fail
			}
			s := fakeServer(t, f, nil)
			r := asked(t, w, "by session")
			var d decision
			s.conclude(t.Context(), &r, &d, nil)
			if status := d.status; status != test.status && !(test.status == 200 && d.allowed()) || asks != test.asked {
				t.Errorf("got %d %q (%v) after %d questions; want %d after %d", status, d.reason, d.cause, asks, test.status, test.asked)
			}
		})
	}
}

// The database is asked once about a session of a lost history, and again when the user in memory
// is another one.
func TestALaterGenerationIsAskedAboutOnce(t *testing.T) {
	w := small(t)
	generation, asks := int64(0), 0
	who := func() *account.Principal {
		return &account.Principal{
			Kind: account.KindUser, UID: "ID1", Role: account.RoleMember, State: account.StateActive, Level: 3,
			SessionGeneration: generation,
		}
	}
	held, err := w.Sessions.Lookup(t.Context(), authztest.Cookie("home"), w.Now())
	if err != nil {
		t.Fatal(err)
	}
	lost := held.Session
	lost.Generation = 7
	e := session.NewEntry(lost)
	f := &fakes{
		w:         w,
		lookup:    func(context.Context, string) (*session.Entry, error) { return e, nil },
		principal: func(context.Context, string) (*account.Principal, error) { return who(), nil },
		reload: func(context.Context, string) (*account.Principal, error) {
			asks++
			return who(), nil
		},
	}
	s := fakeServer(t, f, nil)
	ask := func(wantReason string, wantAsks int) {
		t.Helper()
		r := asked(t, w, "by session")
		var d decision
		s.conclude(t.Context(), &r, &d, nil)
		if d.reason != wantReason || asks != wantAsks {
			t.Errorf("got %q after %d questions; want %q after %d", d.reason, asks, wantReason, wantAsks)
		}
	}
	for range 3 {
		ask(reasonInvalidSession, 1)
	}
	generation = 5
	for range 3 {
		ask(reasonInvalidSession, 2)
	}
	generation = 7 // the session's own: it was not lost
	ask("", 2)
}

func gone(context.Context, string) (*account.Principal, error) { return nil, account.ErrNotFound }

// TestDecisionHasItsOwnDeadline: a store that hangs is given up after Config.Deadline, which
// is below the gateway's (FX-61).
func TestDecisionHasItsOwnDeadline(t *testing.T) {
	keys := signingKeys(t)
	synctest.Test(t, func(t *testing.T) {
		f, err := authztest.Parse("hang", []byte("about: a\nrules: [AZ-30]\ncases: [{name: n, request: {path: /api/v2/peatio/x, session: home}}]"))
		if err != nil {
			t.Fatal(err)
		}
		w, err := authztest.NewWorld(f, keys)
		if err != nil {
			t.Fatal(err)
		}
		s := fakeServer(t, &fakes{w: w, lookup: func(ctx context.Context, _ string) (*session.Entry, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		}}, nil)
		r := asked(t, w, "n")
		var d decision
		start := time.Now()
		s.conclude(t.Context(), &r, &d, nil)
		if took := time.Since(start); took != 800*time.Millisecond {
			t.Errorf("gave up after %v, want 800ms", took)
		}
		if d.status != http.StatusServiceUnavailable || !errors.Is(d.cause, context.DeadlineExceeded) {
			t.Errorf("got %d %q because of %v, want 503 because of the deadline", d.status, d.reason, d.cause)
		}
	})
}

// TestUnreadableQuestionIsDenied: a message that is no CheckRequest is answered 400 and not by
// an RPC error, and counts as a decision.
func TestUnreadableQuestionIsDenied(t *testing.T) {
	w := small(t)
	s := fakeServer(t, &fakes{w: w}, nil)
	var r request
	var d decision
	s.conclude(t.Context(), &r, &d, errWire)
	if d.status != http.StatusBadRequest || d.reason != reasonInvalidRequest || d.outage {
		t.Errorf("got %d %q, want 400 %q", d.status, d.reason, reasonInvalidRequest)
	}
}

// TestUnknownKeyCostsTheSameWork: for a key that does not exist a signature is computed and
// compared all the same (FX-12).
func TestUnknownKeyCostsTheSameWork(t *testing.T) {
	w := small(t)
	f := &fakes{w: w}
	counting := &countingAccounts{fakes: f}
	s := fakeServer(t, f, func(_ *Config, p *Parts) { p.Keys = counting })
	r := asked(t, w, "by API key")
	r.apiKey = "ffffffffffffffff"
	var d decision
	s.conclude(t.Context(), &r, &d, nil)
	if d.reason != reasonUnknownAPIKey || counting.macs != 1 {
		t.Errorf("got %q and %d dummy signatures, want %q and 1", d.reason, counting.macs, reasonUnknownAPIKey)
	}
}

type countingAccounts struct {
	*fakes
	macs int
}

func (c *countingAccounts) DummyMAC(nonce, kid string) [32]byte {
	c.macs++
	return c.fakes.DummyMAC(nonce, kid)
}

// TestSlidingIsForThoseWhoProvedThemselves: neither a mismatch nor an ended session slides.
func TestSlidingIsForThoseWhoProvedThemselves(t *testing.T) {
	for name, want := range map[string]int{
		"by session": 1, "denied by role": 1, "by session, from another browser": 0, "by API key": 0,
	} {
		t.Run(name, func(t *testing.T) {
			w := small(t)
			slides := 0
			s := fakeServer(t, &fakes{w: w, slide: func() { slides++ }}, nil)
			r := asked(t, w, name)
			var d decision
			s.conclude(t.Context(), &r, &d, nil)
			if slides != want {
				t.Errorf("the session slid %d times, want %d", slides, want)
			}
		})
	}
}

// TestRefusedConfigurations: a server that would decide wrongly does not start.
func TestRefusedConfigurations(t *testing.T) {
	w := small(t)
	for name, change := range map[string]func(*Config, *Parts){
		"the zero configuration":         func(c *Config, _ *Parts) { *c = Config{} },
		"a status that is no denial":     func(c *Config, _ *Parts) { c.RBACDeniedStatus = 200 },
		"an unknown outage answer":       func(c *Config, _ *Parts) { c.OutageAnswer = "allow" },
		"replay without a store":         func(c *Config, p *Parts) { c.Replay, p.Nonces = ReplayEnforce, nil },
		"an unknown replay mode":         func(c *Config, _ *Parts) { c.Replay = "maybe" },
		"a mask beyond the address":      func(c *Config, _ *Parts) { c.SessionMaskV4 = 33 },
		"a cookie name that is none":     func(c *Config, _ *Parts) { c.SessionName = "a=b" },
		"a forbidden path that is none":  func(c *Config, _ *Parts) { c.APIKeyForbidden = []string{"a/../b"} },
		"no rules":                       func(_ *Config, p *Parts) { p.Rules = nil },
		"akamai without its networks":    func(c *Config, _ *Parts) { c.Gateway = "akamai" },
		"a deadline that is none at all": func(c *Config, _ *Parts) { c.Deadline = 0 },
	} {
		t.Run(name, func(t *testing.T) {
			f := &fakes{w: w}
			c := shipped()
			p := Parts{Rules: f, Feed: f, Sessions: f, Accounts: f, Keys: f, Tokens: f, Nonces: f, Activities: f}
			change(&c, &p)
			if _, err := New(p, c); err == nil {
				t.Error("got no error")
			}
		})
	}
}

// TestOutcomeOfTheZeroDecision: a decision that nobody made is a denial.
func TestOutcomeOfTheZeroDecision(t *testing.T) {
	var d decision
	if d.allowed() {
		t.Error("the zero decision allows")
	}
	if m := toProto(&d, responseOptions{}); m.GetOkResponse() != nil || m.GetStatus().GetCode() == 0 {
		t.Errorf("the zero decision is answered %v", m)
	}
	d.deny(refusal{status: 200, reason: "x"})
	if d.status != http.StatusForbidden {
		t.Errorf("a denial with status 200 became %d, want 403", d.status)
	}
}

func TestSignatureMatches(t *testing.T) {
	// The vectors of AZ-119.
	key := apikey.NewEntry(apikey.Record{Kid: "61d025b8573501c2", Secret: []byte("2d0b4979c7fe6986daa8e21d1dc0644f")})
	mac := key.MAC("1584524005143", "61d025b8573501c2")
	right := "bd42b945e095880e28d046846dbecf655fdf09d95a396a24fe6fe1df42f15d13"
	for sent, want := range map[string]bool{
		right:                   true,
		strings.ToUpper(right):  false,
		right[:63]:              false,
		right + "0":             false,
		right[:63] + "4":        false,
		"":                      false,
		strings.Repeat("g", 64): false,
	} {
		if got := signatureMatches(sent, mac); got != want {
			t.Errorf("signatureMatches(%q) = %v, want %v", sent, got, want)
		}
	}
}

func TestSameOrigin(t *testing.T) {
	s := &Server{origins: []string{"https://app.example.com"}}
	for _, test := range []struct {
		origin, scheme, host string
		want                 bool
	}{
		{"https://api.example.com", "https", "api.example.com", true},
		{"https://api.example.com:443", "https", "api.example.com", true},
		{"https://api.example.com", "https", "api.example.com:443", true},
		{"http://api.example.com", "http", "api.example.com:80", true},
		{"http://api.example.com:80", "HTTP", "api.example.com", true},
		{"https://api.example.com:8443", "https", "api.example.com:8443", true},
		{"https://API.example.com", "https", "api.EXAMPLE.com", true},
		{"http://api.example.com", "https", "api.example.com", false},
		{"https://api.example.com", "http", "api.example.com", false},
		{"http://api.example.com:443", "https", "api.example.com:443", false},
		{"https://api.example.com", "", "api.example.com", true}, // nobody says: https
		{"http://api.example.com", "", "api.example.com", false},
		{"http://api.example.com", "gopher", "api.example.com", false},
		{"https://app.example.com", "https", "api.example.com", true},
		{"https://app.example.com", "http", "api.example.com", true},
		{"https://app.example.com:444", "https", "api.example.com", false},
		{"https://evil.example", "https", "api.example.com", false},
		{"https://api.example.com.evil.example", "https", "api.example.com", false},
		{"file://api.example.com", "https", "api.example.com", false},
		{"null", "https", "api.example.com", false},
		{"", "https", "", false},
		{"https://", "https", "", false},
	} {
		if got := s.sameOrigin(&request{origin: test.origin, scheme: test.scheme, host: test.host}); got != test.want {
			t.Errorf("origin %q at %q, %q: got %v, want %v", test.origin, test.scheme, test.host, got, test.want)
		}
	}
}

// Forward-auth learns the client's scheme from a trusted proxy, and from nobody else.
func TestForwardedScheme(t *testing.T) {
	s := fakeServer(t, &fakes{w: small(t)}, func(*Config, *Parts) {})
	for _, test := range []struct {
		peer, want string
		sent       []string
	}{
		{"127.0.0.1:1", "https", []string{"https"}},
		{"127.0.0.1:1", "http", []string{"http"}},
		{"127.0.0.1:1", "https", []string{"wss"}},
		{"127.0.0.1:1", "http", []string{"ws"}},
		{"127.0.0.1:1", "", []string{"http", "https"}},
		{"127.0.0.1:1", "", nil},
		{"203.0.113.9:1", "", []string{"http"}},
		{"@", "", []string{"http"}},
	} {
		r := httptest.NewRequest("GET", "/", nil)
		r.RemoteAddr, r.Header["X-Forwarded-Proto"] = test.peer, test.sent
		if got := s.forwardedScheme(r); got != test.want {
			t.Errorf("%q from %s: got %q, want %q", test.sent, test.peer, got, test.want)
		}
	}
}

func TestAPIKeyForbiddenEndsAtANameNotOnlyAtASegment(t *testing.T) {
	s := fakeServer(t, &fakes{w: small(t)}, func(c *Config, _ *Parts) { c.APIKeyForbidden = []string{"api/v2/resource/otp"} })
	for path, want := range map[string]bool{
		"api/v2/barong/resource/otp":         true,
		"api/v2/barong/resource/otp/disable": true,
		"api/v2/barong/resource/otp.json":    true,
		"api/v2/barong/resource/OTP":         true,
		"api/v2/barong/Resource/otp/x":       true,
		"api/v2/barong/resource/otps":        false,
		"api/v2/barong/resource":             false,
	} {
		if got := s.apiKeyForbidden(path); got != want {
			t.Errorf("apiKeyForbidden(%q) = %v, want %v", path, got, want)
		}
	}
}

// BenchmarkDecideRules is parse and decide by session, with so many permissions and as many
// restrictions.
func BenchmarkDecideRules(b *testing.B) {
	for _, n := range []int{100, 10_000, 100_000} {
		b.Run(strconv.Itoa(n), func(b *testing.B) {
			w := small(b)
			s := worldServer(b, w)
			s.Rules = fixedRules{manyRules(n)}
			now := w.Now()
			again(b, w, "by session", func(r *request, d *decision) { s.decide(b.Context(), r, d, now) })
		})
	}
}

// again asks one question of a file again and again, over reused memory.
func again(b *testing.B, w *authztest.World, name string, ask func(*request, *decision)) {
	fresh := asked(b, w, name)
	var r request
	var d decision
	b.ReportAllocs()
	for b.Loop() {
		extra, scratch, remove := r.extra, r.scratch, d.remove
		r, d = fresh, decision{remove: remove[:0]}
		r.extra, r.scratch = extra[:0], scratch[:0]
		ask(&r, &d)
	}
	if !d.allowed() {
		b.Fatalf("got %d %q", d.status, d.reason)
	}
}

type fixedRules struct{ *policy.Snapshot }

func (f fixedRules) Load() *policy.Snapshot      { return f.Snapshot }
func (f fixedRules) Age(time.Time) time.Duration { return 0 }

// manyRules is a policy that allows members everything of peatio and holds n permissions
// and n restrictions in all.
func manyRules(n int) *policy.Snapshot {
	rows := policy.Rows{At: feed.Cursor{Seq: 1}, Permissions: []policy.Permission{
		{ID: 1, Action: policy.Accept, Role: "member", Verb: "ALL", Path: "api/v2/peatio"},
	}}
	for i := 2; i <= n; i++ {
		rows.Permissions = append(rows.Permissions, policy.Permission{
			ID: int64(i), Action: policy.Accept, Role: []string{"member", "trader", "admin", "support"}[i%4], Verb: "GET",
			Path: fmt.Sprintf("api/v2/finex/market/section%d/item%d", i/16, i),
		})
	}
	for i := 1; i <= n; i++ {
		a := netip.AddrFrom4([4]byte{20, byte(i >> 16), byte(i >> 8), byte(i)})
		rows.Restrictions = append(rows.Restrictions, policy.Restriction{
			ID: int64(i), Category: policy.Blacklist, Scope: policy.ScopeIP, Value: a.String(), Code: 401, State: policy.Enabled,
		})
	}
	s, _ := policy.Compile(rows, policy.RouteRules{Pass: []string{"api/v2/peatio/public"}, Block: []string{"api/v2/peatio/management"}},
		policy.Options{Components: []string{"*"}})
	return s
}

func BenchmarkDecide(b *testing.B) {
	for _, name := range []string{"by session", "by API key"} {
		b.Run(name, func(b *testing.B) {
			w := small(b)
			s := worldServer(b, w)
			now := w.Now()
			s.Now = func() time.Time { return now }
			again(b, w, name, func(r *request, d *decision) { s.conclude(b.Context(), r, d, nil) })
		})
	}
}
