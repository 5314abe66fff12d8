package store_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"barong/internal/account"
	"barong/internal/event"
	"barong/internal/event/eventtest"
	"barong/internal/store"
	"barong/internal/store/storetest"
)

func TestOutbox(t *testing.T) {
	storetest.Engines(t, func(t *testing.T, open storetest.Opener) {
		eventtest.TestOutbox(t, func(t testing.TB) eventtest.Store {
			return part[account.Tx]{open(t, store.WithDestinations(eventtest.Destinations))}
		})
	})
}

func rawRows(t testing.TB, db *store.DB) []string {
	t.Helper()
	rows, err := db.RawRows(context.Background(), "outbox")
	if err != nil {
		t.Fatal(err)
	}
	return rows
}

func TestOutboxIsSealed(t *testing.T) {
	storetest.Engines(t, func(t *testing.T, open storetest.Opener) {
		later := time.Now().Add(time.Hour)
		start := func(t *testing.T) *store.DB {
			db := open(t, store.WithDestinations(eventtest.Destinations))
			notice := event.Notice{User: event.User{UID: "ID1", Email: "mail@secret.example"}, Domain: "d"}
			for _, e := range []event.Event{event.ResetToken(notice, "secret-token"), event.PasswordReset(notice)} {
				if err := db.Emit(context.Background(), e); err != nil {
					t.Fatal(err)
				}
			}
			return db
		}
		t.Run("neither token nor address is in the rows", func(t *testing.T) {
			for _, row := range rawRows(t, start(t)) {
				if strings.Contains(row, "secret") {
					t.Errorf("a row tells it: %q", row)
				}
			}
		})
		for name, change := range map[string]string{
			"a row of another destination": `UPDATE outbox SET destination = 'other' WHERE destination = 'mail'`,
			"a row of another user":        `UPDATE outbox SET user_uid = 'ID2' WHERE destination = 'mail'`,
			"a row of another event":       `UPDATE outbox SET name = 'system.user.password.reset2' WHERE destination = 'mail'`,
			"a payload of another row": `UPDATE outbox SET payload = (SELECT payload FROM outbox o WHERE o.destination = 'broker' AND o.name = outbox.name)
				WHERE destination = 'mail'`,
		} {
			t.Run(name+" does not open", func(t *testing.T) {
				db := start(t)
				if err := db.Exec(t.Context(), change); err != nil {
					t.Fatal(err)
				}
				destination := "mail"
				if name == "a row of another destination" {
					destination = "other"
				}
				items, err := db.DueEvents(t.Context(), destination, later, 10, 10)
				if err != nil || len(items) != 2 {
					t.Fatalf("got %d items, %v; want 2", len(items), err)
				}
				for _, i := range items {
					if !errors.Is(i.Err, account.ErrSeal) || i.Record != nil {
						t.Errorf("%v: got error %v and record %s, want ErrSeal", i, i.Err, i.Record)
					}
				}
			})
		}
	})
}

func TestEmitWithoutDestinationsWritesNothing(t *testing.T) {
	db := storetest.Open(t)
	if err := db.Emit(t.Context(), event.AccountDeleted(event.User{UID: "ID1"})); err != nil {
		t.Fatal(err)
	}
	if rows := rawRows(t, db); len(rows) != 0 {
		t.Errorf("%d rows, want none", len(rows))
	}
}

func TestSweepForgetsParkedEvents(t *testing.T) {
	now := time.Now()
	at := now
	db := storetest.Open(t, store.WithDestinations(eventtest.Destinations), store.WithClock(func() time.Time { return at }))
	if err := db.Emit(t.Context(), event.AccountDeleted(event.User{UID: "ID1"})); err != nil {
		t.Fatal(err)
	}
	items, err := db.DueEvents(t.Context(), "mail", now, 10, 10)
	if err != nil || len(items) != 1 {
		t.Fatalf("got %d items, %v", len(items), err)
	}
	if err := db.ParkEvent(t.Context(), items[0].UUID, now, "no"); err != nil {
		t.Fatal(err)
	}
	const week = 7 * 24 * time.Hour
	for _, step := range []struct {
		after time.Duration
		rows  int
	}{{week - time.Second, 2}, {week + time.Second, 1}} {
		at = now.Add(step.after)
		if _, err := db.Sweep(t.Context()); err != nil {
			t.Fatal(err)
		}
		if rows := rawRows(t, db); len(rows) != step.rows {
			t.Errorf("after %v: %d rows, want %d", step.after, len(rows), step.rows)
		}
	}
}
