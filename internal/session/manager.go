package session

import (
	"bytes"
	"cmp"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"sync/atomic"
	"time"

	"barong/internal/feed"
	"barong/internal/secret"
)

// Config tunes a Manager. Its first four fields are mandatory; zero values of the others mean those
// given here.
type Config struct {
	// Lifetime is how long an unused session lives.
	Lifetime time.Duration
	// Absolute is how long any session lives, however much used (FX-53).
	Absolute time.Duration
	// Size bounds the sessions held in memory.
	Size int
	// Loads bounds the store reads in flight.
	Loads int
	// FlushEvery is the pause between two writes of slides: 1 s.
	FlushEvery time.Duration
	// Shared is the time of the clock that all processes share, by which sessions expire, at a
	// moment of this one's: the same. Callers give the time of the shared one.
	Shared func(now time.Time) time.Time
}

// Validate lists every problem.
func (c Config) Validate() error {
	var problems []error
	if c.Lifetime <= 0 {
		problems = append(problems, fmt.Errorf("lifetime of unused sessions is %v, want more than zero", c.Lifetime))
	}
	if c.Absolute <= 0 {
		problems = append(problems, fmt.Errorf("absolute lifetime is %v, want more than zero", c.Absolute))
	}
	return errors.Join(append(problems, c.cache().Validate())...)
}

func (c Config) cache() feed.CacheConfig { return feed.CacheConfig{Size: c.Size, Loads: c.Loads} }

func (c Config) withDefaults() Config {
	if c.FlushEvery <= 0 {
		c.FlushEvery = time.Second
	}
	if c.Shared == nil {
		c.Shared = func(now time.Time) time.Time { return now }
	}
	return c
}

const (
	// sweepEvery is the pause between two sweeps of sessions that ran out.
	sweepEvery = time.Minute
)

// A Manager opens, finds, slides and ends sessions. It is safe for concurrent use.
//
// The Ledger alone ends sessions, and the feed reports it: by id, by epoch, and
// (judged by the caller of Lookup) by the principal's generation.
type Manager struct {
	cfg    Config
	store  Store
	ledger Ledger
	now    func() time.Time
	log    *slog.Logger

	cache  *feed.Cache[ID, Entry]
	ended  ended
	slides slides

	loads atomic.Int64
	epoch atomic.Int64 // set by sync alone
	lost  atomic.Int64 // the last epoch of a session that turned out to be of no history of ours
	// asked counts the reasons to read the ledger, read the reason last dealt with: the
	// start, each Epoch change, each gap of the feed. While they differ nothing is found.
	asked, read atomic.Int64
	// reread asks for the ended sessions too, not only the epoch.
	reread  atomic.Bool
	reading chan struct{} // held while the ledger is read
}

// NewManager checks cfg and makes a manager; now and log may be nil for time.Now and no log.
func NewManager(cfg Config, store Store, ledger Ledger, now func() time.Time, log *slog.Logger) (*Manager, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("sessions: configuration: %w", err)
	}
	if now == nil {
		now = time.Now
	}
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	m := &Manager{
		cfg: cfg.withDefaults(), store: store, ledger: ledger, now: now, log: log,
		reading: make(chan struct{}, 1), ended: ended{born: now()},
	}
	var err error
	if m.cache, err = feed.NewCache(cfg.cache(), ErrNotFound, now, m.load); err != nil {
		return nil, err
	}
	m.reread.Store(true)
	m.asked.Store(1)
	return m, nil
}

// Start reads the epoch and the ended sessions. The feed's head must have been read before.
// Without it the first Lookup does the same.
func (m *Manager) Start(ctx context.Context) error { return m.sync(ctx) }

// Epoch is the global epoch as last heard.
func (m *Manager) Epoch() int64 { return m.epoch.Load() }

// Loads is how often the store was asked for a session.
func (m *Manager) Loads() int64 { return m.loads.Load() }

// Len is about how many sessions are held in memory.
func (m *Manager) Len() int { return m.cache.Len() }

