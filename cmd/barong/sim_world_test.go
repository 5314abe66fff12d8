package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sort"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"barong/internal/account"
	"barong/internal/apikey"
	"barong/internal/feed"
	"barong/internal/limit"
	"barong/internal/session"
	"barong/internal/token"
	"barong/policy"
)

// simLongEach is in how many histories one is long.
const simLongEach = 20

// The bounds on how stale decisions may be in a simulated history, and how long nothing happens at
// its end before all is looked at.
const (
	simCacheStale  = 1500 * time.Millisecond
	simPolicyStale = 3 * time.Second
	simKeyStale    = simCacheStale + 2500*time.Millisecond // heard of, and read in the end
	simSettle      = 4 * time.Second
	simKept        = time.Second // how long feed rows are kept where they are pruned
	simHang        = 600 * time.Millisecond
	simFinds       = 2 * time.Second        // the longest that a replica may not find a new primary
	simGrace       = 800 * time.Millisecond // for the old id of a renewed session
	simReuse       = time.Minute            // of a token
	simTokenLife   = 300 * time.Second
	// simClockError is by how much the times of two replicas may differ: each learns that of the
	// database by an exchange of which either way may take half a second.
	simClockError = 520 * time.Millisecond
	simSlowClock  = 1500 * time.Millisecond // how long the answer about the time takes where it is slow
)

var (
	errSimDown    = errors.New("simulated: connection refused")
	errSimUnknown = errors.New("simulated: connection lost; nobody knows whether it was committed")
)

// simServer is one database server.
type simServer struct {
	state *simState
	log   []*simCommit
	id    int64 // of this start of it
	alive bool
	hung  bool // connections stay open and nothing comes back
}

// simEra is a state and how long it was the truth. That of a server that dies is until
// another takes over.
type simEra struct {
	from, to time.Duration
	state    *simState
}

// simTakeover is a server that took over with less than the one before had.
type simTakeover struct {
	died, at time.Duration
	state    *simState
}

// simWorld is one history: servers, replicas, and the record of their commits and answers.
type simWorld struct {
	seed  uint64
	fault simFault
	born  time.Time

	// What is special about this history.
	short     bool               // it has a few scenes and little else
	scenes    []int              // of simScenes
	began     time.Duration      // when it begins that something happens
	active    time.Duration      // how long that goes on
	events    bool               // changes leave events, which are sent
	rotates   bool               // signing keys are replaced
	fixed     *token.Keys        // those of all histories in which none is replaced
	pool      []token.SigningKey // to be imported one after the other
	start     *simState
	life      time.Duration // of an unused session; 0 is longer than the history
	absolute  time.Duration // of any session
	enforce   bool          // no nonce of an API key counts twice
	limited   bool          // sign-ins are
	nonceLife time.Duration // how old a signed request may be
	size      int           // how many replicas there are

	work    chan func() // for idle workers
	workers sync.WaitGroup

	mu         sync.Mutex
	primary    *simServer // that takes writes; nil while there is none
	former     *simServer // that did before
	died       time.Duration
	starts     int64
	commits    []*simCommit
	eras       []simEra
	takeovers  []simTakeover
	redis      *simRedis // nil where sessions are in the database
	replicas   []*simReplica
	sessions   []*simSession
	answers    []*simAnswer
	attempts   []simAttempt
	restores   []simRestore
	sent       []simSent
	brokerDown time.Duration    // the destination of events is down before
	ended      time.Duration    // when the last answers were asked for
	nonce      map[string]int64 // the last of each key

	renewed map[session.ID]bool // set by the judge: those that got another id

	over  atomic.Bool // nothing is slow any more
	trace []simEvent
}

// simEvent is one line of the trace, of an answer or with text; about is "" for a line of interest
// to all.
type simEvent struct {
	at     time.Duration
	about  string
	answer *simAnswer
	text   string
	args   []any
}

func (w *simWorld) now() time.Duration { return time.Since(w.born) }

// do runs f beside the caller. Workers are kept: a new goroutine would have to grow its stack each
// time.
func (w *simWorld) do(f func()) {
	select {
	case w.work <- f:
	default:
		w.workers.Go(func() {
			for f != nil {
				f()
				f = <-w.work
			}
		})
	}
}

