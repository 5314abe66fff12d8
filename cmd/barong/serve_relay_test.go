package main

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"barong/internal/account"
	"barong/internal/event"
	"barong/internal/store"
	"barong/internal/store/storetest"
)

// A broker that does not answer must not use up the time of sessions and activities, which
// are written after the outbox.
func TestClosingTheRelayLeavesTime(t *testing.T) {
	db := storetest.Open(t, store.WithDestinations(func(event.Event) []string { return []string{"slow"} }))
	err := store.Update[account.Tx](db)(t.Context(), func(tx account.Tx) error {
		return tx.Emit(t.Context(), event.KYCCalled("ID1", "v1"))
	})
	if err != nil {
		t.Fatal(err)
	}
	slow := make(mute, 1)
	relay, err := event.NewRelay(event.Config{}, db, []event.Destination{{Name: "slow", Sender: slow}}, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	go relay.Run(t.Context())
	<-slow
	limit, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	sv := &service{relay: relay, log: slog.New(slog.DiscardHandler)}
	sv.closeRelay(limit)
	if err := limit.Err(); err != nil {
		t.Errorf("after the relay: %v, want time left", err)
	}
}

// mute is an event.Sender that announces each try and never ends it.
type mute chan struct{}

func (s mute) Send(ctx context.Context, _ event.Item) error {
	s <- struct{}{}
	<-ctx.Done()
	return ctx.Err()
}
