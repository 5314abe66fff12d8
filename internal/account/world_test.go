package account_test

import (
	"testing"

	"barong/internal/account"
	"barong/internal/account/worldtest"
	"barong/internal/signin"
)

// world is worldtest's, with what these tests do in it.
type world struct{ *worldtest.World }

func newWorld(t testing.TB, cfg worldtest.Config) *world {
	t.Helper()
	return &world{worldtest.New(t, cfg)}
}

const password = worldtest.Password

var (
	browser = worldtest.Browser
	actor   = worldtest.ActorOf
	tokens  = worldtest.Tokens
	start   = worldtest.Start
	common  = worldtest.Common
)

func ptr[T any](v T) *T { return &v }

func (w *world) signIn(email, password string) error {
	_, err := w.SignIns.SignIn(w.T.Context(), signin.SignIn{Email: email, Password: password, Client: browser})
	return err
}

func (w *world) signUp(email string) (account.User, error) {
	return w.SignIns.SignUp(w.T.Context(), signin.SignUp{Email: email, Password: password, Client: browser})
}
