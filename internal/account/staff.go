package account

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"barong/internal/audit"
	"barong/internal/invalid"
)

// Refusals of staff changes to accounts (AZ-195, design D24).
var (
	// ErrActorChanged says that the actor is gone, is not active any more, or has another role
	// than when the request was let in.
	ErrActorChanged = errors.New("account: the actor is not who was let in")
	// ErrSuperadminOnly says that only superadmins change, make and unmake superadmins.
	ErrSuperadminOnly = errors.New("account: only superadmins change superadmins")
	// ErrSelf says that nobody does this to the own account.
	ErrSelf = errors.New("account: nobody changes the own account this way")
	// ErrRank says that the user, or the role to be given, is not below the actor.
	ErrRank = errors.New("account: not of a lower rank")
	// ErrEmailSuperadmin says that only superadmins change e-mail addresses.
	ErrEmailSuperadmin = errors.New("account: only superadmins change e-mail addresses")
	// ErrLastSuperadmin says that no active superadmin would be left.
	ErrLastSuperadmin = errors.New("account: the last active superadmin")
)

// NoChange says that a field has the value already.
//
//nolint:errname // reads as a sentence where it is made and matched
type NoChange struct{ Field string }

func (e NoChange) Error() string { return "account: no change of " + e.Field }

// Tokens is the problem as the wire names it, below the name of the endpoint's noun.
func (e NoChange) Tokens() []string { return []string{"." + e.Field + "_no_change"} }

// topicUsers and actionUpdate mark the activities of staff changes to users.
const (
	topicUsers   = "users"
	actionUpdate = "update"
)

// A rank orders users by whom they may change (design D24).
type rank int

const (
	rankMember rank = iota
	rankStaff
	rankAdmin
	rankUnknown // of a role that nobody has placed: it may be able to do anything
	rankSuperadmin
)

// rank is that of a user with the role, now or to be. A role that neither the abilities nor the
// settings name is known from the permissions alone, so that only superadmins give it or change
// a user that has it.
func (s *Service) rank(role string) rank {
	switch {
	case role == RoleSuperadmin:
		return rankSuperadmin
	case role == RoleAdmin:
		return rankAdmin
	case slices.Contains(s.cfg.StaffRoles, role):
		return rankStaff
	case slices.Contains(s.cfg.MemberRoles, role):
		return rankMember
	}
	return rankUnknown
}

// power is the rank with which the role acts on others: a role that nobody has placed has none.
func (s *Service) power(role string) rank {
	if r := s.rank(role); r != rankUnknown {
		return r
	}
	return rankMember
}

// SetState gives the user uid a state by staff, beside the one that the labels give: the more
// restrictive of the two is the user's (effective). Active takes the state by staff away, and makes a
// user active that only lacks proofs; pending goes, too, where the labels give it. held are the private
// labels because of which the state is a more restrictive one than was asked for; nil where it is that.
// saveUser applies the effects of a state. Errors: those of byStaff, NoChange, Invalid (state.inclusion:
// neither pending nor active nor of a trigger).
func (s *Service) SetState(ctx context.Context, by Actor, uid, state string) (held []Label, err error) {
	err = s.byStaff(ctx, by, uid, func(tx Writer, _, u User) (User, error) {
		// A ban by staff may come on top of one by a label, which it outlives.
		if u.State == state && (MayAct(state) || u.AdminState == state) {
			return u, NoChange{"state"}
		}
		if !s.knownState(state) {
			return u, invalid.Field("state", "inclusion")
		}
		labels, err := tx.Labels(ctx, uid)
		if err != nil {
			return u, err
		}
		given := s.labelState(labels)
		u.AdminState = state
		if state == given && MayAct(state) || state == StateActive && !MayAct(given) {
			u.AdminState = ""
		}
		u.State = s.effective(u.AdminState, given)
		if held = nil; u.State != state {
			held = s.holding(labels, u.State)
		}
		return u, nil
	})
	if err != nil {
		return nil, fmt.Errorf("set state of %s: %w", uid, err)
	}
	return held, nil
}

func (s *Service) knownState(state string) bool {
	return MayAct(state) ||
		slices.ContainsFunc(s.cfg.Triggers, func(t Trigger) bool { return t.State == state })
}

