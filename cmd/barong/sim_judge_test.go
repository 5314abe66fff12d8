package main

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/anishathalye/porcupine"

	"barong/internal/account"
	"barong/internal/apikey"
	"barong/internal/session"
)

// simWrong is something that must not have happened.
type simWrong struct {
	rule, text string
	about      string // whose lines of the trace are of interest
}

// judge looks at every answer of a history that is over.
func (w *simWorld) judge() *simWrong {
	for _, a := range w.answers {
		switch {
		case a.last:
			if x := w.judgeLast(a); x != nil {
				return x
			}
		case a.allowed():
			if text := w.neverTrue(a); text != "" {
				return &simWrong{"allowed beyond its bound", text, a.uid}
			}
		}
	}
	return w.judgeOrder()
}

// neverTrue says why nothing that was the truth as long ago as it may be explains an allow. A
// decision reads account, credential and policy one after the other: each of them must have been
// so at some time. States from before a commit that this process has acknowledged are past.
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
		{simCacheStale, func(s *simState) string { return s.void(a) }},
	} {
		why, from := "", max(a.from-part.bound, obeyed)
		for _, e := range w.eras {
			if e.to < from || e.from > a.to {
				continue
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

// closed, inactive and void say why an allow is wrong in a state by its policy, its account and
// its credential; "" when it is right.
func (s *simState) closed(a *simAnswer) string {
	if !s.paths[a.path] {
		return a.path + " is closed"
	}
	return ""
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

func (s *simState) void(a *simAnswer) string {
	switch {
	case a.session != nil:
		return s.endOf(a.session)
	case s.keys[a.kid].State != apikey.Active:
		return fmt.Sprintf("%s is %q", a.kid, s.keys[a.kid].State)
	}
	return ""
}

// endOf returns the reason why a session has ended in a state, "" when it has not.
func (s *simState) endOf(x *simSession) string {
	if s.ended[x.id] {
		return fmt.Sprintf("session %d was signed out of", x.number)
	}
	for _, id := range s.endsOf(x.uid) {
		if !x.knows[id] {
			return fmt.Sprintf("session %d was ended by commit %d", x.number, id)
		}
	}
	return ""
}

// judgeLast looks at an answer that was given when nothing had happened for so long that it
// must be the truth's.
func (w *simWorld) judgeLast(a *simAnswer) *simWrong {
	final := w.eras[len(w.eras)-1].state
	if a.reason == "" && !a.allowed() || a.status >= 500 {
		return &simWrong{"unavailable when all was well again", fmt.Sprintf("r%d at %v: %d %s", a.replica, a.from, a.status, a.reason), a.uid}
	}
	must := final.paths[a.path] && final.users[a.uid].State == account.StateActive
	if a.session == nil {
		must = must && final.keys[a.kid].State == apikey.Active
	} else {
		must = must && a.session.sure && final.endOf(a.session) == "" && w.stored(final, a.session) &&
			len(a.session.knows) == len(final.endsOf(a.uid)) && !w.lostEnd(a.session.id)
	}
	why := ""
	if a.allowed() {
		why = cmp.Or(final.closed(a), final.inactive(a), final.void(a))
		switch {
		case why != "":
		case a.session != nil && !w.stored(final, a.session):
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

// lostEnd reports whether somebody signed out of a session in a history that was lost: replicas
// that heard of it go on to refuse it, which is safe.
func (w *simWorld) lostEnd(id session.ID) bool {
	return slices.ContainsFunc(w.commits, func(c *simCommit) bool { return c.lost && slices.Contains(c.ids, id) })
}

// A register is one fact that writes change and answers show.
//
//	state:UID role:UID key:KID path:PATH session:NUMBER

// register is its value in a state.
func (w *simWorld) register(s *simState, name string) string {
	kind, ref, _ := strings.Cut(name, ":")
	switch kind {
	case "state":
		return s.users[ref].State
	case "role":
		return s.users[ref].Role
	case "key":
		return s.keys[ref].State
	case "path":
		return strconv.FormatBool(s.paths[ref])
	}
	n, _ := strconv.Atoi(ref)
	return strconv.FormatBool(s.endOf(w.sessions[n]) == "")
}

// shows are the registers that an answer shows, and their values.
func (a *simAnswer) shows() map[string]string {
	seen := map[string]string{}
	switch {
	case a.allowed():
		seen["state:"+a.uid], seen["role:"+a.uid], seen["path:"+a.path] = account.StateActive, a.role, "true"
		if a.session != nil {
			seen["session:"+strconv.Itoa(a.session.number)] = "true"
		} else {
			seen["key:"+a.kid] = apikey.Active
		}
	case a.reason == "authz.invalid_permission":
		seen["state:"+a.uid], seen["path:"+a.path] = account.StateActive, "false"
	case a.reason == "authz.user_not_active", a.session == nil && a.reason == "authz.invalid_session":
		seen["state:"+a.uid] = account.StateBanned
	case a.reason == "authz.apikey_not_active":
		seen["key:"+a.kid] = apikey.Disabled
	case a.reason == "authz.unexistent_apikey":
		seen["key:"+a.kid] = ""
	}
	return seen
}

// simOp is a read or a write of a register.
type simOp struct {
	write bool
	value string
}

var simRegister = porcupine.Model{
	Init: func() any { return nil },
	Step: func(state, input, _ any) (bool, any) {
		op := input.(simOp)
		if op.write {
			return true, op.value
		}
		return state == op.value, state
	},
	Equal: func(a, b any) bool { return a == b },
}

func simLinear(ops []porcupine.Operation) bool {
	return porcupine.CheckOperationsTimeout(simRegister, ops, 2*time.Second) != porcupine.Illegal
}

// judgeOrder asks, for each replica and register, whether the answers follow the writes that
// this replica acknowledged as those of one register (linearizability). The writes of others,
// and the values that a takeover restored, may come at any moment until the bound on staleness.
func (w *simWorld) judgeOrder() *simWrong {
	var names []string
	for _, uid := range slices.Concat(simUsers, simStrangers) {
		names = append(names, "state:"+uid, "role:"+uid)
	}
	for _, kid := range simKids {
		names = append(names, "key:"+kid)
	}
	for _, path := range simPaths {
		names = append(names, "path:"+path)
	}
	for i := range w.sessions {
		names = append(names, "session:"+strconv.Itoa(i))
	}
	shows := make([]map[string]string, len(w.answers))
	for i, a := range w.answers {
		shows[i] = a.shows()
	}
	for _, name := range names {
		bound := simCacheStale + time.Second
		if strings.HasPrefix(name, "path:") {
			bound = simPolicyStale + time.Second
		}
		type write struct {
			c     *simCommit
			value string
		}
		var writes []write
		for _, c := range w.commits {
			if v := w.register(c.after, name); v != w.register(c.before, name) {
				writes = append(writes, write{c, v})
			}
		}
		for _, r := range w.replicas {
			own := slices.ContainsFunc(writes, func(x write) bool { return x.c.replica == r.id && x.c.obeyed > 0 })
			if !own {
				continue
			}
			ops := []porcupine.Operation{{Input: simOp{true, w.register(w.eras[0].state, name)}, Call: -2, Return: -1}}
			add := func(op simOp, from, to time.Duration) {
				ops = append(ops, porcupine.Operation{Input: op, Call: int64(from), Return: int64(to), ClientId: len(ops)})
			}
			for _, x := range writes {
				to := x.c.at + bound
				if x.c.replica == r.id && x.c.obeyed > 0 {
					to = x.c.obeyed
				}
				add(simOp{true, x.value}, x.c.at, to)
			}
			for _, t := range w.takeovers {
				add(simOp{true, w.register(t.state, name)}, t.died, t.at+bound)
			}
			// A request that waits for a load may be given a row that is newer than the one held,
			// until the feed brings the change; so each read beside a write is judged by itself.
			n := len(ops)
			var apart []porcupine.Operation
			for i, a := range w.answers {
				v, ok := shows[i][name]
				if !ok || a.replica != r.id {
					continue
				}
				add(simOp{false, v}, a.from, a.to)
				for _, x := range ops[1:n] {
					if int64(a.to) >= x.Call && int64(a.from) <= x.Return {
						apart, ops = append(apart, ops[len(ops)-1]), ops[:len(ops)-1]
						break
					}
				}
			}
			bad := !simLinear(ops)
			for _, read := range apart {
				if bad {
					break
				}
				if ops = append(ops[:n:n], read); !simLinear(ops) {
					bad = true
				}
			}
			if bad {
				slices.SortStableFunc(ops, func(a, b porcupine.Operation) int { return cmp.Compare(a.Call, b.Call) })
				var text strings.Builder
				fmt.Fprintf(&text, "r%d does not obey its own writes of %s:", r.id, name)
				for _, o := range ops {
					op := o.Input.(simOp)
					verb := "read"
					if op.write {
						verb = "write"
					}
					fmt.Fprintf(&text, " %s %q [%v %v];", verb, op.value, time.Duration(o.Call), time.Duration(o.Return))
				}
				_, ref, _ := strings.Cut(name, ":")
				if n, err := strconv.Atoi(ref); err == nil {
					ref = w.sessions[n].uid
				}
				return &simWrong{"not linearizable", text.String(), ref}
			}
		}
	}
	return nil
}

// story returns the lines of the trace that concern a verdict.
func (w *simWorld) story(x *simWrong) string {
	var text strings.Builder
	for _, e := range w.trace {
		if e.about == "" || e.about == x.about || slices.Contains(simPaths, e.about) && strings.Contains(x.text, e.about) ||
			simHeld(x.about, e.about) {
			fmt.Fprintf(&text, "%12v  %s\n", e.at, fmt.Sprintf(e.text, e.args...))
		}
	}
	return text.String()
}

// simHeld reports whether about is the key of a user or the other way round.
func simHeld(a, b string) bool {
	return strings.HasPrefix(b, "kid") && simHolder(b) == a || strings.HasPrefix(a, "kid") && simHolder(a) == b
}
