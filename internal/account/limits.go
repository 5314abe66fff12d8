package account

import (
	"context"
	"errors"
	"fmt"
	"time"

	"barong/internal/limit"
	"barong/internal/secret"
)

// Limits bound how often each action open to abuse may be done, over all replicas; limit.Classes
// bounds the cost of work before. A zero rule is its default, in table.
type Limits struct {
	// Off switches every limiter off, for tests and measurements.
	Off bool

	SignIn, SignInNetwork, SignInAll limit.Rule
	SignUpNetwork, SignUpUnproved    limit.Rule
	MailPause, Mail, MailDay         limit.Rule
	MailNetwork, MailTokenNetwork    limit.Rule
	Code, QR                         limit.Rule
}

// A LimitRow describes one of Limits.
type LimitRow struct {
	// The action that is counted, and the subject it is counted by: "account", "network" or
	// "user". Networks beside each other have limit.WideFactor times the rule together.
	What, By string
	limit.Rule
	// Note says which attempts are given back, and why there are two rules.
	Note string

	rule *limit.Rule
}

// table is all of l with their defaults.
func (l *Limits) table() []LimitRow {
	const quarter, hour = 15 * time.Minute, time.Hour
	return []LimitRow{
		// W-I2
		{"failed sign-ins", "account", limit.Rule{Burst: 5, Period: quarter},
			"the address as typed, or a known device of the account; a good sign-in clears it", &l.SignIn},
		{"failed sign-ins", "network", limit.Rule{Burst: 50, Period: quarter},
			"a good sign-in gives its own back", &l.SignInNetwork},
		{"sign-ins, good ones too", "account", limit.Rule{Burst: 30, Period: quarter},
			"the address as typed, whatever device; nothing clears it, and failures alone cannot use it up", &l.SignInAll},
		// W-I4
		{"sign-ups", "network", limit.Rule{Burst: 10, Period: hour},
			"a mistake that reveals nothing of others gives its own back", &l.SignUpNetwork},
		{"sign-ups without a captcha where there is one", "network", limit.Rule{Burst: 3, Period: hour},
			"then a captcha is asked for", &l.SignUpUnproved},
		// W-I11
		{"confirmation or reset mails asked for", "account", limit.Rule{Burst: 1, Period: time.Minute},
			"each kind for itself; what is asked for in vain does not count; above it nothing is mailed and nothing is told", &l.MailPause},
		{"confirmation or reset mails asked for", "account", limit.Rule{Burst: 5, Period: hour},
			"the same", &l.Mail},
		{"confirmation and reset mails asked for", "account", limit.Rule{Burst: 30, Period: 24 * time.Hour},
			"both kinds together", &l.MailDay},
		{"confirmation or reset mails asked for", "network", limit.Rule{Burst: 20, Period: hour}, "", &l.MailNetwork},
		{"tokens of mails tried", "network", limit.Rule{Burst: 10, Period: quarter},
			"a good one gives its own back", &l.MailTokenNetwork},
		// W-I3, W-R13
		{"wrong one-time codes", "user", limit.Rule{Burst: 5, Period: quarter},
			"all endpoints together; a good one gives its own back", &l.Code},
		{"new one-time-code secrets", "user", limit.Rule{Burst: 5, Period: hour}, "", &l.QR},
	}
}

func (l Limits) withDefaults() Limits {
	for _, row := range l.table() {
		if *row.rule == (limit.Rule{}) {
			*row.rule = row.Rule
		}
	}
	return l
}

// DefaultLimits are the limits as shipped, for the document.
func DefaultLimits() []LimitRow { return new(Limits).table() }

// A flow is an action that anyone may ask for without proving an identity.
type flow string

// The flows, each with a bucket for every network.
const (
	flowSignIn    flow = "sign-in"
	flowSignUp    flow = "sign-up"
	flowUnproved  flow = "sign-up without captcha"
	flowMail      flow = "mail"       // to be sent a confirmation or reset mail
	flowMailToken flow = "mail-token" // to use the content of such a mail
)

// network is the rule of a flow for each network; one that nobody knows lets nothing pass.
func (l Limits) network(f flow) limit.Rule {
	switch f {
	case flowSignIn:
		return l.SignInNetwork
	case flowSignUp:
		return l.SignUpNetwork
	case flowUnproved:
		return l.SignUpUnproved
	case flowMail:
		return l.MailNetwork
	case flowMailToken:
		return l.MailTokenNetwork
	}
	return limit.Rule{}
}

// queued makes passwords hashed under ctx wait in turn with those of the client's network and
// of the account, as the client names it.
func queued(ctx context.Context, c Client, account string) context.Context {
	return secret.For(ctx, secret.Caller{
		Account: account, Network: limit.Network(c.IP), Wide: limit.WideNetwork(c.IP),
	})
}

// patient is a Hasher that asks crowded callers to come back in a moment.
type patient struct{ Hasher }

const crowdedWait = time.Second

