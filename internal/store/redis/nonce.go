package redis

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	goredis "github.com/redis/go-redis/v9"
)

// UseNonce records that the key kid used nonce and reports whether it is fresh: of several
// equal calls one is. The record is forgotten after until. Calls at the same time share
// exchanges with Redis. After an error the nonce may count as used. A master that dies before
// its replica has heard of a nonce takes it along: it could be used once more until then.
func (s *Store) UseNonce(ctx context.Context, kid, nonce string, until time.Time) (fresh bool, err error) {
	key := s.cfg.Prefix + "nonce:" + strconv.Itoa(len(kid)) + ":" + kid + ":" + nonce
	_, err = s.one(ctx, "SET", key, "", "NX", "PX", s.life(until))
	if errors.Is(err, goredis.Nil) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("use nonce: %w", err)
	}
	return true, nil
}

// DeleteNonces has nothing to do: Redis forgets by itself.
func (*Store) DeleteNonces(context.Context, time.Time) (int, error) { return 0, nil }
