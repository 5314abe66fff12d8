package main

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"barong/internal/account"
	"barong/internal/limit"
	"barong/internal/session"
	"barong/internal/token"
)

// simAnswer is one question and the answer of its decision.
type simAnswer struct {
	replica  int
	from, to time.Duration
	session  *simSession // or
	kid      string
	nonce    string
	uid      string
	address  string
	path     string
	last     bool // asked when nothing had happened for long

	status       int
	reason, role string
	signer       string // the kid of the token's key
	iat, exp     int64  // of the token
}

func (a *simAnswer) allowed() bool { return a.status == http.StatusOK }

// outage reports whether the question was not decided.
func (a *simAnswer) outage() bool { return a.status >= http.StatusInternalServerError }

// simSession is a session that somebody has the cookie of.
type simSession struct {
	number  int
	cookie  string
	id      session.ID
	uid     string
	address string
	replica int
	began   time.Duration // to be opened
	opened  time.Duration
	first   time.Duration // when the one was begun that it is a renewal of
	created time.Time
	// knows are the ends of sessions that had been made when it was opened, sure whether there
	// is no doubt about that.
	knows map[int]bool
	sure  bool
}

const simAgent = "simulated browser"

// simLimit is how often somebody may sign in.
var simLimit = limit.Rule{Burst: 3, Period: 6 * time.Second}

// by is a question with the key kid, from an address that follows from n.
func (w *simWorld) by(kid, path string, n uint64) *simAnswer {
	return &simAnswer{kid: kid, path: path, address: simAddresses[(n>>16)%uint64(len(simAddresses))]}
}

// of is a question with a session.
func (s *simSession) of(path string) *simAnswer {
	return &simAnswer{session: s, path: path, address: s.address}
}

// ask has one request decided.
func (r *simReplica) ask(a *simAnswer) {
	r.w.mu.Lock()
	decider := r.decider
	if a.session == nil && a.nonce == "" {
		a.nonce = r.w.newNonce(a.kid)
	}
	r.w.mu.Unlock()
	a.replica, a.from = r.id, r.w.now()
	if a.session != nil {
		a.uid = a.session.uid
	} else {
		a.uid = simHolder(a.kid)
	}
	if decider == nil {
		if a.last {
			a.to, a.status, a.reason = a.from, http.StatusServiceUnavailable, "not started"
			r.w.keep(a)
		}
		return
	}
	answer := &simWriter{header: http.Header{}}
	decider.ServeHTTP(answer, a.request(r))
	a.to, a.status = r.w.now(), answer.status
	if a.allowed() {
		a.readToken(answer.header.Get("Authorization"))
	} else {
		_, rest, _ := strings.Cut(string(answer.body), `["`)
		a.reason, _, _ = strings.Cut(rest, `"`)
	}
	r.w.keep(a)
}

// newNonce is one that this key has not used yet. w.mu is held.
func (w *simWorld) newNonce(kid string) string {
	w.nonce[kid] = max(w.nonce[kid]+1, time.Now().UnixMilli())
	return strconv.FormatInt(w.nonce[kid], 10)
}

func (a *simAnswer) request(r *simReplica) *http.Request {
	req := &http.Request{
		Method: "GET", RequestURI: "/api/v2/auth/" + a.path, Host: "barong.example", RemoteAddr: "127.0.0.1:1",
		Header: http.Header{"User-Agent": {simAgent}, "X-Forwarded-For": {a.address}},
	}
	if a.session != nil {
		req.Header["Cookie"] = []string{"_barong_session=" + a.session.cookie}
		return req
	}
	nonce := a.nonce
	if r.w.fault == faultNoncesByOwnClock { // its age is the same
		ms, _ := strconv.ParseInt(nonce, 10, 64)
		nonce = strconv.FormatInt(ms-1000*r.set.Load(), 10)
	}
	mac := hmac.New(sha256.New, []byte(simSecret))
	mac.Write([]byte(nonce + a.kid))
	req.Header["X-Auth-Apikey"] = []string{a.kid}
	req.Header["X-Auth-Nonce"] = []string{nonce}
	req.Header["X-Auth-Signature"] = []string{hex.EncodeToString(mac.Sum(nil))}
	return req
}

func (w *simWorld) keep(a *simAnswer) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.answers = append(w.answers, a)
	w.trace = append(w.trace, simEvent{at: w.now(), about: a.uid, answer: a})
}

// readToken reads the bearer token of an answer.
func (a *simAnswer) readToken(bearer string) {
	parts := strings.Split(strings.TrimPrefix(bearer, "Bearer "), ".")
	if len(parts) != 3 {
		a.signer, a.role = "no token", "no token"
		return
	}
	member := func(part, name string) string {
		text, err := base64.RawURLEncoding.DecodeString(part)
		if err != nil {
			return err.Error()
		}
		_, rest, _ := strings.Cut(string(text), `"`+name+`":`)
		return strings.Trim(rest[:max(0, strings.IndexAny(rest, ",}"))], `"`)
	}
	a.signer, a.role = member(parts[0], "kid"), member(parts[1], "role")
	a.iat, _ = strconv.ParseInt(member(parts[1], "iat"), 10, 64)
	a.exp, _ = strconv.ParseInt(member(parts[1], "exp"), 10, 64)
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
		c := &simCommit{verb: verb, ref: ref, value: value, moment: time.Now()}
		return c, r.link.commit(ctx, c)
	})
}

