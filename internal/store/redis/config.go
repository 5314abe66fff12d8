package redis

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	goredis "github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
)

// Config says where Redis is and how long to wait for it. URL, DialTimeout, Timeout, PoolSize, Prefix
// and SessionLife are mandatory. Formatting or logging a Config shows no password.
type Config struct {
	// URL is redis://[user[:password]@][host[:port]][/db], or rediss:// for TLS. With
	// Sentinels it names no host.
	URL string
	// Sentinels are the addresses (host:port) of Sentinels, Master the name they know the
	// master by.
	Sentinels []string
	Master    string
	// SentinelUsername and SentinelPassword log in to the Sentinels, when they ask for it.
	SentinelUsername, SentinelPassword string
	// Cluster are the addresses of some nodes of a Redis Cluster; the others are learnt.
	// The URL's host, if any, is one more.
	Cluster []string
	// Username and Password are of the ACL user, unless the URL holds them.
	Username, Password string

	// CA is a PEM file of the authorities to believe instead of the system's; Cert and Key
	// are PEM files of the certificate to show; ServerName is the name that the server's
	// certificate must have, "" for the host dialled. Only with rediss://.
	CA, Cert, Key, ServerName string

	// DialTimeout and Timeout bound making a connection and one exchange over it. No call
	// takes longer than the two together.
	DialTimeout, Timeout time.Duration
	// PoolSize bounds the connections to each server.
	PoolSize int
	// Prefix begins every key.
	Prefix string

	// SessionLife is how long a session can live at most, session.Config.Absolute. The list of
	// a user's sessions forgets each after that.
	SessionLife time.Duration

	// Zero values of the following mean those in brackets. Batch bounds the commands of one pipeline (512) and Pipelines those under way at
	// once (4).
	Batch, Pipelines int
	// Failures in a row after which Redis is left alone (3), for Pause (300 ms); then one
	// call tries it again.
	Failures int
	Pause    time.Duration

	// Observe, if any, gets the time that each exchange took, its number of commands, and its
	// failure. It must be safe for concurrent use and quick.
	Observe func(took time.Duration, commands int, err error)
	// Now is the clock of expiries; nil means time.Now.
	Now func() time.Time
	// Log gets a line when Redis goes and comes back; nil means no log.
	Log *slog.Logger
}

// String names the addresses and nothing secret.
func (c Config) String() string {
	where := "redis"
	if u, err := parseURL(c.URL); err == nil && u.host != "" {
		where += " at " + u.host
	}
	if len(c.Sentinels) > 0 {
		where += " " + c.Master + " by Sentinels " + strings.Join(c.Sentinels, ",")
	}
	if len(c.Cluster) > 0 {
		where += " cluster " + strings.Join(c.Cluster, ",")
	}
	return where
}

// GoString keeps passwords out of %#v.
func (c Config) GoString() string { return c.String() }

// LogValue keeps passwords out of logs.
func (c Config) LogValue() slog.Value { return slog.StringValue(c.String()) }

