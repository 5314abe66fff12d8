package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/mem"
)

const checkMethod = "/envoy.service.auth.v3.Authorization/Check"

// raw is a codec that passes bytes through, so that the client costs little.
type raw struct{}

func (raw) Name() string { return "proto" }

func (raw) Marshal(v any) (mem.BufferSlice, error) {
	return mem.BufferSlice{mem.SliceBuffer(v.([]byte))}, nil
}

func (raw) Unmarshal(data mem.BufferSlice, v any) error {
	p := v.(*[]byte)
	*p = append((*p)[:0], data.Materialize()...)
	return nil
}

// client holds the connections to one server.
type client struct{ conns []*grpc.ClientConn }

func dial(addr string, n int) (*client, error) {
	c := &client{}
	for range n {
		conn, err := grpc.NewClient(addr, grpc.WithTransportCredentials(insecure.NewCredentials()))
		if err != nil {
			return nil, err
		}
		conn.Connect()
		c.conns = append(c.conns, conn)
	}
	return c, nil
}

func (c *client) close() {
	for _, conn := range c.conns {
		conn.Close()
	}
}

// result holds the measures of a load.
type result struct {
	sent, wrong int64
	elapsed     time.Duration
	latencies   []time.Duration // sorted
	example     []byte          // a wrong answer
}

func (r result) quantile(q float64) time.Duration {
	if len(r.latencies) == 0 {
		return 0
	}
	return r.latencies[min(int(q*float64(len(r.latencies))), len(r.latencies)-1)]
}

// closed keeps workers requests in flight until the time is over, or until every request
// was sent once when once is set. want must occur in each answer.
func (c *client) closed(ctx context.Context, requests [][]byte, want []byte, workers int, each time.Duration, once bool) (result, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var next, wrong atomic.Int64
	var example atomic.Pointer[[]byte]
	all := make([][]time.Duration, workers)
	errs := make([]error, workers)
	start := time.Now()
	var wg sync.WaitGroup
	for w := range workers {
		conn := c.conns[w%len(c.conns)]
		wg.Go(func() {
			var reply []byte
			for once || time.Since(start) < each {
				n := next.Add(1) - 1
				if once && n >= int64(len(requests)) {
					return
				}
				t := time.Now()
				if err := conn.Invoke(ctx, checkMethod, requests[n%int64(len(requests))], &reply, grpc.ForceCodecV2(raw{}), grpc.WaitForReady(true)); err != nil {
					errs[w] = err
					cancel()
					return
				}
				all[w] = append(all[w], time.Since(t))
				if !bytes.Contains(reply, want) {
					wrong.Add(1)
					b := bytes.Clone(reply)
					example.CompareAndSwap(nil, &b)
				}
			}
		})
	}
	wg.Wait()
	r := result{elapsed: time.Since(start), wrong: wrong.Load()}
	if b := example.Load(); b != nil {
		r.example = *b
	}
	for _, l := range all {
		r.latencies = append(r.latencies, l...)
	}
	slices.Sort(r.latencies)
	r.sent = int64(len(r.latencies))
	return r, errors.Join(errs...)
}

// paced sends rate requests a second for the time, whatever comes back when, and counts
// latency from when a request was due. during is called once, in the middle.
func (c *client) paced(ctx context.Context, requests [][]byte, want []byte, rate int, each time.Duration) (result, error) {
	gap := time.Second / time.Duration(rate)
	total := int(each / gap)
	latencies := make([]time.Duration, total)
	var wrong atomic.Int64
	var failure atomic.Pointer[error]
	var wg sync.WaitGroup
	slots := make(chan struct{}, 2000)
	start := time.Now()
	for n := range total {
		due := start.Add(time.Duration(n) * gap)
		time.Sleep(time.Until(due))
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			var reply []byte
			conn := c.conns[n%len(c.conns)]
			if err := conn.Invoke(ctx, checkMethod, requests[n%len(requests)], &reply, grpc.ForceCodecV2(raw{})); err != nil {
				failure.CompareAndSwap(nil, &err)
				return
			}
			latencies[n] = time.Since(due)
			if !bytes.Contains(reply, want) {
				wrong.Add(1)
			}
		})
	}
	wg.Wait()
	if err := failure.Load(); err != nil {
		return result{}, fmt.Errorf("paced load: %w", *err)
	}
	slices.Sort(latencies)
	return result{sent: int64(total), wrong: wrong.Load(), elapsed: time.Since(start), latencies: latencies}, nil
}
