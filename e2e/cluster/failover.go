package cluster

import (
	"context"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"barong/internal/account"
	"barong/internal/session"
	"barong/internal/testenv"
	"barong/policy"
)

// FailoverMaxStale is how long the replicas of a Failover believe their caches while they cannot
// hear of changes.
const FailoverMaxStale = 2 * time.Second

// A Failover is three replicas without a gateway on a primary that a standby follows
// asynchronously. Postgres is the primary, and DB writes to it.
type Failover struct {
	*Cluster
	C        *Replica
	Standby  *testenv.Server
	Stream   *Cable          // by which the standby hears of commits
	address  *Cable          // that leads to the primary, if there is one
	ports    [2]int          // of the servers: one is the primary's, the other the standby's
	old      *testenv.Server // a primary that was taken away
	away     span            // when: it was there before and gone after
	home     testing.TB      // with which everything ends
	writings int
}

// FailoverConfig adds Redis and settings to the two servers.
type FailoverConfig struct {
	Redis bool
	// OneAddress has the replicas reach the primary by an address that leads to whichever server it
	// is, as a virtual one does, or a proxy. Without it they know both servers.
	OneAddress bool
	Env        []string // further settings of the replicas
}

// StartFailover brings up everything and returns when all replicas are ready; all of it ends
// with the test. Where a server is missing the test is skipped, or fails when CI=true.
func StartFailover(t testing.TB, barong string, cfg FailoverConfig) *Failover {
	t.Helper()
	f := &Failover{home: t, Cluster: &Cluster{t: t, Postgres: testenv.StartPrimary(t, testenv.PostgresConfig{})}}
	other, err := testenv.FreePort()
	must(t, err)
	f.ports = [2]int{f.Postgres.Port(), other}
	env := append(environment(t), "BARONG_CACHE_MAX_STALE="+FailoverMaxStale.String())
	hosts := fmt.Sprintf("127.0.0.1:%d,127.0.0.1:%d/postgres?sslmode=disable&target_session_attrs=primary&connect_timeout=1",
		f.ports[0], f.ports[1])
	if cfg.OneAddress {
		f.address, err = NewCable(fmt.Sprintf("127.0.0.1:%d", f.ports[0]))
		must(t, err)
		t.Cleanup(f.address.Close)
		hosts = f.address.Addr() + "/postgres?sslmode=disable"
	}
	env = append(env, fmt.Sprintf("BARONG_DATABASE_URL=postgres://barong:%s@%s", f.Postgres.Password(), hosts))
	if cfg.Redis {
		f.Redis = testenv.StartRedis(t, testenv.RedisConfig{})
		env = append(env, "BARONG_REDIS_URL=redis://"+f.Redis.Addr)
	}
	env = append(env, cfg.Env...)
	for _, name := range []string{"A", "B", "C"} {
		r, err := newReplica(t, name, barong, env)
		must(t, err)
		f.replicas = append(f.replicas, r)
	}
	f.A, f.B, f.C = f.replicas[0], f.replicas[1], f.replicas[2]
	f.startAll()
	f.write(f.Postgres.URL("postgres"))
	return f
}

// within is a test of a Failover; servers that it starts end with the Failover.
type within struct {
	testing.TB
	home testing.TB
}

// Cleanup implements testing.TB.
func (w within) Cleanup(f func()) { w.home.Cleanup(f) }

// At has failures be those of t, a subtest, from now on.
func (f *Failover) At(t testing.TB) { f.t = within{t, f.home} }

// Follow starts a standby where there is none, and has staff signed in at every replica.
func (f *Failover) Follow() {
	f.t.Helper()
	f.Bury()
	if f.Standby != nil { // of a test that failed
		f.Standby.Kill(f.t)
	}
	port := f.ports[0]
	if port == f.Postgres.Port() {
		port = f.ports[1]
	}
	var err error
	f.Stream, err = NewCable(fmt.Sprintf("127.0.0.1:%d", f.Postgres.Port()))
	must(f.t, err)
	f.t.Cleanup(f.Stream.Close)
	f.Standby = f.Postgres.Standby(f.t, port, f.Stream.Addr())
	f.staff, f.tokens = nil, nil
	tokens := map[*Replica]string{}
	for _, r := range f.replicas {
		tokens[r], err = f.staffToken(f.t.Context(), r, "/api/v2/admin/permissions")
		must(f.t, err)
	}
	f.tokens = tokens
}

