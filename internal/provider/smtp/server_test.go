package smtp_test

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	netmail "net/mail"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-sasl"
	gosmtp "github.com/emersion/go-smtp"

	"barong/internal/event"
	"barong/internal/notify"
	"barong/internal/provider/smtp"
	"barong/internal/testenv"
)

// receiver is a mail server that keeps its mails.
type receiver struct {
	mu       sync.Mutex
	mails    []string
	rcpt     []string
	user     string
	overTLS  bool
	refuse   error // of RCPT
	hang     chan struct{}
	needAuth bool
}

func (r *receiver) NewSession(c *gosmtp.Conn) (gosmtp.Session, error) {
	_, secure := c.TLSConnectionState()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.overTLS = secure
	return &visit{receiver: r}, nil
}

type visit struct {
	*receiver
	signedIn bool
}

func (v *visit) AuthMechanisms() []string { return []string{sasl.Plain} }

func (v *visit) Auth(string) (sasl.Server, error) {
	return sasl.NewPlainServer(func(_, user, password string) error {
		if password != "right" {
			return gosmtp.ErrAuthFailed
		}
		v.mu.Lock()
		defer v.mu.Unlock()
		v.user, v.signedIn = user, true
		return nil
	}), nil
}

func (v *visit) Mail(string, *gosmtp.MailOptions) error {
	if v.needAuth && !v.signedIn {
		return gosmtp.ErrAuthRequired
	}
	return nil
}

func (v *visit) Rcpt(to string, _ *gosmtp.RcptOptions) error {
	if v.refuse != nil {
		return v.refuse
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	v.rcpt = append(v.rcpt, to)
	return nil
}

func (v *visit) Data(r io.Reader) error {
	text, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	if v.hang != nil {
		<-v.hang
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	v.mails = append(v.mails, string(text))
	return nil
}

func (v *visit) Reset()        {}
func (v *visit) Logout() error { return nil }

// serve runs r on loopback; implicit TLS or STARTTLS with certs, neither without.
func serve(t *testing.T, r *receiver, certs *testenv.Certificates, implicit bool) (port int) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port = l.Addr().(*net.TCPAddr).Port
	s := gosmtp.NewServer(r)
	s.AllowInsecureAuth = certs == nil
	s.Domain = "mail.example"
	if certs != nil {
		pair, err := tls.LoadX509KeyPair(certs.Cert, certs.Key)
		if err != nil {
			t.Fatal(err)
		}
		conf := &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{pair}}
		s.TLSConfig = conf
		if implicit {
			l = tls.NewListener(l, conf)
		}
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = s.Serve(l)
	}()
	t.Cleanup(func() {
		_ = s.Close()
		<-done
	})
	return port
}

func message() notify.Message {
	return notify.Message{
		ID: "barong.1.2", Event: "system.user.password.reset.token",
		From: netmail.Address{Name: "Биржа", Address: "noreply@exchange.example"}, To: "ann@example.com",
		Subject: "Сброс Пароля", Language: "ru", Text: "Ссылка: https://x/?reset_token=abc&lang=ru\n.\nконец\n",
		HTML: "<p>Ссылка</p>", Link: "https://x/?reset_token=abc&lang=ru",
	}
}

