package feed

import (
	"context"
	"errors"
	"time"
)

// ErrGap says that rows after the cursor have been pruned: what changed meanwhile is not
// known, so everything held must be revalidated.
var ErrGap = errors.New("feed: rows after the cursor are gone")

// Kind says what changed.
type Kind string

// The kinds of change; the comment says what Ref holds.
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
	// Head is the newest sequence number.
	Head(ctx context.Context) (int64, error)
	// Changes returns up to limit changes after the sequence number, in order, never
	// splitting one sequence number over two calls, and the number up to which the feed has
	// been read. Rows may have been pruned: then ErrGap.
	Changes(ctx context.Context, after int64, limit int) ([]Change, int64, error)
	// DeleteChanges prunes rows written before t and returns how many.
	DeleteChanges(ctx context.Context, t time.Time) (int, error)
	// Hint returns a channel that is signalled (never closed, capacity one) when something
	// was written; it may miss some and is never needed for correctness.
	Hint() <-chan struct{}
}