// record is all that happened, in text, in an order that goroutines of one moment cannot change.
func (w *simWorld) record() string {
	lines := make([]string, len(w.trace))
	for i, e := range w.trace {
		lines[i] = fmt.Sprintf("%16d %s\n", e.at, w.line(e))
	}
	slices.Sort(lines)
	return strings.Join(lines, "")
}

// note writes a line of the trace. w.mu is held.
func (w *simWorld) note(about, text string, args ...any) {
	w.trace = append(w.trace, simEvent{at: w.now(), about: about, text: text, args: args})
}

// draw is a number that follows from the seed, the moment and its purpose, so that it does not
// matter which goroutine asks first.
func (w *simWorld) draw(replica int, what string) uint64 {
	const prime = 1099511628211 // FNV-1a, over words first
	n := uint64(14695981039346656037)
	for _, part := range [...]uint64{w.seed, uint64(w.now()), uint64(replica)} {
		n = (n ^ part) * prime
		n ^= n >> 29
	}
	for i := range len(what) {
		n = (n ^ uint64(what[i])) * prime
	}
	n ^= n >> 33 // mixed, as the low bits of FNV follow each other
	n *= 0xff51afd7ed558ccd
	n ^= n >> 33
	n *= 0xc4ceb9fe1a85ec53
	return n ^ n>>33
}

// delay is how long one way of something takes: mostly a millisecond, now and then half a second.
func (w *simWorld) delay(replica int, what string) time.Duration {
	n := w.draw(replica, what)
	if w.over.Load() {
		n |= 31
	}
	part := time.Duration(n>>16) % 1_000_003
	switch n % 32 {
	case 0:
		return 100*time.Millisecond + part*400
	case 1, 2, 3, 4:
		return 5*time.Millisecond + part*80
	}
	return 200*time.Microsecond + part*2
}

// simSleep waits for d, or until the deadline of ctx. A call that was cancelled ends after d: the
// process that made it is dead then, or does not look.
func simSleep(ctx context.Context, d time.Duration) error {
	if deadline, ok := ctx.Deadline(); ok {
		d = min(d, time.Until(deadline))
	}
	time.Sleep(d)
	return ctx.Err()
}

// simLink is how one replica reaches the database. It implements all that a replica asks of
// one.
type simLink struct {
	policy.Store // only Rows is asked for
	w            *simWorld
	replica      int
	hint         chan struct{}
	emitted      chan struct{}
	like         *simLink // another connection of the same process, which is cut off when this is; nil for none

	// Guarded by w.mu.
	conn      *simServer
	finds     time.Duration // it finds no new primary before
	cutUntil  time.Duration // nothing goes through before
	deafUntil time.Duration // no notice arrives before
	noRows    time.Duration // the policy cannot be read before
	noKeys    time.Duration // the signing keys cannot be read before
	slowClock time.Duration // the database's time comes late before
}

// reach waits for the way there and returns the server that it leads to.
func (l *simLink) reach(ctx context.Context, what string) (*simServer, error) {
	if err := simSleep(ctx, l.w.delay(l.replica, what+">")); err != nil {
		return nil, err
	}
	l.w.mu.Lock()
	now, way := l.w.now(), l
	if l.like != nil {
		way = l.like
	}
	var hang time.Duration
	srv, err := l.conn, error(nil)
	switch {
	case now < l.noRows && what == "rows", now < l.noKeys && what == "signing":
		err = errSimDown
	case now < way.cutUntil:
		err = errSimDown
		if l.w.draw(l.replica, what+"cut")%2 == 0 {
			hang = simHang
		}
	case srv != nil && srv.hung:
		l.conn, err, hang = nil, errSimDown, simHang
	case srv == nil || !srv.alive:
		srv = nil
		if l.w.primary != nil && now >= way.finds {
			srv = l.w.primary
		}
		if srv == nil {
			err = errSimDown
		}
		l.conn = srv
		if clock := l.w.replicas[l.replica].clock.Load(); clock != nil && l.like == nil {
			clock.Again()
		}
	}
	l.w.mu.Unlock()
	if hang > 0 {
		if err := simSleep(ctx, hang); err != nil {
			return nil, err
		}
	}
	return srv, err
}

