package e2e_test

import (
	"context"
	"net/http"
	"net/netip"
	"testing"
	"time"

	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"

	"barong/authz"
	"barong/authz/authztest"
	"barong/internal/account"
	"barong/internal/apikey"
	"barong/internal/audit"
	"barong/internal/config"
	"barong/internal/configured"
	"barong/internal/directory"
	"barong/internal/feed"
	"barong/internal/session"
	"barong/internal/store"
	"barong/internal/store/redis"
	"barong/internal/store/storetest"
	"barong/internal/testenv"
	"barong/internal/token"
	"barong/policy"
)

// A replica is one barong of several on the same database: its own connections, caches and
// feed, in this process.
type replica struct {
	db       *store.DB
	sessions session.Store
	manager  *session.Manager
	follower *feed.Follower
	client   authv3.AuthorizationClient
}

// startReplica starts one on a PostgreSQL database; sessions are in r unless it is nil.
func startReplica(t *testing.T, url string, r *redis.Store) *replica {
	t.Helper()
	ctx := t.Context()
	db := storetest.OpenURL(t, url)
	p := &replica{db: db, sessions: db}
	if r != nil {
		p.sessions = r
	}
	head, err := db.Head(ctx)
	must(t, err)
	shipped := config.Default()
	accounts, err := directory.New(configured.Directory(shipped), db, nil)
	must(t, err)
	apiKeys, err := apikey.NewCache(configured.APIKeys(shipped), db, nil)
	must(t, err)
	p.manager, err = session.NewManager(configured.Sessions(shipped), p.sessions, db, nil, nil)
	must(t, err)
	must(t, p.manager.Start(ctx))
	p.follower = feed.NewFollower(db, feed.FollowerConfig{}, nil, nil)
	p.follower.Subscribe(accounts.Apply)
	p.follower.Subscribe(apiKeys.Apply)
	p.follower.Subscribe(p.manager.Apply)
	p.follower.Start(head)

	c := configured.Keys(shipped)
	c.Algorithm = token.EdDSA
	keys, err := token.OpenKeys(ctx, db, c, nil)
	must(t, err)
	minter, err := token.NewMinter(keys, configured.Tokens(shipped))
	must(t, err)
	rules := policy.NewHolder(policy.RouteRules{}, policy.Options{Components: []string{"*"}}, nil, nil)
	must(t, rules.Refresh(ctx, db))
	unspilled := configured.Audit(shipped)
	unspilled.SpillPath = ""
	activities, err := audit.NewWriter(unspilled, db, nil, nil)
	must(t, err)
	t.Cleanup(func() {
		if err := activities.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	s, err := authz.New(authz.Parts{
		Rules: rules, Feed: p.follower, Sessions: p.manager, Accounts: accounts, Keys: apiKeys, Tokens: minter, Activities: activities,
	}, configured.Decisions(shipped))
	must(t, err)
	p.client = overGRPC(t, s)
	return p
}

// hear reads the change feed now.
func (p *replica) hear(t *testing.T) {
	t.Helper()
	must(t, p.follower.Sync(t.Context()))
}

// ask asks about a session and returns the reason of the denial, "" for none.
func (p *replica) ask(t *testing.T, cookie string) (reason string) {
	t.Helper()
	q := authztest.Question{
		Method: "GET", Target: "/api/v2/foo", Host: authztest.Host, Peer: authztest.Client,
		Headers: []authztest.Header{
			{Name: "User-Agent", Value: authztest.UserAgent}, {Name: "Cookie", Value: "_barong_session=" + cookie},
		},
	}
	m, err := p.client.Check(t.Context(), authztest.CheckRequest(q))
	must(t, err)
	a := authztest.OfResponse(q, m)
	if a.Status == http.StatusOK && a.Bearer == "" {
		t.Error("allowed without a token")
	}
	return a.Reason
}

// signIn opens a session of a user, at its present generation.
func (p *replica) signIn(t *testing.T, uid string) (cookie string, s session.Session) {
	t.Helper()
	u, err := p.db.User(t.Context(), uid)
	must(t, err)
	cookie, s, err = p.manager.Open(t.Context(), session.Opening{
		UID: uid, Generation: u.SessionGeneration, IP: netip.MustParseAddr(authztest.Client), UserAgent: authztest.UserAgent,
	}, time.Now())
	must(t, err)
	return cookie, s
}

// replicated runs a test on a new PostgreSQL database with two users, with sessions in it and
// in Redis.
func replicated(t *testing.T, test func(t *testing.T, start func() *replica)) {
	for name, withRedis := range map[string]bool{"postgres": false, "postgres and redis": true} {
		t.Run(name, func(t *testing.T) {
			url := storetest.PostgresURL(t)
			var r *redis.Store
			if withRedis {
				var err error
				s := config.Default()
				s.Redis.URL, s.Redis.Timeout = config.Secret("redis://"+testenv.StartRedis(t, testenv.RedisConfig{}).Addr), 5*time.Second
				r, err = redis.Open(t.Context(), configured.Redis(s))
				must(t, err)
				t.Cleanup(func() { r.Close() })
			}
			start := func() *replica { return startReplica(t, url, r) }
			db := storetest.OpenURL(t, url)
			for _, uid := range []string{"ID1", "ID2"} {
				u := account.User{UID: uid, Email: uid + "@example.com", Role: "member", State: account.StateActive}
				must(t, db.AddUser(t.Context(), &u))
			}
			must(t, db.AddPermission(t.Context(), &policy.Permission{
				Role: "member", Action: policy.Accept, Verb: "ALL", Path: "api/v2/foo",
			}))
			test(t, start)
		})
	}
}

const (
	invalid   = "authz.invalid_session"
	notActive = "authz.user_not_active"
)

// Sessions that end on one replica end on another that has them warm, when it has read the feed;
// other users' go on unless everybody's end (D11).
func TestSessionsEndOnAllReplicas(t *testing.T) {
	replicated(t, func(t *testing.T, start func() *replica) {
		a, b := start(), start()
		put := func(uid string, change func(*account.User)) {
			u, err := a.db.User(t.Context(), uid)
			must(t, err)
			change(&u)
			must(t, a.db.PutUser(t.Context(), &u))
		}
		for _, c := range []struct {
			name         string
			do           func(mine session.Session)
			mine, others string
		}{
			{"a sign-out, by its id", func(s session.Session) { must(t, a.manager.End(t.Context(), s.ID)) }, invalid, ""},
			{"sign-out everywhere, by the user's generation", func(session.Session) {
				_, err := a.db.EndSessions(t.Context(), "ID1")
				must(t, err)
			}, invalid, ""},
			{"the end of everybody's, by the epoch", func(session.Session) { must(t, a.manager.EndAll(t.Context())) }, invalid, invalid},
			{"a ban, whose reason comes before the generation's", func(session.Session) {
				put("ID1", func(u *account.User) { u.State, u.SessionGeneration = account.StateBanned, u.SessionGeneration+1 })
			}, notActive, ""},
			{"no end: the ban is lifted, and a new session counts", func(session.Session) {
				put("ID1", func(u *account.User) { u.State = account.StateActive })
			}, "", ""},
		} {
			mine, s := a.signIn(t, "ID1")
			others, _ := b.signIn(t, "ID2")
			for name, p := range map[string]*replica{"first": a, "second": b} {
				p.hear(t)
				want := ""
				if c.mine == "" {
					want = notActive // until the ban is lifted
				}
				if got := p.ask(t, mine); got != want {
					t.Fatalf("before %s: the %s replica says %q, want %q", c.name, name, got, want)
				}
			}
			c.do(s)
			for name, p := range map[string]*replica{"second": b, "first": a, "started since": start()} {
				p.hear(t)
				if got := p.ask(t, mine); got != c.mine {
					t.Errorf("after %s: the replica %s says %q, want %q", c.name, name, got, c.mine)
				}
				if got := p.ask(t, others); got != c.others {
					t.Errorf("after %s: the replica %s says %q of another user's session, want %q", c.name, name, got, c.others)
				}
			}
		}
	})
}

// A user's change of their own password keeps the session in hand, on every replica, under a new
// cookie; the old cookie and all other sessions have ended (D8, D11).
func TestRestampedSessionOutlivesTheOthersOnAllReplicas(t *testing.T) {
	replicated(t, func(t *testing.T, start func() *replica) {
		a, b := start(), start()
		old, s := a.signIn(t, "ID1")
		other, _ := b.signIn(t, "ID1")
		for _, cookie := range []string{old, other} {
			if got := b.ask(t, cookie); got != "" {
				t.Fatalf("before: got %q, want both to count", got)
			}
		}
		generation, err := a.db.EndSessions(t.Context(), "ID1")
		must(t, err)
		kept := session.NewCookie()
		restamped, err := a.manager.Restamp(t.Context(), s.ID, kept, generation, time.Now())
		must(t, err)
		if restamped.CSRFToken != s.CSRFToken || kept == old {
			t.Error("the CSRF token has changed, or the cookie has not")
		}
		// The new one counts at once, also where the account is remembered from before.
		if got := b.ask(t, kept); got != "" {
			t.Errorf("before the second replica hears: got %q, want the new cookie to count", got)
		}
		for name, p := range map[string]*replica{"first": a, "second": b} {
			p.hear(t)
			for what, c := range map[string]struct{ cookie, want string }{
				"new": {kept, ""}, "old": {old, invalid}, "other": {other, invalid},
			} {
				if got := p.ask(t, c.cookie); got != c.want {
					t.Errorf("%s replica, %s cookie: got %q, want %q", name, what, got, c.want)
				}
			}
		}
	})
}

// The feed and the database are the truth. A session store that brings back deleted sessions
// revives nothing, neither on a running replica nor on one that starts (D11).
func TestARestoredSessionStoreRevivesNothing(t *testing.T) {
	replicated(t, func(t *testing.T, start func() *replica) {
		a, b := start(), start()
		for by, end := range map[string]func(session.Session) error{
			"id": func(s session.Session) error { return a.manager.End(t.Context(), s.ID) },
			"generation": func(session.Session) error {
				_, err := a.db.EndSessions(t.Context(), "ID1")
				return err
			},
			"epoch": func(session.Session) error { return a.manager.EndAll(t.Context()) },
		} {
			a.hear(t)
			cookie, s := a.signIn(t, "ID1")
			b.hear(t)
			if got := b.ask(t, cookie); got != "" {
				t.Fatalf("before the end by %s: got %q", by, got)
			}
			must(t, end(s))
			must(t, a.sessions.DeleteSession(t.Context(), s.ID))
			must(t, a.sessions.AddSession(t.Context(), s))
			for name, p := range map[string]*replica{"first": a, "second": b, "started since": start()} {
				p.hear(t)
				if got := p.ask(t, cookie); got != invalid {
					t.Errorf("ended by %s: the replica %s says %q, want %q", by, name, got, invalid)
				}
			}
		}
	})
}

// Nobody has to ask for it: the database's hint, or the next look at the feed, is enough.
func TestSignOutIsHeardByItself(t *testing.T) {
	replicated(t, func(t *testing.T, start func() *replica) {
		a, b := start(), start()
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { b.follower.Run(ctx); close(done) }()
		defer func() { stop(); <-done }()
		cookie, s := a.signIn(t, "ID1")
		if got := b.ask(t, cookie); got != "" {
			t.Fatalf("before: got %q", got)
		}
		must(t, a.manager.End(t.Context(), s.ID))
		began := time.Now()
		for b.ask(t, cookie) != invalid {
			if time.Since(began) > 10*time.Second {
				t.Fatal("the second replica never hears of the sign-out")
			}
			time.Sleep(time.Millisecond)
		}
		t.Logf("heard after %s", time.Since(began))
	})
}
