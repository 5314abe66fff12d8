package main

import (
	"context"
	"log/slog"
	"net/http"
	"net/netip"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"

	"barong/authz"
	"barong/identity"
	"barong/internal/account"
	"barong/internal/apikey"
	"barong/internal/approval"
	"barong/internal/audit"
	"barong/internal/config"
	"barong/internal/configured"
	"barong/internal/directory"
	"barong/internal/event"
	"barong/internal/factor"
	"barong/internal/feed"
	"barong/internal/limit"
	"barong/internal/notify"
	"barong/internal/peer"
	"barong/internal/person"
	"barong/internal/provider/amqp"
	"barong/internal/session"
	"barong/internal/signin"
	"barong/internal/store"
	"barong/internal/token"
	"barong/management"
	"barong/policy"
	"barong/policy/editor"
)

// truth is the database as keep.go asks it; simulations have another.
type truth interface {
	policy.Store
	// Includes reports whether a commit is part of the database's history.
	Includes(ctx context.Context, c feed.Cursor) error
}

// service is everything that runs, wired.
type service struct {
	settings config.Settings
	files    files
	term     *terminal
	log      *slog.Logger
	db       *store.DB
	truth    truth // db, as far as keep.go asks it
	stores   shared

	accountServices
	follower  *feed.Follower
	holder    *policy.Holder
	geo       *policy.Geo // nil when there is none
	sessions  *session.Manager
	directory *directory.Directory
	apiKeyOf  *apikey.Cache
	keyUses   *apikey.Uses
	keys      *token.Keys
	minter    *token.Minter
	audit     *audit.Writer
	decisions *authz.DecisionLog
	decider   *authz.Server
	tls       listenerTLS
	grpc      *authz.GRPC
	rest      http.Handler
	peers     http.Handler // the management API; nil without an address of its own
	messages  *peer.Verifier
	ops       http.Handler
	metrics   prometheus.Gatherer

	relay   *event.Relay
	mailer  *notify.Mailer // nil when no mails are sent
	inbox   *amqp.Consumer // nil when no events of other services are wanted
	kyc     identity.KYC   // nil when no provider calls back
	closers []func() error

	password string // of the first superadmin, until it was shown

	refresh  chan struct{} // asks for a new snapshot; capacity one
	reload   chan struct{} // asks for the signing keys; capacity one
	stopping atomic.Bool
}

// accountServices are the services about accounts and the ways into them.
type accountServices struct {
	accounts *account.Service
	codes    *factor.Service
	signIns  *signin.Service
	apiKeys  *apikey.Service
	persons  *person.Service
	requests *approval.Service
}

// openAccounts makes the services of the serving process.
func (sv *service) openAccounts(f files) error {
	s, db := sv.settings, sv.db
	devices, challenges, err := openCookies(s)
	if err != nil {
		return err
	}
	attempts := limit.NewAttempts(sv.stores.limits, nil)
	if !s.Abuse.Limits {
		attempts = limit.Unlimited(sv.stores.limits, nil)
	}
	accounts, err := newAccounts(s, f, db, newHasher(s).GiveWay())
	if err != nil {
		return err
	}
	codes, err := factor.NewService(configured.Codes(s), factor.Parts{
		Accounts: accounts, Rows: db, Update: store.Update[factor.Tx](db), Attempts: attempts,
		Challenges: challenges, Now: db.Time,
	})
	if err != nil {
		return err
	}
	signIns, err := signin.NewService(configured.SignIns(s), signin.Parts{
		Accounts: accounts, Codes: codes, Rows: db, Update: store.Update[signin.Tx](db),
		Attempts: attempts, Mail: sv.keys, Devices: devices, Now: db.Time,
	})
	if err != nil {
		return err
	}
	phones, err := phoneProvider(s, sv.log, sv.announcePhone)
	if err != nil {
		return usageError{err}
	}
	uploads, err := sv.openFiles(s)
	if err != nil {
		return err
	}
	scanner, err := openScanner(s)
	if err != nil {
		return usageError{err}
	}
	links, err := openLinks(s)
	if err != nil {
		return err
	}
	sv.accountServices = accountServices{
		accounts: accounts, codes: codes, signIns: signIns,
		apiKeys: apikey.NewService(configured.KeyRules(s), apikey.Parts{
			Accounts: accounts, Codes: codes, Rows: db, Update: store.Update[apikey.Tx](db), Now: db.Time,
			Scopes: func(name string) bool { return sv.holder.Load().Scope(name) },
		}),
		persons: person.NewService(configured.Persons(s, f.accounts), person.Parts{
			Accounts: accounts, Rows: db, Update: store.Update[person.Tx](db), Attempts: attempts, Phones: phones, Now: db.Time,
			Files: uploads, Scanner: scanner, Links: links,
		}),
	}
	return nil
}

