package redis_test

import (
	"bytes"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"barong/internal/session"
	"barong/internal/store/redis"
	"barong/internal/testenv"
)

func listed(t *testing.T, s *redis.Store, uid string) []session.Session {
	t.Helper()
	all, err := s.SessionsOf(t.Context(), uid, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func TestAnIndexLivesAsLongAsTheLongestSessionCan(t *testing.T) {
	server, cfg := start(t)
	cfg.Prefix, cfg.SessionLife = "k:", 5*time.Hour
	s, raw := open(t, cfg), server.Client()
	defer raw.Close()
	near := func(what string, want time.Duration) {
		t.Helper()
		got := raw.PTTL(t.Context(), "k:sessions:IDx").Val()
		if got > want+time.Second || got < want-20*time.Second {
			t.Errorf("%s: lives %v, want %v", what, got, want)
		}
	}
	for n, test := range []struct {
		what    string
		created time.Duration // ago
		want    time.Duration
	}{
		{"the first, an hour old", time.Hour, 4 * time.Hour},
		{"a new one", 0, 5 * time.Hour},
		{"an old one after it, as a session re-stamped", 2 * time.Hour, 5 * time.Hour},
	} {
		x := newSession(fmt.Sprint("life", n))
		x.UID, x.CreatedAt = "IDx", x.CreatedAt.Add(-test.created)
		add(t, s, x)
		near(test.what, test.want)
	}
	if got := len(listed(t, s, "IDx")); got != 3 {
		t.Errorf("got %d sessions, want 3", got)
	}
	x := newSession("long")
	x.UID, x.ExpiresAt = "IDx", x.CreatedAt.Add(6*time.Hour) // Config says less than the truth
	add(t, s, x)
	near("one that lives longer than Config says", 6*time.Hour)
}

func TestAnIndexForgetsWhatHasGone(t *testing.T) {
	server, cfg := start(t)
	cfg.Prefix = "k:"
	now := time.Now()
	cfg.Now = func() time.Time { return now }
	s, raw := open(t, cfg), server.Client()
	defer raw.Close()
	const index = "k:sessions:IDx"
	names := func(what string, want int64) {
		t.Helper()
		if got := raw.ZCard(t.Context(), index).Val(); got != want {
			t.Errorf("%s: %d names, want %d", what, got, want)
		}
	}
	opened := func(name string, ago time.Duration) session.Session {
		x := newSession(name)
		x.UID, x.CreatedAt = "IDx", x.CreatedAt.Add(-ago)
		x.ExpiresAt = x.ExpiresAt.Add(-min(ago, 29*time.Minute))
		add(t, s, x)
		return x
	}
	opened("yesterday", 24*time.Hour-time.Minute)
	one, two := opened("one", 0), opened("two", 0)
	names("opened", 3)
	now = now.Add(2 * time.Minute)
	opened("three", 0)
	names("after a day, at the next opening", 3) // one, two, three

	if err := s.DeleteSession(t.Context(), one.ID); err != nil {
		t.Fatal(err)
	}
	names("deleted, before a list", 3)
	stray := newSession("stray") // somebody else's
	add(t, s, stray)
	for _, member := range []string{string(stray.ID[:]), "short", strings.Repeat("x", 32)} {
		raw.Do(t.Context(), "ZADD", index, now.Add(time.Hour).UnixMilli(), member)
	}
	if got := len(listed(t, s, "IDx")); got != 2 {
		t.Errorf("got %d sessions, want 2", got)
	}
	names("after a list", 2)

	// A record of a later version stays, unread.
	raw.Set(t.Context(), key(two), "\x02"+raw.Get(t.Context(), key(two)).Val()[1:], 0)
	if got := len(listed(t, s, "IDx")); got != 1 {
		t.Errorf("got %d sessions, want 1", got)
	}
	names("with an unreadable record", 2)
}

func TestOpeningCostsOneExchange(t *testing.T) {
	_, cfg := start(t)
	s := open(t, cfg)
	put(t, s) // teaches Redis the script
	before := s.Stats()
	add(t, s, newSession("next"))
	after := s.Stats()
	if c, p := after.Commands-before.Commands, after.Pipelines-before.Pipelines; c != 2 || p != 1 {
		t.Errorf("opening took %d commands in %d exchanges, want 2 in 1", c, p)
	}
}

func TestAServerThatForgotTheScriptIsToldAgain(t *testing.T) {
	server, cfg := start(t)
	s, raw := open(t, cfg), server.Client()
	defer raw.Close()
	for n := range 3 {
		x := newSession(fmt.Sprint("forgot", n))
		x.UID = "IDx"
		add(t, s, x)
		if got := len(listed(t, s, "IDx")); got != n+1 {
			t.Errorf("got %d sessions, want %d", got, n+1)
		}
		if err := raw.ScriptFlush(t.Context()).Err(); err != nil {
			t.Fatal(err)
		}
	}
}

// A session is worth more than its place in a list: the rights of a Redis user may be older
// than this program.
func TestWithoutTheRightsToListSessionsAreOpened(t *testing.T) {
	rules, _, _ := strings.Cut(documented, " +zadd")
	server := testenv.StartRedis(t, testenv.RedisConfig{Username: "gate", Password: "p", Rules: rules + " +ping +hello"})
	var log bytes.Buffer
	cfg := shipped("redis://gate:p@" + server.Addr)
	cfg.Log = slog.New(slog.NewTextHandler(&log, nil))
	s := open(t, cfg)
	x := put(t, s)
	if got, err := s.Session(t.Context(), x.ID, time.Now()); err != nil || got.UID != x.UID {
		t.Errorf("got %v (%v), want the session", got, err)
	}
	if !strings.Contains(log.String(), "missing in lists") || strings.Contains(log.String(), x.CSRFToken) {
		t.Errorf("log: got %s, want the reason and no token", log.String())
	}
	if _, err := s.SessionsOf(t.Context(), x.UID, time.Now()); err == nil || redis.Unavailable(err) {
		t.Errorf("list: got %v, want an error of its own", err)
	}
}

// BenchmarkAddSession measures the cost of opening a session.
func BenchmarkAddSession(b *testing.B) {
	_, cfg := start(b)
	s := open(b, cfg)
	n := 0
	b.ReportAllocs()
	for b.Loop() {
		x := newSession("")
		n++
		x.ID, x.UID = [32]byte([]byte(fmt.Sprintf("%032d", n))), fmt.Sprint("ID", n%1000)
		add(b, s, x)
	}
}
