package redis

import (
	"cmp"
	"context"
	"errors"
	"time"

	goredis "github.com/redis/go-redis/v9"
)

// A lane is the way to one server: in a Cluster a master that hangs must not hold up the answers
// of others.
type lane struct {
	server  string // as logged
	breaker breaker
	batch   batcher
}

func (s *Store) newLane(server string) *lane {
	l := &lane{
		server:  server,
		breaker: breaker{limit: s.cfg.Failures, pause: s.cfg.Pause, now: time.Now},
	}
	l.batch = batcher{
		size: s.cfg.Batch, workers: s.cfg.Pipelines,
		run: func(ctx context.Context, cmds []*goredis.Cmd) { s.run(ctx, l, cmds) },
	}
	return l
}

// laneOf is the way to the server that has key: always the same one, except in a Cluster whose
// shape is known.
func (s *Store) laneOf(ctx context.Context, key string) *lane {
	if s.cluster == nil {
		return s.main
	}
	if _, open := s.main.breaker.state(); open {
		return s.main // do not ask for the shape either
	}
	bounded, cancel := context.WithTimeout(ctx, s.cfg.DialTimeout+s.cfg.Timeout)
	defer cancel()
	master, err := s.cluster.MasterForKey(bounded, key) // asks no server once the shape is known
	if err != nil {
		return s.main
	}
	server := master.Options().Addr
	if l, ok := s.lanes.Load(server); ok {
		return l.(*lane)
	}
	l, _ := s.lanes.LoadOrStore(server, s.newLane(server))
	return l.(*lane)
}

// once keeps the client from sending a command a second time after an error that does not
// tell whether the first was carried out.
type once struct{ *goredis.Cmd }

// NoRetry implements goredis.Cmder.
func (once) NoRetry() bool { return true }

// run sends cmds in one pipeline unless the lane's breaker is open. Each has its own outcome.
func (s *Store) run(ctx context.Context, l *lane, cmds []*goredis.Cmd) {
	probe, ok := l.breaker.allow()
	if !ok {
		s.refused.Add(int64(len(cmds)))
		for _, c := range cmds {
			c.SetErr(errOpen)
		}
		return
	}
	s.exchange(ctx, l, probe, cmds)
}

// exchange sends cmds in one pipeline, and reports the outcome to the breaker.
func (s *Store) exchange(ctx context.Context, l *lane, probe bool, cmds []*goredis.Cmd) {
	bounded, cancel := context.WithTimeout(ctx, s.cfg.DialTimeout+s.cfg.Timeout)
	defer cancel()
	pipe := s.client.Pipeline()
	for _, c := range cmds {
		_ = pipe.Process(bounded, once{c}) // only queues
	}
	begun := time.Now()
	_, err := pipe.Exec(bounded)
	took := time.Since(begun)

	s.commands.Add(int64(len(cmds)))
	s.pipelines.Add(1)
	var failed error
	answered := false
	for _, c := range cmds {
		// A login that Redis refuses fails the whole and leaves the commands without error and
		// without reply: nothing was sent, and that must not look like success.
		if c.Err() == nil && c.Val() == nil {
			c.SetErr(cmp.Or(err, errNoReply))
		}
		if err := c.Err(); err != nil && !replied(err) {
			failed = err
		} else {
			answered = true
		}
	}
	if failed != nil {
		s.failures.Add(1)
	}
	if s.cfg.Observe != nil {
		s.cfg.Observe(took, len(cmds), failed)
	}
	switch {
	case answered:
		if l.breaker.succeeded() {
			s.cfg.Log.Info("redis answers again", "server", l.server)
		}
	case errors.Is(ctx.Err(), context.Canceled): // says nothing about Redis
		l.breaker.gaveUp(probe)
	default:
		if l.breaker.failed(probe) {
			s.cfg.Log.Warn("redis does not answer", "server", l.server, "error", failed)
		}
	}
}

// one sends a command, whose first argument is a key, together with whatever else waits. A nil
// reply is goredis.Nil.
func (s *Store) one(ctx context.Context, name, key string, args ...any) (any, error) {
	cmd := goredis.NewCmd(context.Background(), append([]any{name, key}, args...)...)
	v, err := s.laneOf(ctx, key).batch.do(ctx, cmd)
	if err != nil {
		return nil, told(err)
	}
	return v, nil
}

// A script is a program that Redis runs undisturbed, and the name that Redis knows it by.
type script struct{ text, sha string }

func newScript(text string) script { return script{text, goredis.NewScript(text).Hash()} }

// A call is a script's one key and its arguments.
type call struct {
	key  string
	args []any
}

// eval runs a script for each call, in one pipeline for each server. An error leaves open
// which of the calls were carried out: as many as could be.
func (s *Store) eval(ctx context.Context, sc script, calls ...call) ([]any, error) {
	ways := make(map[*lane][]int, 1)
	for i, c := range calls {
		l := s.laneOf(ctx, c.key)
		ways[l] = append(ways[l], i)
	}
	values := make([]any, len(calls))
	var first error
	for l, way := range ways {
		cmds := make([]*goredis.Cmd, len(way))
		for n, i := range way {
			cmds[n] = sc.command(ctx, "EVALSHA", sc.sha, calls[i])
		}
		s.run(ctx, l, cmds)
		var again []*goredis.Cmd // on a server that does not know the script yet
		for n, i := range way {
			if goredis.HasErrorPrefix(cmds[n].Err(), "NOSCRIPT") {
				cmds[n] = sc.command(ctx, "EVAL", sc.text, calls[i])
				again = append(again, cmds[n])
			}
		}
		if len(again) > 0 {
			s.run(ctx, l, again)
		}
		for n, i := range way {
			v, err := cmds[n].Result()
			if err != nil && first == nil {
				first = told(err)
			}
			values[i] = v
		}
	}
	return values, first
}

func (script) command(ctx context.Context, name, program string, c call) *goredis.Cmd {
	return goredis.NewCmd(ctx, append([]any{name, program, 1, c.key}, c.args...)...)
}
