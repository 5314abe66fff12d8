package redis_test

import (
	"context"
	"log/slog"
	"strings"
	"testing"
	"time"

	"barong/internal/store/redis"
	"barong/internal/testenv"
)

// watched is a store that is watched until the test ends, and its log.
func watched(t *testing.T, cfg redis.Config) (*redis.Store, *testenv.Log) {
	t.Helper()
	j := &testenv.Log{}
	cfg.Log = slog.New(slog.NewTextHandler(j, nil))
	s := open(t, cfg)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { s.Watch(ctx, 20*time.Millisecond); close(done) }()
	t.Cleanup(func() { cancel(); <-done })
	return s, j
}

// Nobody asks, and still the log has a line when the server goes and one when it comes back, also
// when it is not there at first; Stats say the same.
func TestWatchSaysWhenAServerGoesAndComes(t *testing.T) {
	server, cfg := start(t)
	server.Kill()
	s, j := watched(t, cfg)
	if s.Stats().Up || strings.Count(j.String(), "redis does not answer") != 1 {
		t.Errorf("opened without a server: up %t, log %q", s.Stats().Up, j)
	}
	for round := 1; round <= 2; round++ {
		server.Restart(t)
		j.Until(t, round, "redis answers again")
		if !s.Stats().Up {
			t.Error("it answers and is not up")
		}
		server.Kill()
		j.Until(t, round+1, "redis does not answer")
		if s.Stats().Up {
			t.Error("it does not answer and is up")
		}
	}
	if n := strings.Count(j.String(), "redis does not answer"); n != 3 {
		t.Errorf("%d lines for three times that it was away:\n%s", n, j)
	}
}

// Watch warns once of settings by which a server would lose data, by whatever it lets be looked at.
func TestWatchLooksAtSettings(t *testing.T) {
	const (
		evicts, noDisk, maybe = "maxmemory-policy is ", "keeps nothing on disk", "appendonly is off"
		unseen                = "does not let its settings be looked at"
	)
	for name, c := range map[string]struct {
		server testenv.RedisConfig
		want   string
	}{
		"all is well":              {testenv.RedisConfig{Args: []string{"--appendonly", "yes"}}, ""},
		"snapshots":                {testenv.RedisConfig{Args: []string{"--save", "3600 1"}}, ""},
		"nothing on disk":          {testenv.RedisConfig{Args: []string{"--save", ""}}, noDisk},
		"eviction":                 {testenv.RedisConfig{Args: []string{"--appendonly", "yes", "--maxmemory-policy", "allkeys-lru"}}, evicts + "allkeys-lru"},
		"eviction of what ends":    {testenv.RedisConfig{Args: []string{"--appendonly", "yes", "--maxmemory-policy", "volatile-ttl"}}, evicts + "volatile-ttl"},
		"both, without CONFIG":     {testenv.RedisConfig{Username: "u", Password: "p", Rules: documented + " +info", Args: []string{"--maxmemory-policy", "allkeys-lfu"}}, evicts + "allkeys-lfu " + maybe},
		"nothing may be seen":      {testenv.RedisConfig{Username: "u", Password: "p", Rules: documented}, unseen},
		"well, and without CONFIG": {testenv.RedisConfig{Username: "u", Password: "p", Rules: documented + " +info", Args: []string{"--appendonly", "yes"}}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := testenv.StartRedis(t, c.server)
			_, j := watched(t, complete(redis.Config{URL: "redis://" + server.Addr, Username: c.server.Username, Password: c.server.Password}))
			time.Sleep(300 * time.Millisecond)
			if c.want != "" {
				j.Until(t, 1, strings.Fields(c.want)[0])
			}
			text := j.String()
			for _, finding := range []string{evicts, noDisk, maybe, unseen} {
				want := 0
				if strings.Contains(c.want, strings.TrimSpace(finding)) {
					want = 1
				}
				if n := strings.Count(text, finding); n != want {
					t.Errorf("%d lines say %q, want %d:\n%s", n, finding, want, text)
				}
			}
			if level := strings.Contains(text, "level=WARN"); level != (c.want != "" && c.want != unseen) {
				t.Errorf("a warning is there: %t\n%s", level, text)
			}
		})
	}
}
