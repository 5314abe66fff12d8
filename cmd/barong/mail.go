package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"slices"
	"strings"
	"time"

	"barong/internal/account"
	"barong/internal/config"
	"barong/internal/configured"
	"barong/internal/event"
	"barong/internal/limit"
	"barong/internal/notify"
	"barong/internal/provider/amqp"
	"barong/internal/provider/smtp"
	"barong/internal/store"
)

// openInbox makes the receiver of other services' events that become mails, if there are any.
func (sv *service) openInbox(f files) error {
	var names []string
	var bindings []amqp.Binding
	for _, r := range f.mails.Foreign() {
		b := amqp.Binding{Exchange: r.Exchange, Key: r.Key}
		if slices.Contains(bindings, b) {
			continue // another entry of the same event
		}
		names = append(names, r.Exchange+" "+r.Key)
		bindings = append(bindings, b)
	}
	switch {
	case len(bindings) == 0:
		return nil
	case !sv.settings.Events.On():
		sv.log.Warn("mails of other services' events are not sent: BARONG_EVENT_API_RABBITMQ_* names no broker",
			"events", strings.Join(names, ", "))
		return nil
	}
	kept := mailStore{sv.db}
	var err error
	sv.inbox, err = amqp.NewConsumer(configured.Broker(sv.settings), amqp.ConsumerConfig{Bindings: bindings},
		notify.Receiver{Rules: f.mails, Users: kept, Outbox: kept, Now: sv.db.Time}, sv.log)
	if err != nil {
		return usageError{fmt.Errorf("BARONG_EVENT_API_RABBITMQ_*: %w", err)}
	}
	return nil
}

// mailStore is the database as mails use it: one that is away says so in their words.
type mailStore struct{ db *store.DB }

// User implements notify.Users.
func (m mailStore) User(ctx context.Context, uid string) (account.User, error) {
	u, err := m.db.User(ctx, uid)
	return u, away(err)
}

// EmitOnce implements notify.Outbox.
func (m mailStore) EmitOnce(ctx context.Context, source, id string, until time.Time, e event.Event) (bool, error) {
	fresh, err := m.db.EmitOnce(ctx, source, id, until, e)
	return fresh, away(err)
}

func away(err error) error {
	if err != nil && unavailable(err) {
		return fmt.Errorf("%w: %w", event.ErrUnavailable, err)
	}
	return err
}

// mailParts holds the parts of a mailer that only the serving process has.
type mailParts struct {
	users  notify.Users
	limits limit.Store
	log    *slog.Logger
	now    func() time.Time
}

// mailLimits count the mails to each reader, over all replicas; nil when nothing is limited.
func (sv *service) mailLimits() limit.Store {
	if !sv.settings.Abuse.Limits {
		return nil
	}
	return sv.stores.limits
}

// newMailer makes the writer of mails; without a broker there are none of other services.
func newMailer(s config.Settings, f files, sender notify.Sender, parts mailParts) (*notify.Mailer, error) {
	mails := f.mails
	if !s.Events.On() {
		mails = mails.Own()
	}
	c := configured.Mail(s)
	c.Limits, c.Log, c.Now = parts.limits, parts.log, parts.now
	m, err := notify.New(c, mails, sender, parts.users)
	var path *fs.PathError
	if errors.As(err, &path) {
		return nil, fmt.Errorf("BARONG_MAIL_TEMPLATES: %w", err)
	}
	return m, named("BARONG_SENDER_EMAIL, BARONG_MAILER, BARONG_MAIL_TEMPLATES", err)
}

// mailSender sends mails, or keeps them in the folder outbox and announces them.
func mailSender(s config.Settings, announce func(notify.Message, string)) (notify.Sender, error) {
	if s.MailDelivery() == "folder" {
		return smtp.Folder{Path: s.Outbox(), Announce: announce}, nil
	}
	server, err := smtp.New(configured.SMTP(s), nil)
	if err != nil {
		return nil, fmt.Errorf("BARONG_SMTP_*: %w", err)
	}
	return server, nil
}

// announce shows a mail at the terminal: the person there has no mailbox here.
func (sv *service) announce(m notify.Message, file string) {
	fmt.Fprintf(sv.term.out, "mail to %s: %s (%s)\n", m.To, m.Subject, file)
	if m.Link != "" {
		fmt.Fprintf(sv.term.out, "  %s\n", m.Link)
	}
}
