package cluster_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"barong/e2e/cluster"
)

// A drill is a cluster under load with the model that judges it.
type drill struct {
	*cluster.Cluster
	t     *testing.T
	model *cluster.Model
	load  *cluster.Load

	keys, users, permissions, networks []*cluster.Grant
	signedIn                           []*cluster.Grant // those that revoke has not signed out
	began                              time.Time
}

// TestFaults breaks one part after the other under load. No answer may be wrong at any
// moment (design D20, D21), everything must come back without a restart, and what a fault
// does not touch must not feel it.
func TestFaults(t *testing.T) {
	c := cluster.Start(t, barong(t))
	for _, s := range []struct {
		name string
		run  func(*drill)
	}{
		{"nothing is broken, changes every moment", (*drill).calm},
		{"Redis loses everything", (*drill).redisFlushed},
		{"Redis stands still", (*drill).redisPaused},
		{"Redis is killed and comes back empty", (*drill).redisKilled},
		{"PostgreSQL is away for less than the limit", (*drill).postgresAway},
		{"PostgreSQL stands still for longer than the limit", (*drill).postgresFrozen},
		{"B is cut off from PostgreSQL", (*drill).cutOff},
		{"B hears nothing of PostgreSQL without an error", (*drill).blackHole},
		{"B is killed", (*drill).killed},
		{"both are restarted in turn", (*drill).rolling},
	} {
		t.Run(s.name, func(t *testing.T) {
			d := &drill{Cluster: c, t: t, model: cluster.NewModel(), began: time.Now()}
			d.begin()
			s.run(d)
			d.end()
		})
	}
}

// begin makes fresh grants and starts the load.
func (d *drill) begin() {
	var warm []*cluster.Grant
	for range 3 {
		d.keys = append(d.keys, d.Key(d.t))
		d.users = append(d.users, d.User(d.t))
		d.permissions = append(d.permissions, d.Permission(d.t))
		d.networks = append(d.networks, d.Network(d.t))
		d.signedIn = append(d.signedIn, d.Session(d.t))
	}
	for _, g := range [][]*cluster.Grant{d.keys, d.users, d.permissions, d.networks, d.signedIn} {
		warm = append(warm, g...)
	}
	d.load = d.Run(d.t.Context(), d.model, warm)
	// The feed tells of these users and keys, too, and drops what was loaded before it did: at
	// its next poll, where announcements are not heard yet after the drill before. Only then
	// and asked about once more do replicas hold them.
	d.hold(750 * time.Millisecond)
}

// end waits until everybody answers everything again, goes on for a moment and judges.
func (d *drill) end() {
	healthy := d.healthy()
	time.Sleep(500 * time.Millisecond)
	d.load.Stop()
	for _, w := range d.model.Wrong() {
		d.t.Errorf("wrong: %s", w)
	}
	if d.t.Failed() {
		for _, by := range []string{"A", cluster.Gate} {
			for _, l := range d.model.Lost(by) {
				d.t.Log(l)
			}
		}
	}
	report(d.t, "%s: %s; healthy again after %s; %s in all", d.t.Name()[len("TestFaults/"):], d.model.Counts(),
		healthy.Round(time.Millisecond), time.Since(d.began).Round(100*time.Millisecond))
}

// healthy is how long from now it takes until a new session is allowed by both replicas and
// through the gate, and both call themselves ready.
func (d *drill) healthy() time.Duration {
	var g *cluster.Grant
	return until(d.t, "all is well again", 10*time.Second, func() bool {
		if !d.A.Ready() || !d.B.Ready() {
			return false
		}
		if g == nil {
			g = d.Session(d.t)
		}
		for _, by := range []string{"A", "B", cluster.Gate} {
			if d.Ask(d.t.Context(), by, g).Status != 200 {
				return false
			}
		}
		return true
	})
}

// hold lets the load go on.
func (d *drill) hold(t time.Duration) { time.Sleep(t) }

func (d *drill) must(err error) {
	d.t.Helper()
	if err != nil {
		d.t.Fatal(err)
	}
}

