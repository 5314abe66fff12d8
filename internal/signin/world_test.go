package signin_test

import (
	"testing"

	"barong/internal/account/worldtest"
	"barong/internal/store/storetest"
)

// world is worldtest's, with what these tests do in it.
type world struct{ *worldtest.World }

func newWorld(t testing.TB, cfg worldtest.Config) *world {
	t.Helper()
	return &world{worldtest.New(t, cfg)}
}

func newWorldOn(t testing.TB, cfg worldtest.Config, open storetest.Opener) *world {
	t.Helper()
	return &world{worldtest.NewOn(t, cfg, open)}
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
