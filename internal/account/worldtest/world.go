package worldtest

import (
	"context"
	"encoding/json"
	"errors"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pquerna/otp/totp"

	"barong/internal/account"
	"barong/internal/apikey"
	"barong/internal/audit"
	"barong/internal/event"
	"barong/internal/invalid"
	"barong/internal/limit"
	"barong/internal/password"
	"barong/internal/secret"
	"barong/internal/store"
	"barong/internal/store/storetest"
	"barong/internal/token"
	"barong/policy"
)

// Hasher is an account.Hasher whose digests are "new:" or "old:" and the password.
type Hasher struct {
	Fail    error
	Matches int
	Callers []secret.Caller // of each call
}

// Hash implements account.Hasher.
func (h *Hasher) Hash(ctx context.Context, password string) (string, error) {
	h.Callers = append(h.Callers, secret.CallerOf(ctx))
	return "new:" + password, h.Fail
}

// Match implements account.Hasher.
func (h *Hasher) Match(ctx context.Context, digest, password string) (ok, rehash bool, err error) {
	h.Matches++
	h.Callers = append(h.Callers, secret.CallerOf(ctx))
	kind, held, _ := strings.Cut(digest, ":")
	return digest != "" && held == password, kind == "old", h.Fail
}

// A World is the services over an empty database with three roles and three levels. Nobody waits in
// it: Slept is the time that callers would have waited.
type World struct {
	Services
	T      testing.TB
	DB     *store.DB
	Hasher *Hasher
	Now    time.Time
	Slept  time.Duration

	sleeping sync.Mutex // guards Slept
}

// Start is the time at which a World begins.
var Start = time.Date(2026, 11, 21, 8, 0, 0, 0, time.UTC)

// New makes a World on SQLite.
func New(t testing.TB, cfg Config) *World {
	t.Helper()
	return NewOn(t, cfg, storetest.Open)
}

// NewOn is New on another engine; every event goes to the destination "test".
func NewOn(t testing.TB, cfg Config, open storetest.Opener) *World {
	t.Helper()
	w := &World{T: t, Hasher: &Hasher{}, Now: Start}
	w.DB = open(t, store.WithClock(func() time.Time { return w.Now }),
		store.WithDestinations(func(event.Event) []string { return []string{"test"} }))
	if cfg.Mail == nil {
		cfg.Mail = Letters{}
	}
	w.Serve(cfg, w.Hasher, new(limit.Memory))
	for _, role := range []string{account.RoleMember, account.RoleSuperadmin, account.RoleServiceAccount} {
		p := policy.Permission{Action: policy.Accept, Role: role, Verb: "ALL", Path: "api/v2"}
		w.Must(w.DB.AddPermission(t.Context(), &p))
	}
	_, err := w.Accounts.SeedLevels(t.Context(), []account.SeedLevel{
		{Key: "email", Value: "verified", Description: "e-mail"},
		{Key: "phone", Value: "verified", Description: "phone"},
		{Key: "document", Value: "verified", Description: "document"},
	})
	w.Must(err)
	return w
}

// Serve begins anew over the same database, with limits that have forgotten everything.
func (w *World) Serve(cfg Config, hasher account.Hasher, limits limit.Store) {
	cfg.Sleep = func(_ context.Context, d time.Duration) {
		w.sleeping.Lock()
		w.Slept += d
		w.sleeping.Unlock()
	}
	w.Services = Open(cfg, w.DB, hasher, limits, func() time.Time { return w.Now })
}

// Must fails the test on an error.
func (w *World) Must(err error) {
	w.T.Helper()
	if err != nil {
		w.T.Fatal(err)
	}
}

// Password is a good one.
const Password = "Tecohvi0"

// User makes one of the level; level 1 and above are active.
func (w *World) User(email string, level int) account.User {
	w.T.Helper()
	u, err := w.Accounts.CreateUser(w.T.Context(), account.UserInput{Email: email, Password: Password, Level: level})
	w.Must(err)
	return u
}

// Reload loads a user.
func (w *World) Reload(uid string) account.User {
	w.T.Helper()
	u, err := w.DB.User(w.T.Context(), uid)
	w.Must(err)
	return u
}

// Put writes a user after change.
func (w *World) Put(uid string, change func(*account.User)) {
	w.T.Helper()
	u := w.Reload(uid)
	change(&u)
	w.Must(w.DB.PutUser(w.T.Context(), &u))
}

// Label sets a label.
func (w *World) Label(uid, key, value, scope string) {
	w.T.Helper()
	_, err := w.Accounts.SetLabel(w.T.Context(), Peer, account.LabelInput{UserUID: uid, Key: key, Value: value, Scope: scope})
	w.Must(err)
}

// ServiceAccount adds a service account of the owner's.
func (w *World) ServiceAccount(owner account.User, uid string) account.ServiceAccount {
	w.T.Helper()
	a := account.ServiceAccount{
		UID: uid, OwnerUID: owner.UID, Email: uid + "@example.com", Role: account.RoleServiceAccount,
		Level: owner.Level, State: owner.State,
	}
	w.Must(w.DB.AddServiceAccount(w.T.Context(), &a))
	return a
}

