package session_test

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"barong/internal/feed"
	"barong/internal/session"
)

func TestHandle(t *testing.T) {
	one, two := session.ID{1}.Handle(), session.ID{2}.Handle()
	if one == two || len(one) != 22 || one != (session.ID{1}).Handle() {
		t.Errorf("got %q and %q, want two of 22 characters, always the same", one, two)
	}
	// Part of the interface: clients keep handles between two calls, and replicas agree.
	if want := "f8BjON8BlhJL0qb3SWWnnw"; one != want {
		t.Errorf("got %q, want %q", one, want)
	}
}

// lister is a manager over m with three sessions of ID1, opened a minute apart.
func lister(t *testing.T, m *memory) (mgr *session.Manager, clock *time.Time, cookies []string, opened []session.Session) {
	t.Helper()
	at := time.Date(2026, 11, 21, 8, 0, 0, 0, time.UTC)
	mgr = newManager(shipped(), m, m, func() time.Time { return at }, nil)
	for range 3 {
		at = at.Add(time.Minute)
		o := session.Opening{UID: "ID1", Generation: 3, IP: netip.MustParseAddr("192.0.2.1"), UserAgent: "Firefox/1"}
		cookie, s, err := mgr.Open(t.Context(), o, at)
		if err != nil {
			t.Fatal(err)
		}
		cookies, opened = append(cookies, cookie), append(opened, s)
	}
	return mgr, &at, cookies, opened
}

func idsOf(live []session.Live) (ids []session.ID) {
	for _, l := range live {
		ids = append(ids, l.ID)
	}
	return ids
}

func TestList(t *testing.T) {
	newest := func(s []session.Session) []session.ID { return []session.ID{s[2].ID, s[1].ID, s[0].ID} }
	for name, test := range map[string]struct {
		change     func(t *testing.T, mgr *session.Manager, m *memory, s []session.Session)
		uid        string
		generation int64
		later      time.Duration
		want       func(s []session.Session) []session.ID
	}{
		"newest first":                       {want: newest},
		"of an older generation":             {generation: 4},
		"of a generation to come":            {generation: 2},
		"of somebody else":                   {uid: "ID2"},
		"a minute before the first runs out": {later: 27 * time.Minute, want: newest},
		"when the first runs out": {later: 28 * time.Minute, want: func(s []session.Session) []session.ID {
			return []session.ID{s[2].ID, s[1].ID}
		}},
		"ended here": {
			change: func(t *testing.T, mgr *session.Manager, _ *memory, s []session.Session) {
				if err := mgr.End(t.Context(), s[1].ID); err != nil {
					t.Fatal(err)
				}
			},
			want: func(s []session.Session) []session.ID { return []session.ID{s[2].ID, s[0].ID} },
		},
		"ended by another replica, of which the feed has not told": {
			change: func(_ *testing.T, _ *session.Manager, m *memory, s []session.Session) {
				m.ended = append(m.ended, s[2].ID)
			},
			want: func(s []session.Session) []session.ID { return []session.ID{s[1].ID, s[0].ID} },
		},
		"of an older epoch, of which the feed has not told": {
			change: func(_ *testing.T, _ *session.Manager, m *memory, _ []session.Session) { m.epoch++ },
		},
		"that the store tells of another user": {
			change: func(_ *testing.T, _ *session.Manager, m *memory, s []session.Session) {
				x := m.rows[s[0].ID]
				x.UID = "ID2"
				m.rows[s[0].ID] = x
				m.strays = true
			},
			want: func(s []session.Session) []session.ID { return []session.ID{s[2].ID, s[1].ID} },
		},
	} {
		t.Run(name, func(t *testing.T) {
			m := newMemory()
			mgr, clock, _, opened := lister(t, m)
			if test.change != nil {
				test.change(t, mgr, m, opened)
			}
			uid, generation := "ID1", int64(3)
			if test.uid != "" {
				uid = test.uid
			}
			if test.generation != 0 {
				generation = test.generation
			}
			live, err := mgr.List(t.Context(), uid, generation, nil, clock.Add(test.later))
			if err != nil {
				t.Fatal(err)
			}
			var want []session.ID
			if test.want != nil {
				want = test.want(opened)
			}
			if got := idsOf(live); !slices.Equal(got, want) {
				t.Errorf("got %x, want %x", got, want)
			}
		})
	}
}

