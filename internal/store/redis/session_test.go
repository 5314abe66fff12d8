package redis_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"

	"barong/internal/config"
	"barong/internal/configured"
	"barong/internal/session"
	"barong/internal/store/redis"
)

func newSession(name string) session.Session {
	now := time.Now().UTC().Truncate(time.Second)
	return session.Session{
		ID: sha256.Sum256([]byte(name)), UID: "ID" + name, IP: netip.MustParseAddr("192.0.2.7"),
		UserAgent: "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
		CSRFToken: "0123456789abcdef0123", Generation: 3, Epoch: 2,
		CreatedAt: now, ExpiresAt: now.Add(30 * time.Minute),
	}
}

func add(t testing.TB, s *redis.Store, x session.Session) {
	t.Helper()
	if err := s.AddSession(t.Context(), x); err != nil {
		t.Fatal(err)
	}
}

func put(t testing.TB, s *redis.Store) session.Session {
	t.Helper()
	x := newSession(t.Name())
	add(t, s, x)
	return x
}

func key(x session.Session) string { return "k:session:" + hex.EncodeToString(x.ID[:]) }

func TestRecordsLiveADayLongerThanTheirSessions(t *testing.T) {
	server, cfg := start(t)
	cfg.Prefix = "k:"
	s, raw := open(t, cfg), server.Client()
	defer raw.Close()
	near := func(what string, want time.Duration, x session.Session) {
		t.Helper()
		got := raw.PTTL(t.Context(), key(x)).Val()
		if got > want || got < want-20*time.Second {
			t.Errorf("%s: lives %v, want %v", what, got, want)
		}
	}
	const life = 30*time.Minute + session.Afterlife
	x := put(t, s)
	near("added", life, x)
	if err := s.SlideSessions(t.Context(), map[session.ID]time.Time{x.ID: x.ExpiresAt.Add(time.Hour)}); err != nil {
		t.Fatal(err)
	}
	near("slid", life+time.Hour, x)
	if err := s.SlideSessions(t.Context(), map[session.ID]time.Time{x.ID: x.ExpiresAt}); err != nil {
		t.Fatal(err)
	}
	near("slid back", life+time.Hour, x)
}

// A user whose session ran out learns that, and not that there never was one (AZ-99).
func TestTheManagerFindsWhatExpiredLessThanADayAgo(t *testing.T) {
	_, cfg := start(t)
	s := open(t, cfg)
	now := time.Now()
	clock := func() time.Time { return now }
	open := manager(t, configured.Sessions(config.Default()), s, clock)
	opening := session.Opening{UID: "ID1", IP: netip.MustParseAddr("192.0.2.1")}
	cookie, x, err := open.Open(t.Context(), opening, now)
	if err != nil {
		t.Fatal(err)
	}
	for after, want := range map[time.Duration]error{
		session.Afterlife - time.Minute: nil,
		session.Afterlife:               session.ErrNotFound,
	} {
		now = x.ExpiresAt.Add(after)
		cold := manager(t, configured.Sessions(config.Default()), s, clock)
		if _, err := cold.Lookup(t.Context(), cookie, now); !errors.Is(err, want) {
			t.Errorf("%v after its expiry: %v, want %v", after, err, want)
		}
	}
}

// ledger knows of nothing ended.
type ledger struct{ session.Ledger }

func (ledger) Epoch(context.Context) (int64, error)                           { return 0, nil }
func (ledger) EndedSessions(context.Context) ([]session.ID, error)            { return nil, nil }
func (ledger) EndSession(context.Context, time.Duration, ...session.ID) error { return nil }
func (ledger) Ended(context.Context, session.ID) (bool, error)                { return false, nil }

