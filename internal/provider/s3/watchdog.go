package s3

import (
	"context"
	"time"
)

// A watchdog ends its context when the service lets us wait too long. It belongs to one goroutine.
type watchdog struct {
	ctx    context.Context
	cancel context.CancelFunc
	wait   time.Duration
	timer  *time.Timer
}

// newWatchdog returns one that watches already.
func newWatchdog(ctx context.Context, wait time.Duration) *watchdog {
	w := &watchdog{wait: wait}
	inner, cancel := context.WithCancelCause(ctx)
	w.ctx = inner
	w.timer = time.AfterFunc(wait, func() { cancel(context.DeadlineExceeded) })
	w.cancel = func() {
		w.timer.Stop()
		cancel(nil)
	}
	return w
}

// pause stops the watch: the next step is not the service's.
func (w *watchdog) pause() { w.timer.Stop() }

// resume watches again, from now.
func (w *watchdog) resume() { w.timer.Reset(w.wait) }
