package secret

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"
)

func caller(network int, account string) Caller {
	return Caller{
		Account: account,
		Network: fmt.Sprintf("10.0.%d.1/32", network), Wide: fmt.Sprintf("10.0.%d.0/24", network),
	}
}

// work takes a worker for a while.
func work(ctx context.Context, q *queue, c Caller) error {
	release, err := q.acquire(For(ctx, c))
	if err != nil {
		return err
	}
	defer release()
	time.Sleep(50 * time.Millisecond)
	return nil
}

// Forty-eight connections of one network hash without a pause, of one account or of many, from
// one address or from a whole IPv6 /48; everybody else gets in, and waits a few turns.
func TestAFloodKeepsNobodyOut(t *testing.T) {
	for name, flood := range map[string]func(n int) Caller{
		"of one account":   func(int) Caller { return caller(0, "attacker") },
		"of many accounts": func(n int) Caller { return caller(0, fmt.Sprint("attacker", n)) },
		"of many networks of a /48": func(n int) Caller {
			return Caller{fmt.Sprint("attacker", n), fmt.Sprintf("2001:db8:0:%x::/64", n), "2001:db8::/48"}
		},
		"beside all others": func(n int) Caller {
			c := caller(0, fmt.Sprint("attacker", n))
			c.Wide = "10.0.0.0/16"
			return c
		},
		"beside some others": func(n int) Caller {
			c := caller(0, fmt.Sprint("attacker", n))
			c.Wide = "10.0.0.0/16"
			return c
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				q := newQueue(1, 32)
				ctx, stop := context.WithCancel(t.Context())
				var all sync.WaitGroup
				for n := range 48 {
					all.Go(func() {
						for ctx.Err() == nil {
							if work(ctx, q, flood(n)) != nil {
								time.Sleep(10 * time.Millisecond)
							}
						}
					})
				}
				time.Sleep(time.Second)
				var others sync.WaitGroup
				in := atomic.Int32{}
				began := time.Now()
				for n := range 25 {
					others.Go(func() {
						c := caller(1+n, fmt.Sprint("trader", n))
						if name == "beside all others" || name == "beside some others" && n%5 == 0 {
							c.Wide = "10.0.0.0/16"
						}
						if err := work(ctx, q, c); err != nil {
							t.Errorf("trader %d: %v", n, err)
							return
						}
						in.Add(1)
					})
				}
				others.Wait()
				if in.Load() != 25 {
					t.Errorf("%d of 25 got in", in.Load())
				}
				// One turn for each of them, and at most as many for the flood.
				if took := time.Since(began); took > (2*25+2)*50*time.Millisecond {
					t.Errorf("they took %v", took)
				}
				stop()
				all.Wait()
				if got := q.pending(); got != 0 || len(q.served) != 0 {
					t.Errorf("%d pending, %d remembered after all", got, len(q.served))
				}
			})
		})
	}
}

// An account has a few places, whatever else is free; an account without any is busy, not crowded.
func TestPlacesOfOneAccount(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newQueue(1, 32)
		told := make(chan error, 48)
		for range 48 {
			go func() { told <- work(t.Context(), q, caller(0, "one")) }()
		}
		in, crowded := 0, 0
		for range 48 {
			switch err := <-told; {
			case err == nil:
				in++
			case errors.Is(err, ErrCrowded):
				crowded++
			default:
				t.Error(err)
			}
		}
		if in != 1+accountPlaces || crowded != 48-in {
			t.Errorf("%d got in, %d were crowded, want %d", in, crowded, 1+accountPlaces)
		}
		var all sync.WaitGroup
		for n := range 1 + 32 { // one place each
			all.Go(func() {
				if err := work(t.Context(), q, caller(n, fmt.Sprint(n))); err != nil {
					t.Error(err)
				}
			})
		}
		synctest.Wait()
		if err := work(t.Context(), q, caller(99, "late")); !errors.Is(err, ErrBusy) {
			t.Errorf("everybody has a place: %v, want ErrBusy", err)
		}
		all.Wait()
	})
}

// Whatever comes, leaves and ends in whatever order: no more work than there are workers, no
// more wait than there are places, nobody waits beside a free worker, and nobody is forgotten.
func TestQueueKeepsItsPromises(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		workers, places := rapid.IntRange(1, 3).Draw(rt, "workers"), rapid.IntRange(0, 6).Draw(rt, "places")
		type call struct {
			leave context.CancelFunc
			done  chan struct{}
		}
		synctest.Test(t, func(t *testing.T) {
			q := newQueue(workers, places)
			var mu sync.Mutex
			running, most := 0, 0
			finish := make(chan struct{})
			var calls []call
			for range rapid.IntRange(1, 60).Draw(rt, "steps") {
				switch rapid.SampledFrom([]string{"come", "come", "come", "leave", "end"}).Draw(rt, "step") {
				case "come":
					n := rapid.IntRange(0, 4).Draw(rt, "network")
					ctx, cancel := context.WithCancel(t.Context())
					c := call{cancel, make(chan struct{})}
					calls = append(calls, c)
					go func() {
						defer close(c.done)
						release, err := q.acquire(For(ctx, caller(n, fmt.Sprint(n))))
						if err != nil {
							return
						}
						mu.Lock()
						running++
						most = max(most, running)
						mu.Unlock()
						<-finish
						mu.Lock()
						running--
						mu.Unlock()
						release()
					}()
				case "leave":
					if len(calls) > 0 {
						calls[rapid.IntRange(0, len(calls)-1).Draw(rt, "who")].leave()
					}
				case "end":
					select {
					case finish <- struct{}{}:
					default:
					}
				}
				synctest.Wait()
				q.mu.Lock()
				waiting, busy := len(q.waiting), q.running
				q.mu.Unlock()
				if waiting > places || busy > workers || waiting > 0 && busy < workers {
					rt.Fatalf("%d of %d work, %d of %d places are taken", busy, workers, waiting, places)
				}
			}
			close(finish)
			for _, c := range calls {
				<-c.done
				c.leave()
			}
			if most > workers || q.pending() != 0 {
				rt.Fatalf("%d worked at once of %d; %d pending in the end", most, workers, q.pending())
			}
		})
	})
}
