package authz

import (
	"context"
	"encoding/hex"
	"strings"
	"testing"
	"time"

	"barong/authz/authztest"
	"barong/internal/account"
	"barong/internal/feed"
	"barong/internal/session"
)

// The user agents of a session and of a request are cut alike before they are compared (D8).
func TestLongUserAgentsAreComparedByWhatIsKept(t *testing.T) {
	const agent = "Mozilla/5.0 (X11; Linux x86_64) "
	long := strings.Repeat(agent, 100)
	var s Server
	for name, test := range map[string]struct {
		opened, sent string
		want         bool
	}{
		"the same":                      {agent, agent, true},
		"a longer one":                  {agent, agent + "x", false},
		"the same long one":             {long, long, true},
		"differ early":                  {long, "x" + long, false},
		"differ in the last byte kept":  {long, long[:511] + "\x00" + long[512:], false},
		"differ in the first left away": {long, long[:512] + "\x00" + long[513:], true},
	} {
		e := session.NewEntry(session.Session{UserAgent: test.opened})
		if got := s.bound(e, &request{userAgent: test.sent}); got != test.want {
			t.Errorf("%s: got %v, want %v", name, got, test.want)
		}
	}
}

// The old id of a renewed session serves requests that had left before, and no others (D8b).
func TestTheOldIDOfARenewedSessionReadsForAWhile(t *testing.T) {
	id, _ := session.IDOf(authztest.Cookie("home"))
	heir := session.ID{1, 2, 3}
	const mismatch = reasonClientMismatch
	for name, test := range map[string]struct {
		ask    string
		change func(t *testing.T, w *authztest.World, who *account.Principal, r *request)
		want   string
	}{
		"it reads":           {"by session", nil, ""},
		"it reads heads too": {"by session", func(_ *testing.T, _ *authztest.World, _ *account.Principal, r *request) { r.method = "HEAD" }, ""},
		"it asks for no options": {"by session", func(_ *testing.T, _ *authztest.World, _ *account.Principal, r *request) {
			r.method = "OPTIONS"
		}, reasonInvalidSession},
		"it writes nothing": {"by session, audited", nil, reasonInvalidSession},
		"it opens no websocket": {"by session", func(_ *testing.T, _ *authztest.World, _ *account.Principal, r *request) {
			r.upgrade, r.origin, r.hasOrigin = "websocket", "https://"+r.host, true
		}, ""}, // replaced below: any refusal will do
		"not from another browser": {"by session, from another browser", nil, mismatch},
		"not after a while": {"by session", func(_ *testing.T, w *authztest.World, who *account.Principal, _ *request) {
			who.Renewal.Until = w.Now()
		}, reasonInvalidSession},
		"not longer than ever given": {"by session", func(_ *testing.T, w *authztest.World, who *account.Principal, _ *request) {
			who.Renewal.Until = w.Now().Add(account.RenewalGrace + time.Second)
		}, reasonInvalidSession},
		"not when another was renewed": {"by session", func(_ *testing.T, _ *authztest.World, who *account.Principal, _ *request) {
			who.Renewal.From = heir
		}, reasonInvalidSession},
		"not after sign-out everywhere": {"by session", func(_ *testing.T, _ *authztest.World, who *account.Principal, _ *request) {
			who.SessionGeneration++
			who.Renewal = nil // as a store reads it
		}, reasonInvalidSession},
		"not after a sign-out": {"by session", func(t *testing.T, w *authztest.World, _ *account.Principal, _ *request) {
			if err := w.Sessions.End(t.Context(), heir); err != nil {
				t.Fatal(err)
			}
		}, reasonInvalidSession},
		"not after a sign-out that another replica told of": {"by session",
			func(_ *testing.T, w *authztest.World, _ *account.Principal, _ *request) {
				w.Sessions.Apply(feed.Change{Kind: feed.Session, Ref: hex.EncodeToString(heir[:])})
			}, reasonInvalidSession},
		"not after a sign-out with it": {"by session", func(t *testing.T, w *authztest.World, _ *account.Principal, _ *request) {
			if err := w.Sessions.End(t.Context(), id); err != nil {
				t.Fatal(err)
			}
		}, reasonInvalidSession},
		"not when everybody was signed out": {"by session", func(t *testing.T, w *authztest.World, _ *account.Principal, _ *request) {
			if err := w.Sessions.EndAll(t.Context()); err != nil {
				t.Fatal(err)
			}
		}, reasonInvalidSession},
		"not after a ban": {"by session", func(_ *testing.T, _ *authztest.World, who *account.Principal, _ *request) {
			who.State = account.StateBanned
		}, reasonUserNotActive},
	} {
		t.Run(name, func(t *testing.T) {
			w := small(t)
			before, err := w.Accounts.Principal(t.Context(), "ID1")
			if err != nil {
				t.Fatal(err)
			}
			who := *before
			who.SessionGeneration++
			who.Renewal = &account.Renewal{From: id, To: heir, Until: w.Now().Add(account.RenewalGrace)}
			r := asked(t, w, test.ask)
			if test.change != nil {
				test.change(t, w, &who, &r)
			}
			slid := false
			f := &fakes{
				w: w, slide: func() { slid = true },
				principal: func(context.Context, string) (*account.Principal, error) { return &who, nil },
			}
			var d decision
			fakeServer(t, f, nil).conclude(t.Context(), &r, &d, nil)
			websocket := r.upgrade != ""
			if websocket && d.reason == "" || !websocket && d.reason != test.want {
				t.Errorf("got %q, want %q", d.reason, test.want)
			}
			if slid {
				t.Error("the old id was kept alive")
			}
		})
	}
}

// A process whose clock is wrong judges and slides sessions, and judges API keys, as all others
// do: one behind prolongs nothing, one ahead shortens nothing.
func TestCredentialsGoByTheClockThatAllShare(t *testing.T) {
	for _, ahead := range []time.Duration{0, -3 * time.Hour, -20 * time.Minute, 20 * time.Minute, 3 * time.Hour} {
		w := small(t)
		s := worldServer(t, w)
		s.Now = func() time.Time { return w.Now().Add(ahead) }
		s.Shared = func(now time.Time) time.Time { return now.Add(-ahead) }
		answers := func(when, ask, want string) {
			t.Helper()
			r, d := asked(t, w, ask), decision{}
			s.conclude(t.Context(), &r, &d, nil)
			if d.reason != want || d.allowed() != (want == "") {
				t.Errorf("%s ahead, %s, %s: got %q, want %q", ahead, when, ask, d.reason, want)
			}
		}
		passes := func(d time.Duration) {
			t.Helper()
			if err := w.Begin(authztest.Step{After: authztest.Duration(d)}); err != nil {
				t.Fatal(err)
			}
		}
		answers("at first", "by API key", "")
		passes(10 * time.Minute)
		answers("in use", "by session", "")
		e, err := w.Sessions.Lookup(t.Context(), authztest.Cookie("home"), w.Now())
		if err != nil {
			t.Fatal(err)
		}
		if left := e.Expires().Sub(w.Now()); left != 30*time.Minute {
			t.Errorf("%s ahead: slid to %s from now, want 30 minutes", ahead, left)
		}
		passes(31 * time.Minute)
		answers("after its end", "by session", reasonClientMismatch)
		if !e.Expires().Before(w.Now()) {
			t.Errorf("%s ahead: it was prolonged after its end", ahead)
		}
	}
}
