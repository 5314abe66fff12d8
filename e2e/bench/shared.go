package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"time"

	"barong/internal/apikey"
	"barong/internal/secret"
	"barong/internal/store/redis"
	"barong/internal/testenv"
)

// servers are a PostgreSQL and a Redis of ours, on the client's processor: their use is no part
// of a row's CPU.
type servers struct {
	postgres *testenv.Server
	redis    *testenv.Redis
}

// errNoServers says that this machine has no PostgreSQL or no Redis.
var errNoServers = errors.New("no PostgreSQL or no Redis")

// sharedPlace is an empty database of that name, and Redis, in servers that start at the first
// call and end with the rig.
func (r *rig) sharedPlace(ctx context.Context, name string) (place, error) {
	if r.servers == nil {
		redis.LogTo(slog.New(slog.DiscardHandler)) // of connections that fail while a server starts
		s := new(servers)
		err := r.stage.Do(func() {
			s.postgres = testenv.StartPostgres(r.stage, testenv.PostgresConfig{})
			s.redis = testenv.StartRedis(r.stage, testenv.RedisConfig{})
		})
		if err != nil {
			return place{}, fmt.Errorf("%w: %w", errNoServers, err)
		}
		r.servers = s
	}
	if err := r.servers.postgres.Exec(ctx, "postgres", `CREATE DATABASE `+name); err != nil {
		return place{}, err
	}
	return place{database: r.servers.postgres.URL(name), redis: "redis://" + r.servers.redis.Addr}, nil
}

// gets is how many GET commands Redis has had, by its own count.
func (s *servers) gets(ctx context.Context) (float64, error) {
	client := s.redis.Client()
	defer client.Close()
	text, err := client.Info(ctx, "commandstats").Result()
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(text) {
		if rest, ok := strings.CutPrefix(line, "cmdstat_get:calls="); ok {
			calls, _, _ := strings.Cut(rest, ",")
			return strconv.ParseFloat(calls, 64)
		}
	}
	return 0, nil
}

// coldStormShared is coldStorm on PostgreSQL and Redis.
func (r *rig) coldStormShared(ctx context.Context, o options) error {
	f, err := r.fixture(ctx, shared)
	if err != nil {
		return err
	}
	loads, err := f.metric("barong_session_loads_total")
	if err != nil {
		return err
	}
	res, reads, err := f.storm(ctx, o, func() (float64, error) { return r.servers.gets(ctx) })
	if err != nil {
		return err
	}
	after, err := f.metric("barong_session_loads_total")
	if err != nil {
		return err
	}
	fmt.Printf("%d cold sessions from Redis (and users from PostgreSQL), 1,000 in flight: %.1f s, %.2f loads and %.2f reads at Redis each, %d not allowed, p50 %s, p99 %s\n",
		res.sent, res.elapsed.Seconds(), (after-loads)/float64(res.sent), reads, res.wrong, ms(res.quantile(.5)), ms(res.quantile(.99)))
	return nil
}

// readyMillion is ready on a PostgreSQL with many accounts, which then answers for them.
func (r *rig) readyMillion(ctx context.Context, o options) error {
	const users, keys = 1_000_000, 100_000
	const database = "bench_accounts"
	at, err := r.sharedPlace(ctx, database)
	if err != nil {
		return err
	}
	began := time.Now()
	w, err := populateAccounts(ctx, at, users, keys, func(statement string, args ...any) error {
		return r.servers.postgres.Exec(ctx, database, statement, args...)
	})
	if err != nil {
		return fmt.Errorf("populate: %w", err)
	}
	made := time.Since(began)
	const name = "barong-accounts"
	p, err := r.startBarong(ctx, name, w) // makes the signing keys
	if err != nil {
		return err
	}
	f := &fixture{p, w}
	took, resident, err := r.restart(ctx, f, name)
	if err != nil {
		return err
	}
	c, err := dial(f.grpc, o.conns)
	if err != nil {
		return err
	}
	defer c.close()
	res, err := c.closed(ctx, w.keyed, []byte("Bearer "), o.workers, 0, true)
	if err != nil {
		return err
	}
	if res.wrong > 0 {
		return fmt.Errorf("%d wrong answers, such as %q", res.wrong, res.example)
	}
	fmt.Printf("ready after a restart, PostgreSQL with %d users and %d API keys, and Redis: median %.0f ms (%.0f–%.0f) of %d, RSS %s then (made in %.0f s)\n",
		users, keys, median(took), slices.Min(took), slices.Max(took), len(took), mib(int64(median(resident))), made.Seconds())
	return nil
}

// populateAccounts makes a PostgreSQL database with that many users and API keys, a key for
// every so many users, and questions about a thousand of them. exec runs a statement there.
func populateAccounts(
	ctx context.Context, at place, users, keys int, exec func(statement string, args ...any) error,
) (world, error) {
	w, db, err := newWorld(ctx, at)
	if err != nil {
		return w, err
	}
	defer db.Close()
	if err := addRules(ctx, db, 100); err != nil {
		return w, err
	}
	sealer, err := secret.NewSealer(w.key)
	if err != nil {
		return w, err
	}
	now := time.Now().UnixMicro()
	err = exec(`
		INSERT INTO users (uid, email, password_digest, role, level, otp, state, created_at, updated_at)
		SELECT 'IDBM' || lpad(i::text, 8, '0'), 'user' || i || '@bench.example', 'unusable', 'member', 3, TRUE, 'active', $2, $2
		FROM generate_series(1, $1) AS i`, users, now)
	if err != nil {
		return w, fmt.Errorf("add users: %w", err)
	}
	const batch = 10_000
	for from := 0; from < keys; from += batch {
		var uuids, kids, holders []string
		var secrets [][]byte
		for i := from; i < min(from+batch, keys); i++ {
			uuid, kid, text := secret.Hex(16), secret.Hex(8), secret.Hex(16)
			sealed, err := sealer.Seal([]byte(text), "apikeys", "secret", uuid)
			if err != nil {
				return w, err
			}
			if i%(keys/principals) == 0 {
				w.keyed = append(w.keyed, question("GET", allowedPath, clientIP, signed(kid, text)))
			}
			uuids, kids, secrets = append(uuids, uuid), append(kids, kid), append(secrets, sealed)
			holders = append(holders, fmt.Sprintf("IDBM%08d", 1+i*(users/keys)))
		}
		err := exec(`
			INSERT INTO apikeys (uuid, kid, secret, user_id, algorithm, state, created_at, updated_at)
			SELECT k.uuid, k.kid, k.secret, u.id, $5, $6, $7, $7
			FROM unnest($1::text[], $2::text[], $3::bytea[], $4::text[]) AS k (uuid, kid, secret, holder)
			JOIN users u ON u.uid = k.holder`,
			uuids, kids, secrets, holders, apikey.HS256, apikey.Active, now)
		if err != nil {
			return w, fmt.Errorf("add API keys: %w", err)
		}
	}
	// As a server keeps itself that does not have it switched off.
	if err := exec(`VACUUM ANALYZE`); err != nil {
		return w, fmt.Errorf("analyze: %w", err)
	}
	return w, nil
}
