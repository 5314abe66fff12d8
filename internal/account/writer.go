package account

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"barong/internal/invalid"
)

// In returns the store of one transaction with the rules of accounts. Packages whose transactions
// write more than accounts embed it in a Tx of their own, so that none can forget to announce.
func (s *Service) In(tx Tx) Writer { return Writer{announcing{tx, s, false}, s} }

// update runs f in one transaction of the store; see Parts.Update.
func (s *Service) update(ctx context.Context, f func(Writer) error) error {
	return s.commit(ctx, func(tx Tx) error { return f(s.In(tx)) })
}

// updateQuietly is update for the changes of an operator by a command or the seeds: consumers of
// events learn of it, and nobody is mailed.
func (s *Service) updateQuietly(ctx context.Context, f func(Writer) error) error {
	return s.commit(ctx, func(tx Tx) error { return f(Writer{announcing{tx, s, true}, s}) })
}

// A Writer is a Tx that announces every write of users and labels, with the rules that belong to
// such writes. It lives as long as its transaction.
type Writer struct {
	Tx
	service *Service
}

// SaveUser writes u and all that follows from how it differs from before: sessions end when
// the account may no longer act, or is another by role or e-mail (design D11); API keys stop
// when the account is not active any more or, unless Config says otherwise, has lost its second
// factor (AZ-286); service
// accounts take state and level over (W-R21), but one that was disabled by itself stays so. A deleted
// account loses the proofs of its phones, which others may then prove; one whose address or username
// another has by now stays deleted: Invalid (email.taken).
func (w Writer) SaveUser(ctx context.Context, before User, u *User) error {
	if MayAct(before.State) && !MayAct(u.State) || before.Role != u.Role || before.Email != u.Email {
		u.SessionGeneration = max(u.SessionGeneration, before.SessionGeneration+1)
	}
	if before.State != StateDeleted && u.State == StateDeleted {
		if err := w.releasePhones(ctx, u); err != nil {
			return fmt.Errorf("release phones: %w", err)
		}
	}
	err := w.PutUser(ctx, u)
	if errors.Is(err, ErrTaken) && before.State == StateDeleted {
		return invalid.Field("email", "taken") // or the username, by an account made since the deletion
	}
	if err != nil {
		return fmt.Errorf("save user: %w", err)
	}
	if before.OTP && !u.OTP && w.service.cfg.StopKeysOn2FALoss || before.State != u.State && u.State != StateActive {
		if _, err := w.DeactivateAPIKeys(ctx, u.UID); err != nil {
			return fmt.Errorf("deactivate api keys: %w", err)
		}
	}
	if before.State == u.State && before.Level == u.Level {
		return nil
	}
	owned, err := w.ServiceAccountsOf(ctx, u.UID)
	if err != nil {
		return fmt.Errorf("list service accounts: %w", err)
	}
	for _, a := range owned {
		if a.State == StateDisabled || a.State == u.State && a.Level == u.Level {
			continue
		}
		a.State, a.Level = u.State, u.Level
		if err := w.PutServiceAccount(ctx, &a); err != nil {
			return fmt.Errorf("save service account: %w", err)
		}
	}
	return nil
}

// releasePhones gives up the proofs of the phones of a user who is about to be deleted, and the label
// and level that they brought; the caller saves u.
func (w Writer) releasePhones(ctx context.Context, u *User) error {
	n, err := w.ReleasePhones(ctx, u.UID)
	if err != nil || n == 0 {
		return err
	}
	err = w.DeleteLabel(ctx, u.UID, phoneLabel, ScopePrivate)
	if err != nil && !errors.Is(err, ErrNoLabel) {
		return fmt.Errorf("remove label: %w", err)
	}
	labels, err := w.Labels(ctx, u.UID)
	if err != nil {
		return fmt.Errorf("list labels: %w", err)
	}
	levels, err := w.Levels(ctx)
	if err != nil {
		return fmt.Errorf("list levels: %w", err)
	}
	u.Level = levelOf(levels, labels)
	return nil
}

// Recompute brings a user's level and state in line with the labels and returns the user.
// A state that staff set is lifted by no label (W-I17). A change of a private label calls for it.
func (w Writer) Recompute(ctx context.Context, uid string) (User, error) {
	before, err := w.User(ctx, uid)
	if err != nil {
		return User{}, fmt.Errorf("load user: %w", err)
	}
	labels, err := w.Labels(ctx, uid)
	if err != nil {
		return User{}, fmt.Errorf("list labels: %w", err)
	}
	levels, err := w.Levels(ctx)
	if err != nil {
		return User{}, fmt.Errorf("list levels: %w", err)
	}
	u := before
	u.Level = levelOf(levels, labels)
	u.Unproved = before.Unproved && !emailProved(labels)
	u.State = w.service.effective(before.AdminState, w.service.labelState(labels))
	if u.Level == before.Level && u.State == before.State && u.Unproved == before.Unproved {
		return u, nil
	}
	return u, w.SaveUser(ctx, before, &u)
}

// The labels that this service itself gives: the first two show that we have proof of the e-mail
// address and of a phone, the third that one-time codes are on.
const (
	emailLabel, emailVerified = "email", "verified"
	phoneLabel, phoneVerified = "phone", "verified"
	otpLabel, otpEnabled      = "otp", "enabled"
)