// SwitchOffOTP takes the user's second factor away, for people who have lost it: one-time codes with
// their secret, recovery codes and label, and passkeys. API keys stop, sessions end. Errors: those of
// byStaff, NoChange.
func (s *Service) SwitchOffOTP(ctx context.Context, by Actor, uid string) error {
	err := s.byStaff(ctx, by, uid, func(tx Writer, _, u User) (User, error) {
		passkeys, err := tx.DeletePasskeys(ctx, uid)
		if err != nil {
			return u, err
		}
		if !u.OTP && passkeys == 0 {
			return u, NoChange{"otp"}
		}
		u.SessionGeneration++
		return u, tx.ForgetSecondFactor(ctx, &u)
	})
	if err != nil {
		return fmt.Errorf("switch off one-time codes of %s: %w", uid, err)
	}
	return nil
}

// SetEmail changes the user's address, which is folded first; sessions end. The state, the
// label email and the API keys stay. Errors: those of byStaff, ErrEmailSuperadmin, NoChange,
// Invalid.
func (s *Service) SetEmail(ctx context.Context, by Actor, uid, email string) error {
	email = FoldEmail(email)
	err := s.byStaff(ctx, by, uid, func(tx Writer, me, u User) (User, error) {
		if me.Role != RoleSuperadmin {
			return u, ErrEmailSuperadmin
		}
		if u.Email == email {
			return u, NoChange{"email"}
		}
		var p invalid.Fields
		p.Add("email", emailProblems(email)...)
		u.Email = email
		return u, p.Err()
	})
	if errors.Is(err, ErrTaken) {
		err = invalid.Field("email", "taken")
	}
	if err != nil {
		return fmt.Errorf("set e-mail of %s: %w", uid, err)
	}
	return nil
}

// SetRole gives the user a role that some permission has; sessions end. Superadmins give any, others those
// of a lower rank than their own, which one that nobody has placed is not. Errors:
// those of byStaff, Invalid (role.doesnt_exist), ErrSuperadminOnly and ErrRank also about the
// role, NoChange; Asked and ErrTooManyRequests where the role needs a second member of the staff.
func (s *Service) SetRole(ctx context.Context, by Actor, uid, role string) error {
	err := Asking(ctx, s.update, func(tx Writer) error {
		return tx.byStaff(ctx, by, uid, func(me, u User) (User, error) {
			if err := tx.mayGive(ctx, me, u, role); err != nil {
				return u, err
			}
			if action := s.grantAction(role); action != "" {
				return u, tx.askRole(ctx, by, action, u, role)
			}
			u.Role = role
			return u, nil
		})
	})
	if err != nil {
		return fmt.Errorf("set role of %s: %w", uid, err)
	}
	return nil
}

// mayGive returns the refusal that me would get for giving u the role, whatever the rank of u.
func (w Writer) mayGive(ctx context.Context, me, u User, role string) error {
	known, err := w.RoleExists(ctx, role)
	if err != nil {
		return err
	}
	if !known {
		return invalid.Field("role", "doesnt_exist")
	}
	if err := w.service.mayGrant(me, role); err != nil {
		return err
	}
	if u.Role == role {
		return NoChange{"role"}
	}
	return nil
}

// mayGrant is the rule of ranks about a role that me gives.
func (s *Service) mayGrant(me User, role string) error {
	switch mine, given := s.power(me.Role), s.rank(role); {
	case mine == rankSuperadmin:
		return nil
	case given == rankSuperadmin:
		return ErrSuperadminOnly
	case given >= mine:
		return ErrRank
	}
	return nil
}

// MayChange returns the refusal that every change of the user by the actor would meet, and nil if
// the change alone decides. Errors: those of Writer.MayChange.
func (s *Service) MayChange(ctx context.Context, by Actor, uid string) error {
	err := s.update(ctx, func(tx Writer) error { return tx.MayChange(ctx, by, uid) })
	if err != nil {
		return fmt.Errorf("may change %s: %w", uid, err)
	}
	return nil
}

// MayChange is Service.MayChange as of the transaction, in which both users stay as they are; it is for
// all that belongs to the user, too. Errors: ErrActorChanged, ErrNoUser, ErrSuperadminOnly, ErrSelf, ErrRank.
func (w Writer) MayChange(ctx context.Context, by Actor, uid string) error {
	me, u, err := w.pair(ctx, by, uid)
	if err != nil {
		return err
	}
	return w.service.mayChange(me, u)
}

