package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"barong/internal/account"
	"barong/internal/apikey"
	"barong/internal/feed"
)

const apikeysTable, apikeysSecret = "apikeys", "secret" // sealing binds to them

// An API key with the one of the two accounts that holds it.
const keysAndHolders = `apikeys k
	LEFT JOIN users u ON u.id = k.user_id
	LEFT JOIN service_accounts s ON s.id = k.service_account_id`

const holderKind = `CASE WHEN k.user_id IS NULL THEN 'service_account' ELSE 'user' END`

var apiKeys = noun[apikey.Key]{
	columns: `k.id, k.kid, k.algorithm, k.scope, k.scope_enforced, k.state, COALESCE(u.uid, s.uid), ` + holderKind + `,
	       k.ip_whitelist, k.expires_at, k.last_used_at, k.last_used_ip, k.created_at, k.updated_at`,
	from: keysAndHolders,
	into: func(k *apikey.Key) []any {
		return []any{
			&k.ID, &k.Kid, &k.Algorithm, jsonOf(&k.Scope), &k.ScopeEnforced, &k.State, &k.HolderUID, &k.HolderKind,
			jsonOf(&k.Networks), at(&k.ExpiresAt), at(&k.LastUsedAt), address(&k.LastUsedIP), at(&k.CreatedAt), at(&k.UpdatedAt),
		}
	},
	missing: apikey.ErrNoKey,
}

const selectKeyRecord = `
	SELECT k.uuid, k.kid, k.algorithm, k.secret, k.state, COALESCE(u.uid, s.uid), ` + holderKind + `,
	       k.scope, k.scope_enforced, k.ip_whitelist, k.expires_at, k.last_used_at
	FROM ` + keysAndHolders + `
	WHERE k.kid = $1`

// listText is a JSON list; none is [].
func listText[T any](list []T) (string, error) {
	if len(list) == 0 {
		return "[]", nil
	}
	b, err := json.Marshal(list)
	return string(b), err
}

// boundsText are the lists of a key as their columns have them.
func boundsText(k *apikey.Key) (scope, networks string, err error) {
	if scope, err = listText(k.Scope); err != nil {
		return "", "", err
	}
	networks, err = listText(k.Networks)
	return scope, networks, err
}

// KeyRecord implements apikey.Source.
func (db *DB) KeyRecord(ctx context.Context, kid string) (apikey.Record, error) {
	var k apikey.Record
	var row string
	var sealed []byte
	err := db.keyByKid.row(ctx, db, kid).Scan(&row, &k.Kid, &k.Algorithm, &sealed, &k.State,
		&k.HolderUID, &k.HolderKind, jsonOf(&k.Scope), &k.ScopeEnforced, jsonOf(&k.Networks), at(&k.ExpiresAt), at(&k.LastUsedAt))
	if err != nil {
		return apikey.Record{}, fmt.Errorf("load api key: %w", found(err, apikey.ErrNoKey))
	}
	k.Secret, err = db.open(sealed, apikeysTable, apikeysSecret, row)
	if err != nil {
		return apikey.Record{}, fmt.Errorf("load api key %s: %w", k.Kid, err)
	}
	return k, nil
}

// APIKeys implements apikey.Tx. OrderBy "" is id; equal values are in the order
// of their ids. A Limit of 0 is none.
func (q queries) APIKeys(ctx context.Context, query apikey.Query) ([]apikey.Key, int, error) {
	order, ok := map[string]string{
		"": "k.id", "id": "k.id", "kid": "k.kid", "algorithm": "k.algorithm", "scope": "k.scope",
		"state": "k.state", "created_at": "k.created_at", "updated_at": "k.updated_at",
	}[query.OrderBy]
	if !ok {
		return nil, 0, fmt.Errorf("list api keys: cannot order by %q", query.OrderBy)
	}
	if query.Desc {
		order += " DESC, k.id DESC"
	} else {
		order += ", k.id"
	}
	var f filter
	f.add("(u.uid = $%[1]d OR s.uid = $%[1]d)", query.HolderUID)
	return apiKeys.page(ctx, q, "list api keys", f, order, query.Limit, query.Offset)
}

// APIKey implements apikey.Tx.
func (q queries) APIKey(ctx context.Context, holderUID, kid string) (apikey.Key, error) {
	return apiKeys.one(ctx, q, "load api key", lockRows("apikeys", "kid = $1", kid),
		`WHERE k.kid = $1 AND (u.uid = $2 OR s.uid = $2)`, kid, holderUID)
}

// holder finds and locks the user or service account that may hold keys; one of the two ids is
// set, or account.ErrNotFound.
func (t *txn) holder(ctx context.Context, uid string) (user, serviceAccount *int64, err error) {
	id, err := t.lockedUserID(ctx, uid)
	if err == nil {
		return &id, nil, nil
	}
	if !errors.Is(err, account.ErrNotFound) {
		return nil, nil, err
	}
	err = t.QueryRowContext(ctx, `SELECT id FROM service_accounts WHERE uid = $1`+t.dialect.Lock, uid).Scan(&id)
	if err != nil {
		return nil, nil, fmt.Errorf("holder: %w", found(err, account.ErrNotFound))
	}
	return nil, &id, nil
}

