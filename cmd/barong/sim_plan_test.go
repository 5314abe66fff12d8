package main

import (
	"math/rand/v2"
	"sync/atomic"
	"time"

	"barong/internal/account"
	"barong/internal/apikey"
	"barong/internal/config"
	"barong/internal/session"
)

// simPlan is all that will happen in a history, as it is being made up.
type simPlan struct {
	*simWorld
	rnd     *rand.Rand
	acts    []simAct
	rotated int // keys of the pool that are given out
}

func (p *simPlan) at(t time.Duration, do func()) { p.acts = append(p.acts, simAct{t, do}) }

// within is a moment, or a duration, from one to another.
func (p *simPlan) within(from, to time.Duration) time.Duration {
	return from + time.Duration(p.rnd.Int64N(int64(to-from)))
}

// early is a moment from which the history goes on for some time.
func (p *simPlan) early(from, goesOn time.Duration) time.Duration {
	return p.within(from, max(p.active-goesOn, from+300*time.Millisecond))
}

func (p *simPlan) one() *simReplica { return p.replicas[p.rnd.IntN(len(p.replicas))] }

// simScenes are what is not left to chance. A long history has all of them, each up to most
// times (0: once); a short one has one or two of them, drawn by weight.
var simScenes = []struct {
	name         string
	most, weight int
	active       time.Duration // how long something happens in a short history
	set          func(w *simWorld)
	plan         func(p *simPlan)
}{
	{"takeovers", 0, 10, 2600 * time.Millisecond, nil, (*simPlan).takeovers},
	{"partition", 2, 4, 3600 * time.Millisecond, nil, (*simPlan).partition},
	{"silence", 2, 1, 2600 * time.Millisecond, nil, (*simPlan).silence},
	{"restart", 3, 3, 2 * time.Second, nil, (*simPlan).restart},
	{"rotation", 3, 4, 2600 * time.Millisecond, (*simWorld).withRotation, (*simPlan).rotation},
	{"pruning", 1, 3, 2600 * time.Millisecond, nil, (*simPlan).pruning},
	{"dumps", 1, 1, 2 * time.Second, (*simWorld).withRedis, (*simPlan).dumps},
	{"Redis down", 1, 3, 3600 * time.Millisecond, (*simWorld).withRedis, (*simPlan).redisDown},
	{"session back", 1, 1, 3 * time.Second, (*simWorld).withRedis, (*simPlan).sessionBack},
	{"policy unreadable", 2, 2, 5 * time.Second, nil, (*simPlan).unreadablePolicy},
	{"address", 2, 4, 2600 * time.Millisecond, nil, (*simPlan).address},
	{"renewal", 1, 2, 3 * time.Second, nil, (*simPlan).renewal},
	{"attempts", 0, 2, 2600 * time.Millisecond, (*simWorld).withLimit, (*simPlan).attempts},
	{"replays", 0, 1, 2600 * time.Millisecond, (*simWorld).withReplays, (*simPlan).replays},
	{"clock set", 0, 5, 6 * time.Second, (*simWorld).withClocks, (*simPlan).clockSet},
	{"events", 0, 5, 3500 * time.Millisecond, (*simWorld).withEvents, (*simPlan).eventsSent},
	{"expiry", 0, 3, 5 * time.Second, (*simWorld).withBriefSessions, (*simPlan).expiry},
}

func (w *simWorld) withRedis() {
	if w.redis == nil {
		w.redis = &simRedis{w: w, dump: dump{all: map[session.ID]session.Session{}, limits: map[string]int64{}}}
	}
}

func (w *simWorld) withRotation() { w.rotates = true }
func (w *simWorld) withLimit()    { w.limited = true }
func (w *simWorld) withReplays()  { w.enforce = true }
func (w *simWorld) withEvents()   { w.events = true }
func (w *simWorld) withClocks()   { w.withBriefSessions(); w.nonceLife = 2 * time.Second }
func (w *simWorld) withBriefSessions() {
	w.life, w.absolute = 1200*time.Millisecond, 3500*time.Millisecond
}

// simSettings are the default ones.
var simSettings = config.Default()

