package secret

import (
	"cmp"
	"context"
	"errors"
	"sync"
)

// ErrCrowded says that the caller's own network or account has all the places that it can have,
// or that a caller without any was given the caller's. It is not ErrBusy: others get in.
var ErrCrowded = errors.New("secret: too many password hashes of one network or account")

// accountPlaces is how many calls for one account may wait: people sign in once at a time.
const accountPlaces = 4

// A Caller is on whose behalf a password is hashed: an account, as the client names it; the
// client's network; and the wider one around that. Nobody in particular is the zero value, which
// waits with others but is never crowded.
type Caller struct{ Account, Network, Wide string }

type callerKey struct{}

// For makes hashes under ctx wait among those of c.
func For(ctx context.Context, c Caller) context.Context {
	return context.WithValue(ctx, callerKey{}, c)
}

// CallerOf is whom hashes under ctx are for, nobody in particular without For.
func CallerOf(ctx context.Context) Caller {
	c, _ := ctx.Value(callerKey{}).(Caller)
	return c
}

// queue gives workers to callers, which wait in a bounded number of places. Among those waiting
// it is the turn of the wide network that was served longest ago, in it of such a network, and
// then of the first to come; once all places are taken, the holder of most of them must make room.
// So a flood of one network costs others a turn each, whatever it holds.
type queue struct {
	workers, places int

	mu      sync.Mutex
	running int
	waiting []*waiter // in the order in which they came
	turn    uint64
	served  map[string]uint64 // the turn of each network, narrow or wide; only while it matters
}

type waiter struct {
	Caller
	told chan error // nil: it is its turn
}

// maxServed bounds queue.served; beyond it all are as good as never served.
const maxServed = 4096

func newQueue(workers, places int) *queue {
	return &queue{workers: max(workers, 1), places: max(places, 0), served: map[string]uint64{}}
}

// pending is how many run or wait.
func (q *queue) pending() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.running + len(q.waiting)
}

// acquire waits for a worker; the caller releases it. ErrBusy, ErrCrowded, the context's error.
func (q *queue) acquire(ctx context.Context) (release func(), err error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	c := CallerOf(ctx)
	q.mu.Lock()
	if q.running < q.workers { // then nobody waits
		q.start(c)
		q.mu.Unlock()
		return q.release, nil
	}
	w, err := q.enter(c)
	q.mu.Unlock()
	if err != nil {
		return nil, err
	}
	select {
	case err = <-w.told:
	case <-ctx.Done():
		if q.leave(w) {
			return nil, ctx.Err()
		}
		if err = <-w.told; err == nil { // it was its turn at that very moment
			q.release()
			return nil, ctx.Err()
		}
	}
	if err != nil {
		return nil, err
	}
	return q.release, nil
}

// start counts one that runs; q.mu is held.
func (q *queue) start(c Caller) {
	q.running++
	q.turn++
	if len(q.served) > maxServed {
		clear(q.served)
	}
	q.served[c.Wide], q.served[c.Network] = q.turn, q.turn
}

// enter gives c a place, if need be somebody else's; q.mu is held.
func (q *queue) enter(c Caller) (*waiter, error) {
	if c.Account != "" {
		held := 0
		for _, w := range q.waiting {
			if w.Account == c.Account {
				held++
			}
		}
		if held >= accountPlaces {
			return nil, ErrCrowded
		}
	}
	if len(q.waiting) >= q.places {
		if err := q.makeRoom(c); err != nil {
			return nil, err
		}
	}
	w := &waiter{Caller: c, told: make(chan error, 1)}
	q.waiting = append(q.waiting, w)
	return w, nil
}

// makeRoom sends somebody away for c: of the wide network that holds most places, if that then
// still holds as many as c's does with c; else of c's own, by the same rule for the networks in
// it. There it is the newest of the network that holds most, so that neighbours of a flood keep
// their places.
func (q *queue) makeRoom(c Caller) error {
	wide, narrow := map[string]int{}, map[string]int{}
	for _, w := range q.waiting {
		wide[w.Wide]++
		narrow[w.Network]++
	}
	elsewhere, beside := -1, -1
	for i, w := range q.waiting {
		if elsewhere < 0 || cmp.Or(
			cmp.Compare(wide[w.Wide], wide[q.waiting[elsewhere].Wide]),
			cmp.Compare(narrow[w.Network], narrow[q.waiting[elsewhere].Network])) >= 0 {
			elsewhere = i
		}
		if w.Wide == c.Wide && (beside < 0 || narrow[w.Network] >= narrow[q.waiting[beside].Network]) {
			beside = i
		}
	}
	switch {
	case elsewhere >= 0 && wide[q.waiting[elsewhere].Wide] >= wide[c.Wide]+2:
		q.sendAway(elsewhere)
	case beside >= 0 && narrow[q.waiting[beside].Network] >= narrow[c.Network]+2:
		q.sendAway(beside)
	case wide[c.Wide] > 0 && c != (Caller{}):
		return ErrCrowded
	default:
		return ErrBusy
	}
	return nil
}

func (q *queue) sendAway(i int) {
	q.waiting[i].told <- ErrCrowded
	q.remove(i)
}

// leave takes w's place away; false when w has its answer already.
func (q *queue) leave(w *waiter) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	for i, other := range q.waiting {
		if other == w {
			q.remove(i)
			return true
		}
	}
	return false
}

func (q *queue) remove(i int) {
	copy(q.waiting[i:], q.waiting[i+1:])
	last := len(q.waiting) - 1
	q.waiting[last] = nil
	q.waiting = q.waiting[:last]
}

// release gives a worker to whose turn it is.
func (q *queue) release() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.running--
	if len(q.waiting) == 0 {
		if q.running == 0 {
			clear(q.served)
		}
		return
	}
	next := 0
	for i, w := range q.waiting {
		n := q.waiting[next]
		if q.served[w.Wide] < q.served[n.Wide] ||
			q.served[w.Wide] == q.served[n.Wide] && q.served[w.Network] < q.served[n.Network] {
			next = i
		}
	}
	w := q.waiting[next]
	q.remove(next)
	q.start(w.Caller)
	w.told <- nil
}
