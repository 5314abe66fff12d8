package smtp

import (
	"bytes"
	"context"
	"fmt"
	"time"

	"github.com/wneessen/go-mail"

	"barong/internal/event"
	"barong/internal/notify"
	"barong/internal/provider/outbox"
)

// A Folder keeps mails as files *.eml, readable by their owner alone, for runs without a mail
// server. It is safe for concurrent use.
type Folder struct {
	// Path is made when it is missing.
	Path string
	// Keep is how many mails stay, the newest; 0 is 1000.
	Keep int
	// Announce, when not nil, gets each mail and its file.
	Announce func(m notify.Message, file string)
	// Now is time.Now when nil.
	Now func() time.Time
}

var _ notify.Sender = Folder{}

// Send implements notify.Sender. A repetition replaces the file. Bodies are written as they
// are, so that links can be copied out of the file.
func (f Folder) Send(_ context.Context, m notify.Message) error {
	now := time.Now
	if f.Now != nil {
		now = f.Now
	}
	msg, err := encode(m, now(), mail.NoEncoding)
	if err != nil {
		return fmt.Errorf("%w: %w", event.ErrPermanent, err)
	}
	var b bytes.Buffer
	if _, err := msg.WriteTo(&b); err != nil {
		return fmt.Errorf("encode mail: %w", err)
	}
	file, err := outbox.Folder{Path: f.Path, Ext: ".eml", Keep: f.Keep}.Write(m.ID, b.Bytes())
	if err != nil {
		return fmt.Errorf("keep mail: %w", err)
	}
	if f.Announce != nil {
		f.Announce(m, file)
	}
	return nil
}
