package bearer

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"slices"
	"time"
)

// subject is the claim sub of every token for a request; mails and events have another.
const subject = "session"

// Defaults of Config.
const (
	DefaultLeeway = 2 * time.Second
	DefaultRetry  = 30 * time.Second
	DefaultHold   = time.Hour
)

// Config says where the keys are and which tokens are taken. All but URL or Keys may be left out.
type Config struct {
	// URL is where Barong publishes its key set. It is https, or http on a loopback address or a
	// host of PlainHosts: the set decides about every identity.
	URL        string
	PlainHosts []string
	// Keys is a key set (RFC 7517) in place of URL; it never changes.
	Keys []byte

	// Algorithms that are taken, of RS256, ES256 and EdDSA: RS256 alone by default, as is Barong's
	// jwt_algorithm. While that changes, give both.
	Algorithms []string
	// Issuer is "barong" by default, Audience "peatio" and Party (azp) "components". With Barong's
	// jwt_azp=component, Party is the third segment of the upstream's paths.
	Issuer, Audience, Party string
	// Leeway is by how much clocks may differ: 2 s by default, at most a minute, none if negative.
	Leeway time.Duration

	// Refresh is when the set is fetched again: by default as its Cache-Control max-age says,
	// between 10 s and an hour, and after 5 minutes without one.
	Refresh time.Duration
	// Retry is the shortest time between two fetches that failed or that unknown kids asked for: 30 s
	// by default. Without any usable set it is a second at most.
	Retry time.Duration
	// Hold is how long after the last good fetch the set still serves in an outage: an hour by
	// default. Keys that are withdrawn meanwhile are trusted for as long.
	Hold time.Duration
	// Transport makes the requests; http.DefaultTransport by default. Redirects are never followed.
	Transport http.RoundTripper
	// Now is time.Now by default.
	Now func() time.Time
}

// fill checks the configuration and puts the defaults in.
func (c *Config) fill() error {
	var problems []error
	problem := func(format string, args ...any) { problems = append(problems, fmt.Errorf(format, args...)) }
	switch {
	case (c.URL == "") == (len(c.Keys) == 0):
		problem("want either a URL or keys")
	case c.URL != "":
		if why := c.unsafe(); why != "" {
			problem("URL: %s", why)
		}
	}
	if len(c.Algorithms) == 0 {
		c.Algorithms = []string{RS256}
	}
	for _, a := range c.Algorithms {
		if a != RS256 && a != ES256 && a != EdDSA {
			problem("algorithm is %.20q, want RS256, ES256 or EdDSA", a)
		}
	}
	c.Algorithms = slices.Clone(c.Algorithms)
	preset(&c.Issuer, "barong")
	preset(&c.Audience, "peatio")
	preset(&c.Party, "components")
	preset(&c.Leeway, DefaultLeeway)
	preset(&c.Retry, DefaultRetry)
	preset(&c.Hold, DefaultHold)
	c.Leeway = max(c.Leeway, 0)
	if c.Leeway > time.Minute {
		problem("leeway of %v is above a minute", c.Leeway)
	}
	if c.Refresh < 0 || c.Retry < 0 || c.Hold < 0 || c.Refresh > c.Hold {
		problem("want no negative time, and Refresh of at most Hold")
	}
	if c.Transport == nil {
		c.Transport = http.DefaultTransport
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if err := errors.Join(problems...); err != nil {
		return fmt.Errorf("bearer: configuration: %w", err)
	}
	return nil
}

func preset[T comparable](v *T, value T) {
	var zero T
	if *v == zero {
		*v = value
	}
}

// unsafe says why the set must not be fetched from the URL; it never repeats the URL, which may hold a
// password.
func (c *Config) unsafe() string {
	u, err := url.Parse(c.URL)
	switch {
	case err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http":
		return "want an absolute one of https"
	case u.User != nil:
		return "it has a user"
	case u.Scheme == "https":
		return ""
	}
	host := u.Hostname()
	if ip := net.ParseIP(host); ip.IsLoopback() || host == "localhost" || slices.Contains(c.PlainHosts, host) {
		return ""
	}
	return "http is for loopback addresses and PlainHosts alone"
}
