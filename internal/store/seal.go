package store

import (
	"crypto/rand"
	"errors"
	"fmt"

	"barong/internal/account"
	"barong/internal/secret"
)

// A Sealer encrypts the secret columns. The sealed bytes open only for the table, column
// and row (a uuid) that they were made for.
type Sealer interface {
	Seal(plain []byte, table, column, row string) ([]byte, error)
	Open(sealed []byte, table, column, row string) ([]byte, error)
	// Indexes are the keyed hashes of a value in a column, as secret.Sealer makes them: the one to
	// write first, then those of older keys.
	Indexes(value, table, column string) []secret.BlindIndex
}

// seal makes the uuid of a new row and seals a column for it; account.ErrSeal.
func (q queries) seal(plain []byte, table, column string) (row string, sealed []byte, err error) {
	row = newUUID()
	sealed, err = q.sealAs(plain, table, column, row)
	return row, sealed, err
}

// sealAs seals a column of a row that has its uuid, which must be one of sealedColumns; account.ErrSeal.
func (q queries) sealAs(plain []byte, table, column, row string) ([]byte, error) {
	if err := declared(table, column); err != nil {
		return nil, errors.Join(account.ErrSeal, err)
	}
	if q.db.sealer == nil {
		return nil, fmt.Errorf("%w: no sealing key", account.ErrSeal)
	}
	sealed, err := q.db.sealer.Seal(plain, table, column, row)
	if err != nil {
		return nil, errors.Join(account.ErrSeal, err)
	}
	return sealed, nil
}

// open is the inverse of seal; account.ErrSeal.
func (q queries) open(sealed []byte, table, column, row string) ([]byte, error) {
	if q.db.sealer == nil {
		return nil, fmt.Errorf("%w: no sealing key", account.ErrSeal)
	}
	plain, err := q.db.sealer.Open(sealed, table, column, row)
	if err != nil {
		return nil, errors.Join(account.ErrSeal, err)
	}
	return plain, nil
}

// indexes are the keyed hashes by which a value may be found in a column, that of the current key
// first; account.ErrSeal.
func (q queries) indexes(value, table, column string) ([]secret.BlindIndex, error) {
	if q.db.sealer == nil {
		return nil, fmt.Errorf("%w: no sealing key", account.ErrSeal)
	}
	return q.db.sealer.Indexes(value, table, column), nil
}

// index is the one of indexes to write.
func (q queries) index(value, table, column string) (i secret.BlindIndex, err error) {
	all, err := q.indexes(value, table, column)
	if err != nil {
		return i, err
	}
	return all[0], nil
}

// newUUID returns a random UUID, version 4 of RFC 9562.
func newUUID() string {
	var b [16]byte
	rand.Read(b[:]) // never fails
	b[6] = b[6]&0x0f | 0x40
	b[8] = b[8]&0x3f | 0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}
