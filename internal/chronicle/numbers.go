package chronicle

import (
	"context"
	"time"
)

// Numbers are figures for people, counted by the activities that there are. Days are UTC, YYYY-MM-DD.
type Numbers struct {
	// SignUps, SignIns and Failures, which are refused sign-ins, are by day; no day has 0. A sign-in
	// counts whatever second factor it took.
	SignUps, SignIns, Failures map[string]int
	// Pending is how many users wait for a review of their documents now.
	Pending int
}

// A Counter counts; store.DB is one. It is safe for concurrent use.
type Counter interface {
	// Numbers counts activities from a time, included, to a time, not included; zero is no bound.
	Numbers(ctx context.Context, from, to time.Time) (Numbers, error)
}
