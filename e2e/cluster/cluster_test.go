package cluster_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"barong/e2e"
	"barong/e2e/cluster"
)

// built is the folder of the binary, "" until there is one.
var built string

func TestMain(m *testing.M) {
	code := m.Run()
	if built != "" {
		os.RemoveAll(built)
	}
	os.Exit(code)
}

// barong is the binary, compiled once ($BARONG_BIN instead, if set).
func barong(t testing.TB) string {
	t.Helper()
	if bin := os.Getenv("BARONG_BIN"); bin != "" {
		return bin
	}
	if built != "" {
		return filepath.Join(built, "barong")
	}
	root, err := e2e.Root()
	dir, err2 := os.MkdirTemp("", "barong-cluster")
	if err := errors.Join(err, err2); err != nil {
		t.Fatal(err)
	}
	built = dir
	bin, err := e2e.Build(t.Context(), root, dir)
	if err != nil {
		t.Fatal(err)
	}
	return bin
}

// report prints a line, and adds it to the file $TEST_REPORT where scripts/test collects
// such lines.
func report(t testing.TB, format string, args ...any) {
	t.Helper()
	line := "cluster: " + fmt.Sprintf(format, args...)
	t.Log(line)
	if path := os.Getenv("TEST_REPORT"); path != "" {
		if f, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600); err == nil {
			fmt.Fprintln(f, line)
			f.Close()
		}
	}
}

// until polls ready until it is true, and returns how long it took.
func until(t testing.TB, what string, patience time.Duration, ready func() bool) time.Duration {
	t.Helper()
	began := time.Now()
	for !ready() {
		if time.Since(began) > patience {
			t.Fatalf("not within %s: %s", patience, what)
		}
		time.Sleep(time.Millisecond)
	}
	return time.Since(began)
}

// TestTwoReplicas: a grant that is revoked by way of one replica is refused by the other, and one
// that is given back is allowed by it.
func TestTwoReplicas(t *testing.T) {
	c := cluster.Start(t, barong(t))
	ctx := t.Context()
	for _, x := range []struct {
		name    string
		grant   *cluster.Grant
		revoke  func(*cluster.Grant) error
		restore func(*cluster.Grant) error // nil: for good
	}{
		{"a network closed on A", c.Network(t),
			func(g *cluster.Grant) error { return c.SetNetwork(ctx, c.A, g, false) },
			func(g *cluster.Grant) error { return c.SetNetwork(ctx, c.A, g, true) }},
		{"a country closed on A", c.Country(t),
			func(g *cluster.Grant) error { return c.SetCountry(ctx, c.A, g, false) },
			func(g *cluster.Grant) error { return c.SetCountry(ctx, c.A, g, true) }},
		{"a user locked on A", c.User(t), func(g *cluster.Grant) error { return c.LockUser(ctx, c.A, g) }, nil},
		{"a user locked by another process", c.User(t),
			func(g *cluster.Grant) error { return c.SetUser(ctx, g, false) },
			func(g *cluster.Grant) error { return c.SetUser(ctx, g, true) }},
		{"a permission removed on A", c.Permission(t),
			func(g *cluster.Grant) error { return c.SetPermission(ctx, c.A, g, false) },
			func(g *cluster.Grant) error { return c.SetPermission(ctx, c.A, g, true) }},
		{"a session ended on A", c.Session(t), func(g *cluster.Grant) error { return c.SignOut(ctx, c.A, g) }, nil},
		{"an API key deactivated", c.Key(t),
			func(g *cluster.Grant) error { return c.SetKey(ctx, g, false) },
			func(g *cluster.Grant) error { return c.SetKey(ctx, g, true) }},
	} {
		t.Run(x.name, func(t *testing.T) {
			for _, by := range []string{"A", "B", cluster.Gate} {
				if a := c.Ask(ctx, by, x.grant); a.Status != 200 || a.UID != x.grant.UID {
					t.Fatalf("%s said before: %+v, want 200 as %s", by, a, x.grant.UID)
				}
			}
			if err := x.revoke(x.grant); err != nil {
				t.Fatal(err)
			}
			for _, by := range []string{"B", "A", cluster.Gate} {
				until(t, by+" refuses", cluster.Prompt, func() bool {
					a := c.Ask(ctx, by, x.grant)
					return a.Status != 200 && a.Reason == x.grant.Refusal
				})
			}
			if x.restore == nil {
				return
			}
			if err := x.restore(x.grant); err != nil {
				t.Fatal(err)
			}
			for _, by := range []string{"B", "A", cluster.Gate} {
				until(t, by+" allows again", cluster.Prompt, func() bool { return c.Ask(ctx, by, x.grant).Status == 200 })
			}
		})
	}
}
