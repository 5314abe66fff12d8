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
	"barong/internal/session"
	"barong/policy"
)

// simState is all that a database holds at one moment. It never changes: a commit makes
// another one.
type simState struct {
	at, pruned feed.Cursor
	rows       []simRow // of the change feed, after pruned
	users      map[string]simUser
	keys       map[string]apikey.Record
	paths      map[string]bool // whether permissions open them, to every role
	epoch      int64
	ends       []int // ids of the commits that ended everybody's sessions
	ended      map[session.ID]bool
	sessions   map[session.ID]session.Session
}

// simUser is a principal and the ids of the commits that ended its sessions.
type simUser struct {
	account.Principal
	ends []int
}

// simRow is a row of the feed; hidden keeps readers from it until then.
type simRow struct {
	feed.Change
	name   feed.Name
	at     time.Duration
	hidden time.Duration
}

func (s *simState) clone() *simState {
	c := *s
	c.rows = slices.Clone(s.rows)
	c.users, c.keys, c.paths = maps.Clone(s.users), maps.Clone(s.keys), maps.Clone(s.paths)
	c.ended, c.sessions = maps.Clone(s.ended), maps.Clone(s.sessions)
	return &c
}

// simVerb is the action of a commit.
type simVerb int

const (
	setState  simVerb = iota
	setStates         // of everybody, in one commit
	setRole
	setKey // to a state; "" deletes it
	setPath
	endUser
	endEverybody
	endSession
	addSession  // no feed row: nobody can have asked for it
	dropSession // no feed row: the ledger's says it
	pruneRows
)

func (v simVerb) String() string {
	return [...]string{"state", "states", "role", "key", "path", "end-user", "end-everybody", "end-session", "add-session", "drop-session", "prune"}[v]
}

// simCommit is one transaction.
type simCommit struct {
	id      int
	verb    simVerb
	ref     string // uid, kid or path
	value   string
	ids     []session.ID
	session session.Session

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

// apply returns the state after c, with the mistake of f.
func (s *simState) apply(c *simCommit, f simFault) *simState {
	n := s.clone()
	var changes []feed.Change
	changed := func(kind feed.Kind, ref string) { changes = append(changes, feed.Change{Kind: kind, Ref: ref}) }
	switch c.verb {
	case setStates:
		for _, uid := range simUsers {
			one := &simCommit{id: c.id, verb: setState, ref: uid, value: c.value}
			n.users[uid] = s.apply(one, f).users[uid]
			changed(feed.Principal, uid)
		}
	case setState, setRole, endUser:
		u := n.users[c.ref]
		switch c.verb {
		case setState:
			u.State = c.value
		case setRole:
			u.Role = c.value
		}
		u.Version = simNext(u.Version, c, f == faultVersionCounts)
		if f == faultVersionStays {
			u.Version = s.users[c.ref].Version
		}
		if c.verb == endUser || c.value != account.StateActive {
			u.SessionGeneration = simNext(u.SessionGeneration, c, f == faultGenerationCounts)
			u.ends = append(slices.Clip(u.ends), c.id)
		}
		n.users[c.ref] = u
		c.principal = u.Principal
		if !(f == faultNoRowForState && c.verb == setState || f == faultNoRowForRole && c.verb == setRole ||
			f == faultNoRowForEndUser && c.verb == endUser) {
			changed(feed.Principal, c.ref)
		}
	case setKey:
		if c.value == "" {
			delete(n.keys, c.ref)
		} else {
			n.keys[c.ref] = apikey.Record{
				Kid: c.ref, Algorithm: "HS256", Secret: []byte(simSecret), State: c.value,
				HolderUID: simHolder(c.ref), HolderKind: account.KindUser,
			}
		}
		if f != faultNoRowForKey {
			changed(feed.Key, c.ref)
		}
	case setPath:
		n.paths[c.ref] = c.value != ""
		if f != faultNoRowForPolicy {
			changed(feed.Policy, "")
		}
	case endEverybody:
		n.epoch = simNext(n.epoch, c, false)
		n.ends = append(slices.Clip(n.ends), c.id)
		if f != faultNoRowForEpoch {
			changed(feed.Epoch, "")
		}
	case endSession:
		for _, id := range c.ids {
			n.ended[id] = true
			if f != faultNoRowForSession {
				changed(feed.Session, hex.EncodeToString(id[:]))
			}
		}
	case addSession:
		n.sessions[c.session.ID] = c.session
	case dropSession:
		for _, id := range c.ids {
			delete(n.sessions, id)
		}
	case pruneRows:
		before := c.at - simKept
		for len(n.rows) > 0 && n.rows[0].at < before { // of one number all have one time
			n.pruned = feed.Cursor{Seq: n.rows[0].Seq, Name: n.rows[0].name}
			n.rows = n.rows[1:]
		}
	}
	if len(changes) > 0 {
		n.at = feed.Cursor{Seq: n.at.Seq + 1, Name: c.name()}
		for _, x := range changes {
			x.Seq = n.at.Seq
			n.rows = append(n.rows, simRow{Change: x, name: n.at.Name, at: c.at})
		}
	}
	c.place = n.at
	return n
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
	return rows
}

const simSecret = "0123456789abcdef0123456789abcdef"

var (
	simUsers = []string{"ID0", "ID1", "ID2"}
	simKids  = []string{"kid0", "kid1", "kid2"}
	// Those whom nobody asks about by chance, so that nothing of them is held.
	simStrangers   = []string{"ID3", "ID4"}
	simStrangeKids = []string{"kid3", "kid4"}
	simPaths       = []string{"api/v2/peatio/orders", "api/v2/peatio/withdraws"}
	simRoles       = []string{"member", "admin", "support"}
)

// simHolder is the uid that holds the key of a kid.
func simHolder(kid string) string { return "ID" + kid[3:] }

// simStart is the state at the beginning.
func simStart() *simState {
	s := &simState{
		users: map[string]simUser{}, keys: map[string]apikey.Record{}, paths: map[string]bool{},
		ended: map[session.ID]bool{}, sessions: map[session.ID]session.Session{},
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
