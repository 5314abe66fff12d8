// Package apitest is the one world of the tests of the REST APIs: every namespace over the services
// that production wires, on an empty database. Only the parts outside this program are made up, by
// the tests that need them, and faults are put below the services.
//
//	tests ──► Client ──► rest.Server ──► identity, resource, admin ──► services ──► Faults ──► store.DB
//	              │                                                                          │
//	              └─ Bearer: the gateway's token                 Activities, News, Log ◄─────┘
package apitest

import (
	"bytes"
	"context"
	"log/slog"
	"net/http"
	"net/netip"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"barong/admin"
	"barong/authz/authztest"
	"barong/identity"
	"barong/internal/account"
	"barong/internal/account/worldtest"
	"barong/internal/approval"
	"barong/internal/audit"
	"barong/internal/caller"
	"barong/internal/captcha"
	"barong/internal/config"
	"barong/internal/configured"
	"barong/internal/event"
	"barong/internal/expect"
	"barong/internal/limit"
	"barong/internal/password"
	"barong/internal/person"
	"barong/internal/person/persontest"
	"barong/internal/provider/auth0"
	"barong/internal/rest"
	"barong/internal/rest/resttest"
	"barong/internal/secret"
	"barong/internal/session"
	"barong/internal/signin"
	"barong/internal/store"
	"barong/internal/store/storetest"
	"barong/internal/testenv"
	"barong/internal/token"
	"barong/management"
	"barong/policy"
	"barong/policy/ability"
	"barong/policy/editor"
	"barong/resource"
)

// Agent is the browser of every client.
const Agent = "Mozilla/5.0 Firefox/140.0"

// Start is the time at which a world begins.
var Start = time.Date(2026, 11, 21, 8, 0, 0, 0, time.UTC)

// signingKeys take a while to make: worlds share them.
var signingKeys = sync.OnceValues(authztest.NewKeys)

// World is the REST APIs and all that is behind them. Tests change its exported fields and call
// Restart or Mount, as the fields say. It is for one goroutine; its servers are for many.
type World struct {
	T testing.TB
	// Now is the time of everything, IP the address of every client; tests move both.
	Now time.Time
	IP  netip.Addr
	// Clock and ClientIP give them; tests may put others in their place before Restart.
	Clock    func() time.Time
	ClientIP func(*http.Request) netip.Addr

	DB     *store.DB
	URL    string // of DB
	Faults Faults
	Log    testenv.Log

	// Account and Hasher make the account service, at Restart.
	Account  worldtest.Config
	Hasher   account.Hasher
	Accounts worldtest.Own
	Sessions *session.Manager
	Keys     *token.Keys
	Minter   *token.Minter
	Holder   *policy.Holder
	Rules    *editor.Service

	// REST configures the server, Spent counts the use of callers, if limits are on; at Mount.
	REST  rest.Config
	Spent limit.Store
	// The namespaces, as Mount mounts them.
	Identity *identity.API
	Resource *resource.API
	Admin    *admin.API
	// Management verifies bodies as Peers says.
	Management *management.API
	Peers      Peers
	// Files are those of documents.
	Files *persontest.Files
	// Refused are the activities of changes that staff could not make.
	Refused Journal

	services worldtest.Services
	server   *rest.Server
	client   *resttest.Client
	secrets  secrets
}

// New makes a world on an empty SQLite database. Its log is searched for secrets when the test
// ends.
func New(t testing.TB) *World {
	t.Helper()
	return open(t, "sqlite:"+filepath.Join(t.TempDir(), "barong.db"))
}

// NewPostgres is New on PostgreSQL.
func NewPostgres(t testing.TB) *World {
	t.Helper()
	return open(t, storetest.PostgresURL(t))
}

