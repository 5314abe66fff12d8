package redis

import (
	"context"
	"errors"

	goredis "github.com/redis/go-redis/v9"
)

// failure is an error that says that Redis cannot be asked now.
type failure struct{ err error }

func (f *failure) Error() string { return "redis unavailable: " + f.err.Error() }
func (f *failure) Unwrap() error { return f.err }

// errNoReply is the error of a command without an answer, if nobody says why.
var errNoReply = errors.New("no reply")

// errOpen is the error of calls while Redis is left alone.
var errOpen = errors.New("it did not answer a moment ago")

// Unavailable reports whether err came of a Redis that does not answer, not in time, or only
// that it cannot serve now: an outage, which may pass by itself.
func Unavailable(err error) bool {
	_, ok := errors.AsType[*failure](err)
	return ok
}

// told marks err if it is an outage. The caller's own withdrawal is none.
func told(err error) error {
	if errors.Is(err, context.Canceled) || errors.Is(err, goredis.Nil) || !outage(err) {
		return err
	}
	return &failure{err}
}

// cannotServe are replies of a server that is not able to serve anybody now.
var cannotServe = []string{
	"LOADING", "CLUSTERDOWN", "MASTERDOWN", "READONLY", "TRYAGAIN", "BUSY", "MISCONF", "NOREPLICAS",
	"OOM", "MOVED", "ASK", "max number of clients",
}

// outage reports whether err is one of the way to Redis, or a reply that it cannot serve, and not a
// reply about the command.
func outage(err error) bool {
	if !replied(err) {
		return true
	}
	for _, prefix := range cannotServe {
		if goredis.HasErrorPrefix(err, prefix) {
			return true
		}
	}
	return false
}

// replied reports whether err is a reply of Redis: it costs nobody a timeout.
func replied(err error) bool {
	_, ok := errors.AsType[goredis.Error](err)
	return ok
}