func TestACorruptRecordIsAnErrorOfItsOwn(t *testing.T) {
	server, cfg := start(t)
	cfg.Prefix = "k:"
	s, raw := open(t, cfg), server.Client()
	defer raw.Close()
	x, other := put(t, s), newSession("other")
	good := raw.Get(t.Context(), key(x)).Val()
	for name, value := range map[string]string{
		"empty":                     "",
		"text":                      "hello",
		"cut off":                   good[:len(good)-1],
		"a byte too long":           good + "x",
		"another version":           "\x02" + good[1:],
		"a changed user agent":      good[:len(good)-1] + "!",
		"a session of another id":   good,
		"an expiry after the world": good[:1] + "\xff" + good[2:],
	} {
		raw.Set(t.Context(), key(other), value, 0)
		raw.Set(t.Context(), key(x), value, 0)
		ids := []session.ID{other.ID}
		if value != good {
			ids = append(ids, x.ID)
		}
		for _, id := range ids {
			_, err := s.Session(t.Context(), id, time.Now())
			if err == nil || errors.Is(err, session.ErrNotFound) || redis.Unavailable(err) {
				t.Errorf("%s: got %v, want an error that is neither ErrNotFound nor an outage", name, err)
			}
		}
	}
	// Of another version, as while replicas are being replaced: left as it is.
	newer := "\x02" + good[1:]
	raw.Set(t.Context(), key(x), newer, 0)
	if err := s.SlideSessions(t.Context(), map[session.ID]time.Time{x.ID: x.ExpiresAt.Add(time.Hour)}); err != nil {
		t.Error(err)
	}
	if got := raw.Get(t.Context(), key(x)).Val(); got != newer {
		t.Errorf("sliding a record of another version made it %q", got)
	}
	raw.Del(t.Context(), key(x))
	raw.HSet(t.Context(), key(x), "f", "v")
	if _, err := s.Session(t.Context(), x.ID, time.Now()); err == nil || errors.Is(err, session.ErrNotFound) || redis.Unavailable(err) {
		t.Errorf("a value of another type: got %v, want an error of its own", err)
	}
}

func TestAnIDIsAddedOnce(t *testing.T) {
	_, cfg := start(t)
	s := open(t, cfg)
	x := put(t, s)
	y := x
	y.UID = "IDother"
	if err := s.AddSession(t.Context(), y); err == nil || redis.Unavailable(err) {
		t.Errorf("adding another under the same id: %v, want an error", err)
	}
	got, err := s.Session(t.Context(), x.ID, time.Now())
	if err != nil || got.UID != x.UID {
		t.Errorf("got %v (%v), want the first", got, err)
	}
}

func TestScriptsSurviveAServerThatForgotThem(t *testing.T) {
	server, cfg := start(t)
	s, raw := open(t, cfg), server.Client()
	defer raw.Close()
	x := put(t, s)
	for n := range 3 {
		want := x.ExpiresAt.Add(time.Duration(n+1) * time.Minute)
		if err := s.SlideSessions(t.Context(), map[session.ID]time.Time{x.ID: want}); err != nil {
			t.Fatal(err)
		}
		got, err := s.Session(t.Context(), x.ID, time.Now())
		if err != nil || !got.ExpiresAt.Equal(want) {
			t.Errorf("got %v (%v), want %v", got.ExpiresAt, err, want)
		}
		if err := raw.ScriptFlush(t.Context()).Err(); err != nil {
			t.Fatal(err)
		}
	}
}

// rush loads ids all at once and returns how long each took.
func rush(t testing.TB, s *redis.Store, ids []session.ID) []time.Duration {
	took := make([]time.Duration, len(ids))
	var wg sync.WaitGroup
	begin := make(chan struct{})
	for n, id := range ids {
		wg.Go(func() {
			<-begin
			begun := time.Now()
			got, err := s.Session(t.Context(), id, begun)
			took[n] = time.Since(begun)
			if err != nil || got.ID != id {
				t.Errorf("got %x (%v), want %x", got.ID, err, id)
			}
		})
	}
	close(begin)
	wg.Wait()
	return took
}

func fill(t testing.TB, s *redis.Store, many int) []session.ID {
	t.Helper()
	ids := make([]session.ID, many)
	var wg sync.WaitGroup
	for part := range slices.Chunk(ids, 500) {
		for i := range part {
			wg.Go(func() {
				x := newSession("")
				part[i] = sha256.Sum256([]byte(time.Now().String() + string(rune(i))))
				x.ID = part[i]
				if err := s.AddSession(t.Context(), x); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
	}
	return ids
}

func TestColdSessionsAtOnceShareExchanges(t *testing.T) {
	_, cfg := start(t)
	cfg.Timeout, cfg.DialTimeout = patient, patient
	s := open(t, cfg)
	const many = 5000
	ids := fill(t, s, many)
	before := s.Stats()
	rush(t, s, ids)
	after := s.Stats()
	commands, exchanges := after.Commands-before.Commands, after.Pipelines-before.Pipelines
	t.Logf("%d loads in %d exchanges", commands, exchanges)
	if commands != many || exchanges > many/5 {
		t.Errorf("%d loads in %d exchanges, want %d in a fifth of that at most", commands, exchanges, many)
	}
}
