package main

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"log/slog"
	"net/netip"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"barong/identity"
	"barong/internal/audit"
	"barong/internal/config"
	"barong/internal/configured"
	"barong/internal/feed"
	"barong/internal/session"
	"barong/internal/store"
	"barong/policy"
	"barong/policy/defaults"
	"barong/policy/seed"
)

const memberPassword = "Correct-Horse-9-Battery"

// withMembers makes the database of dir with n active members, before the first start.
func withMembers(t *testing.T, dir string, n int) (emails []string) {
	t.Helper()
	c := &console{t, dir, []string{"BARONG_DATABASE_URL=sqlite:" + dir + "/data/barong.db"}}
	for i := range n {
		email := "m" + strconv.Itoa(i) + "@barong.example"
		c.run(memberPassword+"\n", "users create --state active --level 3 --email "+email).want(t, 0)
		emails = append(emails, email)
	}
	return emails
}

// activities are all rows with a result and a path.
func activities(t *testing.T, db *store.DB, result, path string) (found []audit.Activity) {
	t.Helper()
	const page = 100
	for offset := 0; ; offset += page {
		rows, _, err := db.Activities(t.Context(), audit.Query{Result: result, Limit: page, Offset: offset})
		if err != nil {
			t.Fatal(err)
		}
		for _, a := range rows {
			if strings.Contains(a.Topic+a.Data, path) {
				found = append(found, a)
			}
		}
		if len(rows) < page {
			return found
		}
	}
}

// countActivities is how many they stand for: a folded row for as many as it says.
func countActivities(t *testing.T, db *store.DB, result, path string) (n int) {
	t.Helper()
	for _, a := range activities(t, db, result, path) {
		var data struct{ Folded int }
		if a.Data != "" {
			if err := json.Unmarshal([]byte(a.Data), &data); err != nil {
				t.Fatalf("data of an activity: %v: %s", err, a.Data)
			}
		}
		n += max(1, data.Folded)
	}
	return n
}

// kill -9 loses nothing that was answered, but for the losses that the settings name.
func TestKillAndRestart(t *testing.T) {
	dir := t.TempDir()
	email := withMembers(t, dir, 1)[0]
	p := serving(t, dir)
	admin := newBrowser(p).signIn(firstAdmin, p.password())

	key := admin.apiKey()
	signed := func() []string {
		nonce := strconv.FormatInt(time.Now().UnixMilli(), 10)
		mac := hmac.New(sha256.New, []byte(key.Secret))
		mac.Write([]byte(nonce + key.Kid))
		return []string{"X-Auth-Apikey", key.Kid, "X-Auth-Nonce", nonce, "X-Auth-Signature", hex.EncodeToString(mac.Sum(nil))}
	}
	bot := newBrowser(p)
	bot.want(200, firstAdmin, "GET", "/api/v2/resource/users/me", nil, signed()...)
	keySet := bot.want(200, `"keys"`, "GET", "/.well-known/jwks.json", nil)

	// An activity is in the database or the spill file once a flush interval has passed.
	admin.want(404, "", "PUT", "/api/v2/applogic/before-the-kill", nil)
	past := time.Now().Add(config.Default().Audit.Flush)
	p.eventually("the end of a flush interval", func() bool { return time.Now().After(past) })

	// The last thing before the end is a sign-out.
	leaver := newBrowser(p).signIn(email, memberPassword)
	cookie := leaver.cookie()
	leaver.want(200, email, "GET", "/api/v2/resource/users/me", nil)
	leaver.want(204, "", "DELETE", "/api/v2/identity/sessions", nil)
	p.kill()

	again := serving(t, dir)
	admin.at(again).want(200, firstAdmin, "GET", "/api/v2/resource/users/me", nil)
	bot.at(again).want(200, firstAdmin, "GET", "/api/v2/resource/users/me", nil, signed()...)
	newBrowser(again).want(401, "authz.invalid_session", "GET", "/api/v2/resource/users/me", nil, "Cookie", "_barong_session="+cookie)
	newBrowser(again).want(200, keySet, "GET", "/.well-known/jwks.json", nil)
	newBrowser(again).signIn(email, memberPassword)
	again.stop()

	db := openStore(t, again.data())
	if got := countActivities(t, db, audit.Succeed, "before-the-kill"); got != 1 {
		t.Errorf("activities of before the kill: got %d, want 1", got)
	}
	seeds, _ := defaults.File("seeds")
	parsed, err := seed.Parse(seeds)
	if err != nil {
		t.Fatal(err)
	}
	if rows, err := db.Permissions(t.Context()); err != nil || len(rows) != len(parsed.Permissions) {
		t.Errorf("permissions: got %d, %v; want the %d of the seeds", len(rows), err, len(parsed.Permissions))
	}
}