// The promise of a slide counts before the store has it, and shows its time.
func TestListKnowsOfSlides(t *testing.T) {
	m := newMemory()
	mgr, clock, cookies, opened := lister(t, m)
	now := clock.Add(20 * time.Minute)
	e, err := mgr.Lookup(t.Context(), cookies[0], now)
	if err != nil {
		t.Fatal(err)
	}
	mgr.Slide(e, now)
	seen := func(at time.Time) map[session.ID][2]time.Time {
		t.Helper()
		live, err := mgr.List(t.Context(), "ID1", 3, nil, at)
		if err != nil {
			t.Fatal(err)
		}
		got := map[session.ID][2]time.Time{}
		for _, l := range live {
			got[l.ID] = [2]time.Time{l.Seen, l.ExpiresAt}
		}
		return got
	}
	got := seen(now)
	for i, want := range [][2]time.Time{
		{now, now.Add(30 * time.Minute)},
		{opened[1].CreatedAt, opened[1].ExpiresAt},
	} {
		if got[opened[i].ID] != want {
			t.Errorf("session %d: seen, expires: got %v, want %v", i, got[opened[i].ID], want)
		}
	}
	// At the end of the absolute lifetime it began to lack room at this moment.
	for at := now; at.Before(opened[0].CreatedAt.Add(24*time.Hour - time.Minute)); at = at.Add(29 * time.Minute) {
		now = at
		mgr.Slide(e, at)
		if err := mgr.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	end := opened[0].CreatedAt.Add(24 * time.Hour)
	if got, want := seen(now)[opened[0].ID], [2]time.Time{end.Add(-30 * time.Minute), end}; got != want {
		t.Errorf("at its end: seen, expires: got %v, want %v", got, want)
	}
}

// One opened before the store kept lists is shown to the client that comes with it, if it is valid.
func TestListHasTheCurrentSession(t *testing.T) {
	m := newMemory()
	mgr, clock, cookies, opened := lister(t, m)
	e, err := mgr.Lookup(t.Context(), cookies[1], *clock)
	if err != nil {
		t.Fatal(err)
	}
	list := func() []session.ID {
		t.Helper()
		live, err := mgr.List(t.Context(), "ID1", 3, e, *clock)
		if err != nil {
			t.Fatal(err)
		}
		return idsOf(live)
	}
	all := []session.ID{opened[2].ID, opened[1].ID, opened[0].ID}
	if got := list(); !slices.Equal(got, all) {
		t.Errorf("listed by the store: got %x, want each once: %x", got, all)
	}
	m.unlisted = map[session.ID]bool{opened[1].ID: true}
	if got := list(); !slices.Equal(got, all) {
		t.Errorf("not listed by the store: got %x, want %x", got, all)
	}
	m.ended = append(m.ended, opened[1].ID)
	if got, want := list(), []session.ID{opened[2].ID, opened[0].ID}; !slices.Equal(got, want) {
		t.Errorf("ended: got %x, want %x", got, want)
	}
}

func TestListSaysOutages(t *testing.T) {
	m := newMemory()
	mgr, clock, _, _ := lister(t, m)
	m.fail = errDown
	for name, change := range map[string]func(){
		"store and ledger away": func() {},
		"the epoch to be read":  func() { mgr.Apply(feed.Change{Kind: feed.Epoch}) },
	} {
		change()
		if _, err := mgr.List(t.Context(), "ID1", 3, nil, *clock); !errors.Is(err, errDown) {
			t.Errorf("%s: got %v, want the outage", name, err)
		}
	}
}

// D8: the newest MaxSessions of a user live, however they were opened and wherever.
func TestOneSessionTooManyEndsTheOldest(t *testing.T) {
	m := newMemory()
	at := time.Date(2026, 11, 21, 8, 0, 0, 0, time.UTC)
	clock := func() time.Time { return at }
	replicas := []*session.Manager{
		newManager(shipped(), m, m, clock, nil), newManager(shipped(), m, m, clock, nil),
	}
	tell := func() { // the feed
		for _, id := range m.ended {
			for _, mgr := range replicas {
				mgr.Apply(sessionChange(id))
			}
		}
	}
	var cookies []string
	open := func(n int, uid string) {
		t.Helper()
		at = at.Add(time.Second)
		o := signIn
		o.UID = uid
		cookie, _, err := replicas[n%2].Open(t.Context(), o, at)
		if err != nil {
			t.Fatal(err)
		}
		if uid == signIn.UID {
			cookies = append(cookies, cookie)
		}
	}
	open(0, "somebody else")
	const more = 7
	for n := range session.MaxSessions + more {
		open(n, signIn.UID)
	}
	tell()
	if len(m.ended) != more {
		t.Errorf("%d sessions ended, want %d", len(m.ended), more)
	}
	for n, cookie := range cookies {
		for _, mgr := range append(replicas, newManager(shipped(), m, m, clock, nil)) {
			_, err := mgr.Lookup(t.Context(), cookie, at)
			if want := n >= more; (err == nil) != want || err != nil && !errors.Is(err, session.ErrNotFound) {
				t.Errorf("session %d: %v; want it to stand: %v", n, err, want)
			}
		}
	}
	if len(m.rows) != session.MaxSessions+1 {
		t.Errorf("%d sessions stored, want %d and one of somebody else", len(m.rows), session.MaxSessions)
	}
	live, err := replicas[0].List(t.Context(), signIn.UID, signIn.Generation, nil, at)
	if err != nil || len(live) != session.MaxSessions {
		t.Errorf("%d listed (%v), want %d", len(live), err, session.MaxSessions)
	}
}

// A session that is over makes room before one that stands, however old that is.
func TestWhatIsOverMakesRoomFirst(t *testing.T) {
	m := newMemory()
	at := time.Date(2026, 11, 21, 8, 0, 0, 0, time.UTC)
	mgr := newManager(shipped(), m, m, func() time.Time { return at }, nil)
	open := func(generation int64) string {
		t.Helper()
		at = at.Add(time.Second)
		o := signIn
		o.Generation = generation
		cookie, _, err := mgr.Open(t.Context(), o, at)
		if err != nil {
			t.Fatal(err)
		}
		return cookie
	}
	first := open(4)
	for range 20 { // of a generation that has ended
		open(3)
	}
	for range session.MaxSessions - 21 { // these run out; the first is in use, unknown to the store
		open(4)
	}
	for range 3 {
		at = at.Add(20 * time.Minute)
		e, err := mgr.Lookup(t.Context(), first, at)
		if err != nil {
			t.Fatal(err)
		}
		mgr.Slide(e, at)
	}
	for range session.MaxSessions - 1 {
		open(4)
		if _, err := mgr.Lookup(t.Context(), first, at); err != nil {
			t.Fatalf("the first, which is in use: %v", err)
		}
	}
	open(4)
	if _, err := mgr.Lookup(t.Context(), first, at); !errors.Is(err, session.ErrNotFound) {
		t.Errorf("the oldest of 51 that stand: %v, want ErrNotFound", err)
	}
}

func TestSessionsOpenedAtOnceAreNoMoreThanThat(t *testing.T) {
	m := newMemory()
	replicas := []*session.Manager{manager(m), manager(m)}
	cookies := make([]string, 2*session.MaxSessions)
	var wg sync.WaitGroup
	for n := range cookies {
		wg.Go(func() {
			var err error
			if cookies[n], _, err = replicas[n%2].Open(t.Context(), signIn, time.Now()); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	cold, stand := manager(m), 0
	for _, cookie := range cookies {
		if _, err := cold.Lookup(t.Context(), cookie, time.Now()); err == nil {
			stand++
		}
	}
	if stand > session.MaxSessions || stand == 0 {
		t.Errorf("%d stand, want at most %d", stand, session.MaxSessions)
	}
}

// The bound is about memory: without a list nobody is kept out.
func TestWithoutAListSessionsAreOpened(t *testing.T) {
	m := newMemory()
	mgr := newManager(shipped(), unlisted{m}, m, nil, nil)
	for range session.MaxSessions + 1 {
		open(t, mgr)
	}
	if len(m.ended) != 0 {
		t.Errorf("%d ended, want none", len(m.ended))
	}
}

type unlisted struct{ *memory }

func (unlisted) SessionsOf(context.Context, string, time.Time) ([]session.Session, error) {
	return nil, errDown
}

// When the end of the oldest cannot be recorded, nobody gets one session more.
func TestWithoutRoomNothingIsOpened(t *testing.T) {
	m := newMemory()
	mgr := newManager(shipped(), m, deaf{m}, nil, nil)
	for range session.MaxSessions {
		open(t, mgr)
	}
	if cookie, _, err := mgr.Open(t.Context(), signIn, time.Now()); !errors.Is(err, errDown) || cookie != "" {
		t.Errorf("got %q, %v; want the outage", cookie, err)
	}
}

type deaf struct{ *memory }

func (deaf) EndSession(context.Context, time.Duration, ...session.ID) error { return errDown }

// D8: no more of a user agent is kept than counts.
func TestAUserAgentIsCut(t *testing.T) {
	m := newMemory()
	o := signIn
	o.UserAgent = strings.Repeat("x", 120_000)
	_, s, err := manager(m).Open(t.Context(), o, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	want := strings.Repeat("x", 512)
	if s.UserAgent != want || m.rows[s.ID].UserAgent != want {
		t.Errorf("kept %d bytes, stored %d, want 512", len(s.UserAgent), len(m.rows[s.ID].UserAgent))
	}
	s.UserAgent = o.UserAgent // a store of before
	if got := session.NewEntry(s).UserAgent; got != want {
		t.Errorf("an entry of %d bytes, want 512", len(got))
	}
	if got := session.Agent(want[1:]); got != want[1:] {
		t.Errorf("511 bytes became %d", len(got))
	}
}

func TestExpiredSessionsLeaveTheMemory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := manager(newMemory())
		ctx, stop := context.WithCancel(t.Context())
		defer stop()
		go m.Run(ctx)
		for n := range 100 {
			o := signIn
			o.UID += strconv.Itoa(n)
			if _, _, err := m.Open(t.Context(), o, time.Now()); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(29 * time.Minute)
		if got := m.Len(); got != 100 {
			t.Errorf("%d held before they ran out, want 100", got)
		}
		time.Sleep(3 * time.Minute)
		if got := m.Len(); got != 0 {
			t.Errorf("%d held after it, want none", got)
		}
	})
}
