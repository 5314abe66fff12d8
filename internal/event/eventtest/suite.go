// Package eventtest is the test suite of event.Outbox, alone and with relays at work on it.
package eventtest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"barong/internal/account"
	"barong/internal/event"
	"barong/internal/expect"
)

// Store is a database with an outbox.
type Store interface {
	event.Outbox
	account.Tx
	Update(ctx context.Context, f func(account.Tx) error) error
}

// Destinations is the routing with which to open stores under test: system events go to "mail"
// and "broker", of model events those of users and labels to "broker", others nowhere.
func Destinations(e event.Event) []string {
	switch {
	case e.Category() == "system":
		return []string{"mail", "broker"}
	case strings.HasPrefix(e.Key(), "user.") || strings.HasPrefix(e.Key(), "label."):
		return []string{"broker"}
	}
	return nil
}

// TestOutbox tests a Store; open returns an empty one, with Destinations.
func TestOutbox(t *testing.T, open func(testing.TB) Store) {
	for name, test := range map[string]func(*testing.T, Store){
		"emit: every destination gets every field":                 roundTrip,
		"emit: what nobody wants leaves nothing":                   unwanted,
		"emit: an event without name or user is refused":           incomplete,
		"emit: rolled back leaves nothing and no hint":             rollBack,
		"emit: a hint follows the commit":                          hint,
		"emit: ids of a user are in the order of commits":          commitOrder,
		"due: a failed item holds back the later ones of its user": heldBack,
		"due: other destinations and users go on":                  othersGoOn,
		"due: a parked item holds back nothing":                    parked,
		"due: oldest first, no more than the limit":                limited,
		"due: no more of a user than the share":                    shared,
		"backlog: counts by destination":                           backlog,
		"parked items are swept by age":                            sweep,
		"lease: one holder at a time":                              leaseAlone,
		"lease: of many who ask one gets it":                       leaseRace,
		"lease: one that ends too late is taken over":              leaseOfAnotherTime,
		"relay: a user's events arrive in order over failures":     relayOrder,
		"relay: two at once send nothing twice":                    relayPair,
		"relay: killed between sending and noting it, sends again": relayKilled,
		"relay: one that lost the lease stops sending":             relayRobbed,
		"relay: a commit wakes it":                                 relayWakes,
		"relay: closing flushes and leaves the lease":              relayFlush,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, open(t))
		})
	}
	t.Run("what is settled by a name of another history settles nothing", func(t *testing.T) {
		t.Parallel()
		otherHistory(t, open(t), open(t))
	})
}

// later is after all that a test emits.
var later = time.Now().Add(24 * time.Hour).UTC().Truncate(time.Microsecond)

// numbered is a system event whose record holds a number.
func numbered(uid string, n int) event.Event {
	return event.Event{Name: "system.test.number", UID: uid, Record: fmt.Appendf(nil, `{"n":%d}`, n)}
}

func number(t testing.TB, e event.Event) int {
	t.Helper()
	var r struct{ N int }
	expect.OK(t, json.Unmarshal(e.Record, &r))
	return r.N
}

func emit(t testing.TB, s Store, events ...event.Event) {
	t.Helper()
	for _, e := range events {
		expect.OK(t, s.Emit(context.Background(), e))
	}
}

func due(t testing.TB, s Store, destination string, now time.Time) []event.Item {
	t.Helper()
	items, err := s.DueEvents(context.Background(), destination, now, 1000, 1000)
	expect.OK(t, err)
	for _, i := range items {
		expect.OK(t, i.Err)
	}
	return items
}

// wantDue checks users and numbers: "u1 1, u2 1".
func wantDue(t testing.TB, s Store, destination string, now time.Time, want string) []event.Item {
	t.Helper()
	items := due(t, s, destination, now)
	var got []string
	for _, i := range items {
		got = append(got, fmt.Sprintf("%s %d", i.UID, number(t, i.Event)))
	}
	if g := strings.Join(got, ", "); g != want {
		t.Errorf("due at %s: got %q, want %q", destination, g, want)
	}
	return items
}

