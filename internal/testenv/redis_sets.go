package testenv

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	goredis "github.com/redis/go-redis/v9"
)

// A RedisSentinel is one master with one replica, watched by one Sentinel that makes the
// replica master half a second after the master has gone.
type RedisSentinel struct {
	Name            string // of the master
	Addr            string // of the Sentinel
	Master, Replica *Redis
}

// StartRedisSentinel starts the three and waits until they know each other.
func StartRedisSentinel(t testing.TB) *RedisSentinel {
	t.Helper()
	s := &RedisSentinel{Name: "barong-test", Master: StartRedis(t, RedisConfig{})}
	host, port, _ := net.SplitHostPort(s.Master.Addr)
	s.Replica = StartRedis(t, RedisConfig{Args: []string{"--replicaof", host + " " + port}})
	until(t, "the replica follows", s.Replica.output, func(ctx context.Context) bool {
		c := s.Replica.Client()
		defer c.Close()
		return strings.Contains(c.Info(ctx, "replication").Val(), "master_link_status:up")
	})

	dir, own := t.TempDir(), freePort(t)
	s.Addr = net.JoinHostPort("127.0.0.1", own)
	conf := filepath.Join(dir, "sentinel.conf") // it writes into this file
	must(t, os.WriteFile(conf, fmt.Appendf(nil, `bind 127.0.0.1
port %s
dir %s
sentinel monitor %[3]s %s %s 1
sentinel down-after-milliseconds %[3]s 500
sentinel failover-timeout %[3]s 2000
`, own, dir, s.Name, host, port), 0o600))
	watcher := &Redis{Addr: s.Addr}
	watcher.start(t, dir, conf, "--sentinel")
	until(t, "the Sentinel knows the replica", watcher.output, func(ctx context.Context) bool {
		c := goredis.NewSentinelClient(&goredis.Options{Addr: s.Addr})
		defer c.Close()
		replicas, err := c.Replicas(ctx, s.Name).Result()
		return err == nil && len(replicas) == 1 && !strings.Contains(replicas[0]["flags"], "disconnected")
	})
	return s
}

// A RedisCluster is three masters without replicas, a third of the slots each.
type RedisCluster struct {
	Nodes []*Redis
}

// StartRedisCluster starts the three and waits until they agree on the slots of each.
func StartRedisCluster(t testing.TB) *RedisCluster {
	t.Helper()
	const slots, nodes = 16384, 3
	c := &RedisCluster{}
	buses := make([]string, nodes)
	for n := range nodes {
		buses[n] = freePort(t)
		c.Nodes = append(c.Nodes, StartRedis(t, RedisConfig{Args: []string{
			"--cluster-enabled", "yes", "--cluster-port", buses[n], "--cluster-node-timeout", "2000",
			"--cluster-require-full-coverage", "no",
		}}))
	}
	for n, node := range c.Nodes {
		client := node.Client()
		must(t, client.ClusterAddSlotsRange(t.Context(), n*slots/nodes, (n+1)*slots/nodes-1).Err())
		// Else all have the same epoch, which takes them seconds to sort out.
		must(t, client.Do(t.Context(), "CLUSTER", "SET-CONFIG-EPOCH", n+1).Err())
		client.Close()
	}
	first := c.Nodes[0].Client()
	defer first.Close()
	for n, node := range c.Nodes[1:] {
		host, port, _ := net.SplitHostPort(node.Addr)
		must(t, first.Do(t.Context(), "CLUSTER", "MEET", host, port, buses[n+1]).Err())
	}
	for _, node := range c.Nodes {
		until(t, "the cluster stands", node.output, func(ctx context.Context) bool {
			client := node.Client()
			defer client.Close()
			info := client.ClusterInfo(ctx).Val()
			return strings.Contains(info, "cluster_state:ok") &&
				strings.Contains(info, "cluster_slots_ok:"+strconv.Itoa(slots)) &&
				strings.Contains(info, "cluster_known_nodes:"+strconv.Itoa(nodes))
		})
	}
	return c
}

// Addrs are the addresses of all nodes.
func (c *RedisCluster) Addrs() []string {
	var all []string
	for _, n := range c.Nodes {
		all = append(all, n.Addr)
	}
	return all
}