// vary decides the features of a history: one in simLongEach is long.
func (w *simWorld) vary(rnd *rand.Rand) {
	w.absolute, w.nonceLife, w.size = time.Hour, simSettings.APIKey.NonceLifetime, 3
	if rnd.IntN(3) > 0 {
		w.withRedis()
	}
	if w.short = rnd.IntN(simLongEach) > 0; w.short {
		all := 0
		for _, s := range simScenes {
			all += s.weight
		}
		w.size = 2
		for range 1 + rnd.IntN(4)/3 {
			i := 0
			for n := rnd.IntN(all); n >= simScenes[i].weight; i++ {
				n -= simScenes[i].weight
			}
			s := simScenes[i]
			if s.set != nil {
				s.set(w)
			}
			w.active = max(w.active, s.active)
			w.scenes = append(w.scenes, i)
		}
		return
	}
	w.active = 7 * time.Second
	for chance, set := range [...]func(){1: w.withBriefSessions, 2: w.withReplays, 3: w.withLimit, 4: w.withRotation, 5: w.withEvents} {
		if set != nil && rnd.IntN(4) < max(1, chance-1) {
			set()
		}
	}
	for i, s := range simScenes {
		n := 1
		if s.most > 0 {
			n = rnd.IntN(s.most + 1)
		}
		for range n {
			w.scenes = append(w.scenes, i)
		}
	}
}

// plan makes up what happens in a history.
func (w *simWorld) plan(rnd *rand.Rand) []simAct {
	p := &simPlan{simWorld: w, rnd: rnd}
	p.one().set.Store(p.step())
	changes, signIns, questions := 45, 9, 110
	if w.short {
		changes, signIns, questions = 5, 2, 8
	}
	for _, n := range w.scenes {
		simScenes[n].plan(p)
	}
	for range changes {
		p.at(p.within(0, w.active), w.someChange(rnd, p.one()))
	}
	for range signIns { // at first somebody must be there
		p.at(p.within(0, w.active/2), w.someSignIn(rnd))
	}
	for range questions {
		p.at(p.within(0, w.active), w.someQuestion(rnd, p.one()))
	}
	return p.acts
}

// takeovers takes the database away and brings it back, as another in another state.
func (p *simPlan) takeovers() {
	begin := p.within(500*time.Millisecond, p.active/2)
	for range 1 + p.rnd.IntN(2) {
		hung := p.rnd.IntN(3) == 0
		p.at(begin, func() { p.die(hung) })
		back := begin + p.within(20*time.Millisecond, p.longest(1200*time.Millisecond))
		if p.rnd.IntN(5) == 0 {
			p.at(back, p.rise)
		} else {
			p.takeover(begin, back)
		}
		begin = back + p.within(500*time.Millisecond, 3*time.Second)
		if begin > p.active-2*time.Second {
			break
		}
	}
}

// takeover promotes a standby in place of the primary that died.
func (p *simPlan) takeover(died, back time.Duration) {
	lag := p.within(0, 500*time.Millisecond)
	if p.rnd.IntN(5) == 0 { // a backup
		lag = p.within(0, 3*time.Second)
	}
	finds := make([]time.Duration, len(p.replicas))
	for i := range finds {
		if p.rnd.IntN(2) == 0 {
			finds[i] = p.within(0, p.longest(simFinds))
		}
	}
	p.at(back, func() { p.promote(lag, finds) })
	// One that finds it at once makes as many commits as were lost, or some more.
	first := 0
	for i := range finds {
		if finds[i] < finds[first] {
			first = i
		}
	}
	p.loss(died, back+finds[first], lag, p.replicas[first])
	for range p.rnd.IntN(12) {
		p.at(back+finds[first]+p.within(0, 400*time.Millisecond), p.someChange(p.rnd, p.replicas[first]))
	}
}

// longest is d, or less in a short history.
func (p *simPlan) longest(d time.Duration) time.Duration {
	if p.short {
		return min(d, 600*time.Millisecond)
	}
	return d
}

