package signin

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"barong/internal/account"
	"barong/internal/audit"
	"barong/internal/event"
	"barong/internal/factor"
	"barong/internal/limit"
)

// Config holds the rules that operators set. Its first three fields are mandatory.
type Config struct {
	// UIDPrefix begins the uids of referrers.
	UIDPrefix string
	// FailureFloor is the least time that a refused sign-in takes, and any request for a mail.
	// Longer work takes a multiple of it.
	FailureFloor time.Duration
	// Domain is the site that mailed links lead to.
	Domain string
	// StopKeysOnReset switches API keys off when a mailed link sets a new password.
	StopKeysOnReset bool
	// Limits bound how often things may be tried.
	Limits Limits
}

// Validate lists every problem.
func (c Config) Validate() error {
	var problems []error
	if c.UIDPrefix == "" {
		problems = append(problems, errors.New("no prefix of uids"))
	}
	if c.FailureFloor <= 0 {
		problems = append(problems, fmt.Errorf("least time of a refused sign-in is %v, want more than zero", c.FailureFloor))
	}
	if c.Domain == "" {
		problems = append(problems, errors.New("no site for mailed links"))
	}
	return errors.Join(problems...)
}

// Reader reads committed rows, or those of a transaction when it is part of a Tx.
type Reader interface {
	account.Reader
	mailTokenReader
}

// Tx is the part of the store that sign-ins and mailed links write in one transaction.
type Tx interface {
	account.Tx
	ways
}

// work is one transaction: its writes of users and labels announce themselves.
type work struct {
	account.Writer
	ways
}

// ways is the part of a Tx that is not account's.
type ways interface {
	mailTokenReader
	mailTokenWriter
	factor.PasskeyReader
	factor.PasskeyAdvancer
}

// Parts are the parts that a Service works with.
type Parts struct {
	Accounts *account.Service
	Codes    *factor.Service
	Rows     Reader
	Update   func(ctx context.Context, f func(Tx) error) error // as account.Parts has it
	Attempts *limit.Attempts
	// Mail makes the tokens of mailed links; nil makes and takes none.
	Mail MailTokens
	// Devices know the devices that accounts were used from; nil knows and remembers none.
	Devices *Devices
	Now     func() time.Time // nil for time.Now
	// Sleep waits until d is over or ctx ends; nil does.
	Sleep func(ctx context.Context, d time.Duration)
}

// A Service holds the rules of sign-ins, sign-ups and mailed links. Its methods are safe for
// concurrent use; each commits its rows, its activity and its events together.
type Service struct {
	cfg      Config
	accounts *account.Service
	codes    *factor.Service
	rows     Reader
	commit   func(ctx context.Context, f func(Tx) error) error
	attempts *limit.Attempts
	mail     MailTokens
	devices  *Devices
	now      func() time.Time
	sleep    func(ctx context.Context, d time.Duration)
}

// NewService checks cfg and makes a service.
func NewService(cfg Config, p Parts) (*Service, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("sign-in: configuration: %w", err)
	}
	cfg.UIDPrefix, cfg.Limits = strings.ToUpper(cfg.UIDPrefix), cfg.Limits.withDefaults()
	if p.Now == nil {
		p.Now = time.Now
	}
	if p.Sleep == nil {
		p.Sleep = sleep
	}
	if p.Mail == nil {
		p.Mail = noMail{}
	}
	return &Service{
		cfg: cfg, accounts: p.Accounts, codes: p.Codes, rows: p.Rows, commit: p.Update,
		attempts: p.Attempts, mail: p.Mail, devices: p.Devices, now: p.Now, sleep: p.Sleep,
	}, nil
}

func sleep(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

// update runs f in one transaction of the store.
func (s *Service) update(ctx context.Context, f func(work) error) error {
	return s.commit(ctx, func(tx Tx) error { return f(work{s.accounts.In(tx), tx}) })
}

// Activity topics and their actions.
const (
	topicSession       = "session"
	topicAccount       = "account"
	topicPassword      = "password"
	topicOTP           = "otp"
	actionLogin        = "login"
	actionLogin2F      = "login::2fa"
	actionLoginPasskey = "login::passkey"
	actionResetRequest = "request password reset"
	actionReset        = "password reset"
	actionStopKeys     = "api keys stop"
)

// activity is an activity of the user uid.
func (s *Service) activity(uid string, c account.Client, topic, action, result, reason string) audit.Activity {
	return account.Actor{UID: uid, Client: c}.Activity(s.now(), topic, action, result, reason)
}

// record writes an activity for itself.
func (s *Service) record(ctx context.Context, a audit.Activity) error {
	return s.update(ctx, func(tx work) error { return tx.AddActivity(ctx, a) })
}

// A wish holds the languages that a request names for its mails, "" for none.
type wish struct{ said, browser string }

// notice is the content of events about mails to u.
func (s *Service) notice(u account.User, w wish) event.Notice {
	return event.Notice{User: u.Event(), Domain: s.cfg.Domain, Language: s.accounts.Language(u, w.said, w.browser)}
}

// Entropy scores a password by the rules for new ones, in bits.
func (s *Service) Entropy(password string) float64 { return s.accounts.Passwords().Entropy(password) }