func TestAMailArrivesWhole(t *testing.T) {
	r := &receiver{}
	s, err := smtp.New(smtp.Config{Helo: "exchange.example", Host: "127.0.0.1", Port: serve(t, r, nil, false), TLS: smtp.TLSAuto}, func() time.Time {
		return time.Date(2026, 11, 21, 9, 8, 7, 0, time.UTC)
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Send(t.Context(), message()); err != nil {
		t.Fatal(err)
	}
	if len(r.mails) != 1 || len(r.rcpt) != 1 || r.rcpt[0] != "ann@example.com" {
		t.Fatalf("got %d mails to %v, want one to ann@example.com", len(r.mails), r.rcpt)
	}
	got, err := netmail.ReadMessage(strings.NewReader(r.mails[0]))
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"To": "<ann@example.com>", "Message-Id": "<barong.1.2@exchange.example>",
		"Auto-Submitted": "auto-generated", "Content-Language": "ru", "Date": "Sat, 21 Nov 2026 09:08:07 +0000",
	} {
		if g := got.Header.Get(name); g != want {
			t.Errorf("%s: got %q, want %q", name, g, want)
		}
	}
	if g := got.Header.Get("Content-Type"); !strings.HasPrefix(g, "multipart/alternative") {
		t.Errorf("got content type %q, want multipart/alternative", g)
	}
	if strings.Contains(r.mails[0], "Сброс") {
		t.Error("the subject is not encoded (RFC 2047)")
	}
}

func TestTLSPolicies(t *testing.T) {
	certs := testenv.NewCertificates(t, "localhost")
	other := testenv.NewCertificates(t, "localhost")
	tests := map[string]struct {
		policy   string
		ca       string
		certs    *testenv.Certificates
		implicit bool
		sent     bool
		secure   bool
	}{
		"required, offered":                      {smtp.TLSRequired, certs.CA, certs, false, true, true},
		"required, not offered":                  {smtp.TLSRequired, "", nil, false, false, false},
		"required, a certificate of another":     {smtp.TLSRequired, other.CA, certs, false, false, false},
		"implicit":                               {smtp.TLSImplicit, certs.CA, certs, true, true, true},
		"implicit, a certificate of another":     {smtp.TLSImplicit, other.CA, certs, true, false, false},
		"opportunistic, offered":                 {smtp.TLSOpportunistic, certs.CA, certs, false, true, true},
		"opportunistic, not offered":             {smtp.TLSOpportunistic, "", nil, false, true, false},
		"none, offered":                          {smtp.TLSNone, "", certs, false, true, false},
		"auto to loopback, offered":              {smtp.TLSAuto, certs.CA, certs, false, true, true},
		"auto to loopback, self-made":            {smtp.TLSAuto, "", certs, false, true, true},
		"opportunistic to loopback, self-made":   {smtp.TLSOpportunistic, "", certs, false, true, true},
		"required to loopback, self-made":        {smtp.TLSRequired, "", certs, false, false, false},
		"auto to loopback, not offered":          {smtp.TLSAuto, "", nil, false, true, false},
		"opportunistic, a certificate of others": {smtp.TLSOpportunistic, other.CA, certs, false, false, false},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			r := &receiver{}
			s, err := smtp.New(smtp.Config{
				Helo: "exchange.example", Host: "127.0.0.1", Port: serve(t, r, tt.certs, tt.implicit), TLS: tt.policy, CAFile: tt.ca,
			}, nil)
			if err != nil {
				t.Fatal(err)
			}
			err = s.Send(t.Context(), message())
			if (err == nil) != tt.sent {
				t.Fatalf("got %v, want it sent: %v", err, tt.sent)
			}
			if err != nil && !errors.Is(err, event.ErrUnavailable) {
				t.Errorf("got %v, want an outage", err)
			}
			if tt.sent && r.overTLS != tt.secure {
				t.Errorf("over TLS: got %v, want %v", r.overTLS, tt.secure)
			}
		})
	}
}

func TestConfigIsRefusedEarly(t *testing.T) {
	tests := map[string]struct {
		c    smtp.Config
		want string
	}{
		"a password in clear to another machine":     {smtp.Config{Port: 1025, Helo: "exchange.example", Host: "mail.example", User: "u", Password: "hunter2", TLS: smtp.TLSNone}, "needs TLS"},
		"a password with TLS that may be taken away": {smtp.Config{Port: 1025, Helo: "exchange.example", Host: "mail.example", User: "u", Password: "hunter2", TLS: smtp.TLSOpportunistic}, "needs TLS"},
		"no host":           {smtp.Config{Helo: "exchange.example", Port: 25, TLS: smtp.TLSAuto}, "want a host"},
		"no port":           {smtp.Config{Helo: "exchange.example", Host: "mail.example", TLS: smtp.TLSAuto}, "want a host, and a port"},
		"no policy":         {smtp.Config{Helo: "exchange.example", Host: "mail.example", Port: 25}, `policy ""`},
		"an unknown policy": {smtp.Config{Host: "localhost", Port: 1025, Helo: "exchange.example", TLS: "maybe"}, `"maybe"`},
		"a file of authorities that is not there": {smtp.Config{Host: "localhost", Port: 1025, TLS: smtp.TLSAuto, Helo: "exchange.example", CAFile: "none.pem"}, "none.pem"},
	}
	for name, tt := range tests {
		_, err := smtp.New(tt.c, nil)
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: got %v, want %q in it", name, err, tt.want)
		}
		if err != nil && strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: the password is in the error", name)
		}
	}
	if _, err := smtp.New(smtp.Config{Helo: "exchange.example", Host: "mail.example", Port: 25, TLS: smtp.TLSAuto, User: "u", Password: "p"}, nil); err != nil {
		t.Errorf("auto with a password: got %v, want it required and accepted", err)
	}
}

