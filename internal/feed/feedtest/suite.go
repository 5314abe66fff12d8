// Package feedtest tests the databases that implement feed.Source, and the promise that their
// stores make: every verdict-changing write leaves a change-feed row.
package feedtest

import (
	"cmp"
	"context"
	"errors"
	"reflect"
	"slices"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"barong/internal/apikey"
	"barong/internal/directory"
	"barong/internal/expect"
	"barong/internal/factor"
	"barong/internal/feed"
	"barong/internal/limit"
	"barong/internal/person"
	"barong/internal/session"
	"barong/internal/signin"
	"barong/internal/token"
	"barong/policy"
)

// Tx is everything of accounts that one transaction may write.
type Tx interface {
	signin.Tx
	factor.Tx
	apikey.Tx
	person.Tx
}

// Store is a database: the feed and everything that writes to it.
type Store interface {
	feed.Source
	Tx
	directory.Source
	apikey.Source
	apikey.UseStore
	Update(ctx context.Context, f func(Tx) error) error
	policy.Store
	policy.Tx // each write a transaction of its own
	session.Ledger
	token.KeyStore
	limit.Store
}

// TestStore tests a Store; open returns an empty one.
func TestStore(t *testing.T, open func(testing.TB) Store) {
	for _, w := range writes {
		t.Run(w.name, func(t *testing.T) {
			t.Parallel()
			leavesRow(t, open(t), w)
		})
	}
	for name, test := range map[string]func(*testing.T, Store){
		"every method is in the table or known to be quiet":      tableIsComplete,
		"reads and writes that change no verdict leave no row":   quietLeavesNone,
		"writes that fail leave no row":                          failureLeavesNone,
		"one transaction has one number and each change once":    oneNumber,
		"rolled back writes leave neither row nor gap":           rollBackLeavesNone,
		"an empty feed has nothing to read":                      empty,
		"pages never split a number":                             pages,
		"pruning keeps the young; a cursor before them is a gap": prune,
		"a cursor beyond the head is a gap":                      foreignCursor,
		"a cursor of another server is a gap":                    otherServer,
		"numbers have no gaps and appear in order under writers": concurrent,
		"a reader who saw a number sees its rows":                visibility,
		"a hint follows a commit, none a roll-back":              hint,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, open(t))
		})
	}
	t.Run("cursors of another history are gaps, however far the head", func(t *testing.T) {
		t.Parallel()
		otherHistory(t, open(t), open(t))
	})
	t.Run("generations, epochs and versions are given once, whatever the history", func(t *testing.T) {
		t.Parallel()
		otherNames(t, open(t), open(t))
	})
}

func head(t testing.TB, s feed.Source) feed.Cursor {
	t.Helper()
	n, err := s.Head(context.Background())
	expect.OK(t, err)
	return n
}

// since reads everything after a commit, sorted, and the commit reached.
func since(t testing.TB, s feed.Source, after feed.Cursor) ([]feed.Change, feed.Cursor) {
	t.Helper()
	all, upTo, err := s.Changes(context.Background(), after, 1_000_000)
	expect.OK(t, err)
	return sorted(all), upTo
}

func sorted(all []feed.Change) []feed.Change {
	slices.SortFunc(all, func(a, b feed.Change) int {
		return cmp.Or(cmp.Compare(a.Seq, b.Seq), cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Ref, b.Ref))
	})
	return all
}

// leavesRow runs one write twice, in a transaction that fails and for good.
func leavesRow(t *testing.T, s Store, w write) {
	f := newFixture(t, s)
	before := head(t, s)
	oops := errors.New("oops")
	switch {
	case w.account != nil:
		err := s.Update(t.Context(), func(tx Tx) error {
			if err := w.account(t.Context(), tx, f); err != nil {
				t.Errorf("inside a transaction: %v", err)
			}
			return oops
		})
		rolledBack(t, s, before, err, oops)
		expect.OK(t, w.account(t.Context(), s, newCopy(f)))
	case w.policy != nil:
		err := s.UpdatePolicy(t.Context(), func(tx policy.Tx) error {
			if err := w.policy(t.Context(), tx, newCopy(f)); err != nil {
				t.Errorf("inside a transaction: %v", err)
			}
			return oops
		})
		rolledBack(t, s, before, err, oops)
		expect.OK(t, w.policy(t.Context(), s, newCopy(f)))
	default:
		expect.OK(t, w.other(t.Context(), s, newCopy(f)))
	}
	if got := head(t, s); got.Seq != before.Seq+1 || got.Name == before.Name {
		t.Fatalf("head rose from %s to %s, want by one and another name", before, got)
	}
	got, upTo := since(t, s, before)
	want := slices.Clone(w.want)
	for i := range want {
		want[i].Seq = before.Seq + 1
	}
	if d := gocmp.Diff(sorted(want), got); d != "" || upTo != head(t, s) {
		t.Errorf("read up to %s, want %s; want (-), got (+):\n%s", upTo, head(t, s), d)
	}
}

