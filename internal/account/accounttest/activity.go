package accounttest

import (
	"testing"
	"time"

	"barong/internal/account"
	"barong/internal/audit"
)

func signedInBefore(t *testing.T, s Store) {
	one, two := AddUser(t, s, "1"), AddUser(t, s, "2")
	did := func(uid, topic, action, result string) {
		Must(t, s.AddActivity(t.Context(), audit.Activity{
			ActorUID: uid, ActorKind: "user", ActorRef: uid, Category: audit.CategoryUser, Topic: topic, Action: action,
			Result: result, CreatedAt: time.Unix(1_800_000_000, 0),
		}))
	}
	had := func(uid string) bool {
		ok, err := s.SignedInBefore(t.Context(), uid)
		Must(t, err)
		return ok
	}
	did(one.UID, "session", "login", audit.Failed)
	did(one.UID, "session", "logout", audit.Succeed)
	did(one.UID, "password", "password reset", audit.Succeed)
	Equal(t, had(one.UID), false)
	for _, action := range [][2]string{{"session", "login"}, {"session", "login::2fa"}, {"session", "login::passkey"}, {"account", "signup"}} {
		Must(t, s.Update(t.Context(), func(tx account.Tx) error {
			u := NewUser("3" + action[1])
			Must(t, tx.AddUser(t.Context(), &u))
			ok, err := tx.SignedInBefore(t.Context(), u.UID)
			Must(t, err)
			Equal(t, ok, false)
			Must(t, tx.AddActivity(t.Context(), audit.Activity{
				ActorUID: u.UID, ActorKind: "user", ActorRef: u.UID, Topic: action[0], Action: action[1], Result: audit.Succeed,
			}))
			ok, err = tx.SignedInBefore(t.Context(), u.UID)
			Must(t, err)
			Equal(t, ok, true)
			return nil
		}))
	}
	Equal(t, had(two.UID), false)
}