// AddAPIKey implements apikey.Tx; it also fills HolderKind.
func (q queries) AddAPIKey(ctx context.Context, k *apikey.Key) error {
	return q.write(ctx, "add api key", func(t *txn) error {
		user, serviceAccount, err := t.holder(ctx, k.HolderUID)
		if err != nil {
			return err
		}
		row, sealed, err := q.seal([]byte(k.Secret), apikeysTable, apikeysSecret)
		if err != nil {
			return err
		}
		scope, networks, err := boundsText(k)
		if err != nil {
			return err
		}
		err = t.QueryRowContext(ctx, `
			INSERT INTO apikeys (uuid, user_id, service_account_id, kid, algorithm, scope, scope_enforced, secret,
			                     state, ip_whitelist, expires_at, created_at, updated_at)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $12)
			ON CONFLICT DO NOTHING
			RETURNING id`,
			row, user, serviceAccount, k.Kid, k.Algorithm, scope, k.ScopeEnforced, sealed, k.State,
			networks, orNull(k.ExpiresAt), t.now.UnixMicro()).Scan(&k.ID)
		if err := inserted(err, account.ErrTaken); err != nil {
			return err
		}
		k.HolderKind = account.KindUser
		if serviceAccount != nil {
			k.HolderKind = account.KindServiceAccount
		}
		k.CreatedAt, k.UpdatedAt = t.now, t.now
		t.changed(feed.Key, k.Kid)
		return nil
	})
}

// PutAPIKey implements apikey.Tx.
func (q queries) PutAPIKey(ctx context.Context, k *apikey.Key) error {
	return q.write(ctx, "put api key", func(t *txn) error {
		scope, networks, err := boundsText(k)
		if err != nil {
			return err
		}
		err = t.change(ctx, apikey.ErrNoKey, `
			UPDATE apikeys SET scope = $1, scope_enforced = $2, state = $3, ip_whitelist = $4, expires_at = $5,
			                   updated_at = $6
			WHERE kid = $7`,
			scope, k.ScopeEnforced, k.State, networks, orNull(k.ExpiresAt), t.now.UnixMicro(), k.Kid)
		if err != nil {
			return err
		}
		k.UpdatedAt = t.now
		t.changed(feed.Key, k.Kid)
		return nil
	})
}

// NoteKeyUses implements apikey.UseStore.
func (db *DB) NoteKeyUses(ctx context.Context, uses []apikey.Use) error {
	return db.write(ctx, "note uses of api keys", func(t *txn) error {
		for _, u := range uses {
			ip := ""
			if u.IP.IsValid() {
				ip = u.IP.String()
			}
			if _, err := t.ExecContext(ctx, `
				UPDATE apikeys SET last_used_at = $1, last_used_ip = $2
				WHERE kid = $3 AND (last_used_at IS NULL OR last_used_at < $1)`,
				u.At.UnixMicro(), ip, u.Kid); err != nil {
				return err
			}
		}
		return nil
	})
}

// DeleteAPIKey implements apikey.Tx.
func (q queries) DeleteAPIKey(ctx context.Context, holderUID, kid string) error {
	return q.write(ctx, "delete api key", func(t *txn) error {
		err := t.change(ctx, apikey.ErrNoKey, `
			DELETE FROM apikeys
			WHERE kid = $1 AND (user_id IN (SELECT id FROM users WHERE uid = $2)
			                    OR service_account_id IN (SELECT id FROM service_accounts WHERE uid = $2))`,
			kid, holderUID)
		if err != nil {
			return err
		}
		t.changed(feed.Key, kid)
		return nil
	})
}

// DeactivateAPIKeys implements account.Tx.
func (q queries) DeactivateAPIKeys(ctx context.Context, holderUID string) (int, error) {
	return q.changeKeysOf(ctx, "deactivate api keys", holderUID, func(t *txn) (string, []any) {
		return `UPDATE apikeys SET state = 'inactive', updated_at = $2 WHERE state = 'active' AND`, []any{t.now.UnixMicro()}
	})
}

// DeleteAPIKeys implements account.Tx.
func (q queries) DeleteAPIKeys(ctx context.Context, holderUID string) (int, error) {
	return q.changeKeysOf(ctx, "delete api keys", holderUID, func(*txn) (string, []any) { return `DELETE FROM apikeys WHERE`, nil })
}

// changeKeysOf runs a statement on the keys of a holder and, for a user, of the user's service
// accounts, and returns how many it changed. statement returns its text up to the condition on the
// holder, which is $1, and the arguments from $2 on.
func (q queries) changeKeysOf(
	ctx context.Context, what, holderUID string, statement func(*txn) (text string, args []any),
) (int, error) {
	var kids []string
	err := q.write(ctx, what, func(t *txn) (err error) {
		text, args := statement(t)
		kids, err = list(ctx, t, value[string], text+`
			(user_id IN (SELECT id FROM users WHERE uid = $1)
			 OR service_account_id IN (
			     SELECT s.id FROM service_accounts s LEFT JOIN users u ON u.id = s.owner_id
			     WHERE s.uid = $1 OR u.uid = $1))
			RETURNING kid`, append([]any{holderUID}, args...)...)
		for _, kid := range kids {
			t.changed(feed.Key, kid)
		}
		return err
	})
	return len(kids), err
}
