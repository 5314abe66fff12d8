// Package cluster runs Barong the way it is run for real: two replicas on one PostgreSQL
// and one Redis behind one Envoy, all of them on this machine. It breaks the parts one by
// one under load, while a model that knows every committed change judges every answer.
//
//	go test ./e2e/cluster          the tests
//	BARONG_FAILOVER_ROUNDS=200 go test ./e2e/cluster -run Failover/seed -timeout 3h -v
//	                           400 more failovers by chance; the name of each has its seed
//	BARONG_FAILOVER_ROUNDS=1 BARONG_FAILOVER_SEED=N go test ./e2e/cluster -run Failover/seed -v
//	                           the one of seed N again
//	go run ./e2e/cluster/demo      the same, in plain words (make demo-cluster)
package cluster
