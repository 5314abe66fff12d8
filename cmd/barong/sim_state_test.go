package main

import (
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"time"

	"barong/internal/account"
	"barong/internal/apikey"
	"barong/internal/feed"
	"barong/internal/limit"
	"barong/internal/session"
	"barong/internal/token"
	"barong/policy"
)

// simState is all that a database holds at one moment. It never changes: a commit makes
// another one, which shares all that it does not touch.
type simState struct {
	at, pruned feed.Cursor
	rows       []simRow // of the change feed, after pruned
	users      map[string]simUser
	keys       map[string]apikey.Record
	paths      map[string]bool // whether permissions open them, to every role
	epoch      int64
	ends       []int // ids of the commits that ended everybody's sessions
	ended      map[session.ID]bool
	promised   map[session.ID]bool // users were told that these have ended; nobody can read it
	sessions   map[session.ID]session.Session
	barred     map[string]bool // addresses that a restriction refuses
	cuts       []policy.Cut
	signing    []token.SigningKey
	nonces     *simNonce
	limits     map[string]int64 // when each bucket is full
	outbox     []simItem
	lastItem   int64
	lease      simLease
}

// simUser is a principal and the ids of the commits that ended its sessions. renewed is the one
// of its Renewal.
type simUser struct {
	account.Principal
	ends    []int
	renewed int
}

// simNonce is a used nonce of a key, and those used before it.
type simNonce struct {
	kid, nonce string
	before     *simNonce
}

func (n *simNonce) has(kid, nonce string) bool {
	for ; n != nil; n = n.before {
		if n.nonce == nonce && n.kid == kid {
			return true
		}
	}
	return false
}

// simRow is a row of the feed; hidden keeps readers from it until then.
type simRow struct {
	feed.Change
	name   feed.Name
	at     time.Duration
	hidden time.Duration
}

// with is a copy of m in which key has a value.
func with[K comparable, V any](m map[K]V, key K, value V) map[K]V {
	m = maps.Clone(m)
	m[key] = value
	return m
}

// simVerb is the action of a commit.
type simVerb int

const (
	setState  simVerb = iota
	setStates         // of everybody, in one commit
	setRole
	setKey // to a state; "" deletes it
	setPath
	setBar // restricts an address, or lifts that
	setCut // ends the sessions that were opened from an address before
	setSigning
	endUser
	renewUser // endUser, but that one session goes on under another id
	endEverybody
	endSession
	addSession   // no feed row: nobody can have asked for it
	dropSession  // no feed row: the ledger's says it
	slideSession // no feed row: replicas ask when it seems to have run out
	useNonce
	takeLimit
	pruneRows
	emitEvent
	dropEvents
	delayEvent
	parkEvent
	setLease
)

func (v simVerb) String() string {
	return [...]string{
		"state", "states", "role", "key", "path", "bar", "cut", "signing keys", "end-user", "renew", "end-everybody",
		"end-session", "add-session", "drop-session", "slide", "nonce", "limit", "prune",
		"emit", "drop events", "delay event", "park event", "lease",
	}[v]
}

// quiet reports whether a commit changes nothing that the judge looks at in eras.
func (v simVerb) quiet() bool {
	switch v {
	case addSession, dropSession, slideSession, useNonce, takeLimit, pruneRows,
		emitEvent, dropEvents, delayEvent, parkEvent, setLease:
		return true
	}
	return false
}

// simCommit is one transaction.
type simCommit struct {
	id      int
	verb    simVerb
	ref     string // uid, kid, path or address
	value   string
	ids     []session.ID
	session session.Session
	moment  time.Time // of a cut, or the end of a renewal's grace
	slides  map[session.ID]time.Time
	signing []token.SigningKey
	rule    limit.Rule
	items   []string   // uuids of dropEvents, or
	numbers []int64    // their ids
	event   *simCommit // of emitEvent
	lease   simLease
	wait    time.Duration // for a limit

	emits     bool // an event
	replica   int
	at        time.Duration // when it was applied
	lost      bool
	place     feed.Cursor       // in the feed
	principal account.Principal // of ref, afterwards
	before    *simState
	after     *simState
	// obeyed is when the caller was answered, and its process obeys; 0 when it was not, or the
	// process did not within obeyedWithin.
	obeyed time.Duration
}

