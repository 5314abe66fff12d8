package e2e_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"time"

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
	"barong/internal/token"
	"barong/policy"
)

// A backend is the stores that worlds are built in, one after the other.
type backend struct {
	db       *store.DB
	raw      *sql.DB // another way into the database, past everything
	clock    *clock  // of db and of the world
	sessions session.Store
	nonces   authz.Nonces
	keys     *token.Keys
	clear    func(ctx context.Context) error // empties the stores outside the database
}

// A clock shows the time that it was last set to.
type clock struct{ at atomic.Pointer[time.Time] }

func (c *clock) set(t time.Time) { c.at.Store(&t) }

func (c *clock) now() time.Time { return *c.at.Load() }

// empty brings the database back to its state after the migrations, but for signing keys and the
// change feed: its numbers never go back.
func (b *backend) empty(ctx context.Context) error {
	for _, table := range []string{
		"apikeys", "totp_secrets", "labels", "service_accounts", "users", "permissions", "restrictions",
		"session_cuts", "sessions", "ended_sessions", "nonces", "activities",
	} {
		if _, err := b.raw.ExecContext(ctx, `DELETE FROM `+table); err != nil {
			return fmt.Errorf("empty %s: %w", table, err)
		}
	}
	if _, err := b.raw.ExecContext(ctx, `UPDATE session_epoch SET epoch = 0`); err != nil {
		return err
	}
	return b.clear(ctx)
}

// A storedWorld is authztest.World on real stores: the parts that barong serve runs, over
// rows, with the feed read at every step and a clock that the test moves.
type storedWorld struct {
	*backend
	file     *authztest.File
	policy   authztest.Policy // in force
	manager  *session.Manager
	accounts *directory.Directory
	apiKeys  *apikey.Cache
	holder   *policy.Holder
	follower *feed.Follower
	minter   *token.Minter
	serve    func(*testing.T, *authz.Server) // puts the server over all that where it is asked

	writer   atomic.Pointer[audit.Writer]
	activity int64 // id of the newest row seen
	unread   bool  // the feed is not read any more
	orphans  map[string]bool
	err      error // of methods that cannot return one
}

// newStoredWorld empties b and builds f in it. serve is called with the server of that world,
// and with another after each restart.
func newStoredWorld(
	t *testing.T, b *backend, f *authztest.File, serve func(*testing.T, *authz.Server),
) *storedWorld {
	t.Helper()
	ctx := t.Context()
	// Real time, since Redis lets keys expire by its own clock.
	b.clock.set(time.Now().UTC().Truncate(time.Second))
	must(t, b.empty(ctx))
	w := &storedWorld{backend: b, file: f, serve: serve, orphans: map[string]bool{}}
	must(t, w.setPolicy(ctx, f.Policy))
	must(t, w.put(ctx, f.Accounts))
	must(t, w.open())
	w.start(t)
	t.Cleanup(func() {
		w.Activities()
		if w.err != nil {
			t.Error(w.err)
		}
	})
	return w
}

// start makes the parts that hold rows in memory, and the server over them, as barong serve
// does at its start.
func (w *storedWorld) start(t *testing.T) {
	t.Helper()
	ctx, f := t.Context(), w.file
	head, err := w.db.Head(ctx)
	must(t, err)
	w.follower = feed.NewFollower(w.db, feed.FollowerConfig{}, w.Now, nil)
	w.follower.Subscribe(func(c feed.Change) {
		if c.Kind == feed.Policy {
			w.holder.Changed()
		}
		w.accounts.Apply(c)
		w.apiKeys.Apply(c)
		w.manager.Apply(c)
	})
	w.manager, err = session.NewManager(configured.Sessions(f.Applied), w.sessions, w.db, w.Now, nil)
	must(t, err)
	must(t, w.manager.Start(ctx))
	w.accounts, err = directory.New(configured.Directory(f.Applied), w.db, w.Now)
	must(t, err)
	w.apiKeys, err = apikey.NewCache(configured.APIKeys(f.Applied), w.db, w.Now)
	must(t, err)
	w.minter, err = token.NewMinter(w.keys, configured.Tokens(f.Applied))
	must(t, err)
	w.holder = policy.NewHolder(w.policy.RouteRules(), f.Options(w.policy), nil, w.Now)
	must(t, w.holder.Refresh(ctx, w.db))
	w.follower.Start(head)
	must(t, w.hear(ctx))

	s, err := authz.New(authz.Parts{
		Rules: w.holder, Feed: w.follower, Sessions: w.manager, Accounts: w.accounts, Keys: w.apiKeys, Tokens: w.minter,
		Nonces: w.nonces, Activities: w, Now: w.Now,
	}, settings(t, f.Applied))
	must(t, err)
	w.serve(t, s)
}

