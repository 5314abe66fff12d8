package account

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"barong/internal/audit"
	"barong/internal/event"
)

// Actions that may need a second member of the staff, as the setting four_eyes names them.
const (
	// ActionStaffRole is the grant of a role above member, ActionSuperadmin that of superadmin.
	ActionStaffRole  = "staff_role"
	ActionSuperadmin = "superadmin"
	// ActionPermissions and ActionRestrictions are the changes of such rows that turn verdicts for more
	// principals than FourEyes.Principals.
	ActionPermissions  = "permissions"
	ActionRestrictions = "restrictions"
	// ActionRevokeAll ends every session of everybody.
	ActionRevokeAll = "revoke_all"
)

// RequestActions are all of them.
func RequestActions() []string {
	return []string{ActionStaffRole, ActionSuperadmin, ActionPermissions, ActionRestrictions, ActionRevokeAll}
}

// FourEyes says which actions need a second member of the staff; the zero value says none.
type FourEyes struct {
	Actions []string
	// Principals is how many principals a change of the policy may concern without a second member.
	Principals int
}

// Needs reports whether an action needs a second member.
func (f FourEyes) Needs(action string) bool { return slices.Contains(f.Actions, action) }

// String names the rules: two that say the same have one name.
func (f FourEyes) String() string {
	actions := slices.Sorted(slices.Values(f.Actions))
	return strings.Join(slices.Compact(actions), ",") + " above " + strconv.Itoa(f.Principals)
}

// States of requests.
const (
	RequestOpen      = "open"
	RequestConfirmed = "confirmed"
	RequestRefused   = "refused"
	RequestLapsed    = "lapsed"
)

// RequestStates are all of them.
func RequestStates() []string {
	return []string{RequestOpen, RequestConfirmed, RequestRefused, RequestLapsed}
}

// Reasons of requests that lapsed.
const (
	LapsedByTime     = "time"     // nobody confirmed it in RequestLife
	LapsedByTarget   = "target"   // its target is not as the asker saw it
	LapsedByAsker    = "asker"    // the asker may not do it any more
	LapsedBySettings = "settings" // the setting four_eyes is another
)

// RequestLife is the time in which a request is confirmed or lapses, MostRequests how many open ones an
// asker may have.
const (
	RequestLife  = 24 * time.Hour
	MostRequests = 20
)

// Refusals of requests.
var (
	// ErrNoRequest says that there is no such request.
	ErrNoRequest = fmt.Errorf("account: request: %w", ErrNotFound)
	// ErrRequestClosed says that a request was decided, or that its time is over.
	ErrRequestClosed = errors.New("account: the request is not open")
	// ErrTooManyRequests says that the asker has MostRequests open ones.
	ErrTooManyRequests = errors.New("account: too many open requests")
	// ErrFourEyes says that a change needs a second member of the staff and cannot wait for one.
	ErrFourEyes = errors.New("account: it needs a second member of the staff")
	// ErrTargetChanged says that the target of a request is not as the asker saw it.
	ErrTargetChanged = errors.New("account: the target has changed since the request")
	// ErrAskerLost says that the asker of a request may not do it any more.
	ErrAskerLost = errors.New("account: the asker may not do it any more")
)

// A Request is a change that waits for a second member of the staff, or did.
type Request struct {
	ID     int64
	Action string
	// AskerKind is user, service or operator; Asker a uid, the names of peer services or a command.
	AskerKind, Asker string
	AskerRole        string // of a user, at asking
	TargetUID        string // of the user whom it is about, "" for none
	// Content is the change, Seen its target at asking and Preview its effect at asking, each as JSON or
	// "": the package that carries the change out reads them.
	Content, Seen, Preview string
	// Rules is FourEyes.String at asking.
	Rules string
	State string
	// Reason is that of one that lapsed, Decider the uid of the user that confirmed or refused it.
	Reason, Decider      string
	CreatedAt, ExpiresAt time.Time
	DecidedAt            time.Time // zero while it is open
}

// OfUser reports whether a user asked, as opposed to a peer service or a command.
func (r Request) OfUser() bool { return r.AskerKind == string(KindUser) }

// OfService reports whether peer services asked.
func (r Request) OfService() bool { return r.AskerKind == kindService }

// Over reports whether its time is over at a moment of the database's clock.
func (r Request) Over(now time.Time) bool { return !now.Before(r.ExpiresAt) }

// A RequestQuery selects a page of requests, the newest first.
type RequestQuery struct {
	State, Action, Asker string // "" matches any
	Limit, Offset        int
}

