package token

import (
	"context"
	"fmt"
	"slices"
	"time"
)

// Rotate puts a new key of the use in as next, and returns it without its private part and the time from
// which Tick makes it active: once every cached key set without it has run out. With at once true the
// new key, or the one that waits, is active when Rotate returns, and the active one retires: consumers
// refuse its tokens until they read the key set again. ErrRotating when one is waiting already and at once
// is false, ErrNoKey for an unknown use.
func (k *Keys) Rotate(ctx context.Context, use string, atOnce bool) (made SigningKey, from time.Time, err error) {
	if !slices.Contains(uses(), use) {
		return SigningKey{}, time.Time{}, fmt.Errorf("%w: use %q", ErrNoKey, use)
	}
	row, err := k.generate(use)
	if err != nil {
		return SigningKey{}, time.Time{}, err
	}
	err = k.update(ctx, "rotate "+use+" key", func(rows []SigningKey) ([]SigningKey, error) {
		at := find(rows, use, Next)
		switch {
		case at >= 0 && !atOnce:
			return nil, ErrRotating
		case at < 0:
			rows = append(rows, row)
			at = len(rows) - 1
		}
		if atOnce {
			promote(rows, at, row.CreatedAt)
		}
		made = rows[at]
		return rows, nil
	})
	if err != nil {
		return SigningKey{}, time.Time{}, err
	}
	made.PrivatePEM = nil
	if from = made.ActivatedAt; !atOnce {
		from = made.CreatedAt.Add(k.config.publishBefore())
	}
	return made, from, nil
}

// Revoke removes a key at once, for one that has leaked: this service takes its tokens no more, consumers
// as soon as they read the key set again, after JWKSMaxAge at the latest. In the place of an active key
// the one that waits becomes active, or a new one, which it returns without its private part; else a
// SigningKey that has its Use alone. ErrNoKey: there is no key with this kid.
func (k *Keys) Revoke(ctx context.Context, kid string) (successor SigningKey, err error) {
	rows, err := k.store.SigningKeys(ctx)
	if err != nil {
		return SigningKey{}, fmt.Errorf("revoke key: %w", err)
	}
	at := slices.IndexFunc(rows, func(r SigningKey) bool { return r.Kid == kid })
	if at < 0 {
		return SigningKey{}, fmt.Errorf("%w: kid %q", ErrNoKey, kid)
	}
	use := rows[at].Use
	made, err := k.generate(use)
	if err != nil {
		return SigningKey{}, err
	}
	err = k.update(ctx, "revoke key", func(rows []SigningKey) ([]SigningKey, error) {
		kept := slices.DeleteFunc(rows, func(r SigningKey) bool { return r.Kid == kid })
		if find(kept, use, Active) >= 0 {
			successor = SigningKey{Use: use}
			return kept, nil
		}
		at := find(kept, use, Next)
		if at < 0 {
			kept = append(kept, made)
			at = len(kept) - 1
		}
		promote(kept, at, made.CreatedAt)
		successor = kept[at]
		return kept, nil
	})
	if err != nil {
		return SigningKey{}, err
	}
	successor.PrivatePEM = nil
	return successor, nil
}

// Import adds a private key and returns its kid: PEM (PKCS#8, PKCS#1, SEC1) or the URL-safe
// base64 of PEM. It becomes the next key, or with at once true the active one, and then the
// active one retires: for taking over from another Barong whose consumers know this key
// already. The key's algorithm must be the configured one (RS256 for wire).
//
// Errors: ErrBadKey, ErrKnownKey (unless it waits as next of this use and at once is true),
// ErrRotating, ErrNoKey for an unknown use.
func (k *Keys) Import(ctx context.Context, use string, pem []byte, atOnce bool) (kid string, err error) {
	if !slices.Contains(uses(), use) {
		return "", fmt.Errorf("%w: use %q", ErrNoKey, use)
	}
	private, algorithm, err := parseKey(pem)
	if err != nil {
		return "", err
	}
	if want := k.algorithm(use); algorithm != want {
		return "", fmt.Errorf("%w: it is for %s, and keys of use %s are for %s", ErrBadKey, algorithm, use, want)
	}
	row, err := k.row(use, algorithm, private)
	if err != nil {
		return "", err
	}
	err = k.update(ctx, "import "+use+" key", func(rows []SigningKey) ([]SigningKey, error) {
		at := slices.IndexFunc(rows, func(r SigningKey) bool { return r.Kid == row.Kid })
		switch {
		case at >= 0 && atOnce && rows[at].Use == use && rows[at].State == Next:
		case at >= 0:
			return nil, fmt.Errorf("%w: as %s %s key", ErrKnownKey, rows[at].State, rows[at].Use)
		case !atOnce && find(rows, use, Next) >= 0:
			return nil, ErrRotating
		default:
			rows = append(rows, row)
			at = len(rows) - 1
		}
		if atOnce {
			promote(rows, at, row.CreatedAt)
		}
		return rows, nil
	})
	if err != nil {
		return "", err
	}
	return row.Kid, nil
}

