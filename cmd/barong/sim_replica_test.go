package main

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"barong/authz"
	"barong/internal/account"
	"barong/internal/apikey"
	"barong/internal/audit"
	"barong/internal/configured"
	"barong/internal/directory"
	"barong/internal/feed"
	"barong/internal/limit"
	"barong/internal/session"
	"barong/internal/store"
	"barong/internal/testenv"
	"barong/internal/token"
	"barong/policy"
)

// simReplica is one process of the service: the parts that the feed keeps true and those that
// decide by them, wired as newService does.
type simReplica struct {
	w    *simWorld
	id   int
	link *simLink
	set  atomic.Int64 // seconds by which its machine's clock is ahead

	clock atomic.Pointer[store.Clock] // of the process that was started last
	// Guarded by w.mu.
	sv      *service // nil while it is down
	decider http.Handler
	stop    context.CancelFunc
}

// now is what its machine's clock says.
func (r *simReplica) now() time.Time { return testenv.Stepped(time.Now(), r.set.Load()) }

// time is the shared time, as far as the process knows it.
func (r *simReplica) time() time.Time {
	if r.w.fault == faultOpensByOwnClock {
		return r.now()
	}
	return r.clock.Load().Time(r.now())
}

// compared makes the process's knowledge of the shared time, as store.DB does.
func (r *simReplica) compared(ctx, starting context.Context) (shared func(time.Time) time.Time, err error) {
	clock := store.NewClock(simLog)
	var offset atomic.Int64 // by the wall clock
	compare := func(ctx context.Context, what string) error {
		asked := r.now()
		theirs, err := simRead(ctx, r.link, what, func(*simState) (time.Time, error) { return time.Now(), nil })
		if err != nil {
			return err
		}
		answered := r.now()
		if r.w.fault == faultSlowClockCounts {
			asked = answered
		}
		clock.Compared(asked, answered, theirs)
		offset.Store(int64(clock.Offset(answered)))
		return nil
	}
	if err := compare(starting, "first clock"); err != nil {
		return nil, err
	}
	if r.w.fault != faultComparesOnce {
		go clock.Watch(ctx, r.now, func(ctx context.Context) {
			_ = bounded(ctx, 5*time.Second, func(ctx context.Context) error { return compare(ctx, "clock") })
		})
	}
	r.clock.Store(clock)
	switch r.w.fault {
	case faultOwnClocks:
		return func(now time.Time) time.Time { return now }, nil
	case faultComparesOnce, faultWallOffset:
		return func(now time.Time) time.Time { return now.Round(0).Add(-time.Duration(offset.Load())) }, nil
	}
	return clock.Time, nil
}

// run starts the process, again until all its reads of the database succeed.
func (r *simReplica) run() {
	for {
		ctx, stop := context.WithCancel(context.Background())
		starting, give := context.WithTimeout(ctx, 2*time.Second)
		sv, decider, err := r.start(ctx, starting)
		give()
		if err == nil {
			r.w.mu.Lock()
			r.sv, r.decider, r.stop = sv, decider, stop
			r.w.note("", "r%d has started", r.id)
			r.w.mu.Unlock()
			return
		}
		stop()
		time.Sleep(100*time.Millisecond + r.w.delay(r.id, "start"))
	}
}

// kill ends the process; run starts another.
func (r *simReplica) kill() bool {
	r.w.mu.Lock()
	defer r.w.mu.Unlock()
	if r.sv == nil {
		return false // being started
	}
	r.stop()
	r.sv, r.decider = nil, nil
	r.w.note("", "r%d is killed", r.id)
	return true
}

