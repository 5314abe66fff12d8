package main

import (
	"cmp"
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"barong/internal/token"
)

var (
	simSeed      = flag.Uint64("seed", 0, "play this one simulated history and print its trace")
	simHistories = flag.Int("histories", 0, "how many simulated histories TestSim plays; 0 means the default")
	simAll       = flag.Bool("all", false, "go on after a history that is wrong, and count them")
	simPlant     = flag.String("fault", "", "plant this fault into what TestSim plays")
)

// simKeys are the signing keys of all histories: making some takes longer than a history, and
// reading them longer than the start of all else.
type simKeys struct {
	start, pool []token.SigningKey
	fixed       *token.Keys // has read start
}

var simTestKeys = sync.OnceValues(func() (k simKeys, err error) {
	const pool = 4 // keys to rotate to
	all, err := madeKeys(context.Background(), pool)
	if err != nil {
		return k, err
	}
	k.start, k.pool = all[:len(all)-pool], all[len(all)-pool:]
	for _, row := range k.pool {
		if row.Use != token.UseBearer || row.State != token.Next {
			return k, fmt.Errorf("the pool has %v", row)
		}
	}
	k.fixed, err = token.OpenKeys(context.Background(), &memoryKeys{rows: k.start}, simKeysConfig(), nil)
	return k, err
})

// simPlay plays the history of a seed and judges it.
func simPlay(t *testing.T, seed uint64, f simFault) (w *simWorld, wrong *simWrong) {
	t.Helper()
	keys, err := simTestKeys()
	if err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(*testing.T) {
		w = &simWorld{
			seed: seed, fault: f, born: time.Now(), start: simStart(keys.start), pool: keys.pool, fixed: keys.fixed,
			work: make(chan func()), nonce: map[string]int64{},
		}
		w.play()
	})
	return w, w.judge()
}

// simAgain plays a history that was wrong until it is so again, or simTries times.
func simAgain(t *testing.T, seed uint64, f simFault) (w *simWorld, wrong *simWrong) {
	w, wrong = simPlay(t, seed, f)
	for n := 0; wrong == nil && n < simTries; n++ {
		w, wrong = simPlay(t, seed, f)
	}
	return w, wrong
}

// simAct is something that happens at a moment.
type simAct struct {
	at time.Duration
	do func()
}

// play makes up events, lets them happen, and looks at everything when nothing has happened
// for a while.
func (w *simWorld) play() {
	rnd := rand.New(rand.NewPCG(w.seed, 0xba7042))
	w.vary(rnd)
	w.primary = &simServer{id: w.started(), state: w.start, alive: true}
	w.era(w.start)
	for i := range w.size {
		l := &simLink{w: w, replica: i, hint: make(chan struct{}, 1), emitted: make(chan struct{}, 1), conn: w.primary}
		w.replicas = append(w.replicas, &simReplica{w: w, id: i, link: l})
	}
	var starting sync.WaitGroup
	for _, r := range w.replicas {
		starting.Add(1)
		w.do(func() { r.run(); starting.Done() })
	}
	if w.short { // else what happens while they start is of interest, too
		starting.Wait()
		w.began = w.now()
	}

	acts := w.plan(rnd)
	slices.SortStableFunc(acts, func(a, b simAct) int { return cmp.Compare(a.at, b.at) })
	for _, a := range acts {
		time.Sleep(w.began + a.at - w.now())
		w.do(a.do)
	}
	time.Sleep(w.began + w.active - w.now())
	w.mend()
	time.Sleep(simSettle)
	if w.events {
		time.Sleep(simEventWait)
	}

	w.mu.Lock()
	w.ended = w.now()
	sessions := slices.Clone(w.sessions)
	w.mu.Unlock()
	var asking sync.WaitGroup
	for _, r := range w.replicas {
		asking.Go(func() {
			last := func(a *simAnswer) {
				a.last = true
				r.ask(a)
			}
			for i, path := range simPaths {
				for j, s := range sessions {
					if (i+j+r.id)%len(simPaths) == 0 {
						last(s.of(path))
					}
				}
				for j, kid := range slices.Concat(simKids, simStrangeKids) {
					if !w.short || (i+j+r.id)%len(simPaths) == 0 {
						last(w.by(kid, path, uint64(i+j)<<16))
					}
				}
			}
		})
	}
	asking.Wait()
	for _, r := range w.replicas {
		r.kill()
	}
	time.Sleep(10 * time.Second) // all that is still under way ends
	close(w.work)
	w.workers.Wait()
}

// mend ends all that is broken.
func (w *simWorld) mend() {
	w.rise()
	w.over.Store(true)
	w.mu.Lock()
	defer w.mu.Unlock()
	now := w.now()
	for _, r := range w.replicas {
		r.link.cutUntil, r.link.deafUntil, r.link.finds = now, now, now
		r.link.noRows, r.link.noKeys = now, now
	}
	if w.redis != nil {
		w.redis.down = false
	}
	w.note("", "nothing happens any more")
}

// simReplay is the command that plays a history again.
func simReplay(seed uint64, f simFault) string {
	command := fmt.Sprintf("go test ./cmd/barong -run 'TestSim$' -seed %d", seed)
	if f != faultNone {
		command += fmt.Sprintf(" -fault '%s'", f)
	}
	return command
}

