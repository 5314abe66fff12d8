package twilio

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strings"

	"barong/internal/person"
)

// SMS sends codes of ours as messages. It is safe for concurrent use.
type SMS struct{ client *client }

var _ person.PhoneProvider = (*SMS)(nil)

// NewSMS checks c and makes one; transport may be nil.
func NewSMS(c Config, transport http.RoundTripper, log *slog.Logger) (*SMS, error) {
	problems := c.problems()
	if digits, plus := strings.CutPrefix(c.From, "+"); !plus || digits == "" || strings.Trim(digits, "0123456789") != "" {
		problems = append(problems, errors.New("the number that messages come from is not + and digits"))
	}
	if err := errors.Join(problems...); err != nil {
		return nil, fmt.Errorf("twilio: configuration: %w", err)
	}
	return &SMS{newClient(c, messagesAddress, transport, log)}, nil
}

// MakesCodes implements person.PhoneProvider.
func (*SMS) MakesCodes() bool { return false }

// Send implements person.PhoneProvider: a message, whatever channel is asked for.
func (s *SMS) Send(ctx context.Context, m person.PhoneMessage) (string, error) {
	_, err := s.client.post(ctx, "/2010-04-01/Accounts/"+s.client.config.AccountSID+"/Messages.json",
		url.Values{"From": {s.client.config.From}, "To": {m.To}, "Body": {m.Text}})
	if err != nil {
		return "", s.client.fail(ctx, "send message", err)
	}
	return person.ChannelSMS, nil
}

// Check implements person.PhoneProvider: there are no codes of Twilio's.
func (*SMS) Check(context.Context, string, string) (bool, error) { return false, nil }
