package session_test

import (
	"context"
	"encoding/hex"
	"errors"
	"log/slog"
	"net/netip"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"barong/internal/config"
	"barong/internal/feed"
	"barong/internal/session"
	"barong/internal/testenv"
)

var errDown = errors.New("down")

// memory is a Store and a Ledger.
type memory struct {
	mu            sync.Mutex
	rows          map[session.ID]session.Session
	ended         []session.ID
	epoch         int64
	fail          error
	reads, epochs atomic.Int32
	slid          atomic.Int32
	pause         chan struct{} // when set, a read waits after it has the row

	strays   bool                  // lists hold sessions of other users too
	unlisted map[session.ID]bool   // missing in lists
	added    func(session.Session) // called when one is stored
}

func newMemory() *memory { return &memory{rows: map[session.ID]session.Session{}} }

func (m *memory) Session(_ context.Context, id session.ID, now time.Time) (session.Session, error) {
	m.reads.Add(1)
	m.mu.Lock()
	s, ok := m.rows[id]
	fail, pause := m.fail, m.pause
	m.mu.Unlock()
	if pause != nil {
		<-pause
	}
	if fail != nil {
		return session.Session{}, fail
	}
	if !ok || !now.Before(s.ExpiresAt) {
		return session.Session{}, session.ErrNotFound
	}
	return s, nil
}

func (m *memory) SessionsOf(_ context.Context, uid string, now time.Time) (all []session.Session, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, s := range m.rows {
		if (s.UID == uid || m.strays) && now.Before(s.ExpiresAt) && !m.unlisted[s.ID] {
			all = append(all, s)
		}
	}
	return all, m.fail
}

func (m *memory) AddSession(_ context.Context, s session.Session) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.rows[s.ID] = s
	if m.added != nil {
		m.added(s)
	}
	return m.fail
}

func (m *memory) SlideSessions(_ context.Context, to map[session.ID]time.Time) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.fail != nil {
		return m.fail
	}
	for id, at := range to {
		if s, ok := m.rows[id]; ok && at.After(s.ExpiresAt) {
			s.ExpiresAt = at
			m.rows[id] = s
			m.slid.Add(1)
		}
	}
	return nil
}

func (m *memory) DeleteSession(_ context.Context, id session.ID) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.rows, id)
	return m.fail
}

func (m *memory) EndSession(_ context.Context, _ time.Duration, ids ...session.ID) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.fail != nil {
		return m.fail
	}
	m.ended = append(m.ended, ids...)
	return nil
}

func (m *memory) EndedSessions(context.Context) ([]session.ID, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.ended), m.fail
}

func (m *memory) Ended(_ context.Context, id session.ID) (bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Contains(m.ended, id), m.fail
}

func (m *memory) Epoch(context.Context) (int64, error) {
	m.epochs.Add(1)
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.epoch, m.fail
}

func (m *memory) EndAll(context.Context) (int64, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.epoch++
	return m.epoch, m.fail
}

func (m *memory) set(fail error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.fail = fail
}

func (m *memory) expiry(id session.ID) time.Time {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.rows[id].ExpiresAt
}

var signIn = session.Opening{
	UID: "ID1234567890", Generation: 3, IP: netip.MustParseAddr("::ffff:10.0.0.1"), UserAgent: "legacy-browser",
}

// shipped is the configuration of the default settings.
func shipped() session.Config {
	s := config.Default()
	return session.Config{
		Lifetime: s.Session.Expire, Absolute: s.Session.Absolute, Size: s.Session.CacheSize, Loads: s.Account.LoadsAtOnce,
	}
}

func newManager(
	cfg session.Config, store session.Store, ledger session.Ledger, now func() time.Time, log *slog.Logger,
) *session.Manager {
	m, err := session.NewManager(cfg, store, ledger, now, log)
	if err != nil {
		panic(err)
	}
	return m
}

func manager(m *memory) *session.Manager { return newManager(shipped(), m, m, nil, nil) }

