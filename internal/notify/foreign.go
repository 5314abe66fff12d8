package notify

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"barong/internal/account"
	"barong/internal/event"
	"barong/internal/token"
)

// Users are whom mails go to; account.Store has them. Errors are account.ErrNotFound,
// event.ErrUnavailable while nothing can be read, or others.
type Users interface {
	User(ctx context.Context, uid string) (account.User, error)
}

// An Outbox takes events to be mailed; *store.DB is one.
type Outbox interface {
	// EmitOnce puts an event into the outbox, unless it did so before for the same source and
	// id, which it remembers until a time; then fresh is false. Either both are written or
	// neither is. It may say event.ErrUnavailable.
	EmitOnce(ctx context.Context, source, id string, until time.Time, e event.Event) (fresh bool, err error)
}

// A Receiver puts other services' events into the outbox as mails to be written, so that
// they survive a mail server that is away. It is safe for concurrent use.
type Receiver struct {
	Rules  Rules
	Users  Users
	Outbox Outbox
	// Now is time.Now when nil.
	Now func() time.Time
}

// ErrUnknownUser says that the user of an event is not here, or not yet.
var ErrUnknownUser = errors.New("notify: the user is unknown")

// Receive takes a message as it came from an exchange of the broker. A nil error is that it
// is done with: it was kept, has been seen before, or makes no mail. A message that will never be
// taken, since it is badly signed, expired (AZ-396) or names no user, is event.ErrPermanent;
// ErrUnknownUser and all others are worth another try. Errors name a message that is signed
// by its jti and hold nothing else of it.
func (r Receiver) Receive(ctx context.Context, exchange, key string, body []byte) error {
	rules := r.Rules.received(exchange, key)
	if len(rules) == 0 {
		return nil
	}
	now := time.Now
	if r.Now != nil {
		now = r.Now
	}
	message, err := token.VerifyForeignEvent(body, rules[0].Signer, now())
	if err != nil {
		return fmt.Errorf("%w: %w", event.ErrPermanent, err)
	}
	i := slices.IndexFunc(rules, func(r ForeignRule) bool { return r.Expression.Matches(message.Event) })
	if i < 0 {
		return nil
	}
	rule := rules[i]
	e, err := foreignEvent(rule, message.Event)
	if err != nil {
		return fmt.Errorf("jti %q: %w", message.ID, err)
	}
	switch _, err := r.Users.User(ctx, e.UID); {
	case errors.Is(err, account.ErrNotFound):
		return fmt.Errorf("jti %q: %w", message.ID, ErrUnknownUser)
	case err != nil:
		return fmt.Errorf("jti %q: load user: %w", message.ID, err)
	}
	if _, err := r.Outbox.EmitOnce(ctx, "events of "+rule.Signer.Signer(), message.ID, message.KnownUntil, e); err != nil {
		return fmt.Errorf("jti %q: keep mail: %w", message.ID, err)
	}
	return nil
}

// foreignEvent is the event of our outbox about an event of another service. The reader of the
// mail, and the address, are looked up when it is written.
func foreignEvent(rule ForeignRule, object json.RawMessage) (event.Event, error) {
	var o struct{ Record, Changes json.RawMessage }
	if json.Unmarshal(object, &o) != nil {
		return event.Event{}, permanent("it is no event")
	}
	var members struct {
		UID  any `json:"uid"`
		User any `json:"user"`
	}
	if json.Unmarshal(o.Record, &members) != nil {
		return event.Event{}, permanent("its record is not an object")
	}
	if string(o.Changes) == "null" {
		o.Changes = nil
	}
	if o.Changes != nil && o.Changes[0] != '{' {
		return event.Event{}, permanent("its changes are not an object")
	}
	user, _ := members.User.(map[string]any)
	uid, _ := user["uid"].(string)
	if uid == "" {
		uid, _ = members.UID.(string)
	}
	if uid == "" || len(uid) > maxName {
		return event.Event{}, permanent("it names no user")
	}
	return event.Event{Name: rule.Event, UID: uid, Record: o.Record, Changes: o.Changes}, nil
}

// foreignLetter is the templates' view of another service's event, and the language that its
// reader has chosen. The user is the one of our own table as it is now.
func (m *Mailer) foreignLetter(ctx context.Context, item event.Item) (data letter, lang string, err error) {
	u, err := m.users.User(ctx, item.UID)
	switch {
	case errors.Is(err, account.ErrNotFound):
		return data, "", fmt.Errorf("%w: %w", event.ErrPermanent, ErrUnknownUser)
	case err != nil:
		return data, "", fmt.Errorf("load user: %w", err)
	}
	data = letter{Logo: m.cfg.Logo, Sender: m.cfg.FromName, Site: m.cfg.Site, User: map[string]any{
		"uid": u.UID, "email": u.Email, "username": "", "role": u.Role, "level": u.Level, "otp": u.OTP, "state": u.State,
	}}
	if u.Username != nil {
		data.User["username"] = *u.Username
	}
	if data.Record, err = exact(item.Record); err != nil {
		return data, "", permanent("its record is not an object")
	}
	if item.Changes == nil {
		return data, u.Language(), nil
	}
	if data.Changes, err = exact(item.Changes); err != nil {
		return data, "", permanent("its changes are not an object")
	}
	return data, u.Language(), nil
}

// exact reads an object whose numbers stay as they were written: they are amounts of money.
func exact(object json.RawMessage) (members map[string]any, err error) {
	dec := json.NewDecoder(bytes.NewReader(object))
	dec.UseNumber()
	err = dec.Decode(&members)
	return members, err
}
