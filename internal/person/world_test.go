package person_test

import (
	"testing"

	"barong/internal/account/worldtest"
)

// world is worldtest's, with what these tests do in it.
type world struct{ *worldtest.World }

func newWorld(t testing.TB, cfg worldtest.Config) *world {
	t.Helper()
	return &world{worldtest.New(t, cfg)}
}
