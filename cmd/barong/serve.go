package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"barong/authz"
	"barong/internal/account"
	"barong/internal/audit"
	"barong/internal/config"
	"barong/internal/feed"
	"barong/internal/session"
	"barong/internal/store"
	"barong/internal/token"
	"barong/policy"
)

type serveCmd struct{}

func (serveCmd) Run(ctx context.Context, term *terminal) error {
	s, f, err := load(term)
	if err != nil {
		return err
	}
	db, err := openMigrated(ctx, s)
	if err != nil {
		return err
	}
	defer db.Close()
	sv, err := newService(ctx, s, f, db, term)
	if err != nil {
		return err
	}
	return sv.run(ctx)
}

// service is everything that runs, wired.
type service struct {
	settings config.Settings
	term     *terminal
	log      *slog.Logger
	db       *store.DB

	follower  *feed.Follower
	holder    *policy.Holder
	geo       *policy.Geo // nil when there is none
	sessions  *session.Manager
	directory *account.Directory
	keys      *token.Keys
	minter    *token.Minter
	audit     *audit.Writer
	accounts  *account.Service
	decisions *authz.DecisionLog
	decider   *authz.Server
	grpc      *authz.GRPC
	rest      http.Handler
	ops       http.Handler

	password string // of the first superadmin, until it was shown

	// policySeq is the newest policy change that the feed has told of.
	policySeq atomic.Int64
	refresh   chan struct{} // asks for a new snapshot; capacity one
	reload    chan struct{} // asks for the signing keys; capacity one
}

