package policy

import (
	"context"
	"errors"
	"time"

	"barong/internal/feed"
)

// ErrNotFound says that there is no such row; ErrTaken that an equal one exists.
var (
	ErrNotFound = errors.New("policy: not found")
	ErrTaken    = errors.New("policy: taken")
)

// Actions of permissions, upper case as stored (AZ-140).
const (
	Accept = "ACCEPT"
	Drop   = "DROP"
	Audit  = "AUDIT"
)

// A Permission lets a role use a verb under a path, forbids it, or asks for its audit
// (AZ-140…146).
type Permission struct {
	ID          int64
	Action      string
	Role        string
	Verb        string // GET POST PUT PATCH DELETE HEAD OPTIONS or ALL
	Path        string // no leading slash
	Topic       string // of the activity an AUDIT row writes; "" derives it (AZ-162)
	LockVersion int64
	CreatedAt   time.Time
	UpdatedAt   time.Time
}

// Categories of restrictions, in the order in which they are looked at (AZ-40).
const (
	Whitelist   = "whitelist"
	Maintenance = "maintenance"
	Blacklist   = "blacklist"
	Blocklogin  = "blocklogin"
)

// Scopes of restrictions (AZ-41, design D6).
const (
	ScopeAll       = "all"
	ScopeIP        = "ip"
	ScopeSubnet    = "ip_subnet"
	ScopeCountry   = "country"
	ScopeContinent = "continent"
)

// A Restriction refuses or exempts clients by where they come from (AZ-40…51).
type Restriction struct {
	ID          int64
	Category    string
	Scope       string
	Value       string
	Code        int    // HTTP status of the denial
	State       string // enabled or disabled
	LockVersion int64
	CreatedAt   time.Time
	UpdatedAt   time.Time
}

// A Cut is a blocklogin rule's end of older sessions: those signed in before At from an
// address that Scope and Value match have ended (design D11).
type Cut struct {
	Scope, Value string
	At           time.Time
}

// Rows is everything in the database that a Snapshot is compiled from, read in one
// transaction. At is the newest commit that it includes.
type Rows struct {
	At           feed.Cursor
	Permissions  []Permission  // by id
	Restrictions []Restriction // by id, all states
	Cuts         []Cut
}

// Reader reads policy rows: committed ones, or those of a transaction when it is part of a Tx.
type Reader interface {
	// Permissions lists all, by id.
	Permissions(ctx context.Context) ([]Permission, error)
	// Restrictions lists all, by id.
	Restrictions(ctx context.Context) ([]Restriction, error)
}

// Tx is the store inside one transaction. Every write leaves a change-feed row
// (kind feed.Policy).
type Tx interface {
	Reader
	// AddPermission inserts p and fills ID, LockVersion and times; ErrTaken when a row with
	// its role, verb, path and action exists.
	AddPermission(ctx context.Context, p *Permission) error
	// PutPermission writes by ID if the row still has p.LockVersion, and gives it another;
	// ErrNotFound.
	PutPermission(ctx context.Context, p *Permission) error
	// DeletePermission removes by id; ErrNotFound.
	DeletePermission(ctx context.Context, id int64) error
	// AddRestriction inserts r and fills ID, LockVersion and times; ErrTaken when its
	// category, scope and value exist. An enabled blocklogin rule also ends the sessions it
	// matches: scope all raises the session epoch, others write a Cut (AZ-50, design D11).
	AddRestriction(ctx context.Context, r *Restriction) error
	// PutRestriction writes by ID if the row still has r.LockVersion; a blocklogin rule that
	// becomes enabled ends sessions as AddRestriction does. ErrNotFound, ErrTaken.
	PutRestriction(ctx context.Context, r *Restriction) error
	// DeleteRestriction removes by id; ErrNotFound.
	DeleteRestriction(ctx context.Context, id int64) error
}

// Store keeps policy rows, which transactions alone write. It is safe for concurrent use.
type Store interface {
	Reader
	// Rows reads all at one point in time.
	Rows(ctx context.Context) (Rows, error)
	// UpdatePolicy runs f in one transaction; an error from f undoes all of it.
	UpdatePolicy(ctx context.Context, f func(Tx) error) error
}
