package main

import (
	"math/rand/v2"
	"time"

	"barong/internal/account"
	"barong/internal/apikey"
)

// plan makes up what happens in a history.
func (w *simWorld) plan(rnd *rand.Rand) (acts []simAct) {
	at := func(t time.Duration, do func()) { acts = append(acts, simAct{t, do}) }
	upTo := func(d time.Duration) time.Duration { return time.Duration(rnd.Int64N(int64(d))) }
	w.planFaults(rnd, at)
	w.planKinds(rnd, at)
	for range 45 {
		at(upTo(simActive), w.someChange(rnd, w.replicas[rnd.IntN(3)]))
	}
	for range 9 { // at first somebody must be there
		at(upTo(simActive/2), w.someSignIn(rnd))
	}
	for range 110 {
		at(upTo(simActive), w.someQuestion(rnd, w.replicas[rnd.IntN(3)]))
	}
	return acts
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
		if other, n := w.replicas[rnd.IntN(3)], rnd.IntN(2*len(w.pool)); n < len(w.pool) && other != r {
			// The signing keys change as it reads them.
			at(from+long+within(0, 8*time.Millisecond), func() { other.rotate(w.pool[n]) })
		}
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
			w.redis.dumps = append(w.redis.dumps, w.redis.dump)
		})
	}
	some(2, func(from time.Duration) {
		which := rnd.Uint64()
		at(from, func() {
			w.mu.Lock()
			defer w.mu.Unlock()
			if n := len(w.redis.dumps); n > 0 {
				w.restored(w.redis.dumps[which%uint64(n)])
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
	uid, path, address := pick(rnd, simUsers), pick(rnd, simPaths), pick(rnd, simAddresses)
	r, deaf := w.replicas[rnd.IntN(3)], w.replicas[rnd.IntN(3)]
	part := func(n int) time.Duration { return died - time.Duration(n)*(lost/16) }
	again := w.replicas[first]
	// Both histories begin with somebody who may act.
	kid := "kid" + uid[2:]
	at(max(20*time.Millisecond, died-lag-400*time.Millisecond), func() {
		r.change(setState, uid, account.StateActive)
		r.change(setKey, kid, apikey.Active)
		r.change(setPath, path, "open")
	})
	soon := time.Duration(rnd.Int64N(int64(100 * time.Millisecond)))
	switch rnd.IntN(7) {
	case 6: // a request is served, and comes again
		n := rnd.Uint64()
		at(part(15), func() {
			w.mu.Lock()
			nonce := w.newNonce("kid" + uid[2:])
			w.mu.Unlock()
			for i, of := range []*simReplica{r, deaf, again, r, deaf, again} {
				a := w.by("kid"+uid[2:], path, n)
				a.nonce = nonce
				w.do(func() {
					time.Sleep(time.Duration(i/2) * (found - died + 2*lost + soon) / 2)
					of.ask(a)
				})
			}
		})
	case 0:
		at(part(15), func() { r.change(endUser, uid, ""); r.signIn(uid, address) })
		at(part(5), func() { deaf.signIn(uid, address) })
		at(found+soon, func() { again.change(endUser, uid, "") })
	case 1:
		at(part(15), func() { r.signOutEverybody(); r.signIn(uid, address) })
		at(part(5), func() { deaf.signIn(uid, address) })
		at(found+soon, again.signOutEverybody)
	case 2, 3:
		at(part(15), func() { r.change(setRole, uid, "admin"); r.ask(w.by("kid"+uid[2:], path, 0)) })
		at(found+soon, func() { again.change(setRole, uid, "support") })
		for i := range 3 {
			at(found+soon+time.Duration(i+1)*300*time.Millisecond, func() { r.ask(w.by("kid"+uid[2:], path, 0)) })
		}
	case 4, 5:
		n := rnd.IntN(len(simStrangers))
		at(part(15)-time.Millisecond, func() {
			w.mu.Lock()
			defer w.mu.Unlock()
			deaf.link.deafUntil = w.now() + time.Second
		})
		at(part(14), func() { r.change(setState, simStrangers[n], account.StateActive) })
		at(part(9), func() { deaf.ask(w.by(simStrangeKids[n], path, 0)) })
		at(part(4), func() { deaf.ask(w.by(simStrangeKids[n], path, 0)) })
	}
}

// planKinds plans some of what is not left to chance.
func (w *simWorld) planKinds(rnd *rand.Rand, at func(time.Duration, func())) {
	within := func(from, to time.Duration) time.Duration { return from + time.Duration(rnd.Int64N(int64(to-from))) }
	one := func() *simReplica { return w.replicas[rnd.IntN(3)] }
	keys := w.pool
	for range rnd.IntN(4) { // signing keys are replaced, and cannot be read by one at first
		r, deaf, key := one(), one(), keys[0]
		keys = keys[1:]
		from, long := within(200*time.Millisecond, simActive), within(0, 1200*time.Millisecond)
		if rnd.IntN(2) == 0 {
			at(from-50*time.Millisecond, func() {
				w.mu.Lock()
				defer w.mu.Unlock()
				deaf.link.noKeys = w.now() + long
			})
		}
		at(from, func() { r.rotate(key) })
	}
	if w.redis != nil && rnd.IntN(3) == 0 { // Redis brings back a session that was signed out of
		r, other, uid, address, path := one(), one(), pick(rnd, simUsers), pick(rnd, simAddresses), pick(rnd, simPaths)
		from := within(0, simActive-4*time.Second)
		newest := func() *simSession { return w.sessionOf(func(s *simSession) bool { return s.uid == uid }, 0) }
		at(from, func() {
			r.change(setState, uid, account.StateActive)
			r.signIn(uid, address)
			s := newest()
			w.mu.Lock()
			held := w.redis.dump
			w.mu.Unlock()
			if s == nil {
				return
			}
			r.signOut(s)
			time.Sleep(300 * time.Millisecond)
			w.restore(held)
			if other.kill() {
				other.run()
			}
			for range 6 {
				other.ask(s.of(path))
				time.Sleep(400 * time.Millisecond)
			}
		})
	}
	for range rnd.IntN(3) { // the policy of one replica is not readable, and changes
		r, other, path, kid := one(), one(), pick(rnd, simPaths), pick(rnd, simKids)
		from, long := within(500*time.Millisecond, simActive/2), within(time.Second, 5*time.Second)
		at(from, func() {
			w.mu.Lock()
			defer w.mu.Unlock()
			r.link.noRows = w.now() + long
			w.note("", "r%d cannot read the policy for %v", r.id, long)
		})
		at(from+within(0, 200*time.Millisecond), func() { other.change(setPath, path, "") })
		for late := simPolicyStale + 100*time.Millisecond; late < long; late += 300 * time.Millisecond {
			at(from+late, func() { r.ask(w.by(kid, path, 0)) })
		}
	}
	for range rnd.IntN(3) { // an address is barred for a while, or cut off
		r, again, address, n := one(), one(), pick(rnd, simAddresses), rnd.Uint64()
		from, long := within(200*time.Millisecond, simActive-time.Second), within(100*time.Millisecond, 4500*time.Millisecond)
		path := pick(rnd, simPaths)
		if n%2 == 0 {
			at(from, func() { r.change(setCut, address, "") })
		} else {
			at(from, func() { r.change(setBar, address, "barred") })
			at(from+long, func() { again.change(setBar, address, "") })
		}
		for i, of := range w.replicas {
			for late := 20 * time.Millisecond; late < 4*time.Second; late *= 3 {
				at(from+late, func() {
					if s := w.sessionOf(func(s *simSession) bool { return s.address == address }, n+uint64(i)); s != nil && n%3 > 0 {
						of.ask(s.of(path))
						return
					}
					a := w.by(simKids[n%3], path, 0)
					a.address = address
					of.ask(a)
				})
			}
		}
	}
	if w.limited { // somebody tries a lot
		uid, from := pick(rnd, simUsers), within(0, simActive-3*time.Second)
		for range 6 + rnd.IntN(6) {
			r, address := one(), pick(rnd, simAddresses)
			at(from+within(0, 2*time.Second), func() { r.signIn(uid, address) })
		}
		for range 3 { // at once
			r, address := one(), pick(rnd, simAddresses)
			at(from, func() { r.signIn(uid, address) })
		}
	}
	if w.enforce { // requests are seen by others and sent again
		for range 4 {
			kid, path, n := pick(rnd, simKids), pick(rnd, simPaths), rnd.Uint64()
			from, later := within(200*time.Millisecond, simActive-2*time.Second), within(0, 1500*time.Millisecond)
			at(from, func() {
				w.mu.Lock()
				nonce := w.newNonce(kid)
				w.mu.Unlock()
				for i, r := range w.replicas {
					a := w.by(kid, path, n)
					a.nonce = nonce
					w.do(func() {
						time.Sleep(time.Duration(i) * later / 2 * time.Duration(n%2))
						r.ask(a)
					})
				}
			})
		}
	}
	if w.life > 0 { // sessions are left alone until they have run out, or used until they are too old
		for range 4 {
			r, other, uid, address, path := one(), one(), pick(rnd, simUsers), pick(rnd, simAddresses), pick(rnd, simPaths)
			from, often := within(0, simActive-4*time.Second), rnd.IntN(2) == 0
			at(from, func() { r.signIn(uid, address) })
			for t := 200 * time.Millisecond; t < 4*time.Second; t += 300 * time.Millisecond {
				if often || t < 700*time.Millisecond || t > 1800*time.Millisecond && t < 2400*time.Millisecond {
					at(from+t, func() {
						if s := w.sessionOf(func(s *simSession) bool { return s.uid == uid && s.address == address }, 0); s != nil {
							other.ask(s.of(path))
						}
					})
				}
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
	r := w.replicas[n%3]
	w.do(func() {
		r.ask(s.of(path))
		if n%2 == 0 {
			if next := w.sessionOf(func(x *simSession) bool { return x.uid == s.uid && x.created.Equal(s.created) }, 0); next != nil && next != s {
				w.replicas[n>>2%3].signOut(next)
			}
		}
		for range 5 {
			time.Sleep(simGrace / 2)
			r.ask(s.of(path))
		}
	})
}

func (w *simWorld) someSignIn(rnd *rand.Rand) func() {
	r, uid, address := w.replicas[rnd.IntN(3)], pick(rnd, simUsers), pick(rnd, simAddresses)
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
