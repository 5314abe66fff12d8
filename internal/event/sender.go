package event

import (
	"context"
	"errors"
)

var (
	// ErrPermanent says that a destination will never take this event: it is parked.
	ErrPermanent = errors.New("event: will never be delivered")
	// ErrUnavailable says that a destination cannot be reached just now, and nothing about the
	// event: no attempt is counted, and the destination is left alone for a while.
	ErrUnavailable = errors.New("event: destination unavailable")
)

// A Sender carries events to one destination. It is safe for concurrent use.
type Sender interface {
	// Send returns nil when the destination has taken the event for good, an error that wraps
	// ErrPermanent or ErrUnavailable, or any other: then it is tried again later. It must
	// return soon after ctx ends. Error texts are logged and stored; they hold nothing of the
	// record. The same event may come again: Item.UUID is the same then.
	Send(ctx context.Context, i Item) error
}
