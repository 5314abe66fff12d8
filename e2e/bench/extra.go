package main

import (
	"context"
	"fmt"
	"syscall"
	"time"
)

// ready reports how long a start with existing keys takes.
func (r *rig) ready(ctx context.Context) error {
	p, w := r.small.process, r.small.world
	var took []float64
	for range 5 {
		p.stop()
		next, err := r.startBarong(ctx, "barong-100", w)
		if err != nil {
			return err
		}
		took = append(took, float64(next.took)/1e6)
		p = next
	}
	r.small.process = p
	fmt.Printf("\nready after a restart, SQLite, 100 rules: median %.0f ms of %d\n", median(took), len(took))
	return nil
}

// coldStorm asks for many sessions that are in no cache, all at once.
func (r *rig) coldStorm(ctx context.Context, o options) error {
	f := r.fresh
	n := min(o.cold, 100_000)
	before, err := f.metric("barong_session_loads_total")
	if err != nil {
		return err
	}
	c, err := dial(f.grpc, 16)
	if err != nil {
		return err
	}
	defer c.close()
	res, err := c.closed(ctx, f.cold[len(f.cold)-n:], []byte("Bearer "), 1000, 0, true)
	if err != nil {
		return err
	}
	after, err := f.metric("barong_session_loads_total")
	if err != nil {
		return err
	}
	fmt.Printf("%d cold sessions, 1,000 in flight: %.1f s, %.2f store reads each, %d not allowed, p50 %s, p99 %s\n",
		n, res.elapsed.Seconds(), (after-before)/float64(n), res.wrong, res.quantile(.5).Round(time.Millisecond), res.quantile(.99).Round(time.Millisecond))
	if res.wrong > 0 {
		return fmt.Errorf("cold sessions: %d wrong answers, such as %q", res.wrong, res.example)
	}
	return nil
}

// rebuildUnderLoad makes the 100,000-rule barong compile its snapshot again and again
// while 2,000 requests a second go on.
func (r *rig) rebuildUnderLoad(ctx context.Context) error {
	f := r.large
	c, err := dial(f.grpc, 4)
	if err != nil {
		return err
	}
	defer c.close()
	if _, err := c.closed(ctx, f.warm, nil, 8, 500*time.Millisecond, false); err != nil {
		return err
	}
	quiet, rest, err := watched(ctx, c, f, nil)
	if err != nil {
		return err
	}
	busy, peak, err := watched(ctx, c, f, func() { _ = f.cmd.Process.Signal(syscall.SIGHUP) })
	if err != nil {
		return err
	}
	fmt.Printf("snapshot rebuild each second at 100,000 rules under 2,000 req/s: p99.9 %s before, %s during (× %.2f); most heap in use %s before, %s during (× %.2f)\n",
		quiet.quantile(.999).Round(10*time.Microsecond), busy.quantile(.999).Round(10*time.Microsecond),
		float64(busy.quantile(.999))/float64(quiet.quantile(.999)), mib(int64(rest)), mib(int64(peak)), peak/rest)
	return nil
}

// watched sends 2,000 requests a second for ten seconds, calls each every second, and
// returns the most heap that was in use.
func watched(ctx context.Context, c *client, f *fixture, each func()) (res result, most float64, err error) {
	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		tick := time.NewTicker(100 * time.Millisecond)
		defer tick.Stop()
		for n := 0; ; n++ {
			select {
			case <-stop:
				return
			case <-tick.C:
			}
			if n%10 == 0 && each != nil {
				each()
			}
			if v, err := f.metric("go_memstats_heap_inuse_bytes"); err == nil {
				most = max(most, v)
			}
		}
	}()
	res, err = c.paced(ctx, f.warm, []byte("Bearer "), 2000, 10*time.Second)
	close(stop)
	<-done
	return res, most, err
}

// resident holds a million sessions and a hundred thousand keys in one process.
func (r *rig) resident(ctx context.Context, o options) error {
	const sessions, keys = 1_000_000, 100_000
	w, err := populateResident(ctx, r.dir, sessions, keys)
	if err != nil {
		return err
	}
	p, err := r.startBarong(ctx, "barong-resident", w, "BARONG_JWT_ALGORITHM=EdDSA", "BARONG_JWT_REUSE=1h", "BARONG_JWT_EXPIRE_TIME=2h")
	if err != nil {
		return err
	}
	c, err := dial(p.grpc, 8)
	if err != nil {
		return err
	}
	defer c.close()
	for _, part := range []struct {
		what     string
		requests [][]byte
	}{{"sessions", w.cold}, {"keys", w.keyed}} {
		res, err := c.closed(ctx, part.requests, []byte("authz.invalid_permission"), 128, 0, true)
		if err != nil {
			return err
		}
		fmt.Printf("loaded %d %s in %.0f s\n", res.sent, part.what, res.elapsed.Seconds())
	}
	res, err := c.closed(ctx, w.warm, []byte("Bearer "), 128, 0, true)
	if err != nil {
		return err
	}
	if res.wrong > 0 {
		return fmt.Errorf("resident: %d wrong answers, such as %q", res.wrong, res.example)
	}
	fmt.Printf("resident: %d sessions, %d keys, tokens of %d: RSS %s, peak %s\n", sessions, keys, len(w.warm), mib(p.memory("VmRSS")), mib(p.memory("VmHWM")))
	return nil
}