// byStaff is Writer.byStaff in a transaction of its own.
func (s *Service) byStaff(
	ctx context.Context, by Actor, uid string, change func(tx Writer, me, u User) (User, error),
) error {
	return s.update(ctx, func(tx Writer) error {
		return tx.byStaff(ctx, by, uid, func(me, u User) (User, error) { return change(tx, me, u) })
	})
}

// byStaff changes one user for another, or for the operator, with the activity that records the
// change. change gets both as they are in the transaction and returns the user as it is to be. Errors:
// ErrActorChanged, ErrNoUser (nobody has uid), ErrSuperadminOnly, ErrSelf, ErrRank, then
// change's, ErrLastSuperadmin (of the operator's changes), ErrTaken.
func (w Writer) byStaff(ctx context.Context, by Actor, uid string, change func(me, u User) (User, error)) error {
	// Counting comes first: it makes changes by staff wait for each other, so that two
	// superadmins do not remove each other, nor two rows get locked crosswise.
	superadmins, err := w.CountUsers(ctx, RoleSuperadmin, StateActive)
	if err != nil {
		return err
	}
	me, before, err := w.pair(ctx, by, uid)
	if err != nil {
		return err
	}
	if err := w.service.mayChange(me, before); err != nil {
		return err
	}
	u, err := change(me, before)
	if err != nil {
		return err
	}
	// Staff need no look at the number: only an active superadmin changes another one.
	if by.Operator != "" && superadmins == 1 && activeSuperadmin(before) && !activeSuperadmin(u) {
		return ErrLastSuperadmin
	}
	if err := w.SaveUser(ctx, before, &u); err != nil {
		return err
	}
	return w.AddActivity(ctx, w.service.staffActivity(by, before, u))
}

// pair loads the actor and the user uid as they are in the transaction; the operator may do as
// superadmins may. Errors: ErrActorChanged, ErrNoUser (nobody has uid).
func (w Writer) pair(ctx context.Context, by Actor, uid string) (me, u User, err error) {
	if by.Operator != "" {
		u, err = w.User(ctx, uid)
		return User{Role: RoleSuperadmin, State: StateActive}, u, err
	}
	me, err = w.User(ctx, by.UID)
	if errors.Is(err, ErrNoUser) || err == nil && (me.State != StateActive || me.Role != by.Role) {
		return User{}, User{}, ErrActorChanged
	}
	if err != nil || uid == by.UID {
		return me, me, err
	}
	u, err = w.User(ctx, uid)
	return me, u, err
}

// mayChange is the rule of ranks, its refusals in the reference's order.
func (s *Service) mayChange(me, u User) error {
	switch {
	case u.Role == RoleSuperadmin && me.Role != RoleSuperadmin:
		return ErrSuperadminOnly
	case u.UID == me.UID:
		return ErrSelf
	case me.Role != RoleSuperadmin && s.rank(u.Role) >= s.power(me.Role):
		return ErrRank
	}
	return nil
}

func activeSuperadmin(u User) bool { return u.Role == RoleSuperadmin && u.State == StateActive }

// userNote is the record in activities of a user that staff changed: the fields that differ. It
// keeps an old address known.
type userNote struct {
	State string `json:"state,omitempty"`
	Staff string `json:"admin_state,omitempty"` // where the state stays
	OTP   *bool  `json:"otp,omitempty"`
	Email string `json:"email,omitempty"`
	Role  string `json:"role,omitempty"`
}

func noteOf(u, other User) (n userNote) {
	if u.State != other.State {
		n.State = u.State
	} else if u.AdminState != other.AdminState {
		n.Staff = u.AdminState
	}
	if u.OTP != other.OTP {
		n.OTP = &u.OTP
	}
	if u.Email != other.Email {
		n.Email = u.Email
	}
	if u.Role != other.Role {
		n.Role = u.Role
	}
	return n
}

func (s *Service) staffActivity(by Actor, before, after User) audit.Activity {
	return by.AboutUser(s.now(), topicUsers, actionUpdate, after.UID, struct {
		Before userNote `json:"before"`
		After  userNote `json:"after"`
	}{noteOf(before, after), noteOf(after, before)})
}

// AboutUser is the activity of a change by staff of something of the user uid. The note goes
// into its data as JSON, which it must have.
func (by Actor) AboutUser(at time.Time, topic, action, uid string, note any) audit.Activity {
	a := by.Activity(at, topic, action, audit.Succeed, "")
	a.Category, a.TargetUID = audit.CategoryAdmin, uid
	data, _ := json.Marshal(note)
	a.Data = string(data)
	return a
}
