package main

import (
	"fmt"
	"log/slog"

	"barong/internal/config"
	"barong/internal/configured"
	"barong/internal/person"
	"barong/internal/provider/outbox"
	"barong/internal/provider/twilio"
)

// phoneProvider makes the sender of codes to phones, nil for none; it connects to nothing.
func phoneProvider(
	s config.Settings, log *slog.Logger, announce func(person.PhoneMessage, string),
) (p person.PhoneProvider, err error) {
	switch s.PhoneVerification() {
	case "off":
		log.Info("phones are not verified: BARONG_PHONE_VERIFICATION names no provider")
		return nil, nil
	case "mock":
		if s.EmbeddedGate() { // elsewhere it is a warning of the configuration
			log.Warn("phones are verified by mock: no phone gets a message", "folder", s.Outbox())
		}
		return outbox.Phones{Folder: outbox.Folder{Path: s.Outbox(), Ext: ".sms"}, Announce: announce, Log: log}, nil
	case "twilio_sms":
		p, err = twilio.NewSMS(configured.Twilio(s), nil, log)
	case "twilio_verify":
		p, err = twilio.NewVerify(configured.Twilio(s), nil, log)
	}
	if err != nil {
		return nil, named("BARONG_TWILIO_*", err)
	}
	return p, nil
}

// phonesOdd is a warning about phones outside the embedded run, "" for none.
func phonesOdd(s config.Settings) string {
	if s.EmbeddedGate() || s.PhoneVerification() != "mock" {
		return ""
	}
	return fmt.Sprintf("BARONG_PHONE_VERIFICATION is mock: no phone gets a message, codes are written to %s", s.Outbox())
}

// announcePhone shows a code at the terminal: nobody gets it elsewhere.
func (sv *service) announcePhone(m person.PhoneMessage, file string) {
	fmt.Fprintf(sv.term.out, "%s to %s: %s (%s)\n", m.Channel, m.To, m.Text, file)
}