func (r *simReplica) start(ctx, starting context.Context) (*service, http.Handler, error) {
	w, f := r.w, r.w.fault
	sv := &service{
		log: simLog, truth: r.link,
		refresh: make(chan struct{}, 1), reload: make(chan struct{}, 1),
	}
	source := &simSource{simLink: r.link, sv: sv}
	shared, err := r.compared(ctx, starting)
	if err != nil {
		return nil, nil, err
	}
	if sv.keys = w.fixed; w.rotates {
		if sv.keys, err = token.OpenKeys(starting, r.keyStore(), simKeysConfig(), r.time); err != nil {
			return nil, nil, err
		}
	}
	// Meanwhile accounts are looked at and made.
	if err := simSleep(starting, 4*w.delay(r.id, "first start")); err != nil {
		return nil, nil, err
	}
	head, err := source.Head(starting)
	if err != nil {
		return nil, nil, err
	}
	cfg := feed.FollowerConfig{Batch: 3, Timeout: time.Second, Late: 500 * time.Millisecond}
	if f == faultNeverPolls {
		cfg.Every = time.Hour
	}
	sv.follower = feed.NewFollower(source, cfg, r.now, sv.log)
	naive := &simNaive{
		reader: r.link, held: map[string]*account.Principal{}, absent: map[string]bool{}, drops: map[string]int{}, fault: f,
	}
	sv.follower.Subscribe(func(c feed.Change) {
		if f == faultToldLate {
			time.AfterFunc(120*time.Millisecond, func() { sv.apply(c) })
			return
		}
		if f == simDeaf[c.Kind] {
			return
		}
		sv.apply(c)
		naive.drop(c.Ref)
	})
	sv.follower.OnGap(func() {
		naive.gap()
		r.stale(sv)
	})
	if f != faultNoCatchUp {
		sv.follower.OnCatchUp(sv.caughtUp)
	}
	sv.holder = policy.NewHolder(policy.RouteRules{}, configured.Policy(simSettings, nil), sv.log, r.now)
	if f == faultOldRows {
		sv.truth = &simOldRows{simLink: r.link}
	}
	if err := sv.holder.Refresh(starting, sv.truth); err != nil {
		return nil, nil, err
	}
	if f != faultKeysBeforeHead {
		poke(sv.reload)
	}
	var store session.Store = simTable{r.link}
	var nonces authz.Nonces = r.link
	sv.stores.limits = r.link
	if w.redis != nil {
		cache := simCache{w.redis, r.id}
		store, nonces, sv.stores.limits = cache, cache, cache
	}
	if f != faultOwnClock {
		sv.stores.limits = limit.Shared{Store: sv.stores.limits, Time: shared}
	}
	if sv.sessions, err = session.NewManager(r.sessionConfig(shared), store, r.link, r.now, sv.log); err != nil {
		return nil, nil, err
	}
	if err := sv.sessions.Start(starting); err != nil {
		return nil, nil, err
	}
	if sv.directory, err = directory.New(directory.Config{Size: 100, Loads: 64}, r.link, r.now); err != nil {
		return nil, nil, err
	}
	if sv.apiKeyOf, err = apikey.NewCache(apikey.CacheConfig{Size: 100, Loads: 64}, r.link, r.now); err != nil {
		return nil, nil, err
	}
	if f == faultHeadLast {
		if head, err = source.Head(starting); err != nil {
			return nil, nil, err
		}
	}
	sv.follower.Start(head)
	if err := sv.follower.Sync(starting); err != nil {
		return nil, nil, err
	}
	if sv.minter, err = token.NewMinter(sv.keys, token.Config{Lifetime: simTokenLife, Reuse: simReuse}); err != nil {
		return nil, nil, err
	}
	parts := authz.Parts{
		Rules: sv.holder, Feed: sv.follower, Sessions: sv.sessions, Accounts: sv.directory, Keys: sv.apiKeyOf, Tokens: sv.minter,
		Nonces: nonces, Activities: simActivities{}, Now: r.now, Shared: shared,
	}
	switch f {
	case faultAgeless:
		parts.Feed = simAgeless{}
	case faultWallClock:
		parts.Feed = simStepped{sv.follower, w}
	case faultUseProlongs:
		parts.Feed = &simProlonged{Follower: sv.follower}
	case faultKeepsFlight, faultFlightOverGap:
		parts.Accounts = simNaiveAccounts{sv.directory, naive}
	case faultServesStale, faultFailsOpen:
		parts.Accounts = &simOldAccounts{Directory: sv.directory, fault: f}
	case faultSlotOfAnyKey:
		parts.Tokens = &simAnyKey{Minter: sv.minter}
	case faultKeepsAbsent:
		parts.Keys = simNaiveKeys{sv.apiKeyOf, naive}
	case faultTokensByOwnClock:
		parts.Tokens = simOwnTime{sv.minter, r}
	case faultSlidesByOwnClock:
		parts.Sessions = simOwnSlide{sv.sessions, r}
	case faultSlotByUser:
		parts.Tokens = simOneVersion{sv.minter}
	case faultPolicyAgeless:
		parts.Rules = simAgelessRules{sv.holder}
	case faultGraceless:
		parts.Accounts = simEndlessGrace{sv.directory}
	case faultRenewedLivesOn:
		parts.Sessions = simNoneEnded{sv.sessions}
	case faultExpiryIgnored:
		parts.Sessions = simImmortal{sv.sessions}
	}
	c := configured.Decisions(simSettings)
	c.PolicyMaxStale, c.CacheMaxStale, c.SessionAbsolute = simPolicyStale, simCacheStale, w.absolute
	c.NonceLifetime = w.nonceLife
	if w.enforce {
		c.Replay = authz.ReplayEnforce
	}
	if f == faultNoAbsolute {
		c.SessionAbsolute = 0
	}
	server, err := authz.New(parts, c)
	if err != nil {
		return nil, nil, err
	}
	if w.events {
		if err := r.startRelay(ctx); err != nil {
			return nil, nil, err
		}
	}
	go sv.follower.Run(ctx)
	go sv.keepPolicy(ctx, nil)
	go sv.keepKeys(ctx)
	if w.life > 0 {
		go sv.sessions.Run(ctx)
	}
	return sv, server.Forward(), nil
}

