package main

import (
	"context"
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
)

// roomy is how much garbage may gather before it is collected while the live heap is small.
const roomy = 128 << 20

// tuneCollector keeps the collector's target at live heap + roomy while the live heap is
// below that, and at Go's default beyond, unless the operator has set GOGC or GOMEMLIMIT
// (docs/adr/0004). It returns when ctx ends.
func tuneCollector(ctx context.Context) {
	if os.Getenv("GOGC") != "" || os.Getenv("GOMEMLIMIT") != "" {
		return
	}
	live := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	collected := make(chan struct{}, 1)
	for {
		metrics.Read(live)
		debug.SetGCPercent(gcPercent(live[0].Value.Uint64()))
		tellOfCollection(collected)
		select {
		case <-ctx.Done():
			return
		case <-collected:
		}
	}
}

// tellOfCollection sends on the channel after the next collection. The percentage is renewed
// after each: one that fitted a smaller heap gives a target that is many times too high once
// the memory of a few password hashes was in use.
func tellOfCollection(told chan<- struct{}) {
	runtime.AddCleanup(&struct{ told chan<- struct{} }{told}, func(told chan<- struct{}) {
		select {
		case told <- struct{}{}:
		default:
		}
	}, told)
}

// gcPercent returns the GOGC for a live heap. Below 8 MiB Go's own least heap size takes
// part, so that the percentage need not grow without bound.
func gcPercent(live uint64) int {
	return int(max(100, roomy*100/max(live, 8<<20)))
}