// simSilent lists the faults that leave out the feed row of a verb.
var simSilent = map[simVerb]simFault{
	setState: faultNoRowForState, setRole: faultNoRowForRole, endUser: faultNoRowForEndUser, setKey: faultNoRowForKey,
	setPath: faultNoRowForPolicy, endEverybody: faultNoRowForEpoch, endSession: faultNoRowForSession,
	setBar: faultNoRowForRestriction, setCut: faultNoRowForCut, setSigning: faultNoRowForSigning,
	renewUser: faultNoRowForRenewal,
}

// apply returns the state after c, with the mistake of f.
func (s *simState) apply(c *simCommit, f simFault) *simState {
	next := *s
	n := &next
	var changes []feed.Change
	changed := func(kind feed.Kind, ref string) {
		if f == faultNone || simSilent[c.verb] != f {
			changes = append(changes, feed.Change{Kind: kind, Ref: ref})
		}
	}
	switch c.verb {
	case setStates:
		for _, uid := range simUsers {
			one := &simCommit{id: c.id, verb: setState, ref: uid, value: c.value}
			n.users = with(n.users, uid, s.users[uid].after(one, f))
			changed(feed.Principal, uid)
		}
	case setState, setRole, endUser, renewUser:
		u := s.users[c.ref].after(c, f)
		n.users, c.principal = with(s.users, c.ref, u), u.Principal
		changed(feed.Principal, c.ref)
	case setKey:
		n.keys = with(s.keys, c.ref, apikey.Record{
			Kid: c.ref, Algorithm: "HS256", Secret: []byte(simSecret), State: c.value,
			HolderUID: simHolder(c.ref), HolderKind: account.KindUser,
		})
		if c.value == "" {
			delete(n.keys, c.ref)
		}
		changed(feed.Key, c.ref)
	case setPath:
		n.paths = with(s.paths, c.ref, c.value != "")
		changed(feed.Policy, "")
	case setBar:
		n.barred = with(s.barred, c.ref, c.value != "")
		changed(feed.Policy, "")
	case setCut:
		n.cuts = append(slices.Clip(s.cuts), policy.Cut{Scope: policy.ScopeIP, Value: c.ref, At: c.moment})
		changed(feed.Policy, "")
	case setSigning:
		n.signing = c.signing
		changed(feed.SigningKeys, "")
	case endEverybody:
		n.epoch = simNext(n.epoch, c, f == faultEpochCounts)
		n.ends = append(slices.Clip(n.ends), c.id)
		changed(feed.Epoch, "")
	case endSession:
		for _, id := range c.ids {
			if c.value == simNowhere {
				n.promised = with(n.promised, id, true)
				continue
			}
			n.ended = with(n.ended, id, true)
			changed(feed.Session, hex.EncodeToString(id[:]))
		}
	default:
		n.quietly(c)
		n.send(c)
	}
	if c.emits && f != faultEmitsAfter {
		n.emit(c)
	}
	if len(changes) > 0 {
		n.at = feed.Cursor{Seq: n.at.Seq + 1, Name: c.name()}
		n.rows = slices.Clip(n.rows)
		for _, x := range changes {
			x.Seq = n.at.Seq
			n.rows = append(n.rows, simRow{Change: x, name: n.at.Name, at: c.at})
		}
	}
	c.place = n.at
	return n
}

// quietly makes those changes of a copy that leave no feed row.
func (s *simState) quietly(c *simCommit) {
	switch c.verb {
	case addSession:
		s.sessions = with(s.sessions, c.session.ID, c.session)
	case dropSession:
		s.sessions = maps.Clone(s.sessions)
		for _, id := range c.ids {
			delete(s.sessions, id)
		}
	case slideSession:
		s.sessions = slid(s.sessions, c.slides)
	case useNonce:
		s.nonces = &simNonce{c.ref, c.value, s.nonces}
	case takeLimit:
		step, room := c.rule.Micros()
		full, wait := limit.Spend(s.limits[c.ref], c.moment.UnixMicro(), 1, step, room)
		if c.wait = time.Duration(wait) * time.Microsecond; wait == 0 {
			s.limits = with(s.limits, c.ref, full)
		}
	case pruneRows:
		before := c.at - simKept
		for len(s.rows) > 0 && s.rows[0].at < before { // of one number all have one time
			s.pruned = feed.Cursor{Seq: s.rows[0].Seq, Name: s.rows[0].name}
			s.rows = s.rows[1:]
		}
	}
}

// slid is a copy of all in which some end later.
func slid(all map[session.ID]session.Session, to map[session.ID]time.Time) map[session.ID]session.Session {
	all = maps.Clone(all)
	for id, at := range to {
		if s, ok := all[id]; ok && at.After(s.ExpiresAt) {
			s.ExpiresAt = at
			all[id] = s
		}
	}
	return all
}

