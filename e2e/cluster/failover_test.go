package cluster_test

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"barong/e2e/cluster"
	"barong/internal/account"
)

// A takeover is one failover with the model watching.
type takeover struct {
	*cluster.Failover
	t     *testing.T
	model *cluster.Model
	load  *cluster.Load
	began time.Time

	users, permissions, keys, sessions []*cluster.Grant // grants that may be taken away
	witness                            *cluster.Grant   // nobody touches it
	all                                []*cluster.Grant
	logged                             map[*cluster.Replica]int // length of the log at the beginning
	failed, gone, promoted             time.Time
}

// begin has a standby follow, with n of each grant in it that all replicas know, and asks
// about them all the time.
func begin(t *testing.T, f *cluster.Failover, n int) *takeover {
	d := &takeover{Failover: f, t: t, model: cluster.NewModel(), began: time.Now(), logged: map[*cluster.Replica]int{}}
	d.At(t)
	d.Follow()
	d.witness = d.Session(t)
	for range n {
		d.users = append(d.users, d.User(t))
		d.permissions = append(d.permissions, d.Permission(t))
		d.keys = append(d.keys, d.Key(t))
		d.sessions = append(d.sessions, d.Session(t))
	}
	d.all = slices.Concat([]*cluster.Grant{d.witness}, d.users, d.permissions, d.keys, d.sessions)
	for _, r := range d.Replicas() {
		d.logged[r] = len(r.Logged())
	}
	d.Followed()
	d.load = d.Run(t.Context(), d.model, d.all)
	t.Cleanup(d.load.Stop)
	time.Sleep(300 * time.Millisecond)
	return d
}

func (d *takeover) must(err error) {
	d.t.Helper()
	if err != nil {
		d.t.Fatal(err)
	}
}

// fail takes the primary away, and has the model expect the promise: no replica goes by lost
// changes for longer than it may believe its caches, nor by anything while there is no primary.
func (d *takeover) fail(hang bool) {
	d.t.Helper()
	d.model.Within(cluster.FailoverMaxStale + cluster.Prompt)
	d.failed, d.gone = d.Fail(hang)
	d.silence(time.Time{})
}

func (d *takeover) promote() {
	d.t.Helper()
	d.silence(time.Now())
	d.promoted = d.Promote(d.all)
}

// silence has the model expect no decision from when the caches are too old until the end, if it
// is known.
func (d *takeover) silence(end time.Time) {
	for _, r := range d.Replicas() {
		d.model.MustRefuse(r.Name, d.gone.Add(cluster.FailoverMaxStale+cluster.Prompt/2), end)
	}
}

// take takes one of each grant away in the new history, the users and permissions through a
// replica as soon as it can.
func (d *takeover) take(on *cluster.Replica, i int) {
	d.t.Helper()
	ctx := d.t.Context()
	for _, change := range []func() error{
		func() error { return d.LockUser(ctx, on, d.users[i]) },
		func() error { return d.SetPermission(ctx, on, d.permissions[i], false) },
		func() error { return d.SignOut(ctx, on, d.sessions[i]) },
		func() error { return d.SetKey(ctx, d.keys[i], false) },
		func() error { return d.EndSessions(ctx, d.sessions[i+1]) },
		func() error { return d.SetUser(ctx, d.users[i+1], false) },
	} {
		d.Insist(change)
	}
}

// end waits until nothing that was lost may be believed any more and everybody can be asked,
// goes on for a moment, and judges. It says whether all replicas have noticed.
func (d *takeover) end(writings ...*cluster.Writing) {
	d.t.Helper()
	time.Sleep(cluster.FailoverMaxStale + cluster.Prompt)
	d.allWell()
	var added []cluster.Added
	for _, w := range writings {
		added = append(added, w.Stop()...)
	}
	d.Settle(d.all)
	d.model.Within(cluster.Prompt)
	time.Sleep(cluster.Prompt + 500*time.Millisecond)
	d.load.Stop()
	d.Bury()
	for _, w := range d.model.Wrong() {
		d.t.Errorf("wrong: %s", w)
	}
	var lost, kept int
	for _, a := range d.Missing(added) {
		switch {
		case a.Begin.After(d.promoted):
			d.t.Errorf("%s, added %s after the promotion, is not in the database", a.Path, a.Begin.Sub(d.promoted))
		case a.End.Before(d.failed):
			lost++
		}
	}
	for _, a := range added {
		if a.End.Before(d.failed) {
			kept++
		}
	}
	kept -= lost
	noticed := d.noticed()
	report(d.t, "%s: of %d permissions before it %d were lost; the gap was noticed by %q; %s; %s in all",
		strings.ReplaceAll(d.t.Name(), "_", " "), kept+lost, lost, noticed, d.model.Counts(), time.Since(d.began).Round(100*time.Millisecond))
	// Beyond 20, even the last replica had a moment to hear of a lost change.
	if lost > 20 && len(noticed) != len(d.Replicas()) {
		d.t.Errorf("%d commits were lost, and only %q noticed", lost, noticed)
	}
}

