package account

import (
	"context"
	"fmt"

	"barong/internal/event"
)

// deleteLabel marks accounts that their owners have deleted.
const deleteLabel, deletedByUser = "delete", "by_user"

// DeleteUser marks the user uid as deleted by its owner: the row and its history stay, the account
// may not act again unless staff restore it, and its address and username are free for others. All
// sessions end, API keys stop, and mailed links are void. allowed looks at the user as it is in the
// transaction; its error is returned as it is, as are ErrNoUser and ErrLastSuperadmin.
func (w Writer) DeleteUser(ctx context.Context, uid string, allowed func(User) error) error {
	superadmins, err := w.CountUsers(ctx, RoleSuperadmin, StateActive) // first, as in byStaff
	if err != nil {
		return err
	}
	u, err := w.User(ctx, uid)
	if err != nil {
		return err
	}
	if err := allowed(u); err != nil {
		return err
	}
	if superadmins < 2 && activeSuperadmin(u) {
		return ErrLastSuperadmin
	}
	if err := w.SetPrivate(ctx, uid, deleteLabel, deletedByUser); err != nil {
		return err
	}
	if u, err = w.User(ctx, uid); err != nil {
		return err
	}
	if u.State != StateDeleted { // the operator's triggers, or staff, would have it otherwise
		before := u
		u.State, u.AdminState = StateDeleted, StateDeleted
		if err := w.SaveUser(ctx, before, &u); err != nil {
			return err
		}
	}
	if err := w.DeleteMailTokens(ctx, uid, ""); err != nil {
		return fmt.Errorf("void mailed links: %w", err)
	}
	e := event.AccountDeleted(u.Event())
	e.Language = w.service.Language(u, "", "")
	return w.Emit(ctx, e)
}