// loss plans values that would be given twice if counters were names: something is done, and
// relied on, just before the primary dies, and done again when another has taken over. One replica
// may read a lost change without hearing of it.
func (p *simPlan) loss(died, found, lag time.Duration, again *simReplica) {
	lost := min(lag, 200*time.Millisecond)
	uid, path, address := pick(p.rnd, simUsers), pick(p.rnd, simPaths), pick(p.rnd, simAddresses)
	r, deaf := p.one(), p.one()
	part := func(n int) time.Duration { return died - time.Duration(n)*(lost/16) }
	// Both histories begin with somebody who may act.
	kid := "kid" + uid[2:]
	p.at(max(20*time.Millisecond, died-lag-400*time.Millisecond), func() {
		r.change(setState, uid, account.StateActive)
		r.change(setKey, kid, apikey.Active)
		r.change(setPath, path, "open")
	})
	ask := func(of *simReplica) { of.ask(p.by(kid, path, 0)) }
	soon := p.within(0, 100*time.Millisecond)
	switch p.rnd.IntN(7) {
	case 6: // a request is served, and comes again
		n := p.rnd.Uint64()
		p.at(part(15), func() {
			p.mu.Lock()
			nonce := p.newNonce(kid)
			p.mu.Unlock()
			for i, of := range []*simReplica{r, deaf, again, r, deaf, again} {
				a := p.by(kid, path, n)
				a.nonce = nonce
				p.do(func() {
					time.Sleep(time.Duration(i/2) * (found - died + 2*lost + soon) / 2)
					of.ask(a)
				})
			}
		})
	case 0:
		p.at(part(15), func() { r.change(endUser, uid, ""); r.signIn(uid, address) })
		p.at(part(5), func() { deaf.signIn(uid, address) })
		p.at(found+soon, func() { again.change(endUser, uid, "") })
	case 1:
		p.at(part(15), func() { r.signOutEverybody(); r.signIn(uid, address) })
		p.at(part(5), func() { deaf.signIn(uid, address) })
		p.at(found+soon, again.signOutEverybody)
	case 2, 3:
		p.at(part(15), func() { r.change(setRole, uid, "admin"); ask(r) })
		p.at(found+soon, func() { again.change(setRole, uid, "support") })
		for i := range 3 {
			p.at(found+soon+time.Duration(i+1)*300*time.Millisecond, func() { ask(r) })
		}
	case 4, 5:
		n := p.rnd.IntN(len(simStrangers))
		p.at(part(15)-time.Millisecond, func() { deaf.link.deaf(time.Second) })
		p.at(part(14), func() { r.change(setState, simStrangers[n], account.StateActive) })
		for _, when := range []int{9, 4} {
			p.at(part(when), func() { deaf.ask(p.by(simStrangeKids[n], path, 0)) })
		}
	}
}

// partition cuts one replica off, which is asked about somebody whom another bans or unbans.
func (p *simPlan) partition() {
	r, other, from, long := p.one(), p.one(), p.early(200*time.Millisecond, 2*time.Second), p.within(50*time.Millisecond, 2500*time.Millisecond)
	uid, path, state := pick(p.rnd, simUsers), pick(p.rnd, simPaths), pick(p.rnd, []string{account.StateBanned, account.StateActive})
	p.at(from, func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		r.link.cutUntil = max(r.link.cutUntil, p.now()+long)
		p.note("", "r%d is cut off for %v", r.id, long)
	})
	p.at(from+p.within(0, long/2), func() { other.change(setState, uid, state) })
	for late := p.within(0, 300*time.Millisecond); late < long; late += 300 * time.Millisecond {
		p.at(from+late, func() { r.ask(p.by("kid"+uid[2:], path, 0)) })
	}
	if p.rnd.IntN(2) == 0 {
		p.at(from+long-20*time.Millisecond, p.prune)
	}
}

// silence loses the notices for one replica.
func (p *simPlan) silence() {
	l, long := p.one().link, p.within(100*time.Millisecond, 3*time.Second)
	p.at(p.early(200*time.Millisecond, time.Second), func() { l.deaf(long) })
}

// deaf loses all notices for some time.
func (l *simLink) deaf(long time.Duration) {
	l.w.mu.Lock()
	defer l.w.mu.Unlock()
	l.deafUntil = max(l.deafUntil, l.w.now()+long)
}

// restart kills a replica and starts it again, now and then while the signing keys change.
func (p *simPlan) restart() {
	r, long, from := p.one(), p.within(10*time.Millisecond, 500*time.Millisecond), p.early(200*time.Millisecond, time.Second)
	if other, n := p.one(), p.rnd.IntN(2*len(p.pool)); p.rotates && n < len(p.pool) && other != r {
		p.at(from+long+p.within(0, 8*time.Millisecond), func() { other.rotate(p.pool[n]) })
	}
	p.at(from, func() {
		if r.kill() {
			time.Sleep(long)
			r.run()
		}
	})
}

