package admin

import (
	"context"
	"errors"
	"net/http"

	"barong/internal/account"
	"barong/internal/invalid"
	"barong/internal/limit"
	"barong/internal/rest"
	"barong/policy/ability"
)

// Accounts is this package's part of account.Service. Every method refuses with
// account.ErrActorChanged, ErrNotFound, ErrSuperadminOnly, ErrSelf and ErrRank.
type Accounts interface {
	// SetState: NoChange, Invalid, ErrLastSuperadmin.
	SetState(ctx context.Context, by account.Actor, uid, state string) error
	// SetOTP: ErrEnableOTP, NoChange.
	SetOTP(ctx context.Context, by account.Actor, uid string, on bool) error
	// SetEmail: ErrEmailSuperadmin, NoChange, Invalid.
	SetEmail(ctx context.Context, by account.Actor, uid, email string) error
	// SetRole: NoChange, Invalid, ErrLastSuperadmin.
	SetRole(ctx context.Context, by account.Actor, uid, role string) error
}

type userChange struct {
	UID   string  `name:"uid" rule:"required,nonblank"`
	State *string `name:"state" rule:"nonblank" oneof:"admin.user.one_of_state_otp_email" doc:"pending, active, or a state of a trigger: banned, deleted, locked. It stands until it is changed here."`
	OTP   *bool   `name:"otp" rule:"nonblank" oneof:"admin.user.one_of_state_otp_email" doc:"false: one-time codes can be switched off only."`
	Email *string `name:"email" rule:"nonblank" oneof:"admin.user.one_of_state_otp_email" doc:"For superadmins."`
}

type userUpdate struct {
	UID   string  `name:"uid" rule:"required,nonblank"`
	State *string `name:"state" rule:"nonblank" oneof:"admin.user.one_of_state_otp" doc:"As with PUT."`
	OTP   *bool   `name:"otp" rule:"nonblank" oneof:"admin.user.one_of_state_otp" doc:"As with PUT."`
}

type userRole struct {
	UID  string `name:"uid" rule:"required,nonblank"`
	Role string `name:"role" rule:"required,nonblank" doc:"One that permissions name, below your own or the same. Superadmins alone give one that neither abilities nor the setting member_roles name."`
}

// errNoUser is account.ErrNotFound of the user that a request names; the guard answers that
// of the caller otherwise.
var errNoUser = errors.New("admin: no such user")

// userFailures are those of every change of a user.
func userFailures(more ...rest.Failure) []rest.Failure {
	return append([]rest.Failure{
		rest.On(errNoUser, http.StatusNotFound, "admin.user.doesnt_exist"),
		rest.On(account.ErrActorChanged, http.StatusUnauthorized, "admin.ability.not_permitted"),
		rest.On(account.ErrSuperadminOnly, http.StatusUnprocessableEntity, "admin.user.superadmin_change"),
		rest.On(account.ErrSelf, http.StatusUnprocessableEntity, "admin.user.update_himself"),
		rest.On(account.ErrRank, http.StatusUnprocessableEntity, "admin.user.insufficient_rank"),
		rest.On(account.ErrLastSuperadmin, http.StatusUnprocessableEntity, "admin.user.last_superadmin"),
	}, more...)
}

func (a *API) users(g *rest.Group) {
	state := []rest.Failure{
		rest.On(account.ErrEnableOTP, http.StatusUnprocessableEntity, "admin.user.enable_2fa"),
		rest.Rules("admin.user.state_no_change", "admin.user.otp_no_change", "state.inclusion"),
	}
	email := []rest.Failure{
		rest.On(account.ErrEmailSuperadmin, http.StatusUnprocessableEntity, "superadmin.user.update_email"),
		rest.Rules("admin.user.email_no_change", "email.invalid", "email.too_long", "email.taken"),
	}
	change := need{ability.Update, ability.SubjectUser}
	rest.Add(g, rest.Op{
		Method: http.MethodPut, Status: http.StatusOK,
		Cost:    limit.Staff,
		Summary: "Change the state or the e-mail address of a user, or switch one-time codes off.",
		Errors:  userFailures(append(state, email...)...),
	}, may(a, a.changeUser, change))
	rest.Add(g, rest.Op{
		Method: http.MethodPost, Path: "/update", Status: http.StatusCreated, Reference: http.StatusOK,
		Cost:    limit.Staff,
		Summary: "Change the state of a user, or switch one-time codes off.",
		Errors:  userFailures(state...),
	}, may(a, a.updateUser, change))
	rest.Add(g, rest.Op{
		Method: http.MethodPost, Path: "/role", Status: http.StatusCreated, Reference: http.StatusOK,
		Cost:    limit.Staff,
		Summary: "Give a user another role.",
		Errors:  userFailures(rest.Rules("admin.user.role_no_change", "role.doesnt_exist")),
	}, may(a, a.changeRole, change))
}

func (a *API) changeUser(ctx context.Context, who staff, in userChange) (rest.None, error) {
	return rest.None{}, userError(a.setUser(ctx, who, in))
}

func (a *API) updateUser(ctx context.Context, who staff, in userUpdate) (rest.None, error) {
	return rest.None{}, userError(a.setUser(ctx, who, userChange{UID: in.UID, State: in.State, OTP: in.OTP}))
}

func (a *API) changeRole(ctx context.Context, who staff, in userRole) (rest.None, error) {
	return rest.None{}, userError(a.Accounts.SetRole(ctx, who.Actor, in.UID, in.Role))
}

// setUser sets the one field that was sent.
func (a *API) setUser(ctx context.Context, who staff, in userChange) error {
	switch {
	case in.State != nil:
		return a.Accounts.SetState(ctx, who.Actor, in.UID, *in.State)
	case in.OTP != nil:
		return a.Accounts.SetOTP(ctx, who.Actor, in.UID, *in.OTP)
	}
	return a.Accounts.SetEmail(ctx, who.Actor, in.UID, *in.Email)
}

// userError turns the domain's errors into the client's words.
func userError(err error) error {
	if same, ok := errors.AsType[account.NoChange](err); ok {
		return invalid.Fields{{Field: same.Field, Rule: "no_change", Name: "admin.user." + same.Field + "_no_change"}}
	}
	if errors.Is(err, account.ErrNotFound) {
		return errNoUser
	}
	return err
}
