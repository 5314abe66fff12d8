package main

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"barong/authz"
	"barong/internal/account"
	"barong/internal/apikey"
	"barong/internal/audit"
	"barong/internal/directory"
	"barong/internal/feed"
	"barong/internal/session"
	"barong/internal/token"
	"barong/policy"
)

// simReplica is one process of the service: the parts that the feed keeps true and those that
// decide by them, wired as newService does.
type simReplica struct {
	w    *simWorld
	id   int
	keys *token.Keys
	link *simLink

	// Guarded by w.mu.
	sv      *service // nil while it is down
	decider http.Handler
	stop    context.CancelFunc
}

// run starts the process, again until all its reads of the database succeed.
func (r *simReplica) run() {
	for {
		ctx, stop := context.WithCancel(context.Background())
		starting, give := context.WithTimeout(ctx, 2*time.Second)
		sv, decider, err := r.start(ctx, starting)
		give()
		if err == nil {
			r.w.mu.Lock()
			r.sv, r.decider, r.stop = sv, decider, stop
			r.w.note("", "r%d has started", r.id)
			r.w.mu.Unlock()
			return
		}
		stop()
		time.Sleep(100*time.Millisecond + r.w.delay(r.id, "start"))
	}
}

// kill ends the process; run starts another.
func (r *simReplica) kill() bool {
	r.w.mu.Lock()
	defer r.w.mu.Unlock()
	if r.sv == nil {
		return false
	}
	r.stop()
	r.sv, r.decider = nil, nil
	r.w.note("", "r%d is killed", r.id)
	return true
}

func (r *simReplica) start(ctx, starting context.Context) (*service, http.Handler, error) {
	w, f := r.w, r.w.fault
	sv := &service{
		log: slog.New(slog.DiscardHandler), truth: r.link,
		refresh: make(chan struct{}, 1), reload: make(chan struct{}, 1),
	}
	source := &simSource{simLink: r.link, sv: sv}
	head, err := source.Head(starting)
	if err != nil {
		return nil, nil, err
	}
	cfg := feed.FollowerConfig{Batch: 3, Timeout: time.Second, Late: 500 * time.Millisecond}
	if f == faultNeverPolls {
		cfg.Every = time.Hour
	}
	sv.follower = feed.NewFollower(source, cfg, nil, sv.log)
	naive := &simNaive{reader: r.link, held: map[string]*account.Principal{}, absent: map[string]bool{}}
	sv.follower.Subscribe(func(c feed.Change) {
		if f == faultToldLate {
			time.AfterFunc(120*time.Millisecond, func() { sv.apply(c) })
			return
		}
		if f == faultCountsOnKind && c.Kind != feed.Principal && c.Kind != feed.Policy {
			return
		}
		sv.apply(c)
		naive.drop(c.Ref)
	})
	sv.follower.OnGap(func() {
		naive.drop("")
		r.stale(sv)
	})
	if f != faultNoCatchUp {
		sv.follower.OnCatchUp(sv.caughtUp)
	}
	sv.holder = policy.NewHolder(policy.RouteRules{}, policy.Options{}, sv.log, nil)
	if f == faultOldRows {
		sv.truth = &simOldRows{simLink: r.link}
	}
	if err := sv.holder.Refresh(starting, sv.truth); err != nil {
		return nil, nil, err
	}
	var store session.Store = simTable{r.link}
	if w.redis != nil {
		store = simCache{w.redis, r.id}
	}
	sv.sessions = session.NewManager(session.Config{Size: 100}, store, r.link, nil, sv.log)
	if err := sv.sessions.Start(starting); err != nil {
		return nil, nil, err
	}
	sv.directory = directory.New(directory.Config{Size: 100}, r.link, nil)
	sv.apiKeyOf = apikey.NewCache(apikey.CacheConfig{Size: 100}, r.link, nil)
	if f == faultHeadLast {
		if head, err = source.Head(starting); err != nil {
			return nil, nil, err
		}
	}
	sv.follower.Start(head)
	if err := sv.follower.Sync(starting); err != nil {
		return nil, nil, err
	}
	if sv.minter, err = token.NewMinter(r.keys, token.Config{Lifetime: 300 * time.Second, Reuse: time.Minute}); err != nil {
		return nil, nil, err
	}
	parts := authz.Parts{
		Rules: sv.holder, Feed: sv.follower, Sessions: sv.sessions, Accounts: sv.directory, Keys: sv.apiKeyOf, Tokens: sv.minter,
		Activities: simActivities{},
	}
	switch f {
	case faultAgeless:
		parts.Feed = simAgeless{}
	case faultWallClock:
		parts.Feed = simStepped{sv.follower, w}
	case faultKeepsFlight:
		parts.Accounts = simNaiveAccounts{sv.directory, naive}
	case faultKeepsAbsent:
		parts.Keys = simNaiveKeys{sv.apiKeyOf, naive}
	case faultSlotByUser:
		parts.Tokens = simOneVersion{sv.minter}
	}
	c := authz.DefaultConfig()
	c.PolicyMaxStale, c.CacheMaxStale = simPolicyStale, simCacheStale
	server, err := authz.New(parts, c)
	if err != nil {
		return nil, nil, err
	}
	go sv.follower.Run(ctx)
	go sv.keepPolicy(ctx, nil)
	return sv, server.Forward(), nil
}

