package main

import (
	"context"
	"fmt"
	"slices"
	"syscall"
	"time"
)

// ready reports how long a start with existing keys takes.
func (r *rig) ready(ctx context.Context, _ options) error {
	f, err := r.fixture(ctx, small)
	if err != nil {
		return err
	}
	took, _, err := r.restart(ctx, f, small)
	if err != nil {
		return err
	}
	fmt.Printf("\nready after a restart, SQLite, 100 rules: median %.0f ms (%.0f–%.0f) of %d\n",
		median(took), slices.Min(took), slices.Max(took), len(took))
	return nil
}

// restart stops and starts f again five times; the milliseconds until it was ready, and the
// bytes resident then.
func (r *rig) restart(ctx context.Context, f *fixture, name string) (took, resident []float64, err error) {
	for range 5 {
		f.stop()
		if f.process, err = r.startBarong(ctx, name, f.world); err != nil {
			return nil, nil, err
		}
		took = append(took, float64(f.took)/1e6)
		resident = append(resident, float64(f.memory("VmRSS")))
	}
	return took, resident, nil
}

// stormSessions is how many cold sessions of a fixture are kept for a storm.
const stormSessions = 100_000

// coldStorm asks for many sessions that are in no cache, all at once.
func (r *rig) coldStorm(ctx context.Context, o options) error {
	f, err := r.fixture(ctx, fresh)
	if err != nil {
		return err
	}
	res, reads, err := f.storm(ctx, o, func() (float64, error) { return f.metric("barong_session_loads_total") })
	if err != nil {
		return err
	}
	fmt.Printf("%d cold sessions from SQLite, 1,000 in flight: %.1f s, %.2f store reads each, %d not allowed, p50 %s, p99 %s\n",
		res.sent, res.elapsed.Seconds(), reads, res.wrong, ms(res.quantile(.5)), ms(res.quantile(.99)))
	return nil
}

func ms(d time.Duration) time.Duration { return d.Round(time.Millisecond) }

// storm sends each of the last cold requests once, and returns how much reads grew for each.
func (f *fixture) storm(ctx context.Context, o options, reads func() (float64, error)) (result, float64, error) {
	n := min(o.cold, stormSessions)
	before, err := reads()
	if err != nil {
		return result{}, 0, err
	}
	c, err := dial(f.grpc, 16)
	if err != nil {
		return result{}, 0, err
	}
	defer c.close()
	res, err := c.closed(ctx, f.cold[len(f.cold)-n:], []byte("Bearer "), 1000, 0, true)
	if err != nil {
		return result{}, 0, err
	}
	after, err := reads()
	if err != nil {
		return result{}, 0, err
	}
	if res.wrong > 0 {
		return result{}, 0, fmt.Errorf("%d wrong answers, such as %q", res.wrong, res.example)
	}
	return res, (after - before) / float64(n), nil
}

// rebuildUnderLoad makes the 100,000-rule barong compile its snapshot again and again
// while 2,000 requests a second go on.
func (r *rig) rebuildUnderLoad(ctx context.Context, _ options) error {
	f, err := r.fixture(ctx, large)
	if err != nil {
		return err
	}
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
func (r *rig) resident(ctx context.Context, _ options) error {
	const sessions, keys = 1_000_000, 100_000
	at, err := r.file("barong-resident")
	if err != nil {
		return err
	}
	w, err := populateResident(ctx, at, sessions, keys)
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
