package main

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/anishathalye/porcupine"

	"barong/internal/account"
	"barong/internal/apikey"
	"barong/internal/session"
	"barong/internal/token"
	"barong/policy"
)

// simWrong is something that must not have happened.
type simWrong struct {
	rule, text string
	about      string // whose lines of the trace are of interest
}

// judge looks at every answer of a history that is over.
func (w *simWorld) judge() *simWrong {
	w.renewed = map[session.ID]bool{}
	for _, c := range w.commits {
		if c.verb == renewUser {
			w.renewed[c.ids[0]] = true
		}
	}
	for _, a := range w.answers {
		var x *simWrong
		switch {
		case a.last:
			x = w.judgeLast(a)
		case a.allowed():
			if text := w.neverTrue(a); text != "" {
				x = &simWrong{"allowed beyond its bound", text, a.uid}
			}
		}
		if x != nil {
			return x
		}
	}
	for _, look := range []func() *simWrong{w.judgeTimes, w.judgeExpiry, w.judgeLimits, w.judgeNonces, w.judgeEvents, w.judgeOrder} {
		if x := look(); x != nil {
			return x
		}
	}
	return nil
}

// neverTrue says why nothing that was the truth as long ago as it may be explains an allow. A
// decision reads account, credential, policy and signing key one after the other: each of them
// must have been so at some time. States from before a commit that this process has acknowledged
// are past.
func (w *simWorld) neverTrue(a *simAnswer) string {
	obeyed := time.Duration(0)
	for _, c := range w.commits {
		if c.replica == a.replica && c.obeyed > 0 && c.obeyed < a.from {
			obeyed = max(obeyed, c.at)
		}
	}
	for _, part := range []struct {
		bound   time.Duration
		refuses func(*simState) string
	}{
		{simPolicyStale, func(s *simState) string { return s.closed(a) }},
		{simCacheStale, func(s *simState) string { return s.inactive(a) }},
		{simCacheStale, func(s *simState) string { return w.void(s, a) }},
		{simKeyStale, func(s *simState) string { return w.foreign(s, a) }},
	} {
		from := max(a.from-part.bound, obeyed)
		if part.bound == simKeyStale {
			from = a.from - part.bound // nobody waits for the keys
		}
		why := ""
		for _, e := range w.eras[w.eraAt(from):] {
			if e.from > a.to {
				break
			}
			if why = part.refuses(e.state); why == "" {
				break
			}
		}
		if why != "" {
			return fmt.Sprintf("r%d at %v: %s since %v", a.replica, a.from, why, from)
		}
	}
	return ""
}

// closed, inactive, void and foreign say why an allow is wrong in a state by its policy, its
// account, its credential and the key of its token; "" when it is right.
func (s *simState) closed(a *simAnswer) string {
	switch {
	case !s.paths[a.path]:
		return a.path + " is closed"
	case s.barred[a.address]:
		return a.address + " is barred"
	case a.session != nil && s.cutOff(a.session):
		return fmt.Sprintf("session %d was cut off with %s", a.session.number, a.address)
	}
	return ""
}

// cutOff reports whether a session ended with all those that were opened from its address.
func (s *simState) cutOff(x *simSession) bool {
	return slices.ContainsFunc(s.cuts, func(c policy.Cut) bool { return c.Value == x.address && x.created.Before(c.At) })
}

func (s *simState) inactive(a *simAnswer) string {
	u := s.users[a.uid]
	switch {
	case u.State != account.StateActive:
		return a.uid + " is " + u.State
	case a.role != u.Role:
		return fmt.Sprintf("%s has the role %s, the token says %s", a.uid, u.Role, a.role)
	}
	return ""
}

func (w *simWorld) void(s *simState, a *simAnswer) string {
	switch {
	case a.session != nil:
		return s.endOf(a.session, w.born.Add(a.from-simClockError))
	case s.keys[a.kid].State != apikey.Active:
		return fmt.Sprintf("%s is %q", a.kid, s.keys[a.kid].State)
	}
	return ""
}

