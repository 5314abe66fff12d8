package smtp

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/wneessen/go-mail"
	gosmtp "github.com/wneessen/go-mail/smtp"

	"barong/internal/event"
	"barong/internal/notify"
)

// Policies for TLS.
const (
	// TLSAuto is TLSImplicit on port 465, TLSOpportunistic to loopback and TLSRequired
	// elsewhere.
	TLSAuto = "auto"
	// TLSImplicit begins with TLS (RFC 8314); TLSRequired and TLSOpportunistic say STARTTLS
	// (RFC 3207), the latter only where the server offers it. To loopback TLSOpportunistic
	// neither believes nor needs a certificate, unless CAFile names its signer, and goes on
	// in clear when no TLS can be agreed on: nobody is between.
	TLSImplicit      = "implicit"
	TLSRequired      = "starttls"
	TLSOpportunistic = "opportunistic"
	TLSNone          = "none"
)

// Config names the server. Host, Port, TLS and Helo are mandatory.
type Config struct {
	Host string
	Port int
	// User and Password are for SMTP AUTH; no User means none.
	User, Password string
	// TLS is a policy, such as TLSAuto.
	TLS string
	// CAFile holds PEM certificates of authorities to trust instead of the system's.
	CAFile string
	// Helo is our name in EHLO (RFC 5321 §4.1.1.1): see FullyQualified. Without one nothing is
	// sent, as the machine's own name means nothing to a server.
	Helo string
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
	clear   bool // TLS that fails is gone without
	now     func() time.Time
}

var _ notify.Sender = (*Server)(nil)

