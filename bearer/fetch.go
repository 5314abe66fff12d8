package bearer

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

const (
	timeout      = 5 * time.Second // of one fetch
	firstRetry   = time.Second     // while there is no usable set
	defaultAge   = 5 * time.Minute
	minAge       = 10 * time.Second
	maxAge       = time.Hour
	cacheControl = "Cache-Control"
)

// A keySet is the keys of one document. It never changes.
type keySet struct {
	keys    []*key
	fetched time.Time
	age     time.Duration // for so long after it was fetched it is fresh
}

func (s *keySet) key(kid string) *key {
	for _, k := range s.keys {
		if k.kid == kid {
			return k
		}
	}
	return nil
}

// A fetcher fetches the key set, one fetch at a time.
type fetcher struct {
	url                  string
	client               *http.Client
	refresh, retry, hold time.Duration

	due   atomic.Bool               // a fetch in the background is under way
	tried atomic.Pointer[time.Time] // when the last fetch began; nil before the first

	mu     sync.Mutex
	flight *flight
}

// A flight is a fetch under way; err is set when done is closed.
type flight struct {
	done chan struct{}
	err  error
}

func newFetcher(c Config) *fetcher {
	return &fetcher{
		url: c.URL, refresh: c.Refresh, retry: c.Retry, hold: c.Hold,
		client: &http.Client{
			Transport: c.Transport, Timeout: timeout,
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}
}

// soon reports whether the last fetch began less than so long ago. A clock that was set back has no such
// last fetch.
func (f *fetcher) soon(now time.Time, wait time.Duration) bool {
	tried := f.tried.Load()
	if tried == nil {
		return false
	}
	passed := now.Sub(*tried)
	return passed >= 0 && passed < wait
}

// current is the set that serves now. One that is due is fetched in the background; only without one
// that may serve does it wait for a fetch.
func (v *Verifier) current(ctx context.Context) (*keySet, error) {
	set := v.keys.Load()
	if v.fetch == nil {
		return set, nil
	}
	now := v.now()
	if set != nil {
		p := now.Sub(set.fetched)
		if p >= 0 && p < set.age {
			return set, nil
		}
		if p < v.fetch.hold { // or set back
			v.fetch.inBackground(v, now, min(v.fetch.retry, set.age))
			return set, nil
		}
	}
	if err := v.fetch.do(ctx, v, min(firstRetry, v.fetch.retry)); err != nil {
		return nil, err
	}
	set = v.keys.Load()
	if set == nil || v.now().Sub(set.fetched) >= v.fetch.hold {
		return nil, ErrUnavailable
	}
	return set, nil
}

// Refresh fetches the key set now, whenever the last fetch was. Without a fetch to make it does nothing.
func (v *Verifier) Refresh(ctx context.Context) error {
	if v.fetch == nil {
		return nil
	}
	return v.fetch.do(ctx, v, 0)
}

// forUnknown is the set after a fetch that an unknown kid asks for, or the last one if a fetch failed or
// it is too soon for another.
func (f *fetcher) forUnknown(ctx context.Context, v *Verifier, set *keySet) (*keySet, error) {
	if err := f.do(ctx, v, f.retry); err != nil && ctx.Err() != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnavailable, ctx.Err())
	}
	if newer := v.keys.Load(); newer != nil {
		return newer, nil
	}
	return set, nil
}

// inBackground starts a fetch unless one is under way or the last one began less than wait ago.
func (f *fetcher) inBackground(v *Verifier, now time.Time, wait time.Duration) {
	if f.soon(now, wait) || !f.due.CompareAndSwap(false, true) {
		return
	}
	go func() {
		defer f.due.Store(false)
		_ = f.do(context.Background(), v, wait)
	}()
}

// do fetches the set unless the last fetch began less than wait ago; then, and after a failed one, the
// error is ErrUnavailable. Calls that come while a fetch is under way wait for its end.
func (f *fetcher) do(ctx context.Context, v *Verifier, wait time.Duration) error {
	f.mu.Lock()
	flying := f.flight
	if flying == nil {
		now := v.now()
		if f.soon(now, wait) {
			f.mu.Unlock()
			return fmt.Errorf("%w: too soon for another fetch", ErrUnavailable)
		}
		flying = &flight{done: make(chan struct{})}
		f.flight = flying
		f.tried.Store(&now)
		go f.run(v, flying, now) // lives as long as its timeout, not as its first caller
	}
	f.mu.Unlock()
	select {
	case <-flying.done:
		return flying.err
	case <-ctx.Done():
		return fmt.Errorf("%w: %w", ErrUnavailable, ctx.Err())
	}
}

func (f *fetcher) run(v *Verifier, flying *flight, now time.Time) {
	set, err := f.get(v.algorithms)
	if err == nil {
		set.fetched = now
		if old := v.keys.Load(); old != nil {
			set.inherit(old)
		}
		v.keys.Store(set)
	} else {
		err = fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	flying.err = err
	f.mu.Lock()
	f.flight = nil
	f.mu.Unlock()
	close(flying.done)
}

// inherit keeps the headers that are known of keys that stay.
func (s *keySet) inherit(old *keySet) {
	for _, k := range s.keys {
		if o := old.key(k.kid); o != nil && o.algorithm == k.algorithm {
			k.header.Store(o.header.Load())
		}
	}
}

// get makes one request. Its errors hold neither the URL nor a part of the answer.
func (f *fetcher) get(algorithms []string) (*keySet, error) {
	req, err := http.NewRequestWithContext(context.Background(), http.MethodGet, f.url, nil)
	if err != nil {
		return nil, fmt.Errorf("%w: request", ErrKeySet)
	}
	req.Header.Set("Accept", "application/json")
	resp, err := f.client.Do(req)
	if err != nil {
		return nil, fmt.Errorf("%w: the server cannot be reached", ErrKeySet)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%w: status %d", ErrKeySet, resp.StatusCode)
	}
	document, err := io.ReadAll(io.LimitReader(resp.Body, maxSet+1))
	if err != nil {
		return nil, fmt.Errorf("%w: the answer breaks off", ErrKeySet)
	}
	keys, err := parseKeys(document, algorithms)
	if err != nil {
		return nil, err
	}
	age := f.refresh
	if age == 0 {
		age = min(ageOf(resp.Header.Get(cacheControl)), f.hold)
	}
	return &keySet{keys: keys, age: age}, nil
}

// ageOf is for how long an answer may be kept.
func ageOf(header string) time.Duration {
	for part := range strings.SplitSeq(header, ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(part), "=")
		if !strings.EqualFold(name, "max-age") {
			continue
		}
		if n, err := strconv.ParseUint(value, 10, 31); err == nil {
			return min(max(time.Duration(n)*time.Second, minAge), maxAge)
		}
	}
	return defaultAge
}