// requestReader is the part of Reader about requests.
type requestReader interface {
	// Request loads one; ErrNoRequest. In a transaction nobody else decides it.
	Request(ctx context.Context, id int64) (Request, error)
	// RequestPage returns a page, and how many there are in all.
	RequestPage(ctx context.Context, q RequestQuery) ([]Request, int, error)
	// OverdueRequests lists open requests whose time is over by the database's clock, at most limit.
	OverdueRequests(ctx context.Context, limit int) ([]Request, error)
}

// requestWriter is the part of Tx about requests.
type requestWriter interface {
	// AddRequest inserts an open request that is over after life by the database's clock, and fills ID,
	// State and times; ErrTooManyRequests when its asker has most open ones.
	AddRequest(ctx context.Context, r *Request, life time.Duration, most int) error
	// CloseRequest writes State, Reason and Decider of an open request by ID, and fills DecidedAt. Its time
	// is not over by the database's clock, but of one that lapses by time it is; ErrRequestClosed.
	CloseRequest(ctx context.Context, r *Request) error
}

// Asked is the error of a change that was not made: it waits as a request.
//
//nolint:errname // reads as a sentence where it is made and matched
type Asked struct{ Request }

func (a Asked) Error() string {
	return fmt.Sprintf("account: request %d waits for a second member of the staff", a.ID)
}

// Asking runs f in a transaction by run. An Asked of f undoes nothing and is returned after the commit.
func Asking[T any](ctx context.Context, run func(context.Context, func(T) error) error, f func(T) error) error {
	var waits error
	err := run(ctx, func(tx T) error {
		waits = nil
		err := f(tx)
		if asked, ok := errors.AsType[Asked](err); ok {
			waits = asked
			return nil
		}
		return err
	})
	if err != nil {
		return err
	}
	return waits
}

// FourEyes are the rules by which changes wait for a second member of the staff.
func (s *Service) FourEyes() FourEyes { return s.cfg.FourEyes }

// Ask keeps a change of the actor's as an open request, of which the caller gives Action, TargetUID, Content,
// Seen and Preview. It returns Asked, which Asking lets commit. Errors beside it: ErrTooManyRequests.
func (w Writer) Ask(ctx context.Context, by Actor, r Request) error {
	r.AskerKind, r.Asker, r.AskerRole = string(KindUser), by.UID, by.Role
	switch {
	case by.Operator != "":
		r.AskerKind, r.Asker, r.AskerRole = kindOperator, by.Operator, ""
	case by.Service != "":
		r.AskerKind, r.Asker, r.AskerRole = kindService, by.Service, ""
	}
	r.Rules = w.service.cfg.FourEyes.String()
	if err := w.AddRequest(ctx, &r, RequestLife, MostRequests); err != nil {
		return err
	}
	if err := w.recordRequest(ctx, by, r); err != nil {
		return err
	}
	return Asked{r}
}

// Decide closes an open request as its State, Reason and Decider say, and fills DecidedAt. Errors:
// ErrRequestClosed.
func (w Writer) Decide(ctx context.Context, by Actor, r *Request) error {
	if err := w.CloseRequest(ctx, r); err != nil {
		return err
	}
	return w.recordRequest(ctx, by, *r)
}

// topicRequests marks the activities of requests.
const topicRequests = "requests"

// requestVerbs are the actions of activities about requests, by the state that they give.
var requestVerbs = map[string]string{
	RequestOpen: "ask", RequestConfirmed: "confirm", RequestRefused: "refuse", RequestLapsed: "lapse",
}

// requestNote is the record of a request in activities.
type requestNote struct {
	ID      int64           `json:"request"`
	Action  string          `json:"action"`
	Asker   string          `json:"asked_by"`
	Content json.RawMessage `json:"content,omitempty"`
	Seen    json.RawMessage `json:"seen,omitempty"`
	Reason  string          `json:"reason,omitempty"`
}

// recordRequest writes the activity and the event of a request that was asked for or decided.
func (w Writer) recordRequest(ctx context.Context, by Actor, r Request) error {
	a := by.Activity(w.service.now(), topicRequests, requestVerbs[r.State], audit.Succeed, "")
	a.Category, a.TargetUID = audit.CategoryAdmin, r.TargetUID
	note, err := json.Marshal(requestNote{
		r.ID, r.Action, r.Asker, json.RawMessage(r.Content), json.RawMessage(r.Seen), r.Reason,
	})
	if err != nil {
		return fmt.Errorf("record request: %w", err)
	}
	a.Data = string(note)
	if err := w.AddActivity(ctx, a); err != nil {
		return err
	}
	err = w.Emit(ctx, event.RequestChanged(event.Request{
		ID: r.ID, Action: r.Action, AskerKind: r.AskerKind, Asker: r.Asker, TargetUID: r.TargetUID, State: r.State,
		Reason: r.Reason, Decider: r.Decider, CreatedAt: event.Time(r.CreatedAt), ExpiresAt: event.Time(r.ExpiresAt),
	}))
	if err != nil {
		return fmt.Errorf("emit change of request: %w", err)
	}
	return nil
}

