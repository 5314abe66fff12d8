package approval

import (
	"context"
	"errors"
	"fmt"

	"barong/internal/account"
	"barong/internal/factor"
	"barong/policy/ability"
	"barong/policy/editor"
)

// Refusals of a Service, beside those of accounts.
var (
	// ErrOwn says that nobody confirms their own request.
	ErrOwn = errors.New("approval: their own request")
	// ErrNotPermitted says that the actor could not ask for the change: it lacks the ability, the
	// permission or the second factor for it.
	ErrNotPermitted = errors.New("approval: the actor could not ask for it")
	// ErrRulesChanged says that the rules of four eyes are not those by which the request was asked for.
	ErrRulesChanged = errors.New("approval: the rules have changed since the request")
)

// A Reader reads requests.
type Reader interface {
	Request(ctx context.Context, id int64) (account.Request, error)
	RequestPage(ctx context.Context, q account.RequestQuery) ([]account.Request, int, error)
	OverdueRequests(ctx context.Context, limit int) ([]account.Request, error)
}

// A Tx is the store inside one transaction.
type Tx interface {
	editor.Tx
	// Passkeys lists a user's.
	Passkeys(ctx context.Context, uid string) ([]factor.Passkey, error)
}

// A Service decides about requests. It is safe for concurrent use.
type Service struct {
	parts Parts
}

// Parts are the parts that a Service works with.
type Parts struct {
	Accounts *account.Service
	Policy   *editor.Service
	Rows     Reader
	// Update runs f in one transaction, again when the engine asks for it; an error of f undoes it.
	Update func(ctx context.Context, f func(Tx) error) error
	// Can reports whether a role has an ability, Permits whether its permissions admit to a canonical path.
	Can     func(role string, action ability.Action, subject string) bool
	Permits func(role, method, path string) bool
	// Trusts reports whether peer services, by their names with commas between, may still give roles.
	Trusts func(names string) bool
	// Require2FA wants a second factor of staff.
	Require2FA bool
}

// NewService makes a service.
func NewService(p Parts) *Service { return &Service{p} }

// Page lists requests, the newest first, and counts all that match.
func (s *Service) Page(ctx context.Context, q account.RequestQuery) ([]account.Request, int, error) {
	return s.parts.Rows.RequestPage(ctx, q)
}

// Request loads one; account.ErrNoRequest.
func (s *Service) Request(ctx context.Context, id int64) (account.Request, error) {
	return s.parts.Rows.Request(ctx, id)
}

// Previews are those of editor.Service.PreviewAsked.
func (s *Service) Previews(ctx context.Context, by account.Actor, r account.Request) (then, now *editor.Preview, err error) {
	return s.parts.Policy.PreviewAsked(ctx, by, r)
}

// Confirm has the change of an open request made, in the transaction that closes it, if the actor and
// the asker may both make it now and its target and the rules are as they were. Where they are not, or the asker may not, the
// request lapses. Errors, in order: account.ErrNoRequest, account.ErrRequestClosed, ErrOwn, those of the
// actor (ErrNotPermitted, account.ErrActorChanged, ErrSuperadminOnly, ErrSelf, ErrRank), ErrRulesChanged,
// account.ErrAskerLost, account.ErrTargetChanged, those of the change.
func (s *Service) Confirm(ctx context.Context, by account.Actor, id int64) (r account.Request, err error) {
	err = s.decide(ctx, id, func(tx Tx, w account.Writer, open account.Request) error {
		r = open
		if r.OfUser() && r.Asker == by.UID {
			return ErrOwn
		}
		if err := s.may(ctx, tx, w, by, r); err != nil {
			return err
		}
		if eyes := s.parts.Accounts.FourEyes(); r.Rules != eyes.String() || !eyes.Needs(r.Action) {
			return ErrRulesChanged
		}
		if err := s.askerMay(ctx, tx, r); err != nil {
			return err
		}
		r.State, r.Decider = account.RequestConfirmed, by.UID
		if err := w.Decide(ctx, by, &r); err != nil {
			return err
		}
		return s.carryOut(ctx, tx, w, by, r)
	})
	if reason := lapsing(err); reason != "" {
		if lapsed := s.lapse(ctx, by, id, reason); lapsed != nil && !errors.Is(lapsed, account.ErrRequestClosed) {
			err = errors.Join(err, lapsed)
		}
	}
	if err != nil {
		return account.Request{}, fmt.Errorf("confirm request %d: %w", id, err)
	}
	return r, nil
}

// Refuse closes an open request without its change. The asker may, and everybody that may confirm it.
// Errors: as Confirm, up to those of the actor, but for ErrOwn.
func (s *Service) Refuse(ctx context.Context, by account.Actor, id int64) (r account.Request, err error) {
	err = s.decide(ctx, id, func(tx Tx, w account.Writer, open account.Request) error {
		r = open
		if !r.OfUser() || r.Asker != by.UID {
			if err := s.may(ctx, tx, w, by, r); err != nil && !errors.Is(err, account.ErrNoUser) {
				return err
			}
		}
		r.State, r.Decider = account.RequestRefused, by.UID
		return w.Decide(ctx, by, &r)
	})
	if err != nil {
		return account.Request{}, fmt.Errorf("refuse request %d: %w", id, err)
	}
	return r, nil
}

