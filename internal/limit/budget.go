package limit

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"
)

// ErrTooMany is the sentinel of a TooMany, for errors.Is.
var ErrTooMany = errors.New("limit: too many attempts")

// TooMany says that the caller must wait before trying again.
//
//nolint:errname // reads as a sentence where it is made and matched
type TooMany struct{ RetryAfter time.Duration }

func (e TooMany) Error() string {
	return fmt.Sprintf("%v; retry after %v", ErrTooMany, e.RetryAfter)
}

// Is makes errors.Is(err, ErrTooMany) true.
func (e TooMany) Is(target error) bool { return target == ErrTooMany }

// RetryAfter is how long the TooMany in err asks for; 0 without one.
func RetryAfter(err error) time.Duration {
	many, _ := errors.AsType[TooMany](err)
	return many.RetryAfter
}

// A Budget counts the use of networks and principals, each request before it costs anything,
// and whatever becomes of it: nothing is given back. It is safe for concurrent use; nil limits
// nothing.
type Budget struct {
	local, shared Store
	now           func() time.Time
	classes       []counted
}

// counted is a class with the beginnings of its keys and the rule of wide networks.
type counted struct {
	Class
	network, wide, principal string
	wideRule                 Rule
}

// NewBudget makes one that counts in local the classes of this process alone, and in both those
// that the replicas have together. now may be nil for time.Now.
func NewBudget(local, shared Store, now func() time.Time) *Budget {
	if now == nil {
		now = time.Now
	}
	b := &Budget{local: local, shared: shared, now: now}
	for _, c := range Classes() {
		b.classes = append(b.classes, counted{
			Class:   c,
			network: c.Name + " from ", wide: c.Name + " from all of ", principal: c.Name + " by ",
			wideRule: c.Network.Wide(),
		})
	}
	return b
}

// Network counts one request from ip: a TooMany, or nil. Any other error is an outage of the
// shared store: nobody passes then.
func (b *Budget) Network(ctx context.Context, c Cost, ip netip.Addr) error {
	if b == nil {
		return nil
	}
	network, wide := Network(ip), WideNetwork(ip)
	for i := range b.classes {
		x := &b.classes[i]
		if c&x.Cost == 0 {
			continue
		}
		// The narrow one first, so that a network which must wait keeps none of its neighbours out.
		if err := b.take(ctx, x, x.network+network, x.Network); err != nil {
			return err
		}
		if err := b.take(ctx, x, x.wide+wide, x.wideRule); err != nil {
			return err
		}
	}
	return nil
}

// Principal counts one request by the account uid; errors as Network. Classes of which no
// principal is known have no limit here.
func (b *Budget) Principal(ctx context.Context, c Cost, uid string) error {
	if b == nil {
		return nil
	}
	for i := range b.classes {
		x := &b.classes[i]
		if c&x.Cost == 0 || x.Principal == (Rule{}) {
			continue
		}
		if err := b.take(ctx, x, x.principal+uid, x.Principal); err != nil {
			return err
		}
	}
	return nil
}

// take spends one of key's bucket: here first, so that a flood is refused without a question
// to the shared store.
func (b *Budget) take(ctx context.Context, x *counted, key string, r Rule) error {
	stores := [2]Store{b.local, b.shared}
	n := 1
	if x.Shared {
		n = 2
	}
	for _, s := range stores[:n] {
		wait, err := s.Take(ctx, key, r, b.now())
		if err != nil {
			return fmt.Errorf("count %s: %w", x.Name, err)
		}
		if wait > 0 {
			return TooMany{wait}
		}
	}
	return nil
}

// Wide is the rule of a wide network whose networks each have r.
func (r Rule) Wide() Rule { return Rule{r.Burst * WideFactor, r.Period} }

// Network names the network that an address counts for: an IPv4 address, or an IPv6 /64,
// the share of one customer.
func Network(ip netip.Addr) string { return networkOf(ip, 32, 64) }

// WideNetwork names the one around it: an IPv4 /24, or an IPv6 /48, of which one customer may
// have all.
func WideNetwork(ip netip.Addr) string { return networkOf(ip, 24, 48) }

func networkOf(ip netip.Addr, bits4, bits6 int) string {
	if !ip.IsValid() {
		return "nowhere" // all such clients share a bucket
	}
	bits := bits6
	if ip = ip.Unmap().WithZone(""); ip.Is4() {
		bits = bits4
	}
	network, _ := ip.Prefix(bits) // fails beyond the address's length only
	return network.String()
}