// rotation replaces the signing key, which one replica cannot read at first.
func (p *simPlan) rotation() {
	if !p.rotates || p.rotated == len(p.pool) {
		return
	}
	key := p.pool[p.rotated]
	p.rotated++
	r, deaf, from, long := p.one(), p.one(), p.early(200*time.Millisecond, 0), p.within(0, 1200*time.Millisecond)
	if p.rnd.IntN(2) == 0 {
		p.at(from-50*time.Millisecond, func() {
			p.mu.Lock()
			defer p.mu.Unlock()
			deaf.link.noKeys = p.now() + long
		})
	}
	p.at(from, func() { r.rotate(key) })
}

// pruning removes rows of the feed now and then.
func (p *simPlan) pruning() {
	for t := p.within(0, 300*time.Millisecond); t < p.active; t += p.within(100*time.Millisecond, 900*time.Millisecond) {
		p.at(t, p.prune)
	}
}

// dumps restores Redis from what it held before.
func (p *simPlan) dumps() {
	if p.redis == nil {
		return
	}
	for t := p.within(0, time.Second); t < p.active; t += p.within(500*time.Millisecond, 2*time.Second) {
		p.at(t, func() {
			p.mu.Lock()
			defer p.mu.Unlock()
			p.redis.dumps = append(p.redis.dumps, p.redis.dump)
		})
	}
	for range 1 + p.rnd.IntN(2) {
		which := p.rnd.Uint64()
		p.at(p.early(200*time.Millisecond, time.Second), func() {
			p.mu.Lock()
			defer p.mu.Unlock()
			if n := len(p.redis.dumps); n > 0 {
				p.restored(p.redis.dumps[which%uint64(n)])
			}
		})
	}
}

// redisDown takes Redis away for a while.
func (p *simPlan) redisDown() {
	if p.redis == nil {
		return
	}
	from, long := p.early(200*time.Millisecond, time.Second), p.within(50*time.Millisecond, time.Second)
	set := func(down bool) func() {
		return func() {
			p.mu.Lock()
			defer p.mu.Unlock()
			p.redis.down = down
			p.note("", "Redis is down: %v", down)
		}
	}
	p.at(from, set(true))
	p.at(from+long, set(false))
	r, other, uid, address, path := p.one(), p.one(), pick(p.rnd, simUsers), pick(p.rnd, simAddresses), pick(p.rnd, simPaths)
	var made atomic.Pointer[simSession]
	p.at(from-150*time.Millisecond, func() {
		r.signIn(uid, address)
		if s := p.sessionOf(func(s *simSession) bool { return s.uid == uid }, 0); s != nil {
			made.Store(s)
			other.ask(s.of(path))
		}
	})
	p.at(from+p.within(0, long), func() {
		if s := made.Load(); s != nil {
			r.signOut(s)
			r.ask(s.of(path))
			time.Sleep(simCacheStale)
			other.ask(s.of(path))
		}
	})
}

// sessionBack has Redis bring back a session that was signed out of.
func (p *simPlan) sessionBack() {
	if p.redis == nil {
		return
	}
	r, other, uid, address, path := p.one(), p.one(), pick(p.rnd, simUsers), pick(p.rnd, simAddresses), pick(p.rnd, simPaths)
	p.at(p.early(0, 4*time.Second), func() {
		r.change(setState, uid, account.StateActive)
		r.signIn(uid, address)
		s := p.sessionOf(func(s *simSession) bool { return s.uid == uid }, 0)
		p.mu.Lock()
		held := p.redis.dump
		p.mu.Unlock()
		if s == nil {
			return
		}
		r.signOut(s)
		time.Sleep(300 * time.Millisecond)
		p.restore(held)
		if other.kill() {
			other.run()
		}
		for range 6 {
			other.ask(s.of(path))
			time.Sleep(400 * time.Millisecond)
		}
	})
}

// unreadablePolicy changes the policy, which one replica cannot read for a while.
func (p *simPlan) unreadablePolicy() {
	r, other, path, kid := p.one(), p.one(), pick(p.rnd, simPaths), pick(p.rnd, simKids)
	from, long := p.within(500*time.Millisecond, p.active/2), p.within(time.Second, 5*time.Second)
	p.at(from, func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		r.link.noRows = p.now() + long
		p.note("", "r%d cannot read the policy for %v", r.id, long)
	})
	p.at(from+p.within(0, 200*time.Millisecond), func() { other.change(setPath, path, "") })
	for late := simPolicyStale + 100*time.Millisecond; late < long; late += 300 * time.Millisecond {
		p.at(from+late, func() { r.ask(p.by(kid, path, 0)) })
	}
}

