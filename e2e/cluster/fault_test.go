package cluster_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
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

	keys, users, permissions, networks, countries []*cluster.Grant
	// Those that revoke has not signed out, or locked over REST: both are for good.
	signedIn, unlocked []*cluster.Grant
	began              time.Time
	recovered          time.Duration // measured by the first call of healthy
}

// TestFaults breaks one part after the other under load. No answer may be wrong at any
// moment, everything must come back without a restart, and the parts that a fault does not
// touch must not feel it (design D20, D21).
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
		{"Redis brings back sessions that have ended", (*drill).redisRestored},
		{"PostgreSQL is away for less than the limit", (*drill).postgresAway},
		{"PostgreSQL stands still for longer than the limit", (*drill).postgresFrozen},
		{"PostgreSQL is stopped where it stands", (*drill).postgresPaused},
		{"PostgreSQL takes no writes", (*drill).postgresReadOnly},
		{"PostgreSQL is slow", (*drill).postgresSlow},
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
		d.countries = append(d.countries, d.Country(d.t))
		d.signedIn = append(d.signedIn, d.Session(d.t))
		d.unlocked = append(d.unlocked, d.User(d.t))
	}
	for _, g := range [][]*cluster.Grant{d.keys, d.users, d.permissions, d.networks, d.countries, d.signedIn, d.unlocked} {
		warm = append(warm, g...)
	}
	d.load = d.Run(d.t.Context(), d.model, warm)
	// The feed announces these users and keys, too, and drops the entries loaded before: at its
	// next poll, where announcements are not heard yet after the drill before. Replicas hold
	// them only when asked about them once more after that.
	d.hold(500 * time.Millisecond)
}

// end waits until everybody answers everything again, goes on for a moment and judges.
func (d *drill) end() {
	d.healthy()
	d.hold(250 * time.Millisecond)
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
		d.recovered.Round(time.Millisecond), time.Since(d.began).Round(100*time.Millisecond))
}