// allWell waits until every replica answers as ever and is ready.
func (d *takeover) allWell() {
	d.t.Helper()
	for _, r := range d.Replicas() {
		var ready bool
		var a cluster.Answer
		began := time.Now()
		for !ready || a.Status != 200 {
			if time.Since(began) > 20*time.Second {
				d.t.Fatalf("%s is not well again after 20s: ready %t, says %d %s %v of a session that nobody touched; %d open",
					r.Name, ready, a.Status, a.Reason, a.Err, d.model.Count(r.Name, false))
			}
			ready, a = r.Ready(), d.Ask(d.t.Context(), r.Name, d.witness)
			time.Sleep(5 * time.Millisecond)
		}
	}
}

// noticed are the replicas that have said that the feed has a gap.
func (d *takeover) noticed() (names []string) {
	for _, r := range d.Replicas() {
		if strings.Contains(r.Logged()[d.logged[r]:], "revalidating everything") {
			names = append(names, r.Name)
		}
	}
	return names
}

// A fault is a way to lose a primary.
type fault struct {
	hang     bool          // its machine stands still; else it is killed
	behind   time.Duration // the standby, or frozen
	late     time.Duration // is the promotion
	oldRedis bool          // Redis comes back from an older dump at the same time
	writing  time.Duration // before it; 0 is 800 ms
}

// byChance is the fault of a seed.
func byChance(seed uint64, redis bool) fault {
	r := rand.New(rand.NewPCG(seed, 0)) //nolint:gosec // to be had again
	x := fault{
		hang:     r.IntN(2) == 0,
		behind:   time.Duration(r.IntN(501)) * time.Millisecond,
		late:     lateness[r.IntN(len(lateness))],
		oldRedis: r.IntN(3) == 0 && redis,
		writing:  time.Duration(600+r.IntN(400)) * time.Millisecond,
	}
	if r.IntN(4) == 0 {
		x.behind = frozen
	}
	return x
}

// lateness are promotions at once, before and after the caches have become too old, and after the
// policy has.
var lateness = []time.Duration{0, 300 * time.Millisecond, 1200 * time.Millisecond, cluster.FailoverMaxStale * 2, cluster.PolicyMaxStale + 2*time.Second}

// frozen is a standby that hears nothing from the beginning of the changes on.
const frozen time.Duration = -1

func (x fault) String() string {
	what := "killed"
	if x.hang {
		what = "its machine hangs"
	}
	behind := x.behind.String() + " behind"
	if x.behind == frozen {
		behind = "deaf"
	}
	text := fmt.Sprintf("primary %s, standby %s, promoted after %s", what, behind, x.late)
	if x.oldRedis {
		text += ", Redis of before"
	}
	return text
}

// run makes changes at two replicas all the time, takes the primary away and goes on with
// the standby. The replicas are not touched.
func (x fault) run(t *testing.T, f *cluster.Failover) {
	const each = 8
	d := begin(t, f, each)
	ctx := t.Context()
	if x.oldRedis {
		d.Redis.Save(t)
	}
	if x.behind == frozen {
		d.Stream.Freeze()
	} else {
		d.Stream.Slow(x.behind)
	}
	// Revoke the first half before, some by changes that will be lost, by way of replicas alone,
	// since DB becomes another meanwhile. The rest is for after.
	var ofA, ofB []func() error
	for i := range each / 2 {
		ofA = append(ofA, func() error { return d.LockUser(ctx, d.A, d.users[i]) },
			func() error { return d.SignOut(ctx, d.A, d.sessions[i]) })
		ofB = append(ofB, func() error { return d.SetPermission(ctx, d.B, d.permissions[i], false) })
	}
	atA, atB := d.Write(d.A, ofA...), d.Write(d.B, ofB...)
	time.Sleep(cmp.Or(x.writing, 800*time.Millisecond))
	d.fail(x.hang)
	if x.oldRedis {
		d.Redis.Kill()
		d.RestartRedis()
	}
	time.Sleep(time.Until(d.failed.Add(x.late)))
	d.promote()
	d.take(d.B, each/2)
	d.take(d.C, each/2+2)
	d.end(atA, atB)
}

