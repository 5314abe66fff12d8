package event

import (
	"context"
	"time"
)

// An Outbox keeps events until they are delivered, one item for each destination that wants
// the event. Rows get in by Emit of account.Tx. It is safe for concurrent use.
type Outbox interface {
	// DueEvents lists the items to send now, oldest first and at most limit: items that are
	// neither parked nor waiting for a later attempt, without those of a user with an earlier
	// item for this destination that waits for one, and of each user the oldest share at most.
	// So a relay that sends a user's items in this order, and those after a failed one not at
	// all, keeps the order of that user's events.
	DueEvents(ctx context.Context, destination string, now time.Time, limit, share int) ([]Item, error)
	// DeleteEvents removes delivered items by Item.UUID; an unknown one is no error.
	DeleteEvents(ctx context.Context, uuids ...string) error
	// RetryEvent counts a failed attempt; the item waits until a time.
	RetryEvent(ctx context.Context, uuid string, until time.Time, reason string) error
	// ParkEvent gives an item up. It stays to be looked at, and no longer holds back the ones
	// after it.
	ParkEvent(ctx context.Context, uuid string, now time.Time, reason string) error
	// DeleteParkedEvents removes items parked before a time and returns how many.
	DeleteParkedEvents(ctx context.Context, before time.Time) (int, error)
	// EventBacklog counts the items that a destination has not been sent.
	EventBacklog(ctx context.Context, destination string) (Backlog, error)
	// EventHint is signalled after a commit of this process that emitted. Every call returns
	// the same channel, so it serves one receiver.
	EventHint() <-chan struct{}
	// Lease reports whether holder may do the work called name for so long, alone: nobody else
	// holds it now, by the one clock that all processes share, or for longer than that. The
	// present holder extends it. All ask for the same time.
	Lease(ctx context.Context, name, holder string, d time.Duration) (bool, error)
	// ReleaseLease ends a lease early; one that holder has not is no error.
	ReleaseLease(ctx context.Context, name, holder string) error
}

// An Item is an event on its way to one destination.
type Item struct {
	// UUID is the item's name. ID only orders: a database that went back to an earlier state
	// gives it again.
	UUID string
	ID   int64
	Event
	Attempts  int // failed ones so far
	CreatedAt time.Time
	// Err says that the event could not be read back; then only the name and the user of it
	// are known.
	Err error
}

// String keeps the record out of logs and errors.
func (i Item) String() string { return i.Event.String() }

// GoString keeps the record out of %#v.
func (i Item) GoString() string { return i.Event.String() }

// A Backlog counts the items that wait for one destination.
type Backlog struct {
	Waiting, Parked int
	Oldest          time.Time // of the waiting items; zero for none
}
