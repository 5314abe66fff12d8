package outbox

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"barong/internal/person"
)

// Phones is a person.PhoneProvider that sends nothing: it writes each message into the folder, for
// developers without an account at a provider. It is safe for concurrent use.
type Phones struct {
	Folder Folder
	// Announce, when not nil, gets each message and its file.
	Announce func(m person.PhoneMessage, file string)
	Log      *slog.Logger
}

var _ person.PhoneProvider = Phones{}

// MakesCodes implements person.PhoneProvider.
func (Phones) MakesCodes() bool { return false }

// Send implements person.PhoneProvider.
func (p Phones) Send(ctx context.Context, m person.PhoneMessage) (string, error) {
	text := fmt.Sprintf("To: %s\nChannel: %s\n\n%s\n", m.To, m.Channel, m.Text)
	file, err := p.Folder.Write(time.Now().UTC().Format("20060102T150405.000000000"), []byte(text))
	if err != nil {
		p.Log.WarnContext(ctx, "phone message not kept", "error", err)
		return "", fmt.Errorf("%w: %w", person.ErrPhoneProvider, err)
	}
	if p.Announce != nil {
		p.Announce(m, file)
	}
	return m.Channel, nil
}

// Check implements person.PhoneProvider: it makes no codes.
func (Phones) Check(context.Context, string, string) (bool, error) { return false, nil }
