package audit

import (
	"context"
	"time"
)

// A JournalQuery selects the activities that staff may read, newest first: those of one category, and of
// users' own those whose actor exists. Pointers that are nil match any; the values of the others
// must be equal, "" included.
type JournalQuery struct {
	Category                                       string
	Topic, Action, ActorUID, ActorEmail, TargetUID *string
	Result                                         string    // "" matches any
	From, To                                       time.Time // From included, To not; zero is no bound
	Limit, Offset                                  int
}

// A Journal is the source from which staff read activities. It is safe for concurrent use.
type Journal interface {
	// Journal returns a page and the number of all that match.
	Journal(ctx context.Context, q JournalQuery) ([]Activity, int, error)
}