// source is a change feed that can be cut off.
type source struct {
	*store.DB
	fail error
}

func (s *source) Changes(ctx context.Context, after feed.Cursor, limit int) ([]feed.Change, feed.Cursor, error) {
	if s.fail != nil {
		return nil, feed.Cursor{}, s.fail
	}
	return s.DB.Changes(ctx, after, limit)
}

// still is a service whose policy and caches are of the present, and that does nothing by itself, with its
// change feed and database.
func still(t *testing.T) (*service, *source, *store.DB) {
	t.Helper()
	ctx, dir := t.Context(), t.TempDir()
	withMembers(t, dir, 1)
	db := openStore(t, filepath.Join(dir, "data"))
	feeding := &source{DB: db}
	sv := &service{
		settings: config.Default(), log: slog.New(slog.DiscardHandler), db: db, truth: db,
		holder:   policy.NewHolder(policy.RouteRules{}, configured.Policy(config.Default(), nil), nil, nil),
		follower: feed.NewFollower(feeding, feed.FollowerConfig{}, nil, nil),
		refresh:  make(chan struct{}, 1), reload: make(chan struct{}, 1),
	}
	if err := sv.openCaches(ctx, configured.Sessions(sv.settings), db); err != nil {
		t.Fatal(err)
	}
	sv.follower.Subscribe(sv.apply)
	sv.follower.OnGap(sv.stale)
	sv.follower.OnCatchUp(sv.caughtUp)
	head, err := db.Head(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if err := sv.holder.Refresh(ctx, db); err != nil {
		t.Fatal(err)
	}
	sv.follower.Start(head)
	return sv, feeding, db
}

// A rule of before the admission refuses it, however new it is; a process that does not know the newest
// rules admits nobody.
func TestASignInIsAdmittedByThePresentPolicy(t *testing.T) {
	sv, _, db := still(t)
	ctx := t.Context()
	blocked := netip.MustParseAddr("192.0.2.1")
	if _, err := sv.admit(ctx, blocked); err != nil {
		t.Fatalf("no rule: %v", err)
	}
	rule := policy.Restriction{
		Category: policy.Blocklogin, Scope: policy.ScopeIP, Value: blocked.String(), Code: 423, State: "enabled",
	}
	if err := db.AddRestriction(ctx, &rule); err != nil {
		t.Fatal(err)
	}
	if _, err := sv.admit(ctx, netip.MustParseAddr("192.0.2.2")); !errors.Is(err, errBehind) {
		t.Errorf("the feed is not read: got %v, want an outage", err)
	}
	var working sync.WaitGroup
	defer working.Wait()
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	working.Go(func() { sv.follower.Run(ctx) })
	working.Go(func() { sv.keepPolicy(ctx, nil) })
	for n := range 50 {
		rule.State = []string{"disabled", "enabled"}[n%2]
		if err := db.PutRestriction(ctx, &rule); err != nil {
			t.Fatal(err)
		}
		_, err := sv.admit(ctx, blocked)
		if refused := errors.Is(err, identity.ErrAddress); refused != (n%2 == 1) || err != nil && !refused {
			t.Fatalf("%s at once: got %v", rule.State, err)
		}
		if _, err := sv.admit(ctx, netip.MustParseAddr("192.0.2.2")); err != nil {
			t.Fatalf("another address: %v", err)
		}
	}
}

// Design D21: a policy change that was missed while the feed could not be read is in force
// when the feed counts as read again, not some time after it.
func TestMissedPolicyIsInForceBeforeTheFeedIsFresh(t *testing.T) {
	for name, gap := range map[string]bool{"changes to read": false, "a gap": true} {
		t.Run(name, func(t *testing.T) {
			ctx := t.Context()
			sv, feeding, db := still(t)
			head := sv.holder.Load().At()

			down := errors.New("down")
			feeding.fail = down
			drop := policy.Permission{Role: "member", Action: policy.Drop, Verb: "GET", Path: "api/v2/x"}
			if err := db.AddPermission(ctx, &drop); err != nil {
				t.Fatal(err)
			}
			if err := sv.follower.Sync(ctx); !errors.Is(err, down) {
				t.Fatalf("cut off: got %v", err)
			}
			feeding.fail = nil
			if gap {
				if _, err := db.DeleteChanges(ctx, time.Now().Add(time.Hour)); err != nil {
					t.Fatal(err)
				}
			}
			if err := sv.follower.Sync(ctx); err != nil {
				t.Fatal(err)
			}
			// No goroutine compiles it in the background here.
			if got := sv.holder.Load().Version(); got <= head.Seq {
				t.Errorf("the feed is read, and the snapshot is version %d, want more than %d", got, head.Seq)
			}
			// And it can be confirmed again.
			moment := time.Now().Add(time.Minute)
			sv.holder.Confirm(moment)
			if age := sv.holder.Age(moment); age != 0 {
				t.Errorf("age of the policy after a confirmation: got %s, want 0", age)
			}
		})
	}
}

// SIGTERM under load: every denial that was answered has its activity, every log line is
// whole, and the sessions' new expiries are written.
func TestStopUnderLoadLosesNothing(t *testing.T) {
	const members, lifetime = 3, 12 * time.Second
	dir := t.TempDir()
	emails := withMembers(t, dir, members)
	p := serving(t, dir, "BARONG_SESSION_EXPIRE_TIME="+lifetime.String())
	var answered, asked atomic.Int64
	var last [members]time.Time // of the last answer that slid the session
	var cookies [members]string
	var load sync.WaitGroup
	for i, email := range emails {
		b := newBrowser(p).signIn(email, memberPassword)
		cookies[i] = b.cookie()
		load.Go(func() {
			for {
				asked.Add(1)
				now := time.Now()
				status, body, err := b.try("GET", "/api/v2/admin/users", nil)
				if err != nil {
					return // it has stopped
				}
				if status != 401 || !strings.Contains(body, "authz.invalid_permission") {
					t.Errorf("under load: got %d %s", status, body)
					return
				}
				answered.Add(1)
				last[i] = now
			}
		})
	}
	// Other requests write access lines in between those of decisions.
	load.Go(func() {
		b := newBrowser(p)
		for {
			if status, body, err := b.try("GET", "/api/v2/public/time", nil); err != nil {
				return
			} else if status != 200 {
				t.Errorf("under load: got %d %s", status, body)
				return
			}
		}
	})
	// Long enough for slides, which come every 60th of the lifetime, and for folded rows.
	until := time.Now().Add(700 * time.Millisecond)
	p.eventually("enough load", func() bool { return answered.Load() > 300 && time.Now().After(until) })
	p.stop()
	load.Wait()
	t.Logf("%d denials answered", answered.Load())

	db := openStore(t, p.data())
	got := int64(countActivities(t, db, audit.Denied, "admin/users"))
	if got < answered.Load() || got > asked.Load() {
		t.Errorf("activities: got %d, want %d (or up to %d, if answers were lost)", got, answered.Load(), asked.Load())
	}
	for _, email := range emails {
		u, err := db.UserByEmail(t.Context(), email)
		if err != nil {
			t.Fatal(err)
		}
		rows := 0
		for _, a := range activities(t, db, audit.Denied, "admin/users") {
			if a.ActorUID == u.UID {
				rows++
			}
		}
		if rows == 0 || rows > 2*61 { // two minutes may be touched
			t.Errorf("%s has %d rows, want at most 60 a minute and one that counts the rest", email, rows)
		}
	}
	for i, cookie := range cookies {
		id, _ := session.IDOf(cookie)
		s, err := db.Session(t.Context(), id, time.Now())
		if err != nil {
			t.Errorf("session %d: %v", i, err)
			continue
		}
		if least := last[i].Add(lifetime - lifetime/60); s.ExpiresAt.Before(least) {
			t.Errorf("session %d expires at %s, want %s or later", i, s.ExpiresAt, least)
		}
	}
	for line := range strings.Lines(p.err.String()) {
		if !json.Valid([]byte(line)) {
			t.Errorf("a broken log line: %s", line)
		}
	}
}

// A turn of the background work on a database that never answers ends by itself.
func TestBackgroundWorkIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		err := bounded(t.Context(), keysTimeout, func(ctx context.Context) error {
			<-ctx.Done()
			return ctx.Err()
		})
		if took := time.Since(began); !errors.Is(err, context.DeadlineExceeded) || took != keysTimeout {
			t.Errorf("got %v after %s, want the deadline after %s", err, took, keysTimeout)
		}
	})
}
