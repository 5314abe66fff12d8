package amqp_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"barong/internal/event"
	"barong/internal/expect"
	"barong/internal/provider/amqp"
	"barong/internal/token"
)

func TestConfigNamesItsProblemsWithoutSecrets(t *testing.T) {
	noPEM := filepath.Join(t.TempDir(), "ca.pem")
	expect.OK(t, os.WriteFile(noPEM, []byte("nothing"), 0o600))
	for name, tt := range map[string]struct {
		config amqp.Config
		want   string // "" is fine
	}{
		"the zero value":                         {amqp.Config{}, "host, user and password"},
		"no password":                            {amqp.Config{Host: "mq", Port: 5673, Username: "u"}, "host, user and password"},
		"a host is fine":                         {amqp.Config{Host: "mq", Port: 5673, Username: "u", Password: "sw0rdfish"}, ""},
		"a URL is fine":                          {amqp.Config{URL: "amqp://u:sw0rdfish@mq:5672/vhost"}, ""},
		"a URL of TLS is fine":                   {amqp.Config{URL: "amqps://u:sw0rdfish@mq"}, ""},
		"a URL wins over a port":                 {amqp.Config{URL: "amqp://u:sw0rdfish@mq", Port: -1}, ""},
		"no such port":                           {amqp.Config{Host: "mq", Port: 70000, Username: "u", Password: "p"}, "70000"},
		"another scheme":                         {amqp.Config{URL: "http://u:sw0rdfish@mq"}, "amqp://"},
		"no scheme":                              {amqp.Config{URL: "sw0rdfish@mq"}, "amqp://"},
		"no host":                                {amqp.Config{URL: "amqp://u:sw0rdfish@/v"}, "host"},
		"a password that looks like a port":      {amqp.Config{URL: "amqp://u:sw0rd/fish@mq"}, "percent-encoded"},
		"a password with a question mark":        {amqp.Config{URL: "amqp://u:sw0rd?fish@mq"}, "percent-encoded"},
		"a port out of range":                    {amqp.Config{URL: "amqp://u:sw0rdfish@mq:70000"}, "not valid"},
		"a space":                                {amqp.Config{URL: "amqp://u:sw0rd fish@mq"}, "percent-encoded"},
		"parameters":                             {amqp.Config{URL: "amqp://u:sw0rdfish@mq?certfile=x"}, "parameters"},
		"a CA file without TLS":                  {amqp.Config{URL: "amqp://u:sw0rdfish@mq", CAFile: noPEM}, "amqps"},
		"a CA file that is none":                 {amqp.Config{URL: "amqps://u:sw0rdfish@mq", CAFile: noPEM}, "no certificate"},
		"a CA file that is not there":            {amqp.Config{URL: "amqps://u:sw0rdfish@mq", CAFile: "/nowhere.pem"}, "/nowhere.pem"},
		"a negative timeout":                     {amqp.Config{Timeout: -1}, "timeout"},
		"several at once: the port, the timeout": {amqp.Config{Host: "mq", Port: -1, Username: "u", Password: "p", Timeout: -1}, "timeout"},
	} {
		t.Run(name, func(t *testing.T) {
			err := tt.config.Validate()
			if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want an error with %q", err, tt.want)
			}
			for _, text := range []string{fmt.Sprint(err), tt.config.String(), fmt.Sprintf("%v %+v %#v", tt.config, tt.config, tt.config)} {
				if strings.Contains(text, "sw0rd") || strings.Contains(text, "fish") {
					t.Errorf("%q tells the password", text)
				}
			}
		})
	}
}

func FuzzConfig(f *testing.F) {
	for _, url := range []string{"amqp://u:p@h:1/v", "amqps://h", "amqp://u:p%ff@[::1]:5672/%2f", "amqp://[", "amqp://u:p@h:99999", "://"} {
		f.Add(url)
	}
	f.Fuzz(func(t *testing.T, url string) {
		c := amqp.Config{URL: url}
		err := c.Validate()
		if err == nil {
			if s, err := amqp.New(c, nil, nil); err != nil || s == nil {
				t.Errorf("%q: valid, yet %v", url, err)
			}
			return
		}
		if len(url) > 20 && strings.Contains(err.Error(), url) {
			t.Errorf("the error tells the URL: %v", err)
		}
	})
}

// local is the broker of the default settings, on this machine.
var local = amqp.Config{Host: "localhost", Port: 5672, Username: "guest", Password: "guest"}

// signer is an amqp.Signer of one answer.
type signer struct{ err error }

func (s signer) SignEvent(json.RawMessage, time.Time) ([]byte, error) { return []byte("{}"), s.err }

func send(t *testing.T, c amqp.Config, s signer) error {
	t.Helper()
	sender, err := amqp.New(c, s, nil)
	expect.OK(t, err)
	defer sender.Close()
	return sender.Send(t.Context(), event.Item{Event: event.AccountDeleted(event.User{UID: "u"})})
}

func TestEventThatIsNeverSignedIsPermanent(t *testing.T) {
	if err := send(t, local, signer{token.ErrEvent}); !errors.Is(err, event.ErrPermanent) {
		t.Errorf("got %v, want ErrPermanent", err)
	}
	err := send(t, local, signer{token.ErrNoKey})
	if err == nil || errors.Is(err, event.ErrPermanent) || errors.Is(err, event.ErrUnavailable) {
		t.Errorf("no key: got %v, want an error that is tried again", err)
	}
}

func TestBrokerThatIsNotThereIsUnavailable(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	expect.OK(t, err)
	url := "amqp://u:sw0rdfish@" + l.Addr().String()
	// It listens and says nothing, until it does not even listen.
	err = send(t, amqp.Config{URL: url, Timeout: 50 * time.Millisecond}, signer{})
	if !errors.Is(err, event.ErrUnavailable) {
		t.Errorf("a silent one: got %v, want ErrUnavailable", err)
	}
	l.Close()
	err = send(t, amqp.Config{URL: url}, signer{})
	if !errors.Is(err, event.ErrUnavailable) || strings.Contains(err.Error(), "sw0rdfish") ||
		!strings.Contains(err.Error(), l.Addr().String()) {
		t.Errorf("none: got %v, want ErrUnavailable with its address and without the password", err)
	}
}

func TestClosedSenderConnectsNoMore(t *testing.T) {
	s, err := amqp.New(local, signer{}, nil)
	expect.OK(t, err)
	expect.OK(t, s.Close())
	expect.OK(t, s.Close())
	if err := s.Send(t.Context(), event.Item{}); !errors.Is(err, event.ErrUnavailable) {
		t.Errorf("got %v, want ErrUnavailable", err)
	}
}
