package redis_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"barong/internal/store/redis"
	"barong/internal/testenv"
)

const password = "hunter2hunter2"

func TestWrongSettingsAreToldWithoutPasswords(t *testing.T) {
	secret := "redis://u:" + password + "@"
	for name, c := range map[string]struct {
		cfg  redis.Config
		want string
	}{
		"no URL":                   {redis.Config{}, "the URL is not redis://"},
		"another scheme":           {redis.Config{URL: "http://u:" + password + "@h"}, "the URL is not redis://"},
		"a port that is no number": {redis.Config{URL: secret + "h:x" + password}, "the URL is not redis://"},
		"a database that is none":  {redis.Config{URL: secret + "h/x"}, "the URL is not redis://"},
		"a negative database":      {redis.Config{URL: secret + "h/-1"}, "the URL is not redis://"},
		"parameters":               {redis.Config{URL: secret + "h?x=1"}, "the URL is not redis://"},
		"a bad escape":             {redis.Config{URL: "redis://u:" + password + "%zz@h"}, "the URL is not redis://"},
		"a user alone":             {redis.Config{URL: "redis://u@h"}, "the URL is not redis://"},
		"no host":                  {redis.Config{URL: "redis:"}, "no host"},
		"a port alone":             {redis.Config{URL: "redis://:6379"}, "the URL is not redis://"},
		"two passwords":            {redis.Config{URL: secret + "h", Password: password}, "in the URL and beside it"},
		"certificates without TLS": {redis.Config{URL: "redis://h", CA: "ca.pem"}, "rediss://"},
		"a certificate, no key":    {redis.Config{URL: "rediss://h", Cert: "c.pem"}, "go together"},
		"Sentinels, no master":     {redis.Config{URL: "redis:", Sentinels: []string{"h:1"}}, "name of the master"},
		"a master, no Sentinels":   {redis.Config{URL: "redis:", Master: "m"}, "name of the master"},
		"Sentinels and a host":     {redis.Config{URL: secret + "h", Sentinels: []string{"h:1"}, Master: "m"}, "where the master is"},
		"Sentinels and a Cluster":  {redis.Config{URL: "redis:", Sentinels: []string{"h:1"}, Master: "m", Cluster: []string{"h:2"}}, "cannot both"},
		"a Cluster's database":     {redis.Config{URL: "redis:///3", Cluster: []string{"h:2"}}, "no database but 0"},
		"an address without port":  {redis.Config{URL: "redis:", Cluster: []string{"h"}}, `"h" is no host:port`},
		"a hash tag as prefix":     {redis.Config{URL: "redis://h", Prefix: "{x}"}, "braces"},
		"no such CA":               {redis.Config{URL: "rediss://h", CA: "/no/such/file", Password: password}, "read the CA"},
		"no such certificate":      {redis.Config{URL: "rediss://h", Cert: "/no/such", Key: "/no/such", Password: password}, "read our certificate"},
	} {
		_, err := redis.Open(t.Context(), complete(c.cfg))
		if err == nil || !strings.Contains(err.Error(), c.want) || redis.Unavailable(err) {
			t.Errorf("%s: got %v, want %q", name, err, c.want)
		}
		if err != nil && strings.Contains(err.Error(), password) {
			t.Errorf("%s: the error tells the password: %v", name, err)
		}
	}
}

// The defaults stand in the settings: a Config that lacks one is refused, and the error says which.
func TestAnIncompleteConfigIsRefused(t *testing.T) {
	if err := shipped("redis://h").Validate(); err != nil {
		t.Errorf("the default settings: %v", err)
	}
	for want, drop := range map[string]func(*redis.Config){
		"for a connection":  func(c *redis.Config) { c.DialTimeout = 0 },
		"for an exchange":   func(c *redis.Config) { c.Timeout = 0 },
		"pool":              func(c *redis.Config) { c.PoolSize = 0 },
		"prefix":            func(c *redis.Config) { c.Prefix = "" },
		"life of a session": func(c *redis.Config) { c.SessionLife = 0 },
	} {
		c := shipped("redis://h")
		drop(&c)
		if err := c.Validate(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want an error about %q", err, want)
		}
	}
}

func TestFormattingAConfigShowsNoPassword(t *testing.T) {
	var log bytes.Buffer
	logger := slog.New(slog.NewJSONHandler(&log, nil))
	for _, cfg := range []redis.Config{
		{URL: "redis://u:" + password + "@h:1/2"},
		{URL: "redis://:" + password + "@h:1"},
		{URL: "redis://h:x:" + password},
		{URL: "redis:", Password: password, SentinelPassword: password, Sentinels: []string{"s:1"}, Master: "m"},
		{URL: "redis:", Password: password, Cluster: []string{"c:1"}},
	} {
		logger.Info("opening", "redis", cfg)
		text := fmt.Sprintf("%v %+v %#v %s %q %v", cfg, cfg, cfg, cfg, cfg, &cfg) + log.String()
		if strings.Contains(text, password) {
			t.Errorf("a password in %s", text)
		}
	}
}

func TestAWrongPasswordIsToldAtOnce(t *testing.T) {
	server := testenv.StartRedis(t, testenv.RedisConfig{Username: "gate", Password: "right"})
	for name, cfg := range map[string]redis.Config{
		"of the URL":     {URL: "redis://gate:" + password + "@" + server.Addr},
		"beside it":      {URL: "redis://" + server.Addr, Username: "gate", Password: password},
		"of no user":     {URL: "redis://" + server.Addr},
		"of the default": {URL: "redis://:" + password + "@" + server.Addr},
	} {
		cfg.DialTimeout, cfg.Timeout = patient, patient
		_, err := redis.Open(t.Context(), complete(cfg))
		if err == nil || redis.Unavailable(err) {
			t.Errorf("%s: got %v, want an error that says that it will not pass", name, err)
			continue
		}
		if strings.Contains(err.Error(), password) {
			t.Errorf("%s: the error tells the password: %v", name, err)
		}
	}
}

// The client library's own lines are debug lines of ours, and know no password either.
func TestTheClientsOwnLinesGoToTheLog(t *testing.T) {
	var log bytes.Buffer
	redis.LogTo(slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug})))
	defer redis.LogTo(slog.New(slog.DiscardHandler))
	s, err := redis.Open(context.Background(), shipped("redis://u:"+password+"@127.0.0.1:1"))
	if err != nil {
		t.Fatal(err)
	}
	err = s.Ping(context.Background())
	s.Close()
	text := log.String()
	if !redis.Unavailable(err) || !strings.Contains(text, "level=DEBUG") || strings.Contains(text+err.Error(), password) {
		t.Errorf("%v, logged %s", err, text)
	}
}