// cannot says why a step cannot be taken on real stores, "" when it can.
func (w *storedWorld) cannot(s authztest.Step) string {
	for _, part := range s.Down {
		if part != "feed" && part != "policy" {
			return "needs one part down and all others up"
		}
	}
	if s.Request.Sign != nil && w.orphans[s.Request.Sign.Kid] {
		return "needs a key without holder, which goes with its holder's row"
	}
	return ""
}

// restartAfter is the pause between two steps in which barong has been restarted: the state that
// the next one needs is in the stores, or lost.
const restartAfter = 5 * time.Minute

// begin lets time pass and makes the changes before the request of a step.
func (w *storedWorld) begin(t *testing.T, s authztest.Step) error {
	ctx := t.Context()
	if err := w.manager.Flush(ctx); err != nil {
		return err
	}
	w.clock.set(w.Now().Add(time.Duration(s.After)))
	if time.Duration(s.After) >= restartAfter {
		w.start(t)
	}
	if !w.unread {
		if err := w.hear(ctx); err != nil { // time has passed, and others did nothing meanwhile
			return err
		}
	}
	// A part that is down stays so: the feed is not read any more, and time passes until too long.
	d := configured.Decisions(config.Default())
	if slices.Contains(s.Down, "feed") {
		w.unread = true
		w.clock.set(w.Now().Add(d.CacheMaxStale + time.Second))
	}
	if slices.Contains(s.Down, "policy") {
		w.unread = true
		w.clock.set(w.Now().Add(d.PolicyMaxStale + time.Second))
	}
	if c := s.Change; c != nil {
		if err := w.put(ctx, c.Accounts); err != nil {
			return err
		}
		if c.EndAll {
			// By the ledger alone, as another replica does it.
			if _, err := w.db.EndAll(ctx); err != nil {
				return err
			}
		}
		if c.Policy != nil {
			w.holder.Configure(c.Policy.RouteRules(), w.file.Options(*c.Policy))
			if err := w.setPolicy(ctx, *c.Policy); err != nil {
				return err
			}
		}
		if err := w.hear(ctx); err != nil {
			return err
		}
	}
	return nil
}

// hear reads the feed and acts on it as barong serve does.
func (w *storedWorld) hear(ctx context.Context) error {
	if err := w.follower.Sync(ctx); err != nil {
		return err
	}
	if !w.holder.Current() {
		return w.holder.Refresh(ctx, w.db)
	}
	now := w.Now()
	w.holder.Confirm(now.Add(-w.follower.Age(now)))
	return nil
}

// Now is the world's clock.
func (w *storedWorld) Now() time.Time { return w.clock.now() }

// Ended asks the ledger.
func (w *storedWorld) Ended(name string) bool {
	id, _ := session.IDOf(authztest.Cookie(name))
	ended, err := w.db.Ended(context.Background(), id)
	w.err = errors.Join(w.err, err)
	return ended
}

// Record implements authz.Activities.
func (w *storedWorld) Record(a audit.Activity) bool { return w.writer.Load().Record(a) }

// Fold implements authz.Activities.
func (w *storedWorld) Fold(kind, ref string) bool { return w.writer.Load().Fold(kind, ref) }

// open starts another writer of activities, which folds none.
func (w *storedWorld) open() error {
	c := configured.Audit(config.Default())
	c.SpillPath, c.DenialsPerMinute, c.Required = "", 0, w.file.Settings.AuditRequired
	next, err := audit.NewWriter(c, w.db, nil, w.Now)
	if err != nil {
		return err
	}
	w.writer.Store(next)
	return nil
}

// Activities makes the writer write all it has, and reads the rows since the last call from
// the database.
func (w *storedWorld) Activities() []audit.Activity {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	err := w.writer.Load().Close(ctx)
	all, _, errRead := w.db.Activities(ctx, audit.Query{})
	w.err = errors.Join(w.err, err, errRead, w.open())
	slices.SortFunc(all, func(a, b audit.Activity) int { return int(a.ID - b.ID) })
	from := slices.IndexFunc(all, func(a audit.Activity) bool { return a.ID > w.activity })
	if from < 0 {
		return nil
	}
	w.activity = all[len(all)-1].ID
	return all[from:]
}

