package token

import (
	"context"
	"crypto"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

var (
	// ErrRotating says that a next key of this use is waiting already.
	ErrRotating = errors.New("token: a next key is already waiting")
	// ErrKnownKey says that an imported key is in the store, under this use or another: a
	// key never serves two.
	ErrKnownKey = errors.New("token: key is already known")
)

// Keys holds the signing keys: read from the store, kept in memory as one immutable set. All
// changes go through KeyStore.UpdateSigningKeys, which lets one replica at a time decide on
// fresh rows, so that all replicas agree. It is safe for concurrent use.
//
//	Rotate, Import ──► next ──published JWKSMaxAge──► active ──replaced──► retiring ──► gone
//	                                        Tick ──────┘                       └─ Tick
type Keys struct {
	store   KeyStore
	config  KeysConfig
	now     func() time.Time
	set     atomic.Pointer[keySet]
	reading chan struct{} // held by a read: an older one must not replace a newer one
}

// keySet is one version of all keys; nothing in it changes.
type keySet struct {
	active map[string]*key // by use
	byKid  map[string]*key
	list   []SigningKey // without PEM
	jwks   []byte
	bearer *key // active[UseBearer], without the map
}

// key is a key ready for work.
type key struct {
	SigningKey // without PEM
	private    crypto.Signer
	public     crypto.PublicKey
	method     jwt.SigningMethod
	header     string // base64url of {"alg":…,"kid":…} and the dot after it
}

// uses lists the purposes of keys.
func uses() []string { return []string{UseBearer, UseMail, UseWire} }

// OpenKeys loads the keys and makes the missing ones: at the very first start each use gets
// one that is active at once, since nobody can have cached a key set yet. A configured
// algorithm that is not the active bearer key's gets a next key. Time is from now; nil means
// time.Now.
func OpenKeys(ctx context.Context, store KeyStore, c KeysConfig, now func() time.Time) (*Keys, error) {
	if err := c.Validate(); err != nil {
		return nil, fmt.Errorf("token: configuration: %w", err)
	}
	if now == nil {
		now = time.Now
	}
	k := &Keys{store: store, config: c, now: now, reading: make(chan struct{}, 1)}
	rows, err := store.SigningKeys(ctx)
	if err != nil {
		return nil, fmt.Errorf("load signing keys: %w", err)
	}
	if len(k.missing(rows)) > 0 {
		if err := k.create(ctx, k.missing(rows)); err != nil {
			return nil, err
		}
	}
	if err := k.Reload(ctx); err != nil {
		return nil, err
	}
	return k, nil
}

// missing lists the gaps of the rows: the use, and the state in which to add its key.
func (k *Keys) missing(rows []SigningKey) map[string]State {
	lack := map[string]State{}
	for _, use := range uses() {
		switch {
		case find(rows, use, Active) < 0:
			lack[use] = Active
		case use == UseBearer && rows[find(rows, use, Active)].Algorithm != k.config.Algorithm &&
			find(rows, use, Next) < 0:
			lack[use] = Next
		}
	}
	return lack
}

// create adds keys that are still missing once the store is locked. They are made before: an
// RSA key takes up to a second, too long for a transaction that excludes the others.
func (k *Keys) create(ctx context.Context, lack map[string]State) error {
	made := map[string]SigningKey{}
	for use := range lack {
		row, err := k.generate(use)
		if err != nil {
			return err
		}
		made[use] = row
	}
	err := k.store.UpdateSigningKeys(ctx, func(rows []SigningKey) ([]SigningKey, error) {
		for use, state := range k.missing(rows) {
			row, ok := made[use]
			if !ok { // it was there a moment ago
				return nil, fmt.Errorf("%w: use %s", ErrNoKey, use)
			}
			row.State = state
			if state == Active {
				row.ActivatedAt = row.CreatedAt
			}
			rows = append(rows, row)
		}
		return rows, nil
	})
	if err != nil {
		return fmt.Errorf("create signing keys: %w", err)
	}
	return nil
}

// generate makes a key of the use's algorithm.
func (k *Keys) generate(use string) (SigningKey, error) {
	algorithm := k.algorithm(use)
	private, err := newKey(algorithm)
	if err != nil {
		return SigningKey{}, fmt.Errorf("generate %s key: %w", use, err)
	}
	return k.row(use, algorithm, private)
}

// algorithm of new keys: bearer as configured; mail short, since only we verify it and it
// goes into links; wire the algorithm that consumers of events know.
func (k *Keys) algorithm(use string) string {
	switch use {
	case UseBearer:
		return k.config.Algorithm
	case UseMail:
		return EdDSA
	}
	return RS256
}

func (k *Keys) row(use, algorithm string, private crypto.Signer) (SigningKey, error) {
	kid, err := thumbprint(private.Public())
	if err != nil {
		return SigningKey{}, err
	}
	text, err := encodeKey(private)
	if err != nil {
		return SigningKey{}, err
	}
	return SigningKey{
		Kid: kid, Use: use, Algorithm: algorithm, State: Next, PrivatePEM: text,
		CreatedAt: k.now().UTC().Truncate(time.Microsecond),
	}, nil
}

// find returns the index of the oldest row of a use and state, or -1.
func find(rows []SigningKey, use string, s State) int {
	return slices.IndexFunc(rows, func(r SigningKey) bool { return r.Use == use && r.State == s })
}

// Reload reads the keys again; call it when the feed says that they changed. On an error the
// keys known before stay in force; rows that say nothing new, as after most gaps of the feed, cost
// no more than the read.
func (k *Keys) Reload(ctx context.Context) error {
	select {
	case k.reading <- struct{}{}:
		defer func() { <-k.reading }()
	case <-ctx.Done():
		return fmt.Errorf("load signing keys: %w", ctx.Err())
	}
	rows, err := k.store.SigningKeys(ctx)
	if err != nil {
		return fmt.Errorf("load signing keys: %w", err)
	}
	before := k.set.Load()
	if before.has(rows) {
		return nil
	}
	set, err := newKeySet(rows, before)
	if err != nil {
		return err
	}
	k.set.Store(set)
	return nil
}

// has reports whether s was made of these rows. A kid stands for its key: it is the thumbprint.
func (s *keySet) has(rows []SigningKey) bool {
	return s != nil && slices.EqualFunc(s.list, rows, func(a, b SigningKey) bool {
		return a.Kid == b.Kid && a.Use == b.Use && a.Algorithm == b.Algorithm && a.State == b.State &&
			a.CreatedAt.Equal(b.CreatedAt) && a.ActivatedAt.Equal(b.ActivatedAt) && a.RetiredAt.Equal(b.RetiredAt)
	})
}

// newKeySet checks the rows and makes them ready. Keys known before are not parsed again.
func newKeySet(rows []SigningKey, before *keySet) (*keySet, error) {
	s := &keySet{active: map[string]*key{}, byKid: map[string]*key{}}
	for _, row := range rows {
		var known *key
		if before != nil {
			known = before.byKid[row.Kid]
		}
		k, err := newReadyKey(row, known)
		if err != nil {
			return nil, fmt.Errorf("load %v: %w", row, err)
		}
		if s.byKid[row.Kid] != nil {
			return nil, fmt.Errorf("load %v: %w", row, ErrKnownKey)
		}
		s.byKid[row.Kid] = k
		s.list = append(s.list, k.SigningKey)
		if row.State == Active {
			if s.active[row.Use] != nil {
				return nil, fmt.Errorf("load %v: two active keys of use %s", row, row.Use)
			}
			s.active[row.Use] = k
		}
	}
	for _, use := range uses() {
		if s.active[use] == nil {
			return nil, fmt.Errorf("load signing keys: %w: none active of use %s", ErrNoKey, use)
		}
	}
	s.bearer = s.active[UseBearer]
	var err error
	s.jwks, err = publish(s)
	return s, err
}

func newReadyKey(row SigningKey, known *key) (*key, error) {
	k := &key{SigningKey: row}
	k.PrivatePEM = nil
	if known != nil {
		k.private, k.public, k.method, k.header = known.private, known.public, known.method, known.header
		return k, nil
	}
	private, algorithm, err := parseKey(row.PrivatePEM)
	if err != nil {
		return nil, err
	}
	if algorithm != row.Algorithm {
		return nil, fmt.Errorf("%w: is for %s, stored as %s", ErrBadKey, algorithm, row.Algorithm)
	}
	kid, err := thumbprint(private.Public())
	if err != nil {
		return nil, err
	}
	if kid != row.Kid {
		return nil, fmt.Errorf("%w: its thumbprint is %s", ErrBadKey, kid)
	}
	k.private, k.public = private, private.Public()
	if k.method, err = method(algorithm); err != nil {
		return nil, err
	}
	header := `{"alg":"` + algorithm + `","kid":"` + kid + `"}`
	k.header = base64.RawURLEncoding.EncodeToString([]byte(header)) + "."
	return k, nil
}

// sign appends a dot and the signature over b[from:] (header and payload, with the dot
// between) to b.
func (k *key) sign(b []byte, from int) ([]byte, error) {
	sig, err := k.method.Sign(string(b[from:]), k.private)
	if err != nil {
		return nil, fmt.Errorf("token: sign with %v: %w", k.SigningKey, err)
	}
	return base64.RawURLEncoding.AppendEncode(append(b, '.'), sig), nil
}

// signer returns the active key of a use.
func (k *Keys) signer(use string) (*key, error) {
	if s := k.set.Load().active[use]; s != nil {
		return s, nil
	}
	return nil, fmt.Errorf("%w: use %q", ErrNoKey, use)
}

// List returns all keys without their PEM, oldest first.
func (k *Keys) List() []SigningKey { return slices.Clone(k.set.Load().list) }

// JWKS returns the published key set (RFC 7517): the bearer keys in every state, public
// members only. The slice is shared and must not be changed.
func (k *Keys) JWKS() []byte { return k.set.Load().jwks }

// MaxAge is how long consumers may cache the key set; it goes into Cache-Control.
func (k *Keys) MaxAge() time.Duration { return k.config.JWKSMaxAge }