// roleAsked is the content of requests for a role, userSeen their target at asking.
type (
	roleAsked struct {
		Role string `json:"role"`
	}
	userSeen struct {
		Role  string `json:"role"`
		State string `json:"state"`
	}
)

// grantAction is the action that the grant of a role is, "" if it needs no second member of the staff.
func (s *Service) grantAction(role string) string {
	eyes := s.cfg.FourEyes
	switch {
	case role == RoleSuperadmin && eyes.Needs(ActionSuperadmin):
		return ActionSuperadmin
	case s.AboveMember(role) && eyes.Needs(ActionStaffRole):
		return ActionStaffRole
	}
	return ""
}

// askRole asks for a role of u.
func (w Writer) askRole(ctx context.Context, by Actor, action string, u User, role string) error {
	content, err := json.Marshal(roleAsked{role})
	if err != nil {
		return fmt.Errorf("ask for a role: %w", err)
	}
	seen, err := json.Marshal(userSeen{u.Role, u.State})
	if err != nil {
		return fmt.Errorf("ask for a role: %w", err)
	}
	return w.Ask(ctx, by, Request{Action: action, TargetUID: u.UID, Content: string(content), Seen: string(seen)})
}

// GiveAsked gives the role of a request, which the actor confirms; the request is decided by the caller.
// Errors: those of SetRole about the actor, ErrTargetChanged, ErrAskerLost.
func (w Writer) GiveAsked(ctx context.Context, by Actor, r Request) error {
	return w.byStaff(ctx, by, r.TargetUID, func(me, u User) (User, error) {
		role, err := w.roleOf(ctx, r, u)
		if err != nil {
			return u, err
		}
		if err := w.mayGive(ctx, me, u, role); err != nil {
			return u, err
		}
		u.Role = role
		return u, nil
	})
}

// MayGiveAsked returns the refusal that the actor would get of GiveAsked because of its own rank.
func (w Writer) MayGiveAsked(ctx context.Context, by Actor, r Request) error {
	me, u, err := w.pair(ctx, by, r.TargetUID)
	if err != nil {
		return err
	}
	if err := w.service.mayChange(me, u); err != nil {
		return err
	}
	var asked roleAsked
	if err := json.Unmarshal([]byte(r.Content), &asked); err != nil {
		return fmt.Errorf("read request %d: %w", r.ID, err)
	}
	return w.service.mayGrant(me, asked.Role)
}

// roleOf is the role that a request is for, if its target u and its asker are still as they were.
func (w Writer) roleOf(ctx context.Context, r Request, u User) (string, error) {
	var asked roleAsked
	var seen userSeen
	if err := errors.Join(json.Unmarshal([]byte(r.Content), &asked), json.Unmarshal([]byte(r.Seen), &seen)); err != nil {
		return "", fmt.Errorf("read request %d: %w", r.ID, err)
	}
	if (seen != userSeen{u.Role, u.State}) {
		return "", ErrTargetChanged
	}
	if !r.OfUser() {
		return asked.Role, nil
	}
	asker, err := w.User(ctx, r.Asker)
	if err != nil && !errors.Is(err, ErrNoUser) {
		return "", err
	}
	if err != nil || asker.State != StateActive || asker.Role != r.AskerRole ||
		w.service.mayChange(asker, u) != nil || w.service.mayGrant(asker, asked.Role) != nil {
		return "", ErrAskerLost
	}
	return asked.Role, nil
}

// RevokeAsked ends every session of everybody for a request, which the actor, a superadmin, confirms; the
// request is decided by the caller. Errors: ErrActorChanged, ErrSuperadminOnly.
func (w Writer) RevokeAsked(ctx context.Context, by Actor) error {
	if err := w.MayRevokeAsked(ctx, by); err != nil {
		return err
	}
	_, err := w.revokeAll(ctx, by)
	return err
}

// MayRevokeAsked returns the refusal that the actor would get of RevokeAsked.
func (w Writer) MayRevokeAsked(ctx context.Context, by Actor) error {
	me, _, err := w.pair(ctx, by, by.UID)
	if err == nil && me.Role != RoleSuperadmin {
		err = ErrSuperadminOnly
	}
	return err
}
