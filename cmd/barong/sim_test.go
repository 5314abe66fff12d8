package main

import (
	"cmp"
	"flag"
	"maps"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"barong/authz/authztest"
	"barong/internal/account"
	"barong/internal/apikey"
	"barong/internal/session"
	"barong/internal/token"
)

var (
	simSeed      = flag.Uint64("seed", 0, "play this one simulated history and print its trace")
	simHistories = flag.Int("histories", 0, "how many simulated histories TestSim plays; 0 means the default")
	simAll       = flag.Bool("all", false, "go on after a history that is wrong, and count them")
	simPlant     = flag.String("fault", "", "plant this fault into what TestSim plays")
)

// simTestKeys sign the tokens of all histories: making some takes longer than a history.
var simTestKeys = sync.OnceValues(authztest.NewKeys)

// simPlay plays the history of a seed and judges it.
func simPlay(t *testing.T, seed uint64, f simFault) (w *simWorld, wrong *simWrong) {
	t.Helper()
	keys, err := simTestKeys()
	if err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(*testing.T) {
		w = &simWorld{seed: seed, fault: f, born: time.Now()}
		w.play(keys)
	})
	return w, w.judge()
}

// simAct is something that happens at a moment.
type simAct struct {
	at time.Duration
	do func()
}

// play makes up events, lets them happen, and looks at everything when nothing has happened
// for a while.
func (w *simWorld) play(keys *token.Keys) {
	rnd := rand.New(rand.NewPCG(w.seed, 0xba7042))
	state := simStart()
	w.primary = &simServer{id: w.started(), state: state, alive: true}
	w.era(state)
	if rnd.IntN(3) > 0 {
		w.redis = &simRedis{w: w, all: map[session.ID]session.Session{}}
	}
	for i := range 3 {
		l := &simLink{w: w, replica: i, hint: make(chan struct{}, 1), conn: w.primary}
		w.replicas = append(w.replicas, &simReplica{w: w, id: i, keys: keys, link: l})
	}
	for _, r := range w.replicas {
		go r.run()
	}
	time.Sleep(10 * time.Millisecond)

	var acts []simAct
	at := func(t time.Duration, do func()) { acts = append(acts, simAct{t, do}) }
	upTo := func(d time.Duration) time.Duration { return time.Duration(rnd.Int64N(int64(d))) }
	w.planFaults(rnd, at)
	for range 60 {
		at(upTo(simActive), w.someChange(rnd, w.replicas[rnd.IntN(3)]))
	}
	for range 10 { // at first somebody must be there
		at(upTo(simActive/2), w.someSignIn(rnd))
	}
	for range 220 {
		at(upTo(simActive), w.someQuestion(rnd, w.replicas[rnd.IntN(3)]))
	}
	slices.SortStableFunc(acts, func(a, b simAct) int { return cmp.Compare(a.at, b.at) })
	for _, a := range acts {
		time.Sleep(a.at - w.now())
		go a.do()
	}
	time.Sleep(simActive - w.now())
	w.mend()
	time.Sleep(simSettle)

	w.mu.Lock()
	sessions := slices.Clone(w.sessions)
	w.mu.Unlock()
	var asking sync.WaitGroup
	for _, r := range w.replicas {
		asking.Go(func() {
			for _, path := range simPaths {
				for _, s := range sessions {
					r.ask(s, "", path, true)
				}
				for _, kid := range slices.Concat(simKids, simStrangeKids) {
					r.ask(nil, kid, path, true)
				}
			}
		})
	}
	asking.Wait()
	for _, r := range w.replicas {
		r.kill()
	}
	time.Sleep(10 * time.Second) // all that is still under way ends
}

// mend ends all that is broken.
func (w *simWorld) mend() {
	w.rise()
	w.over.Store(true)
	w.mu.Lock()
	defer w.mu.Unlock()
	now := w.now()
	for _, r := range w.replicas {
		r.link.cutUntil, r.link.deafUntil, r.link.finds, r.link.noRows = now, now, now, now
	}
	if w.redis != nil {
		w.redis.down = false
	}
	w.note("", "nothing happens any more")
}

