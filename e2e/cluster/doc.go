// Package cluster runs Barong the way it is run for real: two replicas on one PostgreSQL
// and one Redis behind one Envoy, all of them on this machine. It breaks the parts one by
// one under load, while a model that knows every committed change judges every answer.
//
//	go test ./e2e/cluster          the tests
//	BARONG_FAILOVER_ROUNDS=200 go test ./e2e/cluster -run Failover -timeout 3h
//	                           400 more failovers by chance
//	go run ./e2e/cluster/demo      the same, in plain words (make demo-cluster)
package cluster