var simLog = slog.New(slog.DiscardHandler)

// simKeysConfig makes no key by itself.
func simKeysConfig() token.KeysConfig {
	return token.KeysConfig{Algorithm: token.EdDSA, Lifetime: time.Hour, MailLifetime: time.Hour, JWKSMaxAge: time.Minute}
}

func (r *simReplica) sessionConfig(shared func(time.Time) time.Time) session.Config {
	c := session.Config{
		Size: 100, Loads: 64, Lifetime: cmp.Or(r.w.life, simSettings.Session.Expire), Absolute: r.w.absolute, FlushEvery: 300 * time.Millisecond, Shared: shared,
	}
	if r.w.fault == faultNoAbsolute {
		c.Absolute = time.Hour
	}
	return c
}

// keyStore is where the signing keys are read from.
func (r *simReplica) keyStore() token.KeyStore {
	if r.w.fault == faultKeysReadOnce {
		return &simOldKeys{simLink: r.link}
	}
	return r.link
}

// The parts of a replica that are not the real ones: those not needed, and the faulty ones.

// simActivities keeps none.
type simActivities struct{}

func (simActivities) Record(audit.Activity) bool { return true }
func (simActivities) Fold(string, string) bool   { return false }

// simSource is the feed as a faulty reader sees it.
type simSource struct {
	*simLink
	sv *service
}

func (s *simSource) Changes(ctx context.Context, after feed.Cursor, limit int) ([]feed.Change, feed.Cursor, error) {
	changes, upTo, err := s.simLink.Changes(ctx, after, limit)
	switch f := s.w.fault; {
	case errors.Is(err, feed.ErrGap):
		switch f {
		case faultGapIgnored:
			if upTo, err = s.Head(ctx); err == nil {
				return nil, upTo, nil
			}
		case faultMarksFirst:
			s.sv.stale()
		}
	case err != nil && f == faultFailureCounts:
		return nil, after, nil
	}
	return changes, upTo, err
}

// stale is called at a gap.
func (r *simReplica) stale(sv *service) {
	switch r.w.fault {
	case faultMarksFirst: // it has
	case faultGapKeepsAccounts:
		sv.sessions.Stale()
		sv.holder.Changed()
	case faultGapKeepsSessions:
		sv.directory.Stale()
		sv.apiKeyOf.Stale()
		sv.holder.Changed()
	case faultGapKeepsPolicy:
		sv.directory.Stale()
		sv.apiKeyOf.Stale()
		sv.sessions.Stale()
	case faultGapKeepsKeys:
		sv.directory.Stale()
		sv.apiKeyOf.Stale()
		sv.sessions.Stale()
		sv.holder.Changed()
	default:
		sv.stale()
	}
}

type simAgeless struct{}

func (simAgeless) Age(time.Time) time.Duration { return 0 }

// simStepped is an age by the wall clock, which is set back in the middle of the history.
type simStepped struct {
	*feed.Follower
	w *simWorld
}