// simRead reads from one state, at one moment between two delays.
func simRead[T any](ctx context.Context, l *simLink, what string, read func(*simState) (T, error)) (T, error) {
	return simReadOf(ctx, l, what, func(s *simState, _ int64) (T, error) { return read(s) })
}

// simReadOf is simRead that also says which start of a server it asks.
func simReadOf[T any](
	ctx context.Context, l *simLink, what string, read func(s *simState, server int64) (T, error),
) (T, error) {
	var zero T
	srv, err := l.reach(ctx, what)
	if err != nil {
		return zero, err
	}
	l.w.mu.Lock()
	state := srv.state
	switch l.w.fault {
	case faultReadsStandby:
		if what == "principal" {
			state = l.w.ago(150 * time.Millisecond)
		}
	case faultReadsFormer:
		if former := l.w.former; former != nil && (what == "principal" || what == "key") {
			state = former.state
		}
	case faultOldRestrictions:
		if what == "rows" {
			old := *state
			old.barred = l.w.start.barred
			state = &old
		}
	}
	late := time.Duration(0)
	if what == "clock" && l.w.now() < l.slowClock {
		late = simSlowClock
	}
	l.w.mu.Unlock()
	value, err := read(state, srv.id)
	if wait := simSleep(ctx, late+l.w.delay(l.replica, what+"<")); wait != nil {
		return zero, wait
	}
	return value, err
}

// ago is the truth of some time ago. w.mu is held.
func (w *simWorld) ago(d time.Duration) *simState {
	at := w.now() - d
	for i := len(w.eras) - 1; i > 0; i-- {
		if w.eras[i].from <= at {
			return w.eras[i].state
		}
	}
	return w.eras[0].state
}

// commit makes a transaction. When it fails the change may have been made all the same.
func (l *simLink) commit(ctx context.Context, c *simCommit) error {
	return l.commitIf(ctx, c, func(*simState) (bool, error) { return true, nil })
}

// commitIf is commit, unless look at the last state says that nothing is to be done.
func (l *simLink) commitIf(ctx context.Context, c *simCommit, look func(*simState) (bool, error)) error {
	w := l.w
	srv, err := l.reach(ctx, "commit"+c.ref+c.value)
	if err != nil {
		return err
	}
	c.replica = l.replica
	w.mu.Lock()
	if !srv.alive || srv.hung || srv != w.primary {
		w.mu.Unlock()
		return errSimDown
	}
	wanted, err := look(srv.last())
	if wanted && err == nil {
		w.put(srv, c)
	}
	w.mu.Unlock()
	if err != nil {
		return err
	}
	written := wanted && c.place != c.before.at
	if written {
		for _, r := range w.replicas {
			if r.id != l.replica {
				time.AfterFunc(w.delay(r.id, "notice"+c.ref), r.link.notice)
			}
		}
	}
	if err := simSleep(ctx, w.delay(l.replica, "ack"+c.ref+c.value)); err != nil {
		return err
	}
	w.mu.Lock()
	lost := !srv.alive || srv.hung
	w.mu.Unlock()
	if lost {
		return errSimUnknown
	}
	if c.emits {
		if w.fault == faultEmitsAfter {
			if err := l.commit(ctx, &simCommit{verb: emitEvent, event: c}); err != nil {
				return err
			}
		}
		poke(l.emitted)
	}
	if written {
		if w.fault != faultNoMark {
			feed.Committed(ctx, c.place)
		}
		poke(l.hint)
	}
	return nil
}