// planFaults takes things away and brings them back, others in another state.
func (w *simWorld) planFaults(rnd *rand.Rand, at func(time.Duration, func())) {
	within := func(from, to time.Duration) time.Duration { return from + time.Duration(rnd.Int64N(int64(to-from))) }
	begin := within(500*time.Millisecond, simActive/2)
	for range 1 + rnd.IntN(2) {
		hung := rnd.IntN(3) == 0
		at(begin, func() { w.die(hung) })
		back := begin + within(20*time.Millisecond, 1200*time.Millisecond)
		if rnd.IntN(5) == 0 {
			at(back, w.rise)
		} else {
			lag := within(0, 500*time.Millisecond)
			if rnd.IntN(5) == 0 { // a backup
				lag = within(0, 3*time.Second)
			}
			finds := make([]time.Duration, len(w.replicas))
			for i := range finds {
				if rnd.IntN(2) == 0 {
					finds[i] = within(0, 2*time.Second)
				}
			}
			at(back, func() { w.promote(lag, finds) })
			// One that finds it at once makes as many commits as were lost, or some more.
			first := 0
			for i := range finds {
				if finds[i] < finds[first] {
					first = i
				}
			}
			w.planLoss(rnd, at, begin, back+finds[first], lag, first)
			for range rnd.IntN(12) {
				at(back+finds[first]+within(0, 400*time.Millisecond), w.someChange(rnd, w.replicas[first]))
			}
		}
		begin = back + within(500*time.Millisecond, 3*time.Second)
		if begin > simActive-2*time.Second {
			break
		}
	}
	some := func(n int, do func(from time.Duration)) {
		for range rnd.IntN(n + 1) {
			do(within(200*time.Millisecond, simActive-time.Second))
		}
	}
	some(2, func(from time.Duration) { // partitions
		l, long := w.replicas[rnd.IntN(3)].link, within(50*time.Millisecond, 2500*time.Millisecond)
		at(from, func() {
			w.mu.Lock()
			defer w.mu.Unlock()
			l.cutUntil = max(l.cutUntil, w.now()+long)
			w.note("", "r%d is cut off for %v", l.replica, long)
		})
	})
	some(1, func(from time.Duration) { // the policy is not readable
		l, long := w.replicas[rnd.IntN(3)].link, within(time.Second, 6*time.Second)
		at(from, func() {
			w.mu.Lock()
			defer w.mu.Unlock()
			l.noRows = w.now() + long
			w.note("", "r%d cannot read the policy for %v", l.replica, long)
		})
	})
	some(2, func(from time.Duration) { // notices lost
		l, long := w.replicas[rnd.IntN(3)].link, within(100*time.Millisecond, 3*time.Second)
		at(from, func() {
			w.mu.Lock()
			defer w.mu.Unlock()
			l.deafUntil = max(l.deafUntil, w.now()+long)
		})
	})
	some(3, func(from time.Duration) { // restarts
		r, long := w.replicas[rnd.IntN(3)], within(10*time.Millisecond, 500*time.Millisecond)
		at(from, func() {
			if r.kill() {
				time.Sleep(long)
				r.run()
			}
		})
	})
	if rnd.IntN(2) == 0 {
		for t := within(0, 300*time.Millisecond); t < simActive; t += within(100*time.Millisecond, 900*time.Millisecond) {
			at(t, w.prune)
		}
	}
	if w.redis == nil {
		return
	}
	for t := within(0, time.Second); t < simActive; t += within(500*time.Millisecond, 2*time.Second) {
		at(t, func() {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.redis.dumps = append(w.redis.dumps, maps.Clone(w.redis.all))
		})
	}
	some(2, func(from time.Duration) {
		which := rnd.Uint64()
		at(from, func() {
			w.mu.Lock()
			defer w.mu.Unlock()
			if n := len(w.redis.dumps); n > 0 {
				w.redis.all = w.redis.dumps[which%uint64(n)]
				w.note("", "Redis is restored from a dump")
			}
		})
	})
	some(1, func(from time.Duration) {
		long := within(50*time.Millisecond, time.Second)
		set := func(down bool) func() {
			return func() {
				w.mu.Lock()
				defer w.mu.Unlock()
				w.redis.down = down
				w.note("", "Redis is down: %v", down)
			}
		}
		at(from, set(true))
		at(from+long, set(false))
	})
}

