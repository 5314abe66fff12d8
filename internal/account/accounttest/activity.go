package accounttest

import (
	"testing"
	"time"

	"barong/internal/account"
	"barong/internal/audit"
)

func signedInBefore(t *testing.T, s account.Store) {
	one, two := addUser(t, s, "1"), addUser(t, s, "2")
	did := func(uid, topic, action, result string) {
		must(t, s.AddActivity(t.Context(), audit.Activity{
			ActorUID: uid, ActorKind: "user", ActorRef: uid, Category: audit.CategoryUser, Topic: topic, Action: action,
			Result: result, CreatedAt: time.Unix(1_800_000_000, 0),
		}))
	}
	had := func(uid string) bool {
		ok, err := s.SignedInBefore(t.Context(), uid)
		must(t, err)
		return ok
	}
	did(one.UID, "session", "login", audit.Failed)
	did(one.UID, "session", "logout", audit.Succeed)
	did(one.UID, "password", "password reset", audit.Succeed)
	equal(t, had(one.UID), false)
	for _, action := range [][2]string{{"session", "login"}, {"session", "login::2fa"}, {"account", "signup"}} {
		must(t, s.Update(t.Context(), func(tx account.Tx) error {
			u := newUser("3" + action[1])
			must(t, tx.AddUser(t.Context(), &u))
			ok, err := tx.SignedInBefore(t.Context(), u.UID)
			must(t, err)
			equal(t, ok, false)
			must(t, tx.AddActivity(t.Context(), audit.Activity{
				ActorUID: u.UID, ActorKind: "user", ActorRef: u.UID, Topic: action[0], Action: action[1], Result: audit.Succeed,
			}))
			ok, err = tx.SignedInBefore(t.Context(), u.UID)
			must(t, err)
			equal(t, ok, true)
			return nil
		}))
	}
	equal(t, had(two.UID), false)
}