func open(t testing.TB, m *session.Manager) (string, session.Session) {
	t.Helper()
	cookie, s, err := m.Open(t.Context(), signIn, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return cookie, s
}

func found(t *testing.T, m *session.Manager, cookie string) *session.Entry {
	t.Helper()
	e, err := m.Lookup(t.Context(), cookie, time.Now())
	if err != nil {
		t.Fatalf("lookup: %v", err)
	}
	return e
}

func gone(t *testing.T, m *session.Manager, cookie, when string) {
	t.Helper()
	if _, err := m.Lookup(t.Context(), cookie, time.Now()); !errors.Is(err, session.ErrNotFound) {
		t.Errorf("%s: lookup = %v, want ErrNotFound", when, err)
	}
}

func sessionChange(id session.ID) feed.Change {
	return feed.Change{Kind: feed.Session, Ref: hex.EncodeToString(id[:])}
}

// AZ-246, AZ-250.
func TestOpenRemembersTheSignIn(t *testing.T) {
	store := newMemory()
	here, there := manager(store), manager(store)
	cookie, s := open(t, here)
	if len(s.CSRFToken) != 20 || strings.Trim(s.CSRFToken, "0123456789abcdef") != "" {
		t.Errorf("csrf token %q, want 20 hex digits", s.CSRFToken)
	}
	for name, m := range map[string]*session.Manager{"same replica": here, "another": there} {
		e := found(t, m, cookie)
		if e.UID != signIn.UID || e.Generation != 3 || e.IP != netip.MustParseAddr("10.0.0.1") ||
			e.UserAgent != "legacy-browser" || e.CSRFToken != s.CSRFToken ||
			!e.CreatedAt.Equal(s.CreatedAt) || !e.Expires().Equal(s.CreatedAt.Add(1800*time.Second)) {
			t.Errorf("%s: %#v expiring %v", name, e.UID, e.Expires())
		}
	}
	if _, ok := store.rows[session.ID{}]; ok || len(store.rows) != 1 {
		t.Errorf("%d rows in the store, want the one", len(store.rows))
	}
}

// FX-14, W-I6.
func TestOpenEndsTheSessionThatTheClientCameWith(t *testing.T) {
	store := newMemory()
	m := manager(store)
	old, _ := open(t, m)
	o := signIn
	o.Replaces = []string{old}
	fresh, _, err := m.Open(t.Context(), o, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	if fresh == old {
		t.Error("the client's id was kept")
	}
	gone(t, m, old, "after a sign-in with it")
	found(t, m, fresh)

	o.Replaces = []string{strings.Repeat("0", 32)}
	if _, _, err := m.Open(t.Context(), o, time.Now()); err != nil {
		t.Fatal(err)
	}
	if len(store.ended) != 1 {
		t.Errorf("%d rows in the ledger, want 1: a made-up cookie must not fill it", len(store.ended))
	}
}

func TestLookupOfAMalformedCookieNeverReachesTheStore(t *testing.T) {
	store := newMemory()
	m := manager(store)
	for _, bad := range []string{"", "x", strings.Repeat("A", 32), strings.Repeat("a", 64)} {
		gone(t, m, bad, bad)
	}
	if n := store.reads.Load(); n != 0 {
		t.Errorf("%d store reads, want 0", n)
	}
}

// FX-29, design D20: an outage is never "no such session".
func TestLookupTellsAnOutageFromAnUnknownSession(t *testing.T) {
	store := newMemory()
	m := manager(store)
	cookie, _ := open(t, m)
	cold := manager(store)
	if err := cold.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	store.set(errDown)
	if _, err := cold.Lookup(t.Context(), cookie, time.Now()); !errors.Is(err, errDown) {
		t.Errorf("cold: %v, want the outage", err)
	}
	found(t, m, cookie) // warm ones go on
	unread := manager(store)
	if _, err := unread.Lookup(t.Context(), cookie, time.Now()); !errors.Is(err, errDown) {
		t.Errorf("ledger never read: %v, want the outage", err)
	}
	if err := m.End(t.Context(), session.ID{1}); !errors.Is(err, errDown) {
		t.Errorf("end: %v, want the outage told", err)
	}
}

func TestEndReachesOtherReplicasByTheFeedAndTheLedger(t *testing.T) {
	store := newMemory()
	here, there := manager(store), manager(store)
	cookie, s := open(t, here)
	found(t, there, cookie)
	if err := here.End(t.Context(), s.ID); err != nil {
		t.Fatal(err)
	}
	gone(t, here, cookie, "where it ended")
	store.rows[s.ID] = s // the store brings it back, as Redis may
	there.Apply(sessionChange(s.ID))
	gone(t, there, cookie, "after the feed's change")
	gone(t, manager(store), cookie, "in a replica that starts later")
	there.Apply(feed.Change{Kind: feed.Session, Ref: strings.Repeat("ab", 99)}) // must not panic
}

// A machine's clock that runs ahead for a while must not make a replica forget ended sessions:
// a store that comes back from an old dump would bring them back.
func TestEndIsRememberedWhileTheClockIsAhead(t *testing.T) {
	base := time.Now()
	synctest.Test(t, func(t *testing.T) {
		began := time.Now() // of the bubble, whose clock has no monotonic reading
		var step atomic.Int64
		now := func() time.Time { return testenv.Stepped(base.Add(time.Since(began)), step.Load()) }
		store := newMemory()
		m := newManager(shipped(), store, store, now, nil)
		ctx, cancel := context.WithCancel(t.Context())
		go m.Run(ctx)
		cookie, s := open(t, m)
		if err := m.End(t.Context(), s.ID); err != nil {
			t.Fatal(err)
		}
		step.Store(25 * 3600)
		time.Sleep(5 * time.Minute) // it sweeps
		step.Store(0)
		s.ExpiresAt = now().Add(time.Hour)
		store.AddSession(t.Context(), s)
		gone(t, m, cookie, "after the clock was right again")
		time.Sleep(24 * time.Hour)
		if m.Ended(s.ID) {
			t.Error("it is remembered for longer than the absolute lifetime")
		}
		cancel()
		synctest.Wait()
	})
}

// A replica whose clock is ahead by more than sessions are kept beyond their end finds them.
func TestSessionsAreFoundByTheClockThatAllShare(t *testing.T) {
	const ahead = 30 * time.Hour
	store := newMemory()
	cookie, _ := open(t, manager(store))
	cfg := shipped()
	cfg.Shared = func(now time.Time) time.Time { return now.Add(-ahead) }
	m := newManager(cfg, store, store,
		func() time.Time { return time.Now().Add(ahead) }, nil)
	if _, err := m.Lookup(t.Context(), cookie, time.Now()); err != nil {
		t.Error(err)
	}
}

// interrupted calls meanwhile between the moment when the store has a new session and the one when the
// manager holds it.
type interrupted struct {
	*memory
	meanwhile func(id session.ID)
}

func (i *interrupted) AddSession(ctx context.Context, s session.Session) error {
	err := i.memory.AddSession(ctx, s)
	i.meanwhile(s.ID)
	return err
}

// What becomes of a session while it is opened counts: it may be lost with the last commits of a
// database, or end to make room.
func TestSessionsThatAreGoneBeforeTheyAreHeld(t *testing.T) {
	store := &interrupted{memory: newMemory()}
	m := newManager(shipped(), store, store, nil, nil)
	for name, f := range map[string]func(session.ID){
		"lost": func(id session.ID) {
			delete(store.rows, id)
			m.Stale()
		},
		"ended": func(id session.ID) { m.Apply(sessionChange(id)) },
	} {
		store.meanwhile = f
		cookie, _ := open(t, m)
		gone(t, m, cookie, name)
	}
}

// A load that read the store before the end must not keep the session.
func TestEndDuringALoadLeavesNothingHeld(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newMemory()
		cookie, s := open(t, manager(store))
		m := manager(store)
		store.pause = make(chan struct{})
		go func() { _, _ = m.Lookup(t.Context(), cookie, time.Now()) }()
		synctest.Wait() // the row is read
		m.Apply(sessionChange(s.ID))
		close(store.pause)
		synctest.Wait()
		gone(t, m, cookie, "after a load that overlapped its end")
	})
}

