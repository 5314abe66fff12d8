package token

import (
	"errors"
	"fmt"
	"time"
)

// Algorithms of signing keys (RFC 7518, RFC 8037).
const (
	RS256 = "RS256"
	ES256 = "ES256"
	EdDSA = "EdDSA"
)

// slack is added to every wait for other machines' caches: clocks differ, and a replica that
// is cut off from the store signs with the keys it knows until its own caches have gone
// stale (design D21, 30 s).
const slack = 30 * time.Second

// KeysConfig shapes the signing keys.
type KeysConfig struct {
	// Algorithm of bearer keys: RS256, ES256 or EdDSA. When it no longer is the active
	// key's, OpenKeys puts a next key of the new algorithm in.
	Algorithm string
	// Lifetime is the longest life of a bearer token, MailLifetime of a mail token: how long
	// a retiring key can still be asked for.
	Lifetime, MailLifetime time.Duration
	// JWKSMaxAge is how long consumers may cache the key set.
	JWKSMaxAge time.Duration
	// RotateEvery is the age at which Tick replaces the active bearer and mail keys; 0 never.
	// Wire keys are never replaced by age: consumers of events configure them by hand.
	RotateEvery time.Duration
}

// Validate lists every problem.
func (c KeysConfig) Validate() error {
	var problems []error
	switch c.Algorithm {
	case RS256, ES256, EdDSA:
	default:
		problems = append(problems, fmt.Errorf("algorithm is %q, want RS256, ES256 or EdDSA", c.Algorithm))
	}
	if c.Lifetime < time.Second {
		problems = append(problems, errors.New("lifetime of bearer tokens is below one second"))
	}
	if c.MailLifetime < time.Second {
		problems = append(problems, errors.New("lifetime of mail tokens is below one second"))
	}
	if c.JWKSMaxAge < 0 {
		problems = append(problems, errors.New("maximum age of the key set is negative"))
	}
	if c.RotateEvery < 0 || c.RotateEvery > 0 && c.RotateEvery < c.publishBefore()+c.keepAfter(UseBearer) {
		problems = append(problems, fmt.Errorf("keys cannot rotate every %v: one rotation takes %v",
			c.RotateEvery, c.publishBefore()+c.keepAfter(UseBearer)))
	}
	return errors.Join(problems...)
}

// publishBefore is how long a key is next: every cached key set without it has run out.
func (c KeysConfig) publishBefore() time.Duration { return c.JWKSMaxAge + slack }

// keepAfter is how long a key is retiring: every token it signed has run out, and so has
// every key set that was fetched while one was alive.
func (c KeysConfig) keepAfter(use string) time.Duration {
	if use == UseMail {
		return c.MailLifetime + slack
	}
	return c.Lifetime + c.JWKSMaxAge + slack
}

// Config shapes bearer tokens.
type Config struct {
	// Lifetime is exp minus now.
	Lifetime time.Duration
	// Reuse is how long a minted token is given again for the same credential: at most half
	// the lifetime, so that no consumer ever sees one about to run out; 0 mints every time.
	Reuse time.Duration
	// IatBackdate is how far iat lies in the past: consumers refuse an iat in their future
	// without leeway (FX-56).
	IatBackdate time.Duration
}

// Validate lists every problem.
func (c Config) Validate() error {
	var problems []error
	if c.Lifetime < time.Second || c.Lifetime%time.Second != 0 {
		problems = append(problems, fmt.Errorf("lifetime is %v, want whole seconds", c.Lifetime))
	}
	if c.Reuse < 0 || c.Reuse > c.Lifetime/2 {
		problems = append(problems, fmt.Errorf("reuse is %v, want at most half the lifetime of %v", c.Reuse, c.Lifetime))
	}
	if c.IatBackdate < 0 || c.IatBackdate%time.Second != 0 {
		problems = append(problems, fmt.Errorf("backdating of iat is %v, want whole seconds", c.IatBackdate))
	}
	return errors.Join(problems...)
}