// decide runs f about an open request, which nobody else decides meanwhile. Locks are taken in the order
// in which changes take them.
func (s *Service) decide(ctx context.Context, id int64, f func(Tx, account.Writer, account.Request) error) error {
	return s.parts.Update(ctx, func(tx Tx) error {
		if err := tx.LockPolicy(ctx); err != nil {
			return err
		}
		if _, err := tx.CountUsers(ctx, account.RoleSuperadmin, account.StateActive); err != nil {
			return err
		}
		r, err := tx.Request(ctx, id)
		if err != nil {
			return err
		}
		if r.State != account.RequestOpen {
			return account.ErrRequestClosed
		}
		return f(tx, s.parts.Accounts.In(tx), r)
	})
}

// A right is the place of a change in the admin API.
type right struct {
	action        ability.Action
	subject       string
	method, path  string
	operatorsOnly bool // no endpoint makes it
}

// rightTo is the right to the change of a request.
func rightTo(r account.Request) (right, error) {
	switch r.Action {
	case account.ActionStaffRole, account.ActionSuperadmin:
		return right{ability.Update, ability.SubjectUser, "POST", "api/v2/barong/admin/users/role", false}, nil
	case account.ActionRevokeAll:
		return right{operatorsOnly: true}, nil
	}
	subject, path := ability.SubjectPermission, "api/v2/barong/admin/permissions"
	if r.Action == account.ActionRestrictions {
		subject, path = ability.SubjectRestriction, "api/v2/barong/admin/restrictions"
	}
	switch editor.AskedOperation(r) {
	case "create":
		return right{ability.Create, subject, "POST", path, false}, nil
	case "update":
		return right{ability.Update, subject, "PUT", path, false}, nil
	case "delete":
		return right{ability.Destroy, subject, "DELETE", path, false}, nil
	}
	return right{}, fmt.Errorf("approval: unknown action %q", r.Action)
}

// may returns the refusal that the actor would get for the change of r because of itself.
func (s *Service) may(ctx context.Context, tx Tx, w account.Writer, by account.Actor, r account.Request) error {
	ok, err := s.fit(ctx, tx, by.UID, by.Role, r)
	if err != nil {
		return err
	}
	if !ok {
		return ErrNotPermitted
	}
	switch r.Action {
	case account.ActionRevokeAll:
		return w.MayRevokeAsked(ctx, by)
	case account.ActionPermissions, account.ActionRestrictions:
		return nil
	}
	return w.MayGiveAsked(ctx, by, r)
}

// askerMay returns account.ErrAskerLost if the asker could not ask for it any more. Its rank is judged by
// the change.
func (s *Service) askerMay(ctx context.Context, tx Tx, r account.Request) error {
	ok, err := true, error(nil)
	switch {
	case r.OfUser():
		ok, err = s.fit(ctx, tx, r.Asker, r.AskerRole, r)
	case r.OfService():
		ok = s.parts.Trusts(r.Asker)
	}
	if err == nil && !ok {
		err = account.ErrAskerLost
	}
	return err
}

// fit reports whether a user is an active one of the role, with a second factor where staff need one,
// and the role may make the change of r.
func (s *Service) fit(ctx context.Context, tx Tx, uid, role string, r account.Request) (bool, error) {
	to, err := rightTo(r)
	if err != nil {
		return false, err
	}
	u, err := tx.User(ctx, uid)
	if errors.Is(err, account.ErrNoUser) {
		return false, nil
	}
	if err != nil || u.State != account.StateActive || u.Role != role {
		return false, err
	}
	if s.parts.Require2FA && !u.OTP {
		held, err := tx.Passkeys(ctx, uid)
		if err != nil || len(held) == 0 {
			return false, err
		}
	}
	return to.operatorsOnly || s.parts.Can(role, to.action, to.subject) && s.parts.Permits(role, to.method, to.path), nil
}

// carryOut makes the change of a request.
func (s *Service) carryOut(ctx context.Context, tx Tx, w account.Writer, by account.Actor, r account.Request) error {
	switch r.Action {
	case account.ActionRevokeAll:
		return w.RevokeAsked(ctx, by)
	case account.ActionPermissions, account.ActionRestrictions:
		return s.parts.Policy.ChangeAsked(ctx, tx, by, r)
	}
	return w.GiveAsked(ctx, by, r)
}

// lapsing is the reason for which a request lapses after an error of its confirmation, "" if it stays.
func lapsing(err error) string {
	switch {
	case errors.Is(err, ErrRulesChanged):
		return account.LapsedBySettings
	case errors.Is(err, account.ErrAskerLost):
		return account.LapsedByAsker
	case errors.Is(err, account.ErrTargetChanged), errors.Is(err, account.ErrNoUser):
		return account.LapsedByTarget
	}
	return ""
}

// lapse closes an open request without its change. Errors: account.ErrRequestClosed.
func (s *Service) lapse(ctx context.Context, by account.Actor, id int64, reason string) error {
	return s.decide(ctx, id, func(_ Tx, w account.Writer, r account.Request) error {
		r.State, r.Reason = account.RequestLapsed, reason
		return w.Decide(ctx, by, &r)
	})
}

// overdueAtOnce is how many requests one LapseOverdue closes.
const overdueAtOnce = 100

// LapseOverdue closes open requests whose time is over, and returns how many. Any number of processes may
// call it at any time.
func (s *Service) LapseOverdue(ctx context.Context) (n int, err error) {
	overdue, err := s.parts.Rows.OverdueRequests(ctx, overdueAtOnce)
	if err != nil {
		return 0, err
	}
	for _, r := range overdue {
		err := s.lapse(ctx, account.Operator("serve"), r.ID, account.LapsedByTime)
		if errors.Is(err, account.ErrRequestClosed) {
			continue // by another process
		}
		if err != nil {
			return n, fmt.Errorf("lapse request %d: %w", r.ID, err)
		}
		n++
	}
	return n, nil
}
