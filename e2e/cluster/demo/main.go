// Demo shows two replicas of Barong on one PostgreSQL and one Redis behind one Envoy: the one
// refuses a grant that is revoked by way of the other, and with Redis and then PostgreSQL gone
// under load no answer is wrong.
//
//	make demo-cluster
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"barong/e2e"
	"barong/e2e/cluster"
	"barong/internal/testenv"
)

func main() {
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer cancel()
	s := &stage{testenv.NewStage(ctx)}
	err := s.Do(func() { show(s) })
	if left := s.Close(); err == nil {
		err = left
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "demo:", err)
		os.Exit(1)
	}
}

// A stage is where the demo is performed.
type stage struct{ *testenv.Stage }

func (s *stage) must(err error) {
	if err != nil {
		s.Fatal(err)
	}
}

// show is the whole demo; a failure ends it through the stage.
func show(s *stage) {
	fmt.Println("Two replicas of Barong share one PostgreSQL and one Redis; Envoy asks them in turn.\n" +
		"This demo revokes by way of the one and asks the other, and then takes the servers away.")
	title("Setting up")
	say("building barong; finding Envoy, Redis and PostgreSQL")
	root, err := e2e.Root()
	s.must(err)
	bin, err := e2e.Build(s.Context(), root, s.TempDir())
	s.must(err)
	c := cluster.Start(s, bin)
	say("replica A  decisions %s (gRPC), REST http://%s", c.A.GRPC, c.A.HTTP)
	say("replica B  decisions %s (gRPC), REST http://%s", c.B.GRPC, c.B.HTTP)
	say("gateway    %s, Envoy with the shipped envoy.yaml and both replicas in it", c.Gate)

	title("What is revoked by way of A is refused by B")
	network, country, user, session := c.Network(s), c.Country(s), c.User(s), c.Session(s)
	revoke(s, c, network, "staff closes the caller's network on A", func() error {
		return c.SetNetwork(s.Context(), c.A, network, false)
	})
	revoke(s, c, country, "staff closes the caller's country on A", func() error {
		return c.SetCountry(s.Context(), c.A, country, false)
	})
	restore(s, c, country, "staff opens it again on A", func() error {
		return c.SetCountry(s.Context(), c.A, country, true)
	})
	revoke(s, c, user, "staff locks the user on A", func() error { return c.LockUser(s.Context(), c.A, user) })
	revoke(s, c, session, "the user signs out on A", func() error { return c.SignOut(s.Context(), c.A, session) })

	title(fmt.Sprintf("%d requests a second, and every answer is checked", cluster.Rate))
	var warm []*cluster.Grant
	for range 5 {
		warm = append(warm, c.Session(s), c.Key(s), c.Permission(s))
	}
	revoked := warm[2]
	fresh := make([]*cluster.Grant, 60)
	for i := range fresh {
		fresh[i] = c.Session(s)
	}
	m := cluster.NewModel()
	load := c.Run(s.Context(), m, warm)
	pause(s, 2*time.Second)
	so(m, "everything runs")

	load.Cold(fresh[:30]...)
	c.Redis.Kill()
	say("Redis is killed. Callers that the replicas know go on; others are told to come again.")
	pause(s, 2*time.Second)
	s.must(c.SetPermission(s.Context(), c.A, revoked, false))
	say("A permission is taken away on A meanwhile, and B hears of it all the same.")
	pause(s, time.Second)
	for _, g := range fresh {
		g.Forget()
	}
	c.RestartRedis()
	load.Cold(fresh[30:]...)
	say("Redis is back, and empty: sessions that no replica knew are gone, and their owners sign in again.")
	pause(s, 2*time.Second)
	so(m, "so far")

	s.must(c.Postgres.Stop())
	say("PostgreSQL is stopped. Nothing can be revoked now, and what the replicas know stands for %s.", cluster.CacheMaxStale)
	pause(s, cluster.CacheMaxStale-time.Second)
	so(m, "before that time")
	pause(s, 2500*time.Millisecond)
	so(m, "after it: 503 authz.unavailable, never a guess")
	s.must(c.Postgres.Start())
	began := time.Now()
	for !c.A.Ready() || !c.B.Ready() || c.Ask(s.Context(), cluster.Gate, warm[0]).Status != 200 {
		if time.Since(began) > 10*time.Second {
			s.Fatalf("the replicas do not recover")
		}
		pause(s, 10*time.Millisecond)
	}
	say("PostgreSQL is back, and after %d ms so are both replicas; nobody restarted them.", time.Since(began).Milliseconds())
	pause(s, time.Second)
	load.Stop()
	so(m, "in all")

	title("Done")
	if wrong := m.Wrong(); len(wrong) > 0 {
		s.Fatalf("WRONG ANSWERS: %v", wrong)
	}
	say("No answer was wrong. Everything is stopped again.")
}

// revoke shows that B allows before and refuses after.
func revoke(s *stage, c *cluster.Cluster, g *cluster.Grant, what string, do func() error) {
	if a := c.Ask(s.Context(), "B", g); a.Status != 200 {
		s.Fatalf("B said %d %s %v before %s", a.Status, a.Reason, a.Err, what)
	}
	s.must(do())
	began := time.Now()
	for {
		a := c.Ask(s.Context(), "B", g)
		if a.Reason == g.Refusal {
			say("%-40s -> B says %d %s after %.1f ms", what, a.Status, a.Reason, float64(time.Since(began).Microseconds())/1000)
			return
		}
		if time.Since(began) > cluster.Prompt {
			s.Fatalf("B still says %d %s %v after %s", a.Status, a.Reason, a.Err, what)
		}
	}
}

// restore shows that B allows after.
func restore(s *stage, c *cluster.Cluster, g *cluster.Grant, what string, do func() error) {
	s.must(do())
	began := time.Now()
	for {
		a := c.Ask(s.Context(), "B", g)
		if a.Status == 200 {
			say("%-40s -> B says 200 after %.1f ms", what, float64(time.Since(began).Microseconds())/1000)
			return
		}
		if time.Since(began) > cluster.Prompt {
			s.Fatalf("B still says %d %s %v after %s", a.Status, a.Reason, a.Err, what)
		}
	}
}

func so(m *cluster.Model, when string) { say("   %s: %s", when, m.Counts()) }

// pause waits, and ends the demo when it is interrupted.
func pause(s *stage, d time.Duration) {
	select {
	case <-time.After(d):
	case <-s.Context().Done():
		s.must(errors.New("interrupted"))
	}
}

func title(s string) { fmt.Printf("\n== %s ==\n", s) }

func say(format string, args ...any) { fmt.Printf("  "+format+"\n", args...) }
