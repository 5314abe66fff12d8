package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"barong/internal/account"
	"barong/internal/config"
	"barong/internal/event"
	"barong/internal/limit"
	"barong/internal/notify"
	"barong/internal/person"
	"barong/internal/provider/amqp"
	"barong/internal/provider/kycaid"
	"barong/internal/provider/smtp"
	"barong/internal/store"
)

// Destinations of the outbox.
const (
	toBroker = "broker"
	toKYC    = "kyc"
)

// toMail are those of mails, by their lane.
var toMail = map[notify.Lane]string{notify.Links: "mail", notify.Notices: "mail_notices", notify.Components: "mail_components"}

// destinations returns a function that lists the destinations of an event.
func destinations(s config.Settings, f files) func(event.Event) []string {
	broker, mail := s.Events.On(), s.MailDelivery() != "off"
	return func(e event.Event) []string {
		if e.Name == event.KYCCallback {
			return []string{toKYC}
		}
		var to []string
		// Consumers of the wire know session.create, and other services' events from them.
		if broker && e.Name != event.DeviceAddedName && e.Category() != notify.Category {
			to = append(to, toBroker)
		}
		if mail && !e.Quiet && f.mails.Wants(e) {
			to = append(to, toMail[notify.LaneOf(e)])
		}
		return to
	}
}

// brokerConfig is the part of the settings that RabbitMQ is used by.
func brokerConfig(s config.Settings) amqp.Config {
	e := s.Events
	return amqp.Config{
		URL: e.URL.Reveal(), Host: e.Host, Port: e.Port, Username: e.Username, Password: e.Password.Reveal(),
		CAFile: e.CA,
	}
}

// giveUpMail is the age at which an undelivered mail or KYC callback is given up.
const giveUpMail = 24 * time.Hour

// openRelay makes the relay that delivers the outbox.
func (sv *service) openRelay(f files) error {
	s := sv.settings
	var to []event.Destination
	if s.Events.On() {
		sender, err := amqp.New(brokerConfig(s), sv.keys, nil)
		if err != nil {
			return usageError{fmt.Errorf("BARONG_EVENT_API_RABBITMQ_*: %w", err)}
		}
		sv.closers = append(sv.closers, sender.Close)
		to = append(to, event.Destination{Name: toBroker, Sender: sender, Parallel: 16})
	}
	if s.MailDelivery() != "off" {
		sender, err := mailSender(s, sv.announce)
		if err != nil {
			return usageError{err}
		}
		sv.mailer, err = newMailer(s, f, sender, mailParts{mailStore{sv.db}, sv.mailLimits(), sv.log})
		if err != nil {
			return usageError{err}
		}
		for _, name := range toMail {
			to = append(to, event.Destination{Name: name, Sender: sv.mailer, GiveUp: giveUpMail, Share: 5})
		}
		if silent := f.mails.Silent(); len(silent) > 0 {
			sv.log.Warn("the mailer file has entries for events that never come", "events", strings.Join(silent, ", "))
		}
		if err := sv.openInbox(f); err != nil {
			return err
		}
	}
	if s.External.KYCProvider == "kycaid" {
		provider, err := kycaid.New(kycConfig(s), nil)
		if err != nil {
			return usageError{fmt.Errorf("BARONG_KYCAID_*: %w", err)}
		}
		kyc := person.KYC{Persons: sv.persons, Provider: provider, Log: sv.log}
		sv.kyc = kyc
		to = append(to, event.Destination{Name: toKYC, Sender: kyc, GiveUp: giveUpMail, Share: 1})
	}
	relay, err := event.NewRelay(event.Config{}, sv.db, to, sv.log, nil)
	sv.relay = relay
	return err
}

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
	sv.inbox, err = amqp.NewConsumer(brokerConfig(sv.settings), amqp.ConsumerConfig{Bindings: bindings},
		notify.Receiver{Rules: f.mails, Users: kept, Outbox: kept}, sv.log)
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
	site := s.Account.Domain
	if site == "" {
		site, _ = s.Site()
	}
	m, err := notify.New(notify.Config{
		From: s.Mail.SenderEmail, FromName: s.Mail.SenderName, DefaultLanguage: s.Account.Language,
		Site: site, Logo: s.Mail.Logo, Templates: s.Mail.Templates, LinkLife: s.Mail.TokenExpire,
		Limits: parts.limits, Log: parts.log,
	}, mails, sender, parts.users)
	var path *fs.PathError
	if errors.As(err, &path) {
		return nil, fmt.Errorf("BARONG_MAIL_TEMPLATES: %w", err)
	}
	return m, named("BARONG_SENDER_EMAIL, BARONG_MAILER, BARONG_MAIL_TEMPLATES", err)
}

// mailSender sends mails, or keeps them in the folder outbox and announces them.
func mailSender(s config.Settings, announce func(notify.Message, string)) (notify.Sender, error) {
	if s.MailDelivery() == "folder" {
		return smtp.Folder{Path: filepath.Join(dataDir(s), "outbox"), Announce: announce}, nil
	}
	server, err := smtp.New(smtpConfig(s), nil)
	if err != nil {
		return nil, fmt.Errorf("BARONG_SMTP_*: %w", err)
	}
	return server, nil
}

