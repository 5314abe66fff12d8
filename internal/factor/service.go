package factor

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/go-webauthn/webauthn/webauthn"

	"barong/internal/account"
	"barong/internal/audit"
	"barong/internal/limit"
)

// Config holds the rules that operators set.
type Config struct {
	// AppName is the issuer that authenticator apps show; mandatory.
	AppName string
	// PasskeySite is the domain that passkeys are for (the relying party's id), "" for none, and
	// PasskeyOrigins are the origins of the pages that may use them, "scheme://host[:port]".
	PasskeySite    string
	PasskeyOrigins []string
	// Code bounds the wrong codes of a user, all endpoints together, and QR the new secrets of
	// one. Zero rules are the shipped ones.
	Code, QR limit.Rule
}

func (c Config) withDefaults() Config {
	if c.Code == (limit.Rule{}) {
		c.Code = limit.Rule{Burst: 5, Period: 15 * time.Minute} // W-I3
	}
	if c.QR == (limit.Rule{}) {
		c.QR = limit.Rule{Burst: 5, Period: time.Hour} // W-R13
	}
	return c
}

// DefaultLimits are the limits as shipped, for the document.
func DefaultLimits() []limit.Row {
	c := Config{}.withDefaults()
	return []limit.Row{
		{Attempt: "wrong one-time codes", By: "user", Rule: c.Code, Note: "all endpoints together; a good one gives its own back"},
		{Attempt: "new one-time-code secrets", By: "user", Rule: c.QR},
	}
}

// Reader reads committed rows.
type Reader interface {
	account.Reader
	totpReader
	recoveryReader
	PasskeyReader
}

// Tx is the part of the store that changes of a second factor write in one transaction.
type Tx interface {
	account.Tx
	factors
}

// work is one transaction: its writes of users and labels announce themselves.
type work struct {
	account.Writer
	factors
}

// factors is the part of a Tx that is not account's.
type factors interface {
	totpReader
	totpWriter
	recoveryReader
	recoveryWriter
	PasskeyReader
	passkeyWriter
}

// Parts are the parts that a Service works with.
type Parts struct {
	Accounts *account.Service
	Rows     Reader
	Update   func(ctx context.Context, f func(Tx) error) error // as account.Parts has it
	Attempts *limit.Attempts
	// Challenges are those of passkeys; mandatory with Config.PasskeySite.
	Challenges *Challenges
	Now        func() time.Time // nil for time.Now
}

// A Service holds the rules of second factors. Its methods are safe for concurrent use; each
// commits its rows, its activity and its events together.
type Service struct {
	cfg        Config
	accounts   *account.Service
	rows       Reader
	commit     func(ctx context.Context, f func(Tx) error) error
	attempts   *limit.Attempts
	site       *webauthn.WebAuthn // nil when passkeys are off
	challenges *Challenges
	now        func() time.Time
}

// NewService checks cfg and makes a service.
func NewService(cfg Config, p Parts) (*Service, error) {
	if cfg.AppName == "" {
		return nil, errors.New("factor: configuration: no name of the issuer for authenticator apps")
	}
	if p.Now == nil {
		p.Now = time.Now
	}
	site, err := newSite(cfg)
	if err != nil {
		return nil, fmt.Errorf("factor: configuration: passkeys: %w", err)
	}
	if site != nil && p.Challenges == nil {
		return nil, errors.New("factor: configuration: no challenges for passkeys")
	}
	return &Service{
		cfg: cfg.withDefaults(), accounts: p.Accounts, rows: p.Rows, commit: p.Update, attempts: p.Attempts,
		site: site, challenges: p.Challenges, now: p.Now,
	}, nil
}

// update runs f in one transaction of the store.
func (s *Service) update(ctx context.Context, f func(work) error) error {
	return s.commit(ctx, func(tx Tx) error { return f(work{s.accounts.In(tx), tx}) })
}

// activity is an activity of the actor's about one-time codes.
func (s *Service) activity(by account.Actor, action, result, reason string) audit.Activity {
	return by.Activity(s.now(), "otp", action, result, reason)
}
