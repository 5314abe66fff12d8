package event

import (
	"errors"
	"fmt"
	"time"
)

// A Config shapes how a Relay works; zero values mean the defaults.
type Config struct {
	// Poll is how often the outbox is looked at without a hint: for commits of other processes
	// and for items to be tried again. 500 ms.
	Poll time.Duration
	// Lease is how long a destination stays with a process that was killed. Nothing is sent
	// in its last third unless it was extended, so that clocks may differ by as much. 15 s.
	Lease time.Duration
	// Batch is how many items are read at once: 100.
	Batch int
	// FirstRetry is the wait after the first failed attempt; it doubles up to LastRetry. The
	// waits of a destination that is down end at a tenth of LastRetry. 1 s, 5 min.
	FirstRetry, LastRetry time.Duration
	// Shared is the time of the clock that all processes share, at a moment of this one's; nil is
	// the moment itself. By it items are due, old and put off; leases and pauses go by the moments.
	Shared func(now time.Time) time.Time
}

// Validate lists every problem.
func (c Config) Validate() error {
	var problems []error
	c = c.withDefaults()
	if c.Poll < time.Millisecond {
		problems = append(problems, fmt.Errorf("poll interval is %v, want at least 1 ms", c.Poll))
	}
	if c.Lease < 30*time.Millisecond {
		problems = append(problems, fmt.Errorf("lease is %v, want at least 30 ms", c.Lease))
	}
	if c.Batch < 1 || c.Batch > 10000 {
		problems = append(problems, fmt.Errorf("batch is %d, want 1 to 10000", c.Batch))
	}
	if c.FirstRetry < time.Millisecond || c.LastRetry < c.FirstRetry {
		problems = append(problems, fmt.Errorf("retries wait %v up to %v, want at least 1 ms and not less at the end",
			c.FirstRetry, c.LastRetry))
	}
	return errors.Join(problems...)
}

func (c Config) withDefaults() Config {
	standard := func(d *time.Duration, v time.Duration) {
		if *d == 0 {
			*d = v
		}
	}
	standard(&c.Poll, 500*time.Millisecond)
	standard(&c.Lease, 15*time.Second)
	standard(&c.FirstRetry, time.Second)
	standard(&c.LastRetry, 5*time.Minute)
	if c.Batch == 0 {
		c.Batch = 100
	}
	if c.Shared == nil {
		c.Shared = func(now time.Time) time.Time { return now }
	}
	return c
}

// A Destination is where a Relay carries events.
type Destination struct {
	// Name is the outbox's name of it.
	Name   string
	Sender Sender
	// Share is how many events of one user a round may have, so that nobody's many hold up the
	// few of others; default 25.
	Share int
	// Parallel is how many users' events are sent at once; default 4.
	Parallel int
	// Timeout ends one Send; default 30 s.
	Timeout time.Duration
	// GiveUp is the age at which an event whose attempts fail is parked; 0 never.
	GiveUp time.Duration
}

// Stat is a Relay's view of one destination.
type Stat struct {
	Destination string
	// Waiting, Parked and Oldest are of the outbox, up to ten seconds ago.
	Backlog
	// Sent, Retried and GaveUp count this process's attempts.
	Sent, Retried, GaveUp int64
	// Up is false while the destination, or the outbox, is not to be reached; Holder is true
	// while this process is the one that sends.
	Up, Holder bool
}
