package policytest

import (
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"barong/internal/expect"
	"barong/internal/feed"
	"barong/internal/session"
	"barong/policy"
)

func newRestriction(n string) policy.Restriction {
	return policy.Restriction{
		Category: policy.Blacklist, Scope: policy.ScopeIP, Value: n, Code: 471, State: "disabled",
	}
}

func blocklogin(scope, value string) policy.Restriction {
	return policy.Restriction{Category: policy.Blocklogin, Scope: scope, Value: value, Code: 423, State: "enabled"}
}

func addRestriction(t testing.TB, s policy.Tx, r policy.Restriction) policy.Restriction {
	t.Helper()
	expect.OK(t, s.AddRestriction(t.Context(), &r))
	return r
}

func restrictionRoundTrip(t *testing.T, s Store) {
	want := []policy.Restriction{
		addRestriction(t, s, newRestriction("192.0.2.2")), addRestriction(t, s, newRestriction("192.0.2.1")),
	}
	if r := want[0]; r.ID == 0 || r.LockVersion == 0 || r.CreatedAt.IsZero() || r.UpdatedAt.Location() != time.UTC {
		t.Errorf("got %+v, want ID, LockVersion and times filled", r)
	}
	got, err := s.Restrictions(t.Context())
	expect.OK(t, err)
	expect.Equal(t, got, want)
}

func restrictionTaken(t *testing.T, s Store) {
	addRestriction(t, s, newRestriction("a"))
	again := newRestriction("a")
	again.Code, again.State = 401, "enabled"
	expect.Error(t, s.AddRestriction(t.Context(), &again), policy.ErrTaken)
	for _, change := range []func(*policy.Restriction){
		func(r *policy.Restriction) { r.Category = policy.Whitelist },
		func(r *policy.Restriction) { r.Scope = policy.ScopeSubnet },
		func(r *policy.Restriction) { r.Value = "b" },
	} {
		r := newRestriction("a")
		change(&r)
		r = addRestriction(t, s, r)
		r.Category, r.Scope, r.Value = again.Category, again.Scope, again.Value
		expect.Error(t, s.PutRestriction(t.Context(), &r), policy.ErrTaken)
	}
}

func restrictionPut(t *testing.T, s Store) {
	r := addRestriction(t, s, newRestriction("a"))
	stale := r
	r.Category, r.Scope, r.Value, r.Code, r.State = policy.Maintenance, policy.ScopeCountry, "PA", 503, "enabled"
	expect.OK(t, s.PutRestriction(t.Context(), &r))
	expect.Equal(t, r.LockVersion != stale.LockVersion, true)
	expect.Error(t, s.PutRestriction(t.Context(), &stale), policy.ErrNotFound)
	got, err := s.Restrictions(t.Context())
	expect.OK(t, err)
	expect.Equal(t, got, []policy.Restriction{r})
}

func restrictionNotFound(t *testing.T, s Store) {
	ghost := newRestriction("a")
	ghost.ID, ghost.LockVersion = 404, 1
	expect.Error(t, s.PutRestriction(t.Context(), &ghost), policy.ErrNotFound)
	expect.Error(t, s.DeleteRestriction(t.Context(), 404), policy.ErrNotFound)
}

// ended returns the cuts and the epoch.
func ended(t testing.TB, s Store) ([]policy.Cut, int64) {
	t.Helper()
	rows, err := s.Rows(t.Context())
	expect.OK(t, err)
	e, err := s.Epoch(t.Context())
	expect.OK(t, err)
	return rows.Cuts, e
}

func cutOnEnable(t *testing.T, s Store) {
	r := addRestriction(t, s, blocklogin(policy.ScopeCountry, "PA"))
	cuts, e := ended(t, s)
	expect.Equal(t, cuts, []policy.Cut{{Scope: policy.ScopeCountry, Value: "PA", At: r.CreatedAt}})
	expect.Equal(t, e, int64(0))
	r.State = "disabled"
	expect.OK(t, s.PutRestriction(t.Context(), &r))
	again, _ := ended(t, s)
	expect.Equal(t, again, cuts)
	r.State = "enabled"
	expect.OK(t, s.PutRestriction(t.Context(), &r))
	cuts, e = ended(t, s)
	expect.Equal(t, cuts, []policy.Cut{{Scope: policy.ScopeCountry, Value: "PA", At: r.UpdatedAt}})
	expect.Equal(t, e, int64(0))
}

