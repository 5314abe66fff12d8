// Package policytest has the suites that every implementation of policy.Store and editor.Store
// passes.
package policytest

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"barong/internal/expect"
	"barong/internal/session"
	"barong/policy"
)

// Store is a policy.Store with the part of session.Ledger that its rules change.
type Store interface {
	policy.Store
	policy.Tx // each write a transaction of its own
	Epoch(ctx context.Context) (int64, error)
	Moment(ctx context.Context) (session.Moment, error)
}

// TestStore is the suite that every policy.Store passes; open returns an empty one. That writes leave
// change-feed rows is tested by feedtest.
func TestStore(t *testing.T, open func(testing.TB) Store) {
	for name, test := range map[string]func(*testing.T, Store){
		"permission: a round trip keeps every field":                  permissionRoundTrip,
		"permission: role, verb, path and action are unique together": permissionTaken,
		"permission: a write needs the row's lock version":            permissionPut,
		"permission: what is not there is ErrNotFound":                permissionNotFound,
		"restriction: a round trip keeps every field":                 restrictionRoundTrip,
		"restriction: category, scope and value are unique together":  restrictionTaken,
		"restriction: a write needs the row's lock version":           restrictionPut,
		"restriction: what is not there is ErrNotFound":               restrictionNotFound,
		"blocklogin: enabling a rule writes a cut (AZ-50)":            cutOnEnable,
		"blocklogin: scope all raises the session epoch (AZ-50)":      epochOnEnable,
		"blocklogin: other writes end no sessions":                    cutNever,
		"blocklogin: a moved rule cuts those it newly matches":        cutOnMove,
		"blocklogin: a cut outlives its rule":                         cutStays,
		"blocklogin: a cut is part of a moment or later than it":      cutsAndMoments,
		"rows: everything at one point in time":                       rows,
		"update: an error undoes all of it and comes back as it is":   rollBack,
		"update: of two writers of one lock version one wins":         race,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, open(t))
		})
	}
}

func newPermission(n int) policy.Permission {
	return policy.Permission{
		Action: policy.Audit, Role: "admin", Verb: "POST", Path: fmt.Sprint("api/v2/admin/", n), Topic: "labels",
	}
}

func addPermission(t testing.TB, s policy.Tx, n int) policy.Permission {
	t.Helper()
	p := newPermission(n)
	expect.OK(t, s.AddPermission(t.Context(), &p))
	return p
}

func permissionRoundTrip(t *testing.T, s Store) {
	want := []policy.Permission{addPermission(t, s, 2), addPermission(t, s, 1)}
	if p := want[0]; p.ID == 0 || p.LockVersion == 0 || p.CreatedAt.IsZero() || p.UpdatedAt.Location() != time.UTC {
		t.Errorf("got %+v, want ID, LockVersion and times filled", p)
	}
	got, err := s.Permissions(t.Context())
	expect.OK(t, err)
	expect.Equal(t, got, want)
}

func permissionTaken(t *testing.T, s Store) {
	addPermission(t, s, 1)
	again := newPermission(1)
	again.Topic = "other"
	expect.Error(t, s.AddPermission(t.Context(), &again), policy.ErrTaken)
	for _, change := range []func(*policy.Permission){
		func(p *policy.Permission) { p.Action = policy.Drop }, func(p *policy.Permission) { p.Role = "x" },
		func(p *policy.Permission) { p.Verb = "GET" }, func(p *policy.Permission) { p.Path = "x" },
	} {
		p := newPermission(1)
		change(&p)
		expect.OK(t, s.AddPermission(t.Context(), &p))
		p.Action, p.Role, p.Verb, p.Path = again.Action, again.Role, again.Verb, again.Path
		expect.Error(t, s.PutPermission(t.Context(), &p), policy.ErrTaken)
	}
}

func permissionPut(t *testing.T, s Store) {
	p := addPermission(t, s, 1)
	stale := p
	p.Action, p.Role, p.Verb, p.Path, p.Topic = policy.Drop, "support", "ALL", "api/v2/x", ""
	expect.OK(t, s.PutPermission(t.Context(), &p))
	expect.Equal(t, p.LockVersion != stale.LockVersion, true)
	expect.Error(t, s.PutPermission(t.Context(), &stale), policy.ErrNotFound)
	got, err := s.Permissions(t.Context())
	expect.OK(t, err)
	expect.Equal(t, got, []policy.Permission{p})
}

func permissionNotFound(t *testing.T, s Store) {
	ghost := newPermission(1)
	ghost.ID, ghost.LockVersion = 404, 1
	expect.Error(t, s.PutPermission(t.Context(), &ghost), policy.ErrNotFound)
	expect.Error(t, s.DeletePermission(t.Context(), 404), policy.ErrNotFound)
	p := addPermission(t, s, 1)
	expect.OK(t, s.DeletePermission(t.Context(), p.ID))
	expect.Error(t, s.DeletePermission(t.Context(), p.ID), policy.ErrNotFound)
}

func rows(t *testing.T, s Store) {
	p, r := addPermission(t, s, 1), addRestriction(t, s, blocklogin("ip", "192.0.2.1"))
	off := blocklogin("ip", "192.0.2.2")
	off.State = "disabled"
	disabled := addRestriction(t, s, off)
	got, err := s.Rows(t.Context())
	expect.OK(t, err)
	if got.At.Seq < 2 || len(got.Cuts) != 1 {
		t.Fatalf("sequence number %d, %d cuts; want one for every write, 1", got.At.Seq, len(got.Cuts))
	}
	expect.Equal(t, got, policy.Rows{
		At: got.At, Permissions: []policy.Permission{p}, Restrictions: []policy.Restriction{r, disabled},
		Cuts: got.Cuts,
	})
	addPermission(t, s, 2)
	later, err := s.Rows(t.Context())
	expect.OK(t, err)
	expect.Equal(t, later.At.Seq, got.At.Seq+1)
}

func rollBack(t *testing.T, s Store) {
	oops := errors.New("oops")
	err := s.UpdatePolicy(t.Context(), func(tx policy.Tx) error {
		addPermission(t, tx, 1)
		addRestriction(t, tx, blocklogin("ip", "192.0.2.1"))
		addRestriction(t, tx, blocklogin("all", "all"))
		return oops
	})
	if !errors.Is(err, oops) {
		t.Fatalf("got %v, want the very error of f", err)
	}
	got, err := s.Rows(t.Context())
	expect.OK(t, err)
	expect.Equal(t, got, policy.Rows{At: got.At})
	e, err := s.Epoch(t.Context())
	expect.OK(t, err)
	expect.Equal(t, e, int64(0))
}

func race(t *testing.T, s Store) {
	p := addPermission(t, s, 1)
	errs := make(chan error, 8)
	for n := range cap(errs) {
		go func() {
			mine := p
			mine.Topic = fmt.Sprint(n)
			errs <- s.PutPermission(t.Context(), &mine)
		}()
	}
	won := 0
	for range cap(errs) {
		switch err := <-errs; {
		case err == nil:
			won++
		case !errors.Is(err, policy.ErrNotFound):
			t.Errorf("got %v, want ErrNotFound", err)
		}
	}
	expect.Equal(t, won, 1)
}
