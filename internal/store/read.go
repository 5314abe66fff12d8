package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"time"
)

type scanner interface{ Scan(dest ...any) error }

// A noun is the part of the queries that all reads of one kind of row share.
type noun[T any] struct {
	columns, from string
	into          func(*T) []any // the destinations of the columns, in their order
	missing       error          // of a row that is not there
}

// query is a SELECT of the noun; rest begins after its FROM clause.
func (n noun[T]) query(rest string) string {
	return `SELECT ` + n.columns + ` FROM ` + n.from + ` ` + rest
}

func (n noun[T]) scan(row scanner) (v T, err error) {
	return v, found(row.Scan(n.into(&v)...), n.missing)
}

// one and many are those below for a noun.
func (n noun[T]) one(ctx context.Context, q queries, doing string, l lock, rest string, args ...any) (T, error) {
	return one(ctx, q, doing, l, n.missing, n.scan, n.query(rest), args...)
}

func (n noun[T]) many(ctx context.Context, q queries, doing string, l lock, rest string, args ...any) ([]T, error) {
	return many(ctx, q, doing, l, n.scan, n.query(rest), args...)
}

// load and list read one row and many inside a longer work, whose name errors get there.
func (n noun[T]) load(ctx context.Context, q querier, rest string, args ...any) (T, error) {
	return n.scan(q.QueryRowContext(ctx, n.query(rest), args...))
}

func (n noun[T]) list(ctx context.Context, q querier, rest string, args ...any) ([]T, error) {
	return list(ctx, q, n.scan, n.query(rest), args...)
}

// page lists the rows that match f in an order, without the first offset and at most limit if that
// is positive, and counts all that match, at one point in time.
func (n noun[T]) page(
	ctx context.Context, q queries, doing string, f filter, order string, limit, offset int,
) (all []T, total int, err error) {
	page, args := f.page(limit, offset)
	err = q.together(ctx, doing, func(q querier) error {
		err := q.QueryRowContext(ctx, `SELECT count(*) FROM `+n.from+f.where(), f.args...).Scan(&total)
		if err != nil {
			return err
		}
		all, err = n.list(ctx, q, f.where()+` ORDER BY `+order+page, args...)
		return err
	})
	return all, total, err
}

// one loads a row. In a transaction it takes the lock first: rows that are read there are likely to
// be written back. No row is the error missing, and every error begins with doing.
func one[T any](
	ctx context.Context, q queries, doing string, l lock, missing error, scan func(scanner) (T, error), text string, args ...any,
) (none T, err error) {
	if err := q.lock(ctx, l); err != nil {
		return none, fmt.Errorf("%s: %w", doing, err)
	}
	v, err := scan(q.read().QueryRowContext(ctx, text, args...))
	if err := found(err, missing); err != nil {
		return none, fmt.Errorf("%s: %w", doing, err)
	}
	return v, nil
}

// many loads rows as one loads a row; nil when there is none.
func many[T any](
	ctx context.Context, q queries, doing string, l lock, scan func(scanner) (T, error), text string, args ...any,
) ([]T, error) {
	if err := q.lock(ctx, l); err != nil {
		return nil, fmt.Errorf("%s: %w", doing, err)
	}
	all, err := list(ctx, q.read(), scan, text, args...)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", doing, err)
	}
	return all, nil
}

// has reports whether a query has a row; errors begin with doing.
func (q queries) has(ctx context.Context, doing, text string, args ...any) (bool, error) {
	ok, err := exists(ctx, q.read(), text, args...)
	if err != nil {
		return false, fmt.Errorf("%s: %w", doing, err)
	}
	return ok, nil
}

// read is the place of a single read: the transaction q belongs to, or committed rows.
func (q queries) read() querier {
	if q.tx != nil {
		return q.tx
	}
	return q.db.r
}

// together runs several reads at one point in time; errors begin with doing.
func (q queries) together(ctx context.Context, doing string, f func(querier) error) error {
	err := func() error {
		if q.tx != nil {
			return f(q.tx)
		}
		tx, err := q.db.r.BeginTx(ctx, &sql.TxOptions{ReadOnly: true, Isolation: sql.LevelRepeatableRead})
		if err != nil {
			return err
		}
		defer tx.Rollback()
		return f(tx)
	}()
	if err != nil {
		return fmt.Errorf("%s: %w", doing, err)
	}
	return nil
}

// found turns "no rows" into the domain's word for it. A text that no column can hold is in
// no row.
func found(err, missing error) error {
	if errors.Is(err, sql.ErrNoRows) || errors.Is(err, ErrText) {
		return missing
	}
	return err
}

// exists reports whether a query has a row.
func exists(ctx context.Context, q querier, text string, args ...any) (bool, error) {
	var one int
	err := q.QueryRowContext(ctx, text, args...).Scan(&one)
	err = found(err, sql.ErrNoRows)
	if errors.Is(err, sql.ErrNoRows) {
		return false, nil
	}
	return err == nil, err
}

// list reads every row; nil when there is none.
func list[T any](ctx context.Context, q querier, scan func(scanner) (T, error), text string, args ...any) ([]T, error) {
	rows, err := q.QueryContext(ctx, text, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var all []T
	for rows.Next() {
		v, err := scan(rows)
		if err != nil {
			return nil, err
		}
		all = append(all, v)
	}
	return all, rows.Err()
}

// value scans a row of one column.
func value[T any](row scanner) (v T, err error) { return v, row.Scan(&v) }

// at scans a column of microseconds; NULL is the zero time.
func at(t *time.Time) sql.Scanner { return (*micros)(t) }

type micros time.Time

// Scan implements sql.Scanner.
func (m *micros) Scan(v any) error {
	var n sql.NullInt64
	if err := n.Scan(v); err != nil {
		return err
	}
	*m = micros{}
	if n.Valid {
		*m = micros(time.UnixMicro(n.Int64).UTC())
	}
	return nil
}

// exactly scans a column of bytes into all of an array; NULL is zeros.
type exactly []byte

// Scan implements sql.Scanner.
func (b exactly) Scan(v any) error {
	clear(b)
	raw, ok := v.([]byte)
	if v != nil && (!ok || len(raw) != len(b)) {
		return fmt.Errorf("%T of %d bytes, want %d", v, len(raw), len(b))
	}
	copy(b, raw)
	return nil
}

// address scans a column of IP addresses; "" is the zero one.
func address(a *netip.Addr) sql.Scanner { return (*addressColumn)(a) }

type addressColumn netip.Addr

// Scan implements sql.Scanner.
func (a *addressColumn) Scan(v any) error {
	var s sql.NullString
	if err := s.Scan(v); err != nil || s.String == "" {
		*a = addressColumn{}
		return err
	}
	ip, err := netip.ParseAddr(s.String)
	*a = addressColumn(ip)
	return err
}

// jsonOf scans a column of JSON.
func jsonOf[T any](v *T) sql.Scanner { return jsonColumn[T]{v} }

type jsonColumn[T any] struct{ v *T }

// Scan implements sql.Scanner.
func (c jsonColumn[T]) Scan(v any) error {
	var s sql.NullString
	if err := s.Scan(v); err != nil {
		return err
	}
	return json.Unmarshal([]byte(s.String), c.v)
}

// orNull writes a time, the zero one as NULL.
func orNull(t time.Time) any {
	if t.IsZero() {
		return nil
	}
	return t.UnixMicro()
}

// textOrNull writes a string, "" as NULL.
func textOrNull(s string) any {
	if s == "" {
		return nil
	}
	return s
}
