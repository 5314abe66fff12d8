package limit

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// A Try is one attempt at something that a caller may not do often.
type Try struct {
	// Key names the bucket; Rule is its size.
	Key  string
	Rule Rule
	// Around names the bucket of the wide network around, "" for none: of WideFactor times the
	// rule, counted by each process for itself.
	Around string
}

// Attempts counts guesses, mails and other acts that are narrower bounded than requests are: an
// attempt that turns out to be harmless is given back. It is safe for concurrent use.
type Attempts struct {
	store  Store
	around Store // of wide networks, in this process
	used   Store // of things that work once; on when limits are off
	now    func() time.Time
}

// NewAttempts counts in store, which the replicas share; now may be nil for time.Now.
func NewAttempts(store Store, now func() time.Time) *Attempts {
	if now == nil {
		now = time.Now
	}
	return &Attempts{store: store, around: new(Memory), used: store, now: now}
}

// Unlimited returns Attempts that let everything pass but Once, for tests and measurements.
func Unlimited(store Store, now func() time.Time) *Attempts {
	a := NewAttempts(store, now)
	a.store, a.around = unlimited{}, unlimited{}
	return a
}

// Spend takes all of these, or none and returns a TooMany with the longest wait. Any other error
// is an outage: nobody passes then, and nothing is kept back.
//
// For a moment it holds those that it gives back again. So take a network's on its own,
// before that of an account: a network that must wait is not to keep others out of it.
func (a *Attempts) Spend(ctx context.Context, tries ...Try) error {
	var longest time.Duration
	var taken []Try
	for _, t := range tries {
		wait, err := a.take(ctx, t)
		if err != nil {
			return errors.Join(fmt.Errorf("count attempt: %w", err), a.GiveBack(ctx, taken...))
		}
		if wait == 0 {
			taken = append(taken, t)
		}
		longest = max(longest, wait)
	}
	if longest == 0 {
		return nil
	}
	if err := a.GiveBack(ctx, taken...); err != nil {
		return err
	}
	return TooMany{RetryAfter: longest}
}

func (a *Attempts) take(ctx context.Context, t Try) (wait time.Duration, err error) {
	wait, err = a.store.Take(ctx, t.Key, t.Rule, a.now())
	if err != nil || wait > 0 || t.Around == "" {
		return wait, err
	}
	// A network that must wait has taken nothing of its neighbours'.
	wait, err = a.around.Take(ctx, t.Around, t.Rule.Wide(), a.now())
	if wait > 0 {
		err = a.store.Return(context.WithoutCancel(ctx), t.Key, t.Rule, a.now())
	}
	return wait, err
}

// GiveBack undoes Spend, also after the caller has left.
func (a *Attempts) GiveBack(ctx context.Context, tries ...Try) error {
	ctx = context.WithoutCancel(ctx)
	var errs []error
	for _, t := range tries {
		if err := a.store.Return(ctx, t.Key, t.Rule, a.now()); err != nil {
			errs = append(errs, fmt.Errorf("uncount attempt: %w", err))
		}
		if t.Around != "" {
			errs = append(errs, a.around.Return(ctx, t.Around, t.Rule.Wide(), a.now()))
		}
	}
	return errors.Join(errs...)
}

// Forget fills the bucket of a try.
func (a *Attempts) Forget(ctx context.Context, t Try) error {
	if err := a.store.Clear(context.WithoutCancel(ctx), t.Key); err != nil {
		return fmt.Errorf("clear attempts: %w", err)
	}
	return nil
}

// Once reports whether nobody has used the thing that key names within life. It counts even when
// limits are off.
func (a *Attempts) Once(ctx context.Context, key string, life time.Duration) (bool, error) {
	wait, err := a.used.Take(ctx, key, Rule{Burst: 1, Period: life}, a.now())
	if err != nil {
		return false, fmt.Errorf("remember use: %w", err)
	}
	return wait == 0, nil
}

// unlimited is the Store of Unlimited.
type unlimited struct{}

func (unlimited) Take(context.Context, string, Rule, time.Time) (time.Duration, error) { return 0, nil }
func (unlimited) Return(context.Context, string, Rule, time.Time) error                { return nil }
func (unlimited) Clear(context.Context, string) error                                  { return nil }

// A Row describes one rule of Attempts for people.
type Row struct {
	// Attempt is the action that is counted. By is the subject it is counted by: "account",
	// "network", "user" or "number" of a phone. Networks beside each other have WideFactor times the
	// rule together.
	Attempt, By string
	Rule
	// Note says which attempts are given back, and why there are two rules.
	Note string
}
