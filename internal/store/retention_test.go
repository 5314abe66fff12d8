package store_test

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"barong/internal/audit"
	"barong/internal/store/storetest"
)

// Activities go when they are old by the database's clock, the oldest first, by several
// replicas at once, and no others do.
func TestOldActivitiesAreDeleted(t *testing.T) {
	storetest.Engines(t, func(t *testing.T, open storetest.Opener) {
		db := open(t)
		const old, young, keep = 2500, 7, 24 * time.Hour
		var rows []audit.Entry
		for n := range old + young {
			age := keep + time.Minute + time.Duration(n)*time.Second
			if n >= old {
				age = keep - time.Minute
			}
			rows = append(rows, audit.Entry{Ref: fmt.Sprint("ref", n), Activity: audit.Activity{
				Topic: "t", Action: "a", Result: audit.Succeed, CreatedAt: time.Now().Add(-age),
			}})
		}
		if err := db.AddActivities(t.Context(), rows); err != nil {
			t.Fatal(err)
		}
		var wg sync.WaitGroup
		for range 3 {
			wg.Go(func() {
				if _, err := db.DeleteActivities(t.Context(), keep); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if _, err := db.DeleteActivities(t.Context(), keep); err != nil {
			t.Fatal(err)
		}
		if _, left, err := db.Activities(t.Context(), audit.Query{}); err != nil || left != young {
			t.Errorf("%d left (%v), want %d", left, err, young)
		}
	})
}