func roundTrip(t *testing.T, s Store) {
	e := event.Event{
		Name: "system.user.email.confirmed", UID: "ID1", Language: "de",
		Record: json.RawMessage(`{"user":{"uid":"ID1"}}`), Changes: json.RawMessage(`{"a":1}`),
	}
	emit(t, s, e)
	for _, destination := range []string{"mail", "broker"} {
		items := due(t, s, destination, later)
		want := []event.Item{{Event: e}}
		if d := cmp.Diff(want, items, cmpopts.IgnoreFields(event.Item{}, "UUID", "ID", "CreatedAt")); d != "" {
			t.Errorf("%s: want (-), got (+):\n%s", destination, d)
		}
		if len(items) == 1 && time.Since(items[0].CreatedAt).Abs() > time.Hour {
			t.Errorf("%s: created at %v", destination, items[0].CreatedAt)
		}
		expect.OK(t, s.DeleteEvents(t.Context(), items[0].UUID, "unknown"))
		wantDue(t, s, destination, later, "")
	}
}

func unwanted(t *testing.T, s Store) {
	emit(t, s, event.Event{Name: "model.profile.created", UID: "ID1", Record: json.RawMessage(`{}`)})
	emit(t, s, event.Event{Name: "model.user.created", UID: "ID1", Record: json.RawMessage(`{"n":1}`)})
	wantDue(t, s, "mail", later, "")
	wantDue(t, s, "broker", later, "ID1 1")
}

func incomplete(t *testing.T, s Store) {
	for name, e := range map[string]event.Event{
		"no user":     {Name: "system.x"},
		"no category": {Name: ".x", UID: "ID1"},
		"no key":      {Name: "system", UID: "ID1"},
	} {
		if err := s.Emit(t.Context(), e); err == nil {
			t.Errorf("%s: got no error", name)
		}
	}
}

func hinted(s Store) bool {
	select {
	case <-s.EventHint():
		return true
	default:
		return false
	}
}

func rollBack(t *testing.T, s Store) {
	oops := errors.New("oops")
	err := s.Update(t.Context(), func(tx account.Tx) error {
		expect.OK(t, tx.Emit(t.Context(), numbered("u1", 1)))
		return oops
	})
	if !errors.Is(err, oops) {
		t.Errorf("got %v, want %v", err, oops)
	}
	wantDue(t, s, "mail", later, "")
	if hinted(s) {
		t.Error("a hint followed a roll-back")
	}
}

func hint(t *testing.T, s Store) {
	expect.OK(t, s.Update(t.Context(), func(tx account.Tx) error {
		expect.OK(t, tx.Emit(t.Context(), numbered("u1", 1)))
		if hinted(s) {
			t.Error("a hint came before the commit")
		}
		return nil
	}))
	if !hinted(s) {
		t.Error("no hint came after the commit")
	}
}

