package policytest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"barong/internal/account"
	"barong/internal/audit"
	"barong/internal/expect"
	"barong/internal/feed"
	"barong/policy"
	"barong/policy/editor"
)

// EditorStore is a editor.Store with the rows that its rules read and write elsewhere.
type EditorStore interface {
	editor.Store
	policy.Tx // each write a transaction of its own
	feed.Source
	audit.Store
	AddUser(ctx context.Context, u *account.User) error
	AddServiceAccount(ctx context.Context, a *account.ServiceAccount) error
}

// TestEditorStore is the suite that every editor.Store passes; open returns an empty one.
func TestEditorStore(t *testing.T, open func(testing.TB) EditorStore) {
	for name, test := range map[string]func(*testing.T, EditorStore){
		"a change number is the one that the feed then has":     nextChange,
		"a change that fails leaves neither row nor activity":   editorRollBack,
		"changes of the policy come one after the other":        editorLock,
		"a role of a user or a service account is in use":       roleInUse,
		"principals of a role are counted up to a number":       countPrincipals,
		"permissions in pages, by id, with the number of all":   permissionPages,
		"permissions by each filter and in each order":          permissionFilters,
		"restrictions in pages, by scope, category and time":    restrictionPages,
		"a whitelink has its uses and its end":                  whitelink,
		"of many who use a whitelink as many as it has get in":  whitelinkRace,
		"whitelinks that have ended are forgotten, others stay": whitelinkForgotten,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, open(t))
		})
	}
}

// countPrincipals counts users and service accounts, at most so many.
func countPrincipals(t *testing.T, s EditorStore) {
	inTx(t, s, func(tx editor.Tx) error {
		for _, n := range []string{"1", "2", "3"} {
			u := account.User{UID: "ID" + n, Email: n + "@example.com", Role: "trader", State: account.StateActive}
			if err := tx.AddUser(t.Context(), &u); err != nil {
				return err
			}
		}
		return tx.AddServiceAccount(t.Context(), &account.ServiceAccount{UID: "SI1", Email: "si@example.com", Role: "robot", State: account.StateActive})
	})
	for _, c := range []struct {
		role         string
		atMost, want int
	}{{"trader", 10, 3}, {"trader", 2, 2}, {"robot", 10, 1}, {"king", 10, 0}, {"", 10, 4}, {"", 1, 1}} {
		inTx(t, s, func(tx editor.Tx) error {
			n, err := tx.CountPrincipals(t.Context(), c.role, c.atMost)
			if err == nil && n != c.want {
				t.Errorf("of role %q: %d, want %d", c.role, n, c.want)
			}
			return err
		})
	}
}

func inTx(t testing.TB, s EditorStore, f func(tx editor.Tx) error) {
	t.Helper()
	expect.OK(t, s.ChangePolicy(context.Background(), f))
}

func nextChange(t *testing.T, s EditorStore) {
	ctx := t.Context()
	for n := range 3 {
		before, err := s.Head(ctx)
		expect.OK(t, err)
		var promised feed.Cursor
		inTx(t, s, func(tx editor.Tx) (err error) {
			addPermission(t, tx, n)
			promised, err = tx.NextChange(ctx)
			return err
		})
		head, err := s.Head(ctx)
		expect.OK(t, err)
		expect.Equal(t, head.Same(promised), true)
		changes, _, err := s.Changes(ctx, before, 10)
		expect.OK(t, err)
		expect.Equal(t, changes, []feed.Change{{Seq: promised.Seq, Kind: feed.Policy}})
	}
	// A change of no verdict takes no number.
	before, err := s.Head(ctx)
	expect.OK(t, err)
	inTx(t, s, func(tx editor.Tx) error { _, err := tx.NextChange(ctx); return err })
	after, err := s.Head(ctx)
	expect.OK(t, err)
	expect.Equal(t, after, before)
}

func editorRollBack(t *testing.T, s EditorStore) {
	oops := errors.New("oops")
	err := s.ChangePolicy(t.Context(), func(tx editor.Tx) error {
		addPermission(t, tx, 1)
		expect.OK(t, tx.AddActivity(t.Context(), audit.Activity{Category: audit.CategoryAdmin, Result: audit.Succeed}))
		expect.OK(t, tx.AddWhitelink(t.Context(), link(1, time.Now())))
		return oops
	})
	expect.Error(t, err, oops)
	rows, err := s.Permissions(t.Context())
	expect.OK(t, err)
	_, n, err := s.Activities(t.Context(), audit.Query{})
	expect.OK(t, err)
	expect.Equal(t, []int{len(rows), n}, []int{0, 0})
}