// put applies a commit to the primary. w.mu is held.
func (w *simWorld) put(srv *simServer, c *simCommit) {
	c.id, c.at, c.emits = len(w.commits)+1, w.now(), w.emits(c.verb)
	c.before = srv.last()
	c.after = c.before.apply(c, w.fault)
	show := c.after
	switch {
	case w.fault == faultPublishFirst && c.after.at != c.before.at:
		// The rows of the feed are there before the rest is.
		early := *c.before
		early.at, early.rows = c.after.at, c.after.rows
		show = &early
		later := time.Duration(w.draw(0, "later") % uint64(80*time.Millisecond))
		time.AfterFunc(later, func() {
			w.mu.Lock()
			defer w.mu.Unlock()
			if srv.state == show {
				srv.state = c.after
			}
		})
	case w.fault == faultOutOfOrder && c.after.at != c.before.at && w.draw(0, "order")%3 == 0:
		// The number was taken early: rows of higher numbers are seen before its own.
		for i := range show.rows {
			if show.rows[i].Seq == c.place.Seq {
				show.rows[i].hidden = c.at + 120*time.Millisecond
			}
		}
	}
	srv.state = show
	srv.log = append(srv.log, c)
	w.commits = append(w.commits, c)
	if c.verb.quiet() {
		w.eras[len(w.eras)-1].state = c.after
		return
	}
	w.era(c.after)
	w.note(c.ref, "r%d commits %v %s %s as %d", c.replica, c.verb, c.ref, c.value, c.place.Seq)
}

// era begins another truth. w.mu is held.
func (w *simWorld) era(s *simState) {
	now := w.now()
	if n := len(w.eras); n > 0 {
		w.eras[n-1].to = now
	}
	w.eras = append(w.eras, simEra{from: now, to: 1 << 62, state: s})
}

// eraAt is the index of the first era that had not ended before a moment.
func (w *simWorld) eraAt(t time.Duration) int {
	return sort.Search(len(w.eras)-1, func(i int) bool { return w.eras[i].to >= t })
}

// notice is a notification of the database.
func (l *simLink) notice() {
	l.w.mu.Lock()
	now := l.w.now()
	heard := now >= l.deafUntil && now >= l.cutUntil
	l.w.mu.Unlock()
	if heard {
		poke(l.hint)
	}
}

// die takes the primary away; hung, its connections stay open.
func (w *simWorld) die(hung bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	srv := w.primary
	if srv == nil {
		return
	}
	w.note("", "the primary dies at %d, hung %v", srv.state.at.Seq, hung)
	srv.hung, srv.alive = hung, hung
	w.former, w.primary, w.died = srv, nil, w.now()
}

// started is another start of a server. w.mu is held.
func (w *simWorld) started() int64 {
	w.starts++
	return w.starts
}

// rise starts the dead primary again, with all that it had.
func (w *simWorld) rise() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.primary != nil {
		return
	}
	old := w.former
	w.primary = &simServer{id: w.started(), state: old.last(), log: old.log, alive: true}
	old.alive, old.hung = false, false
	w.note("", "the primary is back at %d", w.primary.state.at.Seq)
}

// last is the state after the last commit.
func (s *simServer) last() *simState {
	if len(s.log) == 0 {
		return s.state
	}
	return s.log[len(s.log)-1].after
}

// promote makes a standby the primary that was behind by lag when the primary died.
func (w *simWorld) promote(lag time.Duration, finds []time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.primary != nil {
		return
	}
	old, now := w.former, w.now()
	kept := len(old.log)
	for kept > 0 && old.log[kept-1].at > w.died-lag {
		kept--
	}
	state := w.start
	if kept > 0 {
		state = old.log[kept-1].after
	}
	lost := old.log[kept:]
	for _, c := range lost {
		c.lost = true
	}
	w.primary = &simServer{id: w.started(), state: state, log: slices.Clone(old.log[:kept]), alive: true}
	for i, r := range w.replicas {
		r.link.finds = now + finds[i]
	}
	w.era(state)
	w.takeovers = append(w.takeovers, simTakeover{w.died, now, state})
	w.note("", "a standby takes over at %d, %d commits are lost; replicas find it after %v", state.at.Seq, len(lost), finds)
}

// Head implements feed.Source.
func (l *simLink) Head(ctx context.Context) (feed.Cursor, error) {
	return simReadOf(ctx, l, "head", func(s *simState, server int64) (feed.Cursor, error) {
		head := s.at
		head.Server = server
		return head, nil
	})
}

// Includes implements truth.
func (l *simLink) Includes(ctx context.Context, c feed.Cursor) error {
	c.Server = 0
	_, err := simRead(ctx, l, "includes", func(s *simState) (any, error) { return nil, s.follows(c, 0, l.w.fault) })
	return err
}

