package smtp

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"strings"
	"time"

	"github.com/wneessen/go-mail"

	"barong/internal/event"
	"barong/internal/notify"
)

// Policies for TLS.
const (
	// TLSAuto is TLSImplicit on port 465, TLSOpportunistic to loopback and TLSRequired
	// elsewhere.
	TLSAuto = "auto"
	// TLSImplicit begins with TLS (RFC 8314); TLSRequired and TLSOpportunistic say STARTTLS
	// (RFC 3207), the latter only where the server offers it.
	TLSImplicit      = "implicit"
	TLSRequired      = "starttls"
	TLSOpportunistic = "opportunistic"
	TLSNone          = "none"
)

// Config names the server.
type Config struct {
	Host string // localhost
	Port int    // 1025
	// User and Password are for SMTP AUTH; no User means none.
	User, Password string
	// TLS is a policy; "" means TLSAuto.
	TLS string
	// CAFile holds PEM certificates of authorities to trust instead of the system's.
	CAFile string
	// Timeout bounds one mail: 15 s.
	Timeout time.Duration
}

// String keeps the password out of logs.
func (c Config) String() string { return fmt.Sprintf("smtp server %s:%d", c.Host, c.Port) }

// GoString keeps it out of %#v.
func (c Config) GoString() string { return c.String() }

// A Server sends mails through an SMTP server, each over a connection of its own. It is safe
// for concurrent use.
type Server struct {
	cfg     Config
	options []mail.Option
	now     func() time.Time
}

var _ notify.Sender = (*Server)(nil)

// New makes a Server; it connects to nothing yet. now may be nil for time.Now.
func New(c Config, now func() time.Time) (*Server, error) {
	c.Host, c.Port = cmp.Or(c.Host, "localhost"), cmp.Or(c.Port, 1025)
	c.Timeout = cmp.Or(c.Timeout, 15*time.Second)
	if c.TLS == "" || c.TLS == TLSAuto {
		c.TLS = policyFor(c)
	}
	if now == nil {
		now = time.Now
	}
	s := &Server{cfg: c, now: now, options: []mail.Option{mail.WithPort(c.Port), mail.WithTimeout(c.Timeout)}}
	conf := &tls.Config{ServerName: c.Host, MinVersion: tls.VersionTLS12}
	if c.CAFile != "" {
		pem, err := os.ReadFile(c.CAFile)
		if err != nil {
			return nil, fmt.Errorf("read authorities of the SMTP server: %w", err)
		}
		conf.RootCAs = x509.NewCertPool()
		if !conf.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("authorities of the SMTP server: no certificate in %s", c.CAFile)
		}
	}
	s.options = append(s.options, mail.WithTLSConfig(conf))
	switch c.TLS {
	case TLSImplicit:
		s.options = append(s.options, mail.WithSSL())
	case TLSRequired:
		s.options = append(s.options, mail.WithTLSPolicy(mail.TLSMandatory))
	case TLSOpportunistic:
		s.options = append(s.options, mail.WithTLSPolicy(mail.TLSOpportunistic))
	case TLSNone:
		s.options = append(s.options, mail.WithTLSPolicy(mail.NoTLS))
	default:
		return nil, fmt.Errorf("TLS policy %q is none of auto, implicit, starttls, opportunistic, none", c.TLS)
	}
	if c.User != "" {
		if !encrypted(c.TLS) && !loopback(c.Host) {
			return nil, errors.New("a password for SMTP needs TLS: implicit or starttls")
		}
		kind := mail.SMTPAuthAutoDiscover
		if !encrypted(c.TLS) {
			kind = mail.SMTPAuthPlainNoEnc // loopback, as checked above
		}
		s.options = append(s.options, mail.WithSMTPAuth(kind), mail.WithUsername(c.User), mail.WithPassword(c.Password))
	}
	_, err := s.client() // the options are checked here, once
	return s, err
}

func policyFor(c Config) string {
	switch {
	case c.Port == 465:
		return TLSImplicit
	case loopback(c.Host):
		return TLSOpportunistic
	}
	return TLSRequired
}

func encrypted(policy string) bool { return policy == TLSImplicit || policy == TLSRequired }

func loopback(host string) bool {
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.IsLoopback()
}

func (s *Server) client() (*mail.Client, error) {
	c, err := mail.NewClient(s.cfg.Host, s.options...)
	if err != nil {
		return nil, fmt.Errorf("smtp: %w", err)
	}
	return c, nil
}

// Send implements notify.Sender. What the server refuses for good is event.ErrPermanent; a
// server that cannot be reached, or refuses us, is event.ErrUnavailable. A repetition after a
// lost answer has the same Message-ID.
func (s *Server) Send(ctx context.Context, m notify.Message) error {
	msg, err := encode(m, s.now(), mail.EncodingQP)
	if err != nil {
		return fmt.Errorf("%w: %w", event.ErrPermanent, err)
	}
	client, err := s.client()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, s.cfg.Timeout)
	defer cancel()
	conn, err := client.DialToSMTPClientWithContext(ctx)
	if err != nil {
		return fmt.Errorf("%w: connect to %v: %w", event.ErrUnavailable, s.cfg, err)
	}
	sent := make(chan error, 1)
	go func() {
		err := client.SendWithSMTPClient(conn, msg)
		// The mail was taken or not by now; a server that hangs up rudely changes nothing.
		_ = client.CloseWithSMTPClient(conn)
		sent <- err
	}()
	select {
	case err := <-sent:
		return refusal(err)
	case <-ctx.Done():
		_ = conn.Close()
		return fmt.Errorf("%w: %v: %w", event.ErrUnavailable, s.cfg, ctx.Err())
	}
}

// refusal says what became of a mail without naming its reader, as the library's text does.
func refusal(err error) error {
	if err == nil {
		return nil
	}
	bad, ok := errors.AsType[*mail.SendError](err)
	if !ok {
		return fmt.Errorf("%w: the connection broke", event.ErrUnavailable)
	}
	what := strings.TrimSpace(fmt.Sprintf("%v %s", bad.Reason, bad.EnhancedStatusCode()))
	switch code := bad.ErrorCode(); {
	case code >= 500 && (bad.Reason == mail.ErrSMTPRcptTo || bad.Reason == mail.ErrSMTPData ||
		bad.Reason == mail.ErrSMTPDataClose):
		return fmt.Errorf("%w: the server answered %d: %s", event.ErrPermanent, code, what)
	case code >= 400:
		return fmt.Errorf("the server answered %d: %s", code, what)
	}
	return fmt.Errorf("%w: %s", event.ErrUnavailable, what)
}