// none fails when any of these answers were given about what replicas hold.
func (d *drill) none(by string, said ...string) {
	d.t.Helper()
	if n := d.model.Count(by, false, said...); n > 0 {
		d.t.Errorf("%d warm answers of %q were %v, want none", n, by, said)
	}
}

// some fails when no such answer was given.
func (d *drill) some(by string, cold bool, said string) {
	d.t.Helper()
	if d.model.Count(by, cold, said) == 0 {
		d.t.Errorf("no answer of %q (cold %t) was %s, want some", by, cold, said)
	}
}

// sessions opens sessions that no replica has seen.
func (d *drill) sessions(n int) []*cluster.Grant {
	all := make([]*cluster.Grant, n)
	for i := range all {
		all[i] = d.Session(d.t)
	}
	return all
}

// revoke takes one of each away through A, and signs somebody out for good.
func (d *drill) revoke(i int) {
	d.t.Helper()
	ctx := d.t.Context()
	if len(d.signedIn) > 1 {
		d.must(d.SignOut(ctx, d.A, d.signedIn[0]))
		d.signedIn = d.signedIn[1:]
	}
	d.must(errors.Join(
		d.SetKey(ctx, d.keys[i], false), d.SetUser(ctx, d.users[i], false),
		d.SetPermission(ctx, d.A, d.permissions[i], false), d.SetNetwork(ctx, d.A, d.networks[i], false),
	))
}

// restore gives back what can be.
func (d *drill) restore(i int) {
	d.t.Helper()
	ctx := d.t.Context()
	d.must(errors.Join(
		d.SetKey(ctx, d.keys[i], true), d.SetUser(ctx, d.users[i], true),
		d.SetPermission(ctx, d.A, d.permissions[i], true), d.SetNetwork(ctx, d.A, d.networks[i], true),
	))
}

func (d *drill) calm() {
	for range 2 {
		for i := range d.keys {
			d.revoke(i)
			d.load.Cold(d.sessions(5)...)
			d.hold(300 * time.Millisecond)
			d.restore(i)
		}
	}
	d.none("", cluster.Unavailable, cluster.NoAnswer)
}

// redisFlushed: sessions that replicas hold go on; the others are gone, which is said.
func (d *drill) redisFlushed() {
	cold := d.sessions(40)
	for _, g := range cold {
		g.Forget()
	}
	client := d.Redis.Client()
	defer client.Close()
	d.must(client.FlushAll(d.t.Context()).Err())
	d.load.Cold(cold...)
	d.hold(2500 * time.Millisecond)
	d.revoke(0) // still heard
	d.hold(1500 * time.Millisecond)
	d.none("", cluster.Unavailable, cluster.NoAnswer)
	d.some("", true, cluster.Deny)
}

// redisPaused: cold sessions are an outage, warm ones go on.
func (d *drill) redisPaused() {
	cold := d.sessions(60)
	d.Redis.Pause(d.t)
	d.load.Cold(cold...)
	d.hold(1500 * time.Millisecond)
	d.revoke(0)
	d.hold(1500 * time.Millisecond)
	d.Redis.Resume(d.t)
	d.none("", cluster.Unavailable, cluster.NoAnswer)
	d.some("", true, cluster.Unavailable)
}

// redisKilled is both of the above: away at first, empty then.
func (d *drill) redisKilled() {
	cold := d.sessions(60)
	d.Redis.Kill()
	d.load.Cold(cold...)
	d.hold(1500 * time.Millisecond)
	d.revoke(1)
	for _, g := range cold {
		g.Forget()
	}
	d.RestartRedis()
	d.hold(1500 * time.Millisecond)
	d.none("", cluster.Unavailable, cluster.NoAnswer)
	d.some("", true, cluster.Unavailable)
}

// postgresAway: nothing can be revoked, and what replicas hold is believed.
func (d *drill) postgresAway() {
	d.revoke(0)
	d.hold(500 * time.Millisecond) // heard, and read again
	d.must(d.Postgres.Stop())
	d.hold(cluster.CacheMaxStale - 1500*time.Millisecond)
	d.must(d.Postgres.Start())
	d.none("", cluster.Unavailable, cluster.NoAnswer)
	d.healthy()
	d.restore(0)
}

