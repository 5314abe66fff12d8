package admin

import (
	"context"
	"errors"
	"strings"

	"barong/internal/account"
	"barong/internal/rest"
	"barong/policy/ability"
)

type userChange struct {
	UID   string  `name:"uid" rule:"required,nonblank"`
	State *string `name:"state" rule:"nonblank" oneof:".one_of_state_otp_email" doc:"pending, active, or a state of a trigger: banned, deleted, locked. A more restrictive one that labels give goes before; active takes what was set here away."`
	OTP   *bool   `name:"otp" rule:"nonblank" oneof:".one_of_state_otp_email" doc:"false: one-time codes can be switched off only."`
	Email *string `name:"email" rule:"nonblank" oneof:".one_of_state_otp_email" doc:"For superadmins."`
}

type userUpdate struct {
	UID   string  `name:"uid" rule:"required,nonblank"`
	State *string `name:"state" rule:"nonblank" oneof:".one_of_state_otp" doc:"As with PUT."`
	OTP   *bool   `name:"otp" rule:"nonblank" oneof:".one_of_state_otp" doc:"As with PUT."`
}

type userRole struct {
	UID  string `name:"uid" rule:"required,nonblank"`
	Role string `name:"role" rule:"required,nonblank" doc:"One that permissions name, below your own or the same. Superadmins alone give one that neither abilities nor the setting member_roles name."`
}

// errEnableOTP says that nobody switches one-time codes on for another.
var errEnableOTP = errors.New("admin: one-time codes are not switched on for others")

// reachErrors are those of every change of the belongings of a user, userErrors of every change of a user,
// stateErrors those of its state and second factor.
var (
	reachErrors = rest.All(
		rest.On(account.ErrActorChanged, 401, "admin.ability.not_permitted"),
		rest.On(account.ErrSuperadminOnly, 422, "admin.user.superadmin_change"),
		rest.On(account.ErrSelf, 422, "admin.user.update_himself"),
		rest.On(account.ErrRank, 422, "admin.user.insufficient_rank"))
	noUser      = rest.On(account.ErrNotFound, 404, "admin.user.doesnt_exist")
	userErrors  = rest.All(noUser, reachErrors)
	stateErrors = rest.All(
		rest.On(errEnableOTP, 422, ".enable_2fa"),
		rest.Rules(".state_no_change", ".otp_no_change", "state.inclusion", "email.taken"))
	emailErrors = rest.All(
		rest.On(account.ErrEmailSuperadmin, 422, "superadmin.user.update_email"),
		rest.Rules(".email_no_change", "email.invalid", "email.too_long"))
)

func (a *API) users(s section) {
	g := s.may(ability.Update).Failing(userErrors)
	rest.Add(g, rest.Op{
		Method: "PUT", Summary: "Change the state or the e-mail address of a user, or switch one-time codes off.",
		Errors: rest.All(stateErrors, emailErrors),
	}, a.changeUser)
	rest.Add(g, rest.Op{
		Method: "POST", Path: "/update", Reference: 200, Summary: "Change the state of a user, or switch one-time codes off.",
		Errors: stateErrors,
	}, a.updateUser)
	rest.Add(g, rest.Op{
		Method: "POST", Path: "/role", Reference: 200, Summary: "Give a user another role.",
		Errors: rest.All(rest.Rules(".role_no_change", "role.doesnt_exist"), asked),
	}, a.changeRole)
}

// stateHeld is the header of changes of a state.
type stateHeld struct {
	By string `header:"X-State-Held-By" doc:"The private labels, as key:value with commas between, because of which the state is a more restrictive one than was asked for."`
}

// changedUser is the answer of a change of a user.
type changedUser = rest.Reply[rest.None, stateHeld]

func (a *API) changeUser(ctx context.Context, who staff, in userChange) (out changedUser, err error) {
	switch { // one of them was sent
	case in.State != nil:
		held, err := a.Accounts.SetState(ctx, who.Actor, in.UID, *in.State)
		labels := make([]string, len(held))
		for i, l := range held {
			labels[i] = l.Key + ":" + l.Value
		}
		out.Header.By = strings.Join(labels, ", ")
		return out, err
	case in.OTP != nil && *in.OTP:
		if err := a.Accounts.MayChange(ctx, who.Actor, in.UID); err != nil {
			return out, err
		}
		return out, errEnableOTP
	case in.OTP != nil:
		return out, a.Accounts.SwitchOffOTP(ctx, who.Actor, in.UID)
	}
	return out, a.Accounts.SetEmail(ctx, who.Actor, in.UID, *in.Email)
}

func (a *API) updateUser(ctx context.Context, who staff, in userUpdate) (changedUser, error) {
	return a.changeUser(ctx, who, userChange{UID: in.UID, State: in.State, OTP: in.OTP})
}

func (a *API) changeRole(ctx context.Context, who staff, in userRole) (rest.None, error) {
	return rest.None{}, a.Accounts.SetRole(ctx, who.Actor, in.UID, in.Role)
}