// Lookup finds the session of a cookie value. ErrNotFound: none, ended, or not 32 lower-case
// hex digits (such a value never reaches the store); any other error is an outage. It does
// not judge expiry, user agent, address or generation. When warm it allocates nothing and
// takes no lock that requests share.
func (m *Manager) Lookup(ctx context.Context, cookie string, now time.Time) (*Entry, error) {
	id, ok := IDOf(cookie)
	if !ok {
		return nil, ErrNotFound
	}
	if m.asked.Load() != m.read.Load() {
		if err := m.sync(ctx); err != nil {
			return nil, err
		}
	}
	e := m.cache.Hit(id)
	switch {
	case e == nil:
		var err error
		if e, err = m.cache.Get(ctx, id); err != nil {
			return nil, err
		}
	case now.UnixMicro() >= e.expires.Load():
		// Another replica may have slid it.
		var err error
		if e, err = m.cache.Reload(ctx, id); err != nil {
			return nil, err
		}
	}
	switch standing, err := m.ofEpoch(ctx, e.Epoch); {
	case err != nil:
		return nil, err
	case !standing:
		return nil, ErrNotFound
	}
	return e, nil
}

// ofEpoch reports whether epoch is the global one. It asks once about an epoch that seems later
// than the known one: that was just begun, or belongs to a history that was lost.
func (m *Manager) ofEpoch(ctx context.Context, epoch int64) (bool, error) {
	if epoch > m.epoch.Load() && epoch != m.lost.Load() {
		m.asked.Add(1)
		if err := m.sync(ctx); err != nil {
			return false, err
		}
		if epoch > m.epoch.Load() {
			m.lost.Store(epoch)
		}
	}
	return epoch == m.epoch.Load(), nil
}

// load is the cache's Loader.
func (m *Manager) load(ctx context.Context, id ID, old, into *Entry) (keep bool, err error) {
	m.loads.Add(1)
	if m.ended.has(id) {
		return false, ErrNotFound
	}
	s, err := m.store.Session(ctx, id, m.cfg.Shared(m.now()).Add(-Afterlife))
	if err != nil {
		return false, fmt.Errorf("load session: %w", err)
	}
	// Again: it may have ended during the read, before the store had it.
	if m.ended.has(id) {
		return false, ErrNotFound
	}
	switch standing, err := m.ofEpoch(ctx, s.Epoch); {
	case err != nil:
		return false, err
	case !standing:
		return false, ErrNotFound
	}
	s.ID = id
	if old != nil && old.stands(s) {
		old.raise(s.ExpiresAt.UnixMicro())
		return true, nil
	}
	into.set(s)
	return false, nil
}

// An Opening says whose session is opened and from where.
type Opening struct {
	UID        string
	Generation int64 // the principal's, as of its proof
	IP         netip.Addr
	UserAgent  string
	// Admitted is the moment of which a policy let the address sign in: the session is as old as that,
	// so that a rule of after it ends the session, although the sign-in was under way. Zero is now.
	Admitted Moment
	// Replaces are the cookie values that the client came with: those sessions end, so that
	// nobody can have planted them (FX-14, W-I6).
	Replaces []string
}

// Open starts a session under a new random id and returns its cookie value. The user's
// sessions beyond MaxSessions have ended by then.
func (m *Manager) Open(ctx context.Context, o Opening, now time.Time) (cookie string, s Session, err error) {
	if err := m.sync(ctx); err != nil {
		return "", Session{}, err
	}
	epoch := m.epoch.Load()
	if !o.Admitted.At.IsZero() {
		now, epoch = o.Admitted.At, o.Admitted.Epoch
	}
	now = now.UTC().Truncate(time.Microsecond)
	s = Session{
		UID: o.UID, IP: o.IP.Unmap(), UserAgent: Agent(o.UserAgent), CSRFToken: secret.Hex(10),
		Generation: o.Generation, Epoch: epoch,
		CreatedAt: now, ExpiresAt: now.Add(min(m.cfg.Lifetime, m.cfg.Absolute)),
	}
	cookie = NewCookie()
	if err = m.add(ctx, cookie, &s); err != nil {
		return "", Session{}, err
	}
	for _, value := range o.Replaces {
		if old, ok := IDOf(value); ok {
			if err := m.endKnown(ctx, old); err != nil {
				return "", Session{}, err
			}
		}
	}
	return cookie, s, nil
}