func (w *simWorld) foreign(s *simState, a *simAnswer) string {
	if signer := s.signer(); a.signer != signer {
		return fmt.Sprintf("the token is signed with key %d, the key is %d", w.keyNumber(a.signer), w.keyNumber(signer))
	}
	return ""
}

// keyNumber is the place of a signing key in the order of use.
func (w *simWorld) keyNumber(kid string) int {
	return slices.IndexFunc(slices.Concat(w.start.signing, w.pool), func(k token.SigningKey) bool { return k.Kid == kid })
}

// endOf returns the reason why a session has ended in a state, "" when it has not. The old id of
// a renewed one may read until its grace is over, at is the time that counts.
func (s *simState) endOf(x *simSession, at time.Time) string {
	if s.ended[x.id] || s.promised[x.id] {
		return fmt.Sprintf("session %d was signed out of", x.number)
	}
	u := s.users[x.uid]
	for _, id := range s.endsOf(x.uid) {
		if x.knows[id] {
			continue
		}
		p := u.Renewal
		if id == u.renewed && p.From == x.id && at.Before(p.Until) && !s.ended[p.To] {
			continue
		}
		return fmt.Sprintf("session %d was ended by commit %d", x.number, id)
	}
	return ""
}

// judgeLast looks at an answer that was given when nothing had happened for so long that it
// must be the truth's.
func (w *simWorld) judgeLast(a *simAnswer) *simWrong {
	final := w.eras[len(w.eras)-1].state
	if a.reason == "" && !a.allowed() || a.outage() {
		return &simWrong{"unavailable when all was well again", fmt.Sprintf("r%d at %v: %d %s", a.replica, a.from, a.status, a.reason), a.uid}
	}
	must := final.paths[a.path] && !final.barred[a.address] && final.users[a.uid].State == account.StateActive
	now := w.born.Add(a.from)
	if a.session == nil {
		must = must && final.keys[a.kid].State == apikey.Active
	} else {
		must = must && w.life == 0 && a.session.sure && final.endOf(a.session, now) == "" && !final.cutOff(a.session) &&
			w.stored(final, a.session) && len(a.session.knows) == len(final.endsOf(a.uid)) && !w.lostEnd(a.session.id)
	}
	why := ""
	if a.allowed() {
		why = cmp.Or(final.closed(a), final.inactive(a), w.void(final, a), w.foreign(final, a))
		switch {
		case why != "":
		case a.session != nil && !w.stored(final, a.session) && !w.dropped(a.session):
			why = "there is no such session"
		}
	}
	switch {
	case why != "":
		return &simWrong{"allowed for ever", fmt.Sprintf("r%d at %v: %s", a.replica, a.from, why), a.uid}
	case must && !a.allowed():
		return &simWrong{"denied for ever", fmt.Sprintf("r%d at %v: %s %s for %s", a.replica, a.from, a.uid, a.reason, a.path), a.uid}
	}
	return nil
}

// stored reports whether the session store has a session.
func (w *simWorld) stored(final *simState, s *simSession) bool {
	if w.redis != nil {
		_, ok := w.redis.all[s.id]
		return ok
	}
	_, ok := final.sessions[s.id]
	return ok
}

// dropped reports whether Redis has lost a session that nobody ended, by going back to a dump:
// replicas that hold it go on to take it, which is safe.
func (w *simWorld) dropped(s *simSession) bool {
	return slices.ContainsFunc(w.restores, func(r simRestore) bool { return r.at >= s.began })
}

// lostEnd reports whether somebody signed out of a session in a history that was lost: replicas
// that heard of it go on to refuse it, which is safe.
func (w *simWorld) lostEnd(id session.ID) bool {
	return slices.ContainsFunc(w.commits, func(c *simCommit) bool { return c.lost && slices.Contains(c.ids, id) })
}

