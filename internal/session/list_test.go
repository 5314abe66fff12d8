package session_test

import (
	"errors"
	"net/netip"
	"slices"
	"testing"
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
	mgr = session.NewManager(session.Config{}, m, m, func() time.Time { return at }, nil)
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

// What a slide has promised counts before the store is told, and tells when it was.
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

// One opened before the store kept lists is shown to whoever comes with it, if it is valid.
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