// planLoss plans values that would be given twice if counters were names: something is done, and
// relied on, just before the primary dies, and done again when another has taken over. One replica
// may read a lost change without hearing of it.
func (w *simWorld) planLoss(rnd *rand.Rand, at func(time.Duration, func()), died, found, lag time.Duration, first int) {
	lost := min(lag, 200*time.Millisecond)
	uid, path := pick(rnd, simUsers), pick(rnd, simPaths)
	r, deaf := w.replicas[rnd.IntN(3)], w.replicas[rnd.IntN(3)]
	part := func(n int) time.Duration { return died - time.Duration(n)*(lost/16) }
	again := w.replicas[first]
	soon := time.Duration(rnd.Int64N(int64(100 * time.Millisecond)))
	switch rnd.IntN(6) {
	case 0:
		at(part(15), func() { r.change(endUser, uid, ""); r.signIn(uid) })
		at(part(5), func() { deaf.signIn(uid) })
		at(found+soon, func() { again.change(endUser, uid, "") })
	case 1:
		at(part(15), func() { r.signOutEverybody(); r.signIn(uid) })
		at(part(5), func() { deaf.signIn(uid) })
		at(found+soon, again.signOutEverybody)
	case 2:
		at(part(15), func() { r.change(setRole, uid, "admin"); r.ask(nil, "kid"+uid[2:], path, false) })
		at(found+soon, func() { again.change(setRole, uid, "support") })
		for i := range 3 {
			at(found+soon+time.Duration(i+1)*300*time.Millisecond, func() { r.ask(nil, "kid"+uid[2:], path, false) })
		}
	case 3, 4:
		n := rnd.IntN(len(simStrangers))
		at(part(15)-time.Millisecond, func() {
			w.mu.Lock()
			defer w.mu.Unlock()
			deaf.link.deafUntil = w.now() + time.Second
		})
		at(part(14), func() { r.change(setState, simStrangers[n], account.StateActive) })
		at(part(9), func() { deaf.ask(nil, simStrangeKids[n], path, false) })
		at(part(4), func() { deaf.ask(nil, simStrangeKids[n], path, false) })
	}
}

// prune deletes old rows of the feed.
func (w *simWorld) prune() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.primary != nil {
		w.put(w.primary, &simCommit{verb: pruneRows})
	}
}

// someChange is a call of REST at a replica, and questions about its change: at once, and while
// it goes on.
func (w *simWorld) someChange(rnd *rand.Rand, r *simReplica) func() {
	uid, kid, path := pick(rnd, simUsers), pick(rnd, simKids), pick(rnd, simPaths)
	role := pick(rnd, simRoles)
	n := rnd.Uint64()
	about := func(s *simSession) func() {
		return func() {
			of := s
			if of == nil {
				of = w.sessionOf(uid, n)
			}
			if of != nil && n%3 > 0 {
				r.ask(of, "", path, false)
				return
			}
			r.ask(nil, "kid"+uid[2:], path, false)
		}
	}
	var do func()
	after := about(nil)
	switch rnd.IntN(22) {
	case 20:
		do = func() { r.change(setStates, "", account.StateBanned) }
	case 21:
		do = func() { r.change(setStates, "", account.StateActive) }
	case 0, 1, 2:
		do = func() { r.change(setState, uid, account.StateBanned) }
	case 3, 4, 5:
		do = func() { r.change(setState, uid, account.StateActive) }
	case 6, 7, 8:
		do = func() { r.change(setRole, uid, role) }
	case 9, 10:
		do = func() { r.change(setPath, path, "") }
	case 11, 12:
		do = func() { r.change(setPath, path, "open") }
	case 13:
		state := pick(rnd, []string{apikey.Disabled, ""})
		do = func() { r.change(setKey, kid, state) }
		after = func() { r.ask(nil, kid, path, false) }
	case 14:
		do = func() { r.change(setKey, kid, apikey.Active) }
		after = func() { r.ask(nil, kid, path, false) }
	case 15:
		do = func() { r.change(endUser, uid, "") }
	case 16:
		do = func() {
			if s := w.sessionOf(uid, n); s != nil {
				r.renew(s)
			}
		}
	case 17:
		do = func() {
			if s := w.sessionOf(uid, n); s != nil {
				r.signOut(s)
				about(s)()
			}
		}
	case 18:
		do = func() { r.signIn(uid) }
	default:
		do = func() {
			if n%2 == 0 {
				r.signOutEverybody()
			}
		}
	}
	before := rnd.IntN(2) == 0
	return func() {
		if before {
			go after()
		}
		do()
		after()
	}
}