// follows returns the reason for a gap after a cursor, as store.DB does.
func (s *simState) follows(after feed.Cursor, server int64, f simFault) error {
	there := feed.Cursor{Seq: after.Seq}
	switch after.Seq {
	case s.at.Seq:
		there.Name = s.at.Name
	case s.pruned.Seq:
		there.Name = s.pruned.Name
	default:
		if after.Seq < s.pruned.Seq {
			if f == faultPruned {
				return nil
			}
			return feed.ErrPruned
		}
		i := slices.IndexFunc(s.rows, func(r simRow) bool { return r.Seq == after.Seq })
		if i < 0 {
			return feed.ErrHistory
		}
		there.Name = s.rows[i].name
	}
	switch {
	case !there.Same(after) && f != faultNumbers && !(f == faultNamesAtHead && after.Seq < s.at.Seq):
		return feed.ErrHistory
	case after.Server != 0 && after.Server != server && f != faultAnyServer && f != faultNumbers && f != faultNamesAtHead:
		return feed.ErrServer
	}
	return nil
}

// Changes implements feed.Source, as store.DB does.
func (l *simLink) Changes(ctx context.Context, after feed.Cursor, limit int) ([]feed.Change, feed.Cursor, error) {
	type page struct {
		changes []feed.Change
		upTo    feed.Cursor
	}
	f := l.w.fault
	p, err := simReadOf(ctx, l, "changes", func(s *simState, server int64) (p page, err error) {
		if err := s.follows(after, server, f); err != nil {
			return p, err
		}
		now := l.w.now()
		p.upTo = s.at
		last := feed.Cursor{}
		for _, row := range s.rows {
			if row.Seq <= after.Seq || row.hidden > now {
				continue
			}
			if len(p.changes) >= limit && (row.Seq != last.Seq || f == faultSplitsNumber) {
				if f != faultPageToHead {
					p.upTo = last
				}
				break
			}
			p.changes = append(p.changes, row.Change)
			last = feed.Cursor{Seq: row.Seq, Name: row.name}
		}
		p.upTo.Server = server
		if f == faultSkipsRow && len(p.changes) > 1 {
			p.changes = p.changes[:len(p.changes)-1]
		}
		return p, nil
	})
	return p.changes, p.upTo, err
}

// DeleteChanges implements feed.Source; the world prunes.
func (l *simLink) DeleteChanges(context.Context, time.Time) (int, error) { return 0, nil }

// Hint implements feed.Source.
func (l *simLink) Hint() <-chan struct{} { return l.hint }

// Principal implements directory.Source.
func (l *simLink) Principal(ctx context.Context, uid string) (account.Principal, error) {
	return simRead(ctx, l, "principal", func(s *simState) (account.Principal, error) {
		u, ok := s.users[uid]
		if !ok {
			return u.Principal, account.ErrNotFound
		}
		return u.Principal, nil
	})
}

// KeyRecord implements apikey.Source.
func (l *simLink) KeyRecord(ctx context.Context, kid string) (apikey.Record, error) {
	return simRead(ctx, l, "key", func(s *simState) (apikey.Record, error) {
		k, ok := s.keys[kid]
		if !ok {
			return k, account.ErrNotFound
		}
		return k, nil
	})
}

// Rows implements policy.Store.
func (l *simLink) Rows(ctx context.Context) (policy.Rows, error) {
	return simRead(ctx, l, "rows", func(s *simState) (policy.Rows, error) { return s.policyRows(), nil })
}

// EndSession implements session.Ledger.
func (l *simLink) EndSession(ctx context.Context, _ time.Duration, ids ...session.ID) error {
	if redis := l.w.redis; redis != nil {
		l.w.mu.Lock()
		down := redis.down
		l.w.mu.Unlock()
		if l.w.fault == faultEndsInRedis || l.w.fault == faultEndLostWithRedis && down {
			return l.commit(ctx, &simCommit{verb: endSession, ids: ids, value: simNowhere})
		}
	}
	return l.commit(ctx, &simCommit{verb: endSession, ids: ids})
}