// address bars an address for a while, or cuts it off.
func (p *simPlan) address() {
	r, again, address, n, path := p.one(), p.one(), pick(p.rnd, simAddresses), p.rnd.Uint64(), pick(p.rnd, simPaths)
	from, long := p.early(200*time.Millisecond, time.Second), p.within(100*time.Millisecond, 4500*time.Millisecond)
	if n%2 == 0 {
		p.at(from, func() { r.change(setCut, address, "") })
	} else {
		p.at(from, func() { r.change(setBar, address, "barred") })
		p.at(from+long, func() { again.change(setBar, address, "") })
	}
	for i, of := range p.replicas {
		for late := 20 * time.Millisecond; late < 4*time.Second; late *= 3 {
			p.at(from+late, func() {
				if s := p.sessionOf(func(s *simSession) bool { return s.address == address }, n+uint64(i)); s != nil && n%3 > 0 {
					of.ask(s.of(path))
					return
				}
				a := p.by(simKids[n%3], path, 0)
				a.address = address
				of.ask(a)
			})
		}
	}
}

// renewal renews a session, whose old id goes on to be used. Meanwhile all sessions of its user may
// end, or the new one.
func (p *simPlan) renewal() {
	r, other, uid, address, path := p.one(), p.one(), pick(p.rnd, simUsers), pick(p.rnd, simAddresses), pick(p.rnd, simPaths)
	n, soon, from := p.rnd.Uint64(), p.within(0, simGrace), p.early(0, 2*time.Second)
	p.at(from, func() {
		r.change(setState, uid, account.StateActive)
		r.change(setPath, path, "open")
		r.signIn(uid, address)
		s := p.sessionOf(func(s *simSession) bool { return s.uid == uid }, 0)
		if s == nil {
			return
		}
		if n>>8%4 == 2 {
			p.do(func() { other.change(endUser, uid, "") })
		}
		r.renew(s)
		p.readOn(s, path, n)
		time.Sleep(soon)
		switch n >> 8 % 4 {
		case 0:
			other.change(endUser, uid, "")
		case 1:
			other.change(setRole, uid, "support")
		}
		other.ask(s.of(path))
	})
}

// attempts has somebody try to sign in a lot.
func (p *simPlan) attempts() {
	if !p.limited {
		return
	}
	uid, from := pick(p.rnd, simUsers), p.early(0, 3*time.Second)
	for range 6 + p.rnd.IntN(6) {
		r, address := p.one(), pick(p.rnd, simAddresses)
		p.at(from+p.within(0, 2*time.Second), func() { r.signIn(uid, address) })
	}
	for range 3 { // at once
		r, address := p.one(), pick(p.rnd, simAddresses)
		p.at(from, func() { r.signIn(uid, address) })
	}
}

// replays has requests seen by others, who send them again.
func (p *simPlan) replays() {
	if !p.enforce {
		return
	}
	for range 4 {
		kid, path, n := pick(p.rnd, simKids), pick(p.rnd, simPaths), p.rnd.Uint64()
		from, later := p.early(200*time.Millisecond, 2*time.Second), p.within(0, 1500*time.Millisecond)
		p.at(from, func() {
			p.mu.Lock()
			nonce := p.newNonce(kid)
			p.mu.Unlock()
			for i, r := range p.replicas {
				a := p.by(kid, path, n)
				a.nonce = nonce
				p.do(func() {
					time.Sleep(time.Duration(i) * later / 2 * time.Duration(n%2))
					r.ask(a)
				})
			}
		})
	}
}

// step is by how many seconds somebody sets a clock.
func (p *simPlan) step() int64 {
	n := [...]int64{1, 1 + p.rnd.Int64N(4), p.rnd.Int64N(3600)}[p.rnd.IntN(3)]
	if p.rnd.IntN(2) == 0 {
		return -n
	}
	return n
}