func (s simStepped) Age(now time.Time) time.Duration {
	age := s.Follower.Age(now)
	if step := s.w.began + s.w.active/2; s.w.now() > step && s.w.now()-age < step {
		age = max(0, age-time.Hour)
	}
	return age
}

// simDeaf lists the faults that leave out a kind of change.
var simDeaf = map[feed.Kind]simFault{
	feed.Policy: faultDeafToPolicy, feed.Principal: faultDeafToPrincipals, feed.Key: faultDeafToKeys,
	feed.Session: faultDeafToSessions, feed.Epoch: faultDeafToEpoch, feed.SigningKeys: faultDeafToSigning,
}

// simProlonged is an age that begins anew with each question before the data are too old.
type simProlonged struct {
	*feed.Follower
	mu    sync.Mutex
	asked time.Time
}

func (p *simProlonged) Age(now time.Time) time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	age := p.Follower.Age(now)
	if used := now.Sub(p.asked); !p.asked.IsZero() && used < age {
		age = used
	}
	if age <= simCacheStale {
		p.asked = now
	}
	return age
}

// simNaive is a cache as one would write it first.
type simNaive struct {
	fault  simFault
	reader directory.Source
	mu     sync.Mutex
	held   map[string]*account.Principal
	absent map[string]bool
	drops  map[string]int
}

func (n *simNaive) drop(ref string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.held, ref)
	n.drops[ref]++
}

func (n *simNaive) gap() {
	n.mu.Lock()
	defer n.mu.Unlock()
	clear(n.held)
	clear(n.absent)
}

// simOldAccounts gives accounts as they were, at once or when they cannot be read.
type simOldAccounts struct {
	*directory.Directory
	fault simFault
	held  sync.Map
}

func (a *simOldAccounts) Principal(ctx context.Context, uid string) (*account.Principal, error) {
	old, ok := a.held.Load(uid)
	if ok && a.fault == faultServesStale {
		uid := strings.Clone(uid)
		go a.read(context.WithoutCancel(ctx), uid)
		return old.(*account.Principal), nil
	}
	p, err := a.read(ctx, uid)
	if ok && err != nil && !errors.Is(err, account.ErrNotFound) {
		return old.(*account.Principal), nil
	}
	return p, err
}

func (a *simOldAccounts) read(ctx context.Context, uid string) (*account.Principal, error) {
	p, err := a.Directory.Principal(ctx, uid)
	if err == nil {
		a.held.Store(strings.Clone(uid), p)
	}
	return p, err
}

// simAnyKey reuses the token of a slot and a version whatever key signs now.
type simAnyKey struct {
	*token.Minter
	last sync.Map
}

type simMinted struct {
	bearer  string
	version int64
	at      time.Time
}

func (m *simAnyKey) Reuse(s *token.Slot, _ string, version int64, now time.Time) (string, bool) {
	if last, ok := m.last.Load(s); ok {
		if t := last.(simMinted); t.version == version && now.Sub(t.at) < simReuse {
			return t.bearer, true
		}
	}
	return "", false
}

func (m *simAnyKey) Mint(s *token.Slot, version int64, c token.Claims, now time.Time) (string, error) {
	bearer, err := m.Minter.Mint(s, version, c, now)
	if err == nil {
		m.last.Store(s, simMinted{bearer, version, now})
	}
	return bearer, err
}

// simNaiveAccounts keeps a loaded row, although it was dropped meanwhile or the feed had a gap.
type simNaiveAccounts struct {
	*directory.Directory
	n *simNaive
}

func (a simNaiveAccounts) Principal(ctx context.Context, uid string) (*account.Principal, error) {
	a.n.mu.Lock()
	p, drops := a.n.held[uid], a.n.drops[uid]
	a.n.mu.Unlock()
	if p != nil {
		return p, nil
	}
	row, err := a.n.reader.Principal(ctx, uid)
	if err != nil {
		return nil, err
	}
	a.n.mu.Lock()
	defer a.n.mu.Unlock()
	if a.n.fault == faultKeepsFlight || a.n.drops[uid] == drops {
		a.n.held[strings.Clone(uid)] = &row
	}
	return &row, nil
}

// simNaiveKeys remembers that there is no key whatever the feed says.
type simNaiveKeys struct {
	*apikey.Cache
	n *simNaive
}