// Design D11: one write ends all.
func TestEpochEndsAllOlderSessions(t *testing.T) {
	store := newMemory()
	here, there := manager(store), manager(store)
	cookie, _ := open(t, here)
	found(t, there, cookie)
	if err := here.EndAll(t.Context()); err != nil {
		t.Fatal(err)
	}
	gone(t, here, cookie, "where it was raised")
	there.Apply(feed.Change{Kind: feed.Epoch})
	gone(t, there, cookie, "after the feed's change")
	if there.Epoch() != 1 {
		t.Errorf("epoch = %d, want 1", there.Epoch())
	}
	there.Apply(feed.Change{Kind: feed.Epoch}) // applied twice: still the ledger's number
	fresh, _ := open(t, there)
	found(t, there, fresh)
}

// Names, not numbers: after a failover the epoch may be lower, as high, or higher than that of
// sessions which the lost history opened, and Redis still has them.
func TestSessionsOfALostEpochHaveEnded(t *testing.T) {
	for _, now := range []int64{3, 6, 8} {
		store := newMemory()
		store.epoch = 7
		m := manager(store)
		cookie, _ := open(t, m)
		store.epoch = now
		m.Stale()
		gone(t, m, cookie, "after the gap")
		gone(t, manager(store), cookie, "after a restart")
		if m.Epoch() != now {
			t.Errorf("epoch = %d, want that of the ledger, %d", m.Epoch(), now)
		}
		fresh, _ := open(t, m)
		found(t, m, fresh)
	}
}