// editorLock adds a row only where there is none yet: of many at once one may.
func editorLock(t *testing.T, s EditorStore) {
	errs := make(chan error, 8)
	for n := range cap(errs) {
		go func() {
			errs <- s.ChangePolicy(t.Context(), func(tx editor.Tx) error {
				if err := tx.LockPolicy(t.Context()); err != nil {
					return err
				}
				rows, err := tx.Permissions(t.Context())
				if err != nil || len(rows) > 0 {
					return err
				}
				p := newPermission(n)
				return tx.AddPermission(t.Context(), &p)
			})
		}()
	}
	for range cap(errs) {
		expect.OK(t, <-errs)
	}
	rows, err := s.Permissions(t.Context())
	expect.OK(t, err)
	expect.Equal(t, len(rows), 1)
}

func roleInUse(t *testing.T, s EditorStore) {
	ctx := t.Context()
	expect.OK(t, s.AddUser(ctx, &account.User{UID: "ID1", Email: "a@example.com", Role: "member", State: "deleted"}))
	expect.OK(t, s.AddServiceAccount(ctx, &account.ServiceAccount{UID: "SI1", OwnerUID: "ID1", Email: "b@example.com", Role: "bot", State: "active"}))
	for role, want := range map[string]bool{"member": true, "bot": true, "Member": false, "": false} {
		got, err := s.RoleInUse(ctx, role)
		expect.OK(t, err)
		expect.Equal(t, got, want)
		inTx(t, s, func(tx editor.Tx) error {
			got, err := tx.RoleInUse(ctx, role)
			expect.Equal(t, got, want)
			return err
		})
	}
}

func permissionPages(t *testing.T, s EditorStore) {
	var want []policy.Permission
	for n := range 5 {
		want = append(want, addPermission(t, s, 9-n))
	}
	got, total, err := s.PermissionPage(t.Context(), editor.PermissionQuery{Limit: 2, Offset: 1})
	expect.OK(t, err)
	expect.Equal(t, total, 5)
	expect.Equal(t, got, want[1:3])
	got, total, err = s.PermissionPage(t.Context(), editor.PermissionQuery{Limit: 2, Offset: 9})
	expect.OK(t, err)
	expect.Equal(t, []int{len(got), total}, []int{0, 5})
}

// permissionFilters also compares every order with that of a sort in memory.
func permissionFilters(t *testing.T, s EditorStore) {
	ctx := t.Context()
	var all []policy.Permission
	for _, p := range []policy.Permission{
		{Role: "member", Verb: "GET", Path: "api/v2/a", Action: policy.Accept, Topic: "z"},
		{Role: "admin", Verb: "ALL", Path: "api/v2/a/b", Action: policy.Drop},
		{Role: "member", Verb: "POST", Path: "api/v2/a\u00e9", Action: policy.Audit, Topic: "y"},
		{Role: "admin", Verb: "GET", Path: "api/v2/B", Action: policy.Accept},
	} {
		expect.OK(t, s.AddPermission(ctx, &p))
		all = append(all, p)
	}
	ask := func(q editor.PermissionQuery) []policy.Permission {
		t.Helper()
		got, total, err := s.PermissionPage(ctx, q)
		expect.OK(t, err)
		expect.Equal(t, total, len(got))
		return got
	}
	for name, c := range map[string]struct {
		q    editor.PermissionQuery
		want []int
	}{
		"id":                 {editor.PermissionQuery{ID: &all[2].ID}, []int{2}},
		"no such id":         {editor.PermissionQuery{ID: new(int64)}, nil},
		"role":               {editor.PermissionQuery{Role: new("admin")}, []int{1, 3}},
		"no role":            {editor.PermissionQuery{Role: new("")}, nil},
		"verb":               {editor.PermissionQuery{Verb: new("GET")}, []int{0, 3}},
		"action":             {editor.PermissionQuery{Action: new(policy.Accept)}, []int{0, 3}},
		"topic":              {editor.PermissionQuery{Topic: new("y")}, []int{2}},
		"no topic":           {editor.PermissionQuery{Topic: new("")}, []int{1, 3}},
		"beginning":          {editor.PermissionQuery{Path: new("api/v2/a")}, []int{0, 1, 2}},
		"any beginning":      {editor.PermissionQuery{Path: new("")}, []int{0, 1, 2, 3}},
		"beginning, in case": {editor.PermissionQuery{Path: new("api/v2/b")}, nil},
		"no pattern":         {editor.PermissionQuery{Path: new("api%")}, nil},
		"not UTF-8":          {editor.PermissionQuery{Path: new("a\xff")}, nil},
		"all at once": {editor.PermissionQuery{Role: new("member"), Verb: new("GET"), Path: new("api"), Action: new(policy.Accept), Topic: new("z")},
			[]int{0}},
	} {
		var want []policy.Permission
		for _, i := range c.want {
			want = append(want, all[i])
		}
		if got := ask(c.q); !reflect.DeepEqual(got, want) {
			t.Errorf("%s: got %v, want %v", name, got, want)
		}
	}
	inOrder(t, all, editor.PermissionOrders(), func(o editor.Order) []policy.Permission { return ask(editor.PermissionQuery{Order: o}) },
		func(p policy.Permission) (map[string]string, int64) {
			return map[string]string{"role": p.Role, "verb": p.Verb, "path": p.Path, "action": p.Action, "topic": p.Topic}, p.ID
		})
	_, _, err := s.PermissionPage(ctx, editor.PermissionQuery{Order: editor.Order{By: "lock_version"}})
	if err == nil {
		t.Error("an order that is none is taken")
	}
}