// smtpConfig is the part of the settings that the SMTP server is used by.
func smtpConfig(s config.Settings) smtp.Config {
	m := s.Mail
	return smtp.Config{
		Host: m.Host, Port: m.Port, User: m.User, Password: m.Password.Reveal(), TLS: m.TLS, CAFile: m.CA, Helo: helo(s),
	}
}

// helo is our name in EHLO: the one that is set, else the domain that mails come from, else
// that of the site.
func helo(s config.Settings) string {
	if s.Mail.Helo != "" {
		return s.Mail.Helo
	}
	_, sender, _ := strings.Cut(s.Mail.SenderEmail, "@")
	_, site, schemed := strings.Cut(s.Account.Domain, "://")
	if !schemed {
		site = s.Account.Domain
	}
	if u, err := url.Parse("//" + site); err == nil {
		site = u.Hostname()
	}
	for _, name := range []string{sender, site} {
		if smtp.FullyQualified(name) {
			return name
		}
	}
	return sender
}

// announce shows a mail at the terminal: the person there has no mailbox here.
func (sv *service) announce(m notify.Message, file string) {
	fmt.Fprintf(sv.term.out, "mail to %s: %s (%s)\n", m.To, m.Subject, file)
	if m.Link != "" {
		fmt.Fprintf(sv.term.out, "  %s\n", m.Link)
	}
}

// kycConfig is the part of the settings that KYCAID is used by.
func kycConfig(s config.Settings) kycaid.Config {
	return kycaid.Config{Token: s.External.KYCAIDToken.Reveal(), Address: s.External.KYCAIDURL}
}

// measureRelay registers the figures of the outbox.
func (sv *service) measureRelay(r prometheus.Registerer) {
	r.MustRegister(relayMetrics{sv.relay})
	if sv.mailer != nil {
		r.MustRegister(mailMetrics{sv.mailer})
	}
}

// mailMetrics exports the number of mails that a Mailer dropped.
type mailMetrics struct{ *notify.Mailer }

var mailsDropped = prometheus.NewDesc("barong_mails_dropped_total",
	"Mails that were not sent: their reader was sent enough, or has an address that nobody proved.", []string{"lane", "reason"}, nil)

// Describe implements prometheus.Collector.
func (mailMetrics) Describe(c chan<- *prometheus.Desc) { c <- mailsDropped }

// Collect implements prometheus.Collector.
func (m mailMetrics) Collect(c chan<- prometheus.Metric) {
	for _, d := range m.Dropped() {
		c <- prometheus.MustNewConstMetric(mailsDropped, prometheus.CounterValue, float64(d.Mails), string(d.Lane), d.Reason)
	}
}

// relayMetrics exports a Relay's figures of each destination.
type relayMetrics struct{ *event.Relay }

var (
	outboxWaiting = prometheus.NewDesc("barong_outbox_waiting", "Events that wait for a destination.", []string{"destination"}, nil)
	outboxParked  = prometheus.NewDesc("barong_outbox_parked", "Events that a destination will not take.", []string{"destination"}, nil)
	outboxOldest  = prometheus.NewDesc("barong_outbox_oldest_seconds", "Age of the oldest event that waits.", []string{"destination"}, nil)
	outboxUp      = prometheus.NewDesc("barong_outbox_up", "0 while a destination cannot be reached.", []string{"destination"}, nil)
	outboxSent    = prometheus.NewDesc("barong_outbox_sent_total", "Events that this process delivered.", []string{"destination"}, nil)
	outboxRetried = prometheus.NewDesc("barong_outbox_retried_total", "Attempts of this process that failed.", []string{"destination"}, nil)
	outboxGaveUp  = prometheus.NewDesc("barong_outbox_gave_up_total", "Events that this process gave up.", []string{"destination"}, nil)
)

// Describe implements prometheus.Collector.
func (relayMetrics) Describe(c chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{
		outboxWaiting, outboxParked, outboxOldest, outboxUp, outboxSent, outboxRetried, outboxGaveUp,
	} {
		c <- d
	}
}

// Collect implements prometheus.Collector.
func (m relayMetrics) Collect(c chan<- prometheus.Metric) {
	for _, s := range m.Stats() {
		gauge := func(d *prometheus.Desc, v float64) {
			c <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, s.Destination)
		}
		total := func(d *prometheus.Desc, n int64) {
			c <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(n), s.Destination)
		}
		gauge(outboxWaiting, float64(s.Waiting))
		gauge(outboxParked, float64(s.Parked))
		age := 0.0
		if !s.Oldest.IsZero() {
			age = max(0, time.Since(s.Oldest).Seconds())
		}
		gauge(outboxOldest, age)
		up := 0.0
		if s.Up {
			up = 1
		}
		gauge(outboxUp, up)
		total(outboxSent, s.Sent)
		total(outboxRetried, s.Retried)
		total(outboxGaveUp, s.GaveUp)
	}
}