// commitOrder checks the rule that keeps the order of a user's events: no id becomes visible
// after a higher one.
func commitOrder(t *testing.T, s Store) {
	u := account.User{
		UID: "ID1", Email: "one@example.com", PasswordDigest: "x", Role: "member",
		State: account.StateActive, SessionGeneration: 1,
	}
	expect.OK(t, s.AddUser(t.Context(), &u))
	const writers, each = 6, 15
	var running sync.WaitGroup
	for range writers {
		running.Go(func() {
			for n := range each {
				err := s.Update(t.Context(), func(tx account.Tx) error {
					if err := tx.Emit(t.Context(), numbered(u.UID, n)); err != nil {
						return err
					}
					for range n % 4 { // some transactions end later than others
						if _, err := tx.RoleExists(t.Context(), "member"); err != nil {
							return err
						}
					}
					return nil
				})
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	done := make(chan struct{})
	go func() { running.Wait(); close(done) }()
	seen := map[int64]bool{}
	highest := int64(0)
	look := func() {
		before := highest
		for _, i := range due(t, s, "mail", later) {
			if !seen[i.ID] && i.ID < before {
				t.Errorf("item %d came after %d", i.ID, before)
			}
			seen[i.ID], highest = true, max(highest, i.ID)
		}
	}
	for open := true; open; {
		select {
		case <-done:
			open = false
		default:
		}
		look()
	}
	if len(seen) != writers*each {
		t.Errorf("%d items, want %d", len(seen), writers*each)
	}
}

func heldBack(t *testing.T, s Store) {
	emit(t, s, numbered("u1", 1), numbered("u1", 2), numbered("u2", 1), numbered("u1", 3))
	items := wantDue(t, s, "mail", later, "u1 1, u1 2, u2 1, u1 3")
	expect.OK(t, s.RetryEvent(t.Context(), items[1].UUID, later.Add(time.Minute), "refused"))
	wantDue(t, s, "mail", later, "u1 1, u2 1")
	items = wantDue(t, s, "mail", later.Add(time.Minute), "u1 1, u1 2, u2 1, u1 3")
	if got := items[1].Attempts; got != 1 {
		t.Errorf("%d attempts are counted, want 1", got)
	}
	expect.OK(t, s.RetryEvent(t.Context(), items[0].UUID, later.Add(2*time.Minute), ""))
	wantDue(t, s, "mail", later.Add(time.Minute), "u2 1")
	expect.OK(t, s.DeleteEvents(t.Context(), items[0].UUID))
	wantDue(t, s, "mail", later.Add(time.Minute), "u1 2, u2 1, u1 3")
}

// otherHistory settles items read from one database in another that gives the same ids to other
// events, as a promoted standby does: none of them may go unsent.
func otherHistory(t *testing.T, s, other Store) {
	for _, s := range []Store{s, other} {
		emit(t, s, numbered("u1", 1), numbered("u2", 2), numbered("u3", 3))
	}
	const all = "u1 1, u2 2, u3 3"
	items := wantDue(t, other, "mail", later, all)
	if own := wantDue(t, s, "mail", later, all); own[0].ID != items[0].ID {
		t.Fatalf("ids %d and %d, want one for both", own[0].ID, items[0].ID)
	}
	expect.OK(t, s.DeleteEvents(t.Context(), items[0].UUID))
	expect.OK(t, s.RetryEvent(t.Context(), items[1].UUID, later.Add(time.Hour), "refused"))
	expect.OK(t, s.ParkEvent(t.Context(), items[2].UUID, later, "no"))
	wantDue(t, s, "mail", later, all)
}

func othersGoOn(t *testing.T, s Store) {
	emit(t, s, numbered("u1", 1), numbered("u2", 1), numbered("u1", 2))
	items := due(t, s, "mail", later)
	expect.OK(t, s.RetryEvent(t.Context(), items[0].UUID, later.Add(time.Minute), "refused"))
	wantDue(t, s, "mail", later, "u2 1")
	wantDue(t, s, "broker", later, "u1 1, u2 1, u1 2")
}

func parked(t *testing.T, s Store) {
	emit(t, s, numbered("u1", 1), numbered("u1", 2))
	items := due(t, s, "mail", later)
	expect.OK(t, s.ParkEvent(t.Context(), items[0].UUID, later, strings.Repeat("long and ö\x00", 100)))
	wantDue(t, s, "mail", later, "u1 2")
	expect.OK(t, s.RetryEvent(t.Context(), items[0].UUID, later, "too late"))
	wantDue(t, s, "mail", later.Add(time.Hour), "u1 2")
}

func limited(t *testing.T, s Store) {
	emit(t, s, numbered("u1", 1), numbered("u2", 2), numbered("u1", 3))
	items, err := s.DueEvents(t.Context(), "mail", later, 2, 2)
	expect.OK(t, err)
	if len(items) != 2 || number(t, items[0].Event) != 1 || number(t, items[1].Event) != 2 {
		t.Errorf("got %v, want the first two", items)
	}
}

func shared(t *testing.T, s Store) {
	for n := range 40 {
		emit(t, s, numbered("u1", n))
	}
	emit(t, s, numbered("u2", 40), numbered("u3", 41), numbered("u2", 42))
	for share, want := range map[int]string{1: "[u1 0 u2 40 u3 41]", 2: "[u1 0 u1 1 u2 40 u3 41 u2 42]"} {
		items, err := s.DueEvents(t.Context(), "mail", later, 10, share)
		expect.OK(t, err)
		var got []string
		for _, i := range items {
			got = append(got, fmt.Sprint(i.UID, " ", number(t, i.Event)))
		}
		if fmt.Sprint(got) != want {
			t.Errorf("%d of each user: got %v, want %s", share, got, want)
		}
	}
}

func backlog(t *testing.T, s Store) {
	want := func(destination string, waiting, parked int) {
		t.Helper()
		b, err := s.EventBacklog(t.Context(), destination)
		expect.OK(t, err)
		if b.Waiting != waiting || b.Parked != parked || b.Oldest.IsZero() != (waiting == 0) {
			t.Errorf("%s: got %+v, want %d waiting and %d parked", destination, b, waiting, parked)
		}
	}
	want("mail", 0, 0)
	emit(t, s, numbered("u1", 1), numbered("u1", 2))
	emit(t, s, event.Event{Name: "model.user.updated", UID: "u1", Record: json.RawMessage(`{}`)})
	want("mail", 2, 0)
	want("broker", 3, 0)
	items := due(t, s, "mail", later)
	expect.OK(t, s.ParkEvent(t.Context(), items[0].UUID, later, "no"))
	want("mail", 1, 1)
	want("broker", 3, 0)
	expect.OK(t, s.DeleteEvents(t.Context(), items[1].UUID))
	want("mail", 0, 1)
}

func sweep(t *testing.T, s Store) {
	emit(t, s, numbered("u1", 1), numbered("u1", 2), numbered("u1", 3))
	items := due(t, s, "mail", later)
	expect.OK(t, s.ParkEvent(t.Context(), items[0].UUID, later, "no"))
	expect.OK(t, s.ParkEvent(t.Context(), items[1].UUID, later.Add(time.Second), "no"))
	n, err := s.DeleteParkedEvents(t.Context(), later.Add(time.Second))
	expect.OK(t, err)
	b, err := s.EventBacklog(t.Context(), "mail")
	expect.OK(t, err)
	if n != 1 || b.Parked != 1 || b.Waiting != 1 {
		t.Errorf("removed %d, left %+v; want one removed and one each left", n, b)
	}
}

func leaseAlone(t *testing.T, s Store) {
	const long = time.Hour
	take := func(name, holder string, d time.Duration, want bool) {
		t.Helper()
		got, err := s.Lease(t.Context(), name, holder, d)
		expect.OK(t, err)
		if got != want {
			t.Errorf("%s by %s for %s: got %v, want %v", name, holder, d, got, want)
		}
	}
	take("mail", "a", long, true)
	take("mail", "b", long, false)
	take("broker", "b", long, true)
	take("mail", "a", long, true) // extended
	take("mail", "b", long, false)
	take("mail", "a", 0, true)    // extended, and run out
	take("mail", "b", long, true) // so another gets it
	take("mail", "a", long, false)
	expect.OK(t, s.ReleaseLease(t.Context(), "mail", "a")) // not a's
	take("mail", "a", long, false)
	expect.OK(t, s.ReleaseLease(t.Context(), "mail", "b"))
	take("mail", "a", long, true)
}

// A clock that was ahead has given a lease beyond all that can be asked for now. It must not
// keep everybody from the work for so long.
func leaseOfAnotherTime(t *testing.T, s Store) {
	for n, step := range []struct {
		holder string
		d      time.Duration
		want   bool
	}{{"ahead", 24 * time.Hour, true}, {"right", time.Hour, true}, {"ahead", time.Hour, false}} {
		if held, err := s.Lease(t.Context(), "mail", step.holder, step.d); err != nil || held != step.want {
			t.Errorf("%d: %s got %v, %v; want %v", n, step.holder, held, err, step.want)
		}
	}
}

func leaseRace(t *testing.T, s Store) {
	const many = 16
	got := make(chan bool, many)
	for n := range many {
		go func() {
			held, err := s.Lease(t.Context(), "mail", fmt.Sprint(n), time.Minute)
			if err != nil {
				t.Error(err)
			}
			got <- held
		}()
	}
	holders := 0
	for range many {
		if <-got {
			holders++
		}
	}
	if holders != 1 {
		t.Errorf("%d holders, want one", holders)
	}
}
