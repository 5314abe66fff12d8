package feed

import (
	"context"
	"sync/atomic"
)

// A Mark is the newest sequence number that was committed on behalf of one context, so that
// whoever has made a change can wait until this process obeys it. It is safe for concurrent
// use.
type Mark struct{ seq atomic.Int64 }

type markKey struct{}

// WithMark returns a context whose commits leave their number in the mark.
func WithMark(ctx context.Context) (context.Context, *Mark) {
	m := new(Mark)
	return context.WithValue(ctx, markKey{}, m), m
}

// Committed notes in ctx's mark, if it has one, that a transaction with this number was
// committed. A Source calls it after every commit that wrote to the feed.
func Committed(ctx context.Context, seq int64) {
	m, ok := ctx.Value(markKey{}).(*Mark)
	if !ok {
		return
	}
	for {
		old := m.seq.Load()
		if seq <= old || m.seq.CompareAndSwap(old, seq) {
			return
		}
	}
}

// Seq is the newest number noted, 0 for none.
func (m *Mark) Seq() int64 { return m.seq.Load() }
