package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"
)

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
	background.Go(func() { sv.keepPolicy(working, hangup) })
	background.Go(func() { sv.keepKeys(working) })
	background.Go(func() { sv.sweep(working) })
	background.Go(func() { sv.db.WatchClock(working) })
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

	failed := make(chan error, 4)
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
	sv.drain(limit, total-min(total/4, 5*time.Second), restServer, forwardServer)
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

// ready reports why this process should not be asked, or nil. It does not ask the database:
// while that is away, warm decisions go on until their data is too old (design D21), and the
// change feed's age shows when.
func (sv *service) ready(context.Context) error {
	now := time.Now()
	switch {
	case sv.stopping.Load():
		return errors.New("stopping")
	case sv.holder.Age(now) > sv.settings.Policy.MaxStale:
		return errors.New("the policy is too old")
	case sv.follower.Age(now) > sv.settings.Decision.CacheMaxStale:
		return errors.New("the change feed has not been read for too long")
	}
	return nil
}
