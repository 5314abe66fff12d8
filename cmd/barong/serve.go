package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"

	"barong/authz"
	"barong/internal/account"
	"barong/internal/audit"
	"barong/internal/configured"
	"barong/internal/feed"
	"barong/internal/store"
	"barong/internal/token"
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

// newService makes every part. It reads all that it needs of the database here, after the
// change feed's head, so that no change falls between.
func newService(
	ctx context.Context, p prepared, db *store.DB, stores shared, log *slog.Logger, term *terminal,
) (*service, error) {
	s, f := p.settings, p.files
	sv := &service{
		settings: s, files: f, term: term, log: log, db: db, truth: db, stores: stores, geo: p.geo, tls: p.tls,
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
	if sv.minter, err = token.NewMinter(sv.keys, configured.Tokens(s)); err != nil {
		return nil, err
	}
	if err := sv.openCaches(ctx, stores.sessionConfig(s, db.Shared), stores.sessions); err != nil {
		return nil, err
	}
	if sv.audit, err = audit.NewWriter(configured.Audit(s), db, sv.log, nil); err != nil {
		return nil, err
	}
	sv.follower.Start(head)
	if err := sv.follower.Sync(ctx); err != nil {
		return nil, err
	}

	registry := newMetrics()
	sv.metrics = registry
	metrics := authz.NewMetrics(registry)
	sv.decisions = authz.NewDecisionLog(term.err, func(w io.Writer) slog.Handler {
		return newHandler(s, term)(w, slog.LevelInfo)
	}, s.Decision.LogSample, 0, metrics.LineDropped)
	readable, err := configured.CORS(s).Readable()
	if err != nil {
		return nil, usageError{err}
	}
	decisions := configured.Decisions(s)
	decisions.StaffRoles = append(f.abilities.Staff(), account.RoleSuperadmin, account.RoleAdmin)
	if sv.decider, err = authz.New(authz.Parts{
		Rules: sv.holder, Feed: sv.follower, Sessions: sv.sessions, Accounts: sv.directory, Keys: sv.apiKeyOf, Uses: sv.keyUses, Tokens: sv.minter,
		Nonces: stores.nonces, Activities: sv.audit, Metrics: metrics, Log: sv.decisions,
		Readable: readable, Warnings: sv.log, Shared: db.Shared,
	}, decisions); err != nil {
		return nil, usageError{err}
	}
	if s.OpenGRPC() {
		sv.log.Warn("gRPC listens beyond this machine without TLS: whoever is on the way can answer for us",
			"address", s.Listen.GRPC)
	}
	grpcParts := configured.GRPC(s)
	if sv.tls.grpc != nil {
		grpcParts.Options = []grpc.ServerOption{grpc.Creds(credentials.NewTLS(sv.tls.grpc))}
	}
	sv.grpc = authz.NewGRPC(sv.decider, grpcParts)
	if err := sv.openRelay(f); err != nil {
		return nil, err
	}
	if sv.rest, err = sv.newREST(f, p.people); err != nil {
		return nil, err
	}
	sv.measure(registry)
	sv.ops = opsHandler(registry, sv.ready, s.Listen.PProf)
	if s.LoopbackOps() { // elsewhere collectors and probes ask by any name and address
		sv.ops = authz.LoopbackHosts(sv.ops)
	}
	return sv, nil
}

// run serves on the listeners until ctx ends or one of them fails, then stops in the order
// in which nothing is lost.
func (sv *service) run(ctx context.Context, at bound) error {
	hangup := make(chan os.Signal, 1)
	signal.Notify(hangup, syscall.SIGHUP) // before anybody knows that we serve: it would end us
	defer signal.Stop(hangup)
	var background, writers sync.WaitGroup
	working, stopWorking := context.WithCancel(context.WithoutCancel(ctx))
	writing, stopWriting := context.WithCancel(context.WithoutCancel(ctx))
	defer stopWorking()
	defer stopWriting()

	writers.Go(func() { sv.audit.Run(writing) })
	writers.Go(func() { _ = sv.decisions.Run(writing) }) // where would its error be written?
	background.Go(func() { sv.follower.Run(working) })
	background.Go(func() { sv.sessions.Run(working) })
	background.Go(func() { sv.apiKeyOf.Run(working) })
	background.Go(func() { sv.keyUses.Run(working) })
	background.Go(func() { sv.keepPolicy(working, hangup) })
	background.Go(func() { sv.keepKeys(working) })
	background.Go(func() { sv.sweep(working) })
	background.Go(func() { sv.sweepDocuments(working) })
	background.Go(func() { sv.sweepRequests(working) })
	background.Go(func() { sv.db.Watch(working) })
	background.Go(func() { sv.reseal(working) })
	background.Go(func() { sv.relay.Run(working) })
	if redis := sv.stores.redis; redis != nil {
		background.Go(func() { redis.Watch(working, time.Second) })
	}
	receiving, stopReceiving := context.WithCancel(working)
	defer stopReceiving()
	if sv.inbox != nil {
		background.Go(func() { sv.inbox.Run(receiving) })
	}
	background.Go(func() { tuneCollector(working) })
	background.Go(func() { sv.grpc.WatchReady(working, time.Second, sv.ready) })

	failed := make(chan error, 6)
	serve := func(name string, f func() error) {
		go func() {
			if err := f(); err != nil && !errors.Is(err, http.ErrServerClosed) {
				failed <- fmt.Errorf("%s listener: %w", name, err)
			}
		}()
	}
	restServer := newHTTPServer(sv.leaving(sv.rest), sv.log)
	forwardServer := newHTTPServer(sv.leaving(sv.decider.Forward()), sv.log)
	opsServer := newHTTPServer(sv.ops, sv.log)
	serve("REST", func() error { return restServer.Serve(secured(at.http, sv.tls.http)) })
	serve("forward-auth", func() error { return forwardServer.Serve(secured(at.forward, sv.tls.forward)) })
	serve("ops", func() error { return opsServer.Serve(at.ops) })
	serve("gRPC", func() error { return sv.grpc.Serve(at.grpc) })
	draining := []*http.Server{restServer, forwardServer}
	if at.management != nil {
		managementServer := newHTTPServer(sv.leaving(sv.peers), sv.log)
		serve("management", func() error { return managementServer.Serve(secured(at.management, sv.tls.management)) })
		draining = append(draining, managementServer)
	}
	if l := listenControl(sv.settings, sv.log); l != nil {
		controlServer := newControlServer(sv)
		serve("control", func() error { return controlServer.Serve(l) })
		draining = append(draining, controlServer)
	}
	sv.greet(at)

	var cause error
	select {
	case <-ctx.Done():
		sv.log.Info("stopping")
	case cause = <-failed:
		sv.log.Error("stopping", "error", cause)
	}

	stopReceiving() // mails of events that come now would wait for the next start
	// Connections that do not end may take their time, but not that of the last writes.
	total := sv.settings.Process.ShutdownTimeout
	limit, cancel := context.WithTimeout(context.WithoutCancel(ctx), total)
	defer cancel()
	sv.drain(limit, total-min(total/4, 5*time.Second), draining...)
	sv.closeRelay(limit)
	errs := []error{cause}
	for _, c := range sv.closers {
		errs = append(errs, c())
	}
	stopWorking()
	background.Wait()
	errs = append(errs, sv.sessions.Flush(limit))
	stopWriting()
	writers.Wait()
	errs = append(errs, sv.audit.Close(limit))
	if err := errors.Join(errs...); err != nil {
		return err
	}
	_ = opsServer.Close() // served until the very end, so that the end can be watched
	sv.log.Info("stopped")
	return nil
}

// closeRelay sends events that are due, in half of the time that ctx leaves: unsent events
// stay in the outbox, but the data to be written after it is nowhere else.
func (sv *service) closeRelay(ctx context.Context) {
	if end, ok := ctx.Deadline(); ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, time.Until(end)/2)
		defer cancel()
	}
	if err := sv.relay.Close(ctx); err != nil {
		sv.log.Warn("events wait for the next process", "error", err)
	}
}

// drain says NOT_SERVING, waits the drain delay, asks connections to leave and lets the
// requests under way end, all within the time given. Connections that remain are cut off.
func (sv *service) drain(ctx context.Context, within time.Duration, servers ...*http.Server) {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	sv.stopping.Store(true)
	delay := sv.settings.Process.DrainDelay
	var all sync.WaitGroup
	all.Go(func() {
		if err := sv.grpc.Shutdown(ctx, delay); err != nil {
			sv.log.Warn("gRPC connections cut off", "error", err)
		}
	})
	for _, s := range servers {
		all.Go(func() {
			pause := time.NewTimer(delay)
			defer pause.Stop()
			select {
			case <-pause.C:
			case <-ctx.Done():
			}
			if err := s.Shutdown(ctx); err != nil {
				sv.log.Warn("HTTP connections cut off", "error", err)
				_ = s.Close()
			}
		})
	}
	all.Wait()
}

// leaving serves next, and while this process is stopping asks each connection with its answer to
// go elsewhere: an idle one that is closed at the end may be one on which a request is under way.
func (sv *service) leaving(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if sv.stopping.Load() {
			w.Header().Set("Connection", "close")
		}
		next.ServeHTTP(w, r)
	})
}