// TestFailover: the standby of an asynchronous PostgreSQL takes over without the last commits.
// Nobody goes by the lost commits, and everything that is acknowledged afterwards holds, on each
// of three replicas that nobody restarts.
func TestFailover(t *testing.T) {
	f := cluster.StartFailover(t, barong(t), cluster.FailoverConfig{Redis: true})
	t.Run("a replica stands still from before until the numbers are back", func(t *testing.T) { standsStill(t, f) })
	t.Run("sign-outs afterwards end sessions of the lost history", func(t *testing.T) { signOuts(t, f) })
	t.Run("tokens have no claims of the lost history", func(t *testing.T) { lostClaims(t, f) })
	for _, x := range []fault{
		{hang: true, behind: 50 * time.Millisecond, late: 1200 * time.Millisecond},
		{behind: 500 * time.Millisecond, oldRedis: true},
		{behind: frozen},
		{behind: 200 * time.Millisecond, late: cluster.FailoverMaxStale * 2},
	} {
		t.Run(x.String(), func(t *testing.T) { x.run(t, f) })
	}
	more(t, f)
}

// TestFailoverWithoutRedis: sessions are rows of the database, and lost with it.
func TestFailoverWithoutRedis(t *testing.T) {
	f := cluster.StartFailover(t, barong(t), cluster.FailoverConfig{})
	for _, x := range []fault{
		{},
		{hang: true, behind: frozen, late: 300 * time.Millisecond},
	} {
		t.Run(x.String(), func(t *testing.T) { x.run(t, f) })
	}
	more(t, f)
}

// more is $BARONG_FAILOVER_ROUNDS failovers by chance. Each has a seed, which is in its name: the
// first that of $BARONG_FAILOVER_SEED, if set, and each further one the next.
func more(t *testing.T, f *cluster.Failover) {
	rounds, _ := strconv.Atoi(os.Getenv("BARONG_FAILOVER_ROUNDS")) // else none
	seed := rand.Uint64N(1e12)
	if given := os.Getenv("BARONG_FAILOVER_SEED"); given != "" {
		var err error
		if seed, err = strconv.ParseUint(given, 10, 64); err != nil {
			t.Fatalf("BARONG_FAILOVER_SEED: %v", err)
		}
	}
	for range rounds {
		x := byChance(seed, f.Redis != nil)
		t.Run(fmt.Sprintf("seed %d: %s", seed, x), func(t *testing.T) { x.run(t, f) })
		seed++
	}
}

// standsStill: a replica has read the lost history, and then nothing until the new one has as
// many commits.
func standsStill(t *testing.T, f *cluster.Failover) {
	d := begin(t, f, 6)
	ctx := t.Context()
	given := d.permissions[5]
	d.must(d.SetPermission(ctx, d.A, given, false))
	d.Followed()
	d.Stream.Freeze()
	d.must(d.SetPermission(ctx, d.A, given, true))
	writing := d.Write(d.A)
	time.Sleep(400 * time.Millisecond)
	added := len(writing.Stop())
	for _, r := range d.Replicas() {
		until(t, r.Name+" allows what was given", cluster.Prompt, func() bool { return d.Ask(ctx, r.Name, given).Status == 200 })
	}
	before := d.Number()
	d.must(d.A.Pause())
	t.Cleanup(func() { _ = d.A.Resume() }) // again, where it was not come to
	d.fail(false)
	d.promote()
	d.take(d.B, 0)
	writing = d.Write(d.B)
	until(t, "as many commits as before", 20*time.Second, func() bool { return d.Number() > before })
	writing.Stop()
	d.must(d.A.Resume())
	d.end()
	if noticed := d.noticed(); !slices.Contains(noticed, "A") {
		t.Errorf("A, which had read %d commits that were lost, did not notice", added)
	}
}

