package apikey

import (
	"context"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// A Use is a request that a key was allowed.
type Use struct {
	Kid string
	At  time.Time
	IP  netip.Addr
}

// A UseStore keeps the last use of each key.
type UseStore interface {
	// NoteKeyUses writes those that are later than the ones known, of keys that are there. It changes no
	// verdict and announces nothing.
	NoteKeyUses(ctx context.Context, uses []Use) error
}

// Uses tells a UseStore of the uses of keys, beside decisions and in batches: of each key at most one a
// minute. What it has not written yet is lost with the process, and what a slow store leaves no room for at once.
type Uses struct {
	store UseStore
	log   *slog.Logger
	queue chan Use
}

const (
	useEvery   = 60 // seconds between the written uses of a key
	useQueue   = 4096
	useBatch   = 256
	useFlush   = time.Second
	useTimeout = 10 * time.Second
)

// NewUses makes one; log may be nil. Nothing is written before Run.
func NewUses(store UseStore, log *slog.Logger) *Uses {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return &Uses{store: store, log: log, queue: make(chan Use, useQueue)}
}

// Note takes a use of k from ip at a time of the clock that all replicas share. It never waits; but for once a minute and key it
// is a read of memory. It is safe for concurrent use.
func (u *Uses) Note(k *Entry, ip netip.Addr, now time.Time) {
	at, last := now.Unix(), k.noted.Load()
	if since := at - last; 0 <= since && since < useEvery || !k.noted.CompareAndSwap(last, at) {
		return
	}
	select {
	case u.queue <- Use{k.Kid, now, ip}:
	default:
	}
}

// Run writes until ctx ends, and then what is waiting.
func (u *Uses) Run(ctx context.Context) {
	tick := time.NewTicker(useFlush)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			u.flush(context.WithoutCancel(ctx))
			return
		case <-tick.C:
			u.flush(ctx)
		}
	}
}

// flush writes all that is waiting; of a batch that cannot be written no use is.
func (u *Uses) flush(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, useTimeout)
	defer cancel()
	for {
		batch := u.take()
		if len(batch) == 0 {
			return
		}
		if err := u.store.NoteKeyUses(ctx, batch); err != nil {
			if ctx.Err() == nil {
				u.log.WarnContext(ctx, "last uses of API keys not written", "keys", len(batch), "error", err)
			}
			return
		}
	}
}

// take empties the queue as far as a batch goes, in the order of the keys: two replicas that write the same ones do
// not wait for each other in a circle.
func (u *Uses) take() (batch []Use) {
	for len(batch) < useBatch {
		select {
		case one := <-u.queue:
			batch = append(batch, one)
			continue
		default:
		}
		break
	}
	slices.SortStableFunc(batch, func(a, b Use) int { return strings.Compare(a.Kid, b.Kid) })
	return batch
}
