package signin

import (
	"context"
	"time"

	"barong/internal/account"
	"barong/internal/limit"
	"barong/internal/secret"
)

// Limits bound how often each action open to abuse may be done, over all replicas; limit.Classes
// bounds the cost of work before. A zero rule is its default, in table.
type Limits struct {
	SignIn, SignInNetwork, SignInAll limit.Rule
	SignUpNetwork, SignUpUnproved    limit.Rule
	MailPause, Mail, MailDay         limit.Rule
	MailNetwork, MailTokenNetwork    limit.Rule
	OwnPassword                      limit.Rule
}

// tableRow is one of Limits, with its default.
type tableRow struct {
	attempt, by string
	limit.Rule
	note string
	rule *limit.Rule
}

// table is all of l with their defaults.
func (l *Limits) table() []tableRow {
	const quarter, hour = 15 * time.Minute, time.Hour
	return []tableRow{
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
		// W-R15
		{"wrong passwords of one's own, when signed in", "user", limit.Rule{Burst: 5, Period: quarter},
			"change of the password and deletion together; a good one gives its own back", &l.OwnPassword},
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
func DefaultLimits() []limit.Row {
	var rows []limit.Row
	for _, row := range new(Limits).table() {
		rows = append(rows, limit.Row{Attempt: row.attempt, By: row.by, Rule: row.Rule, Note: row.note})
	}
	return rows
}

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
func queued(ctx context.Context, c account.Client, name string) context.Context {
	return secret.For(ctx, secret.Caller{
		Account: name, Network: limit.Network(c.IP), Wide: limit.WideNetwork(c.IP),
	})
}

// byNetwork is one of the flow's bucket for the client's network.
func (s *Service) byNetwork(f flow, c account.Client) limit.Try {
	return limit.Try{
		Key: string(f) + " from " + limit.Network(c.IP), Rule: s.cfg.Limits.network(f),
		Around: string(f) + " from all of " + limit.WideNetwork(c.IP),
	}
}

// bySignIn is one failed sign-in of the account with the address, if there is one.
func (s *Service) bySignIn(email string) limit.Try {
	return limit.Try{Key: "sign-in of " + account.FoldEmail(email), Rule: s.cfg.Limits.SignIn}
}

// byDevice is one failed sign-in of a user from a device that Devices know.
func (s *Service) byDevice(uid, device string) limit.Try {
	return limit.Try{Key: "sign-in of " + uid + " from device " + device, Rule: s.cfg.Limits.SignIn}
}

// byAccount is one sign-in, good or bad, of the account with the address, if there is one.
func (s *Service) byAccount(email string) limit.Try {
	return limit.Try{Key: "any sign-in of " + account.FoldEmail(email), Rule: s.cfg.Limits.SignInAll}
}

// byMail is one mail of a kind ("confirmation", "reset") to the account with the address, if
// there is one.
func (s *Service) byMail(kind, email string) []limit.Try {
	email = account.FoldEmail(email)
	return []limit.Try{
		{Key: kind + " mail now to " + email, Rule: s.cfg.Limits.MailPause},
		{Key: kind + " mail to " + email, Rule: s.cfg.Limits.Mail},
		{Key: "mails to " + email, Rule: s.cfg.Limits.MailDay},
	}
}
