package accounttest

import (
	"context"
	"errors"
	"sync"
	"testing"

	"barong/internal/account"
)

func updateRollsBack(t *testing.T, s account.Store) {
	kept := addUser(t, s, "1")
	oops := errors.New("oops")
	err := s.Update(t.Context(), func(tx account.Tx) error {
		addUser(t, tx, "2")
		addKey(t, tx, "aa", kept.UID)
		u := kept
		u.Role = "admin"
		must(t, tx.PutUser(t.Context(), &u))
		l := newLabel(kept.UID, "email", account.ScopePrivate)
		must(t, tx.PutLabel(t.Context(), &l))
		return oops
	})
	if !errors.Is(err, oops) {
		t.Fatalf("got %v, want the very error of f", err)
	}
	_, err = s.User(t.Context(), "ID000000002")
	wantErr(t, err, account.ErrNotFound)
	_, err = s.KeyRecord(t.Context(), "aa")
	wantErr(t, err, account.ErrNotFound)
	got, err := s.User(t.Context(), kept.UID)
	must(t, err)
	equal(t, got, kept)
	labels, err := s.Labels(t.Context(), kept.UID)
	must(t, err)
	equal(t, len(labels), 0)
}

func updatePanics(t *testing.T, s account.Store) {
	func() {
		defer func() {
			if recover() == nil {
				t.Error("the panic of f did not come out")
			}
		}()
		_ = s.Update(t.Context(), func(tx account.Tx) error {
			addUser(t, tx, "1")
			panic("f")
		})
	}()
	_, err := s.User(t.Context(), newUser("1").UID)
	wantErr(t, err, account.ErrNotFound)
	addUser(t, s, "1") // the store still writes
}

func updateIsolated(t *testing.T, s account.Store) {
	must(t, s.Update(t.Context(), func(tx account.Tx) error {
		u := addUser(t, tx, "1")
		_, err := s.User(t.Context(), u.UID)
		wantErr(t, err, account.ErrNotFound)
		_, err = s.Principal(t.Context(), u.UID)
		wantErr(t, err, account.ErrNotFound)
		return nil
	}))
	_, err := s.User(t.Context(), newUser("1").UID)
	must(t, err)
}

func updateSeesItself(t *testing.T, s account.Store) {
	must(t, s.Update(t.Context(), func(tx account.Tx) error {
		u := addUser(t, tx, "1")
		got, err := tx.UserByEmail(t.Context(), u.Email)
		must(t, err)
		equal(t, got, u)
		addKey(t, tx, "aa", u.UID)
		_, n, err := tx.APIKeys(t.Context(), account.KeyQuery{HolderUID: u.UID, Limit: 1})
		must(t, err)
		equal(t, n, 1)
		return nil
	}))
}

func updateGoesOn(t *testing.T, s account.Store) {
	addUser(t, s, "1")
	must(t, s.Update(t.Context(), func(tx account.Tx) error {
		again := newUser("1")
		wantErr(t, tx.AddUser(t.Context(), &again), account.ErrTaken)
		wantErr(t, tx.DeleteLabel(t.Context(), again.UID, "none", "private"), account.ErrNotFound)
		addUser(t, tx, "2")
		return nil
	}))
	_, err := s.User(t.Context(), newUser("2").UID)
	must(t, err)
}

func updateRace(t *testing.T, s account.Store) {
	errs := make(chan error, 8)
	for i := range cap(errs) {
		go func() {
			errs <- s.Update(t.Context(), func(tx account.Tx) error {
				u := newUser(string(rune('A' + i)))
				u.Email = "same@example.com"
				return tx.AddUser(t.Context(), &u)
			})
		}()
	}
	won := 0
	for range cap(errs) {
		switch err := <-errs; {
		case err == nil:
			won++
		case !errors.Is(err, account.ErrTaken):
			t.Errorf("got %v, want ErrTaken", err)
		}
	}
	equal(t, won, 1)
}

func updateCounts(t *testing.T, s account.Store) {
	u := addUser(t, s, "1")
	const writers = 8
	var wg sync.WaitGroup
	for range writers {
		wg.Go(func() {
			err := s.Update(t.Context(), func(tx account.Tx) error {
				if _, err := tx.EndSessions(t.Context(), u.UID); err != nil {
					return err
				}
				v, err := tx.User(t.Context(), u.UID)
				if err != nil {
					return err
				}
				v.Level++
				return tx.PutUser(t.Context(), &v)
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	got, err := s.User(t.Context(), u.UID)
	must(t, err)
	if got.Level != u.Level+writers || got.Version <= u.Version ||
		got.SessionGeneration <= u.SessionGeneration || got.LockVersion != u.LockVersion+2*writers {
		t.Fatalf("after %d writers: %+v, began as %+v", writers, got, u)
	}
}

func updateCancelled(t *testing.T, s account.Store) {
	ctx, cancel := context.WithCancel(t.Context())
	err := s.Update(ctx, func(tx account.Tx) error {
		u := newUser("1")
		if err := tx.AddUser(ctx, &u); err != nil {
			return err
		}
		cancel()
		return nil
	})
	if err == nil {
		t.Fatal("got no error")
	}
	_, err = s.User(t.Context(), newUser("1").UID)
	wantErr(t, err, account.ErrNotFound)
}