// A session of a later epoch than was heard of is asked about, so that it counts at once; one
// of no epoch costs one question, not one each time.
func TestALaterEpochIsAskedAbout(t *testing.T) {
	store := newMemory()
	store.epoch = 7
	here, there := manager(store), manager(store)
	old, _ := open(t, there)
	if err := here.EndAll(t.Context()); err != nil {
		t.Fatal(err)
	}
	cookie, _ := open(t, here)
	found(t, there, cookie) // the feed has not brought it yet
	gone(t, there, old, "after another replica's end of all")

	store.epoch = 20
	lost, _ := open(t, manager(store))
	store.epoch = 8
	gone(t, there, lost, "a session of a history that was lost")
	epochs := store.epochs.Load()
	for range 10 {
		gone(t, there, lost, "and again")
	}
	if n := store.epochs.Load(); n != epochs {
		t.Errorf("it was asked about %d times more", n-epochs)
	}
}

// A sign-in that is under way while rules end sessions opens none that is younger than they are.
func TestASessionIsAsOldAsItsAdmission(t *testing.T) {
	store := newMemory()
	m := manager(store)
	now := time.Now()
	admitted := session.Moment{At: now.Add(-time.Minute).UTC().Truncate(time.Microsecond)}
	opening := session.Opening{UID: "ID1", Admitted: admitted}
	cookie, s, err := m.Open(t.Context(), opening, now)
	if err != nil || !s.CreatedAt.Equal(admitted.At) {
		t.Errorf("opened at %s, %v; want %s", s.CreatedAt, err, admitted.At)
	}
	found(t, m, cookie)
	if err := m.EndAll(t.Context()); err != nil {
		t.Fatal(err)
	}
	cookie, _, err = m.Open(t.Context(), opening, now)
	if err != nil {
		t.Fatal(err)
	}
	gone(t, m, cookie, "admitted before the end of all, opened after it")
}

func TestStaleRevalidatesAfterAGap(t *testing.T) {
	store := newMemory()
	m := manager(store)
	kept, _ := open(t, m)
	lost, s := open(t, m)
	before := found(t, m, kept)
	store.ended = append(store.ended, s.ID) // ended elsewhere; its change was pruned
	found(t, m, lost)
	m.Stale()
	gone(t, m, lost, "after the gap")
	if found(t, m, kept) != before {
		t.Error("an entry that stands was replaced, its token lost")
	}
	reads := store.reads.Load()
	found(t, m, kept)
	if n := store.reads.Load(); n != reads {
		t.Error("an entry is revalidated more than once")
	}
}

// AZ-101, D8, FX-53.
func TestSlide(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newMemory()
		m := manager(store)
		cookie, s := open(t, m)
		e := found(t, m, cookie)
		start := e.Expires()
		step := func(wait time.Duration) time.Time {
			time.Sleep(wait)
			m.Slide(e, time.Now())
			return e.Expires()
		}
		if got := step(29 * time.Second); !got.Equal(start) {
			t.Errorf("after 29 s: slid to %v, want not yet", got)
		}
		if got := step(time.Second); !got.Equal(start.Add(30 * time.Second)) {
			t.Errorf("after 30 s: %v, want the start + 30 s", got)
		}
		if got := store.expiry(s.ID); !got.Equal(start) {
			t.Errorf("the store says %v before the flush, want %v", got, start)
		}
		if err := m.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := store.expiry(s.ID); !got.Equal(start.Add(30 * time.Second)) {
			t.Errorf("the store says %v after the flush, want + 30 s", got)
		}
		m.Slide(e, start.Add(-time.Hour))
		if got := e.Expires(); !got.Equal(start.Add(30 * time.Second)) {
			t.Errorf("a clock that went back moved the expiry to %v", got)
		}
		for range 100 {
			step(20 * time.Minute)
		}
		if last := s.CreatedAt.Add(24 * time.Hour); e.Expires().After(last) || e.Expires().Before(last.Add(-time.Minute)) {
			t.Errorf("after a day of use: %v, want %v", e.Expires(), last)
		}
		if !time.Now().After(e.Expires()) {
			t.Fatal("the test did not reach the end")
		}
		was := e.Expires()
		if got := step(0); !got.Equal(was) {
			t.Errorf("an expired session slid to %v", got)
		}
	})
}