// New makes a Server; it connects to nothing yet. now may be nil for time.Now.
func New(c Config, now func() time.Time) (*Server, error) {
	if c.Host == "" || c.Port < 1 || c.Port > 65535 {
		return nil, fmt.Errorf("the SMTP server is %q with port %d: want a host, and a port of 1 to 65535", c.Host, c.Port)
	}
	c.Timeout = cmp.Or(c.Timeout, 15*time.Second)
	if c.TLS == TLSAuto {
		c.TLS = policyFor(c)
	}
	if now == nil {
		now = time.Now
	}
	if !FullyQualified(c.Helo) {
		return nil, fmt.Errorf("the name for EHLO is %q: want a host name with a dot, or an address in brackets", c.Helo)
	}
	s := &Server{cfg: c, now: now, options: []mail.Option{
		mail.WithPort(c.Port), mail.WithTimeout(c.Timeout), mail.WithHELO(c.Helo),
	}}
	conf := &tls.Config{ServerName: c.Host, MinVersion: tls.VersionTLS12}
	if s.clear = c.TLS == TLSOpportunistic && loopback(c.Host) && c.CAFile == ""; s.clear {
		conf.InsecureSkipVerify = true
		s.options = append(s.options, mail.WithDialContextFunc(dialLoopback))
	}
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
			return nil, errors.New("a password needs TLS: smtp_tls implicit or starttls")
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

// dialLoopback connects to this machine and nowhere else, whatever localhost resolves to.
func dialLoopback(ctx context.Context, network, address string) (net.Conn, error) {
	conn, err := new(net.Dialer).DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	if to, ok := conn.RemoteAddr().(*net.TCPAddr); !ok || !to.IP.IsLoopback() {
		return nil, errors.Join(fmt.Errorf("%s is not on this machine", address), conn.Close())
	}
	return conn, nil
}

// FullyQualified reports whether a name is one that servers take in EHLO: a host name of two
// labels or more in ASCII (RFC 1123 §2.1), or an address literal (RFC 5321 §4.1.3) such as
// [192.0.2.1] or [IPv6:2001:db8::1].
func FullyQualified(name string) bool {
	if literal, ok := strings.CutPrefix(name, "["); ok {
		literal, closed := strings.CutSuffix(literal, "]")
		v6, tagged := strings.CutPrefix(literal, "IPv6:")
		ip, err := netip.ParseAddr(v6)
		return closed && err == nil && ip.Zone() == "" && ip.Is6() == tagged
	}
	labels := strings.Split(name, ".")
	for _, l := range labels {
		if l == "" || len(l) > 63 || l[0] == '-' || l[len(l)-1] == '-' || strings.ContainsFunc(l, notOfHosts) {
			return false
		}
	}
	// A last label of digits alone is that of an address.
	return len(labels) > 1 && len(name) <= 253 && strings.Trim(labels[len(labels)-1], "0123456789") != ""
}

func notOfHosts(c rune) bool {
	return (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '-'
}

func (s *Server) client(more ...mail.Option) (*mail.Client, error) {
	c, err := mail.NewClient(s.cfg.Host, append(slices.Clip(s.options), more...)...)
	if err != nil {
		return nil, fmt.Errorf("smtp: %w", err)
	}
	return c, nil
}

// Send implements notify.Sender. Only the server's refusal of the reader is
// event.ErrPermanent; a server that cannot be reached, or takes nothing of us, is
// event.ErrUnavailable. A repetition after a lost answer has the same Message-ID.
func (s *Server) Send(ctx context.Context, m notify.Message) error {
	msg, err := encode(m, s.now(), mail.EncodingQP)
	if err != nil {
		return fmt.Errorf("%w: %w", event.ErrPermanent, err)
	}
	ctx, cancel := context.WithTimeout(ctx, s.cfg.Timeout)
	defer cancel()
	client, conn, err := s.connect(ctx)
	if err != nil {
		return fmt.Errorf("%w: connect to %v: %w", event.ErrUnavailable, s.cfg, err)
	}
	sent := make(chan error, 1)
	go func() {
		err := client.SendWithSMTPClient(conn, msg)
		if msg.IsDelivered() { // an answer after the server took the mail changes nothing
			err = nil
		}
		_ = client.CloseWithSMTPClient(conn) // nor does it when it hangs up rudely
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

// connect greets the server, by TLS as the policy says.
func (s *Server) connect(ctx context.Context) (*mail.Client, *gosmtp.Client, error) {
	client, err := s.client()
	if err != nil {
		return nil, nil, err
	}
	conn, err := client.DialToSMTPClientWithContext(ctx)
	if _, unreached := errors.AsType[*net.OpError](err); err == nil || unreached || !s.clear || ctx.Err() != nil {
		return client, conn, err
	}
	plain, failed := s.client(mail.WithTLSPolicy(mail.NoTLS))
	if failed != nil {
		return nil, nil, failed
	}
	conn, failed = plain.DialToSMTPClientWithContext(ctx)
	if failed != nil {
		return nil, nil, errors.Join(err, failed)
	}
	return plain, conn, nil
}

// refusal describes the failure of a mail without its reader, whom the library's text names.
func refusal(err error) error {
	if err == nil {
		return nil
	}
	bad, ok := errors.AsType[*mail.SendError](err)
	if !ok {
		return fmt.Errorf("%w: the connection broke", event.ErrUnavailable)
	}
	code := bad.ErrorCode()
	// The text is the reason, a colon, and a textproto.Error: the code and the quoted answer.
	_, answer, _ := strings.Cut(bad.Error(), fmt.Sprintf("%v: %d \"", bad.Reason, code))
	enhanced := enhancedCode(answer)
	said := strings.TrimSpace(fmt.Sprintf("%d %s", code, enhanced)) + " at " + bad.Reason.String()
	switch {
	case final(bad.Reason, code, enhanced):
		return fmt.Errorf("%w: the server refuses the reader: %s", event.ErrPermanent, said)
	case code >= 500:
		return fmt.Errorf("the server refuses us, or says nothing about the reader: %s; "+
			"look at smtp_helo, sender_email and what it relays", said)
	case code >= 400:
		return fmt.Errorf("the server wants it later: %s", said)
	}
	return fmt.Errorf("%w: %v", event.ErrUnavailable, bad.Reason)
}

// final reports whether an answer is about the reader, and for good: an enhanced code
// (RFC 3463) of the classes address and mailbox, to a command that is about the reader. All
// others may be about us, our name or our message, which an operator mends, and then the mail
// is still wanted. So may those without such a code: 550 is said of an unknown mailbox and of
// a client that may not relay.
func final(phase mail.SendErrReason, code int, enhanced string) bool {
	if code < 500 || phase != mail.ErrSMTPRcptTo && phase != mail.ErrSMTPData && phase != mail.ErrSMTPDataClose {
		return false
	}
	switch class, detail, _ := strings.Cut(strings.TrimPrefix(enhanced, "5."), "."); {
	case !strings.HasPrefix(enhanced, "5."):
		return false
	case class == "1":
		return detail != "7" && detail != "8" // the sender's address
	default:
		return class == "2"
	}
}

// codes are where servers write an enhanced code: at the start (RFC 2034), some after a #,
// and some in brackets at the end. A number elsewhere in the text may be an address.
var codes = regexp.MustCompile(`^#?([245]\.\d{1,3}\.\d{1,3})(?:[\s"\\]|$)|\(#([245]\.\d{1,3}\.\d{1,3})\)`)

// enhancedCode is that of an answer without its three digits, "" when it has none. A quote or
// a backslash may follow it, as the answer may be quoted.
func enhancedCode(answer string) string {
	found := codes.FindStringSubmatch(answer)
	if found == nil {
		return ""
	}
	return found[1] + found[2]
}