// Followed waits until the standby has all commits so far.
func (f *Failover) Followed() {
	f.t.Helper()
	f.Standby.Follows(f.t, f.Postgres)
}

// Fail takes the primary away, killed or with its machine hung, and with it the changes on their
// way to the standby. It returns the earliest moment at which it was away, and the latest one at
// which it may have answered: stopping all its processes takes a while on a busy machine.
func (f *Failover) Fail(hang bool) (failed, gone time.Time) {
	f.t.Helper()
	began := time.Now()
	f.Stream.Cut()
	if hang {
		f.Postgres.Pause(f.t)
	} else {
		f.Postgres.Kill(f.t)
	}
	f.away = span{began, time.Now()}
	return f.away.from, f.away.to
}

// Promote makes the standby the primary, before which it reads the grants from the standby for the
// model: they are those of the database from then on. The old primary never comes back. It returns
// when the standby took writes.
func (f *Failover) Promote(grants []*Grant) (promoted time.Time) {
	f.t.Helper()
	f.Standby.Replayed(f.t)
	stands, err := f.read(f.t.Context(), f.Standby, grants)
	must(f.t, err)
	promoting := time.Now()
	for g, allowed := range stands {
		g.May(allowed, promoting) // it serves before Promote returns
	}
	f.Standby.Promote(f.t)
	promoted = time.Now()
	for g, allowed := range stands {
		g.Stands(allowed, f.away, f.away.from, promoted)
	}
	f.old, f.Postgres, f.Standby = f.Postgres, f.Standby, nil
	if f.address != nil {
		f.address.Lead(fmt.Sprintf("127.0.0.1:%d", f.Postgres.Port()))
	}
	old := f.DB
	f.write(f.Postgres.URL("postgres"))
	f.t.Cleanup(func() { old.Close() })
	return promoted
}

// Bury ends a primary whose machine hung.
func (f *Failover) Bury() {
	f.t.Helper()
	if f.old != nil {
		f.old.Kill(f.t)
		f.old = nil
	}
}

// Settle reads the grants from the database for the model, now that nobody writes.
func (f *Failover) Settle(grants []*Grant) {
	f.t.Helper()
	began := time.Now()
	stands, err := f.read(f.t.Context(), f.Postgres, grants)
	must(f.t, err)
	for g, allowed := range stands {
		g.Stands(allowed, span{}, began, time.Now())
	}
}

// read asks a server which of the grants its rows allow.
func (f *Failover) read(ctx context.Context, from *testenv.Server, grants []*Grant) (map[*Grant]bool, error) {
	conn, err := pgx.Connect(ctx, from.URL("postgres"))
	if err != nil {
		return nil, err
	}
	defer conn.Close(ctx)
	stands := map[*Grant]bool{}
	for _, g := range grants {
		text, args := f.question(g)
		var n int
		if err := conn.QueryRow(ctx, text, args...).Scan(&n); err != nil {
			return nil, fmt.Errorf("what stands of a %s: %w", g.Name, err)
		}
		stands[g] = n == 1
	}
	return stands, nil
}

// question counts 1 where the grant is allowed.
func (f *Failover) question(g *Grant) (text string, args []any) {
	switch g.Name {
	case "permission":
		return `SELECT 1 - count(*) FROM permissions WHERE path = $1 AND action = $2`, []any{g.Path[1:], policy.Drop}
	case "key":
		return `SELECT count(*) FROM apikeys WHERE kid = $1 AND state = 'active'`, []any{g.key.Kid}
	case "user":
		return `SELECT count(*) FROM users WHERE uid = $1 AND state = 'active'`, []any{g.UID}
	}
	id, _ := session.IDOf(g.cookie)
	text = `SELECT count(*) FROM users WHERE uid = $1 AND session_generation = $2
	        AND NOT EXISTS (SELECT 1 FROM ended_sessions WHERE id = $3)`
	if f.Redis == nil {
		text += ` AND EXISTS (SELECT 1 FROM sessions WHERE id = $3)`
	}
	return text, []any{g.UID, g.generation, id[:]}
}

// Number is the newest number of the change feed.
func (f *Failover) Number() (seq int64) {
	f.t.Helper()
	f.scan(f.t.Context(), &seq, `SELECT seq FROM feed`)
	return seq
}