// after is the user after a commit about it, with the mistake of f.
func (u simUser) after(c *simCommit, f simFault) simUser {
	switch c.verb {
	case setState:
		u.State = c.value
	case setRole:
		u.Role = c.value
	}
	if f != faultVersionStays {
		u.Version = simNext(u.Version, c, f == faultVersionCounts)
	}
	if c.verb == setState && c.value == account.StateActive {
		return u
	}
	u.SessionGeneration = simNext(u.SessionGeneration, c, f == faultGenerationCounts)
	u.ends = append(slices.Clip(u.ends), c.id)
	if f != faultRenewalStays {
		u.Renewal, u.renewed = nil, 0
	}
	if c.verb == renewUser {
		u.Renewal, u.renewed = &account.Renewal{From: c.ids[0], To: c.ids[1], Until: c.moment}, c.id
	}
	return u
}

// name is the feed's name of c.
func (c *simCommit) name() (n feed.Name) {
	copy(n[:], fmt.Sprintf("commit %d", c.id))
	return n
}

// simNext is the value of a column after a commit that changes it: a name that no history
// gives twice, or the next number.
func simNext(old int64, c *simCommit, counts bool) int64 {
	if counts {
		return old + 1
	}
	return 1000 + int64(c.id)
}

// policyRows are those that a snapshot is compiled from.
func (s *simState) policyRows() policy.Rows {
	rows := policy.Rows{At: s.at}
	for i, path := range simPaths {
		if !s.paths[path] {
			continue
		}
		for j, role := range simRoles {
			rows.Permissions = append(rows.Permissions, policy.Permission{
				ID: int64(10*i + j + 1), Action: policy.Accept, Role: role, Verb: "ALL", Path: path,
			})
		}
	}
	for i, address := range simAddresses {
		state := "disabled"
		if s.barred[address] {
			state = "enabled"
		}
		rows.Restrictions = append(rows.Restrictions, policy.Restriction{
			ID: int64(i + 1), Category: policy.Blacklist, Scope: policy.ScopeIP, Value: address, Code: 403, State: state,
		})
	}
	rows.Cuts = s.cuts
	return rows
}

// simNowhere is the value of an endSession that leaves nothing in the database.
const simNowhere = "nowhere"

const simSecret = "0123456789abcdef0123456789abcdef"

var (
	simUsers = []string{"ID0", "ID1", "ID2"}
	simKids  = []string{"kid0", "kid1", "kid2"}
	// Those whom nobody asks about by chance, so that nothing of them is held.
	simStrangers   = []string{"ID3", "ID4"}
	simStrangeKids = []string{"kid3", "kid4"}
	simPaths       = []string{"api/v2/peatio/orders", "api/v2/peatio/withdraws"}
	simRoles       = []string{"member", "admin", "support"}
	simAddresses   = []string{"198.51.100.7", "203.0.113.9"}
)

// simHolder is the uid that holds the key of a kid.
func simHolder(kid string) string { return "ID" + kid[3:] }

// signer is the kid that bearer tokens are signed with.
func (s *simState) signer() string {
	for _, k := range s.signing {
		if k.Use == token.UseBearer && k.State == token.Active {
			return k.Kid
		}
	}
	return ""
}

// simStart is the state at the beginning, with these signing keys.
func simStart(signing []token.SigningKey) *simState {
	s := &simState{
		users: map[string]simUser{}, keys: map[string]apikey.Record{}, paths: map[string]bool{},
		ended: map[session.ID]bool{}, promised: map[session.ID]bool{}, sessions: map[session.ID]session.Session{},
		barred: map[string]bool{}, limits: map[string]int64{}, signing: signing,
	}
	for _, uid := range slices.Concat(simUsers, simStrangers) {
		state := account.StateActive
		if slices.Contains(simStrangers, uid) {
			state = account.StateBanned
		}
		s.users[uid] = simUser{Principal: account.Principal{
			Kind: account.KindUser, UID: uid, Email: uid + "@barong.example", Role: "member", Level: 3,
			State: state, OTP: true, Version: 1, SessionGeneration: 0,
		}}
	}
	for _, kid := range slices.Concat(simKids, simStrangeKids) {
		s = s.apply(&simCommit{verb: setKey, ref: kid, value: apikey.Active}, "")
	}
	for _, path := range simPaths {
		s = s.apply(&simCommit{verb: setPath, ref: path, value: "open"}, "")
	}
	return s
}