func rolledBack(t testing.TB, s Store, before feed.Cursor, err, want error) {
	t.Helper()
	if err != want { //nolint:errorlint // the very error, as the contract says
		t.Fatalf("got error %v, want %v", err, want)
	}
	if got := head(t, s); got != before {
		t.Fatalf("rolled back, yet head rose from %s to %s", before, got)
	}
	if got, _ := since(t, s, before); len(got) != 0 {
		t.Fatalf("rolled back, yet left %v", got)
	}
}

// tableIsComplete fails when a contract gets a method that nobody has thought about here.
func tableIsComplete(t *testing.T, _ Store) {
	known := map[string]bool{}
	for _, w := range writes {
		known[w.method] = true
	}
	for _, q := range quiet {
		known[q] = true
	}
	for _, contract := range []reflect.Type{
		reflect.TypeFor[Tx](), reflect.TypeFor[directory.Source](), reflect.TypeFor[apikey.Source](), reflect.TypeFor[policy.Store](), reflect.TypeFor[policy.Tx](),
		reflect.TypeFor[session.Ledger](), reflect.TypeFor[token.KeyStore](),
		reflect.TypeFor[limit.Store](),
	} {
		for m := range contract.NumMethod() {
			if name := contract.Method(m).Name; !known[name] {
				t.Errorf("%s.%s: say in this package whether it leaves a change-feed row", contract, name)
			}
		}
	}
}

func quietLeavesNone(t *testing.T, s Store) {
	f := newFixture(t, s)
	before := head(t, s)
	for name, do := range quietCalls(s, f) {
		if err := do(t.Context()); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if got := head(t, s); got != before {
			t.Fatalf("%s: head rose from %s to %s", name, before, got)
		}
	}
}

func failureLeavesNone(t *testing.T, s Store) {
	f := newFixture(t, s)
	before := head(t, s)
	for name, do := range failingCalls(s, f) {
		if do(t.Context()) == nil {
			t.Errorf("%s: got no error", name)
		}
		if got := head(t, s); got != before {
			t.Fatalf("%s: head rose from %s to %s", name, before, got)
		}
	}
}

func oneNumber(t *testing.T, s Store) {
	f := newFixture(t, s)
	before := head(t, s)
	expect.OK(t, s.Update(t.Context(), func(tx Tx) error {
		for range 2 {
			if _, err := tx.EndSessions(t.Context(), f.user.UID); err != nil {
				return err
			}
		}
		_, err := tx.DeactivateAPIKeys(t.Context(), f.user.UID)
		return err
	}))
	got, upTo := since(t, s, before)
	want := []feed.Change{
		{Seq: before.Seq + 1, Kind: feed.Key, Ref: serviceKid}, {Seq: before.Seq + 1, Kind: feed.Key, Ref: userKid},
		{Seq: before.Seq + 1, Kind: feed.Principal, Ref: f.user.UID},
	}
	if d := gocmp.Diff(sorted(want), got); d != "" || upTo != head(t, s) {
		t.Errorf("read up to %s, want %s; want (-), got (+):\n%s", upTo, head(t, s), d)
	}
}

func rollBackLeavesNone(t *testing.T, s Store) {
	before := head(t, s)
	for range 3 {
		_ = s.Update(t.Context(), func(tx Tx) error {
			u := newUser("1")
			expect.OK(t, tx.AddUser(t.Context(), &u))
			return errors.New("oops")
		})
	}
	u := newUser("1")
	expect.OK(t, s.AddUser(t.Context(), &u))
	if got := head(t, s); got.Seq != before.Seq+1 {
		t.Errorf("head rose from %s to %s, want by one", before, got)
	}
}

func empty(t *testing.T, s Store) {
	got, upTo := since(t, s, head(t, s))
	if len(got) != 0 || upTo != head(t, s) {
		t.Errorf("got %v up to %s", got, upTo)
	}
}