// setPolicy replaces all rows of the policy in one transaction. The cuts of rules against signing in are as
// old as can be, so that they end no session of the world; the world's own cuts come from rules that
// were switched on then, and off again.
func (w *storedWorld) setPolicy(ctx context.Context, p authztest.Policy) error {
	w.policy = p
	now := w.Now()
	defer w.clock.set(now)
	rows, err := p.Rows(now)
	if err != nil {
		return err
	}
	w.clock.set(now.Add(-365 * 24 * time.Hour))
	err = w.db.UpdatePolicy(ctx, func(tx policy.Tx) error {
		permissions, err := tx.Permissions(ctx)
		if err != nil {
			return err
		}
		for _, r := range permissions {
			if err := tx.DeletePermission(ctx, r.ID); err != nil {
				return err
			}
		}
		restrictions, err := tx.Restrictions(ctx)
		if err != nil {
			return err
		}
		for _, r := range restrictions {
			if err := tx.DeleteRestriction(ctx, r.ID); err != nil {
				return err
			}
		}
		for _, r := range rows.Permissions {
			if err := tx.AddPermission(ctx, &r); err != nil {
				return fmt.Errorf("permission %s %s %s %s: %w", r.Role, r.Action, r.Verb, r.Path, err)
			}
		}
		for _, r := range rows.Restrictions {
			if err := tx.AddRestriction(ctx, &r); err != nil {
				return fmt.Errorf("restriction %s %s %s: %w", r.Category, r.Scope, r.Value, err)
			}
		}
		return nil
	})
	for _, c := range rows.Cuts {
		r := policy.Restriction{Category: policy.Blocklogin, Scope: c.Scope, Value: c.Value, State: "enabled"}
		err = errors.Join(err, w.db.AddRestriction(ctx, &r))
		r.State = "disabled"
		err = errors.Join(err, w.db.PutRestriction(ctx, &r))
	}
	// The database has given cuts its own time.
	_, aged := w.raw.ExecContext(ctx, `UPDATE session_cuts SET cut_at = $1`, now.Add(-365*24*time.Hour).UnixMicro())
	err = errors.Join(err, aged)
	for _, c := range rows.Cuts {
		_, moved := w.raw.ExecContext(ctx, `UPDATE session_cuts SET cut_at = $1 WHERE scope = $2 AND value = $3`, c.At.UnixMicro(), c.Scope, c.Value)
		err = errors.Join(err, moved)
	}
	return err
}

// put adds or replaces accounts.
func (w *storedWorld) put(ctx context.Context, a authztest.Accounts) error {
	if len(a.Gone) > 0 {
		return errors.New("nothing removes accounts from a store")
	}
	for _, u := range a.Users {
		if err := w.putUser(ctx, u.Principal()); err != nil {
			return fmt.Errorf("user %s: %w", u.UID, err)
		}
	}
	for _, s := range a.ServiceAccounts {
		p := s.Principal()
		row := account.ServiceAccount{
			UID: p.UID, OwnerUID: p.OwnerUID, Email: p.Email, Role: p.Role, Level: p.Level, State: p.State,
		}
		_, err := w.db.ServiceAccount(ctx, p.UID)
		switch {
		case errors.Is(err, account.ErrNotFound):
			err = w.db.AddServiceAccount(ctx, &row)
		case err == nil:
			err = w.db.PutServiceAccount(ctx, &row)
		}
		if err != nil {
			return fmt.Errorf("service account %s: %w", s.UID, err)
		}
	}
	for _, k := range a.APIKeys {
		row, err := k.Key(w.Now())
		if err != nil {
			return err
		}
		err = w.db.DeleteAPIKey(ctx, k.Holder, k.Kid) // a row's secret never changes
		if err == nil || errors.Is(err, account.ErrNotFound) {
			err = w.db.AddAPIKey(ctx, &row)
		}
		if errors.Is(err, account.ErrNotFound) {
			w.orphans[k.Kid] = true
			continue
		}
		if err != nil {
			return fmt.Errorf("key %s: %w", k.Kid, err)
		}
	}
	epoch, err := w.db.Epoch(ctx)
	if err != nil {
		return err
	}
	for _, s := range a.Sessions {
		row, err := w.file.Session(s, w.Now())
		if err != nil {
			return err
		}
		row.Epoch += epoch
		if err := w.sessions.AddSession(ctx, row); err != nil {
			return fmt.Errorf("session %s: %w", s.Name, err)
		}
	}
	return nil
}

func (w *storedWorld) putUser(ctx context.Context, p account.Principal) error {
	if p.ReferralID != nil {
		// Whose row has that number; no method of the store says which.
		_, err := w.raw.ExecContext(ctx, `
			INSERT INTO users (id, uid, email, password_digest, created_at, updated_at)
			SELECT $1, $2, $2, '', 0, 0 WHERE NOT EXISTS (SELECT 1 FROM users WHERE id = $1)`,
			*p.ReferralID, fmt.Sprintf("referrer%d", *p.ReferralID))
		if err != nil {
			return err
		}
	}
	u, err := w.db.User(ctx, p.UID)
	if err != nil && !errors.Is(err, account.ErrNotFound) {
		return err
	}
	isNew := err != nil
	u.UID, u.Email, u.Username, u.Role, u.Level, u.State = p.UID, p.Email, p.Username, p.Role, p.Level, p.State
	u.OTP, u.ReferralID, u.SessionGeneration, u.Unproved = p.OTP, p.ReferralID, p.SessionGeneration, p.Unproved
	if isNew {
		return w.db.AddUser(ctx, &u)
	}
	return w.db.PutUser(ctx, &u)
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
