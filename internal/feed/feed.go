package feed

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// ErrGap says that the changes since the cursor are not known, so everything held must be
// revalidated. It is one of the three below.
var ErrGap = errors.New("feed: what changed since the cursor is not known")

// Reasons of ErrGap, which each of them wraps.
var (
	// ErrPruned says that rows after the cursor are not kept any more.
	ErrPruned = fmt.Errorf("%w: rows after it are gone", ErrGap)
	// ErrHistory says that the commit that the cursor names is not in this database: a
	// standby that lacked it was promoted, or a backup was restored.
	ErrHistory = fmt.Errorf("%w: the database has another history", ErrGap)
	// ErrServer says that the cursor was read from another server, or before the server was
	// started again. The commit that it names is there; whether later ones were lost, which
	// rows loaded meanwhile may show, nobody can tell.
	ErrServer = fmt.Errorf("%w: the database is another server, or was started again", ErrGap)
)

// Kind is the kind of a change.
type Kind string

// The kinds of change; each comment describes Ref.
const (
	Policy      Kind = "policy"       // permissions, restrictions, session cuts; Ref ""
	Principal   Kind = "principal"    // Ref is the uid
	Key         Kind = "key"          // an API key; Ref is the kid
	Session     Kind = "session"      // one session ended; Ref is its id in hex
	Epoch       Kind = "epoch"        // all sessions ended; Ref ""
	SigningKeys Kind = "signing_keys" // Ref ""
)

// A Change is one row of the feed. Rows of one transaction share Seq.
type Change struct {
	Seq  int64
	Kind Kind
	Ref  string
}

// Source reads the feed; internal/store implements it. It is safe for concurrent use.
type Source interface {
	// Head is the newest commit.
	Head(ctx context.Context) (Cursor, error)
	// Changes returns up to limit changes after the cursor, in order, never splitting one
	// number over two calls, and the cursor up to which the feed has been read. It fails with
	// an ErrGap unless the commit that the cursor names is found at its number, on the
	// cursor's server if it has one, and everything after it is kept.
	Changes(ctx context.Context, after Cursor, limit int) ([]Change, Cursor, error)
	// DeleteChanges prunes rows written before t and returns how many.
	DeleteChanges(ctx context.Context, t time.Time) (int, error)
	// Hint returns a channel that is signalled (never closed, capacity one) when something
	// was written; it may miss some and is never needed for correctness.
	Hint() <-chan struct{}
}
