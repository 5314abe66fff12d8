package person

import (
	"context"
	"errors"
	"time"

	"barong/internal/account"
	"barong/internal/limit"
)

// PhoneLimits bound the questions about numbers and the codes that are sent, over all replicas. A
// zero rule is its default, in table.
type PhoneLimits struct {
	Ask, AskNetwork               limit.Rule
	Pause, Number, Owner, Network limit.Rule
}

// limitRow is one of PhoneLimits, with its default.
type limitRow struct {
	attempt, by string
	limit.Rule
	note string
	rule *limit.Rule
}

// table is all of l with their defaults.
func (l *PhoneLimits) table() []limitRow {
	const hour, day = time.Hour, 24 * time.Hour
	return []limitRow{
		// W-R9
		{"questions about phone numbers that are not one's own", "user", limit.Rule{Burst: 10, Period: hour},
			"adding, sending and verifying together: each answer shows whether somebody has the number", &l.Ask},
		{"questions about phone numbers that are not one's own", "network", limit.Rule{Burst: 30, Period: hour},
			"the same", &l.AskNetwork},
		// W-R2
		{"codes sent to a phone", "number", limit.Rule{Burst: 1, Period: time.Minute},
			"the number, whoever asks; one that the provider refuses counts", &l.Pause},
		{"codes sent to a phone", "number", limit.Rule{Burst: 5, Period: day}, "the same", &l.Number},
		{"codes sent to phones", "user", limit.Rule{Burst: 10, Period: day}, "all numbers together", &l.Owner},
		{"codes sent to phones", "network", limit.Rule{Burst: 20, Period: hour}, "", &l.Network},
	}
}

func (l PhoneLimits) withDefaults() PhoneLimits {
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
	for _, row := range new(PhoneLimits).table() {
		rows = append(rows, limit.Row{Attempt: row.attempt, By: row.by, Rule: row.Rule, Note: row.note})
	}
	return rows
}

// countQuestion counts one about a number that is not the actor's; a limit.TooMany, or nil.
func (s *Service) countQuestion(ctx context.Context, by account.Actor) error {
	// The network alone first: one that must wait keeps nobody out of an account.
	if err := s.attempts.Spend(ctx, byNetwork("phone question", by.Client, s.cfg.Phones.AskNetwork)); err != nil {
		return err
	}
	return s.attempts.Spend(ctx, limit.Try{Key: "phone question of " + by.UID, Rule: s.cfg.Phones.Ask})
}

// countCode counts one that is about to be sent; a limit.TooMany, or nil. Nothing is given back: the
// provider may have taken money for a message that it says it has not sent.
func (s *Service) countCode(ctx context.Context, by account.Actor, number phoneNumber) error {
	alias, err := s.rows.PhoneAlias(number.digits)
	if err != nil {
		return err
	}
	network := byNetwork("phone code", by.Client, s.cfg.Phones.Network)
	if err := s.attempts.Spend(ctx, network); err != nil {
		return err
	}
	err = s.attempts.Spend(ctx,
		limit.Try{Key: "phone code now to " + alias, Rule: s.cfg.Phones.Pause},
		limit.Try{Key: "phone code to " + alias, Rule: s.cfg.Phones.Number},
		limit.Try{Key: "phone code of " + by.UID, Rule: s.cfg.Phones.Owner})
	if err != nil { // then none is sent
		return errors.Join(err, s.attempts.GiveBack(ctx, network))
	}
	return nil
}

// byNetwork is one of an action's bucket for the client's network.
func byNetwork(action string, c account.Client, r limit.Rule) limit.Try {
	return limit.Try{
		Key: action + " from " + limit.Network(c.IP), Rule: r,
		Around: action + " from all of " + limit.WideNetwork(c.IP),
	}
}