// story returns the lines of the trace that concern a verdict.
func (w *simWorld) story(x *simWrong) string {
	var text strings.Builder
	for _, e := range w.trace {
		if e.about == "" || e.about == x.about || slices.Contains(simPaths, e.about) && strings.Contains(x.text, e.about) ||
			simHeld(x.about, e.about) {
			fmt.Fprintf(&text, "%12v  %s\n", e.at, w.line(e))
		}
	}
	for _, s := range w.sent {
		if s.uid == x.about {
			fmt.Fprintf(&text, "%12v  r%d has sent %s of %s, since %v; taken at %v\n", s.to, s.by.o.replica, s.uuid, s.uid, s.from, s.taken)
		}
	}
	return text.String()
}

// simHeld reports whether about is the key of a user or the other way round.
func simHeld(a, b string) bool {
	return strings.HasPrefix(b, "kid") && simHolder(b) == a || strings.HasPrefix(a, "kid") && simHolder(a) == b
}

// line is one line of the trace.
func (w *simWorld) line(e simEvent) string {
	a := e.answer
	if a == nil {
		return fmt.Sprintf(e.text, e.args...)
	}
	with := a.kid
	if a.session != nil {
		with = "session " + strconv.Itoa(a.session.number)
	}
	text := fmt.Sprintf("r%d answers %s of %s for %s from %s: %d %s", a.replica, with, a.uid, a.path, a.address, a.status, a.reason)
	if a.allowed() {
		text += fmt.Sprintf("%s by key %d", a.role, w.keyNumber(a.signer))
	}
	return text + fmt.Sprintf(" (asked at %v)", a.from)
}

// judgeTimes finds tokens that say to be of another time than they are, and signed requests that
// were served too late.
func (w *simWorld) judgeTimes() *simWrong {
	second := func(t time.Duration) int64 { return w.born.Add(t).Unix() }
	for _, a := range w.answers {
		if !a.allowed() {
			continue
		}
		first, last := second(a.from-simReuse-simClockError), second(a.to+simClockError)
		if a.iat < first || a.iat > last || a.exp != a.iat+int64(simTokenLife/time.Second) {
			return &simWrong{"token of another time", fmt.Sprintf("r%d at %v: iat %d is not from %d to %d, or exp %d is not right",
				a.replica, a.from, a.iat, first, last, a.exp), a.uid}
		}
		if a.session != nil {
			continue
		}
		ms, _ := strconv.ParseInt(a.nonce, 10, 64)
		if age := a.from - time.UnixMilli(ms).Sub(w.born); age >= w.nonceLife+simClockError {
			return &simWrong{"served too late", fmt.Sprintf("r%d at %v: the nonce is %v old", a.replica, a.from, age), a.uid}
		}
	}
	return nil
}

// judgeExpiry finds sessions that were used after they had run out. A use makes a session
// live for w.life longer, never beyond w.absolute.
func (w *simWorld) judgeExpiry() *simWrong {
	if w.life == 0 {
		return nil
	}
	used := make([]time.Duration, len(w.sessions))
	for i, s := range w.sessions {
		used[i] = s.opened
	}
	for _, a := range w.answers { // in the order of their ends
		if a.session == nil {
			continue
		}
		n := a.session.number
		if a.allowed() {
			why := ""
			switch age := a.from - a.session.first; {
			case age >= w.absolute+simClockError:
				why = fmt.Sprintf("session %d is %v old", n, age)
			case a.from >= used[n]+w.life+simClockError && !w.usedWithin(a):
				why = fmt.Sprintf("session %d was last used at %v", n, used[n])
			}
			if why != "" {
				return &simWrong{"allowed a session that has run out", fmt.Sprintf("r%d at %v: %s", a.replica, a.from, why), a.uid}
			}
		}
		if a.allowed() || a.outage() || a.reason == "authz.invalid_permission" {
			used[n] = max(used[n], a.to)
		}
	}
	return nil
}

// usedWithin reports whether another use of a's session, which began before and ended after it,
// may have made it live longer.
func (w *simWorld) usedWithin(a *simAnswer) bool {
	return slices.ContainsFunc(w.answers, func(b *simAnswer) bool {
		return b != a && b.session == a.session && b.from <= a.to && b.to >= a.from-w.life-simClockError && b.to < a.to+time.Second
	})
}