// newService makes every part. What it needs of the database it reads here, after the
// change feed's head, so that no change falls between.
func newService(ctx context.Context, s config.Settings, f files, db *store.DB, term *terminal) (*service, error) {
	sv := &service{
		settings: s, term: term, log: newLog(s, term), db: db,
		refresh: make(chan struct{}, 1), reload: make(chan struct{}, 1),
	}
	hasher := newHasher(s)
	sv.accounts = newAccounts(s, f, db, hasher)
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

	if err := sv.openPolicy(ctx, f); err != nil {
		return nil, err
	}
	if sv.keys, err = openKeys(ctx, s, db); err != nil {
		return nil, err
	}
	if sv.minter, err = token.NewMinter(sv.keys, token.Config{
		Lifetime: s.Token.Expire, Reuse: s.Token.Reuse, IatBackdate: s.Token.IatBackdate,
	}); err != nil {
		return nil, errUsage{err}
	}
	sv.sessions = session.NewManager(session.Config{
		Lifetime: s.Session.Expire, Absolute: s.Session.Absolute, Size: s.Session.CacheSize, Loads: s.Account.LoadsAtOnce,
	}, db, db, nil, sv.log)
	if err := sv.sessions.Start(ctx); err != nil {
		return nil, err
	}
	sv.directory = account.NewDirectory(account.DirectoryConfig{
		Principals: s.Account.CacheSize, Keys: s.APIKey.CacheSize, Loads: s.Account.LoadsAtOnce,
	}, db, nil)
	if err := sv.openAudit(); err != nil {
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
	if sv.decider, err = authz.New(authz.Parts{
		Rules: sv.holder, Feed: sv.follower, Sessions: sv.sessions, Accounts: sv.directory, Tokens: sv.minter,
		Nonces: db, Activities: sv.audit, Metrics: metrics, Log: sv.decisions,
	}, decisionConfig(s)); err != nil {
		return nil, errUsage{err}
	}
	sv.grpc = authz.NewGRPC(sv.decider, authz.GRPCConfig{
		Generated: s.Decision.GRPCCodec == "generated", MaxConnectionAge: s.Decision.MaxConnectionAge,
	})
	if sv.rest, err = sv.newREST(); err != nil {
		return nil, err
	}
	sv.measure(registry)
	sv.ops = opsHandler(registry, sv.ready, s.Listen.PProf)
	return sv, nil
}

// decisionConfig is the part of the settings that decisions go by.
func decisionConfig(s config.Settings) authz.Config {
	return authz.Config{
		RBACDeniedStatus: s.Decision.RBACDeniedStatus, OutageAnswer: s.Decision.OutageAnswer,
		ForwardCredentials: s.Decision.ForwardCredentials, Metadata: s.Decision.DynamicMetadata,
		CSRFProtection: s.Decision.CSRFProtection, Origins: s.Decision.Origins,
		PolicyMaxStale: s.Policy.MaxStale, CacheMaxStale: s.Decision.CacheMaxStale, Deadline: s.Decision.Deadline,
		AuditRequired: s.Audit.Required,
		SessionName:   s.Session.Name, SecureCookie: s.SecureCookie(), SessionAbsolute: s.Session.Absolute,
		SessionMaskV4: s.Session.MaskV4, SessionMaskV6: s.Session.MaskV6,
		NonceLifetime: s.APIKey.NonceLifetime, Replay: authz.Replay(s.APIKey.Replay), APIKeyForbidden: s.APIKey.Forbidden,
		TrustedProxies: s.Client.TrustedProxies, Gateway: s.Client.Gateway, GatewayNetworks: s.Client.GatewayNetworks,
		TrustPipe: strings.HasPrefix(s.Listen.GRPC, "unix:"),
	}
}

func (sv *service) openPolicy(ctx context.Context, f files) error {
	s := sv.settings
	if s.Policy.MaxMindDBPath != "" {
		geo, err := policy.OpenGeo(s.Policy.MaxMindDBPath)
		if err != nil {
			return errUsage{fmt.Errorf("BARONG_MAXMINDDB_PATH: %w", err)}
		}
		sv.geo = geo
	}
	sv.holder = policy.NewHolder(f.rules, sv.policyOptions(), sv.log, nil)
	return sv.holder.Refresh(ctx, sv.db)
}

func (sv *service) policyOptions() policy.Options {
	p := sv.settings.Policy
	return policy.Options{Matching: p.PathMatching, Components: p.Components, Geo: sv.geo, Lang: p.GeoIPLang}
}

func (sv *service) openAudit() error {
	s := sv.settings
	path := s.Audit.Spill
	if path == "" {
		path = filepath.Join(dataDir(s), "audit.spill")
	}
	c := audit.DefaultConfig()
	c.Queue, c.Flush, c.Required = s.Audit.Queue, s.Audit.Flush, s.Audit.Required
	c.SpillPath, c.SpillMax = path, int64(s.Audit.SpillMax)
	if err := c.Validate(); err != nil {
		return errUsage{err}
	}
	var err error
	sv.audit, err = audit.NewWriter(c, sv.db, sv.log, nil)
	return err
}

// newREST mounts the REST APIs, behind the embedded gate if it is on.
func (sv *service) newREST() (http.Handler, error) {
	s := sv.settings
	server, err := newAPI(apiParts{
		settings: s, log: sv.log, accounts: sv.accounts, sessions: sv.sessions, store: sv.db,
		verifier: sv.minter, keys: sv.keys, country: sv.country, clientIP: sv.decider.ClientIP,
	})
	if err != nil {
		return nil, err
	}
	if s.EmbeddedGate() {
		return sv.decider.Gate(server), nil
	}
	return server, nil
}

// apply hears the change feed.
func (sv *service) apply(c feed.Change) {
	switch c.Kind {
	case feed.Policy:
		sv.policySeq.Store(c.Seq)
		poke(sv.refresh)
	case feed.SigningKeys:
		poke(sv.reload)
	case feed.Principal, feed.Key:
		sv.directory.Apply(c)
	case feed.Session, feed.Epoch:
		sv.sessions.Apply(c)
	}
}

// stale is told when the feed cannot say what changed: everything is looked at again.
func (sv *service) stale() {
	sv.directory.Stale()
	sv.sessions.Stale()
	sv.policySeq.Store(sv.follower.Cursor())
	poke(sv.refresh)
	poke(sv.reload)
}

func poke(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// ready reports why this process should not be asked, or nil.
func (sv *service) ready(ctx context.Context) error {
	now := time.Now()
	if sv.holder.Age(now) > sv.settings.Policy.MaxStale {
		return errors.New("the policy is too old")
	}
	if sv.follower.Age(now) > sv.settings.Decision.CacheMaxStale {
		return errors.New("the change feed has not been read for too long")
	}
	return sv.db.Ping(ctx)
}

// run listens and serves until ctx ends, then stops in the order in which nothing is lost.
func (sv *service) run(ctx context.Context) error {
	listeners, err := sv.listen()
	if err != nil {
		return err
	}
	var background, writers sync.WaitGroup
	working, stopWorking := context.WithCancel(context.WithoutCancel(ctx))
	writing, stopWriting := context.WithCancel(context.WithoutCancel(ctx))
	defer stopWorking()
	defer stopWriting()

	writers.Go(func() { sv.audit.Run(writing) })
	writers.Go(func() { _ = sv.decisions.Run(writing) })
	background.Go(func() { sv.follower.Run(working) })
	background.Go(func() { sv.sessions.Run(working) })
	background.Go(func() { sv.directory.Run(working) })
	background.Go(func() { sv.keepPolicy(working) })
	background.Go(func() { sv.keepKeys(working) })
	background.Go(func() { sv.sweep(working) })
	background.Go(func() { tuneCollector(working) })
	background.Go(func() { sv.grpc.WatchReady(working, time.Second, sv.ready) })

	failed := make(chan error, 4)
	serve := func(name string, f func() error) {
		go func() {
			if err := f(); err != nil && !errors.Is(err, http.ErrServerClosed) {
				failed <- fmt.Errorf("%s listener: %w", name, err)
			}
		}()
	}
	restServer := newHTTPServer(sv.rest, sv.log)
	forwardServer := newHTTPServer(sv.decider.Forward(), sv.log)
	opsServer := newHTTPServer(sv.ops, sv.log)
	serve("REST", func() error { return restServer.Serve(listeners.http) })
	serve("forward-auth", func() error { return forwardServer.Serve(listeners.forward) })
	serve("ops", func() error { return opsServer.Serve(listeners.ops) })
	serve("gRPC", func() error { return sv.grpc.Serve(listeners.grpc) })
	sv.greet()

	var cause error
	select {
	case <-ctx.Done():
		sv.log.Info("stopping")
	case cause = <-failed:
	}

	// Health first, then no new work, then what is still in memory.
	limit, cancel := context.WithTimeout(context.WithoutCancel(ctx), sv.settings.Process.ShutdownTimeout)
	defer cancel()
	errs := []error{cause, sv.grpc.Shutdown(limit, sv.settings.Process.DrainDelay)}
	errs = append(errs, forwardServer.Shutdown(limit), restServer.Shutdown(limit))
	stopWorking()
	background.Wait()
	errs = append(errs, sv.sessions.Flush(limit))
	stopWriting()
	writers.Wait()
	errs = append(errs, sv.audit.Close(limit), opsServer.Shutdown(limit))
	return errors.Join(errs...)
}

// keepPolicy compiles a new snapshot when the feed says so, when SIGHUP asks to read the
// files again, and when the GeoIP file has changed; and confirms the current one.
func (sv *service) keepPolicy(ctx context.Context) {
	hangup := make(chan os.Signal, 1)
	signal.Notify(hangup, syscall.SIGHUP)
	defer signal.Stop(hangup)
	confirm := time.NewTicker(time.Second)
	defer confirm.Stop()
	geo := time.NewTicker(time.Minute)
	defer geo.Stop()
	failed := false
	for {
		refresh := false
		select {
		case <-ctx.Done():
			return
		case <-sv.refresh:
			refresh = true
		case <-hangup:
			refresh = sv.rereadFiles()
		case <-geo.C:
			refresh = sv.rereadGeo()
		case <-confirm.C:
			// The age first: what the feed tells after it belongs to a later moment.
			now := time.Now()
			at := now.Add(-sv.follower.Age(now))
			sv.holder.Confirm(sv.policySeq.Load(), at)
			refresh = failed
		}
		if !refresh {
			continue
		}
		err := sv.holder.Refresh(ctx, sv.db)
		if failed = err != nil; failed && ctx.Err() == nil {
			sv.log.Error("policy not refreshed; the old one stays", "error", err)
		}
	}
}

func (sv *service) rereadFiles() bool {
	f, err := policyFiles(sv.settings)
	if err != nil {
		sv.log.Error("files not read again; the old rules stay", "error", err)
		return false
	}
	sv.holder.Configure(f.rules, sv.policyOptions())
	sv.rereadGeo()
	sv.log.Info("files read again")
	return true
}

func (sv *service) rereadGeo() bool {
	if sv.geo == nil {
		return false
	}
	changed, err := sv.geo.Reload()
	if err != nil {
		sv.log.Error("GeoIP file not read again; the old one stays", "error", err)
	}
	return changed
}

// keepKeys moves signing keys through their states and reads them when another did.
func (sv *service) keepKeys(ctx context.Context) {
	tick := time.NewTicker(10 * time.Second)
	defer tick.Stop()
	for {
		var err error
		select {
		case <-ctx.Done():
			return
		case <-sv.reload:
			err = sv.keys.Reload(ctx)
		case <-tick.C:
			err = sv.keys.Tick(ctx)
		}
		if err != nil && ctx.Err() == nil {
			sv.log.Error("signing keys", "error", err)
		}
	}
}

// sweep removes what time has made useless.
func (sv *service) sweep(ctx context.Context) {
	tick := time.NewTicker(time.Minute)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if _, err := sv.db.Sweep(ctx, time.Now()); err != nil && ctx.Err() == nil {
			sv.log.Error("sweep", "error", err)
		}
	}
}

// bound is the listeners, bound before anything is served, so that a port in use is told
// at once.
type bound struct{ http, grpc, forward, ops net.Listener }

func (sv *service) listen() (bound, error) {
	var b bound
	var errs []error
	l := sv.settings.Listen
	for _, x := range []struct {
		key, addr string
		into      *net.Listener
	}{
		{"BARONG_HTTP_ADDR", l.HTTP, &b.http},
		{"BARONG_GRPC_ADDR", l.GRPC, &b.grpc},
		{"BARONG_FORWARD_ADDR", l.Forward, &b.forward},
		{"BARONG_OPS_ADDR", l.Ops, &b.ops},
	} {
		got, err := listenOn(x.addr)
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", x.key, err))
			continue
		}
		*x.into = got
	}
	if len(errs) > 0 {
		for _, got := range []net.Listener{b.http, b.grpc, b.forward, b.ops} {
			if got != nil {
				got.Close()
			}
		}
		return bound{}, errors.Join(errs...)
	}
	return b, nil
}

