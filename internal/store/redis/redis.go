package redis

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"sync/atomic"

	goredis "github.com/redis/go-redis/v9"

	"barong/internal/limit"
	"barong/internal/session"
)

// A Store is one Redis. It is safe for concurrent use. Every error that says nothing about the
// request, but that Redis cannot be asked now, is Unavailable.
type Store struct {
	cfg    Config
	client goredis.UniversalClient
	main   *lane

	cluster *goredis.ClusterClient // the client, if it is one
	lanes   sync.Map               // address of a Cluster's master → *lane

	commands, pipelines, failures, refused atomic.Int64
}

var (
	_ session.Store = (*Store)(nil)
	_ limit.Store   = (*Store)(nil)
	_ io.Closer     = (*Store)(nil)
)

// Open returns a store over the Redis that cfg names. Wrong settings are an error, and so is
// Redis's refusal of them (wrong password, missing rights). A Redis that does not answer is none:
// it may come later, and Ping reports that.
func Open(ctx context.Context, cfg Config) (*Store, error) {
	cfg = cfg.withDefaults()
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("open redis: %w", err)
	}
	client, err := cfg.client()
	if err != nil {
		return nil, fmt.Errorf("open redis: %w", err)
	}
	s := &Store{cfg: cfg, client: client}
	s.cluster, _ = client.(*goredis.ClusterClient)
	s.main = s.newLane(cfg.String())
	if err := s.Ping(ctx); err != nil {
		if !Unavailable(err) {
			client.Close()
			return nil, fmt.Errorf("open redis: %w", err)
		}
		s.missing(err)
	}
	return s, nil
}

// Close ends all connections; calls after it are errors.
func (s *Store) Close() error {
	if err := s.client.Close(); err != nil {
		return fmt.Errorf("close redis: %w", err)
	}
	return nil
}

// Ping reads a key that is not there, whatever the breaker says: it proves the connection,
// the login and the right to read; of a Cluster, on one of its masters.
func (s *Store) Ping(ctx context.Context) error {
	cmd := goredis.NewCmd(ctx, "GET", s.cfg.Prefix+"ping")
	s.exchange(ctx, s.main, false, []*goredis.Cmd{cmd})
	if err := cmd.Err(); err != nil && !errors.Is(err, goredis.Nil) {
		return fmt.Errorf("ping redis: %w", told(err))
	}
	return nil
}

// Stats are counts since Open.
type Stats struct {
	Commands  int64 // sent
	Pipelines int64 // that carried them: exchanges with Redis
	Failures  int64 // exchanges that Redis did not answer
	Refused   int64 // commands not sent because of the failures before
	Opened    int64 // times that a server was left alone for a while
	Open      bool  // one is now
	Up        bool  // all have answered last, or failed too seldom since to be left alone
}

// Stats is cheap enough for every scrape.
func (s *Store) Stats() Stats {
	opened, open := s.main.breaker.state()
	up := s.main.breaker.closed()
	for _, l := range s.lanes.Range {
		more, too := l.(*lane).breaker.state()
		opened, open = opened+more, open || too
		up = up && l.(*lane).breaker.closed()
	}
	return Stats{
		Commands: s.commands.Load(), Pipelines: s.pipelines.Load(), Failures: s.failures.Load(),
		Refused: s.refused.Load(), Opened: opened, Open: open, Up: up,
	}
}

// LogTo sends the Redis client's own lines to log, as debug lines: callers of Store hear of every
// failure anyway. It is for the whole process; call it once, before Open.
func LogTo(log *slog.Logger) { goredis.SetLogger(clientLog{log}) }

type clientLog struct{ log *slog.Logger }

// Printf implements the client's logger.
func (l clientLog) Printf(ctx context.Context, format string, v ...any) {
	if l.log.Enabled(ctx, slog.LevelDebug) {
		l.log.DebugContext(ctx, "redis client", "said", fmt.Sprintf(format, v...))
	}
}
