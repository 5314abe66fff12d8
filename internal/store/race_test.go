package store_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"barong/internal/account"
	"barong/internal/apikey"
	"barong/internal/expect"
	"barong/internal/feed"
	"barong/internal/store"
	"barong/internal/store/storetest"
	"barong/internal/token"
	"barong/policy"
)

// TestRaces are the rules that look at other rows than they write. Each runs on every
// engine: on SQLite writers are alone, on PostgreSQL the store's locks must do as much.
func TestRaces(t *testing.T) {
	ctx := context.Background()
	together := func(t *testing.T, n int, f func(int) error) (won int) {
		t.Helper()
		start, errs := make(chan struct{}), make(chan error, n)
		for i := range n {
			go func() { <-start; errs <- f(i) }()
		}
		close(start)
		for range n {
			switch err := <-errs; {
			case err == nil:
				won++
			case !errors.Is(err, account.ErrTaken) && !errors.Is(err, errRule):
				t.Error(err)
			}
		}
		return won
	}
	for name, race := range map[string]func(*testing.T, *store.DB){
		"a user read and written back loses no other's write": func(t *testing.T, db *store.DB) {
			addUsers(t, db, 1)
			together(t, 8, func(i int) error {
				return store.Update[account.Tx](db)(ctx, func(tx account.Tx) error {
					read := tx.User
					if i%2 == 0 {
						read = func(ctx context.Context, _ string) (account.User, error) {
							return tx.UserByEmail(ctx, "0@example.com")
						}
					}
					u, err := read(ctx, "ID0")
					if err != nil {
						return err
					}
					u.Level++
					return tx.PutUser(ctx, &u)
				})
			})
			if u, err := db.User(ctx, "ID0"); err != nil || u.Level != 8 {
				t.Errorf("level %d, %v; want 8", u.Level, err)
			}
		},
		"so with service accounts and keys": func(t *testing.T, db *store.DB) {
			a := account.ServiceAccount{UID: "SI1", Email: "s@example.com", Role: "r", State: "active"}
			expect.OK(t, db.AddServiceAccount(ctx, &a))
			expect.OK(t, db.AddAPIKey(ctx, &apikey.Key{Kid: "k", Algorithm: "HS256", State: "active", HolderUID: "SI1", Secret: "s"}))
			together(t, 8, func(i int) error {
				return store.Update[account.Tx](db)(ctx, func(tx account.Tx) error {
					a, err := tx.ServiceAccount(ctx, "SI1")
					if err != nil {
						return err
					}
					a.Level++
					return tx.PutServiceAccount(ctx, &a)
				})
			})
			together(t, 8, func(i int) error {
				return store.Update[apikey.Tx](db)(ctx, func(tx apikey.Tx) error {
					k, err := tx.APIKey(ctx, "SI1", "k")
					if err != nil {
						return err
					}
					k.Scope = append(k.Scope, fmt.Sprint(i))
					return tx.PutAPIKey(ctx, &k)
				})
			})
			k, err := db.APIKey(ctx, "SI1", "k")
			if a, err2 := db.ServiceAccount(ctx, "SI1"); err != nil || err2 != nil || a.Level != 8 || len(k.Scope) != 8 {
				t.Errorf("level %d, scope %v, %v, %v; want 8 and 8", a.Level, k.Scope, err, err2)
			}
		},
		"a level counts every label": func(t *testing.T, db *store.DB) {
			addUsers(t, db, 1)
			together(t, 8, func(i int) error {
				return store.Update[account.Tx](db)(ctx, func(tx account.Tx) error {
					l := account.Label{UserUID: "ID0", Key: fmt.Sprint("key", i), Value: "v", Scope: "private"}
					if err := tx.PutLabel(ctx, &l); err != nil {
						return err
					}
					all, err := tx.Labels(ctx, "ID0")
					if err != nil {
						return err
					}
					u, err := tx.User(ctx, "ID0")
					if err != nil {
						return err
					}
					u.Level = len(all)
					return tx.PutUser(ctx, &u)
				})
			})
			if u, err := db.User(ctx, "ID0"); err != nil || u.Level != 8 {
				t.Errorf("level %d, %v; want 8", u.Level, err)
			}
		},
		"one uid is a user's or a service account's": func(t *testing.T, db *store.DB) {
			for round := range 10 {
				uid := fmt.Sprint("ID", round)
				won := together(t, 6, func(i int) error {
					email := fmt.Sprintf("%d-%d@example.com", round, i)
					if i%2 == 0 {
						return db.AddUser(ctx, &account.User{UID: uid, Email: email, Role: "member", State: "active"})
					}
					return db.AddServiceAccount(ctx, &account.ServiceAccount{UID: uid, Email: email, Role: "r", State: "active"})
				})
				if won != 1 {
					t.Fatalf("%d were given %s, want one", won, uid)
				}
			}
		},
		"the last superadmin stays": func(t *testing.T, db *store.DB) {
			for round := range 5 {
				addSuperadmins(t, db, round*4, 4)
				together(t, 4, func(i int) error {
					return store.Update[account.Tx](db)(ctx, func(tx account.Tx) error {
						u, err := tx.User(ctx, fmt.Sprint("ID", round*4+i))
						if err != nil {
							return err
						}
						n, err := tx.CountUsers(ctx, "superadmin", "active")
						if err != nil {
							return err
						}
						if n < 2 {
							return errRule
						}
						u.Role = "member"
						return tx.PutUser(ctx, &u)
					})
				})
				n, err := db.CountUsers(ctx, "superadmin", "active")
				if err != nil || n != 1 {
					t.Fatalf("%d superadmins, %v; want 1", n, err)
				}
			}
		},
		"who is banned gets no key": func(t *testing.T, db *store.DB) {
			for round := range 8 {
				uid := fmt.Sprint("ID", round)
				expect.OK(t, db.AddUser(ctx, &account.User{UID: uid, Email: uid, Role: "member", State: "active"}))
				together(t, 4, func(i int) error {
					return store.Update[apikey.Tx](db)(ctx, func(tx apikey.Tx) error {
						if i == 0 {
							u, err := tx.User(ctx, uid)
							if err != nil {
								return err
							}
							if _, err := tx.DeactivateAPIKeys(ctx, uid); err != nil {
								return err
							}
							u.State = "banned"
							return tx.PutUser(ctx, &u)
						}
						u, err := tx.User(ctx, uid)
						if err != nil {
							return err
						}
						if u.State != "active" {
							return errRule
						}
						return tx.AddAPIKey(ctx, &apikey.Key{Kid: fmt.Sprint(uid, "-", i), Algorithm: "HS256", State: "active", HolderUID: uid, Secret: "s"})
					})
				})
				keys, _, err := db.APIKeys(ctx, apikey.Query{HolderUID: uid})
				expect.OK(t, err)
				for _, k := range keys {
					if k.State == "active" {
						t.Fatalf("%s is banned and has the active key %s", uid, k.Kid)
					}
				}
			}
		},
		"a policy rule sees every row": func(t *testing.T, db *store.DB) {
			together(t, 8, func(i int) error {
				return db.UpdatePolicy(ctx, func(tx policy.Tx) error {
					all, err := tx.Permissions(ctx)
					if err != nil {
						return err
					}
					if len(all) == 3 {
						return errRule
					}
					return tx.AddPermission(ctx, &policy.Permission{Action: "ACCEPT", Role: "r", Verb: "GET", Path: fmt.Sprint(i)})
				})
			})
			if all, err := db.Permissions(ctx); err != nil || len(all) != 3 {
				t.Errorf("%d permissions, %v; want 3", len(all), err)
			}
		},
		"a missing signing key is made once": func(t *testing.T, db *store.DB) {
			together(t, 6, func(i int) error {
				return db.UpdateSigningKeys(ctx, func(all []token.SigningKey) ([]token.SigningKey, error) {
					if len(all) > 0 {
						return all, nil
					}
					return []token.SigningKey{{Kid: fmt.Sprint(i), Use: token.UseBearer, Algorithm: "RS256", State: token.Active, PrivatePEM: []byte("p")}}, nil
				})
			})
			if all, err := db.SigningKeys(ctx); err != nil || len(all) != 1 {
				t.Errorf("%d keys, %v; want 1", len(all), err)
			}
		},
		"a rule enabled twice raises the epoch once": func(t *testing.T, db *store.DB) {
			r := policy.Restriction{Category: policy.Blocklogin, Scope: policy.ScopeAll, Value: "all", State: "disabled"}
			expect.OK(t, db.AddRestriction(ctx, &r))
			r.State = "enabled"
			won := together(t, 6, func(int) error {
				mine := r
				if err := db.PutRestriction(ctx, &mine); errors.Is(err, policy.ErrNotFound) {
					return errRule
				} else if err != nil {
					return err
				}
				return nil
			})
			head, err := db.Head(ctx)
			if err != nil || head.Seq != 2 || won != 1 { // the rule, and its enabling
				t.Errorf("change %d after %d writes, %v; want 2 and 1", head.Seq, won, err)
			}
		},
		"two that want each other's user both get done": func(t *testing.T, db *store.DB) {
			addUsers(t, db, 2)
			if won := together(t, 2, func(i int) error {
				return store.Update[account.Tx](db)(ctx, func(tx account.Tx) error {
					for _, n := range []int{i, 1 - i} {
						if _, err := tx.EndSessions(ctx, fmt.Sprint("ID", n)); err != nil {
							return err
						}
						time.Sleep(20 * time.Millisecond)
					}
					return nil
				})
			}); won != 2 {
				t.Errorf("%d of 2 were done", won)
			}
		},
		"pruning keeps what is young under writers": func(t *testing.T, db *store.DB) {
			addUsers(t, db, 1)
			_, before, err := db.Changes(ctx, feed.Cursor{}, 1)
			expect.OK(t, err)
			_, err = db.EndSessions(ctx, "ID0")
			expect.OK(t, err)
			from, err := db.Head(ctx)
			expect.OK(t, err)
			cut := time.Now()
			together(t, 6, func(i int) error {
				for range 5 {
					if i == 0 {
						if _, err := db.DeleteChanges(ctx, cut); err != nil {
							return err
						}
					} else if _, err := db.EndSessions(ctx, "ID0"); err != nil {
						return err
					}
				}
				return nil
			})
			if all, _, err := db.Changes(ctx, from, 1000); err != nil || len(all) != 25 {
				t.Errorf("%d changes, %v; want 25", len(all), err)
			}
			if _, _, err := db.Changes(ctx, before, 1000); !errors.Is(err, feed.ErrGap) {
				t.Errorf("got %v, want ErrGap", err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			storetest.Engines(t, func(t *testing.T, open storetest.Opener) { race(t, open(t)) })
		})
	}
}

var errRule = errors.New("a rule of the test")

func addUsers(t testing.TB, db *store.DB, n int) {
	t.Helper()
	for i := range n {
		u := newUser(fmt.Sprint(i))
		expect.OK(t, db.AddUser(t.Context(), &u))
	}
}

// addSuperadmins makes n of them, and takes the role from those before.
func addSuperadmins(t testing.TB, db *store.DB, from, n int) {
	t.Helper()
	for i := range from {
		u, err := db.User(t.Context(), fmt.Sprint("ID", i))
		expect.OK(t, err)
		u.Role = "member"
		expect.OK(t, db.PutUser(t.Context(), &u))
	}
	for i := from; i < from+n; i++ {
		u := newUser(fmt.Sprint(i))
		u.Role = "superadmin"
		expect.OK(t, db.AddUser(t.Context(), &u))
	}
}
