package accounttest

import (
	"context"
	"errors"
	"sync"
	"testing"

	"barong/internal/account"
)

func updateRollsBack(t *testing.T, s Store) {
	kept := AddUser(t, s, "1")
	oops := errors.New("oops")
	err := s.Update(t.Context(), func(tx account.Tx) error {
		AddUser(t, tx, "2")
		u := kept
		u.Role = "admin"
		Must(t, tx.PutUser(t.Context(), &u))
		l := newLabel(kept.UID, "email", account.ScopePrivate)
		Must(t, tx.PutLabel(t.Context(), &l))
		return oops
	})
	if !errors.Is(err, oops) {
		t.Fatalf("got %v, want the very error of f", err)
	}
	_, err = s.User(t.Context(), "ID000000002")
	WantErr(t, err, account.ErrNoUser)
	got, err := s.User(t.Context(), kept.UID)
	Must(t, err)
	Equal(t, got, kept)
	labels, err := s.Labels(t.Context(), kept.UID)
	Must(t, err)
	Equal(t, len(labels), 0)
}

func updatePanics(t *testing.T, s Store) {
	func() {
		defer func() {
			if recover() == nil {
				t.Error("the panic of f did not come out")
			}
		}()
		_ = s.Update(t.Context(), func(tx account.Tx) error {
			AddUser(t, tx, "1")
			panic("f")
		})
	}()
	_, err := s.User(t.Context(), NewUser("1").UID)
	WantErr(t, err, account.ErrNoUser)
	AddUser(t, s, "1") // the store still writes
}

func updateIsolated(t *testing.T, s Store) {
	Must(t, s.Update(t.Context(), func(tx account.Tx) error {
		u := AddUser(t, tx, "1")
		_, err := s.User(t.Context(), u.UID)
		WantErr(t, err, account.ErrNoUser)
		_, err = s.Principal(t.Context(), u.UID)
		WantErr(t, err, account.ErrNotFound)
		return nil
	}))
	_, err := s.User(t.Context(), NewUser("1").UID)
	Must(t, err)
}

func updateSeesItself(t *testing.T, s Store) {
	Must(t, s.Update(t.Context(), func(tx account.Tx) error {
		u := AddUser(t, tx, "1")
		got, err := tx.UserByEmail(t.Context(), u.Email)
		Must(t, err)
		Equal(t, got, u)
		l := newLabel(u.UID, "email", account.ScopePrivate)
		Must(t, tx.PutLabel(t.Context(), &l))
		labels, err := tx.Labels(t.Context(), u.UID)
		Must(t, err)
		Equal(t, len(labels), 1)
		return nil
	}))
}

func updateGoesOn(t *testing.T, s Store) {
	AddUser(t, s, "1")
	Must(t, s.Update(t.Context(), func(tx account.Tx) error {
		again := NewUser("1")
		WantErr(t, tx.AddUser(t.Context(), &again), account.ErrTaken)
		WantErr(t, tx.DeleteLabel(t.Context(), again.UID, "none", "private"), account.ErrNoLabel)
		AddUser(t, tx, "2")
		return nil
	}))
	_, err := s.User(t.Context(), NewUser("2").UID)
	Must(t, err)
}

func updateRace(t *testing.T, s Store) {
	errs := make(chan error, 8)
	for i := range cap(errs) {
		go func() {
			errs <- s.Update(t.Context(), func(tx account.Tx) error {
				u := NewUser(string(rune('A' + i)))
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
	Equal(t, won, 1)
}

func updateCounts(t *testing.T, s Store) {
	u := AddUser(t, s, "1")
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
	Must(t, err)
	if got.Level != u.Level+writers || got.Version <= u.Version ||
		got.SessionGeneration <= u.SessionGeneration || got.LockVersion != u.LockVersion+2*writers {
		t.Fatalf("after %d writers: %+v, began as %+v", writers, got, u)
	}
}

func updateCancelled(t *testing.T, s Store) {
	ctx, cancel := context.WithCancel(t.Context())
	err := s.Update(ctx, func(tx account.Tx) error {
		u := NewUser("1")
		if err := tx.AddUser(ctx, &u); err != nil {
			return err
		}
		cancel()
		return nil
	})
	if err == nil {
		t.Fatal("got no error")
	}
	_, err = s.User(t.Context(), NewUser("1").UID)
	WantErr(t, err, account.ErrNoUser)
}
