package token

import (
	"context"
	"fmt"
	"slices"
	"time"
)

// Rotate puts a new key of the use in as next; Tick makes it active once every cached key
// set without it has run out. ErrRotating when one is waiting already, ErrNoKey for an
// unknown use.
func (k *Keys) Rotate(ctx context.Context, use string) error {
	if !slices.Contains(uses(), use) {
		return fmt.Errorf("%w: use %q", ErrNoKey, use)
	}
	row, err := k.generate(use)
	if err != nil {
		return err
	}
	return k.update(ctx, "rotate "+use+" key", func(rows []SigningKey) ([]SigningKey, error) {
		if find(rows, use, Next) >= 0 {
			return nil, ErrRotating
		}
		return append(rows, row), nil
	})
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
