package account

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"barong/internal/limit"
)

// Limits say how often what can be abused may be done. A zero rule is its default. "By
// network" counts an IPv4 address, or an IPv6 /64, which is what one customer has.
type Limits struct {
	// Off switches every limiter off, for tests and measurements.
	Off bool

	// SignIn bounds failed sign-ins by account (the e-mail address as typed, whether or not
	// anyone has it; or a known device of an account): 5 in 15 minutes (W-I2).
	SignIn limit.Rule
	// SignInNetwork bounds failed sign-ins by network: 50 in 15 minutes (W-I2).
	SignInNetwork limit.Rule
	// SignUpNetwork bounds sign-ups by network: 10 an hour (W-I4).
	SignUpNetwork limit.Rule
	// SignUpUnproved bounds, of those, the ones without a captcha where there is one to ask for:
	// 3 an hour (W-I4).
	SignUpUnproved limit.Rule
	// MailPause and Mail bound the confirmation and reset mails that anyone can ask for, by
	// account and kind: 1 in 60 seconds, and 5 an hour (W-I11).
	MailPause, Mail limit.Rule
	// MailDay bounds them by account, all kinds together: 30 a day.
	MailDay limit.Rule
	// MailNetwork bounds them by network: 20 an hour (W-I11).
	MailNetwork limit.Rule
	// MailTokenNetwork bounds tries of the tokens in them by network: 10 in 15 minutes.
	MailTokenNetwork limit.Rule
	// PasswordNetwork bounds judgements of passwords by network: 60 a minute (W-I26).
	PasswordNetwork limit.Rule
	// WhitelinkNetwork bounds tries of whitelinks by network: 10 a minute (W-I13).
	WhitelinkNetwork limit.Rule
	// KYCNetwork bounds callbacks of the KYC provider by network: 60 a minute (W-I14).
	KYCNetwork limit.Rule
	// Code bounds wrong one-time codes by user, over all endpoints together: 5 in 15
	// minutes (W-I3).
	Code limit.Rule
	// QR bounds new one-time-code secrets by user: 5 an hour (W-R13).
	QR limit.Rule
}

func (l Limits) withDefaults() Limits {
	for _, d := range []struct {
		rule *limit.Rule
		limit.Rule
	}{
		{&l.SignIn, limit.Rule{Burst: 5, Period: 15 * time.Minute}},
		{&l.SignInNetwork, limit.Rule{Burst: 50, Period: 15 * time.Minute}},
		{&l.SignUpNetwork, limit.Rule{Burst: 10, Period: time.Hour}},
		{&l.SignUpUnproved, limit.Rule{Burst: 3, Period: time.Hour}},
		{&l.MailPause, limit.Rule{Burst: 1, Period: time.Minute}},
		{&l.Mail, limit.Rule{Burst: 5, Period: time.Hour}},
		{&l.MailDay, limit.Rule{Burst: 30, Period: 24 * time.Hour}},
		{&l.MailNetwork, limit.Rule{Burst: 20, Period: time.Hour}},
		{&l.MailTokenNetwork, limit.Rule{Burst: 10, Period: 15 * time.Minute}},
		{&l.PasswordNetwork, limit.Rule{Burst: 60, Period: time.Minute}},
		{&l.WhitelinkNetwork, limit.Rule{Burst: 10, Period: time.Minute}},
		{&l.KYCNetwork, limit.Rule{Burst: 60, Period: time.Minute}},
		{&l.Code, limit.Rule{Burst: 5, Period: 15 * time.Minute}},
		{&l.QR, limit.Rule{Burst: 5, Period: time.Hour}},
	} {
		if *d.rule == (limit.Rule{}) {
			*d.rule = d.Rule
		}
	}
	return l
}

// A Flow is something that anyone may ask for without proving who they are.
type Flow string

// The flows, each with a bucket for every network.
const (
	FlowSignIn    Flow = "sign-in"
	FlowSignUp    Flow = "sign-up"
	flowUnproved  Flow = "sign-up without captcha"
	FlowMail      Flow = "mail"       // to be sent a confirmation or reset mail
	FlowMailToken Flow = "mail-token" // to use what such a mail holds
	FlowPassword  Flow = "password"   // to have a password judged
	FlowWhitelink Flow = "whitelink"  // to redeem a whitelink
	FlowKYC       Flow = "kyc"        // to call back as the KYC provider
)