// EndedSessions implements session.Ledger.
func (l *simLink) EndedSessions(ctx context.Context) ([]session.ID, error) {
	if l.w.fault == faultForgetsEnded {
		return nil, nil
	}
	return simRead(ctx, l, "ended", func(s *simState) ([]session.ID, error) {
		return slices.Collect(maps.Keys(s.ended)), nil
	})
}

// Ended implements session.Ledger.
func (l *simLink) Ended(ctx context.Context, id session.ID) (bool, error) {
	return simRead(ctx, l, "ended one", func(s *simState) (bool, error) { return s.ended[id], nil })
}

// Epoch implements session.Ledger.
func (l *simLink) Epoch(ctx context.Context) (int64, error) {
	return simRead(ctx, l, "epoch", func(s *simState) (int64, error) { return s.epoch, nil })
}

// EndAll implements session.Ledger.
func (l *simLink) EndAll(ctx context.Context) (int64, error) {
	c := &simCommit{verb: endEverybody}
	if err := l.commit(ctx, c); err != nil {
		return 0, err
	}
	return c.after.epoch, nil
}

// SigningKeys implements token.KeyStore.
func (l *simLink) SigningKeys(ctx context.Context) ([]token.SigningKey, error) {
	return simRead(ctx, l, "signing", func(s *simState) ([]token.SigningKey, error) { return s.signing, nil })
}

// UpdateSigningKeys implements token.KeyStore.
func (l *simLink) UpdateSigningKeys(ctx context.Context, f func([]token.SigningKey) ([]token.SigningKey, error)) error {
	c := &simCommit{verb: setSigning}
	return l.commitIf(ctx, c, func(s *simState) (ok bool, err error) {
		c.signing, err = f(slices.Clone(s.signing))
		return err == nil, err
	})
}

// UseNonce implements authz.Nonces.
func (l *simLink) UseNonce(ctx context.Context, kid, nonce string, _ time.Time) (fresh bool, err error) {
	if l.w.fault == faultLooksAtNonce { // and writes it later
		used, err := simRead(ctx, l, "nonce", func(s *simState) (bool, error) { return s.nonces.has(kid, nonce), nil })
		if err != nil || used {
			return false, err
		}
	}
	c := &simCommit{verb: useNonce, ref: kid, value: nonce}
	err = l.commitIf(ctx, c, func(s *simState) (bool, error) {
		fresh = !s.nonces.has(kid, nonce) || l.w.fault == faultLooksAtNonce
		return fresh, nil
	})
	return fresh, err
}

// Take implements limit.Store.
func (l *simLink) Take(ctx context.Context, key string, r limit.Rule, now time.Time) (time.Duration, error) {
	c := &simCommit{verb: takeLimit, ref: key, rule: r, moment: now}
	step, room := r.Micros()
	look := func(s *simState) (wait int64) {
		_, wait = limit.Spend(s.limits[key], now.UnixMicro(), 1, step, room)
		return wait
	}
	var stale *simState
	if l.w.fault == faultLooksAtLimit { // and writes it later
		var err error
		if stale, err = simRead(ctx, l, "limit", func(s *simState) (*simState, error) { return s, nil }); err != nil {
			return 0, err
		}
	}
	err := l.commitIf(ctx, c, func(s *simState) (bool, error) {
		if stale != nil {
			s = stale
		}
		c.wait = time.Duration(look(s)) * time.Microsecond
		return c.wait == 0, nil
	})
	if stale != nil && look(stale) == 0 {
		c.wait = 0
	}
	return c.wait, err
}

// Return implements limit.Store.
func (l *simLink) Return(context.Context, string, limit.Rule, time.Time) error { return nil }

// Clear implements limit.Store.
func (l *simLink) Clear(context.Context, string) error { return nil }

// simTable keeps sessions in the database.
type simTable struct{ *simLink }

func (t simTable) Session(ctx context.Context, id session.ID, _ time.Time) (session.Session, error) {
	return simRead(ctx, t.simLink, "session", func(s *simState) (session.Session, error) {
		row, ok := s.sessions[id]
		if !ok {
			return row, session.ErrNotFound
		}
		return row, nil
	})
}

func (t simTable) SessionsOf(ctx context.Context, uid string, _ time.Time) ([]session.Session, error) {
	return simRead(ctx, t.simLink, "sessions", func(s *simState) ([]session.Session, error) {
		return simOf(s.sessions, uid), nil
	})
}

