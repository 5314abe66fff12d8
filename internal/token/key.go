package token

import (
	"context"
	"errors"
	"time"
)

// ErrNoKey says that no such signing key is known.
var ErrNoKey = errors.New("token: no such key")

// Uses of signing keys. A key never serves two (FX-48, design D7b).
const (
	UseBearer = "bearer"
	UseMail   = "mail"
	UseWire   = "wire"
)

// State of a signing key (design D7c).
type State string

// A key is published as next before it signs, signs while active, and stays published as
// retiring until every consumer's cache and every token has run out.
const (
	Next     State = "next"
	Active   State = "active"
	Retiring State = "retiring"
)

// A SigningKey is a private key at rest. PrivatePEM is PKCS#8; stores seal it.
type SigningKey struct {
	Kid        string // RFC 7638 thumbprint
	Use        string
	Algorithm  string // RS256, ES256 or EdDSA
	State      State
	PrivatePEM []byte
	// Dates of entering each state; zero when not yet.
	CreatedAt, ActivatedAt, RetiredAt time.Time
}

// String keeps the key out of logs and errors.
func (k SigningKey) String() string { return "signing key " + k.Kid }

// GoString keeps the key out of %#v.
func (k SigningKey) GoString() string { return k.String() }

// KeyStore keeps signing keys, sealed. Every write leaves a change-feed row
// (kind feed.SigningKeys). It is safe for concurrent use.
type KeyStore interface {
	// SigningKeys lists all, oldest first.
	SigningKeys(ctx context.Context) ([]SigningKey, error)
	// UpdateSigningKeys runs f on all keys in one transaction that excludes every other
	// such transaction, and stores the result of f: changed and new keys are written,
	// missing ones removed.
	UpdateSigningKeys(ctx context.Context, f func([]SigningKey) ([]SigningKey, error)) error
}
