package account_test

import (
	"context"
	"errors"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"barong/internal/account"
	"barong/internal/audit"
	"barong/internal/event"
	"barong/internal/limit"
	"barong/internal/secret"
	"barong/internal/store"
	"barong/internal/store/storetest"
	"barong/policy"
)

// plainHasher is a Hasher whose digests are "new:" or "old:" and the password.
type plainHasher struct {
	fail    error
	matches int
	callers []secret.Caller // of each call
}

func (h *plainHasher) Hash(ctx context.Context, password string) (string, error) {
	h.callers = append(h.callers, secret.CallerOf(ctx))
	return "new:" + password, h.fail
}

func (h *plainHasher) Match(ctx context.Context, digest, password string) (ok, rehash bool, err error) {
	h.matches++
	h.callers = append(h.callers, secret.CallerOf(ctx))
	kind, held, _ := strings.Cut(digest, ":")
	return digest != "" && held == password, kind == "old", h.fail
}

// world is a service over an empty SQLite database with one role and three levels.
type world struct {
	t      testing.TB
	db     *store.DB
	svc    *account.Service
	hasher *plainHasher
	now    time.Time
	slept  time.Duration
}

var start = time.Date(2026, 11, 21, 8, 0, 0, 0, time.UTC)

func newWorld(t testing.TB, cfg account.Config) *world {
	t.Helper()
	return newWorldOn(t, cfg, storetest.Open)
}

// newWorldOn is newWorld on another engine; every event goes to the destination "test".
func newWorldOn(t testing.TB, cfg account.Config, open storetest.Opener) *world {
	t.Helper()
	w := &world{t: t, hasher: &plainHasher{}, now: start}
	w.db = open(t, store.WithClock(func() time.Time { return w.now }),
		store.WithDestinations(func(event.Event) []string { return []string{"test"} }))
	if cfg.Mail == nil {
		cfg.Mail = letters{}
	}
	if cfg.Triggers == nil {
		cfg.Triggers = account.DefaultTriggers()
	}
	w.svc = account.NewService(cfg, w.db, w.hasher, new(limit.Memory), func() time.Time { return w.now })
	w.svc.SetSleep(func(_ context.Context, d time.Duration) { w.slept += d })
	for _, role := range []string{account.RoleMember, account.RoleSuperadmin, account.RoleServiceAccount} {
		p := policy.Permission{Action: policy.Accept, Role: role, Verb: "ALL", Path: "api/v2"}
		w.must(w.db.AddPermission(t.Context(), &p))
	}
	_, err := w.svc.SeedLevels(t.Context(), []account.SeedLevel{
		{Key: "email", Value: "verified", Description: "e-mail"},
		{Key: "phone", Value: "verified", Description: "phone"},
		{Key: "document", Value: "verified", Description: "document"},
	})
	w.must(err)
	return w
}

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

const password = "Tecohvi0"

// user makes one of the level; level 1 and above are active.
func (w *world) user(email string, level int) account.User {
	w.t.Helper()
	u, err := w.svc.CreateUser(w.t.Context(), account.NewUser{Email: email, Password: password, Level: level})
	w.must(err)
	return u
}

func (w *world) reload(uid string) account.User {
	w.t.Helper()
	u, err := w.db.User(w.t.Context(), uid)
	w.must(err)
	return u
}

// put writes u after change.
func (w *world) put(uid string, change func(*account.User)) {
	w.t.Helper()
	u := w.reload(uid)
	change(&u)
	w.must(w.db.PutUser(w.t.Context(), &u))
}

func (w *world) label(uid, key, value, scope string) {
	w.t.Helper()
	_, err := w.svc.SetLabel(w.t.Context(), account.Label{UserUID: uid, Key: key, Value: value, Scope: scope})
	w.must(err)
}

