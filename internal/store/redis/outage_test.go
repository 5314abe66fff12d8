package redis_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"barong/internal/limit"
	"barong/internal/session"
	"barong/internal/store/redis"
)

// everything is one call of each method that asks Redis.
func everything(ctx context.Context, s *redis.Store, x session.Session) map[string]error {
	now := time.Now()
	_, load := s.Session(ctx, x.ID, now)
	_, listing := s.SessionsOf(ctx, x.UID, now)
	_, nonce := s.UseNonce(ctx, "kid", "1", now.Add(time.Minute))
	rule := limit.Rule{Burst: 5, Period: time.Minute}
	_, take := s.Take(ctx, "k", rule, now)
	return map[string]error{
		"Session":       load,
		"SessionsOf":    listing,
		"AddSession":    s.AddSession(ctx, newSession("outage")),
		"SlideSessions": s.SlideSessions(ctx, map[session.ID]time.Time{x.ID: now.Add(time.Hour)}),
		"DeleteSession": s.DeleteSession(ctx, newSession("outage").ID),
		"UseNonce":      nonce,
		"Take":          take,
		"Return":        s.Return(ctx, "k", rule, now),
		"Clear":         s.Clear(ctx, "k"),
		"Ping":          s.Ping(ctx),
	}
}

func wantOutage(t *testing.T, s *redis.Store, x session.Session) {
	t.Helper()
	for what, err := range everything(t.Context(), s, x) {
		if !redis.Unavailable(err) || errors.Is(err, session.ErrNotFound) {
			t.Errorf("%s: got %v, want it unavailable", what, err)
		}
	}
}

// FX-29: a store that hangs is an outage, never "no such session".
func TestAServerThatHangsIsAnOutageAndSoonCostsNoTime(t *testing.T) {
	server, cfg := start(t)
	var log bytes.Buffer
	cfg.Log, cfg.Pause = slog.New(slog.NewTextHandler(&log, nil)), 2*time.Second
	s := open(t, cfg)
	x := put(t, s)

	server.Pause(t)
	begun := time.Now()
	wantOutage(t, s, x)
	// Three timeouts and the Ping's, at most one try in between.
	if took := time.Since(begun); took > 4*time.Second {
		t.Errorf("nine calls took %v, want the breaker to end that", took)
	}
	var quick int
	for range 50 {
		begun := time.Now()
		_, err := s.Session(t.Context(), x.ID, begun)
		if !redis.Unavailable(err) {
			t.Fatalf("got %v, want it unavailable", err)
		}
		if time.Since(begun) < 100*time.Millisecond {
			quick++
		}
	}
	if quick < 45 {
		t.Errorf("%d of 50 calls failed fast, want nearly all", quick)
	}
	if stats := s.Stats(); !stats.Open || stats.Opened == 0 || stats.Refused == 0 || stats.Failures == 0 {
		t.Errorf("stats %+v, want an open breaker and what it refused", stats)
	}

	server.Resume(t)
	recovers(t, s, x)
	if text := log.String(); strings.Count(text, "does not answer") != 1 || strings.Count(text, "answers again") != 1 {
		t.Errorf("logged %s\nwant one line for going and one for coming back", text)
	}
}