// healthy waits until a new session is allowed by both replicas and through the gate, and
// both call themselves ready.
func (d *drill) healthy() {
	var g *cluster.Grant
	took := until(d.t, "all is well again", 10*time.Second, func() bool {
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
	if d.recovered == 0 {
		d.recovered = took
	}
}

// hold lets the load go on.
func (d *drill) hold(t time.Duration) { time.Sleep(t) }

func (d *drill) must(err error) {
	d.t.Helper()
	if err != nil {
		d.t.Fatal(err)
	}
}

// none fails when any of these answers were given about grants that replicas hold.
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

// revoke takes one of each away through A, and signs somebody out and locks somebody for good.
func (d *drill) revoke(i int) {
	d.t.Helper()
	ctx := d.t.Context()
	if len(d.signedIn) > 1 {
		d.must(d.SignOut(ctx, d.A, d.signedIn[0]))
		d.signedIn = d.signedIn[1:]
	}
	if len(d.unlocked) > 1 {
		d.must(d.LockUser(ctx, d.A, d.unlocked[0]))
		d.unlocked = d.unlocked[1:]
	}
	d.must(errors.Join(
		d.SetKey(ctx, d.keys[i], false), d.SetUser(ctx, d.users[i], false),
		d.SetPermission(ctx, d.A, d.permissions[i], false), d.SetNetwork(ctx, d.A, d.networks[i], false),
		d.SetCountry(ctx, d.A, d.countries[i], false),
	))
}

// restore gives back the grants that can be.
func (d *drill) restore(i int) {
	d.t.Helper()
	ctx := d.t.Context()
	d.must(errors.Join(
		d.SetKey(ctx, d.keys[i], true), d.SetUser(ctx, d.users[i], true),
		d.SetPermission(ctx, d.A, d.permissions[i], true), d.SetNetwork(ctx, d.A, d.networks[i], true),
		d.SetCountry(ctx, d.A, d.countries[i], true),
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
	d.hold(1500 * time.Millisecond)
	d.revoke(0) // still heard
	d.hold(cluster.Prompt)
	d.none("", cluster.Unavailable, cluster.NoAnswer)
	d.some("", true, cluster.Deny)
}

// redisPaused: cold sessions are an outage, warm ones go on.
func (d *drill) redisPaused() {
	cold := d.sessions(60)
	d.Redis.Pause(d.t)
	d.load.Cold(cold...)
	d.hold(1200 * time.Millisecond)
	d.revoke(0)
	d.hold(1200 * time.Millisecond)
	d.Redis.Resume(d.t)
	d.none("", cluster.Unavailable, cluster.NoAnswer)
	d.some("", true, cluster.Unavailable)
}

// redisKilled is both of the above: away at first, empty then.
func (d *drill) redisKilled() {
	cold := d.sessions(60)
	d.Redis.Kill()
	d.load.Cold(cold...)
	d.hold(1200 * time.Millisecond)
	d.revoke(1)
	for _, g := range cold {
		g.Forget()
	}
	d.RestartRedis()
	d.hold(1200 * time.Millisecond)
	d.none("", cluster.Unavailable, cluster.NoAnswer)
	d.some("", true, cluster.Unavailable)
}

// redisRestored: sessions that come back from an old backup of the store have ended all the same,
// also for a replica that never knew of them.
func (d *drill) redisRestored() {
	ctx := d.t.Context()
	byID, byUser := d.sessions(6), d.sessions(6)
	ended := append(slices.Clone(byID), byUser...)
	for _, g := range append(byID[:3:3], byUser[:3]...) {
		for _, by := range []string{"A", "B"} {
			d.model.Judge(g, d.Ask(ctx, by, g)) // these are warm
		}
	}
	d.Redis.Save(d.t)
	before := d.sessionRecords()
	for i := range byID {
		d.must(errors.Join(d.SignOut(ctx, d.A, byID[i]), d.EndSessions(ctx, byUser[i])))
	}
	if after := d.sessionRecords(); after >= before {
		d.t.Errorf("%d records of sessions after sign-outs, want fewer than %d", after, before)
	}
	d.Redis.Kill()
	d.RestartRedis()
	if restored := d.sessionRecords(); restored < before {
		d.t.Fatalf("%d records of sessions after the restore, want %d", restored, before)
	}
	refused := func(when string) {
		for _, g := range ended {
			for _, by := range []string{"A", "B", cluster.Gate} {
				var a cluster.Answer
				until(d.t, by+" decides "+when, 5*time.Second, func() bool {
					a = d.Ask(ctx, by, g)
					d.model.Judge(g, a)
					return a.Err == nil && a.Status != 503
				})
				if a.Reason != g.Refusal {
					d.t.Errorf("%s: %s said %d %q of a session that has ended, want %s", when, by, a.Status, a.Reason, g.Refusal)
				}
			}
		}
	}
	refused("after the restore")
	d.must(d.B.Kill())
	d.must(d.B.Start(context.Background()))
	refused("after a restart of B")
}

// sessionRecords is how many keys Redis has.
func (d *drill) sessionRecords() int64 {
	client := d.Redis.Client()
	defer client.Close()
	n, err := client.DBSize(d.t.Context()).Result()
	d.must(err)
	return n
}

// postgresPaused is a server that neither answers nor breaks its connections: past the limit
// an outage, and well again by itself.
func (d *drill) postgresPaused() {
	d.revoke(0)
	d.hold(500 * time.Millisecond)
	cold := d.sessions(40)
	paused := time.Now()
	d.Postgres.Pause(d.t)
	for _, by := range []string{"A", "B", cluster.Gate} {
		d.model.MustRefuse(by, paused.Add(cluster.CacheMaxStale+500*time.Millisecond), time.Time{})
	}
	d.load.Cold(cold...)
	d.hold(time.Until(paused.Add(cluster.CacheMaxStale - 800*time.Millisecond)))
	d.none("", cluster.Unavailable, cluster.NoAnswer)
	d.some("", true, cluster.Unavailable) // their owners are not known
	d.hold(2 * time.Second)
	d.some("A", false, cluster.Unavailable)
	d.some("B", false, cluster.Unavailable)
	for _, by := range []string{"A", "B", cluster.Gate} {
		d.model.MustRefuse(by, paused.Add(cluster.CacheMaxStale+500*time.Millisecond), time.Now())
	}
	d.Postgres.Resume()
	d.healthy()
	d.restore(0)
}

// postgresReadOnly: no answer acknowledges a change that was not made; replicas believe their
// caches as long as ever.
func (d *drill) postgresReadOnly() {
	ctx := d.t.Context()
	d.revoke(0)
	d.hold(500 * time.Millisecond)
	cold := d.sessions(20)
	d.must(d.Postgres.SetReadOnly(true))
	defer d.Postgres.SetReadOnly(false)
	d.hold(300 * time.Millisecond) // every connection of the server takes it up
	for what, change := range map[string]func() error{
		"a permission":        func() error { return d.SetPermission(ctx, d.A, d.permissions[1], false) },
		"the lock of a user":  func() error { return d.LockUser(ctx, d.A, d.unlocked[0]) },
		"a sign-out":          func() error { return d.SignOut(ctx, d.A, d.signedIn[0]) },
		"a country's closing": func() error { return d.SetCountry(ctx, d.A, d.countries[1], false) },
	} {
		if err := change(); err == nil || !strings.Contains(err.Error(), "503 Service Unavailable") {
			d.t.Errorf("%s while nothing can be written: got %v, want 503", what, err)
		}
	}
	d.load.Cold(cold...)
	d.hold(cluster.CacheMaxStale - 1500*time.Millisecond)
	d.none("", cluster.Unavailable, cluster.NoAnswer)
	d.must(d.Postgres.SetReadOnly(false))
	d.healthy()
	d.revoke(1)
	d.restore(0)
}

// postgresSlow: every exchange takes 40 ms, then 150 ms, a transaction several of them. Warm
// decisions do not feel it, and a revoked grant is refused in the time that it takes to hear
// of the change.
func (d *drill) postgresSlow() {
	ctx := d.t.Context()
	slow := func(delay time.Duration) {
		for _, r := range d.Replicas() {
			r.Database.Slow(delay)
		}
	}
	defer slow(0)
	d.model.Within(cluster.CacheMaxStale + cluster.Prompt)
	slow(20 * time.Millisecond)
	d.load.Cold(d.sessions(20)...)
	began := time.Now()
	d.must(d.LockUser(ctx, d.A, d.unlocked[0]))
	locked := time.Since(began)
	d.unlocked = d.unlocked[1:]
	report(d.t, "with 40 ms for each exchange with PostgreSQL, locking a user over REST takes %s", locked.Round(time.Millisecond))
	slow(75 * time.Millisecond)
	d.load.Cold(d.sessions(20)...)
	for _, x := range []struct {
		grant  *cluster.Grant
		change func(*cluster.Grant) error // past the replicas: at once
	}{
		{d.users[1], func(g *cluster.Grant) error { return d.SetUser(ctx, g, false) }},
		{d.keys[1], func(g *cluster.Grant) error { return d.SetKey(ctx, g, false) }},
	} {
		d.must(x.change(x.grant))
		took := until(d.t, "B refuses", cluster.CacheMaxStale+cluster.Prompt, func() bool {
			return d.Ask(ctx, "B", x.grant).Reason == x.grant.Refusal
		})
		report(d.t, "with 150 ms for each exchange with PostgreSQL, B refuses a revoked %s after %s", x.grant.Name, took.Round(time.Millisecond))
	}
	d.hold(time.Second)
	d.none("", cluster.NoAnswer)
	for _, g := range []*cluster.Grant{d.keys[2], d.users[2], d.networks[2], d.countries[2], d.permissions[2]} {
		if n := d.model.Felt(g); n > 0 {
			d.t.Errorf("%d questions about a %s that nobody changed got no decision, want none", n, g.Name)
		}
	}
	slow(0)
	d.hold(cluster.Prompt)
	d.model.Within(cluster.Prompt)
}

// postgresAway: nothing can be revoked, and replicas believe their caches.
func (d *drill) postgresAway() {
	d.revoke(0)
	d.hold(500 * time.Millisecond) // heard, and read again
	d.must(d.Postgres.Stop())
	d.hold(cluster.CacheMaxStale - 2*time.Second)
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
	d.hold(time.Until(frozen.Add(cluster.CacheMaxStale - 800*time.Millisecond)))
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
	d.hold(cluster.CacheMaxStale + time.Second)
	d.restore(0)
	d.revoke(1)
	before := d.failed()
	d.hold(time.Second)
	if after := d.failed(); after != before {
		health, _ := d.Health()
		d.t.Errorf("%d requests through the gate failed 2 s and more after B said that it cannot know, %d before; Envoy:\n%s",
			after-before, before, health)
	}
	d.none("A", cluster.Unavailable, cluster.NoAnswer)
	d.some("B", false, cluster.Unavailable)
	d.model.MustRefuse("B", parted.Add(cluster.CacheMaxStale+500*time.Millisecond), time.Now())
	// The database comes back slow: a snapshot takes longer to read than the feed.
	d.B.Database.Slow(10 * time.Millisecond)
	d.must(d.B.Database.Mend())
	mended := time.Now()
	late := d.permissions[1]
	var first cluster.Answer
	until(d.t, "B decides again", 10*time.Second, func() bool {
		first = d.Ask(d.t.Context(), "B", late)
		return first.Err == nil && first.Status != 503
	})
	if first.Reason != late.Refusal {
		d.t.Errorf("B's first decision after it was apart is %d %q: by the policy of before; want %s", first.Status, first.Reason, late.Refusal)
	}
	decides := time.Since(mended)
	d.B.Database.Slow(0)
	d.healthy()
	report(d.t, "B decided again %s after the cable was mended, by the new policy, and was well after %s",
		decides.Round(time.Millisecond), time.Since(mended).Round(time.Millisecond))
	d.hold(cluster.Prompt)
	d.model.Within(cluster.Prompt)
}

// killed: the gate goes on with the other.
func (d *drill) killed() {
	d.revoke(0)
	storm := d.storm()
	d.hold(500 * time.Millisecond)
	d.must(d.B.Kill())
	d.hold(1500 * time.Millisecond)
	asked := storm()
	before := d.failed()
	d.load.Cold(d.sessions(20)...)
	d.hold(1500 * time.Millisecond)
	if after := d.failed(); after != before {
		d.t.Errorf("%d requests through the gate failed 1.5 s and more after the kill", after-before)
	}
	report(d.t, "through the gate %d of %d requests failed when B was killed", before, asked)
	// Those that B had been asked about are lost; all later ones go to A.
	if before > int(asked)/25 {
		d.t.Errorf("that is more than were under way")
	}
	d.none("A", cluster.Unavailable, cluster.NoAnswer)
	d.must(d.B.Start(context.Background()))
	d.revoke(1)
}

// storm asks through the gate as fast as it answers; stop ends it and says how often.
func (d *drill) storm() (stop func() int64) {
	ctx, cancel := context.WithCancel(d.t.Context())
	var workers sync.WaitGroup
	var asked atomic.Int64
	for i := range 16 {
		g := d.keys[i%len(d.keys)]
		workers.Go(func() {
			for ctx.Err() == nil {
				d.model.Judge(g, d.Ask(context.WithoutCancel(ctx), cluster.Gate, g))
				asked.Add(1)
			}
		})
	}
	return func() int64 {
		cancel()
		workers.Wait()
		return asked.Load()
	}
}

// failed counts requests through the gate without a decision.
func (d *drill) failed() int {
	return d.model.Count(cluster.Gate, false, cluster.Unavailable, cluster.NoAnswer) +
		d.model.Count(cluster.Gate, true, cluster.Unavailable, cluster.NoAnswer)
}

// rolling: no request through the gate fails, neither a decision nor one to the REST API.
func (d *drill) rolling() {
	people := d.RunREST(context.Background(), d.t, d.Gate, 3)
	for i, r := range d.Replicas() {
		d.must(r.Stop())
		d.must(r.Start(context.Background()))
		d.hold(1500 * time.Millisecond) // Envoy's next health check
		d.revoke(i)
	}
	for _, f := range people.Stop() {
		d.t.Errorf("REST: %s", f)
	}
	report(d.t, "REST through the gate while both were restarted: %s", people.Counts())
	if n := d.failed(); n > 0 {
		d.t.Errorf("%d requests through the gate failed, want none", n)
	}
}