// listenOn binds host:port, or unix:///path as a socket of mode 0660. A socket that a dead
// process left behind is replaced; one that answers is not.
func listenOn(addr string) (net.Listener, error) {
	path, ok := strings.CutPrefix(addr, "unix://")
	if !ok {
		return net.Listen("tcp", addr)
	}
	if info, err := os.Stat(path); err == nil && info.Mode()&os.ModeSocket != 0 {
		c, err := net.DialTimeout("unix", path, time.Second)
		if err == nil {
			c.Close()
			return nil, fmt.Errorf("%s: another process listens there", path)
		}
		if err := os.Remove(path); err != nil {
			return nil, err
		}
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		return nil, err
	}
	if err := os.Chmod(path, 0o660); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return l, nil
}

func newHTTPServer(h http.Handler, log *slog.Logger) *http.Server {
	return &http.Server{
		Handler:           h,
		ReadHeaderTimeout: 10 * time.Second,
		ReadTimeout:       60 * time.Second,
		WriteTimeout:      60 * time.Second,
		IdleTimeout:       120 * time.Second,
		MaxHeaderBytes:    128 << 10,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelWarn),
	}
}

// country names where an address is, for activities.
func (sv *service) country(ip netip.Addr) string { return sv.holder.Load().Country(ip) }

