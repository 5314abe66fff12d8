package cluster_test

import (
	"context"
	"net/http"
	"testing"
	"time"

	"barong/e2e/cluster"
)

// The shipped Envoy files lose no request to the REST API while one of two replicas is dead
// and none while both are restarted in turn: with the second replica's addresses added,
// and nothing else. Only the work of a replica when it died may fail: a question to it, or a
// request other than a read; and that as JSON.
func TestRESTWithADeadReplica(t *testing.T) {
	c := cluster.Start(t, barong(t))
	for _, file := range []string{"envoy.yaml", "deploy/envoy-http.yaml"} {
		t.Run(file, func(t *testing.T) {
			url := c.Gateway(t, file)
			const people = 40
			people40 := func() *cluster.RESTLoad { return c.RunREST(context.Background(), t, url, people) }
			hold := func(d time.Duration) { time.Sleep(d) }

			well := func() bool { _, healthy := c.Health(); return healthy }
			until(t, "Envoy finds both replicas healthy", 20*time.Second, well)

			load := people40()
			hold(time.Second)
			began := time.Now()
			if err := c.B.Kill(); err != nil {
				t.Fatal(err)
			}
			// The gate may take a moment to notice the end of a connection that it sent over.
			killed := time.Now().Add(100 * time.Millisecond)
			hold(3 * time.Second)
			if err := c.B.Start(context.Background()); err != nil {
				t.Fatal(err)
			}
			until(t, "Envoy finds B healthy again", 20*time.Second, well)
			hold(500 * time.Millisecond)
			failed := load.Stop()
			underWay := 0
			for _, f := range failed {
				question := f.Body == `{"errors":["authz.unavailable"]}`
				lost := f.Method != http.MethodGet && f.Body == `{"errors":["server.internal_error"]}`
				if f.Began.Before(killed) && f.Ended.After(began) && f.Status == http.StatusServiceUnavailable &&
					f.Type == "application/json" && (question || lost) {
					underWay++
					continue
				}
				t.Errorf("while B was dead: %s", f)
			}
			if underWay > people {
				t.Errorf("%d requests were lost with B, want at most one of each of %d people", underWay, people)
			}
			report(t, "%s: REST of %d people while B was dead: %s, of which %d had been under way at it", file, people, load.Counts(), underWay)

			load = people40()
			for _, r := range c.Replicas() {
				if err := r.Stop(); err != nil {
					t.Error(err)
				}
				if err := r.Start(context.Background()); err != nil {
					t.Fatal(err)
				}
				until(t, "Envoy finds "+r.Name+" healthy again", 20*time.Second, well)
			}
			for _, f := range load.Stop() {
				t.Errorf("while both were restarted in turn: %s", f)
			}
			report(t, "%s: REST of %d people while both were restarted: %s", file, people, load.Counts())
		})
	}
}