// openCaches makes the memories of sessions, accounts and API keys.
func (sv *service) openCaches(ctx context.Context, c session.Config, sessions session.Store) (err error) {
	if sv.sessions, err = session.NewManager(c, sessions, sv.db, nil, sv.log); err != nil {
		return err
	}
	if err := sv.sessions.Start(ctx); err != nil {
		return err
	}
	if sv.directory, err = directory.New(configured.Directory(sv.settings), sv.db, nil); err != nil {
		return err
	}
	sv.keyUses = apikey.NewUses(sv.db, sv.log)
	sv.apiKeyOf, err = apikey.NewCache(configured.APIKeys(sv.settings), sv.db, nil)
	return err
}

func (sv *service) openPolicy(ctx context.Context, f files) error {
	sv.holder = policy.NewHolder(f.rules, configured.Policy(sv.settings, sv.geo), sv.log, nil)
	return sv.holder.Refresh(ctx, sv.truth)
}

// budget limits the use by REST callers; nil when limits are off.
func (sv *service) budget() *limit.Budget {
	if !sv.settings.Abuse.Limits {
		return nil
	}
	return limit.NewBudget(new(limit.Memory), sv.stores.limits, nil)
}

// newREST mounts the REST APIs, behind the embedded gate if it is on.
func (sv *service) newREST(f files, people people) (http.Handler, error) {
	s := sv.settings
	peers, err := peer.NewVerifier(configured.Peers(s), f.peers, sv.db, sv.db.Time)
	if err != nil {
		return nil, usageError{err}
	}
	rules := editor.NewService(sv.db, sv.holder, s.Policy.WhitelinkUses, sv.db.Time).UnderFourEyes(sv.accounts)
	sv.requests = approval.NewService(approval.Parts{
		Accounts: sv.accounts, Policy: rules, Rows: sv.db, Update: store.Update[approval.Tx](sv.db), Can: f.abilities.Can,
		Permits:    func(role, method, path string) bool { return sv.holder.Load().Permission(role, method, path).Allows },
		Trusts:     func(names string) bool { return management.MayGiveRoles(peers, names) },
		Require2FA: s.StaffRequires2FA(),
	})
	sv.messages = peers
	server, err := newAPI(apiParts{
		peers:    peers,
		settings: s, people: people, kyc: sv.kyc, log: sv.log, services: sv.accountServices, sessions: sv.sessions, store: sv.db,
		verifier: sv.minter, keys: sv.keys, country: sv.country, clientIP: sv.decider.ClientIP, budget: sv.budget(),
		rules: rules, abilities: f.abilities,
		explain: explainer(sv.decider), track: sv.track, admit: sv.admit, record: sv.audit.Record,
		lost: sv.misdirected(),
	})
	if err != nil {
		return nil, err
	}
	sv.closers = append(sv.closers, func() error { server.Flush(); return nil })
	public := http.Handler(server)
	if s.Listen.Management != "" {
		sv.peers = sv.decider.Addressed(managementOnly(server))
		public = withoutManagement(server)
	}
	if s.EmbeddedGate() {
		return sv.decider.Gate(public), nil
	}
	return sv.decider.Addressed(public), nil
}

// country names where an address is, for activities.
func (sv *service) country(ip netip.Addr) string { return sv.holder.Load().Country(ip) }