// clockSet sets the clock of one replica while somebody signs in there, and again when the session
// has run out. Requests come once more when they are too old.
func (p *simPlan) clockSet() {
	if p.life == 0 {
		return
	}
	r, other, from := p.one(), p.one(), p.early(300*time.Millisecond, 5*time.Second)
	uid, address, path := pick(p.rnd, simUsers), pick(p.rnd, simAddresses), pick(p.rnd, simPaths)
	set := func(at time.Duration, by int64) {
		p.at(at, func() {
			r.set.Add(by)
			p.mu.Lock()
			defer p.mu.Unlock()
			p.note("", "the clock of r%d is set by %d s", r.id, by)
		})
	}
	if p.rnd.IntN(2) == 0 {
		p.at(from, func() {
			p.mu.Lock()
			defer p.mu.Unlock()
			r.link.slowClock = p.now() + 4*time.Second
		})
	}
	var made atomic.Pointer[simSession]
	p.at(from-200*time.Millisecond, func() {
		other.change(setState, uid, account.StateActive)
		other.change(setPath, path, "open")
	})
	set(from, p.step())
	p.at(from+p.within(0, 50*time.Millisecond), func() {
		r.signIn(uid, address)
		if s := p.sessionOf(func(s *simSession) bool { return s.uid == uid && s.address == address }, 0); s != nil {
			made.Store(s)
			r.ask(s.of(path))
		}
		a := p.by("kid"+uid[2:], path, 0)
		r.ask(a)
		for _, of := range []*simReplica{r, other} {
			late := p.by(a.kid, path, 0)
			late.nonce = a.nonce
			p.do(func() {
				time.Sleep(p.nonceLife + simClockError + 100*time.Millisecond)
				of.ask(late)
			})
		}
	})
	ask := func(at time.Duration, of *simReplica) {
		p.at(at, func() {
			if s := made.Load(); s != nil {
				of.ask(s.of(path))
			}
		})
	}
	used := from + 100*time.Millisecond
	if p.rnd.IntN(2) == 0 {
		used = from + p.within(200*time.Millisecond, 700*time.Millisecond)
		ask(used, r)
	}
	gone := used + p.life + simClockError + p.within(100*time.Millisecond, 800*time.Millisecond)
	ask(gone, other)
	if p.rnd.IntN(2) == 0 {
		set(gone, -1-p.rnd.Int64N(4))
	}
	for late := 10 * time.Millisecond; late < time.Second; late *= 3 {
		ask(gone+late, r)
	}
}

// eventsSent makes many changes of one user, mostly around the death of a primary, while the process
// that sends is killed or the destination is down.
func (p *simPlan) eventsSent() {
	if !p.events {
		return
	}
	uid := pick(p.rnd, simUsers)
	burst := func(r *simReplica, n int, from, to time.Duration) {
		for range n {
			role := pick(p.rnd, simRoles)
			p.at(p.within(from, to), func() { r.change(setRole, uid, role) })
		}
	}
	died := p.within(700*time.Millisecond, p.active/2)
	back := died + p.within(20*time.Millisecond, 600*time.Millisecond)
	burst(p.one(), 3+p.rnd.IntN(6), died-150*time.Millisecond, died)
	burst(p.one(), 3+p.rnd.IntN(6), back, back+400*time.Millisecond)
	switch p.rnd.IntN(4) {
	case 0:
		r := p.one()
		p.at(died, func() {
			if r.kill() {
				r.run()
			}
		})
	case 1:
		p.at(died, func() {
			p.mu.Lock()
			defer p.mu.Unlock()
			p.brokerDown = p.began + back
		})
	default:
		hung, lag := p.rnd.IntN(3) == 0, p.within(0, 300*time.Millisecond)
		p.at(died, func() { p.die(hung) })
		p.at(back, func() { p.promote(lag, make([]time.Duration, len(p.replicas))) })
	}
}

// expiry leaves sessions alone until they have run out, or uses them until they are too old.
func (p *simPlan) expiry() {
	if p.life == 0 {
		return
	}
	for range 4 {
		r, other, uid, address, path := p.one(), p.one(), pick(p.rnd, simUsers), pick(p.rnd, simAddresses), pick(p.rnd, simPaths)
		from, often := p.early(0, 4*time.Second), p.rnd.IntN(2) == 0
		p.at(from, func() { r.signIn(uid, address) })
		for t := 200 * time.Millisecond; t < 4*time.Second; t += 300 * time.Millisecond {
			if often || t < 700*time.Millisecond || t > 1800*time.Millisecond && t < 2400*time.Millisecond {
				p.at(from+t, func() {
					if s := p.sessionOf(func(s *simSession) bool { return s.uid == uid && s.address == address }, 0); s != nil {
						other.ask(s.of(path))
					}
				})
			}
		}
	}
}

// restore takes Redis back to what it held.
func (w *simWorld) restore(to dump) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.restored(to)
}