func (c Config) withDefaults() Config {
	if c.Pause <= 0 {
		c.Pause = 300 * time.Millisecond
	}
	for _, d := range []struct {
		at *int
		to int
	}{{&c.Batch, 512}, {&c.Pipelines, 4}, {&c.Failures, 3}} {
		if *d.at <= 0 {
			*d.at = d.to
		}
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	return c
}

// Validate lists all that is wrong, without a password.
func (c Config) Validate() error {
	u, err := parseURL(c.URL)
	problems := []error{err}
	say := func(wrong bool, text string) {
		if wrong {
			problems = append(problems, errors.New(text))
		}
	}
	sentinel, cluster := len(c.Sentinels) > 0 || c.Master != "", len(c.Cluster) > 0
	say(sentinel && cluster, "Sentinels and a Cluster cannot both be used")
	say(sentinel && (len(c.Sentinels) == 0 || c.Master == ""), "Sentinels need addresses and the name of the master")
	if err == nil {
		say(sentinel && u.host != "", "the URL names a host, but the Sentinels tell where the master is")
		say(!sentinel && !cluster && u.host == "", "the URL names no host")
		say(cluster && u.db != 0, "a Cluster has no database but 0")
		say(u.username+u.password != "" && c.Username+c.Password != "", "user and password are given in the URL and beside it")
		if u.tls {
			_, unread := c.tls()
			problems = append(problems, unread)
		}
		say(!u.tls && c.CA+c.Cert+c.Key+c.ServerName != "", "certificates and a server name need a rediss:// URL")
	}
	say((c.Cert == "") != (c.Key == ""), "a certificate and its key go together")
	say(c.Username != "" && c.Password == "", "a user without a password")
	say(c.SentinelUsername != "" && c.SentinelPassword == "", "a Sentinel user without a password")
	say(c.DialTimeout <= 0 || c.Timeout <= 0, "the times for a connection and for an exchange must be more than zero")
	say(c.PoolSize < 1, "the pool must have a connection or more")
	say(c.SessionLife <= 0, "the longest life of a session must be more than zero")
	say(c.Prefix == "", "keys need a prefix")
	say(strings.ContainsAny(c.Prefix, "{} \r\n"), "the prefix of keys must have no braces, which would be a hash tag, and no white space")
	for _, list := range [][]string{c.Sentinels, c.Cluster} {
		for _, addr := range list {
			if _, _, err := net.SplitHostPort(addr); err != nil {
				problems = append(problems, fmt.Errorf("%q is no host:port", addr))
			}
		}
	}
	return errors.Join(problems...)
}

// place holds the parts of a URL.
type place struct {
	host               string // host:port, "" for none
	username, password string
	db                 int
	tls                bool
}

var errURL = errors.New("the URL is not redis://[user[:password]@][host[:port]][/db] or rediss://…")

// parseURL returns errURL, which repeats nothing of the URL, for all that it does not take.
func parseURL(text string) (place, error) {
	u, err := url.Parse(text)
	if err != nil || (u.Scheme != "redis" && u.Scheme != "rediss") ||
		u.Opaque != "" || u.RawQuery != "" || u.ForceQuery || u.Fragment != "" {
		return place{}, errURL
	}
	p := place{tls: u.Scheme == "rediss", username: u.User.Username()}
	p.password, _ = u.User.Password()
	if p.username != "" && p.password == "" {
		return place{}, errURL
	}
	if db := strings.TrimPrefix(u.Path, "/"); db != "" {
		if p.db, err = strconv.Atoi(db); err != nil || p.db < 0 {
			return place{}, errURL
		}
	}
	if u.Host != "" {
		port := u.Port()
		if port == "" {
			port = "6379"
		}
		if u.Hostname() == "" {
			return place{}, errURL
		}
		p.host = net.JoinHostPort(u.Hostname(), port)
	}
	return p, nil
}

// client makes the client that c asks for; c is valid.
func (c Config) client() (goredis.UniversalClient, error) {
	u, err := parseURL(c.URL)
	if err != nil {
		return nil, err
	}
	o := &goredis.UniversalOptions{
		DB: u.db, Username: u.username + c.Username, Password: u.password + c.Password,
		SentinelUsername: c.SentinelUsername, SentinelPassword: c.SentinelPassword,
		DialTimeout: c.DialTimeout, ReadTimeout: c.Timeout, WriteTimeout: c.Timeout,
		PoolTimeout: c.Timeout, PoolSize: c.PoolSize, ContextTimeoutEnabled: true,
		// One try: whether another one makes sense is for the caller to say, and the breaker
		// counts them.
		MaxRetries: -1, DialerRetries: 1,
		// Nothing that a restricted user or an older server would refuse.
		DisableIdentity:          true,
		MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
	}
	if u.tls {
		if o.TLSConfig, err = c.tls(); err != nil {
			return nil, err
		}
	}
	switch {
	case len(c.Sentinels) > 0:
		o.MasterName, o.Addrs = c.Master, c.Sentinels
		return goredis.NewFailoverClient(o.Failover()), nil
	case len(c.Cluster) > 0:
		if u.host != "" {
			o.Addrs = append(o.Addrs, u.host)
		}
		o.Addrs = append(o.Addrs, c.Cluster...)
		cluster := o.Cluster()
		// All our commands have one key: nothing to learn about them from the server.
		cluster.DisableRoutingPolicies = true
		return goredis.NewClusterClient(cluster), nil
	}
	o.Addrs = []string{u.host}
	return goredis.NewClient(o.Simple()), nil
}

func (c Config) tls() (*tls.Config, error) {
	t := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: c.ServerName}
	if c.CA != "" {
		pem, err := os.ReadFile(c.CA)
		if err != nil {
			return nil, fmt.Errorf("read the CA of redis: %w", err)
		}
		t.RootCAs = x509.NewCertPool()
		if !t.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("read the CA of redis: no certificate in %s", c.CA)
		}
	}
	if c.Cert != "" {
		pair, err := tls.LoadX509KeyPair(c.Cert, c.Key)
		if err != nil {
			return nil, fmt.Errorf("read our certificate for redis: %w", err)
		}
		t.Certificates = []tls.Certificate{pair}
	}
	return t, nil
}