func simOf(all map[session.ID]session.Session, uid string) (of []session.Session) {
	for _, s := range all {
		if s.UID == uid {
			of = append(of, s)
		}
	}
	return of
}

func (t simTable) AddSession(ctx context.Context, s session.Session) error {
	return t.commit(ctx, &simCommit{verb: addSession, ref: s.UID, value: s.IP.String(), session: s})
}

func (t simTable) SlideSessions(ctx context.Context, to map[session.ID]time.Time) error {
	return t.commit(ctx, &simCommit{verb: slideSession, slides: maps.Clone(to)})
}

func (t simTable) DeleteSession(ctx context.Context, id session.ID) error {
	return t.commit(ctx, &simCommit{verb: dropSession, ids: []session.ID{id}})
}

// simRedis keeps sessions beside the database. It may be restored from dumps.
type simRedis struct {
	w     *simWorld
	down  bool
	dump  // what it holds now
	dumps []dump
}

// dump is all that Redis holds; it never changes.
type dump struct {
	all    map[session.ID]session.Session
	nonces *simNonce
	limits map[string]int64
}

// simRestore is a return of Redis to what it held before.
type simRestore struct {
	at   time.Duration
	dump dump
}

// UseNonce implements authz.Nonces.
func (r simCache) UseNonce(ctx context.Context, kid, nonce string, _ time.Time) (fresh bool, err error) {
	err = r.do(ctx, "nonce"+kid+nonce, func() error {
		if fresh = !r.nonces.has(kid, nonce); fresh {
			r.nonces = &simNonce{kid, nonce, r.nonces}
		}
		return nil
	})
	return fresh, err
}

// Take implements limit.Store.
func (r simCache) Take(ctx context.Context, key string, rule limit.Rule, now time.Time) (wait time.Duration, err error) {
	step, room := rule.Micros()
	err = r.do(ctx, "limit"+key, func() error {
		full, micros := limit.Spend(r.limits[key], now.UnixMicro(), 1, step, room)
		if wait = time.Duration(micros) * time.Microsecond; wait == 0 {
			r.limits = with(r.limits, key, full)
		}
		return nil
	})
	return wait, err
}

// Return implements limit.Store.
func (r simCache) Return(context.Context, string, limit.Rule, time.Time) error { return nil }

// Clear implements limit.Store.
func (r simCache) Clear(context.Context, string) error { return nil }

// simCache is one replica's connection to it.
type simCache struct {
	*simRedis
	replica int
}

func (r simCache) do(ctx context.Context, what string, f func() error) error {
	if err := simSleep(ctx, r.w.delay(r.replica, what)/2); err != nil {
		return err
	}
	r.w.mu.Lock()
	if r.down {
		r.w.mu.Unlock()
		return errSimDown
	}
	err := f()
	r.w.mu.Unlock()
	if wait := simSleep(ctx, r.w.delay(r.replica, what+"<")/2); wait != nil {
		return wait
	}
	return err
}

func (r simCache) Session(ctx context.Context, id session.ID, _ time.Time) (s session.Session, err error) {
	err = r.do(ctx, "session", func() error {
		var ok bool
		if s, ok = r.all[id]; !ok {
			return session.ErrNotFound
		}
		return nil
	})
	return s, err
}

func (r simCache) SessionsOf(ctx context.Context, uid string, _ time.Time) (all []session.Session, err error) {
	err = r.do(ctx, "sessions", func() error { all = simOf(r.all, uid); return nil })
	return all, err
}

func (r simCache) AddSession(ctx context.Context, s session.Session) error {
	return r.do(ctx, "add"+s.UID+s.IP.String(), func() error {
		r.all = with(r.all, s.ID, s)
		return nil
	})
}

func (r simCache) SlideSessions(ctx context.Context, to map[session.ID]time.Time) error {
	return r.do(ctx, "slide", func() error {
		r.all = slid(r.all, to)
		return nil
	})
}

func (r simCache) DeleteSession(ctx context.Context, id session.ID) error {
	return r.do(ctx, "delete", func() error {
		r.all = maps.Clone(r.all)
		delete(r.all, id)
		return nil
	})
}
