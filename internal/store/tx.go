package store

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"barong/internal/account"
	"barong/internal/apikey"
	"barong/internal/factor"
	"barong/internal/feed"
	"barong/internal/person"
	"barong/internal/signin"
	"barong/policy"
	"barong/policy/editor"
)

// querier holds the methods that *sql.DB and *sql.Tx share.
type querier interface {
	ExecContext(ctx context.Context, text string, args ...any) (sql.Result, error)
	QueryContext(ctx context.Context, text string, args ...any) (*sql.Rows, error)
	QueryRowContext(ctx context.Context, text string, args ...any) *sql.Row
}

// queries has the methods that work both inside a transaction and on their own.
type queries struct {
	db *DB
	tx *txn // nil outside a transaction
}

var (
	_ account.Tx = queries{}
	_ signin.Tx  = queries{}
	_ factor.Tx  = queries{}
	_ apikey.Tx  = queries{}
	_ person.Tx  = queries{}
	_ policy.Tx  = queries{}
)

// txn is one writing transaction.
type txn struct {
	*sql.Tx
	dialect dialect
	held    []string // names of serialize
	now     time.Time
	clock   func() time.Time
	changes []feed.Change // Seq unset; each kind and ref once
	at      feed.Cursor   // of the changes, once they are written; its name from the begin
	emitted bool          // there are new rows in the outbox
}

// tick sets the time that the transaction writes.
func (t *txn) tick() { t.now = t.clock().UTC().Truncate(time.Microsecond) }

// changed notes something for the change feed, once.
func (t *txn) changed(kind feed.Kind, ref string) {
	c := feed.Change{Kind: kind, Ref: ref}
	if !slices.Contains(t.changes, c) {
		t.changes = append(t.changes, c)
	}
}

// A lock keeps other transactions from something until the end of the one that takes it.
type lock func(ctx context.Context, t *txn) error

// unlocked is for reads that nobody writes back.
func unlocked(context.Context, *txn) error { return nil }

// serialize makes transactions that call it with the same name wait for each other; again, it
// does nothing. It locks where there is no row to lock.
func serialize(name string) lock {
	return func(ctx context.Context, t *txn) error {
		_, err := t.serialize(ctx, name)
		return err
	}
}

// serialize reports whether this call took the lock.
func (t *txn) serialize(ctx context.Context, name string) (taken bool, err error) {
	if t.dialect.Serialize == "" || slices.Contains(t.held, name) {
		return false, nil
	}
	if err := t.exec(ctx, t.dialect.Serialize, lockNumber(name)); err != nil {
		return false, fmt.Errorf("wait for %s: %w", name, err)
	}
	t.held = append(t.held, name)
	return true, nil
}

// share makes transactions that call serialize with this name wait for t, and t for them.
func (t *txn) share(ctx context.Context, name string) error {
	if t.dialect.Share == "" {
		return nil
	}
	return t.exec(ctx, t.dialect.Share, lockNumber(name))
}

func lockNumber(name string) int64 {
	sum := sha256.Sum256([]byte("barong " + name))
	return int64(binary.BigEndian.Uint64(sum[:]))
}

// lockRows makes transactions that write the rows of table which cond matches, or call it for
// them, wait until this one ends. It is a statement of its own so that the next one sees
// the commits made while it waited.
func lockRows(table, cond string, args ...any) lock {
	return func(ctx context.Context, t *txn) error {
		if t.dialect.Lock == "" {
			return nil
		}
		_, err := exists(ctx, t, `SELECT 1 FROM `+table+` WHERE `+cond+t.dialect.Lock, args...)
		return err
	}
}

// lockUser is lockRows for a user and the user's labels, secrets and keys: each method that changes
// those calls it too. A uid that nobody has is no error.
func lockUser(uid string) lock { return lockRows("users", "uid = $1", uid) }

// lock takes a lock if q is in a transaction.
func (q queries) lock(ctx context.Context, l lock) error {
	if q.tx == nil {
		return nil
	}
	return l(ctx, q.tx)
}

// publish writes the change-feed rows. Taking the counter is the last wait of a
// transaction: from here to the commit nobody else commits a number, so numbers have no
// gaps and commits become visible in their order.
func (t *txn) publish(ctx context.Context) error {
	if len(t.changes) == 0 {
		return nil
	}
	err := t.QueryRowContext(ctx, `UPDATE feed SET seq = seq + 1, name = $1 WHERE id = 1 RETURNING seq`,
		t.at.Name[:]).Scan(&t.at.Seq)
	if err != nil {
		return fmt.Errorf("take change number: %w", err)
	}
	for part := range slices.Chunk(t.changes, 200) {
		written, arg := t.after(2, 0) // by the clock that sweeps them
		args := []any{t.at.Seq, arg, t.at.Name[:]}
		var rows []string
		for _, c := range part {
			n := len(args)
			rows = append(rows, fmt.Sprintf("($1, $%d, $%d, %s, $3)", n+1, n+2, written))
			args = append(args, string(c.Kind), c.Ref)
		}
		err := t.exec(ctx, `INSERT INTO changes (seq, kind, ref, created_at, name) VALUES `+
			strings.Join(rows, ", ")+t.dialect.Notify, args...)
		if err != nil {
			return fmt.Errorf("write changes: %w", err)
		}
	}
	return nil
}

