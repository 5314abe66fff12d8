package amqp

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/rabbitmq/amqp091-go"
)

// A Config says where the broker is. Its zero value is a RabbitMQ of this machine with its
// own default account, in plain text.
type Config struct {
	// URL is amqp://USER:PASSWORD@HOST:PORT/VHOST, or amqps:// for TLS; it is a secret. When
	// it is not empty, the four below count for nothing; without it all of them are mandatory.
	URL                string
	Host               string
	Port               int
	Username, Password string
	// CAFile holds, as PEM, the authorities that may sign the broker's certificate; "" means
	// those that the system trusts. It is for amqps only.
	CAFile string
	// Timeout bounds a connection attempt, and the wait for the confirmation of a message:
	// 5 s.
	Timeout time.Duration
}

// String keeps the password out of logs.
func (c Config) String() string {
	u, err := c.uri()
	if err != nil {
		return "amqp (not valid)"
	}
	return u.Scheme + "://" + net.JoinHostPort(u.Host, strconv.Itoa(u.Port))
}

// GoString keeps the password out of %#v.
func (c Config) GoString() string { return c.String() }

// Validate lists every problem; none of them shows the password.
func (c Config) Validate() error {
	u, err := c.uri()
	problems := []error{err}
	if c.Timeout < 0 {
		problems = append(problems, fmt.Errorf("timeout is %v, want none or more than 0", c.Timeout))
	}
	if c.CAFile != "" {
		if _, err := roots(c.CAFile); err != nil {
			problems = append(problems, err)
		}
		if err == nil && u.Scheme != "amqps" {
			problems = append(problems, errors.New("a CA file is of use with amqps:// only"))
		}
	}
	return errors.Join(problems...)
}

// uri is where to connect and as whom. Its errors hold nothing of the URL: a seeming port may be
// half of a password.
func (c Config) uri() (amqp091.URI, error) {
	if c.URL == "" {
		u := amqp091.URI{Scheme: "amqp", Host: c.Host, Port: c.Port, Username: c.Username, Password: c.Password, Vhost: "/"}
		if u.Host == "" || u.Username == "" || u.Password == "" {
			return u, errors.New("there is no URL, and of host, user and password one is missing")
		}
		if u.Port < 1 || u.Port > 65535 {
			return u, fmt.Errorf("port is %d, want 1 to 65535", c.Port)
		}
		return u, nil
	}
	parsed, err := url.Parse(c.URL)
	switch {
	case err != nil || strings.ContainsAny(c.URL, " \t\r\n"):
		return amqp091.URI{}, errors.New("the URL is not valid; special characters of user and password must be percent-encoded")
	case parsed.Scheme != "amqp" && parsed.Scheme != "amqps":
		return amqp091.URI{}, errors.New("the URL does not begin with amqp:// or amqps://")
	case parsed.Hostname() == "" || parsed.RawQuery != "" || parsed.Fragment != "":
		return amqp091.URI{}, errors.New("the URL wants a host, and takes no parameters; special characters of user and password must be percent-encoded")
	}
	u, err := amqp091.ParseURI(c.URL)
	if err != nil || u.Port < 1 || u.Port > 65535 {
		return amqp091.URI{}, errors.New("the URL is not valid, want amqp://USER:PASSWORD@HOST:PORT/VHOST")
	}
	return u, nil
}

func (c Config) timeout() time.Duration {
	if c.Timeout == 0 {
		return 5 * time.Second
	}
	return c.Timeout
}

// tls is nil for plain text.
func (c Config) tls(u amqp091.URI) (*tls.Config, error) {
	if u.Scheme != "amqps" {
		return nil, nil
	}
	t := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: u.Host}
	if c.CAFile == "" {
		return t, nil
	}
	var err error
	t.RootCAs, err = roots(c.CAFile)
	return t, err
}

func roots(path string) (*x509.CertPool, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read CA file: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("CA file %s holds no certificate", path)
	}
	return pool, nil
}
