package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/netip"
	"path/filepath"
	"strings"
	"sync/atomic"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"

	"barong/authz"
	"barong/identity"
	"barong/internal/account"
	"barong/internal/apikey"
	"barong/internal/audit"
	"barong/internal/config"
	"barong/internal/directory"
	"barong/internal/event"
	"barong/internal/feed"
	"barong/internal/limit"
	"barong/internal/notify"
	"barong/internal/provider/amqp"
	"barong/internal/session"
	"barong/internal/store"
	"barong/internal/token"
	"barong/policy"
	"barong/policy/editor"
)

type serveCmd struct{}

func (serveCmd) Run(ctx context.Context, term *terminal) error {
	p, err := prepare(term)
	if err != nil {
		return err
	}
	s, f, log := p.settings, p.files, newLog(p.settings, term)
	for _, text := range p.odd {
		log.Warn("a setting or file is hardly meant so", "finding", text)
	}
	// Bound before anything is made, so that a port in use is reported at once.
	at, err := listen(s.Listen)
	if err != nil {
		return err
	}
	defer at.close()
	db, err := openMigrated(ctx, s, f, log)
	if err != nil {
		return err
	}
	defer db.Close()
	stores, err := openShared(ctx, s, db, log)
	if err != nil {
		return err
	}
	defer stores.close()
	sv, err := newService(ctx, p, db, stores, log, term)
	if err != nil {
		return err
	}
	return sv.run(ctx, at)
}

// truth is the database as keep.go asks it; simulations have another.
type truth interface {
	policy.Store
	// Includes reports whether a commit is part of the database's history.
	Includes(ctx context.Context, c feed.Cursor) error
}

