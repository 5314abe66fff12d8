package store

import (
	"bytes"
	"context"
	"fmt"
	"slices"

	"barong/internal/feed"
	"barong/internal/token"
)

const signingKeysTable, signingKeysPEM = "signing_keys", "private_pem" // sealing binds to them

func (q queries) listSigningKeys(ctx context.Context, from querier) ([]token.SigningKey, error) {
	return list(ctx, from, func(row scanner) (k token.SigningKey, err error) {
		var uuid string
		var sealed []byte
		err = row.Scan(&uuid, &k.Kid, &k.Use, &k.Algorithm, &k.State, &sealed,
			at(&k.CreatedAt), at(&k.ActivatedAt), at(&k.RetiredAt))
		if err != nil {
			return token.SigningKey{}, err
		}
		if k.PrivatePEM, err = q.open(sealed, signingKeysTable, signingKeysPEM, uuid); err != nil {
			return token.SigningKey{}, fmt.Errorf("signing key %s: %w", k.Kid, err)
		}
		return k, nil
	}, `SELECT uuid, kid, key_use, algorithm, state, private_pem, created_at, activated_at, retired_at
		FROM signing_keys ORDER BY created_at, id`)
}

// SigningKeys implements token.KeyStore; account.ErrSeal when one cannot be opened.
func (q queries) SigningKeys(ctx context.Context) ([]token.SigningKey, error) {
	all, err := q.listSigningKeys(ctx, q.read())
	if err != nil {
		return nil, fmt.Errorf("list signing keys: %w", err)
	}
	return all, nil
}

// UpdateSigningKeys implements token.KeyStore. The kid identifies a key; one without CreatedAt
// gets the time of the transaction. When f changes nothing, nothing is written.
func (q queries) UpdateSigningKeys(ctx context.Context, f func([]token.SigningKey) ([]token.SigningKey, error)) error {
	return q.writeLocked(ctx, "update signing keys", serialize("signing keys"), func(t *txn) error {
		old, err := q.listSigningKeys(ctx, t)
		if err != nil {
			return err
		}
		byKid := make(map[string]token.SigningKey, len(old))
		given := slices.Clone(old)
		for i, k := range old {
			byKid[k.Kid] = k
			given[i].PrivatePEM = bytes.Clone(k.PrivatePEM) // f may change its copy
		}
		keys, err := f(given)
		if err != nil {
			return err
		}
		for _, k := range keys {
			before, known := byKid[k.Kid]
			delete(byKid, k.Kid)
			switch {
			case !known:
				err = q.addSigningKey(ctx, t, k)
			case !sameSigningKey(before, k):
				err = q.putSigningKey(ctx, t, before, k)
			default:
				continue
			}
			if err != nil {
				return fmt.Errorf("write %s: %w", k.Kid, err)
			}
			t.changed(feed.SigningKeys, "")
		}
		for kid := range byKid {
			if err := t.exec(ctx, `DELETE FROM signing_keys WHERE kid = $1`, kid); err != nil {
				return fmt.Errorf("delete %s: %w", kid, err)
			}
			t.changed(feed.SigningKeys, "")
		}
		return nil
	})
}

// sameSigningKey compares the columns.
func sameSigningKey(a, b token.SigningKey) bool {
	return a.Use == b.Use && a.Algorithm == b.Algorithm && a.State == b.State &&
		bytes.Equal(a.PrivatePEM, b.PrivatePEM) && a.CreatedAt.UnixMicro() == b.CreatedAt.UnixMicro() &&
		a.ActivatedAt.UnixMicro() == b.ActivatedAt.UnixMicro() && a.RetiredAt.UnixMicro() == b.RetiredAt.UnixMicro()
}

func (q queries) addSigningKey(ctx context.Context, t *txn, k token.SigningKey) error {
	uuid, sealed, err := q.seal(k.PrivatePEM, signingKeysTable, signingKeysPEM)
	if err != nil {
		return err
	}
	if k.CreatedAt.IsZero() {
		k.CreatedAt = t.now
	}
	return t.exec(ctx, `
		INSERT INTO signing_keys (uuid, kid, key_use, algorithm, state, private_pem, created_at,
		                          activated_at, retired_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)`,
		uuid, k.Kid, k.Use, k.Algorithm, string(k.State), sealed, k.CreatedAt.UnixMicro(),
		orNull(k.ActivatedAt), orNull(k.RetiredAt))
}

func (q queries) putSigningKey(ctx context.Context, t *txn, before, k token.SigningKey) error {
	err := t.exec(ctx, `
		UPDATE signing_keys
		SET key_use = $1, algorithm = $2, state = $3, created_at = $4, activated_at = $5, retired_at = $6
		WHERE kid = $7`,
		k.Use, k.Algorithm, string(k.State), k.CreatedAt.UnixMicro(), orNull(k.ActivatedAt),
		orNull(k.RetiredAt), k.Kid)
	if err != nil || bytes.Equal(before.PrivatePEM, k.PrivatePEM) {
		return err
	}
	uuid, sealed, err := q.seal(k.PrivatePEM, signingKeysTable, signingKeysPEM)
	if err != nil {
		return err
	}
	return t.exec(ctx, `UPDATE signing_keys SET uuid = $1, private_pem = $2 WHERE kid = $3`, uuid, sealed, k.Kid)
}