func open(t testing.TB, url string) *World {
	t.Helper()
	w := &World{
		T: t, URL: url, Now: Start, IP: netip.MustParseAddr("10.0.0.1"), Hasher: plain{}, Spent: new(limit.Memory), Files: persontest.NewFiles(),
		REST: configured.REST(config.Default()),
	}
	w.REST.Outages, w.REST.Unavailable = []error{ErrOutage, secret.ErrBusy, captcha.ErrOutage, auth0.ErrOutage, person.ErrFiles, person.ErrScanner}, store.Unavailable
	w.Clock = func() time.Time { return w.Now }
	w.ClientIP = func(*http.Request) netip.Addr { return w.IP }
	w.Files.Now = w.clock
	t.Cleanup(w.searchLog)
	db, err := store.Open(t.Context(), url, sealer{storetest.Sealer(t), &w.Faults},
		store.WithoutSync(), store.WithClock(w.clock),
		store.WithPostgres(store.Postgres{MaxConns: 8, MinConns: 1}),
		store.WithDestinations(func(event.Event) []string { return []string{destination} }))
	expect.OK(t, err)
	t.Cleanup(func() { expect.OK(t, db.Close()) })
	expect.Must(db.Migrate(t.Context()))(t)
	w.DB = db
	w.Keys = expect.Must(signingKeys())(t)
	w.Minter = expect.Must(token.NewMinter(w.Keys, configured.Tokens(config.Default())))(t)
	w.Account = worldtest.Config{
		FailureFloor: time.Nanosecond, Mail: w.Keys,
		Domain: "exchange.example", DefaultLanguage: "en",
		Devices:   expect.Must(signin.NewDevices(bytes.Repeat([]byte{9}, 32)))(t),
		Passwords: password.Rules{Dictionary: password.Common()},
		Files:     w.Files, Links: expect.Must(person.NewLinks(time.Minute, bytes.Repeat([]byte{9}, 32)))(t),
	}
	w.Route(policy.RouteRules{Pass: []string{"api/v2/barong/identity"}})
	w.namespaces()
	w.Restart()
	return w
}

// clock is w.Clock as it is when it is asked.
func (w *World) clock() time.Time { return w.Clock() }

// Route gives the policy other route rules; there is no snapshot until Refresh.
func (w *World) Route(rules policy.RouteRules) {
	w.Holder = policy.NewHolder(rules, configured.Policy(config.Default(), nil), nil, w.clock)
}

// Restart makes the services anew from the fields of w: what they kept in memory is gone, sessions
// they had cached and attempts they had counted among it.
func (w *World) Restart() {
	w.T.Helper()
	db := faulty{w.DB, &w.Faults}
	w.Account.Rows, w.Account.Begin = db, func() error { return w.Faults.at("Update") }
	w.services = worldtest.Open(w.Account, w.DB, w.Hasher, new(limit.Memory), w.clock)
	w.Accounts = w.services.Own()
	w.Sessions = expect.Must(session.NewManager(configured.Sessions(config.Default()), db, db, w.clock, nil))(w.T)
	w.Rules = editor.NewService(db, w.Holder, 1, w.clock).UnderFourEyes(w.services.Accounts)
	w.server, w.client = nil, nil
}

