package apikey

import (
	"context"
	"fmt"
	"strings"
	"time"

	"barong/internal/feed"
	"barong/internal/secret"
)

// CacheConfig tunes a Cache; all of it is mandatory.
type CacheConfig struct {
	// Size bounds the keys held.
	Size int
	// Loads bounds the reads in flight.
	Loads int
}

// Source is the store that a Cache loads from.
type Source interface {
	// KeyRecord loads an API key with its secret opened; ErrNoKey, account.ErrSeal.
	KeyRecord(ctx context.Context, kid string) (Record, error)
}

// A Cache answers decisions from memory: it finds a key by kid. The change feed keeps it true. It
// is safe for concurrent use; a warm answer takes no lock that requests share and allocates
// nothing, a cold one costs one read per key, however many ask.
type Cache struct {
	keys  *feed.Cache[string, Entry]
	now   func() time.Time
	dummy macKey
}

// NewCache checks cfg and makes an empty cache over source; now may be nil for time.Now.
func NewCache(cfg CacheConfig, source Source, now func() time.Time) (*Cache, error) {
	if now == nil {
		now = time.Now
	}
	c := &Cache{now: now, dummy: newMACKey(secret.Bytes(32))}
	var err error
	c.keys, err = feed.NewCache(feed.CacheConfig{Size: cfg.Size, Loads: cfg.Loads}, ErrNoKey, now,
		func(ctx context.Context, kid string, old, into *Entry) (bool, error) {
			r, err := source.KeyRecord(ctx, kid)
			if err != nil {
				return false, fmt.Errorf("load api key: %w", err)
			}
			if old != nil && old.stands(r) {
				return true, nil
			}
			into.set(r)
			return false, nil
		})
	if err != nil {
		return nil, fmt.Errorf("cache of API keys: %w", err)
	}
	return c, nil
}

// Key returns the API key of kid: ErrNoKey when there is none (see DummyMAC), any other
// error is an outage.
func (c *Cache) Key(ctx context.Context, kid string) (*Entry, error) {
	if k := c.keys.Hit(kid); k != nil {
		return k, nil
	}
	if len(kid) > maxKid {
		return nil, ErrNoKey
	}
	return c.keys.Get(ctx, strings.Clone(kid))
}

// maxKid is the length of the kid column: longer ones are unknown without a look.
const maxKid = 255

// DummyMAC does the work of Entry.MAC with a key that nobody has, so that an unknown kid costs as
// much as a wrong signature (FX-12, design D9).
func (c *Cache) DummyMAC(nonce, kid string) [32]byte { return c.dummy.sum(nonce, kid) }

// Apply takes one change of the feed.
func (c *Cache) Apply(change feed.Change) {
	if change.Kind == feed.Key {
		c.keys.Drop(change.Ref)
	}
}

// Stale makes every entry be read again on its next use, after a gap of the feed.
func (c *Cache) Stale() { c.keys.Stale() }

// Len is about how many keys are held.
func (c *Cache) Len() int { return c.keys.Len() }

// Run forgets, once a minute until ctx ends, bearer tokens that may not be reused any more,
// so that idle keys do not pin one each.
func (c *Cache) Run(ctx context.Context) {
	tick := time.NewTicker(time.Minute)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			for k := range c.keys.All() {
				k.Token.Trim(c.now())
			}
		}
	}
}
