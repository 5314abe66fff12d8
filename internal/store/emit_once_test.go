package store_test

import (
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"barong/internal/event"
	"barong/internal/store"
	"barong/internal/store/storetest"
)

func TestEmitOnce(t *testing.T) {
	toMail := store.WithDestinations(func(event.Event) []string { return []string{"mail"} })
	storetest.Engines(t, func(t *testing.T, open storetest.Opener) {
		db := open(t, toMail)
		until := time.Now().Add(time.Hour)
		e := event.Event{Name: "mail.peatio.events.model.deposit.updated", UID: "ID1", Record: []byte(`{}`)}
		waiting := func() int {
			t.Helper()
			b, err := db.EventBacklog(t.Context(), "mail")
			if err != nil {
				t.Fatal(err)
			}
			return b.Waiting
		}
		broken := e
		broken.UID = ""
		if fresh, err := db.EmitOnce(t.Context(), "peatio", "1", until, broken); err == nil || fresh {
			t.Errorf("an event that cannot be emitted: got fresh %v, %v; want an error", fresh, err)
		}
		// The failure before undid the note of having seen it.
		var fresh atomic.Int32
		var all sync.WaitGroup
		for range 8 {
			all.Go(func() {
				ok, err := db.EmitOnce(t.Context(), "peatio", "1", until, e)
				if err != nil {
					t.Error(err)
				}
				if ok {
					fresh.Add(1)
				}
			})
		}
		all.Wait()
		if fresh.Load() != 1 || waiting() != 1 {
			t.Errorf("of equal calls %d were fresh, and %d events wait; want 1 and 1", fresh.Load(), waiting())
		}
		for _, of := range [][2]string{{"peatio", "2"}, {"applogic", "1"}} {
			if ok, err := db.EmitOnce(t.Context(), of[0], of[1], until, e); err != nil || !ok {
				t.Errorf("%s of %s: got fresh %v, %v; want it emitted", of[1], of[0], ok, err)
			}
		}
		if waiting() != 3 {
			t.Errorf("%d events wait, want 3", waiting())
		}
	})
}
