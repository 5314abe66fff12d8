package testenv_test

import (
	"testing"

	"barong/internal/testenv"
)

func TestRedisServersStart(t *testing.T) {
	for name, start := range map[string]func(testing.TB){
		"plain":       func(t testing.TB) { testenv.StartRedis(t, testenv.RedisConfig{}) },
		"with a user": func(t testing.TB) { testenv.StartRedis(t, testenv.RedisConfig{Username: "u", Password: "p"}) },
		"with TLS": func(t testing.TB) {
			testenv.StartRedis(t, testenv.RedisConfig{TLS: testenv.NewCertificates(t, "redis.test")})
		},
		"with Sentinel": func(t testing.TB) { testenv.StartRedisSentinel(t) },
		"as a cluster":  func(t testing.TB) { testenv.StartRedisCluster(t) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			start(t)
		})
	}
}
