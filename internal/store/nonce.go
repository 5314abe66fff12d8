package store

import (
	"context"
	"time"
)

// A NonceStore remembers the nonces of signed requests, so that none is used twice. It is
// safe for concurrent use.
type NonceStore interface {
	// UseNonce records that the key kid used nonce and reports whether it is fresh: of
	// several equal calls one is. The record may be forgotten after until.
	UseNonce(ctx context.Context, kid, nonce string, until time.Time) (fresh bool, err error)
	// DeleteNonces forgets records whose until is before t and returns how many.
	DeleteNonces(ctx context.Context, t time.Time) (int, error)
}

// UseNonce implements NonceStore.
func (q queries) UseNonce(ctx context.Context, kid, nonce string, until time.Time) (bool, error) {
	n, err := q.run(ctx, "use nonce", `
		INSERT INTO nonces (kid, nonce, expires_at) VALUES ($1, $2, $3)
		ON CONFLICT DO NOTHING`, kid, clean(nonce), until.UnixMicro())
	return n > 0, err
}

// DeleteNonces implements NonceStore.
func (q queries) DeleteNonces(ctx context.Context, t time.Time) (int, error) {
	return q.deleteInParts(ctx, "delete nonces", `
		DELETE FROM nonces
		WHERE (kid, nonce) IN (SELECT kid, nonce FROM nonces WHERE expires_at < $1 LIMIT $2)`, t.UnixMicro())
}
