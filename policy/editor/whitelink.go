package editor

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"barong/internal/account"
	"barong/internal/feed"
	"barong/policy"
)

// A Whitelink lets the holder of its token put their own address on the
// whitelist (AZ-60, FX-25). The token is 64 lower-case hex digits and kept nowhere.
type Whitelink struct {
	Hash       [32]byte // SHA-256 of the token
	CreatorUID string
	Uses       int // that are left
	ExpiresAt  time.Time
}

// CreateWhitelink makes a link that ends after life and returns its token.
func (s *Service) CreateWhitelink(ctx context.Context, by account.Actor, life time.Duration) (token string, err error) {
	var secret [32]byte
	rand.Read(secret[:]) // never fails
	token = hex.EncodeToString(secret[:])
	w := Whitelink{
		Hash: sha256.Sum256([]byte(token)), CreatorUID: by.UID, Uses: s.uses,
		ExpiresAt: s.now().Add(life).UTC().Truncate(time.Microsecond),
	}
	err = s.store.ChangePolicy(ctx, func(tx Tx) error {
		if err := tx.AddWhitelink(ctx, w); err != nil {
			return err
		}
		return tx.AddActivity(ctx, s.activity(by, restrictions.topic, "whitelink::create", struct {
			Uses      int       `json:"uses"`
			ExpiresAt time.Time `json:"expires_at"`
		}{w.Uses, w.ExpiresAt}))
	})
	if err != nil {
		return "", fmt.Errorf("create whitelink: %w", err)
	}
	return token, nil
}

// RedeemWhitelink puts the client's address on the whitelist and uses the link up, both or
// neither: ErrWhitelink, ErrTaken when the address is there already, Invalid when it is no
// address. ErrTaken also stands for a link that is used up: pages redeem theirs twice, and
// the second answer must say that the first was good (design D30). The activity names the link's creator as its actor and the client as where it
// came from: the creator answers for its use.
func (s *Service) RedeemWhitelink(ctx context.Context, c account.Client, token string) (version feed.Cursor, err error) {
	hash := sha256.Sum256([]byte(token))
	err = s.store.ChangePolicy(ctx, func(tx Tx) error {
		if err := tx.LockPolicy(ctx); err != nil {
			return err
		}
		w, used := tx.UseWhitelink(ctx, hash, s.now())
		if used != nil && !errors.Is(used, ErrWhitelinkUsed) {
			return used
		}
		r := policy.Restriction{Category: policy.Whitelist, Scope: policy.ScopeIP, Value: c.IP.String(), State: policy.Enabled}
		if err := r.Normalize(); err != nil {
			return err
		}
		if err := tx.AddRestriction(ctx, &r); err != nil {
			return err
		}
		if used != nil {
			return used
		}
		err := tx.AddActivity(ctx, s.activity(account.Actor{UID: w.CreatorUID, Client: c},
			restrictions.topic, "whitelink::redeem",
			rowChange{ID: r.ID, After: restrictions.note(&r)}))
		if err != nil {
			return err
		}
		version, err = tx.NextChange(ctx)
		return err
	})
	if err != nil {
		return feed.Cursor{}, fmt.Errorf("redeem whitelink: %w", err)
	}
	return version, nil
}