// service adds a service account that uid owns.
func (w *world) service(owner account.User, uid string) account.ServiceAccount {
	w.t.Helper()
	a := account.ServiceAccount{
		UID: uid, OwnerUID: owner.UID, Email: uid + "@example.com", Role: account.RoleServiceAccount,
		Level: owner.Level, State: owner.State,
	}
	w.must(w.db.AddServiceAccount(w.t.Context(), &a))
	return a
}

// key adds an active key of a holder's and returns its kid.
func (w *world) key(holder string, kind account.Kind) string {
	w.t.Helper()
	k := account.APIKey{
		Kid: secret.Hex(8), Algorithm: "HS256", State: account.KeyActive, Scope: []string{"trade"},
		HolderUID: holder, HolderKind: kind, Secret: secret.Hex(16),
	}
	w.must(w.db.AddAPIKey(w.t.Context(), &k))
	return k.Kid
}

func (w *world) keyState(holder, kid string) string {
	w.t.Helper()
	k, err := w.db.APIKey(w.t.Context(), holder, kid)
	w.must(err)
	return k.State
}

// activities are "topic action result data" of a user, oldest first.
func (w *world) activities(uid string) []string {
	w.t.Helper()
	rows, _, err := w.db.Activities(w.t.Context(), audit.Query{ActorUID: uid, Limit: 100})
	w.must(err)
	var out []string
	for _, a := range rows {
		out = append([]string{strings.TrimSpace(a.Topic + " " + a.Action + " " + a.Result + " " + a.Data)}, out...)
	}
	return out
}

var browser = account.Client{
	IP: netip.MustParseAddr("::ffff:10.1.2.3"), UserAgent: "Mozilla/5.0 Firefox/140.0", Country: "Ukraine",
}

func actor(u account.User) account.Actor {
	return account.Actor{UID: u.UID, Role: u.Role, Client: browser}
}

// tokens are the wire tokens of an Invalid, else the error's text.
func tokens(err error) []string {
	if bad, ok := errors.AsType[account.Invalid](err); ok {
		return bad.Tokens()
	}
	if err != nil {
		return []string{err.Error()}
	}
	return nil
}

func ptr[T any](v T) *T { return &v }

// Identity 14.3 and §6.1, T-USR-3, T-USR-4, DM164, DM166.
func TestCreateUserTellsEveryBrokenRuleInOrder(t *testing.T) {
	w := newWorld(t, account.Config{Passwords: account.PasswordRules{Dictionary: common}})
	taken := w.user("taken@example.com", 0)
	w.put(taken.UID, func(u *account.User) { u.Username = ptr("nick") })
	good := account.NewUser{Email: "new@example.com", Password: password}
	for name, c := range map[string]struct {
		change func(*account.NewUser)
		want   []string
	}{
		"bad e-mail and weak password": {func(n *account.NewUser) { n.Email, n.Password = "bad_format", "Password1" },
			[]string{"email.invalid", "password.weak"}},
		"password without shape": {func(n *account.NewUser) { n.Password = "password" }, []string{"password.requirements"}},
		"blank e-mail":           {func(n *account.NewUser) { n.Email = " " }, []string{"email.invalid", "email.blank"}},
		"e-mail taken in another case": {func(n *account.NewUser) { n.Email = " Taken@Example.com " },
			[]string{"email.taken"}},
		"username of 13": {func(n *account.NewUser) { n.Username = ptr("qwertyuiopasd") }, []string{"username.too_long"}},
		"username with signs": {func(n *account.NewUser) { n.Username = ptr("qwerty@=") },
			[]string{"username.invalid"}},
		"empty username": {func(n *account.NewUser) { n.Username = ptr("") },
			[]string{"username.too_short", "username.invalid"}},
		"username taken in another case": {func(n *account.NewUser) { n.Username = ptr("NICK") },
			[]string{"username.taken"}},
		"data that is no object":    {func(n *account.NewUser) { n.Data = ptr("[1]") }, []string{"data.invalid_format"}},
		"long text as data":         {func(n *account.NewUser) { n.Data = ptr(strings.Repeat("x", 1025)) }, []string{"data.too_long", "data.invalid_format"}},
		"a role nobody has":         {func(n *account.NewUser) { n.Role = "king" }, []string{"role.doesnt_exist"}},
		"a referral nobody has":     {func(n *account.NewUser) { n.Referral = ptr("ID0000000000") }, []string{"referral_id.doesnt_exist"}},
		"a blank password is first": {func(n *account.NewUser) { n.Email, n.Password = "x", "" }, []string{"password.blank", "email.invalid"}},
		"a long one too": {func(n *account.NewUser) { n.Email, n.Password = "x", password+strings.Repeat("a", 65) },
			[]string{"password.too_long", "email.invalid"}},
		"everything else": {func(n *account.NewUser) {
			n.Data, n.Role, n.Referral, n.Email, n.Username, n.Password = ptr("x"), "king", ptr("x"), "x", ptr("x"), "x"
		}, []string{"data.invalid_format", "role.doesnt_exist", "referral_id.doesnt_exist", "email.invalid",
			"username.too_short", "password.requirements"}},
	} {
		t.Run(name, func(t *testing.T) {
			n := good
			c.change(&n)
			_, err := w.svc.CreateUser(t.Context(), n)
			if d := cmp.Diff(c.want, tokens(err)); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
		})
	}
}