func TestSignsInWithItsPassword(t *testing.T) {
	certs := testenv.NewCertificates(t, "localhost")
	r := &receiver{needAuth: true}
	port := serve(t, r, certs, false)
	for password, sent := range map[string]bool{"right": true, "wrong": false} {
		s, err := smtp.New(smtp.Config{
			Helo: "exchange.example", Host: "127.0.0.1", Port: port, User: "barong", Password: password, TLS: smtp.TLSRequired, CAFile: certs.CA,
		}, nil)
		if err != nil {
			t.Fatal(err)
		}
		err = s.Send(t.Context(), message())
		if (err == nil) != sent {
			t.Errorf("password %s: got %v, want it sent: %v", password, err, sent)
		}
		if err != nil && !errors.Is(err, event.ErrUnavailable) {
			t.Errorf("password %s: got %v, want what is not the mail's fault", password, err)
		}
	}
	if r.user != "barong" {
		t.Errorf("got user %q, want barong", r.user)
	}
}

func TestRefusalsAreToldApartAndNameNobody(t *testing.T) {
	tests := map[string]struct {
		refuse    error
		permanent bool
	}{
		"no such mailbox": {&gosmtp.SMTPError{Code: 550, EnhancedCode: gosmtp.EnhancedCode{5, 1, 1}, Message: "no ann@example.com here"}, true},
		"try again later": {&gosmtp.SMTPError{Code: 451, EnhancedCode: gosmtp.EnhancedCode{4, 7, 1}, Message: "greylisted ann@example.com"}, false},
		"mailbox is full": {&gosmtp.SMTPError{Code: 452, EnhancedCode: gosmtp.EnhancedCode{4, 2, 2}, Message: "full"}, false},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			r := &receiver{refuse: tt.refuse}
			s, err := smtp.New(smtp.Config{TLS: smtp.TLSAuto, Helo: "exchange.example", Host: "127.0.0.1", Port: serve(t, r, nil, false)}, nil)
			if err != nil {
				t.Fatal(err)
			}
			err = s.Send(t.Context(), message())
			if err == nil || errors.Is(err, event.ErrPermanent) != tt.permanent {
				t.Fatalf("got %v, want it given up: %v", err, tt.permanent)
			}
			if strings.Contains(err.Error(), "ann@") || strings.Contains(err.Error(), "reset_token") {
				t.Errorf("the error tells who or what: %v", err)
			}
		})
	}
}

func TestAServerThatIsGoneOrHangsIsAnOutage(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := l.Addr().(*net.TCPAddr).Port
	l.Close()
	s, err := smtp.New(smtp.Config{TLS: smtp.TLSAuto, Helo: "exchange.example", Host: "127.0.0.1", Port: port}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Send(t.Context(), message()); !errors.Is(err, event.ErrUnavailable) {
		t.Errorf("nobody listens: got %v, want an outage", err)
	}

	r := &receiver{hang: make(chan struct{})}
	port = serve(t, r, nil, false)
	if s, err = smtp.New(smtp.Config{Helo: "exchange.example", Host: "127.0.0.1", Port: port, TLS: smtp.TLSAuto, Timeout: 300 * time.Millisecond}, nil); err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	err = s.Send(t.Context(), message())
	close(r.hang)
	if !errors.Is(err, event.ErrUnavailable) || time.Since(start) > 5*time.Second {
		t.Errorf("a server that hangs: got %v after %v, want an outage within the time limit", err, time.Since(start))
	}

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Send(ctx, message()); !errors.Is(err, event.ErrUnavailable) {
		t.Errorf("stopped: got %v, want an outage", err)
	}
}