func (w *simWorld) someSignIn(rnd *rand.Rand) func() {
	r, uid := w.replicas[rnd.IntN(3)], pick(rnd, simUsers)
	return func() { r.signIn(uid) }
}

func (w *simWorld) someQuestion(rnd *rand.Rand, r *simReplica) func() {
	n, kid, path := rnd.Uint64(), pick(rnd, simKids), pick(rnd, simPaths)
	return func() {
		if s := w.sessionOf("", n); s != nil && n%4 > 0 {
			r.ask(s, "", path, false)
			return
		}
		r.ask(nil, kid, path, false)
	}
}

// sessionOf is one of the newest few sessions of a user, or of anybody; nil when there is none.
func (w *simWorld) sessionOf(uid string, n uint64) *simSession {
	w.mu.Lock()
	defer w.mu.Unlock()
	var of []*simSession
	for _, s := range w.sessions {
		if uid == "" || s.uid == uid {
			of = append(of, s)
		}
	}
	if len(of) == 0 {
		return nil
	}
	of = of[max(0, len(of)-6):]
	return of[(n>>8)%uint64(len(of))]
}

func pick[T any](rnd *rand.Rand, all []T) T { return all[rnd.IntN(len(all))] }

// simSearch plays histories, several at once, until one is judged wrong or there are no more
// of them or no more time. It returns the lowest seed known to be wrong and how many were played.
func simSearch(t *testing.T, f simFault, most int, until time.Time) (seed uint64, played int, found bool) {
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
				if _, wrong := simPlay(t, n, f); wrong != nil {
					for old := bad.Load(); n < old && !bad.CompareAndSwap(old, n); old = bad.Load() {
					}
				}
			}
		})
	}
	group.Wait()
	seed, played = bad.Load(), int(min(next.Load()-1, uint64(most)))
	return seed, played, seed < 1<<62
}

// No history allows a request that must be refused, and after each all replicas decide alike.
//
// Replay one with go test ./cmd/barong -run TestSim -seed N.
func TestSim(t *testing.T) {
	f := simFault(*simPlant)
	if *simSeed != 0 {
		w, wrong := simPlay(t, *simSeed, f)
		if wrong == nil {
			t.Logf("nothing is wrong with history %d: %d commits, %d answers, %d sessions, %d takeovers",
				*simSeed, len(w.commits), len(w.answers), len(w.sessions), len(w.takeovers))
			return
		}
		t.Fatalf("history %d: %s: %s\n%s", *simSeed, wrong.rule, wrong.text, w.story(wrong))
	}
	most := 1000
	if testing.Short() || raceDetector {
		most = 100
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
		w, wrong := simPlay(t, seed, f)
		if wrong == nil {
			t.Fatalf("history %d is wrong at times only; run it by itself", seed)
		}
		t.Fatalf("history %d (of %d in %v): %s: %s\n%s", seed, played, time.Since(began), wrong.rule, wrong.text, w.story(wrong))
	}
	t.Logf("%d histories in %v", played, time.Since(began))
}