func TestCreateUser(t *testing.T) {
	w := newWorld(t, account.Config{UIDPrefix: "gg"})
	referrer := w.user("a@example.com", 0)
	u, err := w.svc.CreateUser(t.Context(), account.NewUser{
		Email: "  Bob+1@Example.COM ", Password: password, Username: ptr("Vadid"), Data: ptr(`{"language":"uk"}`),
		Referral: &referrer.UID,
	})
	w.must(err)
	if u.Email != "bob+1@example.com" || *u.Username != "vadid" || u.PasswordDigest != "new:"+password ||
		u.Role != "member" || u.State != "pending" || u.Level != 0 || u.ReferralUID == nil ||
		*u.ReferralUID != referrer.UID || len(u.UID) != 12 || !strings.HasPrefix(u.UID, "GG") {
		t.Errorf("made %+v", u)
	}
	if _, err := w.svc.CreateUser(t.Context(), account.NewUser{
		Email: "s@example.com", Password: password, Role: account.RoleSuperadmin,
	}); !errors.Is(err, account.ErrSuperadmin) { // D14
		t.Errorf("superadmin by sign-up: %v, want ErrSuperadmin", err)
	}
	w.hasher.fail = secret.ErrBusy
	if _, err := w.svc.CreateUser(t.Context(), account.NewUser{Email: "b@example.com", Password: password}); !errors.Is(err, secret.ErrBusy) {
		t.Errorf("full pool: %v, want secret.ErrBusy", err)
	}
}

func TestEmailSyntax(t *testing.T) {
	w := newWorld(t, account.Config{})
	for email, ok := range map[string]bool{
		"a@localhost": true, "a.b@x.io": true, "o'neil+tag@mail.example.com": true, "жук@пример.рф": true,
		"a@b-c.org": true, "!#$%^&*{}/=?`|~@x.io": true,
		"a..b@x.io": false, ".a@x.io": false, "a.@x.io": false, "@x.io": false, "a@": false, "a": false,
		"a@x.1": false, "a@-x.io": false, "a@x-.io": false, "a@x..io": false, "a b@x.io": false, "a@x.io\n.": false,
		"a@b@x.io": false, "a,b@x.io": false, strings.Repeat("a", 65) + "@x.io": false,
		"a@x." + strings.Repeat("z", 64): false,
	} {
		_, err := w.svc.CreateUser(t.Context(), account.NewUser{Email: email, Password: password})
		if (err == nil) != ok {
			t.Errorf("%q: %v, want accepted %v", email, err, ok)
		}
	}
}