// network is the rule of a flow for each network; one that nobody knows lets nothing pass.
func (l Limits) network(f Flow) limit.Rule {
	switch f {
	case FlowSignIn:
		return l.SignInNetwork
	case FlowSignUp:
		return l.SignUpNetwork
	case flowUnproved:
		return l.SignUpUnproved
	case FlowMail:
		return l.MailNetwork
	case FlowMailToken:
		return l.MailTokenNetwork
	case FlowPassword:
		return l.PasswordNetwork
	case FlowWhitelink:
		return l.WhitelinkNetwork
	case FlowKYC:
		return l.KYCNetwork
	}
	return limit.Rule{}
}

// Limit spends one of the flow's bucket for the client's network; TooManyAttempts. It is for
// edges of flows that Service does not carry out itself. Any other error is an outage.
func (s *Service) Limit(ctx context.Context, f Flow, c Client) error {
	return s.spend(ctx, s.byNetwork(f, c))
}

// A take is one of a bucket.
type take struct {
	key  string
	rule limit.Rule
}

// byNetwork is one of the flow's bucket for the client's network.
func (s *Service) byNetwork(f Flow, c Client) take {
	return take{string(f) + " from " + networkOf(c.IP), s.cfg.Limits.network(f)}
}

// bySignIn is one failed sign-in of whoever has the address, if anyone does.
func (s *Service) bySignIn(email string) take {
	return take{"sign-in of " + FoldEmail(email), s.cfg.Limits.SignIn}
}

// byDevice is one failed sign-in of a user from a device that Devices know.
func (s *Service) byDevice(uid, device string) take {
	return take{"sign-in of " + uid + " from device " + device, s.cfg.Limits.SignIn}
}

// byMail is one mail of a kind ("confirmation", "reset") to whoever has the address, if
// anyone does.
func (s *Service) byMail(kind, email string) []take {
	email = FoldEmail(email)
	return []take{
		{kind + " mail now to " + email, s.cfg.Limits.MailPause},
		{kind + " mail to " + email, s.cfg.Limits.Mail},
		{"mails to " + email, s.cfg.Limits.MailDay},
	}
}

// byCode is one wrong one-time code of a user.
func (s *Service) byCode(uid string) take { return take{"code of " + uid, s.cfg.Limits.Code} }

// spend takes all of these, or none and returns TooManyAttempts with the longest wait. Any
// other error is an outage: nobody passes then, and nothing is kept back.
//
// For a moment it holds those that it gives back again. So take a network's on its own,
// before that of an account: a network that must wait is not to keep others out of it.
func (s *Service) spend(ctx context.Context, takes ...take) error {
	var longest time.Duration
	var taken []take
	for _, t := range takes {
		wait, err := s.limits.Take(ctx, t.key, t.rule, s.now())
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
	return TooManyAttempts{longest}
}

// giveBack undoes spend, also for a caller who has left.
func (s *Service) giveBack(ctx context.Context, takes ...take) error {
	ctx = context.WithoutCancel(ctx)
	var errs []error
	for _, t := range takes {
		if err := s.limits.Return(ctx, t.key, t.rule, s.now()); err != nil {
			errs = append(errs, fmt.Errorf("uncount attempt: %w", err))
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

// networkOf names the network that an address counts for.
func networkOf(ip netip.Addr) string {
	if !ip.IsValid() {
		return "nowhere" // all such clients share a bucket
	}
	bits := 64
	if ip = ip.Unmap().WithZone(""); ip.Is4() {
		bits = 32
	}
	network, _ := ip.Prefix(bits) // fails beyond the address's length only
	return network.String()
}

// unlimited is the store of Limits.Off.
type unlimited struct{}

func (unlimited) Take(context.Context, string, limit.Rule, time.Time) (time.Duration, error) {
	return 0, nil
}
func (unlimited) Return(context.Context, string, limit.Rule, time.Time) error { return nil }
func (unlimited) Clear(context.Context, string) error                         { return nil }