func epochOnEnable(t *testing.T, s Store) {
	r := addRestriction(t, s, blocklogin(policy.ScopeAll, "all"))
	cuts, e := ended(t, s)
	expect.Equal(t, len(cuts), 0)
	expect.Equal(t, e > 0, true)
	first := e
	for _, state := range []string{"disabled", "enabled"} {
		r.State = state
		expect.OK(t, s.PutRestriction(t.Context(), &r))
	}
	_, e = ended(t, s)
	expect.Equal(t, e > first, true)
}

func cutNever(t *testing.T, s Store) {
	off := blocklogin(policy.ScopeIP, "192.0.2.1")
	off.State = "disabled"
	addRestriction(t, s, off)
	black := newRestriction("192.0.2.2")
	black.State = "enabled"
	addRestriction(t, s, black)
	cuts, e := ended(t, s)
	expect.Equal(t, len(cuts), 0)
	expect.Equal(t, e, int64(0))
	on := addRestriction(t, s, blocklogin(policy.ScopeIP, "192.0.2.3"))
	before, _ := ended(t, s)
	on.Code = 401 // stays enabled
	expect.OK(t, s.PutRestriction(t.Context(), &on))
	after, _ := ended(t, s)
	expect.Equal(t, after, before)
}

func cutOnMove(t *testing.T, s Store) {
	r := addRestriction(t, s, blocklogin(policy.ScopeIP, "192.0.2.1"))
	first := r.CreatedAt
	r.Value = "192.0.2.2"
	expect.OK(t, s.PutRestriction(t.Context(), &r))
	cuts, _ := ended(t, s)
	expect.Equal(t, cuts, []policy.Cut{
		{Scope: policy.ScopeIP, Value: "192.0.2.1", At: first},
		{Scope: policy.ScopeIP, Value: "192.0.2.2", At: r.UpdatedAt},
	})
}

func cutStays(t *testing.T, s Store) {
	r := addRestriction(t, s, blocklogin(policy.ScopeIP, "192.0.2.1"))
	expect.OK(t, s.DeleteRestriction(t.Context(), r.ID))
	cuts, _ := ended(t, s)
	expect.Equal(t, len(cuts), 1)
}

// A session that is opened at a moment has either been judged by a rule, or is ended by its cut.
func cutsAndMoments(t *testing.T, s Store) {
	const rules, signIns = 30, 3
	var moments [signIns][]session.Moment
	var done atomic.Bool
	var signingIn sync.WaitGroup
	for i := range moments {
		signingIn.Go(func() {
			for !done.Load() {
				m, err := s.Moment(t.Context())
				if err != nil {
					t.Error(err)
					return
				}
				moments[i] = append(moments[i], m)
			}
		})
	}
	commits := map[string]int64{} // by value
	for n := range rules {
		r := blocklogin(policy.ScopeIP, fmt.Sprint("192.0.2.", n))
		ctx, mark := feed.WithMark(t.Context())
		if err := s.AddRestriction(ctx, &r); err != nil {
			t.Error(err)
		}
		last, _ := mark.Last()
		commits[r.Value] = last.Seq
	}
	done.Store(true)
	signingIn.Wait()
	cuts, _ := ended(t, s)
	expect.Equal(t, len(cuts), rules)
	for _, m := range slices.Concat(moments[:]...) {
		for _, cut := range cuts {
			if m.Commit.Seq < commits[cut.Value] && !m.At.Before(cut.At) {
				t.Fatalf("at %s, after %d, the cut of %d has the time %s", m.At, m.Commit.Seq, commits[cut.Value], cut.At)
			}
		}
	}
}