func TestFlushKeepsWhatTheStoreDidNotTake(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newMemory()
		m := manager(store)
		const n = 2500
		var cookies [n]string
		for i := range cookies {
			o := signIn
			o.UID += strconv.Itoa(i)
			var err error
			if cookies[i], _, err = m.Open(t.Context(), o, time.Now()); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(time.Minute)
		for _, c := range cookies {
			m.Slide(found(t, m, c), time.Now())
		}
		store.set(errDown)
		if err := m.Flush(t.Context()); !errors.Is(err, errDown) {
			t.Errorf("flush: %v, want the outage", err)
		}
		store.set(nil)
		ctx, stop := context.WithCancel(t.Context())
		go m.Run(ctx)
		stop() // its last act is a flush
		synctest.Wait()
		if got := store.slid.Load(); got != n {
			t.Errorf("%d sessions slid, want %d", got, n)
		}
	})
}

// Another replica's slides must be seen before a session counts as expired (AZ-97, AZ-99).
func TestLookupRereadsAnExpiryThatHasPassed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newMemory()
		here, there := manager(store), manager(store)
		cookie, _ := open(t, here)
		found(t, there, cookie)
		time.Sleep(29 * time.Minute)
		here.Slide(found(t, here, cookie), time.Now())
		if err := here.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
		time.Sleep(10 * time.Minute)
		if e := found(t, there, cookie); !e.Expires().After(time.Now()) {
			t.Errorf("expires %v, want the other replica's slide", e.Expires())
		}
		time.Sleep(20 * time.Minute)
		for name, m := range map[string]*session.Manager{"warm": there, "cold": manager(store)} {
			if e := found(t, m, cookie); e.Expires().After(time.Now()) {
				t.Errorf("%s: expires %v, want it told as expired", name, e.Expires())
			}
		}
		time.Sleep(session.Afterlife - 21*time.Minute)
		found(t, there, cookie)
		time.Sleep(21 * time.Minute)
		gone(t, there, cookie, "a day after it expired")
	})
}

// FX-46, T-NEW-17: a slide that is late never brings an ended session back.
func TestALateSlideNeverResurrects(t *testing.T) {
	for i := range 200 {
		store := newMemory()
		now := atomic.Int64{}
		now.Store(time.Now().Unix())
		clock := func() time.Time { return time.Unix(now.Load(), 0) }
		m := newManager(shipped(), store, store, clock, nil)
		cookie, s, err := m.Open(t.Context(), signIn, clock())
		if err != nil {
			t.Fatal(err)
		}
		var wg sync.WaitGroup
		for range 2 {
			wg.Go(func() {
				for range 20 {
					e, err := m.Lookup(t.Context(), cookie, clock())
					if err != nil {
						return
					}
					now.Add(31)
					runtime.Gosched()
					m.Slide(e, clock())
					if err := m.Flush(t.Context()); err != nil {
						t.Error(err)
					}
				}
			})
		}
		wg.Go(func() {
			for range i % 7 {
				runtime.Gosched()
			}
			if err := m.End(t.Context(), s.ID); err != nil {
				t.Error(err)
			}
		})
		wg.Wait()
		if err := m.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
		if _, ok := store.rows[s.ID]; ok {
			t.Fatal("the session is back in the store")
		}
		if _, err := m.Lookup(t.Context(), cookie, clock()); !errors.Is(err, session.ErrNotFound) {
			t.Fatalf("lookup = %v, want ErrNotFound", err)
		}
	}
}

