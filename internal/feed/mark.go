package feed

import (
	"context"
	"sync/atomic"
)

// A Mark is the last commit that was made on behalf of one context, so that the author of a
// change can wait until this process obeys it. It is safe for concurrent use.
type Mark struct{ last atomic.Pointer[Cursor] }

type markKey struct{}

// WithMark returns a context whose commits leave their place in the mark.
func WithMark(ctx context.Context) (context.Context, *Mark) {
	m := new(Mark)
	return context.WithValue(ctx, markKey{}, m), m
}

// Committed notes in ctx's mark, if it has one, that a transaction was committed at this
// place. A Source calls it after every commit that wrote to the feed.
func Committed(ctx context.Context, c Cursor) {
	m, ok := ctx.Value(markKey{}).(*Mark)
	if !ok {
		return
	}
	for {
		old := m.last.Load()
		if old != nil && c.Seq <= old.Seq || m.last.CompareAndSwap(old, &c) {
			return
		}
	}
}

// Last is the commit noted with the highest number; false when there is none.
func (m *Mark) Last() (Cursor, bool) {
	if c := m.last.Load(); c != nil {
		return *c, true
	}
	return Cursor{}, false
}