// simAnswer is the answer of one decision.
type simAnswer struct {
	replica  int
	from, to time.Duration
	session  *simSession // or
	kid      string
	uid      string
	path     string
	last     bool // asked when nothing had happened for long

	status       int
	reason, role string
}

func (a *simAnswer) allowed() bool { return a.status == http.StatusOK }

// simSession is a session that somebody has the cookie of.
type simSession struct {
	number  int
	cookie  string
	id      session.ID
	uid     string
	replica int
	// knows are the ends of sessions that had been made when it was opened, sure whether there
	// is no doubt about that.
	knows map[int]bool
	sure  bool
}

const (
	simAgent   = "simulated browser"
	simAddress = "198.51.100.7"
)

// ask has one request decided.
func (r *simReplica) ask(s *simSession, kid, path string, last bool) {
	r.w.mu.Lock()
	decider := r.decider
	r.w.mu.Unlock()
	a := &simAnswer{replica: r.id, from: r.w.now(), session: s, kid: kid, path: path, last: last}
	if decider == nil {
		if last {
			a.to, a.status, a.reason = a.from, http.StatusServiceUnavailable, "not started"
			r.w.keep(a)
		}
		return
	}
	req := &http.Request{
		Method: "GET", RequestURI: "/api/v2/auth/" + path, Host: "barong.example", RemoteAddr: "127.0.0.1:1",
		Header: http.Header{"User-Agent": {simAgent}, "X-Forwarded-For": {simAddress}},
	}
	if s != nil {
		a.uid = s.uid
		req.Header.Set("Cookie", "_barong_session="+s.cookie)
	} else {
		a.uid = simHolder(kid)
		nonce := strconv.FormatInt(time.Now().UnixMilli(), 10)
		mac := hmac.New(sha256.New, []byte(simSecret))
		mac.Write([]byte(nonce + kid))
		req.Header.Set("X-Auth-Apikey", kid)
		req.Header.Set("X-Auth-Nonce", nonce)
		req.Header.Set("X-Auth-Signature", hex.EncodeToString(mac.Sum(nil)))
	}
	answer := &simWriter{header: http.Header{}}
	decider.ServeHTTP(answer, req)
	a.to, a.status = r.w.now(), answer.status
	if a.allowed() {
		a.role = simRole(answer.header.Get("Authorization"))
	} else {
		_, rest, _ := strings.Cut(string(answer.body), `["`)
		a.reason, _, _ = strings.Cut(rest, `"`)
	}
	r.w.keep(a)
}

func (w *simWorld) keep(a *simAnswer) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.answers = append(w.answers, a)
	who := a.kid
	if a.session != nil {
		who = "session " + strconv.Itoa(a.session.number)
	}
	w.note(a.uid, "r%d answers %s of %s for %s: %d %s %s (asked at %v)", a.replica, who, a.uid, a.path, a.status, a.reason, a.role, a.from)
}

// simRole is the role that a bearer token claims.
func simRole(bearer string) string {
	parts := strings.Split(bearer, ".")
	if len(parts) != 3 {
		return "no token"
	}
	var claims struct{ Role string }
	text, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err == nil {
		err = json.Unmarshal(text, &claims)
	}
	if err != nil {
		return err.Error()
	}
	return claims.Role
}

type simWriter struct {
	header http.Header
	status int
	body   []byte
}

func (w *simWriter) Header() http.Header    { return w.header }
func (w *simWriter) WriteHeader(status int) { w.status = status }
func (w *simWriter) Write(p []byte) (int, error) {
	w.body = append(w.body, p...)
	return len(p), nil
}

