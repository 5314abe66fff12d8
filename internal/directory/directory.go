package directory

import (
	"context"
	"fmt"
	"strings"
	"time"

	"barong/internal/account"
	"barong/internal/feed"
)

// Config tunes a Directory; all of it is mandatory.
type Config struct {
	// Size bounds the principals held.
	Size int
	// Loads bounds the reads in flight.
	Loads int
}

// Source is the store that a Directory loads from.
type Source interface {
	// Principal loads a user or service account by uid; account.ErrNotFound.
	Principal(ctx context.Context, uid string) (account.Principal, error)
}

// A Directory answers decisions from memory: it finds a principal by uid. The change feed keeps it
// true. It is safe for concurrent use; a warm answer takes no lock that requests share and
// allocates nothing, a cold one costs one read per uid, however many ask.
type Directory struct {
	principals *feed.Cache[string, account.Principal]
}

// New checks cfg and makes an empty Directory over source; now may be nil for time.Now.
func New(cfg Config, source Source, now func() time.Time) (*Directory, error) {
	principals, err := feed.NewCache(feed.CacheConfig{Size: cfg.Size, Loads: cfg.Loads}, account.ErrNotFound, now,
		func(ctx context.Context, uid string, old, into *account.Principal) (bool, error) {
			p, err := source.Principal(ctx, uid)
			if err != nil {
				return false, fmt.Errorf("load principal: %w", err)
			}
			*into = p
			return false, nil
		})
	if err != nil {
		return nil, fmt.Errorf("directory: %w", err)
	}
	return &Directory{principals}, nil
}

// Principal returns the user or service account of uid: account.ErrNotFound when there is none,
// any other error is an outage. The result is shared and must not be changed.
func (d *Directory) Principal(ctx context.Context, uid string) (*account.Principal, error) {
	if p := d.principals.Hit(uid); p != nil {
		return p, nil
	}
	return d.principals.Get(ctx, strings.Clone(uid)) // uid may alias a request's memory
}

// Reload is Principal as the database has it now.
func (d *Directory) Reload(ctx context.Context, uid string) (*account.Principal, error) {
	return d.principals.Reload(ctx, strings.Clone(uid))
}

// Apply takes one change of the feed.
func (d *Directory) Apply(c feed.Change) {
	if c.Kind == feed.Principal {
		d.principals.Drop(c.Ref)
	}
}

// Stale makes every entry be read again on its next use, after a gap of the feed.
func (d *Directory) Stale() { d.principals.Stale() }

// Len is about how many principals are held.
func (d *Directory) Len() int { return d.principals.Len() }
