package account_test

import (
	"errors"
	"testing"

	"barong/internal/account"
	"barong/internal/account/worldtest"
	"barong/internal/audit"
	"barong/internal/feed"
)

// D11: one counter rises, with its activity in the same transaction and one change-feed row,
// however many sessions there are.
func TestRevokeSessions(t *testing.T) {
	w := newWorld(t, worldtest.Config{})
	u, other := w.User("one@example.com", 0), w.User("two@example.com", 0)
	for name, c := range map[string]struct {
		revoke func() (int64, error)
		target string
		want   feed.Change
	}{
		"of a user": {
			func() (int64, error) {
				return w.Accounts.RevokeSessions(t.Context(), account.Operator("sessions revoke"), u.UID)
			},
			u.UID, feed.Change{Kind: feed.Principal, Ref: u.UID},
		},
		"of everybody": {
			func() (int64, error) {
				return w.Accounts.RevokeAllSessions(t.Context(), account.Operator("sessions revoke"))
			},
			"", feed.Change{Kind: feed.Epoch},
		},
	} {
		t.Run(name, func(t *testing.T) {
			head, err := w.DB.Head(t.Context())
			w.Must(err)
			n, err := c.revoke()
			w.Must(err)
			if n == 0 {
				t.Error("got 0, want a new name")
			}
			changes, _, err := w.DB.Changes(t.Context(), head, 10)
			w.Must(err)
			c.want.Seq = head.Seq + 1
			if len(changes) != 1 || changes[0] != c.want {
				t.Errorf("feed: got %+v, want %+v alone", changes, c.want)
			}
			rows, _, err := w.DB.Activities(t.Context(), audit.Query{Topic: "session", Action: "revoke"})
			w.Must(err)
			found := 0
			for _, r := range rows {
				if r.TargetUID == c.target && r.ActorKind == "operator" && r.ActorRef == "sessions revoke" && r.ActorUID == "" && r.Category == audit.CategoryAdmin {
					found++
				}
			}
			if found != 1 {
				t.Errorf("got activities %+v, want one by the operator about %q", rows, c.target)
			}
		})
	}
	if got := w.Reload(other.UID).SessionGeneration; got != other.SessionGeneration {
		t.Errorf("another user: generation is %d, was %d", got, other.SessionGeneration)
	}
}

func TestRevokeSessionsOfNobody(t *testing.T) {
	w := newWorld(t, worldtest.Config{})
	bot := w.ServiceAccount(w.User("one@example.com", 0), "SI1")
	for _, uid := range []string{"ID404", "", bot.UID} {
		if _, err := w.Accounts.RevokeSessions(t.Context(), account.Operator("sessions revoke"), uid); !errors.Is(err, account.ErrNotFound) {
			t.Errorf("%q: got %v, want ErrNotFound", uid, err)
		}
	}
	if rows, _, err := w.DB.Activities(t.Context(), audit.Query{Action: "revoke"}); err != nil || len(rows) != 0 {
		t.Errorf("got %d activities, %v; want none", len(rows), err)
	}
}

// Nobody but the operator's commands and staff of a higher rank ends the sessions of others, and a refusal
// writes nothing.
func TestRevokeSessionsIsForOperatorAndStaff(t *testing.T) {
	w := newWorld(t, worldtest.Config{})
	u := w.User("one@example.com", 0)
	for name, by := range map[string]account.Actor{
		"nobody": {}, "the user": {UID: u.UID, Role: u.Role}, "a service": {Service: "peatio"},
		"a superadmin": {UID: "IDBOSS", Role: account.RoleSuperadmin},
	} {
		if _, err := w.Accounts.RevokeSessions(t.Context(), by, u.UID); !errors.Is(err, account.ErrActorChanged) && !errors.Is(err, account.ErrSelf) {
			t.Errorf("%s: got %v, want a refusal", name, err)
		}
		if _, err := w.Accounts.RevokeAllSessions(t.Context(), by); !errors.Is(err, account.ErrOperatorOnly) {
			t.Errorf("%s, all: got %v, want ErrOperatorOnly", name, err)
		}
	}
	if got := w.Reload(u.UID); got.SessionGeneration != u.SessionGeneration {
		t.Error("the generation rose")
	}
}
