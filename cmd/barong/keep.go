package main

import (
	"context"
	"errors"
	"net/netip"
	"os"
	"time"

	"barong/identity"
	"barong/internal/configured"
	"barong/internal/feed"
	"barong/internal/rest"
	"barong/internal/session"
	"barong/policy/review"
)

// apply hears the change feed.
func (sv *service) apply(c feed.Change) {
	switch c.Kind {
	case feed.Policy:
		sv.holder.Changed()
		poke(sv.refresh)
	case feed.SigningKeys:
		poke(sv.reload)
	case feed.Principal:
		sv.directory.Apply(c)
	case feed.Key:
		sv.apiKeyOf.Apply(c)
	case feed.Session, feed.Epoch:
		sv.sessions.Apply(c)
	}
}

// stale is called when the feed does not know the changes: everything is looked at again.
func (sv *service) stale() {
	sv.directory.Stale()
	sv.apiKeyOf.Stale()
	sv.sessions.Stale()
	sv.holder.Changed()
	poke(sv.reload)
}

// caughtUp is called when the feed has been read after it was not for a while. A policy change
// that was missed in that time is in the snapshot before the feed counts as read: decisions
// that went by the old snapshot until they became an outage do not go by it once more.
func (sv *service) caughtUp(ctx context.Context) error {
	if sv.holder.Current() {
		return nil
	}
	return sv.holder.Refresh(ctx, sv.truth)
}

// reseal does what `keys reseal` does, where that cannot: no second process may open an SQLite file.
func (sv *service) reseal(ctx context.Context) {
	if len(sv.settings.Stores.OtherKeyTexts()) == 0 || !sv.settings.SQLite() {
		return
	}
	columns, err := sv.db.Reseal(ctx)
	sealed := 0
	for _, c := range columns {
		sealed += c.Sealed
	}
	switch {
	case ctx.Err() != nil: // the next start goes on
	case err != nil:
		sv.log.ErrorContext(ctx, "values are left that the sealing key does not open", "sealed_again", sealed, "columns", columns, "error", err)
	default:
		sv.log.InfoContext(ctx, "every value is of the sealing key; BARONG_SECRET_KEYS_OTHER may go", "sealed_again", sealed)
	}
}

// obeyedWithin bounds how long an answer waits until the changes of its call are obeyed.
const obeyedWithin = time.Second

// track returns a context for a call of REST, and a wait for this process to decide by all
// that the call has committed (design D26): the feed has brought it, and the snapshot
// includes it if it was about the policy. A change that takes longer than obeyedWithin is in
// force as soon as the feed can be read, as everywhere else.
func (sv *service) track(ctx context.Context) (context.Context, func()) {
	ctx, mark := feed.WithMark(ctx)
	changed := func() int64 { return sv.follower.Histories() + sv.follower.Servers() }
	before := changed()
	return ctx, func() {
		last, ok := mark.Last()
		if !ok {
			return
		}
		wait, cancel := context.WithTimeout(context.WithoutCancel(ctx), obeyedWithin)
		defer cancel()
		err := sv.follower.Reach(wait, last)
		if err == nil {
			err = sv.holder.Await(wait)
		}
		if err == nil && changed() != before {
			err = sv.truth.Includes(wait, last) // or it was lost
		}
		if err != nil {
			sv.log.WarnContext(ctx, "answered before this process obeys the change",
				"request_id", rest.RequestID(ctx), "change", last, "error", err)
		}
	}
}

// admit returns the present moment if an address may sign in by the policy as it is then. The
// gateway may have judged by an older one; a rule of after the moment ends the session itself. A
// process that cannot bring its policy up to date opens none.
func (sv *service) admit(ctx context.Context, ip netip.Addr) (session.Moment, error) {
	m, err := sv.db.Moment(ctx)
	if err != nil {
		return m, err
	}
	wait, cancel := context.WithTimeout(ctx, obeyedWithin)
	defer cancel()
	if err := sv.follower.Reach(wait, m.Commit); err != nil {
		return m, errors.Join(errBehind, err)
	}
	if err := sv.holder.Await(wait); err != nil {
		return m, errors.Join(errBehind, err)
	}
	if sv.holder.Load().BlocksLogin(ip) {
		return m, identity.ErrAddress
	}
	return m, nil
}

// errBehind is an outage: this process does not decide by the present policy.
var errBehind = errors.New("the policy is not up to date")

