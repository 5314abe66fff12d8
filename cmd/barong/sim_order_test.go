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
)

// A register is one fact that writes change and answers show.
//
//	state:UID role:UID key:KID path:PATH bar:ADDRESS session:NUMBER cut:NUMBER

// register is its value in a state.
func (w *simWorld) register(s *simState, kind, ref string) string {
	switch kind {
	case "state":
		return s.users[ref].State
	case "role":
		return s.users[ref].Role
	case "key":
		return s.keys[ref].State
	case "path":
		return strconv.FormatBool(s.paths[ref])
	case "bar":
		return strconv.FormatBool(s.barred[ref])
	}
	n, _ := strconv.Atoi(ref)
	if kind == "cut" {
		return strconv.FormatBool(s.cutOff(w.sessions[n]))
	}
	return strconv.FormatBool(s.endOf(w.sessions[n], w.born.Add(time.Hour)) == "")
}

// changes reports whether a commit may change registers of a kind.
func (v simVerb) changes(kind string) bool {
	switch kind {
	case "state":
		return v == setState || v == setStates
	case "role":
		return v == setRole
	case "key":
		return v == setKey
	case "path":
		return v == setPath
	case "bar":
		return v == setBar
	case "cut":
		return v == setCut
	}
	switch v {
	case setState, setStates, setRole, endUser, renewUser, endEverybody, endSession:
		return true
	}
	return false
}

// shows calls show with the registers that an answer shows, and their values.
func (w *simWorld) shows(a *simAnswer, show func(kind, ref, value string)) {
	if strings.HasPrefix(a.reason, "authz.restrict.") {
		show("bar", a.address, "true")
		return
	}
	switch {
	case a.allowed():
		show("state", a.uid, account.StateActive)
		show("role", a.uid, a.role)
		show("path", a.path, "true")
		if a.session == nil {
			show("key", a.kid, apikey.Active)
			break
		}
		n := strconv.Itoa(a.session.number)
		show("cut", n, "false")
		if !w.renewed[a.session.id] { // else it may be the old id in its grace
			show("session", n, "true")
		}
	case a.reason == "authz.invalid_permission":
		show("state", a.uid, account.StateActive)
		show("path", a.path, "false")
	case a.reason == "authz.user_not_active", a.session == nil && a.reason == "authz.invalid_session":
		show("state", a.uid, account.StateBanned)
	case a.reason == "authz.apikey_not_active":
		show("key", a.kid, apikey.Disabled)
	case a.reason == "authz.unexistent_apikey":
		show("key", a.kid, "")
	default:
		return
	}
	show("bar", a.address, "false")
}

// simOp is a read or a write of a register, or a use: a read and then the write of "used".
type simOp struct {
	write, use bool
	value      string
}

var simRegister = porcupine.Model{
	Init: func() any { return nil },
	Step: func(state, input, _ any) (bool, any) {
		op := input.(simOp)
		switch {
		case op.write:
			return true, op.value
		case op.use:
			return state == op.value, "used"
		}
		return state == op.value, state
	},
	Equal: func(a, b any) bool { return a == b },
}

func simLinear(ops []porcupine.Operation) bool {
	return porcupine.CheckOperationsTimeout(simRegister, ops, 2*time.Second) != porcupine.Illegal
}

// simSeen is a value of a register that an answer shows.
type simSeen struct {
	*simAnswer
	value string
}

