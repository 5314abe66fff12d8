package store_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"barong/internal/account"
	"barong/internal/store"
	"barong/internal/store/storetest"
)

// levels is the part of the store that a caller with little need uses.
type levels interface {
	Levels(ctx context.Context) ([]account.Level, error)
	PutLevel(ctx context.Context, l account.Level) error
}

func TestUpdateGivesThePartThatItsCallerUses(t *testing.T) {
	storetest.Engines(t, func(t *testing.T, open storetest.Opener) {
		db := open(t)
		update := store.Update[levels](db)
		put := func(id int64, end error) error {
			return update(t.Context(), func(tx levels) error {
				if err := tx.PutLevel(t.Context(), account.Level{ID: id, Key: "k", Value: "v" + string(rune('0'+id))}); err != nil {
					return err
				}
				if all, err := tx.Levels(t.Context()); err != nil || all[len(all)-1].ID != id {
					t.Errorf("read back %v, %v; want the row of this transaction last", all, err)
				}
				return end
			})
		}
		if err := put(1, nil); err != nil {
			t.Fatal(err)
		}
		changed := errors.New("changed its mind")
		if err := put(2, changed); err != changed { //nolint:errorlint // as it is, unwrapped
			t.Errorf("error %v, want the caller's own", err)
		}
		all, err := db.Levels(t.Context())
		if err != nil || len(all) != 1 || all[0].ID != 1 {
			t.Errorf("levels are %v, %v; want the first alone", all, err)
		}
	})
}

func TestUpdateRefusesAPartThatTransactionsDoNotHave(t *testing.T) {
	db := storetest.Open(t)
	defer func() {
		if err, ok := recover().(error); !ok || !strings.Contains(err.Error(), "missing method Fly") {
			t.Errorf("recovered %v, want the name of the missing method", err)
		}
	}()
	store.Update[interface {
		levels
		Fly() error
	}](db)
	t.Error("made a function that can never work")
}