// call runs f as one call of REST, and waits as REST does until this process obeys it.
func (r *simReplica) call(f func(ctx context.Context, sv *service) (*simCommit, error)) {
	r.w.mu.Lock()
	sv := r.sv
	r.w.mu.Unlock()
	if sv == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	ctx, obeyed := sv.track(ctx)
	c, err := f(ctx, sv)
	done := r.w.now()
	if r.w.fault != faultNoWait {
		obeyed()
	}
	r.w.mu.Lock()
	defer r.w.mu.Unlock()
	if now := r.w.now(); err == nil && c != nil && now < done+obeyedWithin && r.sv == sv {
		c.obeyed = now
	}
}

// change is a call that makes one commit.
func (r *simReplica) change(verb simVerb, ref, value string) {
	r.call(func(ctx context.Context, _ *service) (*simCommit, error) {
		c := &simCommit{verb: verb, ref: ref, value: value}
		return c, r.link.commit(ctx, c)
	})
}

// signIn opens a session.
func (r *simReplica) signIn(uid string) {
	r.call(func(ctx context.Context, sv *service) (*simCommit, error) {
		began := r.w.now()
		p, err := r.link.Principal(ctx, uid)
		if err != nil || !account.MayAct(p.State) {
			return nil, err
		}
		cookie, s, err := sv.sessions.Open(ctx, session.Opening{
			UID: uid, Generation: p.SessionGeneration, IP: netip.MustParseAddr(simAddress), UserAgent: simAgent,
		}, time.Now())
		if err == nil {
			r.w.opened(r.id, cookie, s.ID, uid, began, nil)
		}
		return nil, err
	})
}

// renew ends a user's sessions but for one, which gets another id.
func (r *simReplica) renew(s *simSession) {
	r.call(func(ctx context.Context, sv *service) (*simCommit, error) {
		began := r.w.now()
		c := &simCommit{verb: endUser, ref: s.uid}
		if err := r.link.commit(ctx, c); err != nil {
			return c, err
		}
		cookie := session.NewCookie()
		n, err := sv.sessions.Restamp(ctx, s.id, cookie, c.principal.SessionGeneration, time.Now())
		if err == nil {
			r.w.opened(r.id, cookie, n.ID, s.uid, began, c)
		}
		return c, err
	})
}

// signOut ends one session.
func (r *simReplica) signOut(s *simSession) {
	r.call(func(ctx context.Context, sv *service) (*simCommit, error) {
		err := sv.sessions.End(ctx, s.id)
		if err != nil {
			return nil, err
		}
		r.w.mu.Lock()
		defer r.w.mu.Unlock()
		for i := len(r.w.commits) - 1; i >= 0; i-- {
			if c := r.w.commits[i]; c.verb == endSession && c.ids[0] == s.id && c.replica == r.id {
				return c, nil
			}
		}
		return nil, nil
	})
}

// signOutEverybody ends all sessions.
func (r *simReplica) signOutEverybody() {
	r.call(func(ctx context.Context, sv *service) (*simCommit, error) { return nil, sv.sessions.EndAll(ctx) })
}

// opened keeps a new session. by is the commit that made its generation, if it did not read one.
func (w *simWorld) opened(replica int, cookie string, id session.ID, uid string, began time.Duration, by *simCommit) {
	w.mu.Lock()
	defer w.mu.Unlock()
	s := &simSession{
		number: len(w.sessions), cookie: cookie, id: id, uid: uid, replica: replica,
		knows: map[int]bool{}, sure: true,
	}
	// Its process's knowledge of everybody's ends may be as old as caches may be.
	var first []int
	for _, e := range w.eras {
		if e.to < began-simCacheStale {
			continue
		}
		ends := e.state.endsOf(uid)
		if first == nil {
			first = append([]int{}, ends...)
		}
		s.sure = s.sure && slices.Equal(first, ends)
		if e.to >= began {
			for _, id := range ends {
				s.knows[id] = true
			}
		}
	}
	if by != nil {
		s.sure = false
	}
	w.sessions = append(w.sessions, s)
	w.note(uid, "r%d opens session %d of %s", replica, s.number, uid)
}

// endsOf are the commits that ended sessions of a user.
func (s *simState) endsOf(uid string) []int {
	return append(append([]int(nil), s.users[uid].ends...), s.ends...)
}

// The parts of a replica that are not the real ones: those not needed, and the faulty ones.

// simActivities keeps none.
type simActivities struct{}

func (simActivities) Record(audit.Activity) bool { return true }
func (simActivities) Fold(string, string) bool   { return false }

// simSource is the feed as a faulty reader sees it.
type simSource struct {
	*simLink
	sv *service
}