// service is everything that runs, wired.
type service struct {
	settings config.Settings
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
	keys      *token.Keys
	minter    *token.Minter
	audit     *audit.Writer
	decisions *authz.DecisionLog
	decider   *authz.Server
	tls       listenerTLS
	grpc      *authz.GRPC
	rest      http.Handler
	ops       http.Handler

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

// newService makes every part. It reads all that it needs of the database here, after the
// change feed's head, so that no change falls between.
func newService(
	ctx context.Context, p prepared, db *store.DB, stores shared, log *slog.Logger, term *terminal,
) (*service, error) {
	s, f := p.settings, p.files
	sv := &service{
		settings: s, term: term, log: log, db: db, truth: db, stores: stores, geo: p.geo, tls: p.tls,
		refresh: make(chan struct{}, 1), reload: make(chan struct{}, 1),
	}
	var err error
	if sv.keys, err = openKeys(ctx, s, db); err != nil {
		return nil, err
	}
	if err := sv.openAccounts(f); err != nil {
		return nil, err
	}
	if err := sv.firstStart(ctx, f); err != nil {
		return nil, err
	}

	head, err := db.Head(ctx)
	if err != nil {
		return nil, err
	}
	sv.follower = feed.NewFollower(db, feed.FollowerConfig{}, nil, sv.log)
	sv.follower.Subscribe(sv.apply)
	sv.follower.OnGap(sv.stale)
	sv.follower.OnCatchUp(sv.caughtUp)

	if err := sv.openPolicy(ctx, f); err != nil {
		return nil, err
	}
	poke(sv.reload) // of the signing keys, which were read before the feed's head
	if sv.minter, err = token.NewMinter(sv.keys, tokenConfig(s)); err != nil {
		return nil, err
	}
	sv.sessions = session.NewManager(session.Config{
		Lifetime: s.Session.Expire, Absolute: s.Session.Absolute, Size: s.Session.CacheSize, Loads: stores.loads(s),
	}, stores.sessions, db, nil, sv.log)
	if err := sv.sessions.Start(ctx); err != nil {
		return nil, err
	}
	sv.directory = directory.New(directory.Config{Size: s.Account.CacheSize, Loads: s.Account.LoadsAtOnce}, db, nil)
	sv.apiKeyOf = apikey.NewCache(apikey.CacheConfig{Size: s.APIKey.CacheSize, Loads: s.Account.LoadsAtOnce}, db, nil)
	if sv.audit, err = audit.NewWriter(auditConfig(s), db, sv.log, nil); err != nil {
		return nil, err
	}
	sv.follower.Start(head)
	if err := sv.follower.Sync(ctx); err != nil {
		return nil, err
	}

	registry := newMetrics()
	metrics := authz.NewMetrics(registry)
	sv.decisions = authz.NewDecisionLog(term.err, func(w io.Writer) slog.Handler {
		return newHandler(s, term)(w, slog.LevelInfo)
	}, s.Decision.LogSample, 0, metrics.LineDropped)
	readable, err := corsConfig(s).Readable()
	if err != nil {
		return nil, usageError{err}
	}
	decisions := decisionConfig(s)
	decisions.StaffRoles = append(f.abilities.Staff(), account.RoleSuperadmin, account.RoleAdmin)
	if sv.decider, err = authz.New(authz.Parts{
		Rules: sv.holder, Feed: sv.follower, Sessions: sv.sessions, Accounts: sv.directory, Keys: sv.apiKeyOf, Tokens: sv.minter,
		Nonces: stores.nonces, Activities: sv.audit, Metrics: metrics, Log: sv.decisions,
		Readable: readable, Warnings: sv.log,
	}, decisions); err != nil {
		return nil, usageError{err}
	}
	if s.OpenGRPC() {
		sv.log.Warn("gRPC listens beyond this machine without TLS: whoever is on the way can answer for us",
			"address", s.Listen.GRPC)
	}
	grpcConfig := authz.GRPCConfig{
		Generated: s.Decision.GRPCCodec == "generated", MaxConnectionAge: s.Decision.MaxConnectionAge,
	}
	if sv.tls.grpc != nil {
		grpcConfig.Options = []grpc.ServerOption{grpc.Creds(credentials.NewTLS(sv.tls.grpc))}
	}
	sv.grpc = authz.NewGRPC(sv.decider, grpcConfig)
	if err := sv.openRelay(f); err != nil {
		return nil, err
	}
	if sv.rest, err = sv.newREST(f, p.people); err != nil {
		return nil, err
	}
	sv.measure(registry)
	sv.measureRelay(registry)
	sv.ops = opsHandler(registry, sv.ready, s.Listen.PProf)
	if s.LoopbackOps() { // elsewhere collectors and probes ask by any name and address
		sv.ops = authz.LoopbackHosts(sv.ops)
	}
	return sv, nil
}

// decisionConfig is the part of the settings that decisions go by.
func decisionConfig(s config.Settings) authz.Config {
	return authz.Config{
		RBACDeniedStatus: s.Decision.RBACDeniedStatus, OutageAnswer: s.Decision.OutageAnswer,
		ForwardCredentials: s.Decision.ForwardCredentials, Metadata: s.Decision.DynamicMetadata,
		CSRFProtection: s.Decision.CSRFProtection, Origins: s.Decision.Origins, WebsocketPaths: s.Decision.WebsocketPaths,
		PolicyMaxStale: s.Policy.MaxStale, CacheMaxStale: s.Decision.CacheMaxStale, Deadline: s.Decision.Deadline,
		AuditRequired: s.Audit.Required,
		SessionName:   s.Session.Name, SecureCookie: s.SecureCookie(), SessionAbsolute: s.Session.Absolute,
		SessionMaskV4: s.Session.MaskV4, SessionMaskV6: s.Session.MaskV6,
		NonceLifetime: s.APIKey.NonceLifetime, Replay: authz.Replay(s.APIKey.Replay), APIKeyForbidden: s.APIKey.Forbidden,
		PartyPerComponent: s.Token.Party == "component",
		TrustedProxies:    s.Client.TrustedProxies, Gateway: s.Client.Gateway, GatewayNetworks: s.Client.GatewayNetworks,
		TrustPipe: strings.HasPrefix(s.Listen.GRPC, "unix:"), DirectClients: s.DirectClients(),
	}
}

func (sv *service) openPolicy(ctx context.Context, f files) error {
	sv.holder = policy.NewHolder(f.rules, policyOptions(sv.settings, sv.geo), sv.log, nil)
	return sv.holder.Refresh(ctx, sv.truth)
}

// openGeo opens the GeoIP file of the settings; nil when there is none.
func openGeo(s config.Settings) (*policy.Geo, error) {
	if s.Policy.MaxMindDBPath == "" {
		return nil, nil
	}
	geo, err := policy.OpenGeo(s.Policy.MaxMindDBPath)
	if err != nil {
		return nil, usageError{fmt.Errorf("BARONG_MAXMINDDB_PATH: %w", err)}
	}
	return geo, nil
}

func policyOptions(s config.Settings, geo *policy.Geo) policy.Options {
	p := s.Policy
	return policy.Options{Matching: p.PathMatching, Components: p.Components, Geo: geo, Lang: p.GeoIPLang}
}

// auditConfig is the part of the settings that activities go by.
func auditConfig(s config.Settings) audit.Config {
	c := audit.DefaultConfig()
	c.Queue, c.Flush, c.Required = s.Audit.Queue, s.Audit.Flush, s.Audit.Required
	c.SpillPath, c.SpillMax = s.Audit.Spill, int64(s.Audit.SpillMax)
	if c.SpillPath == "" {
		c.SpillPath = filepath.Join(dataDir(s), "audit.spill")
	}
	return c
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
	server, err := newAPI(apiParts{
		settings: s, people: people, kyc: sv.kyc, log: sv.log, services: sv.accountServices, sessions: sv.sessions, store: sv.db,
		verifier: sv.minter, keys: sv.keys, country: sv.country, clientIP: sv.decider.ClientIP, budget: sv.budget(),
		rules: editor.NewService(sv.db, sv.holder, s.Policy.WhitelinkUses, nil), abilities: f.abilities,
		explain: explainer(sv.decider), track: sv.track, record: sv.audit.Record,
		lost: sv.misdirected(),
	})
	if err != nil {
		return nil, err
	}
	sv.closers = append(sv.closers, func() error { server.Flush(); return nil })
	if s.EmbeddedGate() {
		return sv.decider.Gate(server), nil
	}
	return sv.decider.Addressed(server), nil
}

// country names where an address is, for activities.
func (sv *service) country(ip netip.Addr) string { return sv.holder.Load().Country(ip) }
