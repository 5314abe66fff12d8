package cluster_test

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"barong/e2e/cluster"
)

// recovers is the longest that a replica may take until it decides again, once the address of a
// primary whose machine hung leads to another.
const recovers = 5 * time.Second

// TestFailoverBehindOneAddress: the machine of the primary hangs, and its address is given to the
// promoted standby. Connections of before neither break nor say anything, and callers hold as many
// of them as there may be. Each replica decides by the new primary soon after it can be reached.
func TestFailoverBehindOneAddress(t *testing.T) {
	f := cluster.StartFailover(t, barong(t), cluster.FailoverConfig{OneAddress: true})
	for _, late := range []time.Duration{1200 * time.Millisecond, 2 * cluster.FailoverMaxStale} {
		t.Run(fmt.Sprintf("promoted after %s", late), func(t *testing.T) {
			d := begin(t, f, 4)
			var cold []*cluster.Grant
			for range 150 {
				cold = append(cold, d.Session(t))
			}
			d.all = slices.Concat(d.all, cold)
			d.Followed()
			atA, atB := d.Write(d.A), d.Write(d.B)
			time.Sleep(300 * time.Millisecond)
			d.fail(true)
			d.load.Cold(cold...)
			time.Sleep(time.Until(d.failed.Add(late)))
			d.promote()

			took := make([]time.Duration, len(d.Replicas()))
			var all sync.WaitGroup
			for i, r := range d.Replicas() {
				all.Go(func() {
					for time.Since(d.promoted) < 30*time.Second {
						if slices.Contains(d.noticed(), r.Name) && r.Ready() && d.Ask(t.Context(), r.Name, d.witness).Status == 200 {
							break
						}
						time.Sleep(5 * time.Millisecond)
					}
					took[i] = time.Since(d.promoted).Round(time.Millisecond)
				})
			}
			all.Wait()
			d.take(d.B, 0)
			d.end(atA, atB)
			report(t, "%s: the replicas decided again after %s", strings.ReplaceAll(t.Name(), "_", " "), took)
			if slowest := slices.Max(took); slowest > recovers {
				t.Errorf("a replica decided again after %s, want at most %s", slowest, recovers)
			}
		})
	}
}