// SignIn opens a further session of the grant's user, as it is in the database, for the
// grant.
func (f *Failover) SignIn(ctx context.Context, g *Grant) error {
	u, err := f.DB.User(ctx, g.UID)
	if err != nil {
		return err
	}
	return f.openSession(g, u)
}

// Become gives the grant's user a role and level, past the replicas.
func (f *Failover) Become(ctx context.Context, g *Grant, role string, level int) error {
	u, err := f.DB.User(ctx, g.UID)
	if err != nil {
		return err
	}
	u.Role, u.Level = role, level
	return f.DB.PutUser(ctx, &u)
}

// SetState bans the grant's user over REST on a replica, or makes it active again.
func (f *Failover) SetState(ctx context.Context, on *Replica, g *Grant, state string) error {
	return g.change(state == account.StateActive, func() error {
		return f.admin(ctx, on, http.MethodPut, "/api/v2/admin/users", map[string]any{"uid": g.UID, "state": state})
	})
}

// EndEverybody ends all sessions, past the replicas.
func (f *Failover) EndEverybody(ctx context.Context) error { return f.Sessions.EndAll(ctx) }

// nothingLeft matches REST's answers to a change that was already made.
var nothingLeft = regexp.MustCompile(`state_no_change|\.taken|exist|identity\.session\.not_found`)

// Insist tries until it goes well, 20 s at most. A try whose answer was lost may have gone
// well: then the next one finds nothing to change.
func (f *Failover) Insist(change func() error) {
	f.t.Helper()
	began := time.Now()
	for try := 0; ; try++ {
		err := change()
		if err == nil || try > 0 && nothingLeft.MatchString(err.Error()) {
			return
		}
		if time.Since(began) > 20*time.Second {
			f.t.Fatal(err)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// Writing makes changes at a replica all the time: permissions that nobody needs, and now and then
// one that takes a grant away.
type Writing struct {
	stop context.CancelFunc
	done sync.WaitGroup

	mu    sync.Mutex
	added []Added
}

// Added is a permission that was added, and when.
type Added struct {
	Path       string
	Begin, End time.Time
}

// Write goes on until Stop. Of the changes every tenth is the next of revoke.
func (f *Failover) Write(on *Replica, revoke ...func() error) *Writing {
	ctx, cancel := context.WithCancel(context.Background())
	w := &Writing{stop: cancel}
	f.writings++
	name := fmt.Sprintf("%s%d", strings.ToLower(on.Name), f.writings)
	w.done.Go(func() {
		for n := 0; ctx.Err() == nil; n++ {
			if n%10 == 5 && len(revoke) > 0 {
				_ = revoke[0]() // the model knows
				revoke = revoke[1:]
				continue
			}
			a := Added{Path: fmt.Sprintf("api/v2/peatio/account/%s/%d", name, n), Begin: time.Now()}
			err := f.admin(context.WithoutCancel(ctx), on, http.MethodPost, "/api/v2/admin/permissions", map[string]any{
				"role": account.RoleMember, "verb": "GET", "path": a.Path, "action": policy.Accept,
			})
			if err != nil {
				time.Sleep(10 * time.Millisecond)
				continue
			}
			a.End = time.Now()
			w.mu.Lock()
			w.added = append(w.added, a)
			w.mu.Unlock()
		}
	})
	return w
}

// Stop ends it, waits for the last answer, and returns the permissions whose addition was
// acknowledged.
func (w *Writing) Stop() []Added {
	w.stop()
	w.done.Wait()
	return w.added
}

// Missing are those of the permissions that the database does not have.
func (f *Failover) Missing(added []Added) (missing []Added) {
	f.t.Helper()
	rows, err := f.DB.Permissions(f.t.Context())
	must(f.t, err)
	there := map[string]bool{}
	for _, row := range rows {
		there[row.Path] = true
	}
	for _, a := range added {
		if !there[a.Path] {
			missing = append(missing, a)
		}
	}
	return missing
}

// Pause stops the replica where it stands.
func (r *Replica) Pause() error { return syscall.Kill(r.running.PID(), syscall.SIGSTOP) }

// Resume undoes Pause.
func (r *Replica) Resume() error { return syscall.Kill(r.running.PID(), syscall.SIGCONT) }

// Logged is its log so far.
func (r *Replica) Logged() string { return r.running.Output() }