// judgeLimits finds sign-ins that came too early: of any that passed, no more than the rule gives
// in the time between the first and the last. Those that were counted in a lost history, or in a
// Redis that was taken back, count for nothing.
func (w *simWorld) judgeLimits() *simWrong {
	step, _ := simLimit.Micros()
	of := map[string][]simAttempt{}
	for _, x := range w.attempts {
		if x.passed {
			of[x.key] = append(of[x.key], x)
		}
	}
	for _, key := range slices.Sorted(maps.Keys(of)) {
		all := of[key]
		for _, first := range all {
			for _, last := range all {
				n := 0
				for _, x := range all {
					if x.from >= first.from && x.to <= last.to {
						n++
					}
				}
				if n <= simLimit.Burst {
					continue
				}
				room := int((last.to-first.from+simClockError).Microseconds()/step) + w.forgotten(key, first.from, last.to)
				if n > simLimit.Burst+room {
					return &simWrong{"more than its limit", fmt.Sprintf("%d of %q from %v to %v", n, key, first.from, last.to),
						strings.TrimPrefix(key, "sign-in ")}
				}
			}
		}
	}
	return nil
}

// forgotten is how many attempts the store has forgotten between two moments, at most.
func (w *simWorld) forgotten(key string, from, to time.Duration) (n int) {
	if w.redis != nil {
		for _, r := range w.restores {
			if from <= r.at && r.at <= to {
				n += simLimit.Burst
			}
		}
		return n
	}
	for _, c := range w.commits {
		if c.lost && c.verb == takeLimit && c.ref == key && c.at >= from && c.at <= to {
			n++
		}
	}
	return n
}

// judgeNonces asks, for each nonce of a key that came more than once, whether the answers are
// those of one memory (linearizability): the first use is served, no other is. A takeover and a
// restored Redis put the memory back.
func (w *simWorld) judgeNonces() *simWrong {
	if !w.enforce {
		return nil
	}
	type use struct{ nonce, kid string }
	of := map[use][]*simAnswer{}
	for _, a := range w.answers {
		if a.session == nil {
			k := use{a.nonce, a.kid}
			of[k] = append(of[k], a)
		}
	}
	order := func(a, b use) int { return cmp.Or(cmp.Compare(a.nonce, b.nonce), cmp.Compare(a.kid, b.kid)) }
	for _, k := range slices.SortedFunc(maps.Keys(of), order) {
		all := of[k]
		if len(all) < 2 {
			continue
		}
		ops := []porcupine.Operation{{Input: simOp{write: true, value: "unused"}, Call: -2, Return: -1}}
		add := func(op simOp, from, to time.Duration) {
			ops = append(ops, porcupine.Operation{Input: op, Call: int64(from), Return: int64(to), ClientId: len(ops)})
		}
		for _, a := range all {
			switch {
			case a.allowed():
				add(simOp{use: true, value: "unused"}, a.from, a.to)
			case a.reason == "authz.signature_blacklisted":
				add(simOp{value: "used"}, a.from, a.to)
			case a.outage():
				add(simOp{write: true, value: "used"}, a.from, 1<<62) // maybe, and maybe later
			}
		}
		value := func(n *simNonce) string {
			if n.has(k.kid, k.nonce) {
				return "used"
			}
			return "unused"
		}
		if w.redis != nil {
			for _, r := range w.restores {
				add(simOp{write: true, value: value(r.dump.nonces)}, r.at, r.at)
			}
		} else {
			for _, t := range w.takeovers {
				add(simOp{write: true, value: value(t.state.nonces)}, t.died, t.at)
			}
		}
		if !simLinear(ops) {
			return &simWrong{"served twice", k.kid + " with nonce " + k.nonce + ":" + simOps(ops), simHolder(k.kid)}
		}
	}
	return nil
}
