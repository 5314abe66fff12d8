package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

// A flood of sign-ins: how many loops sign in, for how long, and the rate of the checks whose
// waiting it must not lengthen by more than floodBar.
const (
	floodLoops  = 200
	floodLength = 10 * time.Second
	floodRate   = 500
	floodSpread = time.Second
	floodRounds = 3
	floodBar    = 5
)

// floods measures the effect of a flood of sign-ins on decisions, with the limiters off, so that
// passwords are hashed as fast as they are, and on.
func (r *rig) floods(ctx context.Context, _ options) error {
	for _, limits := range []string{"false", "true"} {
		if err := r.flood(ctx, limits); err != nil {
			return err
		}
	}
	return nil
}

// flood alternates quiet and flooded rounds of checks of warm sessions.
func (r *rig) flood(ctx context.Context, limits string) error {
	name := "barong-flood-limits-" + limits
	at, err := r.file(name)
	if err != nil {
		return err
	}
	w, err := populate(ctx, at, 100, 0)
	if err != nil {
		return fmt.Errorf("populate %s: %w", name, err)
	}
	p, err := r.startBarong(ctx, name, w, "BARONG_RATE_LIMITS="+limits)
	if err != nil {
		return err
	}
	defer p.stop()
	c, err := dial(p.grpc, 4)
	if err != nil {
		return err
	}
	defer c.close()
	if _, err := c.closed(ctx, w.warm, nil, 8, time.Second, false); err != nil { // warm, tokens minted
		return err
	}
	var ratios, quiet50, quiet99, busy50, busy99 []float64
	answers := map[int]int{}
	for range floodRounds {
		quiet, err := c.paced(ctx, w.warm, []byte("Bearer "), floodRate, floodLength)
		if err != nil {
			return err
		}
		stop := startFlood(ctx, p.env("BARONG_HTTP_ADDR"))
		busy, err := c.paced(ctx, w.warm, []byte("Bearer "), floodRate, floodLength)
		count, failed := stop()
		if err != nil {
			return err
		}
		if failed != nil {
			return failed
		}
		if quiet.wrong+busy.wrong > 0 {
			return fmt.Errorf("%d warm sessions were not allowed", quiet.wrong+busy.wrong)
		}
		for status, n := range count {
			answers[status] += n
		}
		ratios = append(ratios, float64(busy.quantile(.99))/float64(quiet.quantile(.99)))
		quiet50, quiet99 = append(quiet50, ms3(quiet.quantile(.5))), append(quiet99, ms3(quiet.quantile(.99)))
		busy50, busy99 = append(busy50, ms3(busy.quantile(.5))), append(busy99, ms3(busy.quantile(.99)))
	}
	fmt.Printf("sign-ins in %d loops, limiters %s: answers a second %s; %d checks a second: p50 %.2f ms, p99 %.2f ms (%.2f–%.2f) without, "+
		"p50 %.2f ms, p99 %.2f ms (%.2f–%.2f) with them: p99 × %.2f (%.2f–%.2f); RSS %s, at most %s\n",
		floodLoops, map[string]string{"false": "off", "true": "on"}[limits], perSecond(answers, floodRounds*floodLength), floodRate,
		median(quiet50), median(quiet99), slices.Min(quiet99), slices.Max(quiet99),
		median(busy50), median(busy99), slices.Min(busy99), slices.Max(busy99),
		median(ratios), slices.Min(ratios), slices.Max(ratios), mib(p.memory("VmRSS")), mib(p.memory("VmHWM")))
	if median(ratios) > floodBar {
		return fmt.Errorf("p99 of checks grew %.1f times, more than %d", median(ratios), floodBar)
	}
	return nil
}

// startFlood begins floodLoops loops that sign in at addr with addresses that nobody has, and
// returns a function that ends them and counts their answers by status.
func startFlood(ctx context.Context, addr string) (stop func() (map[int]int, error)) {
	ctx, cancel := context.WithCancel(ctx)
	transport := &http.Transport{MaxIdleConnsPerHost: floodLoops}
	client := &http.Client{Transport: transport}
	counts := make([]map[int]int, floodLoops)
	errs := make([]error, floodLoops)
	var loops sync.WaitGroup
	for i := range floodLoops {
		counts[i] = map[int]int{}
		loops.Go(func() {
			// Spread over the time that a refusal takes at least, as strangers come.
			time.Sleep(floodSpread * time.Duration(i) / floodLoops)
			for n := 0; ctx.Err() == nil; n++ {
				status, err := signInOnce(ctx, client, addr, fmt.Sprintf("nobody-%d-%d@flood.example", i, n))
				if err != nil {
					if ctx.Err() == nil {
						errs[i] = err
					}
					return
				}
				counts[i][status]++
			}
		})
	}
	return func() (map[int]int, error) {
		cancel()
		loops.Wait()
		transport.CloseIdleConnections()
		sum := map[int]int{}
		for i := range counts {
			if errs[i] != nil {
				return nil, fmt.Errorf("flood: %w", errs[i])
			}
			for status, n := range counts[i] {
				sum[status] += n
			}
		}
		return sum, nil
	}
}

func signInOnce(ctx context.Context, client *http.Client, addr, email string) (status int, err error) {
	body := `{"email":"` + email + `","password":"Tecohvi0 is not it"}`
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+addr+"/api/v2/identity/sessions", bytes.NewReader([]byte(body)))
	if err != nil {
		return 0, err
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := client.Do(req)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	_, err = io.Copy(io.Discard, resp.Body)
	return resp.StatusCode, err
}

// perSecond is the answers of each status, by status.
func perSecond(answers map[int]int, over time.Duration) string {
	var parts []string
	for _, status := range slices.Sorted(maps.Keys(answers)) {
		parts = append(parts, fmt.Sprintf("%.1f × %d", float64(answers[status])/over.Seconds(), status))
	}
	return strings.Join(parts, ", ")
}

// env is a variable that the process was started with.
func (p *process) env(name string) string {
	value := ""
	for _, e := range p.cmd.Env {
		if v, ok := strings.CutPrefix(e, name+"="); ok {
			value = v
		}
	}
	return value
}

func ms3(d time.Duration) float64 { return float64(d) / 1e6 }
