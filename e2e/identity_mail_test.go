package e2e_test

import (
	"crypto/tls"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	"net"
	netmail "net/mail"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/emersion/go-sasl"
	gosmtp "github.com/emersion/go-smtp"

	"barong/internal/testenv"
)

// A post is a mail server that takes mails over STARTTLS from clients that sign in, and keeps them.
type post struct {
	addr  string
	certs *testenv.Certificates

	mu     sync.Mutex
	server *gosmtp.Server // nil while it is closed
	mails  []letter
}

// A letter is a mail that was taken.
type letter struct {
	id, to, subject string
	text            string // its plain part, decoded
	secure          bool
}

const (
	postUser     = "barong"
	postPassword = "post-4711-secret"
)

// openPost starts one; it ends with the test.
func openPost(t *testing.T) *post {
	t.Helper()
	p := &post{addr: "127.0.0.1:0", certs: testenv.NewCertificates(t, "mail.test")}
	p.open(t)
	t.Cleanup(p.close)
	return p
}

// open listens, at the same address as before.
func (p *post) open(t *testing.T) {
	t.Helper()
	pair, err := tls.LoadX509KeyPair(p.certs.Cert, p.certs.Key)
	must(t, err)
	l, err := net.Listen("tcp", p.addr)
	must(t, err)
	s := gosmtp.NewServer(p)
	s.Domain, s.TLSConfig = "mail.test", &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{pair}}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.addr, p.server = l.Addr().String(), s
	go s.Serve(l) // ends by close
}

// close breaks all connections and refuses new ones; twice is fine.
func (p *post) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.server != nil {
		p.server.Close()
		p.server = nil
	}
}

// NewSession implements gosmtp.Backend.
func (p *post) NewSession(c *gosmtp.Conn) (gosmtp.Session, error) {
	return &visit{post: p, conn: c}, nil
}

type visit struct {
	*post
	conn     *gosmtp.Conn
	signedIn bool
	to       []string
}

func (v *visit) AuthMechanisms() []string { return []string{sasl.Plain} }

func (v *visit) Auth(string) (sasl.Server, error) {
	return sasl.NewPlainServer(func(_, user, password string) error {
		if user != postUser || password != postPassword {
			return gosmtp.ErrAuthFailed
		}
		v.signedIn = true
		return nil
	}), nil
}

func (v *visit) Mail(string, *gosmtp.MailOptions) error {
	if !v.signedIn {
		return gosmtp.ErrAuthRequired
	}
	return nil
}

func (v *visit) Rcpt(to string, _ *gosmtp.RcptOptions) error {
	v.to = append(v.to, to)
	return nil
}

func (v *visit) Data(r io.Reader) error {
	l, err := read(r)
	if err != nil {
		return err
	}
	_, l.secure = v.conn.TLSConnectionState()
	l.to = strings.Join(v.to, ",")
	v.mu.Lock()
	defer v.mu.Unlock()
	v.mails = append(v.mails, l)
	return nil
}

func (v *visit) Reset()        { v.to = nil }
func (v *visit) Logout() error { return nil }

// read takes a mail apart.
func read(r io.Reader) (l letter, err error) {
	m, err := netmail.ReadMessage(r)
	if err != nil {
		return l, err
	}
	l.id = m.Header.Get("Message-Id")
	if l.subject, err = new(mime.WordDecoder).DecodeHeader(m.Header.Get("Subject")); err != nil {
		return l, err
	}
	_, params, err := mime.ParseMediaType(m.Header.Get("Content-Type"))
	if err != nil {
		return l, err
	}
	for parts := multipart.NewReader(m.Body, params["boundary"]); ; {
		part, err := parts.NextRawPart()
		if err != nil {
			return l, fmt.Errorf("no plain part: %w", err)
		}
		if !strings.HasPrefix(part.Header.Get("Content-Type"), "text/plain") {
			continue
		}
		body := io.Reader(part)
		if part.Header.Get("Content-Transfer-Encoding") == "quoted-printable" {
			body = quotedprintable.NewReader(part)
		}
		text, err := io.ReadAll(body)
		l.text = string(text)
		return l, err
	}
}

// all are the mails so far to an address, "" for any.
func (p *post) all(to string) (found []letter) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, l := range p.mails {
		if to == "" || l.to == to {
			found = append(found, l)
		}
	}
	return found
}

// site is the setting domain, to which links lead.
const site = "https://exchange.example"

var mailedLink = regexp.MustCompile(regexp.QuoteMeta(site) +
	`/accounts/(?:confirmation\?confirmation_token|password_reset\?reset_token)=([^&\s]+)&lang=en\s`)

// token waits for the first mail to an address with that subject, and is the token of its link.
func (p *post) token(t *testing.T, to, subject string) string {
	t.Helper()
	var found letter
	eventually(t, "a mail "+subject+" to "+to, func() bool {
		for _, l := range p.all(to) {
			if l.subject == subject {
				found = l
				return true
			}
		}
		return false
	})
	link := mailedLink.FindStringSubmatch(found.text)
	if link == nil {
		t.Fatalf("the mail %s has no link to %s:\n%s", subject, site, found.text)
	}
	return link[1]
}
