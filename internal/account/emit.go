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
// It also voids the mailed links of users whom a write makes others.
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

// A kind says how writes of rows of T become events.
type kind[T any] struct {
	owner   func(T) string // uid of the user that the events are about
	same    func(before, after T) bool
	created func(u User, after T) event.Event
	updated func(u User, after, before T) event.Event
	// also is another event of the row as it is or was; nil when there is none.
	also func(u User, row T) (event.Event, bool)
}

// The kinds whose writes are announced. A new one is one entry here and one method below.
var (
	users = kind[User]{
		owner:   func(u User) string { return u.UID },
		same:    sameColumns,
		created: func(u, _ User) event.Event { return event.UserCreated(u.Event()) },
		updated: func(u, _, before User) event.Event { return event.UserUpdated(u.Event(), before.Event()) },
	}
	labels = kind[Label]{
		owner: func(l Label) string { return l.UserUID },
		same: func(before, after Label) bool {
			return before.Value == after.Value && same(before.Description, after.Description)
		},
		created: func(u User, l Label) event.Event { return event.LabelCreated(eventLabel(l, u)) },
		updated: func(u User, l, before Label) event.Event {
			return event.LabelUpdated(eventLabel(l, u), eventLabel(before, u))
		},
		also: func(u User, l Label) (event.Event, bool) { // a document that was verified or rejected
			e, ok := event.DocumentReviewed(eventLabel(l, u))
			return e, ok && l.Scope == ScopePrivate
		},
	}
)

// announce emits the events of a written row; before is nil for a new one.
func announce[T any](ctx context.Context, a announcing, k kind[T], before *T, after T) error {
	if before != nil && k.same(*before, after) {
		return nil
	}
	u, err := a.User(ctx, k.owner(after)) // as it was written, with its referrer
	if err != nil {
		return err
	}
	var e event.Event
	if before == nil {
		e = k.created(u, after)
	} else {
		e = k.updated(u, after, *before)
	}
	if err := a.emit(ctx, u, e); err != nil {
		return err
	}
	return alsoAnnounce(ctx, a, k, u, after)
}

// alsoAnnounce emits the other event of a row, if it has one.
func alsoAnnounce[T any](ctx context.Context, a announcing, k kind[T], u User, row T) error {
	if k.also == nil {
		return nil
	}
	e, ok := k.also(u, row)
	if !ok {
		return nil
	}
	return a.emit(ctx, u, e)
}

// AddUser implements Tx.
func (a announcing) AddUser(ctx context.Context, u *User) error {
	if err := a.Tx.AddUser(ctx, u); err != nil {
		return err
	}
	return announce(ctx, a, users, nil, *u)
}

// PutUser implements Tx.
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
	return announce(ctx, a, users, &before, *u)
}

// PutLabel implements Tx.
func (a announcing) PutLabel(ctx context.Context, l *Label) error {
	held, err := a.Label(ctx, l.UserUID, l.Key, l.Scope)
	before := &held
	if errors.Is(err, ErrNoLabel) {
		before, err = nil, nil
	}
	if err != nil {
		return err
	}
	if err := a.Tx.PutLabel(ctx, l); err != nil {
		return err
	}
	return announce(ctx, a, labels, before, *l)
}

// DeleteLabel implements Tx.
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
	return alsoAnnounce(ctx, a, labels, u, l)
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