// Update returns the function that runs f in one transaction, again when the engine asks for it:
// f must have no effect except through its T. An error of f undoes all of it and is returned as it
// is. T is the part of the store that f uses; Update panics for an interface that transactions do
// not implement, and names the missing method. The function is safe for concurrent use.
func Update[T any](db *DB) func(ctx context.Context, f func(T) error) error {
	_ = any(queries{}).(T)
	return func(ctx context.Context, f func(T) error) error {
		return db.transact(ctx, func(t *txn) error { return f(any(queries{db: db, tx: t}).(T)) })
	}
}

// UpdatePolicy runs f in one transaction; see policy.Store.
func (db *DB) UpdatePolicy(ctx context.Context, f func(policy.Tx) error) error {
	return Update[editor.Tx](db)(ctx, func(tx editor.Tx) error {
		if err := tx.LockPolicy(ctx); err != nil {
			return err
		}
		return f(tx)
	})
}

// ChangePolicy runs f in one transaction; see editor.Store.
func (db *DB) ChangePolicy(ctx context.Context, f func(editor.Tx) error) error {
	return Update[editor.Tx](db)(ctx, f)
}

// transact runs f in a writing transaction and publishes its changes with it, again when
// the engine asks for it. An error or a panic of f undoes everything.
func (db *DB) transact(ctx context.Context, f func(*txn) error) error {
	const tries = 5
	for n := 1; ; n++ {
		err := db.transactOnce(ctx, f)
		if db.pg != nil && isReadOnly(err) {
			db.pg.renew() // the server that takes writes may be another by now
		}
		if err == nil || n == tries || !isTransient(err) {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(rand.N(time.Duration(n) * 10 * time.Millisecond)): // apart from the other
		}
	}
}

func (db *DB) transactOnce(ctx context.Context, f func(*txn) error) error {
	tx, err := db.w.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("begin: %w", err)
	}
	defer tx.Rollback() // does nothing after Commit
	t := &txn{Tx: tx, dialect: db.dialect, clock: db.Time, at: feed.Cursor{Name: feed.NewName()}}
	t.tick()
	if err := f(t); err != nil {
		return err
	}
	if err := t.publish(ctx); err != nil {
		return err
	}
	if err := tx.Commit(); err != nil {
		return fmt.Errorf("commit: %w", err)
	}
	if len(t.changes) > 0 {
		feed.Committed(ctx, t.at)
		db.signal()
	}
	if t.emitted {
		poke(db.emitted)
	}
	return nil
}

// signal makes Hint's receiver look.
func (db *DB) signal() { poke(db.hint) }

func poke(hint chan<- struct{}) {
	select {
	case hint <- struct{}{}:
	default: // one is already waiting
	}
}

// write runs f in the transaction that q belongs to, or in one of its own; errors begin with doing.
func (q queries) write(ctx context.Context, doing string, f func(*txn) error) error {
	var err error
	if q.tx != nil {
		err = f(q.tx)
	} else {
		err = q.db.transact(ctx, f)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", doing, err)
	}
	return nil
}

// writeLocked is write under a lock.
func (q queries) writeLocked(ctx context.Context, doing string, l lock, f func(*txn) error) error {
	return q.write(ctx, doing, func(t *txn) error {
		if err := l(ctx, t); err != nil {
			return err
		}
		return f(t)
	})
}

// run is write for one statement, and returns how many rows it changed.
func (q queries) run(ctx context.Context, doing, text string, args ...any) (n int64, err error) {
	err = q.write(ctx, doing, func(t *txn) (err error) {
		n, err = affected(ctx, t, text, args...)
		return err
	})
	return n, err
}

// exec runs a statement.
func (t *txn) exec(ctx context.Context, text string, args ...any) error {
	_, err := t.ExecContext(ctx, text, args...)
	return err
}

// change runs a statement that changes a row, and returns missing when there is none.
func (t *txn) change(ctx context.Context, missing error, text string, args ...any) error {
	n, err := affected(ctx, t, text, args...)
	if err == nil && n == 0 {
		return missing
	}
	return err
}

// free returns taken when the query has a row.
func (t *txn) free(ctx context.Context, taken error, text string, args ...any) error {
	ok, err := exists(ctx, t, text, args...)
	if ok {
		return taken
	}
	return err
}

// inserted reads the RETURNING row of an INSERT … ON CONFLICT DO NOTHING: no row means that
// a unique value is in use. Unlike a violation it leaves the transaction usable on every
// engine.
func inserted(err, taken error) error {
	if errors.Is(err, sql.ErrNoRows) {
		return taken
	}
	return err
}

// updated turns the violation of a unique key into the domain's word for it.
func updated(err, taken error) error {
	if isUnique(err) {
		return taken
	}
	return err
}

// affected runs a statement and returns how many rows it changed.
func affected(ctx context.Context, q querier, text string, args ...any) (int64, error) {
	res, err := q.ExecContext(ctx, text, args...)
	if err != nil {
		return 0, err
	}
	return res.RowsAffected()
}