// emailProved reports whether we have proof of the address of the user with these labels.
func emailProved(labels []Label) bool {
	return slices.ContainsFunc(labels, func(l Label) bool {
		return l.Scope == ScopePrivate && l.Key == emailLabel && l.Value == emailVerified
	})
}

// EmailProved reports whether we have proof of the user's address.
func (s *Service) EmailProved(ctx context.Context, uid string) (bool, error) {
	labels, err := s.rows.Labels(ctx, uid)
	if err != nil {
		return false, fmt.Errorf("load labels: %w", err)
	}
	return emailProved(labels), nil
}

// ProveEmail records the proof of the user's address: it sets the private label, level and state
// follow, and all sessions end. It returns the user as it then is.
func (w Writer) ProveEmail(ctx context.Context, uid string) (User, error) {
	if err := w.SetPrivate(ctx, uid, emailLabel, emailVerified); err != nil {
		return User{}, err
	}
	if _, err := w.EndSessions(ctx, uid); err != nil {
		return User{}, fmt.Errorf("end sessions: %w", err)
	}
	return w.User(ctx, uid)
}

// SetPrivate gives the user's private label key the value, with its description as it is, and
// recomputes level and state. A key or value that no label can have is left out.
func (w Writer) SetPrivate(ctx context.Context, uid, key, value string) error {
	l := Label{UserUID: uid, Key: squish(key), Value: squish(value), Scope: ScopePrivate}
	if len(labelProblems(l)) > 0 {
		return nil
	}
	held, err := w.Label(ctx, uid, l.Key, l.Scope)
	if err != nil && !errors.Is(err, ErrNoLabel) {
		return fmt.Errorf("load label: %w", err)
	}
	l.Description = held.Description
	if err := w.PutLabel(ctx, &l); err != nil {
		return fmt.Errorf("set label: %w", err)
	}
	_, err = w.Recompute(ctx, uid)
	return err
}

// RemovePrivate takes a private label from the user, if there is one, and recomputes level and state. The
// key is folded first. An active superadmin must be left: ErrLastSuperadmin.
func (w Writer) RemovePrivate(ctx context.Context, uid, key string) error {
	switch err := w.DeleteLabel(ctx, uid, squish(key), ScopePrivate); {
	case errors.Is(err, ErrNoLabel):
		return nil
	case err != nil:
		return fmt.Errorf("remove label: %w", err)
	}
	return w.labelChanged(ctx, uid, ScopePrivate)
}

// ShowPhone sets the private label that shows the proof of a phone, unless there is one, such as a
// refusal by staff.
func (w Writer) ShowPhone(ctx context.Context, uid string) error {
	return w.show(ctx, uid, phoneLabel, phoneVerified)
}

// ShowSecondFactor sets the private label by which staff see that one-time codes are on.
func (w Writer) ShowSecondFactor(ctx context.Context, uid string) error {
	return w.show(ctx, uid, otpLabel, otpEnabled)
}

// show sets a private label that the user has not, and recomputes level and state.
func (w Writer) show(ctx context.Context, uid, key, value string) error {
	_, err := w.Label(ctx, uid, key, ScopePrivate)
	if !errors.Is(err, ErrNoLabel) {
		return err
	}
	if err := w.PutLabel(ctx, &Label{UserUID: uid, Key: key, Value: value, Scope: ScopePrivate}); err != nil {
		return err
	}
	_, err = w.Recompute(ctx, uid)
	return err
}

// ErrSessionEnded says that the session in which a change was asked for has ended since it was
// judged.
var ErrSessionEnded = errors.New("account: the session has ended")

// Standing returns ErrSessionEnded when the session in which by acts has ended, whatever this
// process has heard of it. A change that ends all other sessions begins with it: a session that
// has ended must not come out of that as the one that stays.
func (w Writer) Standing(ctx context.Context, by Actor) error {
	if by.Session.ID == ([32]byte{}) {
		return nil
	}
	stands, err := w.SessionStands(ctx, by.UID, by.Session)
	switch {
	case err != nil:
		return fmt.Errorf("look at the session: %w", err)
	case !stands:
		return ErrSessionEnded
	}
	return nil
}

// Renew notes that the session in which by acts goes on under its next id, if it does. The old id
// may read until then.
func (w Writer) Renew(ctx context.Context, by Actor, until time.Time) error {
	if by.Session.ID == ([32]byte{}) || by.NextSessionID == ([32]byte{}) {
		return nil
	}
	return w.RenewSession(ctx, by.UID, Renewal{From: by.Session.ID, To: by.NextSessionID, Until: until})
}

// ForgetSecondFactor removes a user's one-time codes with their secret, label and recovery codes; the
// caller saves u.
func (w Writer) ForgetSecondFactor(ctx context.Context, u *User) error {
	u.OTP = false
	err := w.DeleteLabel(ctx, u.UID, otpLabel, ScopePrivate)
	if err != nil && !errors.Is(err, ErrNoLabel) {
		return fmt.Errorf("remove label: %w", err)
	}
	if err := w.DeleteRecoveryCodes(ctx, u.UID); err != nil {
		return err
	}
	return w.DeleteTOTPSecret(ctx, u.UID)
}
