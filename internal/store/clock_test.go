package store_test

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"barong/internal/event"
	"barong/internal/event/eventtest"
	"barong/internal/feed"
	"barong/internal/limit"
	"barong/internal/session"
	"barong/internal/signin"
	"barong/internal/store"
	"barong/internal/store/storetest"
	"barong/internal/testenv"
	"barong/policy"
	"barong/policy/editor"
)

// stepped is a clock that can be set.
type stepped struct{ ahead atomic.Int64 }

func (c *stepped) now() time.Time       { return time.Now().Add(time.Duration(c.ahead.Load())) }
func (c *stepped) step(d time.Duration) { c.ahead.Store(int64(d)) }

func TestSweep(t *testing.T) {
	now := time.Date(2031, 2, 3, 4, 5, 6, 0, time.UTC)
	db := storetest.Open(t, store.WithClock(func() time.Time { return now }))
	for n, over := range map[int]time.Duration{1: time.Hour, 2: 30 * time.Hour} {
		fillWithWhatExpires(t, db, now, n, over)
	}
	sweep := func(want int) {
		t.Helper()
		if n, err := db.Sweep(t.Context()); err != nil || n != want {
			t.Errorf("%s: removed %d, %v; want %d", now, n, err, want)
		}
	}
	sweep(0)
	now = now.Add(time.Hour + 2*time.Minute)
	sweep(4 + 4) // the changes of two users and two ends; of the first its end, nonce, link and bucket
	now = now.Add(session.Afterlife)
	sweep(1) // the session
	now = now.Add(30 * time.Hour)
	sweep(5)
	if _, _, err := db.Changes(t.Context(), feed.Cursor{}, 10); !errors.Is(err, feed.ErrGap) {
		t.Errorf("got %v, want ErrGap", err)
	}
}

// fillWithWhatExpires adds the n-th row of every kind that is swept by its own time, all over
// at now + d.
func fillWithWhatExpires(t *testing.T, db *store.DB, now time.Time, n int, d time.Duration) {
	t.Helper()
	over := now.Add(d)
	_, err := db.UseNonce(t.Context(), "kid", fmt.Sprint(n), over)
	_, limited := db.Take(t.Context(), fmt.Sprint(n), limit.Rule{Burst: 1, Period: d}, now)
	u := newUser(fmt.Sprint(n))
	if err := errors.Join(err, limited, db.AddUser(t.Context(), &u),
		db.AddSession(t.Context(), session.Session{ID: sessionID(n), UID: "ID1", ExpiresAt: over}),
		db.EndSession(t.Context(), d, sessionID(n)),
		db.AddMailToken(t.Context(), signin.MailToken{Hash: [32]byte{byte(n)}, UserUID: u.UID, Purpose: "reset", ExpiresAt: over}, 0),
	); err != nil {
		t.Fatal(err)
	}
}

// A process whose clock is ahead, and does not know it yet, removes nothing that others go by.
func TestSweepGoesByTheDatabasesClock(t *testing.T) {
	for _, ahead := range []time.Duration{3 * time.Hour, 25 * time.Hour, 400 * 24 * time.Hour} {
		var clock stepped
		db := storetest.OpenPostgres(t, store.WithClock(clock.now))
		fillWithWhatExpires(t, db, time.Now(), 1, 30*time.Minute)
		w := editor.Whitelink{Hash: [32]byte{1}, CreatorUID: "ID1", Uses: 1, ExpiresAt: time.Now().Add(time.Hour)}
		if err := db.AddWhitelink(t.Context(), w); err != nil {
			t.Fatal(err)
		}
		clock.step(ahead)
		if n, err := db.Sweep(t.Context()); err != nil || n != 0 {
			t.Errorf("%s ahead: removed %d, %v; want nothing", ahead, n, err)
		}
		other := editor.Whitelink{Hash: [32]byte{2}, CreatorUID: "ID1", Uses: 1, ExpiresAt: clock.now().Add(time.Hour)}
		if err := db.AddWhitelink(t.Context(), other); err != nil {
			t.Fatal(err)
		}
		if _, err := db.UseWhitelink(t.Context(), w.Hash, time.Now()); err != nil {
			t.Errorf("%s ahead: the whitelink: %v", ahead, err)
		}
	}
}

