package store

import (
	"context"
	"errors"
	"fmt"
)

// A Ring is a Sealer that opens by several keys, and seals and indexes by the current one of them.
type Ring interface {
	Sealer
	// Stale reports whether a sealed value is of another key than the current one.
	Stale(sealed []byte) bool
	// Index is the blind index of a value under the current key, and the id of that key.
	Index(value, table, column string) (index []byte, keyID string)
}

// A Resealing counts the values of a sealed column.
type Resealing struct {
	Table  string `json:"table"`
	Column string `json:"column"`
	// Sealed were of a former key and are of the current one now; Left still are of a former one,
	// Unopened among them, which no key of the ring opens.
	Sealed   int `json:"sealed"`
	Left     int `json:"left"`
	Unopened int `json:"unopened"`
}

const (
	// resealBatch is how many values one transaction seals: it holds their rows.
	resealBatch = 50
	// resealRounds is how often Reseal goes over a column in which values of a former key go on
	// appearing, as a program writes that does not seal with the current one yet.
	resealRounds = 3
)

// ErrResealLeft says that values of a former key are left.
var ErrResealLeft = errors.New("store: values are still sealed by a former key")

// Reseal seals every value of a former key of the ring again with the current one, beside programs that
// serve with the same ring. A value is replaced only if it is still the one that was opened, so that
// no write of others is undone. It may be broken off at any point and begun again, and several may
// run at once. The value by which the database knows its key comes last, when nothing else is left:
// until then a program without the former key is refused. It returns the count of each column, and
// ErrResealLeft if any value is left.
func (db *DB) Reseal(ctx context.Context) ([]Resealing, error) {
	ring, ok := db.sealer.(Ring)
	if !ok {
		return nil, errors.New("reseal: no ring of keys")
	}
	var all []Resealing
	left := 0
	reseal := func(c SealedColumn) error {
		r, err := db.resealColumn(ctx, ring, c)
		all, left = append(all, r), left+r.Left
		if err != nil {
			return fmt.Errorf("reseal %s.%s: %w", c.Table, c.Column, err)
		}
		return nil
	}
	var check SealedColumn
	for _, c := range sealedColumns {
		if c.Table == sealCheckTable {
			check = c
		} else if err := reseal(c); err != nil {
			return all, err
		}
	}
	if left == 0 {
		if err := reseal(check); err != nil {
			return all, err
		}
	}
	if left > 0 {
		return all, fmt.Errorf("%w: %d of them", ErrResealLeft, left)
	}
	return all, nil
}

// A sealedValue is a value as its row has it.
type sealedValue struct {
	row    string
	sealed []byte
}

func (db *DB) resealColumn(ctx context.Context, ring Ring, c SealedColumn) (r Resealing, err error) {
	r.Table, r.Column = c.Table, c.Column
	for range resealRounds {
		found := 0
		r.Unopened = 0
		err = db.staleValues(ctx, ring, c, func(batch []sealedValue) error {
			done, unopened, err := db.resealValues(ctx, ring, c, batch)
			found, r.Sealed, r.Unopened = found+len(batch), r.Sealed+done, r.Unopened+unopened
			return err
		})
		if err != nil || found == r.Unopened {
			break
		}
	}
	r.Left = 0
	count := db.staleValues(ctx, ring, c, func(batch []sealedValue) error {
		r.Left += len(batch)
		return nil
	})
	return r, errors.Join(err, count)
}

// staleValues yields the values of former keys in batches, in the order of their rows.
func (db *DB) staleValues(ctx context.Context, ring Ring, c SealedColumn, yield func([]sealedValue) error) error {
	const page = 500
	for after := ""; ; {
		values, err := list(ctx, db.r, func(row scanner) (v sealedValue, err error) {
			return v, row.Scan(&v.row, &v.sealed)
		}, `SELECT uuid, `+c.Column+` FROM `+c.Table+` WHERE uuid > $1 ORDER BY uuid LIMIT $2`, after, page)
		if err != nil {
			return err
		}
		var batch []sealedValue
		for i, v := range values {
			if v.sealed != nil && ring.Stale(v.sealed) {
				batch = append(batch, v)
			}
			if len(batch) == resealBatch || i == len(values)-1 && len(batch) > 0 {
				if err := yield(batch); err != nil {
					return err
				}
				batch = nil
			}
		}
		if len(values) < page {
			return nil
		}
		after = values[len(values)-1].row
	}
}

// resealValues replaces values by such of the current key, those that nobody has replaced meanwhile.
func (db *DB) resealValues(ctx context.Context, ring Ring, c SealedColumn, batch []sealedValue) (done, unopened int, err error) {
	type replacement struct {
		sealedValue
		fresh, index []byte
		key          string
	}
	var all []replacement
	for _, v := range batch {
		plain, err := ring.Open(v.sealed, c.Table, c.Column, v.row)
		if err != nil {
			db.log.ErrorContext(ctx, "a sealed value does not open", "table", c.Table, "column", c.Column, "row", v.row)
			unopened++
			continue
		}
		x := replacement{sealedValue: v}
		if x.fresh, err = ring.Seal(plain, c.Table, c.Column, v.row); err != nil {
			return done, unopened, err
		}
		if c.Index != "" {
			value := string(plain)
			if c.Indexed != nil {
				value = c.Indexed(value)
			}
			x.index, x.key = ring.Index(value, c.Table, c.Column)
		}
		all = append(all, x)
	}
	err = db.transact(ctx, func(t *txn) error {
		done = 0
		for _, x := range all {
			set, args := c.Column+` = $3`, []any{x.row, x.sealed, x.fresh}
			if c.Index != "" {
				set, args = set+`, `+c.Index+` = $4, `+c.IndexKey+` = $5`, append(args, x.index, x.key)
			}
			n, err := affected(ctx, t, `UPDATE `+c.Table+` SET `+set+` WHERE uuid = $1 AND `+c.Column+` = $2`, args...)
			if err != nil {
				return err
			}
			done += int(n)
		}
		return nil
	})
	return done, unopened, err
}
