package logfold_test

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"barong/internal/logfold"
)

// Whatever comes and when: every line is written, or another of its kind stands for it; a kind
// writes no more than two bursts in any second; and of lines that wait the newest is written.
func TestEveryLineCounts(t *testing.T) {
	for seed := range uint64(200) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			random := rand.New(rand.NewPCG(seed, 1))
			now := time.Unix(1_800_000_000, 0)
			type line struct{ kind, n int }
			made, stand, dropped := map[int]int{}, map[int]int{}, 0
			last := map[int]int{}
			written := map[int][]time.Time{}
			f := logfold.Folder[int, line]{
				Write: func(l line, folded int) {
					if l.n <= last[l.kind] {
						t.Fatalf("line %d of kind %d comes after %d", l.n, l.kind, last[l.kind])
					}
					last[l.kind] = l.n
					stand[l.kind] += 1 + folded
					written[l.kind] = append(written[l.kind], now)
				},
				Drop:   func(line) { dropped++ },
				Beyond: func(int) int { return -1 },
			}
			kinds := 1 + random.IntN(2*logfold.Most)
			for range 3000 {
				kind := int(float64(kinds) * random.Float64() * random.Float64()) // some often
				made[kind]++
				f.Add(kind, logfold.Refusals, line{kind, made[kind]}, now)
				now = now.Add(time.Duration(random.ExpFloat64() * float64(5*time.Millisecond)))
				if wait, some := f.Next(now); some && wait == 0 {
					f.Due(now)
				}
			}
			f.Rest()
			total, all, lines := 0, 0, 0
			for kind, n := range made {
				total += n
				all += stand[kind]
				lines += len(written[kind])
				if kinds <= logfold.Most && stand[kind] != n {
					t.Errorf("kind %d: the lines stand for %d, want %d", kind, stand[kind], n)
				}
				// The end of one burst may meet the next; the last line may be of Rest.
				const most = 2*logfold.Refusals + 1
				for i := most; kinds <= logfold.Most && i < len(written[kind])-1; i++ {
					if took := written[kind][i].Sub(written[kind][i-most]); took < logfold.For {
						t.Errorf("kind %d wrote %d lines in %s", kind, most+1, took)
					}
				}
			}
			if all != total {
				t.Errorf("the lines stand for %d, want %d", all, total)
			}
			if dropped != total-lines {
				t.Errorf("%d lines were dropped, want the %d that were not written", dropped, total-lines)
			}
		})
	}
}

// A waiting line is written a second later by itself, and at the end by Flush.
func TestSharedWritesWhatWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var stand, lines atomic.Int64 // timers write, too
		var s logfold.Shared[string, int]
		s.Folder.Write = func(_, folded int) { stand.Add(int64(1 + folded)); lines.Add(1) }
		s.Folder.Beyond = func(string) string { return "" }
		for range 100 {
			s.Add("outage", logfold.Outages, 1)
		}
		if stand.Load() != 1 {
			t.Errorf("at once the lines stand for %d, want 1", stand.Load())
		}
		time.Sleep(logfold.For)
		synctest.Wait()
		if stand.Load() != 100 || lines.Load() != 2 {
			t.Errorf("a second later %d lines stand for %d, want 2 for 100", lines.Load(), stand.Load())
		}
		time.Sleep(10 * logfold.For) // nothing is held any more
		synctest.Wait()
		for range 10 {
			s.Add("outage", logfold.Outages, 1)
		}
		s.Flush()
		if stand.Load() != 110 || lines.Load() != 4 {
			t.Errorf("at the end %d lines stand for %d, want 4 for 110", lines.Load(), stand.Load())
		}
		s.Add("outage", logfold.Outages, 1) // after it, too
		time.Sleep(2 * logfold.For)
		synctest.Wait()
		if stand.Load() != 111 {
			t.Errorf("after the end the lines stand for %d, want 111", stand.Load())
		}
	})
}

// Customers of IPv6 have 64 bits at least.
func TestNetwork(t *testing.T) {
	for ip, want := range map[string]string{
		"192.0.2.1": "192.0.2.1", "2001:db8:1:2:3:4:5:6": "2001:db8:1:2::", "::1": "::",
	} {
		if got := logfold.Network(netip.MustParseAddr(ip)); got.String() != want {
			t.Errorf("%s: got %s, want %s", ip, got, want)
		}
	}
	if logfold.Network(netip.Addr{}).IsValid() {
		t.Error("no address has a network")
	}
}