func (p patient) Hash(ctx context.Context, password string) (string, error) {
	digest, err := p.Hasher.Hash(ctx, password)
	return digest, crowded(err)
}

func (p patient) Match(ctx context.Context, digest, password string) (ok, rehash bool, err error) {
	ok, rehash, err = p.Hasher.Match(ctx, digest, password)
	return ok, rehash, crowded(err)
}

func crowded(err error) error {
	if errors.Is(err, secret.ErrCrowded) {
		return errors.Join(TooManyAttempts{RetryAfter: crowdedWait}, err)
	}
	return err
}

// A take is one of a bucket.
type take struct {
	key  string
	rule limit.Rule
	// around is the bucket of the wide network around, "" for none: of limit.WideFactor times
	// the rule, counted by each process for itself.
	around string
}

// byNetwork is one of the flow's bucket for the client's network.
func (s *Service) byNetwork(f flow, c Client) take {
	return take{
		string(f) + " from " + limit.Network(c.IP), s.cfg.Limits.network(f),
		string(f) + " from all of " + limit.WideNetwork(c.IP),
	}
}

// bySignIn is one failed sign-in of the account with the address, if there is one.
func (s *Service) bySignIn(email string) take {
	return take{key: "sign-in of " + FoldEmail(email), rule: s.cfg.Limits.SignIn}
}

// byDevice is one failed sign-in of a user from a device that Devices know.
func (s *Service) byDevice(uid, device string) take {
	return take{key: "sign-in of " + uid + " from device " + device, rule: s.cfg.Limits.SignIn}
}

// byAccount is one sign-in, good or bad, of the account with the address, if there is one.
func (s *Service) byAccount(email string) take {
	return take{key: "any sign-in of " + FoldEmail(email), rule: s.cfg.Limits.SignInAll}
}

// byMail is one mail of a kind ("confirmation", "reset") to the account with the address, if
// there is one.
func (s *Service) byMail(kind, email string) []take {
	email = FoldEmail(email)
	return []take{
		{key: kind + " mail now to " + email, rule: s.cfg.Limits.MailPause},
		{key: kind + " mail to " + email, rule: s.cfg.Limits.Mail},
		{key: "mails to " + email, rule: s.cfg.Limits.MailDay},
	}
}

// byCode is one wrong one-time code of a user.
func (s *Service) byCode(uid string) take {
	return take{key: "code of " + uid, rule: s.cfg.Limits.Code}
}

// spend takes all of these, or none and returns TooManyAttempts with the longest wait. Any
// other error is an outage: nobody passes then, and nothing is kept back.
//
// For a moment it holds those that it gives back again. So take a network's on its own,
// before that of an account: a network that must wait is not to keep others out of it.
func (s *Service) spend(ctx context.Context, takes ...take) error {
	var longest time.Duration
	var taken []take
	for _, t := range takes {
		wait, err := s.take(ctx, t)
		if err != nil {
			return errors.Join(fmt.Errorf("count attempt: %w", err), s.giveBack(ctx, taken...))
		}
		if wait == 0 {
			taken = append(taken, t)
		}
		longest = max(longest, wait)
	}
	if longest == 0 {
		return nil
	}
	if err := s.giveBack(ctx, taken...); err != nil {
		return err
	}
	return TooManyAttempts{RetryAfter: longest}
}

// take takes one.
func (s *Service) take(ctx context.Context, t take) (wait time.Duration, err error) {
	wait, err = s.limits.Take(ctx, t.key, t.rule, s.now())
	if err != nil || wait > 0 || t.around == "" {
		return wait, err
	}
	// A network that must wait has taken nothing of its neighbours'.
	wait, err = s.around.Take(ctx, t.around, t.rule.Wide(), s.now())
	if wait > 0 {
		err = s.limits.Return(context.WithoutCancel(ctx), t.key, t.rule, s.now())
	}
	return wait, err
}

// giveBack undoes spend, also after the caller has left.
func (s *Service) giveBack(ctx context.Context, takes ...take) error {
	ctx = context.WithoutCancel(ctx)
	var errs []error
	for _, t := range takes {
		if err := s.limits.Return(ctx, t.key, t.rule, s.now()); err != nil {
			errs = append(errs, fmt.Errorf("uncount attempt: %w", err))
		}
		if t.around != "" {
			errs = append(errs, s.around.Return(ctx, t.around, t.rule.Wide(), s.now()))
		}
	}
	return errors.Join(errs...)
}

// forget fills the bucket of a take.
func (s *Service) forget(ctx context.Context, t take) error {
	if err := s.limits.Clear(context.WithoutCancel(ctx), t.key); err != nil {
		return fmt.Errorf("clear attempts: %w", err)
	}
	return nil
}

// unlimited is the store of Limits.Off.
type unlimited struct{}

func (unlimited) Take(context.Context, string, limit.Rule, time.Time) (time.Duration, error) {
	return 0, nil
}
func (unlimited) Return(context.Context, string, limit.Rule, time.Time) error { return nil }
func (unlimited) Clear(context.Context, string) error                         { return nil }
