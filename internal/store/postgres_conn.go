package store

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"strings"
	"sync"
	"unicode/utf8"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"
)

// ErrText says that a text cannot be stored because it holds a NUL or is not UTF-8. Lookups
// by such a text find nothing instead.
var ErrText = errors.New("store: text that no column can hold")

// unreachable is why no connection could be made. The driver's own error stays behind: it
// carries the configuration, password included.
type unreachable struct{ text string }

func (e *unreachable) Error() string { return e.text }

// hidden is why a connection could not be made, without its configuration. The caller has
// seen to it that the reason is not its own context.
func hidden(err error) error { return &unreachable{oneLine(err)} }

func oneLine(err error) string { return strings.Join(strings.Fields(err.Error()), " ") }

// oneServer keeps a pool to one server, the one that was reached last. A connection that stays
// with a former primary would go on reading rows that others have changed since, if that comes back
// to life, or keep its caller and a place of the pool until a time-out, if its machine hangs.
type oneServer struct {
	mu      sync.Mutex
	started int64               // as feed.Cursor.Server
	open    map[*pgx.Conn]int64 // the start of each connection's server
}

// reached is the pool's AfterConnect. Where the server is another than before, it breaks the
// connections to that, with the queries on them.
func (o *oneServer) reached(ctx context.Context, c *pgx.Conn) error {
	var started int64
	if err := c.QueryRow(ctx, "SELECT "+postgresDialect().Server).Scan(&started); err != nil {
		return fmt.Errorf("ask the server when it was started: %w", err)
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.open == nil {
		o.open = map[*pgx.Conn]int64{}
	}
	o.open[c] = started
	if o.started == started {
		return nil
	}
	o.started = started
	for other, theirs := range o.open {
		if theirs != started {
			go other.PgConn().Conn().Close() // saying goodbye by TLS may take long
		}
	}
	return nil
}

// still is the pool's PrepareConn: false has the connection replaced.
func (o *oneServer) still(_ context.Context, c *pgx.Conn) (bool, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.open[c] == o.started, nil
}

// closed is the pool's BeforeClose.
func (o *oneServer) closed(c *pgx.Conn) {
	o.mu.Lock()
	defer o.mu.Unlock()
	delete(o.open, c)
}

// connector hands the pool's connections to database/sql.
type connector struct{ pg *postgres }

// Connect implements driver.Connector.
func (c connector) Connect(ctx context.Context) (driver.Conn, error) {
	got, err := poolConnector(c.pg.pool).Connect(ctx)
	if err != nil {
		if ctx.Err() != nil {
			return nil, fmt.Errorf("wait for a connection: %w", ctx.Err())
		}
		return nil, hidden(err)
	}
	return &conn{Conn: got.(*stdlib.Conn), pg: c.pg}, nil
}

// Driver implements driver.Connector.
func (c connector) Driver() driver.Driver { return stdlib.GetDefaultDriver() }

func poolConnector(p *pgxpool.Pool) driver.Connector { return stdlib.GetPoolConnector(p) }

// conn is a connection of the pool that refuses texts which would abort the transaction,
// and lets database/sql take another when it turns out to be broken before it has done
// anything that lasts.
type conn struct {
	*stdlib.Conn
	pg *postgres
}

// CheckNamedValue implements driver.NamedValueChecker.
func (c *conn) CheckNamedValue(v *driver.NamedValue) error {
	text, ok := v.Value.(string)
	if p, isPointer := v.Value.(*string); isPointer && p != nil {
		text, ok = *p, true
	}
	if ok && !storable(text) {
		return ErrText
	}
	return c.Conn.CheckNamedValue(v)
}

func storable(s string) bool { return utf8.ValidString(s) && strings.IndexByte(s, 0) < 0 }

// BeginTx implements driver.ConnBeginTx.
func (c *conn) BeginTx(ctx context.Context, o driver.TxOptions) (driver.Tx, error) {
	tx, err := c.Conn.BeginTx(ctx, o)
	return tx, c.again(ctx, err)
}

// QueryContext implements driver.QueryerContext. Outside a transaction the store only reads.
func (c *conn) QueryContext(ctx context.Context, text string, args []driver.NamedValue) (driver.Rows, error) {
	alone := c.Conn.Conn().PgConn().TxStatus() == 'I'
	rows, err := c.Conn.QueryContext(ctx, text, args)
	if alone {
		err = c.again(ctx, err)
	}
	return rows, err
}

// again asks database/sql for another connection when this one broke.
func (c *conn) again(ctx context.Context, err error) error {
	if err != nil && ctx.Err() == nil && c.Conn.Conn().IsClosed() {
		c.pg.renew()
		return driver.ErrBadConn
	}
	return err
}