func pages(t *testing.T, s Store) {
	f := newFixture(t, s)
	start := head(t, s)
	for range 3 { // three rows, then one
		keys, _, err := s.APIKeys(t.Context(), apikey.Query{HolderUID: f.user.UID, Limit: 10})
		expect.OK(t, err)
		expect.OK(t, s.Update(t.Context(), func(tx Tx) error {
			for _, k := range keys {
				expect.OK(t, tx.PutAPIKey(t.Context(), &k))
			}
			expect.OK(t, tx.PutAPIKey(t.Context(), &apikey.Key{Kid: serviceKid, State: apikey.Active}))
			_, err := tx.EndSessions(t.Context(), f.user.UID)
			return err
		}))
		_, err = s.EndSessions(t.Context(), f.user.UID)
		expect.OK(t, err)
	}
	want, _ := since(t, s, start)
	for size := range 9 {
		var got []feed.Change
		cursor, calls := start, 0
		for cursor != head(t, s) {
			page, upTo, err := s.Changes(t.Context(), cursor, size)
			expect.OK(t, err)
			if upTo.Seq <= cursor.Seq || calls > 100 {
				t.Fatalf("limit %d: stuck at %s", size, cursor)
			}
			for _, c := range page {
				if c.Seq <= cursor.Seq || c.Seq > upTo.Seq {
					t.Errorf("limit %d: number %d outside (%s, %s]", size, c.Seq, cursor, upTo)
				}
			}
			if len(page) > max(size, 3) {
				t.Errorf("limit %d: a page of %d", size, len(page))
			}
			got, cursor, calls = append(got, page...), upTo, calls+1
		}
		if d := gocmp.Diff(want, sorted(got)); d != "" {
			t.Errorf("limit %d: want (-), got (+):\n%s", size, d)
		}
	}
}

func prune(t *testing.T, s Store) {
	f := newFixture(t, s)
	_, err := s.EndSessions(t.Context(), f.user.UID)
	expect.OK(t, err)
	before := head(t, s)
	n, err := s.DeleteChanges(t.Context(), time.Now().Add(-time.Hour))
	expect.OK(t, err)
	if n != 0 {
		t.Errorf("pruned %d young rows", n)
	}
	_, early, err := s.Changes(t.Context(), feed.Cursor{}, 1)
	if err != nil || early.Seq >= before.Seq {
		t.Errorf("nothing was pruned, yet: %v, a page up to %s", err, early)
	}
	n, err = s.DeleteChanges(t.Context(), time.Now().Add(time.Hour))
	expect.OK(t, err)
	if n == 0 || head(t, s) != before {
		t.Errorf("pruned %d rows, head went from %s to %s", n, before, head(t, s))
	}
	if _, _, err := s.Changes(t.Context(), early, 10); !errors.Is(err, feed.ErrPruned) || !errors.Is(err, feed.ErrGap) {
		t.Errorf("got %v, want ErrPruned, which is an ErrGap", err)
	}
	if got, upTo := since(t, s, before); len(got) != 0 || upTo != before {
		t.Errorf("got %v up to %s from the newest commit, whose rows are gone", got, upTo)
	}
	_, err = s.EndSessions(t.Context(), f.user.UID)
	expect.OK(t, err)
	got, upTo := since(t, s, before) // a reader that had read everything goes on
	if len(got) != 1 || upTo.Seq != before.Seq+1 {
		t.Errorf("got %v up to %s, want one change after %s", got, upTo, before)
	}
}

// otherHistory takes cursors of one database to another that gives the same numbers to other
// commits, as a promoted standby or a restored backup does: each is a gap, whatever the head.
func otherHistory(t *testing.T, s, other Store) {
	f := newFixture(t, other)
	var lost []feed.Cursor // every place of the other history, ends of pages included
	for cursor := (feed.Cursor{}); cursor != head(t, other); {
		_, upTo, err := other.Changes(t.Context(), cursor, 1)
		expect.OK(t, err)
		if upTo.Seq != cursor.Seq+1 {
			t.Fatalf("a page of one commit led from %s to %s", cursor, upTo)
		}
		cursor = upTo
		upTo.Server = 0 // so that the names alone must tell
		lost = append(lost, upTo)
	}
	refused := func(when string) {
		t.Helper()
		for _, c := range lost {
			changes, _, err := s.Changes(t.Context(), c, 1000)
			if !errors.Is(err, feed.ErrGap) {
				t.Errorf("%s: at %s of the other history, head %s: read %d changes, %v; want ErrGap",
					when, c, head(t, s), len(changes), err)
			}
		}
	}
	included := func(when string, c feed.Cursor, want error) {
		t.Helper()
		if err := s.(including).Includes(t.Context(), c); !errors.Is(err, want) {
			t.Errorf("%s: is %s included? got %v, want %v", when, c, err, want)
		}
	}
	refused("the head is below the cursor")
	included("before", lost[0], feed.ErrHistory)
	newFixture(t, s)
	if head(t, s).Seq != head(t, other).Seq {
		t.Fatalf("heads %s and %s, want one number", head(t, s), head(t, other))
	}
	first := head(t, s)
	refused("the head has reached the cursor")
	for range 3 {
		_, err := s.EndSessions(t.Context(), f.user.UID)
		expect.OK(t, err)
	}
	refused("the head has grown past the cursor")
	included("after", lost[len(lost)-1], feed.ErrHistory)
	included("after", first, nil)
	included("after", feed.Cursor{Seq: first.Seq, Name: first.Name, Server: 1}, nil)
	_, err := s.DeleteChanges(t.Context(), time.Now().Add(time.Hour))
	expect.OK(t, err)
	refused("all is pruned")
	included("pruned", first, feed.ErrPruned)
	included("pruned", head(t, s), nil)
}

