package main

import (
	"fmt"
	"strings"
	"time"

	"barong/internal/config"
	"barong/internal/configured"
	"barong/internal/event"
	"barong/internal/notify"
	"barong/internal/person"
	"barong/internal/provider/amqp"
	"barong/internal/provider/kycaid"
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
		if e.Category() == event.KYC {
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

// giveUpMail is the age at which an undelivered mail or KYC callback is given up.
const giveUpMail = 24 * time.Hour

// timeoutKYC bounds the work on one note: at most three files and three further calls.
const timeoutKYC = 4 * time.Minute

// openRelay makes the relay that delivers the outbox.
func (sv *service) openRelay(f files) error {
	s := sv.settings
	var to []event.Destination
	if s.Events.On() {
		sender, err := amqp.New(configured.Broker(s), sv.keys, nil)
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
		sv.mailer, err = newMailer(s, f, sender, mailParts{mailStore{sv.db}, sv.mailLimits(), sv.log, sv.db.Time})
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
		provider, err := kycaid.New(configured.KYC(s), nil)
		if err != nil {
			return usageError{fmt.Errorf("BARONG_KYCAID_*: %w", err)}
		}
		kyc := person.KYC{Persons: sv.persons, Provider: provider, Log: sv.log}
		sv.kyc = kyc
		to = append(to, event.Destination{Name: toKYC, Sender: kyc, GiveUp: giveUpMail, Share: 1, Timeout: timeoutKYC})
	}
	relay, err := event.NewRelay(event.Config{Shared: sv.db.Shared}, sv.db, to, sv.log, nil)
	sv.relay = relay
	return err
}
