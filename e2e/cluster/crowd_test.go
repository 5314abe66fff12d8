package cluster_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"barong/e2e/cluster"
)

// crowdRate is how many questions a second the crowd asks after the gap.
const crowdRate = 2000

// TestRefreshOfACrowd: a gap of the feed makes every session and key that a replica has in memory
// stale at once, while all of them are in use. Nobody goes by the lost history for longer than the
// gap takes to be noticed, nobody is refused that stands, and answers stay quick: loads are bounded,
// and each credential costs one.
//
// BARONG_CROWD is the number of sessions; there is a tenth as many keys.
func TestRefreshOfACrowd(t *testing.T) {
	sessions := 5000
	if text := os.Getenv("BARONG_CROWD"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil {
			t.Fatalf("BARONG_CROWD: %v", err)
		}
		sessions = n
	}
	c := cluster.StartCrowd(t, barong(t), sessions, sessions/10)
	all := c.Sessions + c.Keys
	began := time.Now()
	warm(t, c, all)
	warmed := time.Since(began)
	t.Logf("%d credentials in memory after %s, %s", all, warmed.Round(time.Millisecond), memory(t, c.A))

	quiet := ask(t, c, all, 2*time.Second)
	c.Lose()
	lost := time.Now()
	after := ask(t, c, all, during(all))
	report(t, "refresh of %d sessions and %d keys: before the gap %s; after it %s; %s",
		c.Sessions, c.Keys, tally(quiet, lost), tally(after, lost), memory(t, c.A))

	// The feed is polled each quarter of a second.
	for _, a := range after {
		switch late := a.Asked.Sub(lost) > time.Second; {
		case a.lost && late && a.Status == http.StatusOK:
			t.Fatalf("%s after the gap %s is allowed by the lost history", a.Asked.Sub(lost), a.name)
		case !a.lost && a.Status != http.StatusOK && a.Status != http.StatusServiceUnavailable:
			t.Fatalf("%s after the gap %s is refused: %d %s", a.Asked.Sub(lost), a.name, a.Status, a.Reason)
		}
	}
	unavailable := 0
	for _, a := range after {
		if a.Err != nil || a.Status == http.StatusServiceUnavailable {
			unavailable++
		}
	}
	if most := len(after) / 100; unavailable > most {
		t.Errorf("%d of %d answers were none, want at most %d", unavailable, len(after), most)
	}
}

// during is how long the crowd is asked about after the gap: until most were, or half a minute.
func during(all int) time.Duration {
	return min(5*time.Second+time.Duration(all/crowdRate)*time.Second, 30*time.Second)
}

// warm asks about everybody once.
func warm(t *testing.T, c *cluster.Crowd, all int) {
	t.Helper()
	var next atomic.Int64
	var group sync.WaitGroup
	for range 32 {
		group.Go(func() {
			for {
				n := int(next.Add(1)) - 1
				if n >= all || t.Failed() {
					return
				}
				g, _ := c.Grant(n)
				a := c.Ask(t.Context(), "A", g)
				for try := 0; a.Status != http.StatusOK && try < 3; try++ {
					a = c.Ask(t.Context(), "A", g)
				}
				if a.Status != http.StatusOK || a.UID != g.UID {
					t.Errorf("credential %d: %d %s %v as %q, want %q", n, a.Status, a.Reason, a.Err, a.UID, g.UID)
					return
				}
			}
		})
	}
	group.Wait()
	if t.Failed() {
		t.FailNow()
	}
}

// crowdAnswer is one to the n-th credential.
type crowdAnswer struct {
	cluster.Answer
	name string
	lost bool // it is refused in the new history
}

// ask asks about credentials by chance at crowdRate for so long.
func ask(t *testing.T, c *cluster.Crowd, all int, during time.Duration) (answers []crowdAnswer) {
	t.Helper()
	var mu sync.Mutex
	var group sync.WaitGroup
	open := make(chan struct{}, 512)
	tick := time.NewTicker(time.Second / crowdRate * 10)
	defer tick.Stop()
	for end := time.Now().Add(during); time.Now().Before(end); {
		<-tick.C
		for range 10 {
			select {
			case open <- struct{}{}:
			default: // the machine asks as many as it can
				continue
			}
			n := rand.IntN(all)
			group.Go(func() {
				defer func() { <-open }()
				g, lost := c.Grant(n)
				a := crowdAnswer{c.Ask(context.WithoutCancel(t.Context()), "A", g), fmt.Sprintf("credential %d", n), lost}
				mu.Lock()
				answers = append(answers, a)
				mu.Unlock()
			})
		}
	}
	group.Wait()
	return answers
}

// tally is how many answers of each kind there were, and how long they took.
func tally(answers []crowdAnswer, lost time.Time) string {
	kinds := map[int]int{}
	var took []time.Duration
	late := 0
	for _, a := range answers {
		kinds[a.Status]++
		took = append(took, a.Got.Sub(a.Asked))
		if a.lost && a.Status == http.StatusOK && a.Asked.After(lost) {
			late++
		}
	}
	slices.Sort(took)
	at := func(p float64) time.Duration { return took[int(float64(len(took)-1)*p)].Round(10 * time.Microsecond) }
	return fmt.Sprintf("%d answers %v, of which %d allowed by the lost history while the gap was unnoticed; p50 %s, p99 %s, max %s",
		len(answers), kinds, late, at(.5), at(.99), at(1))
}

// memory is what the replica holds of the machine's.
func memory(t *testing.T, r *cluster.Replica) string {
	t.Helper()
	kib, err := r.Memory()
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("%d MiB resident", kib>>10)
}
