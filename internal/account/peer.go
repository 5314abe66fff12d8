package account

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"barong/internal/audit"
	"barong/internal/invalid"
)

// ErrServiceOnly says that peer services alone may do this.
var ErrServiceOnly = errors.New("account: for peer services alone")

// topicManagement marks the activities of peer services.
const topicManagement = "management"

// PeerActivity is an activity of a peer service at a time about the account uid; fields are names and
// values of its data.
func (by Actor) PeerActivity(at time.Time, action, uid string, fields ...string) audit.Activity {
	a := by.Activity(at, topicManagement, action, audit.Succeed, "")
	a.TargetUID = uid
	data := map[string]string{}
	for i := 0; i+1 < len(fields); i += 2 {
		data[fields[i]] = fields[i+1]
	}
	if len(data) > 0 {
		text, _ := json.Marshal(data) // texts always marshal
		a.Data = string(text)
	}
	return a
}

// EnterUser is CreateUser for a peer service, with its activity. Errors: ErrServiceOnly, those of
// CreateUser.
func (s *Service) EnterUser(ctx context.Context, by Actor, in UserInput) (u User, err error) {
	if by.Service == "" {
		return User{}, ErrServiceOnly
	}
	in.Operator, in.Stranger = false, false
	err = s.CreateUserIn(ctx, in, func(add func(context.Context, Writer) (User, error)) error {
		return s.update(ctx, func(tx Writer) (err error) {
			if u, err = add(ctx, tx); err != nil {
				return err
			}
			return tx.AddActivity(ctx, by.PeerActivity(s.now(), "user create", u.UID))
		})
	})
	if err != nil {
		return User{}, err
	}
	return u, nil
}

// A UserPatch is the input of PatchUser: nil fields stay.
type UserPatch struct {
	Role, Data *string
	// Staff says that the service may give roles above member, and take them.
	Staff bool
}

// PatchUser changes the role of a user, whose sessions end, and the user's own data, for a peer
// service. Errors, in order: ErrServiceOnly, ErrNoUser, Invalid, ErrRank for a role above member
// without UserPatch.Staff; Asked and ErrTooManyRequests where the role needs a second member of the staff,
// ErrFourEyes if data comes with it; ErrLastSuperadmin.
func (s *Service) PatchUser(ctx context.Context, by Actor, uid string, patch UserPatch) (u User, err error) {
	if by.Service == "" {
		return User{}, ErrServiceOnly
	}
	err = Asking(ctx, s.update, func(tx Writer) error {
		superadmins, err := tx.CountUsers(ctx, RoleSuperadmin, StateActive) // first, as byStaff does
		if err != nil {
			return err
		}
		before, err := tx.User(ctx, uid)
		if err != nil {
			return err
		}
		u = before
		if err := tx.patch(ctx, &u, patch); err != nil {
			return err
		}
		if u.Role != before.Role && !patch.Staff && max(s.rank(u.Role), s.rank(before.Role)) > rankMember {
			return ErrRank
		}
		if action := s.grantAction(u.Role); u.Role != before.Role && action != "" {
			if patch.Data != nil {
				return ErrFourEyes
			}
			return tx.askRole(ctx, by, action, before, u.Role)
		}
		if superadmins < 2 && activeSuperadmin(before) && !activeSuperadmin(u) {
			return ErrLastSuperadmin
		}
		if err := tx.SaveUser(ctx, before, &u); err != nil {
			return err
		}
		var fields []string
		if u.Role != before.Role {
			fields = []string{"role", u.Role, "former_role", before.Role}
		}
		if err := tx.AddActivity(ctx, by.PeerActivity(s.now(), "user update", uid, fields...)); err != nil {
			return err
		}
		u, err = tx.User(ctx, uid)
		return err
	})
	if err != nil {
		return User{}, fmt.Errorf("patch user: %w", err)
	}
	return u, nil
}

// patch sets the fields of u, or returns Invalid.
func (w Writer) patch(ctx context.Context, u *User, patch UserPatch) error {
	var wrong invalid.Fields
	if patch.Role != nil {
		known, err := w.RoleExists(ctx, *patch.Role)
		if err != nil {
			return err
		}
		if !known {
			wrong.Add("role", invalid.Unknown)
		}
		u.Role = *patch.Role
	}
	if patch.Data != nil {
		wrong.Add("data", dataProblems(*patch.Data)...)
		u.Data = patch.Data
	}
	return wrong.Err()
}