// Design D8: own password or 2FA change.
func TestRestampRotatesTheIDAndKeepsTheRest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newMemory()
		m := manager(store)
		cookie, s := open(t, m)
		time.Sleep(time.Minute)
		fresh := session.NewCookie()
		after, err := m.Restamp(t.Context(), s.ID, fresh, 4, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		if fresh == cookie || after.Generation != 4 || after.CSRFToken != s.CSRFToken || after.UID != s.UID ||
			after.IP != s.IP || after.UserAgent != s.UserAgent || !after.CreatedAt.Equal(s.CreatedAt) ||
			!after.ExpiresAt.Equal(s.ExpiresAt.Add(time.Minute)) {
			t.Errorf("restamped %s of generation %d, created %v, expires %v", after.UID, after.Generation,
				after.CreatedAt, after.ExpiresAt)
		}
		for _, m := range []*session.Manager{m, manager(store)} { // over by its generation alone
			if e := found(t, m, cookie); e.Generation != 3 {
				t.Errorf("the old id: generation = %d, want 3", e.Generation)
			}
		}
		if len(store.ended) != 0 {
			t.Errorf("%d rows in the ledger, want none: whoever repeats this must not fill it", len(store.ended))
		}
		if e := found(t, manager(store), fresh); e.Generation != 4 {
			t.Errorf("generation = %d elsewhere, want 4", e.Generation)
		}
		if err := m.End(t.Context(), s.ID); err != nil {
			t.Fatal(err)
		}
		if !m.Ended(s.ID) || m.Ended(after.ID) {
			t.Error("the old id has ended by itself, and only that")
		}
		if _, err := m.Restamp(t.Context(), s.ID, session.NewCookie(), 5, time.Now()); !errors.Is(err, session.ErrNotFound) {
			t.Errorf("restamp of an ended session: %v, want ErrNotFound", err)
		}
	})
}

// Another replica may end a session, to make room or under the id of before, as soon as it is
// stored: the process that opens it must not hold it.
func TestASessionThatEndsWhileItIsOpenedIsNotHeld(t *testing.T) {
	store := newMemory()
	m := manager(store)
	_, s := open(t, m)
	ended := func(id session.ID) {
		m.Apply(feed.Change{Kind: feed.Session, Ref: hex.EncodeToString(id[:])})
	}
	store.added = func(s session.Session) { ended(s.ID) }
	cookie, _ := open(t, m)
	if e, err := m.Lookup(t.Context(), cookie, time.Now()); !errors.Is(err, session.ErrNotFound) {
		t.Errorf("opened: %v, %v; want ErrNotFound", e, err)
	}
	fresh := session.NewCookie()
	if _, err := m.Restamp(t.Context(), s.ID, fresh, 4, time.Now()); err != nil {
		t.Fatal(err)
	}
	if e, err := m.Lookup(t.Context(), fresh, time.Now()); !errors.Is(err, session.ErrNotFound) {
		t.Errorf("renewed: %v, %v; want ErrNotFound", e, err)
	}
}

func TestLookupLoadsOnceForManyAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newMemory()
		cookie, _ := open(t, manager(store))
		m := manager(store)
		store.reads.Store(0)
		store.pause = make(chan struct{})
		var wg sync.WaitGroup
		for range 100 {
			wg.Go(func() { found(t, m, cookie) })
		}
		synctest.Wait()
		close(store.pause)
		wg.Wait()
		if n := store.reads.Load(); n != 1 {
			t.Errorf("%d store reads, want 1", n)
		}
	})
}

func TestLookupAllocatesNothingWhenWarm(t *testing.T) {
	m := manager(newMemory())
	cookie, _ := open(t, m)
	now, ctx := time.Now(), t.Context()
	if n := testing.AllocsPerRun(1000, func() {
		e, err := m.Lookup(ctx, cookie, now)
		if err != nil {
			t.Fatal(err)
		}
		m.Slide(e, now)
	}); n != 0 {
		t.Errorf("%v allocations, want 0", n)
	}
}

// A million sessions beside 100,000 keys stay within 1.5 GiB of memory.
func TestMemoryPerSession(t *testing.T) {
	const n = 100_000
	m := newManager(shipped(), discard{newMemory()}, newMemory(), nil, nil)
	used := func() uint64 {
		runtime.GC()
		runtime.GC()
		var s runtime.MemStats
		runtime.ReadMemStats(&s)
		return s.HeapAlloc
	}
	before := used()
	for i := range n {
		o := signIn
		o.UID = "ID" + strconv.Itoa(1_000_000_000+i)
		o.UserAgent = strings.Repeat("Mozilla/5.0 (X11) ", 8) + strconv.Itoa(i%500)
		if _, _, err := m.Open(t.Context(), o, time.Now()); err != nil {
			t.Fatal(err)
		}
	}
	each := (used() - before) / n
	t.Logf("%d bytes a session", each)
	if each > 520 {
		t.Errorf("%d bytes a session, want at most 520", each)
	}
	runtime.KeepAlive(m)
}

// discard stores nothing.
type discard struct{ *memory }

func (discard) AddSession(context.Context, session.Session) error { return nil }

func BenchmarkLookupWarm(b *testing.B) {
	m := manager(newMemory())
	cookie, _ := open(b, m)
	now := time.Now()
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, err := m.Lookup(b.Context(), cookie, now); err != nil {
				b.Fatal(err)
			}
		}
	})
}
