package smtp

import (
	"errors"
	"strings"
	"time"

	"github.com/wneessen/go-mail"

	"barong/internal/notify"
)

// errAddress says that no mail can be made of the sender's or the reader's address.
var errAddress = errors.New("an address is not one that mail can go to")

// encode makes a MIME message: text and HTML as alternatives, or the one there is.
func encode(m notify.Message, now time.Time, e mail.Encoding) (*mail.Msg, error) {
	out := mail.NewMsg(mail.WithEncoding(e), mail.WithNoDefaultUserAgent())
	if out.FromFormat(m.From.Name, m.From.Address) != nil || out.To(m.To) != nil {
		return nil, errAddress
	}
	out.Subject(m.Subject)
	out.SetDateWithValue(now)
	_, host, _ := strings.Cut(m.From.Address, "@")
	out.SetMessageIDWithValue(m.ID + "@" + host)
	out.SetGenHeader("Auto-Submitted", "auto-generated") // RFC 3834
	out.SetGenHeader("Content-Language", m.Language)
	switch {
	case m.Text == "":
		out.SetBodyString(mail.TypeTextHTML, m.HTML)
	case m.HTML == "":
		out.SetBodyString(mail.TypeTextPlain, m.Text)
	default:
		out.SetBodyString(mail.TypeTextPlain, m.Text)
		out.AddAlternativeString(mail.TypeTextHTML, m.HTML)
	}
	return out, nil
}
