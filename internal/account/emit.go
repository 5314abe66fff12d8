package account

import (
	"context"
	"errors"
	"fmt"
	"reflect"

	"barong/internal/event"
	"barong/internal/token"
)

// announcing is a Tx whose writes of users and labels emit the events of AZ-385 to AZ-388 and
// of document reviews, each with its row. A write that changes no column emits nothing, and
// neither does one of counters alone (session generation, versions, updated_at): they are
// this service's own. Deletions emit nothing but the review of a document label.
//
// It also voids the mailed links of users whom a write makes others (identity §9.15).
type announcing struct {
	Tx
	service *Service
	quiet   bool
}

// Emit implements Tx.
func (a announcing) Emit(ctx context.Context, e event.Event) error {
	e.Quiet = e.Quiet || a.quiet
	return a.Tx.Emit(ctx, e)
}

// AddUser implements UserStore.
func (a announcing) AddUser(ctx context.Context, u *User) error {
	if err := a.Tx.AddUser(ctx, u); err != nil {
		return err
	}
	shown, err := a.withReferrer(ctx, *u)
	if err != nil {
		return err
	}
	return a.emit(ctx, *u, event.UserCreated(shown))
}

// PutUser implements UserStore.
func (a announcing) PutUser(ctx context.Context, u *User) error {
	before, err := a.User(ctx, u.UID)
	if err != nil {
		return err
	}
	if err := a.Tx.PutUser(ctx, u); err != nil {
		return err
	}
	if err := a.voidLinks(ctx, before, *u); err != nil {
		return err
	}
	if sameColumns(before, *u) {
		return nil
	}
	shown, err := a.withReferrer(ctx, *u)
	if err != nil {
		return err
	}
	return a.emit(ctx, *u, event.UserUpdated(shown, before.Event()))
}

// PutLabel implements LabelStore.
func (a announcing) PutLabel(ctx context.Context, l *Label) error {
	before, err := a.Label(ctx, l.UserUID, l.Key, l.Scope)
	fresh := errors.Is(err, ErrNoLabel)
	if err != nil && !fresh {
		return err
	}
	if err := a.Tx.PutLabel(ctx, l); err != nil {
		return err
	}
	if !fresh && before.Value == l.Value && same(before.Description, l.Description) {
		return nil
	}
	u, err := a.User(ctx, l.UserUID)
	if err != nil {
		return err
	}
	e := event.LabelCreated(eventLabel(*l, u))
	if !fresh {
		e = event.LabelUpdated(eventLabel(*l, u), eventLabel(before, u))
	}
	if err := a.emit(ctx, u, e); err != nil {
		return err
	}
	return a.reviewed(ctx, *l, u)
}

// DeleteLabel implements LabelStore.
func (a announcing) DeleteLabel(ctx context.Context, uid, key, scope string) error {
	l, err := a.Label(ctx, uid, key, scope)
	if err != nil {
		return err
	}
	if err := a.Tx.DeleteLabel(ctx, uid, key, scope); err != nil {
		return err
	}
	u, err := a.User(ctx, uid)
	if err != nil {
		return err
	}
	return a.reviewed(ctx, l, u)
}

// reviewed announces a document that was verified or rejected.
func (a announcing) reviewed(ctx context.Context, l Label, u User) error {
	e, ok := event.DocumentReviewed(eventLabel(l, u))
	if !ok || l.Scope != ScopePrivate {
		return nil
	}
	return a.emit(ctx, u, e)
}

// emit puts an event about u into the outbox, in the language of u.
func (a announcing) emit(ctx context.Context, u User, e event.Event) error {
	e.Language = a.service.Language(u, "", "")
	if err := a.Emit(ctx, e); err != nil {
		return fmt.Errorf("emit %s: %w", e.Name, err)
	}
	return nil
}

// voidLinks makes links useless that were mailed to a user as it was: all of them when the
// address changed, those that set a password when the password did or the account may no
// longer act.
func (a announcing) voidLinks(ctx context.Context, before, u User) error {
	switch {
	case before.Email != u.Email:
		return a.DeleteMailTokens(ctx, u.UID, "")
	case before.PasswordDigest != u.PasswordDigest, MayAct(before.State) && !MayAct(u.State):
		return a.DeleteMailTokens(ctx, u.UID, token.Reset)
	}
	return nil
}

// withReferrer is u for events; the store resolves a referral that is not read yet.
func (a announcing) withReferrer(ctx context.Context, u User) (event.User, error) {
	if u.ReferralID != nil {
		read, err := a.User(ctx, u.UID)
		if err != nil {
			return event.User{}, err
		}
		u.ReferralUID = read.ReferralUID
	}
	return u.Event(), nil
}

// sameColumns reports whether two versions of a user differ in counters at most.
func sameColumns(a, b User) bool {
	for _, u := range []*User{&a, &b} {
		u.SessionGeneration, u.Version, u.LockVersion = 0, 0, 0
		u.CreatedAt, u.UpdatedAt, u.ReferralUID = b.CreatedAt, b.UpdatedAt, nil
	}
	return reflect.DeepEqual(a, b)
}

// same reports whether two optional values are equal.
func same[T comparable](a, b *T) bool {
	return a == nil && b == nil || a != nil && b != nil && *a == *b
}

// Event is u as events show it.
func (u User) Event() event.User {
	return event.User{
		UID: u.UID, Username: u.Username, Email: u.Email, Role: u.Role, Level: u.Level, OTP: u.OTP,
		State: u.State, ReferralUID: u.ReferralUID,
		CreatedAt: event.Time(u.CreatedAt), UpdatedAt: event.Time(u.UpdatedAt),
	}
}

// eventLabel is the label l of u as events show it.
func eventLabel(l Label, u User) event.Label {
	return event.Label{ID: l.ID, Key: l.Key, Value: l.Value, Description: l.Description, User: u.Event()}
}