// signOuts: sessions that were opened after a revocation that was lost end by the next one.
func signOuts(t *testing.T, f *cluster.Failover) {
	d := begin(t, f, 3)
	ctx := t.Context()
	d.load.Stop() // everybody's sessions end
	revoked, banned, everybody := d.sessions[0], d.sessions[1], d.users[0]
	d.Stream.Freeze()
	d.must(d.EndSessions(ctx, revoked))
	d.must(d.SetState(ctx, d.A, banned, "banned"))
	d.must(d.SetState(ctx, d.A, banned, account.StateActive))
	d.must(d.EndEverybody(ctx))
	for _, g := range []*cluster.Grant{revoked, banned, everybody} {
		d.must(d.SignIn(ctx, g))
		for _, r := range d.Replicas() {
			until(t, r.Name+" allows who signed in", cluster.Prompt, func() bool { return d.Ask(ctx, r.Name, g).Status == 200 })
		}
	}
	d.fail(false)
	d.promote()
	key := d.keys[0]
	for _, r := range d.Replicas() {
		until(t, r.Name+" is well again", 20*time.Second, func() bool { return r.Ready() && d.Ask(ctx, r.Name, key).Status == 200 })
	}
	ended := func(g *cluster.Grant, by string) {
		t.Helper()
		for _, r := range d.Replicas() {
			var a cluster.Answer
			began := time.Now()
			for a = d.Ask(ctx, r.Name, g); a.Status == 200 && time.Since(began) < cluster.FailoverMaxStale+cluster.Prompt; a = d.Ask(ctx, r.Name, g) {
				time.Sleep(5 * time.Millisecond)
			}
			if a.Err != nil || a.Status == 200 {
				t.Errorf("%s said %d %v of a session of before, %s after %s", r.Name, a.Status, a.Err, time.Since(began).Round(time.Millisecond), by)
			}
		}
	}
	d.Insist(func() error { return d.EndSessions(ctx, revoked) })
	ended(revoked, "the end of its user's sessions")
	d.Insist(func() error { return d.SetState(ctx, d.B, banned, "banned") })
	d.Insist(func() error { return d.SetState(ctx, d.B, banned, account.StateActive) })
	ended(banned, "its user was banned and let in again")
	d.Insist(func() error { return d.EndEverybody(ctx) })
	ended(everybody, "the end of everybody's sessions")
	for _, g := range []*cluster.Grant{revoked, banned, everybody} {
		d.must(d.SignIn(ctx, g))
		for _, r := range d.Replicas() {
			until(t, r.Name+" allows who signed in afterwards", cluster.Prompt, func() bool { return d.Ask(ctx, r.Name, g).Status == 200 })
		}
	}
	report(t, "%s: the gap was noticed by %q; %s in all", strings.ReplaceAll(t.Name(), "_", " "), d.noticed(), time.Since(d.began).Round(100*time.Millisecond))
}

// lostClaims: a user got a role that was lost and another afterwards, with as many changes.
func lostClaims(t *testing.T, f *cluster.Failover) {
	d := begin(t, f, 1)
	ctx := t.Context()
	d.load.Stop()
	ghosts := []*cluster.Grant{d.sessions[0], d.keys[0]}
	say := func(role string, level int) {
		t.Helper()
		for _, g := range ghosts {
			for _, r := range d.Replicas() {
				var a cluster.Answer
				began := time.Now()
				for time.Since(began) < cluster.FailoverMaxStale+cluster.Prompt {
					a = d.Ask(ctx, r.Name, g)
					if a.Claims.Role == role && a.Claims.Level == level {
						break
					}
					time.Sleep(5 * time.Millisecond)
				}
				if a.Claims.Role != role || a.Claims.Level != level {
					t.Errorf("%s says %d, %+v of a %s after %s, want role %s and level %d", r.Name, a.Status, a.Claims, g.Name,
						time.Since(began).Round(time.Millisecond), role, level)
				}
			}
		}
	}
	say(account.RoleMember, 3)
	d.Stream.Freeze()
	for _, g := range ghosts {
		d.must(d.Become(ctx, g, "admin", 4))
	}
	say("admin", 4)
	d.fail(false)
	d.promote()
	for _, g := range ghosts {
		d.Insist(func() error { return d.Become(ctx, g, account.RoleMember, 2) })
	}
	d.allWell()
	say(account.RoleMember, 2)
	report(t, "%s: the gap was noticed by %q; %s in all", strings.ReplaceAll(t.Name(), "_", " "), d.noticed(), time.Since(d.began).Round(100*time.Millisecond))
}
