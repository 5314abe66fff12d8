// Package editor owns the rules of changing the policy: the form of a row, the callers that must
// not be locked out, and the activity that each change leaves in its own transaction. It also
// previews changes, and owns whitelinks. Decisions do not go through it.
package editor

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"barong/internal/account"
	"barong/internal/audit"
	"barong/internal/feed"
	"barong/policy"
)

// Paths of this service, folded.
const (
	root = "api/v2/"
	own  = "api/v2/barong/"
)

// Refusals of a Service, beside ErrNotFound, ErrTaken and Invalid.
var (
	// ErrStale says that the row is not of the lock version that the caller has seen.
	ErrStale = errors.New("policy: the row has changed meanwhile")
	// ErrWouldLockOut says that the caller, or every superadmin, could not put the change
	// right. Edit.Force goes on all the same.
	ErrWouldLockOut = errors.New("policy: would lock out who changes it")
	// ErrLastSuperadmin says that no ACCEPT row would be left by which superadmins reach the
	// permissions. Nothing forces that.
	ErrLastSuperadmin = errors.New("policy: the last superadmin ACCEPT row")
	// ErrRoleInUse says that accounts have the role whose last row would go (FX-44).
	ErrRoleInUse = errors.New("policy: accounts have the role")
	// ErrWhitelink says that a whitelink is unknown, used up or too old.
	ErrWhitelink = errors.New("policy: no such whitelink")
	// ErrWhitelinkUsed is the ErrWhitelink of one that is used up and not yet too old.
	ErrWhitelinkUsed = fmt.Errorf("%w: used up", ErrWhitelink)
	// ErrBehind says that a policy version has not been reached in time, ErrLost that the
	// database does not have it any more.
	ErrBehind = errors.New("policy: version not reached")
	ErrLost   = errors.New("policy: version lost")
)

// A Tx is the store inside one transaction of a Service.
type Tx interface {
	policy.Tx
	account.Tx
	// LockPolicy makes other transactions that write policy rows wait for this one.
	LockPolicy(ctx context.Context) error
	// NextChange returns the place in the change feed that this transaction's changes have.
	// From here on all others that change a verdict wait for it: call it last.
	NextChange(ctx context.Context) (feed.Cursor, error)
	// RoleInUse reports whether a user or service account has the role.
	RoleInUse(ctx context.Context, role string) (bool, error)
	// CountPrincipals counts users and service accounts of a role, "" for all, up to a number.
	CountPrincipals(ctx context.Context, role string, atMost int) (int, error)
	// AddWhitelink keeps a link, and forgets those that have expired.
	AddWhitelink(ctx context.Context, w Whitelink) error
	// UseWhitelink takes one use of the link with this hash, if any is left at now, and
	// returns the link as it then is; ErrWhitelink, ErrWhitelinkUsed.
	UseWhitelink(ctx context.Context, hash [32]byte, now time.Time) (Whitelink, error)
}

// A Store is the Store of a Service: reads, and the transactions in which alone it writes.
type Store interface {
	policy.Reader
	// Rows reads all at one point in time.
	Rows(ctx context.Context) (policy.Rows, error)
	// RoleInUse reports whether a user or service account has the role.
	RoleInUse(ctx context.Context, role string) (bool, error)
	// PermissionPage and RestrictionPage list rows, and count all that match.
	PermissionPage(ctx context.Context, q PermissionQuery) ([]policy.Permission, int, error)
	RestrictionPage(ctx context.Context, q RestrictionQuery) ([]policy.Restriction, int, error)
	// Includes reports whether a commit is part of the database's history: nil,
	// feed.ErrHistory, or feed.ErrPruned where it is too old to say.
	Includes(ctx context.Context, c feed.Cursor) error
	// ChangePolicy runs f in one transaction, again when the engine asks for it; an error
	// from f undoes all of it.
	ChangePolicy(ctx context.Context, f func(Tx) error) error
}

