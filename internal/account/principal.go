package account

import (
	"errors"
	"fmt"
	"time"
)

// Errors that stores and services of this package return; compare with errors.Is.
var (
	// ErrNotFound says that there is no such row, or none that the actor may see. Each noun has a
	// sentinel of its own, which wraps this one.
	ErrNotFound = errors.New("not found")
	// ErrNoUser, ErrNoServiceAccount and ErrNoLabel are those of this package.
	ErrNoUser           = fmt.Errorf("account: user: %w", ErrNotFound)
	ErrNoServiceAccount = fmt.Errorf("account: service account: %w", ErrNotFound)
	ErrNoLabel          = fmt.Errorf("account: label: %w", ErrNotFound)
	// ErrTaken says that a unique value (e-mail, uid, kid, label key) is in use.
	ErrTaken = errors.New("account: taken")
)

// Kind separates persons from programs.
type Kind string

// The two kinds of principal.
const (
	KindUser           Kind = "user"
	KindServiceAccount Kind = "service_account"
)

// States of accounts that this service acts on; any other text is possible (AZ-400).
const (
	StatePending  = "pending"
	StateActive   = "active"
	StateBanned   = "banned"
	StateDeleted  = "deleted"
	StateLocked   = "locked"
	StateDisabled = "disabled"
)

// RoleMember and RoleServiceAccount are the default roles; RoleSuperadmin is the one that
// no sign-up grants (design D14), RoleAdmin the next in rank (design D24).
const (
	RoleMember         = "member"
	RoleServiceAccount = "service_account"
	RoleAdmin          = "admin"
	RoleSuperadmin     = "superadmin"
)

// States are all states of an account.
func States() []string {
	return []string{StatePending, StateActive, StateBanned, StateLocked, StateDisabled, StateDeleted}
}

// MayAct reports whether an account in state may sign in and be authorised (AZ-104).
func MayAct(state string) bool { return state == StateActive || state == StatePending }

// A Principal is the part of an account, proved by a credential, that decisions need. It is
// immutable once loaded and shared between requests.
type Principal struct {
	Kind     Kind
	UID      string
	Email    string
	Username *string // users only; nil when none is chosen
	Role     string
	Level    int
	State    string
	Unproved bool // users only: see User
	OTP      bool // users only: second factor on
	// ReferralID is the row id of the referring user, a claim of old (AZ-213).
	ReferralID *int64
	// OwnerUID is the user that owns a service account, "" for users and orphans.
	OwnerUID string
	// Version names the values of the fields above: no change of one, in whatever history, gives
	// it again. Tokens are never reused across versions (design D7).
	Version int64
	// SessionGeneration is the name of those sessions that have not ended with others (design
	// D11); compare by session.Session.Of.
	SessionGeneration int64
	// Renewal is the session that outlived the last rise of SessionGeneration under a new id;
	// nil when none did.
	Renewal *Renewal
}

// RenewalGrace is how long the old id of a renewed session may still read: requests that were
// under way when the new one was given out carry it.
const RenewalGrace = 10 * time.Second

// A SessionMark is a session as a request came with it.
type SessionMark struct {
	ID [32]byte // session.ID
	// Generation and Epoch are those of session.Session.
	Generation, Epoch int64
}

// A Renewal is the change of a session's id when its user changed the second factor or the
// password. The old id may read until then, for the client that opened the session, while the
// session under the new id has not ended and the generation is the one of the renewal.
type Renewal struct {
	From, To [32]byte // session.ID
	Until    time.Time
}

// Bytes implements feed.Sized.
func (p *Principal) Bytes() int {
	n := len(p.UID) + len(p.Email) + len(p.Role) + len(p.State) + len(p.OwnerUID)
	if p.Username != nil {
		n += len(*p.Username)
	}
	return n
}

// AwaitsProof reports whether the account may do nothing yet but prove its address, sign in and
// out, and be looked at: anybody may have made it (design D27).
func (p *Principal) AwaitsProof() bool { return p.Unproved && p.State == StatePending }

// AwaitsProof is that of u's Principal.
func (u User) AwaitsProof() bool {
	p := u.Principal()
	return p.AwaitsProof()
}