// inOrder asks for each order and compares it with a sort of all by texts, and by id behind them; rows
// have no text for the columns in whose order they were made.
func inOrder[R any](t *testing.T, all []R, columns []string, ask func(editor.Order) []R, texts func(R) (map[string]string, int64)) {
	t.Helper()
	for _, by := range append(columns, "") {
		for _, desc := range []bool{false, true} {
			want := slices.Clone(all)
			slices.SortFunc(want, func(a, b R) int {
				x, i := texts(a)
				y, j := texts(b)
				n := cmp.Or(strings.Compare(x[by], y[by]), cmp.Compare(i, j))
				if desc {
					return -n
				}
				return n
			})
			if got := ask(editor.Order{By: by, Desc: desc}); !reflect.DeepEqual(got, want) {
				t.Errorf("by %q, descending %v: got %v, want %v", by, desc, got, want)
			}
		}
	}
}

func restrictionPages(t *testing.T, s EditorStore) {
	ctx := t.Context()
	first := addRestriction(t, s, newRestriction("192.0.2.1"))
	net := newRestriction("192.0.2.0/24")
	net.Scope, net.Category = policy.ScopeSubnet, policy.Whitelist
	second := addRestriction(t, s, net)
	changed := first
	changed.Code = 499
	expect.OK(t, s.PutRestriction(ctx, &changed))
	both := []policy.Restriction{changed, second}
	for _, c := range []struct {
		q    editor.RestrictionQuery
		want []policy.Restriction
	}{
		{editor.RestrictionQuery{}, both},
		{editor.RestrictionQuery{Limit: 1}, both[:1]},
		{editor.RestrictionQuery{Limit: 1, Offset: 1}, both[1:]},
		{editor.RestrictionQuery{Scope: policy.ScopeIP}, both[:1]},
		{editor.RestrictionQuery{Category: policy.Whitelist}, both[1:]},
		{editor.RestrictionQuery{Category: policy.Whitelist, Scope: policy.ScopeIP}, nil},
		{editor.RestrictionQuery{ID: &second.ID}, both[1:]},
		{editor.RestrictionQuery{ID: new(int64)}, nil},
		{editor.RestrictionQuery{State: policy.Enabled}, nil},
		{editor.RestrictionQuery{State: policy.Disabled}, both},
		{editor.RestrictionQuery{Code: new(499)}, both[:1]},
		{editor.RestrictionQuery{Code: new(math.MaxInt)}, nil},
		{editor.RestrictionQuery{Values: []string{"x", net.Value}}, both[1:]},
		{editor.RestrictionQuery{Values: []string{"x\xff"}}, nil},
		{editor.RestrictionQuery{To: first.CreatedAt}, nil},
		{editor.RestrictionQuery{From: first.CreatedAt, To: second.CreatedAt.Add(time.Microsecond)}, both},
		{editor.RestrictionQuery{From: changed.UpdatedAt, To: changed.UpdatedAt.Add(time.Microsecond), Updated: true, Scope: policy.ScopeIP}, both[:1]},
		{editor.RestrictionQuery{From: changed.UpdatedAt.Add(time.Microsecond), Updated: true, Scope: policy.ScopeIP}, nil},
	} {
		got, total, err := s.RestrictionPage(ctx, c.q)
		expect.OK(t, err)
		expect.Equal(t, got, c.want)
		if c.q.Limit == 0 {
			expect.Equal(t, total, len(c.want))
		} else {
			expect.Equal(t, total, 2)
		}
	}
	inOrder(t, both, editor.RestrictionOrders(), func(o editor.Order) []policy.Restriction {
		got, _, err := s.RestrictionPage(ctx, editor.RestrictionQuery{Order: o})
		expect.OK(t, err)
		return got
	}, func(r policy.Restriction) (map[string]string, int64) {
		return map[string]string{
			"category": r.Category, "scope": r.Scope, "value": r.Value, "code": fmt.Sprint(r.Code), "state": r.State,
			"created_at": r.CreatedAt.Format(time.RFC3339Nano), "updated_at": r.UpdatedAt.Format(time.RFC3339Nano),
		}, r.ID
	})
	_, _, err := s.RestrictionPage(ctx, editor.RestrictionQuery{Order: editor.Order{By: "lock_version"}})
	if err == nil {
		t.Error("an order that is none is taken")
	}
}