// An Order is that of a list; rows that are equal in it are in the order of their ids.
type Order struct {
	By   string // a column; "" is id
	Desc bool
}

// A Service holds the rules of changing the policy: the form of a row, the callers that must not
// be locked out, and that every change leaves an activity with the row before and after in the
// same transaction. Changes are made one after the other, so that two of them cannot both
// rest on a row that the other takes away. It is safe for concurrent use.
type Service struct {
	store Store
	rules *policy.Holder
	uses  int
	now   func() time.Time
	eyes  *account.Service // keeps changes that need a second member of the staff; nil needs none
}

// NewService makes a Service. whitelinkUses is how many addresses one link admits, at least
// 1 (FX-25); now may be nil for time.Now.
func NewService(store Store, rules *policy.Holder, whitelinkUses int, now func() time.Time) *Service {
	if now == nil {
		now = time.Now
	}
	return &Service{store: store, rules: rules, uses: max(whitelinkUses, 1), now: now}
}

// UnderFourEyes has changes wait for a second member of the staff by the rules of accounts. It returns s,
// which is not in use yet.
func (s *Service) UnderFourEyes(accounts *account.Service) *Service {
	s.eyes = accounts
	return s
}

// An Edit is the actor that changes a row and the condition.
type Edit struct {
	By account.Actor
	// Seen are the lock versions that the row may have; nil means any.
	Seen []int64
	// Force goes on where ErrWouldLockOut would stop. Only superadmins may, whose sessions can undo it
	// (design D24), and the operator.
	Force bool
}

func (e Edit) forces() bool {
	return e.Force && (e.By.Role == account.RoleSuperadmin || e.By.Operator != "")
}

// sees is ErrStale unless the row may have this lock version.
func (e Edit) sees(version int64) error {
	if e.Seen == nil {
		return nil
	}
	for _, v := range e.Seen {
		if v == version {
			return nil
		}
	}
	return ErrStale
}

// Version is that of the snapshot that this process decides by, the zero one before the first.
func (s *Service) Version() feed.Cursor {
	if snapshot := s.rules.Load(); snapshot != nil {
		return snapshot.At()
	}
	return feed.Cursor{}
}

// Await returns when this process decides by the version or a later one: ErrBehind when that
// takes longer than atMost, ErrLost when the database does not have the version. One that is
// too old to be known counts as reached.
func (s *Service) Await(ctx context.Context, version feed.Cursor, atMost time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, atMost)
	defer cancel()
	err := s.rules.Until(ctx, func(snapshot *policy.Snapshot) (bool, error) {
		at := snapshot.At()
		if at.Same(version) {
			return true, nil
		}
		err := s.store.Includes(ctx, version)
		if err != nil || at.Seq < version.Seq {
			return false, err
		}
		// The snapshot may be of a history in which that number was another commit's.
		switch err := s.store.Includes(ctx, at); {
		case errors.Is(err, feed.ErrGap):
			return false, nil
		case err != nil:
			return false, err
		}
		return true, nil
	})
	switch {
	case errors.Is(err, feed.ErrPruned):
		return nil
	case errors.Is(err, feed.ErrHistory):
		return ErrLost
	case ctx.Err() != nil:
		return ErrBehind
	}
	return err
}

// compile makes a snapshot of rows as this process would read them.
func (s *Service) compile(rows policy.Rows) *policy.Snapshot {
	rules, options := s.rules.Configured()
	snapshot, _ := policy.Compile(rows, rules, options)
	return snapshot
}

// activity is that of a change; data is shown as JSON.
func (s *Service) activity(by account.Actor, topic, action string, data any) audit.Activity {
	a := by.Activity(s.now(), topic, action, audit.Succeed, "")
	a.Category = audit.CategoryAdmin
	text, err := json.Marshal(data)
	if err != nil { // our own types, of text and numbers
		panic(fmt.Errorf("encode activity: %w", err))
	}
	a.Data = string(text)
	return a
}