func (a simNaiveKeys) Key(ctx context.Context, kid string) (*apikey.Entry, error) {
	a.n.mu.Lock()
	absent := a.n.absent[kid]
	a.n.mu.Unlock()
	if absent {
		return nil, account.ErrNotFound
	}
	k, err := a.Cache.Key(ctx, kid)
	if errors.Is(err, account.ErrNotFound) {
		a.n.mu.Lock()
		a.n.absent[strings.Clone(kid)] = true
		a.n.mu.Unlock()
	}
	return k, err
}

// simOwnTime mints by the process's own clock.
type simOwnTime struct {
	*token.Minter
	r *simReplica
}

func (m simOwnTime) Reuse(s *token.Slot, party string, version int64, _ time.Time) (string, bool) {
	return m.Minter.Reuse(s, party, version, m.r.now())
}

func (m simOwnTime) Mint(s *token.Slot, version int64, c token.Claims, _ time.Time) (string, error) {
	return m.Minter.Mint(s, version, c, m.r.now())
}

// simOwnSlide slides by the process's own clock.
type simOwnSlide struct {
	*session.Manager
	r *simReplica
}

func (m simOwnSlide) Slide(e *session.Entry, _ time.Time) { m.Manager.Slide(e, m.r.now()) }

// simOneVersion reuses tokens whatever the version of their claims.
type simOneVersion struct{ *token.Minter }

func (m simOneVersion) Reuse(s *token.Slot, party string, _ int64, now time.Time) (string, bool) {
	return m.Minter.Reuse(s, party, 0, now)
}

func (m simOneVersion) Mint(s *token.Slot, _ int64, c token.Claims, now time.Time) (string, error) {
	return m.Minter.Mint(s, 0, c, now)
}

// simOldRows lets a rebuild share the rows that one before it has read.
type simOldRows struct {
	*simLink
	mu   sync.Mutex
	at   time.Time
	rows policy.Rows
}

func (o *simOldRows) Rows(ctx context.Context) (policy.Rows, error) {
	o.mu.Lock()
	rows, fresh := o.rows, !o.at.IsZero() && time.Since(o.at) < 300*time.Millisecond
	o.mu.Unlock()
	if fresh {
		return rows, nil
	}
	rows, err := o.simLink.Rows(ctx)
	if err == nil {
		o.mu.Lock()
		defer o.mu.Unlock()
		o.rows, o.at = rows, time.Now()
	}
	return rows, err
}

// simAgelessRules does not look at the age of the policy.
type simAgelessRules struct{ *policy.Holder }

func (simAgelessRules) Age(time.Time) time.Duration { return 0 }

// simEndlessGrace lets the old id of a renewed session read for ever.
type simEndlessGrace struct{ *directory.Directory }

func (a simEndlessGrace) Principal(ctx context.Context, uid string) (*account.Principal, error) {
	p, err := a.Directory.Principal(ctx, uid)
	if err != nil || p.Renewal == nil {
		return p, err
	}
	q, renewal := *p, *p.Renewal
	renewal.Until = time.Now().Add(account.RenewalGrace / 2)
	q.Renewal = &renewal
	return &q, nil
}

// simNoneEnded does not know of the end of the session under a new id.
type simNoneEnded struct{ *session.Manager }

func (simNoneEnded) Ended(session.ID) bool { return false }

// simImmortal gives sessions that have run out as if they had not.
type simImmortal struct{ *session.Manager }

func (m simImmortal) Lookup(ctx context.Context, cookie string, now time.Time) (*session.Entry, error) {
	e, err := m.Manager.Lookup(ctx, cookie, now)
	if err != nil || now.Before(e.Expires()) {
		return e, err
	}
	s := e.Session
	s.ExpiresAt = now.Add(time.Second)
	return session.NewEntry(s), nil
}

// simOldKeys gives the keys that were read last when they cannot be read.
type simOldKeys struct {
	*simLink
	last []token.SigningKey
}

func (o *simOldKeys) SigningKeys(ctx context.Context) ([]token.SigningKey, error) {
	rows, err := o.simLink.SigningKeys(ctx)
	if err != nil && o.last != nil {
		return o.last, nil
	}
	if err == nil {
		o.last = rows
	}
	return rows, err
}
