package cluster_test

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"barong/e2e/cluster"
)

// The shipped files lose no request to the REST API while one of two replicas is dead
// and none while both are restarted in turn: with the second replica's addresses added,
// and nothing else. Only the work of a replica when it died may fail: a question to it, or a
// request other than a read; and that as JSON.
func TestRESTWithADeadReplica(t *testing.T) {
	c := cluster.Start(t, barong(t))
	for _, file := range []string{"envoy.yaml", "deploy/envoy-http.yaml", "deploy/nginx.conf", "deploy/Caddyfile"} {
		t.Run(file, func(t *testing.T) {
			url := c.Gateway(t, file)
			const people = 40
			people40 := func() *cluster.RESTLoad { return c.RunREST(context.Background(), t, url, people) }
			hold := func(d time.Duration) { time.Sleep(d) }

			// Envoy asks the replicas; nginx and Caddy try one that failed again after two seconds.
			asks := strings.Contains(file, "envoy")
			well := func() bool { _, healthy := c.Health(); return healthy }
			settle := func(name string) {
				t.Helper()
				if !asks {
					hold(2500 * time.Millisecond)
					return
				}
				until(t, "Envoy finds "+name+" healthy", 20*time.Second, well)
			}
			settle("both")

			load := people40()
			hold(time.Second)
			began := time.Now()
			if err := c.B.Kill(); err != nil {
				t.Fatal(err)
			}
			// The gate may take a moment to notice the end of a connection that it sent over.
			killed := time.Now().Add(map[bool]time.Duration{true: 100 * time.Millisecond, false: 300 * time.Millisecond}[asks])
			hold(3 * time.Second)
			if err := c.B.Start(context.Background()); err != nil {
				t.Fatal(err)
			}
			settle("B")
			hold(500 * time.Millisecond)
			failed := load.Stop()
			underWay := 0
			for _, f := range failed {
				writes := f.Method != http.MethodGet
				asJSON := f.Status == http.StatusServiceUnavailable && f.Type == "application/json" &&
					(f.Body == `{"errors":["authz.unavailable"]}` || writes && f.Body == `{"errors":["server.internal_error"]}`)
				ofCaddy := strings.HasSuffix(file, "Caddyfile") && writes && f.Status >= 500 && f.Body == ""
				noticed := killed
				if ofCaddy { // which looks after its replicas each second: until then it may find none for a write
					noticed = killed.Add(1200 * time.Millisecond)
				}
				if f.Began.Before(noticed) && f.Ended.After(began) && (asJSON || ofCaddy) {
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
				settle(r.Name)
			}
			// A proxy that does not ask learns by a request that a replica has gone, and may not send
			// one again that writes: of each person one for each replica at the very most.
			failed = load.Stop()
			for _, f := range failed {
				if asks || f.Method == http.MethodGet || len(failed) > people/4 {
					t.Errorf("while both were restarted in turn: %s", f)
				}
			}
			report(t, "%s: REST of %d people while both were restarted: %s", file, people, load.Counts())
		})
	}
}
