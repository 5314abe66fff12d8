package store_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"barong/internal/account"
	"barong/internal/expect"
	"barong/internal/store"
	"barong/internal/store/storetest"
	"barong/internal/testenv"
	"barong/policy"
	"barong/policy/editor"
)

// histories are two databases that go on from the same rows, as the lost and the new history of a
// failover do; past makes the rows.
func histories(t *testing.T, engine string, past func(*store.DB) error) (lost, kept *store.DB) {
	t.Helper()
	begin := func(url string) error {
		db, err := store.Open(t.Context(), url, storetest.Sealer(t), store.WithoutSync())
		if err != nil {
			return err
		}
		_, err = db.Migrate(t.Context())
		return errors.Join(err, past(db), db.Close())
	}
	if engine == "postgres" {
		first, second := testenv.Database(t, t.Name(), begin), testenv.Database(t, t.Name(), begin)
		return storetest.OpenURL(t, first), storetest.OpenURL(t, second)
	}
	at, other := filepath.Join(t.TempDir(), "barong.db"), filepath.Join(t.TempDir(), "barong.db")
	expect.OK(t, begin("sqlite:"+at))
	file, err := os.ReadFile(at)
	expect.OK(t, err)
	expect.OK(t, os.WriteFile(other, file, 0o600))
	return storetest.OpenPath(t, at), storetest.OpenPath(t, other)
}

// A row is a policy row as staff see it.
type row struct {
	Kind        string
	ID, Version int64
}

// rowsOf are those of both kinds.
func rowsOf(t *testing.T, db *store.DB) (all []row) {
	t.Helper()
	rows, err := db.Rows(t.Context())
	expect.OK(t, err)
	for _, p := range rows.Permissions {
		all = append(all, row{"permission", p.ID, p.LockVersion})
	}
	for _, r := range rows.Restrictions {
		all = append(all, row{"restriction", r.ID, r.LockVersion})
	}
	return all
}

// id names the row in a change; nil is a new one.
func (r row) id() *int64 {
	if r.ID == 0 {
		return nil
	}
	return &r.ID
}

// change makes one change as staff do: of the row, or of a new one when its id is 0.
func change(t *testing.T, db *store.DB, r row, seen []int64, remove bool) error {
	t.Helper()
	s := editor.NewService(db, policy.NewHolder(policy.RouteRules{}, policy.Options{}, nil, nil), 1, nil)
	e := editor.Edit{By: account.Actor{UID: "ID1", Role: account.RoleSuperadmin}, Seen: seen, Force: true}
	if r.Kind == "permission" {
		_, err := s.ChangePermission(t.Context(), e, editor.PermissionChange{
			ID: r.id(), Remove: remove, Role: new("member"), Verb: new("GET"),
			Path: new(fmt.Sprintf("api/v2/peatio/%x", rand.Uint64())), Action: new(policy.Accept),
		})
		return err
	}
	_, err := s.ChangeRestriction(t.Context(), e, editor.RestrictionChange{
		ID: r.id(), Remove: remove, Scope: new(policy.ScopeIP), Category: new(policy.Blacklist),
		Value: new(fmt.Sprintf("2001:db8::%x:%x", rand.N(1<<16), rand.N(1<<16))), State: new("disabled"),
	})
	return err
}

// Two histories that begin with the same rows never give one id to two rows, nor one version to two
// states of a row, so that an edit made on the sight of the one does not meet the other: it finds
// nothing, or a row that has changed.
func TestNoEditOfALostRowMeetsAnother(t *testing.T) {
	kinds := []string{"permission", "restriction"}
	for _, engine := range []string{"sqlite", "postgres"} {
		t.Run(engine, func(t *testing.T) {
			lost, kept := histories(t, engine, func(db *store.DB) error {
				first := policy.Permission{Role: "member", Verb: "GET", Path: "api/v2/peatio", Action: policy.Accept}
				if err := db.AddPermission(t.Context(), &first); err != nil {
					return err
				}
				for _, kind := range kinds {
					for range 3 {
						if err := change(t, db, row{Kind: kind}, nil, false); err != nil {
							return err
						}
					}
				}
				return nil
			})
			past := rowsOf(t, lost)
			expect.Equal(t, rowsOf(t, kept), past)
			// Each history removes, edits and adds.
			seen := map[*store.DB]map[row]bool{}
			for _, db := range []*store.DB{lost, kept} {
				seen[db] = map[row]bool{}
				for n := range 100 {
					all := rowsOf(t, db)
					for _, r := range all {
						seen[db][r] = true
					}
					r := all[rand.N(len(all))]
					switch n % 4 {
					case 0: // the newest, whose id would be given again
						of := slices.DeleteFunc(all, func(x row) bool { return x.Kind != r.Kind })
						r = of[len(of)-1]
						expect.OK(t, change(t, db, r, []int64{r.Version}, true))
					case 1:
						expect.OK(t, change(t, db, r, []int64{r.Version}, false))
					default:
						expect.OK(t, change(t, db, row{Kind: kinds[n/4%2]}, nil, false))
					}
				}
			}
			before := map[row]bool{}
			ids := map[row]bool{}
			for _, r := range past {
				before[r], ids[row{r.Kind, r.ID, 0}] = true, true
			}
			last := rowsOf(t, kept)
			for r := range seen[lost] {
				if before[r] {
					continue
				}
				if r.ID < 1 || r.ID >= 1<<53 || r.Version < 1 || r.Version >= 1<<53 {
					t.Fatalf("%+v: not exact as a JSON number", r)
				}
				if seen[kept][r] {
					t.Errorf("%+v is a row of both histories", r)
				}
				// With the version, and without it where the row itself is lost.
				want := policy.ErrNotFound
				if slices.ContainsFunc(last, func(x row) bool { return x.Kind == r.Kind && x.ID == r.ID }) {
					want = editor.ErrStale
				}
				for _, remove := range []bool{true, false} {
					expect.Error(t, change(t, kept, r, []int64{r.Version}, remove), want)
					if !ids[row{r.Kind, r.ID, 0}] {
						expect.Error(t, change(t, kept, r, nil, remove), policy.ErrNotFound)
					}
				}
			}
			expect.Equal(t, rowsOf(t, kept), last)
		})
	}
}