// measure registers the figures that parts keep themselves.
func (sv *service) measure(r prometheus.Registerer) {
	gauge(r, "barong_feed_lag_seconds", "Time since the change feed was last read.",
		func() float64 { return sv.follower.Age(time.Now()).Seconds() })
	gauge(r, "barong_snapshot_age_seconds", "Time since the policy snapshot was last known to be the newest.",
		func() float64 { return sv.holder.Age(time.Now()).Seconds() })
	gauge(r, "barong_snapshot_version", "Change-feed number of the policy snapshot.",
		func() float64 { return float64(sv.holder.Load().Version()) })
	gauge(r, "barong_sessions_cached", "Sessions in memory.",
		func() float64 { return float64(sv.sessions.Len()) })
	counter(r, "barong_session_loads_total", "Sessions read from the store.",
		func() float64 { return float64(sv.sessions.Loads()) })
	gauge(r, "barong_audit_queue_depth", "Activities waiting in memory.",
		func() float64 { return float64(sv.audit.QueueDepth()) })
	gauge(r, "barong_audit_spill_bytes", "Size of the spill file.",
		func() float64 { return float64(sv.audit.SpillBytes()) })
	counter(r, "barong_audit_written_total", "Activities written to the database.",
		func() float64 { return float64(sv.audit.Written()) })
	counter(r, "barong_audit_folded_total", "Denials that were folded into a counted row.",
		func() float64 { return float64(sv.audit.Folded()) })
	counter(r, "barong_audit_lost_total", "Activities that could be kept nowhere.",
		func() float64 { return float64(sv.audit.Lost()) })
}
