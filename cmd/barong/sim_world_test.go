package main

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"barong/internal/account"
	"barong/internal/apikey"
	"barong/internal/feed"
	"barong/internal/session"
	"barong/policy"
)

// The bounds on how stale decisions may be in a simulated history, its length, and how long
// nothing happens at its end before all is looked at.
const (
	simCacheStale  = 1500 * time.Millisecond
	simPolicyStale = 3 * time.Second
	simActive      = 8 * time.Second
	simSettle      = 4500 * time.Millisecond
	simKept        = time.Second // how long feed rows are kept where they are pruned
	simHang        = 600 * time.Millisecond
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

	mu        sync.Mutex
	primary   *simServer // that takes writes; nil while there is none
	former    *simServer // that did before
	died      time.Duration
	starts    int64
	commits   []*simCommit
	eras      []simEra
	takeovers []simTakeover
	redis     *simRedis // nil where sessions are in the database
	replicas  []*simReplica
	sessions  []*simSession
	answers   []*simAnswer

	over  atomic.Bool // nothing is slow any more
	trace []simEvent
}

// simEvent is one line of the trace; about is "" for a line of interest to all.
type simEvent struct {
	at    time.Duration
	about string
	text  string
	args  []any
}

func (w *simWorld) now() time.Duration { return time.Since(w.born) }

// note writes a line of the trace. w.mu is held.
func (w *simWorld) note(about, text string, args ...any) {
	w.trace = append(w.trace, simEvent{w.now(), about, text, args})
}

// draw is a number that follows from the seed, the moment and its purpose, so that it does not
// matter which goroutine asks first.
func (w *simWorld) draw(replica int, what string) uint64 {
	h := fnv.New64a()
	var b [24]byte
	for i, n := range []uint64{w.seed, uint64(w.now()), uint64(replica)} {
		for j := range 8 {
			b[8*i+j] = byte(n >> (8 * j))
		}
	}
	h.Write(b[:])
	h.Write([]byte(what))
	n := h.Sum64() // mixed, as the low bits of FNV follow each other
	n ^= n >> 33
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

func simSleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// simLink is how one replica reaches the database. It implements all that a replica asks of
// one.
type simLink struct {
	policy.Store // only Rows is asked for
	w            *simWorld
	replica      int
	hint         chan struct{}

	// Guarded by w.mu.
	conn      *simServer
	finds     time.Duration // it finds no new primary before
	cutUntil  time.Duration // nothing goes through before
	deafUntil time.Duration // no notice arrives before
	noRows    time.Duration // the policy cannot be read before
}

// reach waits for the way there and returns the server that it leads to.
func (l *simLink) reach(ctx context.Context, what string) (*simServer, error) {
	if err := simSleep(ctx, l.w.delay(l.replica, what+">")); err != nil {
		return nil, err
	}
	l.w.mu.Lock()
	now := l.w.now()
	var hang time.Duration
	srv, err := l.conn, error(nil)
	switch {
	case now < l.noRows && what == "rows":
		err = errSimDown
	case now < l.cutUntil:
		err = errSimDown
		if l.w.draw(l.replica, what+"cut")%2 == 0 {
			hang = simHang
		}
	case srv != nil && srv.hung:
		l.conn, err, hang = nil, errSimDown, simHang
	case srv == nil || !srv.alive:
		srv = nil
		if l.w.primary != nil && now >= l.finds {
			srv = l.w.primary
		}
		if srv == nil {
			err = errSimDown
		}
		l.conn = srv
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
	}
	l.w.mu.Unlock()
	value, err := read(state, srv.id)
	if wait := simSleep(ctx, l.w.delay(l.replica, what+"<")); wait != nil {
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
	w := l.w
	srv, err := l.reach(ctx, "commit"+c.ref)
	if err != nil {
		return err
	}
	c.replica = l.replica
	w.mu.Lock()
	if !srv.alive || srv.hung || srv != w.primary {
		w.mu.Unlock()
		return errSimDown
	}
	w.put(srv, c)
	w.mu.Unlock()
	if c.place == c.before.at {
		return simSleep(ctx, w.delay(l.replica, "ack"))
	}
	for _, r := range w.replicas {
		if r.id != l.replica {
			time.AfterFunc(w.delay(r.id, fmt.Sprint("notice", c.id)), r.link.notice)
		}
	}
	if err := simSleep(ctx, w.delay(l.replica, fmt.Sprint("ack", c.id))); err != nil {
		return err
	}
	w.mu.Lock()
	lost := !srv.alive || srv.hung
	w.mu.Unlock()
	if lost {
		return errSimUnknown
	}
	if w.fault != faultNoMark {
		feed.Committed(ctx, c.place)
	}
	poke(l.hint)
	return nil
}

// put applies a commit to the primary. w.mu is held.
func (w *simWorld) put(srv *simServer, c *simCommit) {
	c.id, c.at = len(w.commits)+1, w.now()
	c.before = srv.last()
	c.after = c.before.apply(c, w.fault)
	show := c.after
	switch {
	case w.fault == faultPublishFirst && c.after.at != c.before.at:
		// The rows of the feed are there before the rest is.
		show = c.before.clone()
		show.at, show.rows = c.after.at, c.after.rows
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
	w.era(c.after)
	if c.verb != pruneRows && c.verb != addSession {
		w.note(c.ref, "r%d commits %v %s %s as %d", c.replica, c.verb, c.ref, c.value, c.place.Seq)
	}
}

// era begins another truth. w.mu is held.
func (w *simWorld) era(s *simState) {
	now := w.now()
	if n := len(w.eras); n > 0 {
		w.eras[n-1].to = now
	}
	w.eras = append(w.eras, simEra{from: now, to: 1 << 62, state: s})
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
	state := simStart()
	if kept > 0 {
		state = old.log[kept-1].after
	} else if len(w.eras) > 0 {
		state = w.eras[0].state
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
	return t.commit(ctx, &simCommit{verb: addSession, ref: s.UID, session: s})
}

func (t simTable) SlideSessions(context.Context, map[session.ID]time.Time) error { return nil }

func (t simTable) RestampSession(context.Context, session.ID, int64) error {
	return session.ErrNotFound // nobody calls it
}

func (t simTable) DeleteSession(ctx context.Context, id session.ID) error {
	return t.commit(ctx, &simCommit{verb: dropSession, ids: []session.ID{id}})
}

// simRedis keeps sessions beside the database. It may be restored from dumps.
type simRedis struct {
	w     *simWorld
	down  bool
	all   map[session.ID]session.Session // replaced, never changed
	dumps []map[session.ID]session.Session
}

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
	return r.do(ctx, "add", func() error {
		r.all = maps.Clone(r.all)
		r.all[s.ID] = s
		return nil
	})
}

func (r simCache) SlideSessions(context.Context, map[session.ID]time.Time) error { return nil }

func (r simCache) RestampSession(context.Context, session.ID, int64) error {
	return session.ErrNotFound // nobody calls it
}

func (r simCache) DeleteSession(ctx context.Context, id session.ID) error {
	return r.do(ctx, "delete", func() error {
		r.all = maps.Clone(r.all)
		delete(r.all, id)
		return nil
	})
}