func poke(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// keepPolicy compiles a new snapshot when the feed says so, when SIGHUP asks to read the
// files again, and when the GeoIP file has changed; and confirms the current one.
func (sv *service) keepPolicy(ctx context.Context, hangup <-chan os.Signal) {
	confirm := time.NewTicker(time.Second)
	defer confirm.Stop()
	geo := time.NewTicker(time.Minute)
	defer geo.Stop()
	failed := false
	for {
		var refresh bool
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
			// Changes that the feed brings later belong to a later moment.
			sv.holder.Confirm(sv.follower.ReadAt())
			refresh = failed
		}
		if !refresh {
			continue
		}
		err := sv.holder.Refresh(ctx, sv.truth)
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
	options := configured.Policy(sv.settings, sv.geo)
	wrong, odd := review.Rules(f.rules, options)
	for _, x := range odd {
		sv.log.Warn("a setting or file is hardly meant so", "finding", ofFile(sv.settings, x))
	}
	if len(wrong) > 0 {
		sv.log.Error("files not read again; the old rules stay", "error", ofFile(sv.settings, wrong[0]))
		return false
	}
	sv.holder.Configure(f.rules, options)
	sv.rereadGeo()
	sv.log.Info("rules file read again")
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

// A database whose host hangs answers nothing, not even an error: these bound one turn of the
// work that goes on beside the requests, so that the next turn finds another connection.
const (
	keysTimeout  = 10 * time.Second
	sweepTimeout = time.Minute
)

func bounded(ctx context.Context, d time.Duration, f func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	return f(ctx)
}

// keepKeys moves signing keys through their states and reads them when another did, again each
// second until that succeeds: nothing else would bring a change that one failed read has missed.
func (sv *service) keepKeys(ctx context.Context) {
	tick := time.NewTicker(10 * time.Second)
	defer tick.Stop()
	again := time.NewTimer(time.Second)
	again.Stop()
	for {
		read, reload := sv.keys.Tick, true
		select {
		case <-ctx.Done():
			return
		case <-sv.reload:
			read = sv.keys.Reload
		case <-again.C:
			read = sv.keys.Reload
		case <-tick.C:
			reload = false
		}
		err := bounded(ctx, keysTimeout, read)
		if err == nil || ctx.Err() != nil {
			continue
		}
		sv.log.Error("signing keys", "error", err)
		if reload {
			again.Reset(time.Second)
		}
	}
}

// sweep removes rows that time has made useless.
func (sv *service) sweep(ctx context.Context) {
	tick := time.NewTicker(time.Minute)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		err := bounded(ctx, sweepTimeout, func(ctx context.Context) error {
			_, err := sv.db.Sweep(ctx)
			if keep := sv.settings.Audit.Keep; keep > 0 {
				_, old := sv.db.DeleteActivities(ctx, keep)
				err = errors.Join(err, old)
			}
			return err
		})
		if err != nil && ctx.Err() == nil {
			sv.log.Error("sweep", "error", err)
		}
	}
}

// sweepRequests closes requests for a second member of the staff whose time is over.
func (sv *service) sweepRequests(ctx context.Context) {
	eachMinute(ctx, func() {
		err := bounded(ctx, sweepTimeout, func(ctx context.Context) error {
			n, err := sv.requests.LapseOverdue(ctx)
			if n > 0 {
				sv.log.Info("requests have lapsed", "requests", n)
			}
			return err
		})
		if err != nil && ctx.Err() == nil {
			sv.log.Error("lapse requests", "error", err)
		}
	})
}

// eachMinute calls f once a minute, the first time after one, until ctx ends.
func eachMinute(ctx context.Context, f func()) {
	tick := time.NewTicker(time.Minute)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			f()
		}
	}
}

// sweepDocuments lowers users whose documents have expired, and once an hour removes files that an
// upload has left behind.
func (sv *service) sweepDocuments(ctx context.Context) {
	var swept time.Time
	eachMinute(ctx, func() {
		err := bounded(ctx, sweepTimeout, func(ctx context.Context) error {
			n, err := sv.persons.ExpireDocuments(ctx)
			if n > 0 {
				sv.log.Info("documents have expired", "users", n)
			}
			return err
		})
		if time.Since(swept) > time.Hour {
			swept = time.Now()
			err = errors.Join(err, bounded(ctx, filesTimeout, sv.sweepFiles))
		}
		if err != nil && ctx.Err() == nil {
			sv.log.Error("sweep of documents", "error", err)
		}
	})
}

// filesTimeout bounds one look at all files.
const filesTimeout = 30 * time.Minute

func (sv *service) sweepFiles(ctx context.Context) error {
	removed, strange, err := sv.persons.SweepFiles(ctx)
	if removed > 0 {
		sv.log.Info("files of no document removed", "files", removed)
	}
	if strange > 0 {
		sv.log.Warn("old files of no document are left: they may be another database's", "files", strange)
	}
	return err
}