// namespaces makes the three APIs, for tests to configure.
func (w *World) namespaces() {
	malta := func(netip.Addr) string { return "Malta" }
	log := slog.New(slog.NewJSONHandler(&w.Log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	resolver := caller.Resolver{ClientIP: func(r *http.Request) netip.Addr { return w.ClientIP(r) }, Country: malta, Now: w.clock}
	w.REST.Log, w.REST.ClientIP = log, resolver.ClientIP
	cookies := session.Cookies{Name: config.Default().Session.Name}
	w.Identity = &identity.API{Config: identity.Config{Cookies: cookies}, Resolver: resolver, Log: log}
	w.Identity.Admit = func(ctx context.Context, _ netip.Addr) (session.Moment, error) { return w.DB.Moment(ctx) }
	w.Resource = &resource.API{Resolver: resolver, Cookies: cookies, Log: log}
	w.Admin = &admin.API{Resolver: resolver, Record: w.Refused.add, Patience: 50 * time.Millisecond}
	w.Management = &management.API{
		Resolver: resolver, Signer: w.Keys, Keys: management.Keys{OfUsers: true, OfServiceAccounts: true, UIDPrefix: "ID"},
	}
}

// Mount serves every namespace, as cmd/barong does, over the services as they are now.
func (w *World) Mount() *rest.Server {
	w.T.Helper()
	db := faulty{w.DB, &w.Faults}
	for _, r := range []*caller.Resolver{&w.Identity.Resolver, &w.Resource.Resolver, &w.Admin.Resolver} {
		r.Users, r.Tokens = db, w.Minter
	}
	of := w.services
	w.Identity.SignIns, w.Identity.Sessions, w.Identity.Whitelinks = of.SignIns, w.Sessions, w.Rules
	w.Resource.Accounts, w.Resource.Codes, w.Resource.SignIns, w.Resource.Keys = of.Accounts, of.Codes, of.SignIns, of.Keys
	w.Identity.Persons, w.Identity.Masks = of.Persons, true
	w.Resource.Persons, w.Resource.Masks, w.Resource.Documents = of.Persons, true, w.Account.DocumentRules()
	w.Resource.Sessions, w.Resource.Activities = w.Sessions, db
	w.Admin.Persons, w.Admin.People, w.Admin.Sessions = of.Persons, db, w.Sessions
	peers := w.verifier()
	w.Admin.Requests = approval.NewService(approval.Parts{
		Accounts: of.Accounts, Policy: w.Rules, Rows: w.DB, Update: store.Update[approval.Tx](w.DB),
		Can: func(role string, do ability.Action, subject string) bool {
			return w.Admin.Abilities.Can(role, do, subject)
		},
		Permits:    func(role, method, path string) bool { return w.Holder.Load().Permission(role, method, path).Allows },
		Trusts:     func(names string) bool { return management.MayGiveRoles(peers, names) },
		Require2FA: w.Admin.Require2FA,
	})
	w.Admin.Accounts, w.Admin.Codes, w.Admin.Keys, w.Admin.Policy, w.Admin.Activities = of.Accounts, of.Codes, of.Keys, w.Rules, db
	c := w.REST
	if !w.Account.Unlimited {
		c.Budget = limit.NewBudget(w.Spent, new(limit.Memory), w.clock)
	}
	s := expect.Must(rest.New(c))(w.T)
	w.T.Cleanup(s.Flush) // lines that wait would be written while the log is searched
	w.Identity.Mount(s)
	w.Resource.Mount(s)
	w.Admin.Mount(s)
	w.Management.Peers, w.Management.Roster = peers, db
	w.Management.Documents = w.Account.DocumentRules()
	w.Management.Accounts, w.Management.Persons, w.Management.APIKeys, w.Management.Codes = of.Accounts, of.Persons, of.Keys, of.Codes
	w.Management.Mount(s)
	identity.MountJWKS(s, w.Keys, 5*time.Minute)
	w.server, w.client = s, nil
	return s
}

// Server is the one that Mount has made last.
func (w *World) Server() *rest.Server {
	w.T.Helper()
	if w.server == nil {
		return w.Mount()
	}
	return w.server
}

// Client is a browser without cookies, on Server. The log must not hold a secret that it sends or
// is sent.
func (w *World) Client() *resttest.Client {
	w.T.Helper()
	if w.client == nil {
		w.client = resttest.New(w.T, w.Server()).With("User-Agent", Agent).After(w.secrets.notice)
	}
	return w.client
}

// Browser is the Client of a new server, over the fields of w as they are now.
func (w *World) Browser() *resttest.Client {
	w.T.Helper()
	w.Mount()
	return w.Client()
}

// As is a client behind the gateway, which gives each request a fresh bearer token of a user's.
func (w *World) As(uid string) *resttest.Client {
	w.T.Helper()
	return w.Client().Before(func(r *http.Request) { r.Header.Set("Authorization", w.Bearer(uid)) })
}

// Bearer is the Authorization that the gateway gives the requests of a user or service account.
func (w *World) Bearer(uid string) string {
	w.T.Helper()
	bearer, err := w.Minter.Mint(new(token.Slot), 1, token.Claims{
		Party: token.PartyBarong, UID: uid, Email: "somebody@barong.io", Role: account.RoleMember, State: account.StateActive,
	}, w.Clock())
	expect.OK(w.T, err)
	w.secrets.add(strings.TrimPrefix(bearer, "Bearer "))
	return bearer
}

// Refresh makes the policy's snapshot that of the rows.
func (w *World) Refresh() {
	w.T.Helper()
	expect.OK(w.T, w.Holder.Refresh(w.T.Context(), w.DB))
}

// plain is a Hasher that costs nothing.
type plain struct{}

func (plain) Hash(_ context.Context, password string) (string, error) { return "#" + password, nil }
func (plain) Match(_ context.Context, digest, password string) (ok, rehash bool, err error) {
	return digest == "#"+password, false, nil
}

// Journal keeps activities in memory; it is safe for concurrent use.
type Journal struct {
	mu   sync.Mutex
	rows []audit.Activity
}

func (j *Journal) add(a audit.Activity) bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.rows = append(j.rows, a)
	return true
}

// Take empties it and returns its rows.
func (j *Journal) Take() []audit.Activity {
	j.mu.Lock()
	defer j.mu.Unlock()
	rows := j.rows
	j.rows = nil
	return rows
}
