package redis

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	goredis "github.com/redis/go-redis/v9"
)

// Settings of a server change seldom, and by hand.
const lookAtSettingsEvery = time.Minute

// Watch asks Redis every so often until ctx ends, so that its going and coming back is in the log
// and in Stats.Up though nobody else asks. When it comes, and now and then, Watch also looks at
// its settings and warns of those by which it would lose data.
func (s *Store) Watch(ctx context.Context, every time.Duration) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	var said string
	var looked time.Time // zero while it does not answer
	for {
		if err := s.Ping(ctx); err != nil {
			looked = time.Time{}
		} else if looked.IsZero() || time.Since(looked) >= lookAtSettingsEvery {
			looked = time.Now()
			said = s.saySettings(ctx, said)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// saySettings logs the faults in the settings of the servers unless they are those said before. It
// returns the faults said now.
func (s *Store) saySettings(ctx context.Context, before string) string {
	wrong, err := s.wrongSettings(ctx)
	if err != nil {
		if !Unavailable(told(err)) && before == "" { // a user without the right, most likely
			before = "unknown"
			s.cfg.Log.Info("redis does not let its settings be looked at: maxmemory-policy must be noeviction", "error", err)
		}
		return before
	}
	now := strings.Join(wrong, "\n")
	if now == before {
		return now
	}
	for _, w := range wrong {
		s.cfg.Log.Warn("redis may lose what it is given", "server", s.main.server, "why", w)
	}
	if now == "" && before != "unknown" {
		s.cfg.Log.Info("redis has the right settings again", "server", s.main.server)
	}
	return now
}

// wrongSettings are the settings of all masters by which they would lose data.
func (s *Store) wrongSettings(ctx context.Context) (wrong []string, err error) {
	ctx, cancel := context.WithTimeout(ctx, 2*(s.cfg.DialTimeout+s.cfg.Timeout))
	defer cancel()
	if s.cluster == nil {
		return settingsOf(ctx, s.client)
	}
	var mu sync.Mutex
	err = s.cluster.ForEachMaster(ctx, func(ctx context.Context, master *goredis.Client) error {
		of, err := settingsOf(ctx, master)
		mu.Lock()
		defer mu.Unlock()
		wrong = append(wrong, of...)
		return err
	})
	slices.Sort(wrong)
	return slices.Compact(wrong), err
}

// settingsOf asks one server. INFO is allowed where CONFIG is not, as with most that sell Redis.
func settingsOf(ctx context.Context, server goredis.Cmdable) (wrong []string, err error) {
	memory, err := server.Info(ctx, "memory").Result()
	if err != nil {
		return nil, fmt.Errorf("redis info memory: %w", err)
	}
	disk, err := server.Info(ctx, "persistence").Result()
	if err != nil {
		return nil, fmt.Errorf("redis info persistence: %w", err)
	}
	if policy := field(memory, "maxmemory_policy"); policy != "" && policy != "noeviction" {
		wrong = append(wrong, "maxmemory-policy is "+policy+" and must be noeviction: when memory runs short, sessions end and nonces are forgotten")
	}
	if field(disk, "aof_enabled") == "0" {
		switch save, err := server.ConfigGet(ctx, "save").Result(); {
		case err != nil && !replied(err):
			return nil, fmt.Errorf("redis config get save: %w", err)
		case err == nil && save["save"] == "":
			wrong = append(wrong, "it keeps nothing on disk (appendonly no, save \"\"): a restart signs everybody out and forgets nonces and counts of attempts")
		case err != nil:
			wrong = append(wrong, "appendonly is off: unless it saves snapshots, a restart signs everybody out and forgets nonces and counts of attempts")
		}
	}
	return wrong, nil
}

// field is a value of an INFO reply, "" if it has none.
func field(info, name string) string {
	for line := range strings.SplitSeq(info, "\n") {
		if value, ok := strings.CutPrefix(line, name+":"); ok {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

// missing says that a server did not answer when it was opened.
func (s *Store) missing(err error) {
	s.main.breaker.trip()
	if f, ok := errors.AsType[*failure](err); ok {
		err = f.err
	}
	s.cfg.Log.Warn("redis does not answer", "server", s.main.server, "error", err)
}