// rotate makes a key of the pool the one that signs.
func (r *simReplica) rotate(key token.SigningKey) {
	r.call(func(ctx context.Context, sv *service) (*simCommit, error) {
		_, err := sv.keys.Import(ctx, token.UseBearer, key.PrivatePEM, true)
		return nil, err
	})
}

// simAttempt is a sign-in that was counted.
type simAttempt struct {
	key      string
	from, to time.Duration
	passed   bool
}

// mayTry counts a sign-in.
func (r *simReplica) mayTry(ctx context.Context, sv *service, uid string) (bool, error) {
	if !r.w.limited {
		return true, nil
	}
	key, from := "sign-in "+uid, r.w.now()
	wait, err := sv.stores.limits.Take(ctx, key, simLimit, r.now())
	if err != nil {
		return false, err
	}
	r.w.mu.Lock()
	defer r.w.mu.Unlock()
	r.w.attempts = append(r.w.attempts, simAttempt{key, from, r.w.now(), wait == 0})
	r.w.note(uid, "r%d lets %s try: wait %v (asked at %v)", r.id, uid, wait, from)
	return wait == 0, nil
}

// signIn opens a session.
func (r *simReplica) signIn(uid, address string) {
	r.call(func(ctx context.Context, sv *service) (*simCommit, error) {
		if ok, err := r.mayTry(ctx, sv, uid); !ok {
			return nil, err
		}
		began := r.w.now()
		p, err := r.link.Principal(ctx, uid)
		if err != nil || !account.MayAct(p.State) {
			return nil, err
		}
		cookie, s, err := sv.sessions.Open(ctx, session.Opening{
			UID: uid, Generation: p.SessionGeneration, IP: netip.MustParseAddr(address), UserAgent: simAgent,
		}, r.time())
		if err == nil {
			r.opened(cookie, s, began, nil, nil)
		}
		return nil, err
	})
}

var errSimEnded = errors.New("simulated: the session has ended")

// renew ends a user's sessions but for one that has not ended, which gets another id.
func (r *simReplica) renew(s *simSession) {
	r.call(func(ctx context.Context, sv *service) (*simCommit, error) {
		began, cookie := r.w.now(), session.NewCookie()
		next, _ := session.IDOf(cookie)
		c := &simCommit{verb: renewUser, ref: s.uid, ids: []session.ID{s.id, next}, moment: time.Now().Add(simGrace)}
		err := r.link.commitIf(ctx, c, func(state *simState) (bool, error) {
			if state.endOf(s, time.Now().Add(time.Hour)) != "" && r.w.fault != faultRenewsEnded {
				return false, errSimEnded
			}
			return true, nil
		})
		if err != nil {
			return c, err
		}
		n, err := sv.sessions.Restamp(ctx, s.id, cookie, c.principal.SessionGeneration, r.time())
		if err == nil {
			r.opened(cookie, n, began, c, s)
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
		return nil, errors.New("no such commit")
	})
}

// signOutEverybody ends all sessions.
func (r *simReplica) signOutEverybody() {
	r.call(func(ctx context.Context, sv *service) (*simCommit, error) { return nil, sv.sessions.EndAll(ctx) })
}

// opened keeps a new session. by is the commit that made its generation, if it did not read one, and
// before the session that it is a renewal of.
func (r *simReplica) opened(cookie string, made session.Session, began time.Duration, by *simCommit, before *simSession) {
	w := r.w
	w.mu.Lock()
	defer w.mu.Unlock()
	s := &simSession{
		number: len(w.sessions), cookie: cookie, id: made.ID, uid: made.UID, address: made.IP.String(), replica: r.id,
		began: began, opened: w.now(), first: began, created: made.CreatedAt, knows: map[int]bool{}, sure: by == nil,
	}
	if before != nil {
		s.first = before.first
	}
	// Its process's knowledge of everybody's ends may be as old as caches may be.
	var first []int
	from := began - simCacheStale
	for _, t := range w.takeovers { // or of a history that was lost, until it has found the new primary
		if t.at+simFinds+simCacheStale > began {
			from = min(from, t.died-simCacheStale)
		}
	}
	for i, e := range w.eras[w.eraAt(from):] {
		ends := e.state.endsOf(s.uid)
		if i == 0 {
			first = ends
		}
		s.sure = s.sure && slices.Equal(first, ends)
		if e.to >= began {
			for _, id := range ends {
				s.knows[id] = true
			}
		}
	}
	if by != nil { // what had ended the session before has ended this one
		for _, id := range by.before.endsOf(s.uid) {
			if !before.knows[id] {
				delete(s.knows, id)
			}
		}
	}
	w.sessions = append(w.sessions, s)
	w.note(s.uid, "r%d opens session %d of %s", r.id, s.number, s.uid)
}

// endsOf are the commits that ended sessions of a user.
func (s *simState) endsOf(uid string) []int {
	return append(slices.Clip(s.users[uid].ends), s.ends...)
}