// Key adds an active key of a holder's and returns its kid.
func (w *World) Key(holder string, kind account.Kind) string {
	w.T.Helper()
	k := apikey.Key{
		Kid: secret.Hex(8), Algorithm: apikey.HS256, State: apikey.Active, Scope: []string{"trade"},
		HolderUID: holder, HolderKind: kind, Secret: secret.Hex(16),
	}
	w.Must(w.DB.AddAPIKey(w.T.Context(), &k))
	return k.Kid
}

// KeyState is the state of a key.
func (w *World) KeyState(holder, kid string) string {
	w.T.Helper()
	k, err := w.DB.APIKey(w.T.Context(), holder, kid)
	w.Must(err)
	return k.State
}

// SecondFactor switches one-time codes of u on and returns the maker of further codes.
func (w *World) SecondFactor(u account.User) (code func() string) {
	w.T.Helper()
	setup, err := w.Codes.OTPSecret(w.T.Context(), ActorOf(u))
	w.Must(err)
	code = func() string {
		w.T.Helper()
		text, err := totp.GenerateCode(setup.Secret, w.Now)
		w.Must(err)
		return text
	}
	_, err = w.Codes.EnableOTP(w.T.Context(), ActorOf(u), code())
	w.Must(err)
	w.Now = w.Now.Add(time.Minute)
	return code
}

// Activities are "topic action result data" of a user, oldest first.
func (w *World) Activities(uid string) []string {
	w.T.Helper()
	rows, _, err := w.DB.Activities(w.T.Context(), audit.Query{ActorUID: uid, Limit: 100})
	w.Must(err)
	var out []string
	for _, a := range rows {
		out = append([]string{strings.TrimSpace(a.Topic + " " + a.Action + " " + a.Result + " " + a.Data)}, out...)
	}
	return out
}

// News are the events since the last call, oldest first.
func (w *World) News() (all []event.Event) {
	w.T.Helper()
	items, err := w.DB.DueEvents(w.T.Context(), "test", w.Now.Add(24*time.Hour), 1000, 1000)
	w.Must(err)
	for _, i := range items {
		w.Must(i.Err)
		all = append(all, i.Event)
		w.Must(w.DB.DeleteEvents(w.T.Context(), i.UUID))
	}
	return all
}

// Browser is a client that nothing is odd about.
var Browser = account.Client{
	IP: netip.MustParseAddr("::ffff:10.1.2.3"), UserAgent: "Mozilla/5.0 Firefox/140.0", Country: "Ukraine",
}

// Peer is a service, which may set any label.
var Peer = account.Actor{Service: "test"}

// ActorOf is u at Browser.
func ActorOf(u account.User) account.Actor {
	return account.Actor{UID: u.UID, Role: u.Role, Client: Browser}
}

// Tokens are the wire tokens of an invalid.Fields, else the error's text.
func Tokens(err error) []string {
	if bad, ok := errors.AsType[invalid.Fields](err); ok {
		return bad.Tokens()
	}
	if err != nil {
		return []string{err.Error()}
	}
	return nil
}

// Letters are signin.MailTokens that live an hour and are their claims as JSON.
type Letters struct{}

// MintMail implements signin.MailTokens.
func (Letters) MintMail(c token.MailClaims, _ time.Time) (string, error) {
	text, err := json.Marshal(c)
	return string(text), err
}

// VerifyMail implements signin.MailTokens.
func (Letters) VerifyMail(text, purpose string, now time.Time) (c token.MailClaims, err error) {
	switch {
	case json.Unmarshal([]byte(text), &c) != nil:
		return c, &token.MailError{Word: "segments"}
	case !now.Before(c.Expires):
		return c, &token.MailError{Word: "expired"}
	case c.Purpose != purpose:
		return c, &token.MailError{Word: "raised"}
	}
	return c, nil
}

// MailLifetime implements signin.MailTokens.
func (Letters) MailLifetime() time.Duration { return time.Hour }

// Member is a member of an event's record, "" for none.
func Member(e event.Event, name string) string {
	var members map[string]any
	_ = json.Unmarshal(e.Record, &members)
	text, _ := members[name].(string)
	return text
}

// Common are those words of the published list of common passwords that the specification's
// vectors meet.
var Common = password.NewDictionary([]string{
	"password", "password1", "123123", "qqqq", "aaaa", "qwerty12", "qwerty", "simple", "zaq12wsx", "test",
	"drowssap", "qweqwe",
})

// SetEmail gives u another address, as a superadmin that it makes at the first call.
func (w *World) SetEmail(u account.User, email string) {
	w.T.Helper()
	boss, err := w.DB.UserByEmail(w.T.Context(), "boss@example.com")
	if errors.Is(err, account.ErrNotFound) {
		boss, err = w.Accounts.CreateUser(w.T.Context(), account.UserInput{
			Email: "boss@example.com", Password: Password, Role: account.RoleSuperadmin, Level: 1, Operator: true,
		})
	}
	w.Must(err)
	w.Must(w.Accounts.SetEmail(w.T.Context(), ActorOf(boss), u.UID, email))
}

// Names are the events' names and, after a colon, their languages.
func Names(all []event.Event) (out []string) {
	for _, e := range all {
		out = append(out, e.Name+":"+e.Language)
	}
	return out
}
