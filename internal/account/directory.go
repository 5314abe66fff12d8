package account

import (
	"context"
	"crypto/subtle"
	"fmt"
	"strings"
	"time"

	"barong/internal/feed"
	"barong/internal/secret"
)

// DirectoryConfig tunes a Directory; zero values mean the defaults.
type DirectoryConfig struct {
	// Principals and Keys bound the entries held: 1,000,000 and 200,000.
	Principals, Keys int
	// Loads bounds the reads in flight of each of the two: 64.
	Loads int
}

// A Directory answers decisions from memory: it finds a principal by uid and an API key by kid.
// The change feed keeps it true. It is safe for concurrent use; a warm answer takes no lock that
// requests share and allocates nothing, a cold one costs one read per key, however many ask.
type Directory struct {
	principals *feed.Cache[string, Principal]
	keys       *feed.Cache[string, Key]
	now        func() time.Time
	dummy      macKey
}

// NewDirectory makes an empty directory over reader; now may be nil for time.Now.
func NewDirectory(cfg DirectoryConfig, reader Reader, now func() time.Time) *Directory {
	if cfg.Principals <= 0 {
		cfg.Principals = 1_000_000
	}
	if cfg.Keys <= 0 {
		cfg.Keys = 200_000
	}
	if now == nil {
		now = time.Now
	}
	d := &Directory{now: now, dummy: newMACKey(secret.Bytes(32))}
	d.principals = feed.NewCache(feed.CacheConfig{Size: cfg.Principals, Loads: cfg.Loads}, ErrNotFound, now,
		func(ctx context.Context, uid string, old, into *Principal) (bool, error) {
			p, err := reader.Principal(ctx, uid)
			if err != nil {
				return false, fmt.Errorf("load principal: %w", err)
			}
			*into = p
			return false, nil
		})
	d.keys = feed.NewCache(feed.CacheConfig{Size: cfg.Keys, Loads: cfg.Loads}, ErrNotFound, now,
		func(ctx context.Context, kid string, old, into *Key) (bool, error) {
			r, err := reader.KeyRecord(ctx, kid)
			if err != nil {
				return false, fmt.Errorf("load api key: %w", err)
			}
			if old != nil && old.stands(r) {
				return true, nil
			}
			into.set(r)
			return false, nil
		})
	return d
}

// stands reports whether a reload that found r may keep k, with its minted token.
func (k *Key) stands(r KeyRecord) bool {
	return k.Kid == r.Kid && k.Algorithm == r.Algorithm && k.State == r.State &&
		k.HolderUID == r.HolderUID && k.HolderKind == r.HolderKind &&
		subtle.ConstantTimeCompare(k.Secret, r.Secret) == 1
}

// Principal returns the user or service account of uid: ErrNotFound when there is none,
// any other error is an outage. The result is shared and must not be changed.
func (d *Directory) Principal(ctx context.Context, uid string) (*Principal, error) {
	if p := d.principals.Hit(uid); p != nil {
		return p, nil
	}
	return d.principals.Get(ctx, strings.Clone(uid)) // uid may alias a request's memory
}

// Reload is Principal as the database has it now.
func (d *Directory) Reload(ctx context.Context, uid string) (*Principal, error) {
	return d.principals.Reload(ctx, strings.Clone(uid))
}

// Key returns the API key of kid: ErrNotFound when there is none (see DummyMAC), any other
// error is an outage.
func (d *Directory) Key(ctx context.Context, kid string) (*Key, error) {
	if k := d.keys.Hit(kid); k != nil {
		return k, nil
	}
	if len(kid) > maxKid {
		return nil, ErrNotFound
	}
	return d.keys.Get(ctx, strings.Clone(kid))
}

// maxKid is the length of the kid column: longer ones are unknown without a look.
const maxKid = 255

// DummyMAC does the work of Key.MAC with a key that nobody has, so that an unknown kid costs as
// much as a wrong signature (FX-12, design D9).
func (d *Directory) DummyMAC(nonce, kid string) [32]byte { return d.dummy.sum(nonce, kid) }

// Apply takes one change of the feed.
func (d *Directory) Apply(c feed.Change) {
	switch c.Kind {
	case feed.Principal:
		d.principals.Drop(c.Ref)
	case feed.Key:
		d.keys.Drop(c.Ref)
	}
}

// Stale makes every entry be read again on its next use, after a gap of the feed.
func (d *Directory) Stale() {
	d.principals.Stale()
	d.keys.Stale()
}

// Len is about how many principals and keys are held.
func (d *Directory) Len() (principals, keys int) { return d.principals.Len(), d.keys.Len() }

// Run forgets, once a minute until ctx ends, bearer tokens that may not be reused any more,
// so that idle keys do not pin one each.
func (d *Directory) Run(ctx context.Context) {
	tick := time.NewTicker(time.Minute)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			for k := range d.keys.All() {
				k.Token.Trim(d.now())
			}
		}
	}
}
