package redis_test

import (
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"

	"barong/internal/config"
	"barong/internal/configured"
	"barong/internal/session"
)

// BenchmarkColdManager is the load of a replica that starts while everybody is signed in: the
// manager's bound on loads decides how large the batches can be.
func BenchmarkColdManager(b *testing.B) {
	_, cfg := start(b)
	cfg.Timeout, cfg.DialTimeout = patient, patient
	s := open(b, cfg)
	warm := manager(b, configured.Sessions(config.Default()), s, nil)
	cookies := make([]string, 20_000)
	for part := range slices.Chunk(cookies, 500) {
		var wg sync.WaitGroup
		for i := range part {
			wg.Go(func() {
				o := session.Opening{UID: "ID1", IP: netip.MustParseAddr("192.0.2.1"), UserAgent: "Mozilla/5.0"}
				var err error
				if part[i], _, err = warm.Open(b.Context(), o, time.Now()); err != nil {
					b.Error(err)
				}
			})
		}
		wg.Wait()
	}
	for _, loads := range []int{64, 256, 1024} {
		b.Run(fmt.Sprintf("20000 sessions, %d loads at once", loads), func(b *testing.B) {
			before := s.Stats()
			for b.Loop() {
				c := configured.Sessions(config.Default())
				c.Loads = loads
				cold := manager(b, c, s, nil)
				var wg sync.WaitGroup
				for _, cookie := range cookies {
					wg.Go(func() {
						if _, err := cold.Lookup(b.Context(), cookie, time.Now()); err != nil {
							b.Error(err)
						}
					})
				}
				wg.Wait()
			}
			after := s.Stats()
			b.ReportMetric(float64(after.Pipelines-before.Pipelines)/float64(b.N), "exchanges/op")
			b.ReportMetric(float64(after.Commands-before.Commands)/float64(b.N), "commands/op")
		})
	}
}
func BenchmarkColdSessions(b *testing.B) {
	_, cfg := start(b)
	cfg.Timeout, cfg.DialTimeout = patient, patient
	s := open(b, cfg)
	ids := fill(b, s, 100_000)
	b.ResetTimer()
	before := s.Stats()
	var took []time.Duration
	for b.Loop() {
		took = rush(b, s, ids)
	}
	after := s.Stats()
	slices.Sort(took)
	n := float64(b.N)
	b.ReportMetric(float64(after.Pipelines-before.Pipelines)/n, "exchanges/op")
	b.ReportMetric(float64(after.Commands-before.Commands)/n, "commands/op")
	b.ReportMetric(took[len(took)/2].Seconds()*1e3, "p50-ms")
	b.ReportMetric(took[len(took)*99/100].Seconds()*1e3, "p99-ms")
}

func BenchmarkSession(b *testing.B) {
	_, cfg := start(b)
	s := open(b, cfg)
	ids := fill(b, s, 64)
	b.Run("one after another", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := s.Session(b.Context(), ids[0], time.Now()); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("64 at once", func(b *testing.B) {
		b.ReportAllocs()
		b.SetParallelism(32)
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				if _, err := s.Session(b.Context(), ids[1], time.Now()); err != nil {
					b.Error(err)
					return
				}
			}
		})
	})
}