// A seed gives one history, to the byte, whatever else the machine does, so that a failing one can
// be played again. Only goroutines that are woken at one simulated moment may run in either order:
// now and then that makes two of them, of which each comes again. The sender of events tries again at
// moments left to chance: its work is no part of the record.
func TestSimSeedsAreHistories(t *testing.T) {
	defer debug.SetGCPercent(debug.SetGCPercent(simGCPercent))
	seeds, twice := uint64(60), 0
	if raceDetector || testing.Short() {
		seeds = 12
	}
	for seed := range seeds {
		var records []string
		for again := false; !again; {
			w, _ := simPlay(t, seed+1, faultNone)
			text := w.record()
			if n := strings.Count(text, "\n"); n < 20 {
				t.Fatalf("history %d has %d lines", seed+1, n)
			}
			again = slices.Contains(records, text)
			if records = append(records, text); len(records) == 6 && !again {
				t.Fatalf("history %d was another one each of %d times", seed+1, len(records))
			}
		}
		if len(records) > 2 {
			twice++
		}
	}
	t.Logf("of %d histories %d came in more than one order", seeds, twice)
	if twice > int(seeds)/2 {
		t.Errorf("%d of %d histories were not the same when they were played again", twice, seeds)
	}
}

// A wrong history names the one command that plays it again.
func TestSimNamesTheReplay(t *testing.T) {
	for _, c := range []struct {
		seed uint64
		f    simFault
		want string
	}{
		{7, faultNone, "go test ./cmd/barong -run 'TestSim$' -seed 7"},
		{7, faultNumbers, "go test ./cmd/barong -run 'TestSim$' -seed 7 -fault 'numbers for names'"},
	} {
		if got := simReplay(c.seed, c.f); got != c.want {
			t.Errorf("got %s, want %s", got, c.want)
		}
	}
}

// simTries is how often a history is played again until it is wrong.
const simTries = 10

// simGCPercent lets garbage gather: a history leaves much of it and keeps little.
const simGCPercent = 400

// simTotals counts what histories had.
type simTotals struct{ histories, long, commits, lost, answers, takeovers atomic.Int64 }

func (n *simTotals) add(w *simWorld) {
	n.histories.Add(1)
	if !w.short {
		n.long.Add(1)
	}
	for _, c := range w.commits {
		n.commits.Add(1)
		if c.lost {
			n.lost.Add(1)
		}
	}
	n.answers.Add(int64(len(w.answers)))
	n.takeovers.Add(int64(len(w.takeovers)))
}

func (n *simTotals) String() string {
	return fmt.Sprintf("%d histories, %d of them long, with %d commits, %d takeovers that lost %d of them, and %d answers",
		n.histories.Load(), n.long.Load(), n.commits.Load(), n.takeovers.Load(), n.lost.Load(), n.answers.Load())
}

// simSearch plays histories, several at once, until one is judged wrong or there are no more
// of them or no more time. It returns the lowest seed known to be wrong and how many were played.
func simSearch(t *testing.T, f simFault, most int, until time.Time) (seed uint64, total *simTotals, found bool) {
	var played simTotals
	var next, bad atomic.Uint64
	bad.Store(1 << 62)
	var group sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		group.Go(func() {
			for {
				n := next.Add(1)
				if n > uint64(most) || n > bad.Load() || time.Now().After(until) {
					return
				}
				w, wrong := simPlay(t, n, f)
				played.add(w)
				if wrong != nil {
					for old := bad.Load(); n < old && !bad.CompareAndSwap(old, n); old = bad.Load() {
					}
				}
			}
		})
	}
	group.Wait()
	seed = bad.Load()
	return seed, &played, seed < 1<<62
}

// No history allows a request that must be refused, and after each all replicas decide alike.
//
// A wrong one is printed with its trace and the command that plays it again.
func TestSim(t *testing.T) {
	defer debug.SetGCPercent(debug.SetGCPercent(simGCPercent))
	f := simFault(*simPlant)
	if *simSeed != 0 {
		w, wrong := simAgain(t, *simSeed, f)
		if wrong == nil {
			t.Logf("nothing is wrong with history %d: %d commits, %d answers, %d sessions, %d takeovers",
				*simSeed, len(w.commits), len(w.answers), len(w.sessions), len(w.takeovers))
			return
		}
		t.Fatalf("history %d: %s: %s\n%sagain: %s", *simSeed, wrong.rule, wrong.text, w.story(wrong), simReplay(*simSeed, f))
	}
	most := 3000
	if testing.Short() || raceDetector {
		most = 300
	}
	if *simHistories > 0 {
		most = *simHistories
	}
	if *simAll {
		for seed := range uint64(most) {
			if _, wrong := simPlay(t, seed+1, f); wrong != nil {
				t.Errorf("history %d: %s: %.300s", seed+1, wrong.rule, wrong.text)
			}
		}
		return
	}
	began := time.Now()
	seed, played, found := simSearch(t, f, most, began.Add(time.Hour))
	if found {
		w, wrong := simAgain(t, seed, f)
		if wrong == nil {
			t.Fatalf("history %d is wrong at times only: %s", seed, simReplay(seed, f))
		}
		t.Fatalf("history %d (of %v in %v): %s: %s\n%sagain: %s",
			seed, played, time.Since(began), wrong.rule, wrong.text, w.story(wrong), simReplay(seed, f))
	}
	t.Logf("%v in %v", played, time.Since(began))
}
