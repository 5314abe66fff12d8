package store

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"time"

	"barong/internal/peer"
)

var _ peer.Store = (*DB)(nil)

// ClaimMessage implements peer.Store. It keeps the ids among the nonces, as EmitOnce does, and always
// in the database: Redis may forget. No API key and no source has the name.
func (db *DB) ClaimMessage(ctx context.Context, id [sha256.Size]byte, until time.Time) (first bool, err error) {
	return db.UseNonce(ctx, "messages of peers", hex.EncodeToString(id[:]), until)
}
