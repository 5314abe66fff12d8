package apikey_test

import (
	"testing"
	"time"

	"barong/internal/account"
	"barong/internal/account/worldtest"
)

// world is worldtest's, with what these tests do in it.
type world struct {
	*worldtest.World
	codes map[string]func() string // of the users with a second factor
}

// code is a one-time code of u's that was not used before.
func (w *world) code(u account.User) string {
	w.T.Helper()
	if w.codes[u.UID] == nil {
		w.codes[u.UID] = w.SecondFactor(u)
	}
	w.Now = w.Now.Add(time.Minute)
	return w.codes[u.UID]()
}

func newWorld(t testing.TB, cfg worldtest.Config) *world {
	t.Helper()
	return &world{worldtest.New(t, cfg), map[string]func() string{}}
}

var (
	actor  = worldtest.ActorOf
	tokens = worldtest.Tokens
)

func ptr[T any](v T) *T { return &v }