// postgresFrozen: past the limit the answer is an outage, and nothing else.
func (d *drill) postgresFrozen() {
	frozen := time.Now()
	d.A.Database.Freeze()
	d.B.Database.Freeze()
	for _, by := range []string{"A", "B", cluster.Gate} {
		d.model.MustRefuse(by, frozen.Add(cluster.CacheMaxStale+500*time.Millisecond), time.Time{})
	}
	d.hold(cluster.CacheMaxStale - 500*time.Millisecond)
	d.none("", cluster.Unavailable, cluster.NoAnswer)
	d.hold(2500 * time.Millisecond)
	d.some("A", false, cluster.Unavailable)
	d.some("B", false, cluster.Unavailable)
	mended := time.Now()
	for _, by := range []string{"A", "B", cluster.Gate} {
		d.model.MustRefuse(by, frozen.Add(cluster.CacheMaxStale+500*time.Millisecond), mended)
	}
	d.must(errors.Join(d.A.Database.Mend(), d.B.Database.Mend()))
}

// cutOff and blackHole: A goes on and takes changes. B acts by them at the latest when it
// says that it cannot know: then the gate asks A alone.
func (d *drill) cutOff() { d.apart(d.B.Database.Cut) }

func (d *drill) blackHole() { d.apart(d.B.Database.Freeze) }

func (d *drill) apart(part func()) {
	d.model.Within(cluster.CacheMaxStale + cluster.Prompt)
	parted := time.Now()
	part()
	d.model.MustRefuse("B", parted.Add(cluster.CacheMaxStale+500*time.Millisecond), time.Time{})
	d.hold(500 * time.Millisecond)
	d.revoke(0)
	d.load.Cold(d.sessions(20)...)
	d.hold(cluster.CacheMaxStale + 1500*time.Millisecond)
	d.restore(0)
	d.revoke(1)
	before := d.failed()
	d.hold(time.Second)
	if after := d.failed(); after != before {
		d.t.Errorf("%d requests through the gate failed 2 s and more after B said that it cannot know, %d before; Envoy:\n%s",
			after-before, before, d.Health())
	}
	d.none("A", cluster.Unavailable, cluster.NoAnswer)
	d.some("B", false, cluster.Unavailable)
	d.model.MustRefuse("B", parted.Add(cluster.CacheMaxStale+500*time.Millisecond), time.Now())
	d.must(d.B.Database.Mend())
	mended := time.Now()
	took := d.healthy()
	late := d.permissions[1]
	until(d.t, "B acts by the new policy", cluster.Prompt, func() bool {
		return d.Ask(d.t.Context(), "B", late).Reason == late.Refusal
	})
	report(d.t, "B was well %s after the cable was mended, and acted by the new policy after %s",
		took.Round(time.Millisecond), time.Since(mended).Round(time.Millisecond))
	d.hold(cluster.Prompt)
	d.model.Within(cluster.Prompt)
}

// killed: the gate goes on with the other.
func (d *drill) killed() {
	d.revoke(0)
	d.must(d.B.Kill())
	d.hold(1500 * time.Millisecond)
	before := d.failed()
	d.load.Cold(d.sessions(20)...)
	d.hold(1500 * time.Millisecond)
	if after := d.failed(); after != before {
		d.t.Errorf("%d requests through the gate failed 1.5 s and more after the kill", after-before)
	}
	report(d.t, "through the gate %d requests failed when B was killed", before)
	d.none("A", cluster.Unavailable, cluster.NoAnswer)
	d.must(d.B.Start(context.Background()))
	d.revoke(1)
}

// failed counts requests through the gate without a decision.
func (d *drill) failed() int {
	return d.model.Count(cluster.Gate, false, cluster.Unavailable, cluster.NoAnswer) +
		d.model.Count(cluster.Gate, true, cluster.Unavailable, cluster.NoAnswer)
}

// rolling: no request through the gate fails.
func (d *drill) rolling() {
	for i, r := range d.Replicas() {
		d.must(r.Stop())
		d.must(r.Start(context.Background()))
		d.hold(1500 * time.Millisecond) // Envoy's next health check
		d.revoke(i)
	}
	if n := d.failed(); n > 0 {
		d.t.Errorf("%d requests through the gate failed, want none", n)
	}
}