// restored is restore under the lock.
func (w *simWorld) restored(to dump) {
	w.redis.dump = to
	w.restores = append(w.restores, simRestore{w.now(), to})
	w.note("", "Redis is restored from a dump")
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
	role, address := pick(rnd, simRoles), pick(rnd, simAddresses)
	n := rnd.Uint64()
	own := func() *simSession { return w.sessionOf(func(s *simSession) bool { return s.uid == uid }, n) }
	about := func(of *simSession) func() {
		return func() {
			asked := of
			if asked == nil {
				asked = own()
			}
			if asked != nil && n%3 > 0 {
				r.ask(asked.of(path))
				return
			}
			r.ask(w.by("kid"+uid[2:], path, n))
		}
	}
	of := func(kid string) func() { return func() { r.ask(w.by(kid, path, n)) } }
	change := func(verb simVerb, ref, value string) func() { return func() { r.change(verb, ref, value) } }
	var do func()
	after := about(nil)
	switch rnd.IntN(27) {
	case 0, 1, 2:
		do = change(setState, uid, account.StateBanned)
	case 3, 4, 5, 6:
		do = change(setState, uid, account.StateActive)
	case 7, 8, 9:
		do = change(setRole, uid, role)
	case 10, 11:
		do = change(setPath, path, "")
	case 12, 13:
		do = change(setPath, path, "open")
	case 14:
		do, after = change(setKey, kid, pick(rnd, []string{apikey.Disabled, ""})), of(kid)
	case 15, 16:
		do, after = change(setKey, kid, apikey.Active), of(kid)
	case 17:
		do = change(endUser, uid, "")
	case 18, 19:
		do = func() {
			if s := own(); s != nil {
				r.renew(s)
				w.readOn(s, path, n)
			}
		}
	case 20:
		do = func() {
			if s := own(); s != nil {
				r.signOut(s)
				about(s)()
			}
		}
	case 21, 22:
		do = func() { r.signIn(uid, address) }
	case 23:
		do = change(setStates, "", account.StateBanned)
	case 24:
		do = change(setStates, "", account.StateActive)
	case 25:
		do = func() {
			if n%3 == 0 {
				r.signOutEverybody()
			}
		}
	default:
		do = change(setBar, address, "")
	}
	before := rnd.IntN(2) == 0
	return func() {
		if before {
			w.do(after)
		}
		do()
		after()
	}
}

// readOn uses the old id of a session that was renewed, some time after the sign-out of the new
// one if n says so.
func (w *simWorld) readOn(s *simSession, path string, n uint64) {
	of := func(n uint64) *simReplica { return w.replicas[n%uint64(len(w.replicas))] }
	r := of(n)
	w.do(func() {
		r.ask(s.of(path))
		if n%2 == 0 {
			if next := w.sessionOf(func(x *simSession) bool { return x.uid == s.uid && x.created.Equal(s.created) }, 0); next != nil && next != s {
				of(n >> 2).signOut(next)
			}
		}
		for range 5 {
			time.Sleep(simGrace / 2)
			r.ask(s.of(path))
		}
	})
}

func (w *simWorld) someSignIn(rnd *rand.Rand) func() {
	r, uid, address := pick(rnd, w.replicas), pick(rnd, simUsers), pick(rnd, simAddresses)
	return func() { r.signIn(uid, address) }
}

func (w *simWorld) someQuestion(rnd *rand.Rand, r *simReplica) func() {
	n, kid, path := rnd.Uint64(), pick(rnd, simKids), pick(rnd, simPaths)
	return func() {
		if s := w.sessionOf(nil, n); s != nil && n%4 > 0 {
			r.ask(s.of(path))
			return
		}
		r.ask(w.by(kid, path, n))
	}
}

// sessionOf is one of the newest few sessions, the newest for 0, of those that fit; nil when there
// is none.
func (w *simWorld) sessionOf(fits func(*simSession) bool, n uint64) *simSession {
	w.mu.Lock()
	defer w.mu.Unlock()
	var of [6]*simSession
	count := uint64(0)
	for i := len(w.sessions) - 1; i >= 0 && count < uint64(len(of)); i-- {
		if s := w.sessions[i]; fits == nil || fits(s) {
			of[count] = s
			count++
		}
	}
	if count == 0 {
		return nil
	}
	return of[(n>>8)%count]
}

func pick[T any](rnd *rand.Rand, all []T) T { return all[rnd.IntN(len(all))] }