// add stores s under a new cookie, fills its ID, makes room for it, and holds it.
func (m *Manager) add(ctx context.Context, cookie string, s *Session) error {
	s.ID, _ = IDOf(cookie)
	age := m.cache.Age()
	if err := m.store.AddSession(ctx, *s); err != nil {
		return fmt.Errorf("add session: %w", err)
	}
	if err := m.makeRoom(ctx, *s); err != nil {
		return err
	}
	m.cache.Put(s.ID, age, func(e *Entry) { e.set(*s) })
	// It may have ended since it was stored, by the room that another needed or under the id of
	// before: forget, which marks first and drops then, came before Put or comes after this.
	if m.ended.has(s.ID) {
		m.cache.Drop(s.ID)
	}
	return nil
}

// makeRoom ends sessions of the user of added, which is stored and whose cookie nobody has
// yet, down to MaxSessions: first those that are over by age or generation, then the oldest.
// Of several at once each looks after it was stored, so the last sees all of them.
func (m *Manager) makeRoom(ctx context.Context, added Session) error {
	all, err := m.store.SessionsOf(ctx, added.UID, time.Time{})
	if err != nil {
		// Room is a matter of memory, not of access: a list that fails signs nobody out.
		m.log.WarnContext(ctx, "sessions not counted", "uid", added.UID, "error", err)
		return nil
	}
	if len(all) <= MaxSessions {
		return nil
	}
	over := func(s Session) int {
		if e := m.cache.Hit(s.ID); e != nil && e.Expires().After(s.ExpiresAt) {
			s.ExpiresAt = e.Expires() // slid, and not in the store yet
		}
		switch {
		case s.ID == added.ID:
			return 0
		case s.Of(added.Generation, added.Epoch) && added.CreatedAt.Before(s.ExpiresAt):
			return 1
		}
		return 2
	}
	slices.SortFunc(all, func(a, b Session) int {
		return cmp.Or(cmp.Compare(over(a), over(b)), b.CreatedAt.Compare(a.CreatedAt), bytes.Compare(a.ID[:], b.ID[:]))
	})
	var surplus []ID
	for _, s := range all[MaxSessions:] {
		surplus = append(surplus, s.ID)
	}
	return m.end(ctx, surplus...)
}