var day = time.Date(2030, 5, 6, 0, 0, 0, 0, time.UTC)

func link(n byte, ends time.Time) editor.Whitelink {
	return editor.Whitelink{Hash: [32]byte{n, 31: 0xff}, CreatorUID: fmt.Sprint("ID", n), Uses: 2, ExpiresAt: ends.UTC().Truncate(time.Microsecond)}
}

func use(t testing.TB, s EditorStore, n byte, now time.Time) (w editor.Whitelink, err error) {
	t.Helper()
	err = s.ChangePolicy(context.Background(), func(tx editor.Tx) (err error) {
		w, err = tx.UseWhitelink(context.Background(), [32]byte{n, 31: 0xff}, now)
		return err
	})
	return w, err
}

func whitelink(t *testing.T, s EditorStore) {
	future := time.Now().Add(24 * time.Hour)
	inTx(t, s, func(tx editor.Tx) error { return tx.AddWhitelink(t.Context(), link(1, future)) })
	want := link(1, future)
	_, err := use(t, s, 2, day)
	expect.Error(t, err, editor.ErrWhitelink)
	_, err = use(t, s, 1, want.ExpiresAt)
	expect.Error(t, err, editor.ErrWhitelink)
	for left := 1; left >= 0; left-- {
		got, err := use(t, s, 1, want.ExpiresAt.Add(-time.Microsecond))
		expect.OK(t, err)
		want.Uses = left
		expect.Equal(t, got, want)
	}
	_, err = use(t, s, 1, time.Now())
	expect.Error(t, err, editor.ErrWhitelinkUsed)
	_, err = use(t, s, 1, want.ExpiresAt)
	expect.Error(t, err, editor.ErrWhitelink)
	if errors.Is(err, editor.ErrWhitelinkUsed) {
		t.Error("a link that is too old counts as used up")
	}
}

func whitelinkRace(t *testing.T, s EditorStore) {
	inTx(t, s, func(tx editor.Tx) error {
		return tx.AddWhitelink(t.Context(), link(1, time.Now().Add(time.Hour)))
	})
	errs := make(chan error, 8)
	for range cap(errs) {
		go func() {
			_, err := use(t, s, 1, time.Now())
			errs <- err
		}()
	}
	in := 0
	for range cap(errs) {
		if err := <-errs; err == nil {
			in++
		} else {
			expect.Error(t, err, editor.ErrWhitelink)
		}
	}
	expect.Equal(t, in, 2)
}

func whitelinkForgotten(t *testing.T, s EditorStore) {
	for n, ends := range []time.Time{day.AddDate(-20, 0, 0), time.Now().Add(time.Hour), time.Now().Add(2 * time.Hour)} {
		inTx(t, s, func(tx editor.Tx) error { return tx.AddWhitelink(t.Context(), link(byte(n), ends)) })
	}
	_, err := use(t, s, 0, day.AddDate(-30, 0, 0)) // it would still be good then
	expect.Error(t, err, editor.ErrWhitelink)
	for n := byte(1); n < 3; n++ {
		_, err := use(t, s, n, time.Now())
		expect.OK(t, err)
	}
}
