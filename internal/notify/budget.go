package notify

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"barong/internal/account"
	"barong/internal/event"
	"barong/internal/limit"
)

// A Lane is a queue of mails that waits for no other, with a budget of its own for each
// reader, so that neither a stranger nor a component can keep anybody's proof from arriving.
// Mails above the budget are dropped and counted: tried again later they would only move the
// flood. All lanes together bound the mails to one address.
type Lane string

// The lanes.
const (
	// Links prove an address: confirmation and reset. They alone go to an address that nobody
	// has proved.
	Links Lane = "links"
	// Notices report events of an account.
	Notices Lane = "notices"
	// Components are mails of other services' events.
	Components Lane = "components"
)

// LaneOf is that of an event that becomes a mail.
func LaneOf(e event.Event) Lane {
	switch {
	case e.CarriesProof():
		return Links
	case e.Category() == Category:
		return Components
	}
	return Notices
}

// budget is the share of one reader in a lane: of one event, and of all.
type budget struct{ kind, all limit.Rule }

// budgets are above the mails that signin.Limits let people ask for, so that mails promised to a
// caller are sent: 30 links a day, and the one of a sign-up.
var budgets = map[Lane]budget{
	Links:      {limit.Rule{Burst: 10, Period: time.Hour}, limit.Rule{Burst: 40, Period: 24 * time.Hour}},
	Notices:    {limit.Rule{Burst: 3, Period: time.Hour}, limit.Rule{Burst: 20, Period: 24 * time.Hour}},
	Components: {limit.Rule{Burst: 60, Period: time.Hour}, limit.Rule{Burst: 200, Period: 24 * time.Hour}},
}

// kind is the share of one event in its lane. Each use of a recovery code is mailed: there are ten.
func kind(e event.Event) limit.Rule {
	r := budgets[LaneOf(e)].kind
	if e.Name == event.RecoveryCodeUsedName {
		r.Burst = 10
	}
	return r
}

// Reasons why a mail is dropped.
const (
	OverBudget = "budget"   // its reader was sent enough
	Unproved   = "unproved" // nobody has proved the reader's address
)

// Drops says how many mails of a lane were dropped for a reason.
type Drops struct {
	Lane   Lane
	Reason string
	Mails  int64
}

// drops counts dropped mails, and logs one a minute.
type drops struct {
	mu     sync.Mutex
	count  map[Drops]int64 // by lane and reason
	told   time.Time
	untold int
}

// Dropped counts the mails that this process has dropped.
func (m *Mailer) Dropped() []Drops {
	m.drops.mu.Lock()
	defer m.drops.mu.Unlock()
	var all []Drops
	for lane := range budgets {
		for _, reason := range []string{OverBudget, Unproved} {
			d := Drops{Lane: lane, Reason: reason}
			d.Mails = m.drops.count[d]
			all = append(all, d)
		}
	}
	return all
}

func (m *Mailer) drop(item event.Item, reason string) {
	now := m.now()
	m.drops.mu.Lock()
	defer m.drops.mu.Unlock()
	if m.drops.count == nil {
		m.drops.count = map[Drops]int64{}
	}
	m.drops.count[Drops{Lane: LaneOf(item.Event), Reason: reason}]++
	m.drops.untold++
	if m.cfg.Log == nil || !m.drops.told.IsZero() && now.Sub(m.drops.told) < time.Minute {
		return
	}
	m.cfg.Log.Warn("mails: dropped, of which this is one", "mails", m.drops.untold, "reason", reason,
		slog.String("event", item.String()))
	m.drops.told, m.drops.untold = now, 0
}

// withinBudget sends msg, unless its reader's address is unproved or has been sent enough.
// The budget of a mail that the Sender does not take is given back.
func (m *Mailer) withinBudget(ctx context.Context, item event.Item, msg Message) error {
	lane := LaneOf(item.Event)
	if lane != Links {
		switch u, err := m.users.User(ctx, item.UID); {
		case errors.Is(err, account.ErrNotFound) || err == nil && u.Unproved:
			m.drop(item, Unproved)
			return nil
		case err != nil:
			return fmt.Errorf("look whether the address is proved: %w", err)
		}
	}
	if m.cfg.Limits == nil {
		return m.sender.Send(ctx, msg)
	}
	to := account.FoldEmail(msg.To)
	takes := []struct {
		key  string
		rule limit.Rule
	}{
		{"mail " + item.Name + " to " + to, kind(item.Event)},
		{"mail of " + string(lane) + " to " + to, budgets[lane].all},
	}
	giveBack := func(n int) {
		for _, t := range takes[:n] {
			// A budget that cannot be given back is one mail less for its reader.
			_ = m.cfg.Limits.Return(context.WithoutCancel(ctx), t.key, t.rule, m.now())
		}
	}
	for i, t := range takes {
		wait, err := m.cfg.Limits.Take(ctx, t.key, t.rule, m.now())
		if err != nil {
			giveBack(i)
			return fmt.Errorf("%w: count mail: %w", event.ErrUnavailable, err)
		}
		if wait > 0 {
			giveBack(i)
			m.drop(item, OverBudget)
			return nil
		}
	}
	err := m.sender.Send(ctx, msg)
	if err != nil {
		giveBack(len(takes))
	}
	return err
}