// Tick does all work that is due: puts next keys in by age (RotateEvery), makes next keys active that
// have been published for JWKSMaxAge, removes retiring keys that nobody can ask for any
// more. Every replica calls it, about once a minute; it reads nothing when nothing is due by
// the rows known here, and decides on fresh rows when something is.
func (k *Keys) Tick(ctx context.Context) error {
	now := k.now().UTC().Truncate(time.Microsecond)
	known := k.set.Load().list
	if !k.due(known, now) {
		return nil
	}
	made := map[string]SigningKey{}
	for _, use := range k.aged(known, now) {
		row, err := k.generate(use)
		if err != nil {
			return err
		}
		made[use] = row
	}
	return k.update(ctx, "tick signing keys", func(rows []SigningKey) ([]SigningKey, error) {
		for _, use := range k.aged(rows, now) {
			if row, ok := made[use]; ok {
				rows = append(rows, row)
			}
		}
		for i := range rows {
			if k.ripe(rows[i], now) {
				promote(rows, i, now)
			}
		}
		return slices.DeleteFunc(rows, func(r SigningKey) bool { return k.over(r, now) }), nil
	})
}

func (k *Keys) due(rows []SigningKey, now time.Time) bool {
	return len(k.aged(rows, now)) > 0 || slices.ContainsFunc(rows, func(r SigningKey) bool {
		return k.ripe(r, now) || k.over(r, now)
	})
}

// ripe says that a next key has been published long enough to sign.
func (k *Keys) ripe(r SigningKey, now time.Time) bool {
	return r.State == Next && now.Sub(r.CreatedAt) >= k.config.publishBefore()
}

// over says that a retiring key has no token and no cached key set left.
func (k *Keys) over(r SigningKey, now time.Time) bool {
	return r.State == Retiring && now.Sub(r.RetiredAt) >= k.config.keepAfter(r.Use)
}

// aged lists the uses whose active key is due for replacement by age. The next key is put
// in early, so that the active one is replaced at about RotateEvery.
func (k *Keys) aged(rows []SigningKey, now time.Time) []string {
	var old []string
	if k.config.RotateEvery == 0 {
		return nil
	}
	for _, use := range []string{UseBearer, UseMail} {
		at := find(rows, use, Active)
		if at >= 0 && find(rows, use, Next) < 0 &&
			now.Sub(rows[at].ActivatedAt) >= k.config.RotateEvery-k.config.publishBefore() {
			old = append(old, use)
		}
	}
	return old
}

// promote makes a row active and retires the one that was.
func promote(rows []SigningKey, at int, now time.Time) {
	if i := find(rows, rows[at].Use, Active); i >= 0 {
		rows[i].State, rows[i].RetiredAt = Retiring, now
	}
	rows[at].State, rows[at].ActivatedAt = Active, now
}

// update changes a copy of the rows in the store's transaction, so that the store can
// see the changes, and then reads them again.
func (k *Keys) update(ctx context.Context, what string, f func([]SigningKey) ([]SigningKey, error)) error {
	err := k.store.UpdateSigningKeys(ctx, func(rows []SigningKey) ([]SigningKey, error) {
		return f(slices.Clone(rows))
	})
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	if err := k.Reload(ctx); err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	return nil
}