func (s *simSource) Changes(ctx context.Context, after feed.Cursor, limit int) ([]feed.Change, feed.Cursor, error) {
	changes, upTo, err := s.simLink.Changes(ctx, after, limit)
	switch f := s.w.fault; {
	case errors.Is(err, feed.ErrGap):
		switch f {
		case faultGapIgnored:
			if upTo, err = s.Head(ctx); err == nil {
				return nil, upTo, nil
			}
		case faultMarksFirst:
			s.sv.stale()
		}
	case err != nil && f == faultFailureCounts:
		return nil, after, nil
	}
	return changes, upTo, err
}

// stale is called at a gap.
func (r *simReplica) stale(sv *service) {
	switch r.w.fault {
	case faultMarksFirst: // it has
	case faultGapKeepsAccounts:
		sv.sessions.Stale()
		sv.holder.Changed()
	case faultGapKeepsSessions:
		sv.directory.Stale()
		sv.apiKeyOf.Stale()
		sv.holder.Changed()
	case faultGapKeepsPolicy:
		sv.directory.Stale()
		sv.apiKeyOf.Stale()
		sv.sessions.Stale()
	default:
		sv.stale()
	}
}

type simAgeless struct{}

func (simAgeless) Age(time.Time) time.Duration { return 0 }

// simStepped is an age by the wall clock, which is set back in the middle of the history.
type simStepped struct {
	*feed.Follower
	w *simWorld
}

func (s simStepped) Age(now time.Time) time.Duration {
	age := s.Follower.Age(now)
	if step := simActive / 2; s.w.now() > step && s.w.now()-age < step {
		age = max(0, age-time.Hour)
	}
	return age
}

// simNaive is a cache as one would write it first.
type simNaive struct {
	reader directory.Source
	mu     sync.Mutex
	held   map[string]*account.Principal
	absent map[string]bool
}

func (n *simNaive) drop(ref string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if ref == "" {
		clear(n.held)
		clear(n.absent)
	}
	delete(n.held, ref)
}

// simNaiveAccounts keeps a loaded row, although it was dropped meanwhile.
type simNaiveAccounts struct {
	*directory.Directory
	n *simNaive
}

func (a simNaiveAccounts) Principal(ctx context.Context, uid string) (*account.Principal, error) {
	a.n.mu.Lock()
	p := a.n.held[uid]
	a.n.mu.Unlock()
	if p != nil {
		return p, nil
	}
	row, err := a.n.reader.Principal(ctx, uid)
	if err != nil {
		return nil, err
	}
	a.n.mu.Lock()
	defer a.n.mu.Unlock()
	a.n.held[strings.Clone(uid)] = &row
	return &row, nil
}

// simNaiveKeys remembers that there is no key whatever the feed says.
type simNaiveKeys struct {
	*apikey.Cache
	n *simNaive
}

func (a simNaiveKeys) Key(ctx context.Context, kid string) (*apikey.Entry, error) {
	a.n.mu.Lock()
	absent := a.n.absent[kid]
	a.n.mu.Unlock()
	if absent {
		return nil, account.ErrNotFound
	}
	k, err := a.Cache.Key(ctx, kid)
	if errors.Is(err, account.ErrNotFound) {
		a.n.mu.Lock()
		a.n.absent[strings.Clone(kid)] = true
		a.n.mu.Unlock()
	}
	return k, err
}

// simOneVersion reuses tokens whatever the version of their claims.
type simOneVersion struct{ *token.Minter }

func (m simOneVersion) Reuse(s *token.Slot, party string, _ int64, now time.Time) (string, bool) {
	return m.Minter.Reuse(s, party, 0, now)
}

func (m simOneVersion) Mint(s *token.Slot, _ int64, c token.Claims, now time.Time) (string, error) {
	return m.Minter.Mint(s, 0, c, now)
}

// simOldRows lets a rebuild share the rows that one before it has read.
type simOldRows struct {
	*simLink
	mu   sync.Mutex
	at   time.Time
	rows policy.Rows
}

func (o *simOldRows) Rows(ctx context.Context) (policy.Rows, error) {
	o.mu.Lock()
	rows, fresh := o.rows, !o.at.IsZero() && time.Since(o.at) < 300*time.Millisecond
	o.mu.Unlock()
	if fresh {
		return rows, nil
	}
	rows, err := o.simLink.Rows(ctx)
	if err == nil {
		o.mu.Lock()
		defer o.mu.Unlock()
		o.rows, o.at = rows, time.Now()
	}
	return rows, err
}