type including interface {
	Includes(ctx context.Context, c feed.Cursor) error
}

// otherNames does the same in two databases that begin as one: values that a process from
// before a failover compares for equality must not be given twice.
func otherNames(t *testing.T, s, other Store) {
	type names struct{ version, generation, epoch, service int64 }
	var seen [2][]names
	for i, s := range []Store{s, other} {
		f := newFixture(t, s)
		for n := range 3 {
			f.user.Level++
			f.user.SessionGeneration++
			expect.OK(t, s.PutUser(t.Context(), &f.user))
			if n == 1 {
				var err error
				f.user.SessionGeneration, err = s.EndSessions(t.Context(), f.user.UID)
				expect.OK(t, err)
			}
			f.service.Level++
			expect.OK(t, s.PutServiceAccount(t.Context(), &f.service))
			epoch, err := s.EndAll(t.Context())
			expect.OK(t, err)
			p, err := s.Principal(t.Context(), f.user.UID)
			expect.OK(t, err)
			seen[i] = append(seen[i], names{p.Version, p.SessionGeneration, epoch, f.service.Version})
		}
	}
	for n, a := range seen[0] {
		b := seen[1][n]
		if a.version == b.version || a.generation == b.generation || a.epoch == b.epoch || a.service == b.service {
			t.Errorf("after %d rounds one history has %+v, the other %+v; want no name in both", n+1, a, b)
		}
		if n > 0 {
			if c := seen[0][n-1]; a.version <= c.version || a.generation <= c.generation || a.epoch <= c.epoch || a.service <= c.service {
				t.Errorf("%+v follows %+v; want later ones", a, c)
			}
		}
	}
}

// otherServer reads on, after it took place on another server or before a restart.
func otherServer(t *testing.T, s Store) {
	newFixture(t, s)
	here := head(t, s)
	elsewhere := here
	elsewhere.Server++
	if _, _, err := s.Changes(t.Context(), elsewhere, 10); !errors.Is(err, feed.ErrServer) || !errors.Is(err, feed.ErrGap) {
		t.Errorf("a cursor of another server: got %v, want ErrServer, which is an ErrGap", err)
	}
	elsewhere.Server = 0
	if _, upTo, err := s.Changes(t.Context(), elsewhere, 10); err != nil || upTo != here {
		t.Errorf("a cursor of no server: got %s, %v; want %s", upTo, err, here)
	}
}

func foreignCursor(t *testing.T, s Store) {
	beyond := head(t, s)
	beyond.Seq++
	if _, _, err := s.Changes(t.Context(), beyond, 10); !errors.Is(err, feed.ErrHistory) {
		t.Errorf("got %v, want ErrHistory", err)
	}
}

func hint(t *testing.T, s Store) {
	f := newFixture(t, s)
	select {
	case <-s.Hint():
	case <-time.After(5 * time.Second):
		t.Fatal("no hint after a commit")
	}
	for quiet := false; !quiet; { // a store may announce one commit twice
		select {
		case <-s.Hint():
		case <-time.After(200 * time.Millisecond):
			quiet = true
		}
	}
	_ = s.Update(t.Context(), func(tx Tx) error {
		_, err := tx.EndSessions(t.Context(), f.user.UID)
		expect.OK(t, err)
		return errors.New("oops")
	})
	_, err := s.Labels(t.Context(), f.user.UID)
	expect.OK(t, err)
	select {
	case <-s.Hint():
		t.Error("a hint without a change")
	case <-time.After(50 * time.Millisecond):
	}
}