// judgeOrder asks, for each replica and register, whether the answers follow the writes that
// this replica acknowledged as those of one register (linearizability). The writes of others,
// and the values that a takeover restored, may come at any moment until the bound on staleness.
func (w *simWorld) judgeOrder() *simWrong {
	type register struct {
		kind, ref string
		replica   int
	}
	seen := map[register][]simSeen{}
	for _, a := range w.answers {
		w.shows(a, func(kind, ref, value string) {
			k := register{kind, ref, a.replica}
			seen[k] = append(seen[k], simSeen{a, value})
		})
	}
	order := func(a, b register) int {
		return cmp.Or(cmp.Compare(a.kind, b.kind), cmp.Compare(a.ref, b.ref), cmp.Compare(a.replica, b.replica))
	}
	for _, k := range slices.SortedFunc(maps.Keys(seen), order) {
		reads := seen[k]
		ops, own := w.writes(k.kind, k.ref, k.replica)
		if !own || simPlain(ops, reads) {
			continue
		}
		// A request that waits for a load may be given a row that is newer than the one held,
		// until the feed brings the change; so each read beside a write is judged by itself.
		n := len(ops)
		var apart []porcupine.Operation
		for _, a := range reads {
			read := porcupine.Operation{Input: simOp{value: a.value}, Call: int64(a.from), Return: int64(a.to), ClientId: len(ops)}
			if slices.ContainsFunc(ops[1:n], func(x porcupine.Operation) bool { return read.Return >= x.Call && read.Call <= x.Return }) {
				apart = append(apart, read)
			} else {
				ops = append(ops, read)
			}
		}
		bad := !simLinear(ops)
		for _, read := range apart {
			if bad {
				break
			}
			ops = append(ops[:n:n], read)
			bad = !simLinear(ops)
		}
		if bad {
			about := k.ref
			if n, err := strconv.Atoi(k.ref); err == nil {
				about = w.sessions[n].uid
			}
			return &simWrong{"not linearizable", fmt.Sprintf("r%d does not obey its own writes of %s:%s:%s", k.replica, k.kind, k.ref, simOps(ops)), about}
		}
	}
	return nil
}

// writes are those of a register as a replica may see them, and whether some are its own.
func (w *simWorld) writes(kind, ref string, replica int) (ops []porcupine.Operation, own bool) {
	bound := simCacheStale + time.Second
	if kind == "path" || kind == "bar" || kind == "cut" {
		bound = simPolicyStale + time.Second
	}
	add := func(value string, from, to time.Duration) {
		ops = append(ops, porcupine.Operation{
			Input: simOp{write: true, value: value}, Call: int64(from), Return: int64(to), ClientId: len(ops),
		})
	}
	add(w.register(w.start, kind, ref), -2, -1)
	for _, c := range w.commits {
		if !c.verb.changes(kind) {
			continue
		}
		v := w.register(c.after, kind, ref)
		if v == w.register(c.before, kind, ref) {
			continue
		}
		to := c.at + bound
		if c.replica == replica && c.obeyed > 0 {
			to, own = c.obeyed, true
		}
		add(v, c.at, to)
	}
	if own {
		for _, t := range w.takeovers {
			add(w.register(t.state, kind, ref), t.died, t.at+bound)
		}
	}
	return ops, own
}

// simPlain reports whether it is plain without a search that the reads follow the writes: those do
// not overlap, and each read shows the write before it or one that it overlaps.
func simPlain(ops []porcupine.Operation, reads []simSeen) bool {
	ops = slices.SortedFunc(slices.Values(ops), func(a, b porcupine.Operation) int { return cmp.Compare(a.Call, b.Call) })
	for i := 1; i < len(ops); i++ {
		if ops[i].Call <= ops[i-1].Return {
			return false
		}
	}
	for _, a := range reads {
		ok := false
		for i := len(ops) - 1; i >= 0; i-- {
			if ops[i].Call > int64(a.to) {
				continue
			}
			if ok = ops[i].Input.(simOp).value == a.value; ok || ops[i].Return < int64(a.from) {
				break
			}
		}
		if !ok {
			return false
		}
	}
	return true
}

// simOps spells operations in the order in which they began.
func simOps(ops []porcupine.Operation) string {
	ops = slices.SortedStableFunc(slices.Values(ops), func(a, b porcupine.Operation) int { return cmp.Compare(a.Call, b.Call) })
	var text strings.Builder
	for _, o := range ops {
		op := o.Input.(simOp)
		verb := "read"
		switch {
		case op.write:
			verb = "write"
		case op.use:
			verb = "use"
		}
		fmt.Fprintf(&text, " %s %q [%v %v];", verb, op.value, time.Duration(o.Call), time.Duration(o.Return))
	}
	return text.String()
}