// endKnown ends a session if there is one: a cookie value that a client made up must not
// fill the ledger.
func (m *Manager) endKnown(ctx context.Context, id ID) error {
	_, err := m.cache.Get(ctx, id)
	if errors.Is(err, ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	return m.End(ctx, id)
}

// End ends one session everywhere. When it returns nil the ledger has it, which no store
// can undo; an error means that the session may live on (FX-29).
func (m *Manager) End(ctx context.Context, id ID) error {
	return m.end(ctx, id)
}

// end keeps on record that sessions have ended for as long as any can live: when they were
// opened was written by a clock that may be wrong.
func (m *Manager) end(ctx context.Context, ids ...ID) error {
	if err := m.ledger.EndSession(ctx, m.cfg.Absolute, ids...); err != nil {
		return fmt.Errorf("end session: %w", err)
	}
	for _, id := range ids {
		m.forget(id)
		if err := m.store.DeleteSession(ctx, id); err != nil {
			m.log.WarnContext(ctx, "ended session not deleted yet", "error", err)
		}
	}
	return nil
}

// Ended reports whether this process knows that a session has ended by itself, not with
// others.
func (m *Manager) Ended(id ID) bool { return m.ended.has(id) }

// forget ends a session in this process.
func (m *Manager) forget(id ID) {
	m.ended.add(id, m.now().Add(m.cfg.Absolute)) // before Drop: a load that begins after it must see this
	m.cache.Drop(id)
	m.slides.drop(id)
}

// EndAll ends every session of everybody by one write.
func (m *Manager) EndAll(ctx context.Context) error {
	if _, err := m.ledger.EndAll(ctx); err != nil {
		return fmt.Errorf("end all sessions: %w", err)
	}
	m.asked.Add(1)
	_ = m.sync(ctx) // else the next caller reads it first
	return nil
}

// Restamp moves a session to another generation under a new cookie value of NewCookie, so that
// it outlives the end of all others of its user (design D8, D11). The CSRF token, the user
// agent, the address and the absolute lifetime stay. The old id is over with all others of its
// generation, but for the reads that account.Renewal allows. ErrNotFound.
func (m *Manager) Restamp(
	ctx context.Context, id ID, cookie string, generation int64, now time.Time,
) (s Session, err error) {
	if err := m.sync(ctx); err != nil {
		return Session{}, err
	}
	e, err := m.cache.Get(ctx, id)
	if err != nil {
		return Session{}, err
	}
	if e.Epoch != m.epoch.Load() || !now.Before(e.Expires()) {
		return Session{}, ErrNotFound
	}
	s = e.Session
	s.Generation = generation
	s.ExpiresAt = now.UTC().Truncate(time.Microsecond).Add(m.cfg.Lifetime)
	if last := s.CreatedAt.Add(m.cfg.Absolute); s.ExpiresAt.After(last) {
		s.ExpiresAt = last
	}
	if err := m.add(ctx, cookie, &s); err != nil {
		return Session{}, err
	}
	return s, nil
}

// Apply takes one change of the feed.
func (m *Manager) Apply(c feed.Change) {
	switch c.Kind {
	case feed.Session:
		raw, err := hex.DecodeString(c.Ref)
		if err != nil || len(raw) != len(ID{}) {
			m.log.Warn("change feed names no session", "seq", c.Seq)
			return
		}
		m.forget(ID(raw))
	case feed.Epoch:
		m.asked.Add(1)
	}
}

// Stale makes everything be read again on its next use, after a gap of the feed.
func (m *Manager) Stale() {
	m.lost.Store(0)
	m.reread.Store(true)
	m.asked.Add(1)
	m.cache.Stale()
}

// sync reads the ledger if there is a reason to.
func (m *Manager) sync(ctx context.Context) error {
	if m.asked.Load() == m.read.Load() {
		return nil
	}
	select {
	case m.reading <- struct{}{}:
		defer func() { <-m.reading }()
	case <-ctx.Done():
		return ctx.Err()
	}
	asked := m.asked.Load()
	if asked == m.read.Load() {
		return nil
	}
	epoch, err := m.ledger.Epoch(ctx)
	if err != nil {
		return fmt.Errorf("read session epoch: %w", err)
	}
	if m.reread.Swap(false) {
		ids, err := m.ledger.EndedSessions(ctx)
		if err != nil {
			m.reread.Store(true)
			return fmt.Errorf("read ended sessions: %w", err)
		}
		for _, id := range ids {
			m.forget(id)
		}
	}
	m.epoch.Store(epoch)
	m.read.Store(asked)
	return nil
}

// Run flushes slides and sweeps sessions that ran out until ctx ends, and flushes once more.
func (m *Manager) Run(ctx context.Context) {
	flush, sweep := time.NewTicker(m.cfg.FlushEvery), time.NewTicker(sweepEvery)
	defer flush.Stop()
	defer sweep.Stop()
	failing := false
	for {
		select {
		case <-ctx.Done():
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
			defer cancel()
			if err := m.Flush(last); err != nil {
				m.log.Warn("last session slides not written", "error", err)
			}
			return
		case <-flush.C:
			err := m.Flush(ctx)
			if err != nil && !failing {
				m.log.WarnContext(ctx, "session slides not written; they are kept", "error", err)
			}
			failing = err != nil
		case <-sweep.C:
			m.sweep()
		}
	}
}

// sweep forgets sessions that ran out.
func (m *Manager) sweep() {
	now := m.now()
	m.ended.sweep(now)
	now = m.cfg.Shared(now)
	for e := range m.cache.All() {
		if !now.Before(e.Expires()) {
			m.cache.Drop(e.ID)
			continue
		}
		e.Token.Trim(now) // idle sessions must not pin a token each
	}
}
