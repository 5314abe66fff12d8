package signin_test

import (
	"errors"
	"net/netip"
	"testing"

	"barong/internal/account"
	"barong/internal/account/worldtest"
	"barong/internal/audit"
	"barong/internal/feed"
)

// D11: one counter rises, with its activity in the same transaction and one change-feed row,
// however many sessions there are.
func TestSignOutEverywhere(t *testing.T) {
	w := newWorld(t, worldtest.Config{})
	u, other := w.User("one@example.com", 0), w.User("two@example.com", 0)
	me := account.Actor{UID: u.UID, Role: u.Role, Client: account.Client{
		IP: netip.MustParseAddr("192.0.2.7"), UserAgent: "Firefox/1", Country: "Malta",
	}}
	head, err := w.DB.Head(t.Context())
	w.Must(err)
	generation, err := w.SignIns.SignOutEverywhere(t.Context(), me)
	w.Must(err)
	if stored := w.Reload(u.UID).SessionGeneration; generation <= u.SessionGeneration || stored != generation {
		t.Errorf("got generation %d, stored %d, want one after %d", generation, stored, u.SessionGeneration)
	}
	changes, _, err := w.DB.Changes(t.Context(), head, 10)
	w.Must(err)
	want := feed.Change{Kind: feed.Principal, Ref: u.UID, Seq: head.Seq + 1}
	if len(changes) != 1 || changes[0] != want {
		t.Errorf("feed: got %+v, want %+v alone", changes, want)
	}
	w.Must(w.SignIns.RecordSessionEnd(t.Context(), me))
	for _, action := range []string{"sign out everywhere", "session revoke"} {
		rows, _, err := w.DB.Activities(t.Context(), audit.Query{Topic: "session", Action: action})
		w.Must(err)
		if len(rows) != 1 || rows[0].ActorUID != u.UID || rows[0].TargetUID != "" || rows[0].Category != audit.CategoryUser ||
			rows[0].Result != audit.Succeed || rows[0].IP != "192.0.2.7" || rows[0].IPCountry != "Malta" {
			t.Errorf("%s: got %+v, want one of the user's own", action, rows)
		}
	}
	if got := w.Reload(other.UID).SessionGeneration; got != other.SessionGeneration {
		t.Errorf("another user: generation is %d, was %d", got, other.SessionGeneration)
	}
}

func TestSignOutEverywhereOfNobody(t *testing.T) {
	w := newWorld(t, worldtest.Config{})
	if _, err := w.SignIns.SignOutEverywhere(t.Context(), account.Actor{UID: "ID404"}); !errors.Is(err, account.ErrNotFound) {
		t.Errorf("got %v, want ErrNotFound", err)
	}
	if rows, _, err := w.DB.Activities(t.Context(), audit.Query{Topic: "session"}); err != nil || len(rows) != 0 {
		t.Errorf("got %d activities, %v; want none", len(rows), err)
	}
}
