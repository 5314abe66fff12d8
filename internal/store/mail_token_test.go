package store_test

import (
	"testing"
	"time"

	"barong/internal/account"
	"barong/internal/signin"
	"barong/internal/store"
	"barong/internal/store/storetest"
)

func TestSweepForgetsExpiredMailTokens(t *testing.T) {
	storetest.Engines(t, func(t *testing.T, open storetest.Opener) {
		now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
		db := open(t, store.WithClock(func() time.Time { return now }))
		u := account.User{UID: "ID1", Email: "a@example.com", Role: "member", State: "active"}
		if err := db.AddUser(t.Context(), &u); err != nil {
			t.Fatal(err)
		}
		for i, life := range []time.Duration{time.Hour, time.Hour + 1000} {
			m := signin.MailToken{Hash: [32]byte{byte(i)}, UserUID: u.UID, Purpose: "reset", ExpiresAt: now.Add(life)}
			if err := db.AddMailToken(t.Context(), m, 0); err != nil {
				t.Fatal(err)
			}
		}
		for _, step := range []struct {
			after time.Duration
			want  int
		}{{time.Hour - 1000, 0}, {time.Hour, 1}, {2 * time.Hour, 1}, {2 * time.Hour, 0}} {
			n, err := db.DeleteExpiredMailTokens(t.Context(), now.Add(step.after))
			if err != nil || n != step.want {
				t.Errorf("after %v: removed %d, %v; want %d", step.after, n, err, step.want)
			}
		}
	})
}