// Ends recorded by a process whose clock is behind hold for as long as they must.
func TestEndsOutliveAClockThatIsBehind(t *testing.T) {
	var clock stepped
	db := storetest.OpenPostgres(t, store.WithClock(clock.now))
	clock.step(-25 * time.Hour)
	if err := db.EndSession(t.Context(), 24*time.Hour, sessionID(1)); err != nil {
		t.Fatal(err)
	}
	if n, err := db.Sweep(t.Context()); err != nil || n != 0 {
		t.Errorf("removed %d, %v; want nothing", n, err)
	}
	if all, err := db.EndedSessions(t.Context()); err != nil || len(all) != 1 {
		t.Errorf("got %d on record, %v; want one", len(all), err)
	}
	clock.step(25 * time.Hour)
	if all, err := db.EndedSessions(t.Context()); err != nil || len(all) != 1 {
		t.Errorf("ahead: got %d on record, %v; want one", len(all), err)
	}
}

// A blocklogin rule of a process with any clock ends the sessions admitted before it, and no later ones.
func TestCutsGoByTheDatabasesClock(t *testing.T) {
	for _, ahead := range []time.Duration{-time.Hour, time.Hour} {
		var clock stepped
		db := storetest.OpenPostgres(t, store.WithClock(clock.now))
		before, err := db.Moment(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		clock.step(ahead)
		r := policy.Restriction{Category: policy.Blocklogin, Scope: policy.ScopeIP, Value: "192.0.2.1", Code: 423, State: "enabled"}
		if err := db.AddRestriction(t.Context(), &r); err != nil {
			t.Fatal(err)
		}
		after, err := db.Moment(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		rows, err := db.Rows(t.Context())
		if err != nil || len(rows.Cuts) != 1 || !before.At.Before(rows.Cuts[0].At) || !rows.Cuts[0].At.Before(after.At) {
			t.Errorf("%s ahead: got %v, %v; want a cut between %s and %s", ahead, rows.Cuts, err, before.At, after.At)
		}
	}
}

// A holder whose clock is ahead keeps a lease no longer than others, and takes none from a
// living one; neither does an event of such a process wait for its time to come.
func TestLeasesGoByTheDatabasesClock(t *testing.T) {
	for _, ahead := range []time.Duration{-time.Hour, 600 * time.Second} {
		url := storetest.PostgresURL(t)
		var clock stepped
		wrong := storetest.OpenURL(t, url, store.WithClock(clock.now), store.WithDestinations(eventtest.Destinations))
		right := storetest.OpenURL(t, url)
		take := func(db *store.DB, holder, name string, d time.Duration, want bool) {
			t.Helper()
			if held, err := db.Lease(t.Context(), name, holder, d); err != nil || held != want {
				t.Errorf("%s ahead: %s by %s for %s: got %v, %v; want %v", ahead, name, holder, d, held, err, want)
			}
		}
		take(right, "right", "living", time.Minute, true)
		clock.step(ahead)
		take(wrong, "wrong", "living", time.Minute, false)
		take(wrong, "wrong", "killed", 0, true) // a killed holder's, which has run out
		take(right, "right", "killed", time.Minute, true)

		if err := wrong.Emit(t.Context(), event.AccountDeleted(event.User{UID: "ID1"})); err != nil {
			t.Fatal(err)
		}
		items, err := right.DueEvents(t.Context(), "mail", time.Now(), 10, 10)
		if err != nil || len(items) != 1 {
			t.Errorf("%s ahead: %d events are due, %v; want one", ahead, len(items), err)
		}
	}
}

// The age of an event, and with it whether its mail is still worth sending, is by one clock, whichever
// process wrote and whichever sends.
func TestRowsAreDatedByTheDatabasesClock(t *testing.T) {
	for _, ahead := range []time.Duration{-3 * time.Hour, 3 * time.Hour} {
		var clock stepped
		clock.step(ahead)
		db := storetest.OpenPostgres(t, store.WithClock(clock.now), store.WithDestinations(eventtest.Destinations))
		if err := db.Emit(t.Context(), event.AccountDeleted(event.User{UID: "ID1"})); err != nil {
			t.Fatal(err)
		}
		items, err := db.DueEvents(t.Context(), "mail", time.Now(), 10, 10)
		if err != nil || len(items) != 1 {
			t.Fatalf("%s ahead: %d events are due, %v; want one", ahead, len(items), err)
		}
		if off := time.Since(items[0].CreatedAt); off.Abs() > time.Minute {
			t.Errorf("%s ahead: an event of now is %s old", ahead, off)
		}
	}
}

// A process finds out that its clock is wrong, says so once, and leaves sweeps and leases to
// others until it is right again.
func TestClocksAreCompared(t *testing.T) {
	var clock stepped
	var log testenv.Log
	db := storetest.OpenPostgres(t, store.WithClock(clock.now), store.WithLog(slog.New(slog.NewTextHandler(&log, nil))))
	compare := func(ahead time.Duration, works bool, level, says string) {
		t.Helper()
		clock.step(ahead)
		before := log.String()
		for range 3 {
			if err := db.CompareClock(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		if off := db.ClockOffset() - ahead; off > 500*time.Millisecond || off < -500*time.Millisecond {
			t.Errorf("%s ahead: measured %s", ahead, db.ClockOffset())
		}
		if off := time.Until(db.Time()); off > 500*time.Millisecond || off < -500*time.Millisecond {
			t.Errorf("%s ahead: its time is %s off the database's", ahead, off)
		}
		said := strings.TrimPrefix(log.String(), before)
		if strings.Count(said, "\n") != 1 || !strings.Contains(said, "level="+level) || !strings.Contains(said, says) {
			t.Errorf("%s ahead: it says %q, want one line %s %q", ahead, said, level, says)
		}
		held, err := db.Lease(t.Context(), "work", "me", time.Minute)
		if err != nil || held != works {
			t.Errorf("%s ahead: got the lease %v, %v; want %v", ahead, held, err, works)
		}
		if err := db.EndSession(t.Context(), -time.Hour, sessionID(1)); err != nil {
			t.Fatal(err)
		}
		n, err := db.Sweep(t.Context())
		if err != nil || n > 0 != works {
			t.Errorf("%s ahead: swept %d, %v; want something: %v", ahead, n, err, works)
		}
	}
	compare(3*time.Second, true, "WARN", "differ")
	compare(time.Hour, false, "ERROR", "removes no expired rows and sends no events")
	compare(0, true, "INFO", "agrees")
	compare(-4*time.Second, true, "WARN", "differ")
	compare(-6*time.Second, false, "ERROR", "sends no events")
	compare(-2*time.Second, true, "WARN", "differ")
}

// A connection that is made again compares the clocks at once.
func TestClocksAreComparedOnConnect(t *testing.T) {
	var clock stepped
	clock.step(time.Hour)
	db := storetest.OpenPostgres(t, store.WithClock(clock.now))
	if off := db.ClockOffset(); off < 59*time.Minute {
		t.Fatalf("opened with a clock an hour ahead: measured %s", off)
	}
	go db.Watch(t.Context())
	db.Hint() // begins to listen
	await := func(want time.Duration) {
		t.Helper()
		for begun := time.Now(); (db.ClockOffset() - want).Abs() > time.Minute; time.Sleep(5 * time.Millisecond) {
			if time.Since(begun) > 30*time.Second {
				t.Fatalf("measured %s, want %s", db.ClockOffset(), want)
			}
		}
	}
	clock.step(2 * time.Hour)
	if err := db.EndListener(t.Context()); err != nil {
		t.Fatal(err)
	}
	await(2 * time.Hour)
}