// recovers waits for the first answer, well beyond the breaker's pause.
func recovers(t *testing.T, s *redis.Store, x session.Session) {
	t.Helper()
	begun := time.Now()
	for {
		got, err := s.Session(t.Context(), x.ID, time.Now())
		if err == nil {
			if got.UID != x.UID {
				t.Errorf("got %v, want %v", got, x)
			}
			return
		}
		if !redis.Unavailable(err) || time.Since(begun) > 20*time.Second {
			t.Fatalf("after the outage: %v", err)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

func TestAServerThatDiedIsAnOutage(t *testing.T) {
	server, cfg := start(t)
	s := open(t, cfg)
	x := put(t, s)
	server.Kill()
	wantOutage(t, s, x)
	wantOutage(t, s, x) // the breaker's answers are no different
}

func TestAServerThatIsNotThereYetCanBeOpened(t *testing.T) {
	for name, cfg := range map[string]redis.Config{
		"one server": {URL: "redis://" + silent(t)},
		"Sentinel":   {URL: "redis:", Sentinels: []string{silent(t)}, Master: "m"},
		"Cluster":    {URL: "redis:", Cluster: []string{silent(t)}},
	} {
		t.Run(name, func(t *testing.T) {
			begun := time.Now()
			s := open(t, complete(cfg))
			wantOutage(t, s, newSession(""))
			if took := time.Since(begun); took > 5*time.Second {
				t.Errorf("took %v, want it bounded", took)
			}
		})
	}
}

// A read-only server, as a master that was demoted, is an outage; the right settings of a
// wrong command are not.
func TestARefusalToServeIsAnOutage(t *testing.T) {
	server, cfg := start(t)
	s, raw := open(t, cfg), server.Client()
	defer raw.Close()
	raw.ReplicaOf(t.Context(), "127.0.0.1", "1")
	for range 5 {
		if err := s.AddSession(t.Context(), newSession("")); !redis.Unavailable(err) {
			t.Errorf("adding to a replica: %v, want it unavailable", err)
		}
	}
	if _, err := s.Session(t.Context(), newSession("").ID, time.Now()); !errors.Is(err, session.ErrNotFound) {
		t.Errorf("reading of it: %v, want ErrNotFound: what answers is not left alone", err)
	}
	raw.ReplicaOf(t.Context(), "NO", "ONE")
	raw.ConfigSet(t.Context(), "maxmemory", "1")
	if err := s.AddSession(t.Context(), newSession("")); !redis.Unavailable(err) {
		t.Errorf("adding without memory: %v, want it unavailable", err)
	}
}

func TestACallerThatLeavesSaysNothingAboutRedis(t *testing.T) {
	server, cfg := start(t)
	s := open(t, cfg)
	x := put(t, s)
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	for what, err := range everything(gone, s, x) {
		if !errors.Is(err, context.Canceled) || redis.Unavailable(err) {
			t.Errorf("%s: got %v, want context.Canceled", what, err)
		}
	}
	if s.Stats().Open {
		t.Error("the breaker is open")
	}
	server.Pause(t)
	defer server.Resume(t)
	short, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	begun := time.Now()
	if _, err := s.Session(short, x.ID, begun); !redis.Unavailable(err) || time.Since(begun) > 150*time.Millisecond {
		t.Errorf("with 20 ms to wait: %v after %v, want an outage then", err, time.Since(begun))
	}
}

func TestEveryExchangeIsObserved(t *testing.T) {
	server, cfg := start(t)
	var good, bad atomic.Int64
	cfg.Observe = func(_ time.Duration, commands int, err error) {
		if err == nil {
			good.Add(int64(commands))
		} else {
			bad.Add(int64(commands))
		}
	}
	s := open(t, cfg)
	x := put(t, s)
	// Open's ping, the record, and its place in a list by a script that Redis has to learn.
	if good.Load() != 4 || bad.Load() != 0 {
		t.Errorf("%d good and %d bad commands, want 4 and 0", good.Load(), bad.Load())
	}
	server.Kill()
	_, _ = s.Session(t.Context(), x.ID, time.Now())
	if good.Load() != 4 || bad.Load() != 1 {
		t.Errorf("%d good and %d bad commands, want 4 and 1", good.Load(), bad.Load())
	}
}

// A connection that Redis takes but does not let in sends nothing: no call may look as if it
// had been carried out, least of all a nonce as fresh.
func TestARefusedLoginIsNeverSuccess(t *testing.T) {
	server, cfg := start(t)
	cfg.PoolSize = 1
	s, raw := open(t, cfg), server.Client()
	defer raw.Close()
	x := put(t, s)
	if err := raw.ConfigSet(t.Context(), "requirepass", "changed").Err(); err != nil {
		t.Fatal(err)
	}
	// Ends the store's connection; the next one has to log in.
	if err := raw.ClientKillByFilter(t.Context(), "SKIPME", "yes").Err(); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		for what, err := range everything(t.Context(), s, x) {
			if err == nil || errors.Is(err, session.ErrNotFound) {
				t.Errorf("%s: got %v, want an error of the login", what, err)
			}
		}
		if fresh, err := s.UseNonce(t.Context(), "kid", "2", time.Now().Add(time.Minute)); fresh || err == nil {
			t.Errorf("nonce: fresh %v (%v), want an error", fresh, err)
		}
	}
}
