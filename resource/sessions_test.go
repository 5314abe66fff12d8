package resource_test

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"barong/internal/account"
	"barong/internal/audit"
	"barong/internal/session"
)

const sessionBase = "/api/v2/resource/sessions"

// ends records the questions and acts of the endpoints of sessions.
type ends struct {
	live     []session.Live
	listErr  error
	ended    []session.ID
	endErr   error
	recorded []string // the uid of each
	err      error    // of recording, or of signing out everywhere
}

func (w *world) List(
	_ context.Context, uid string, generation int64, current *session.Entry, at time.Time,
) ([]session.Live, error) {
	if uid != meUID || generation != w.user.SessionGeneration || !at.Equal(now) {
		return nil, fmt.Errorf("list of %s, generation %d, at %v", uid, generation, at)
	}
	if current != nil && current.ID != w.session.ID {
		return nil, fmt.Errorf("current is %x", current.ID)
	}
	return w.ends.live, w.ends.listErr
}

func (w *world) End(_ context.Context, id session.ID) error {
	if w.ends.endErr == nil {
		w.ends.ended = append(w.ends.ended, id)
	}
	return w.ends.endErr
}

func (w *world) SessionRevoked(_ context.Context, by account.Actor) error {
	w.ends.recorded = append(w.ends.recorded, by.UID)
	return w.ends.err
}

func (w *world) SignOutEverywhere(_ context.Context, by account.Actor) (int64, error) {
	if w.ends.err != nil {
		return 0, w.ends.err
	}
	w.ends.recorded = append(w.ends.recorded, by.UID)
	return 4, nil
}

// withSessions has the current session and another one, opened an hour earlier.
func withSessions() *world {
	w := newWorld()
	w.session.IP = netip.MustParseAddr("192.0.2.7")
	w.session.UserAgent = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
	other := session.Session{
		ID: session.ID{2}, UID: meUID, Generation: 3, UserAgent: "\xff<bot>", CSRFToken: "0123456789abcdef0123",
		CreatedAt: now.Add(-time.Hour), ExpiresAt: now.Add(10 * time.Minute),
	}
	w.ends.live = []session.Live{
		{Session: w.session, Seen: now.Add(-29 * time.Second)},
		{Session: other, Seen: now.Add(-20 * time.Minute)},
	}
	return w
}

func TestListSessions(t *testing.T) {
	w := withSessions()
	mine, other := session.ID{1}.Handle(), session.ID{2}.Handle()
	shown := func(current string, seen string) string {
		return `{"handle":"` + mine + `","current":` + current + `,"device":"Firefox on Linux",
			"user_agent":"Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
			"ip":"192.0.2.7","country":"Malta","created_at":"2026-11-21T08:00:00Z",
			"last_seen_at":"` + seen + `","expires_at":"2026-11-21T09:00:00Z"}`
	}
	otherShown := `{"handle":"` + other + `","current":false,"device":"Unknown device","user_agent":"\ufffd<bot>",
		"ip":"","country":"","created_at":"2026-11-21T07:00:00Z","last_seen_at":"2026-11-21T07:40:00Z",
		"expires_at":"2026-11-21T08:10:00Z"}`
	c := signedIn(t, w)
	with := c.With("Cookie", "_barong_session="+cookieValue)
	with.Get(t, sessionBase).Want(t, 200, "["+shown("true", "2026-11-21T08:00:00Z")+","+otherShown+"]")
	c.Get(t, sessionBase).Want(t, 200, "["+shown("false", "2026-11-21T07:59:31Z")+","+otherShown+"]")

	// Pages, as of every list (D17).
	for query, want := range map[string]string{
		"?limit=1": "[" + shown("true", "2026-11-21T08:00:00Z") + "]", "?limit=1&page=2": "[" + otherShown + "]",
		"?page=2": "[]", "?page=99999999999": "[]",
	} {
		a := with.Get(t, sessionBase+query)
		a.Want(t, 200, want)
		diff(t, a.Header.Get("Total"), "2")
	}
	with.Get(t, sessionBase+"?limit=101").WantTokens(t, 422, "invalid_limit")
	with.Get(t, sessionBase+"?page=0").WantTokens(t, 422, "non_positive_page")
	w.ends.live = nil
	c.Get(t, sessionBase).Want(t, 200, "[]")
}

func TestEndSession(t *testing.T) {
	mine, other := session.ID{1}, session.ID{2}
	for name, test := range map[string]struct {
		handle  string
		change  func(*world)
		status  int
		token   string
		ended   []session.ID
		cleared bool
	}{
		"another of one's own":                      {handle: other.Handle(), status: 204, ended: []session.ID{other}},
		"the current one, whose cookie goes too":    {handle: mine.Handle(), status: 204, ended: []session.ID{mine}, cleared: true},
		"one that nobody has":                       {handle: session.ID{3}.Handle(), status: 404, token: "record.not_found"},
		"an id is no handle":                        {handle: strings.Repeat("02", 32), status: 404, token: "record.not_found"},
		"a cookie value is no handle":               {handle: cookieValue, status: 404, token: "record.not_found"},
		"one that the list does not hold any more":  {handle: other.Handle(), change: func(w *world) { w.ends.live = w.ends.live[:1] }, status: 404, token: "record.not_found"},
		"an activity that is lost undoes nothing":   {handle: other.Handle(), change: func(w *world) { w.ends.err = errOutage }, status: 204, ended: []session.ID{other}},
		"what may not have ended is an error":       {handle: mine.Handle(), change: func(w *world) { w.ends.endErr = errOutage }, status: 503, token: "server.internal_error"},
		"a list that cannot be had is an error":     {handle: mine.Handle(), change: func(w *world) { w.ends.listErr = errOutage }, status: 503, token: "server.internal_error"},
		"a cookie that cannot be looked at is, too": {handle: mine.Handle(), change: func(w *world) { w.lookup = errOutage }, status: 503, token: "server.internal_error"},
	} {
		t.Run(name, func(t *testing.T) {
			w := withSessions()
			if test.change != nil {
				test.change(w)
			}
			c := signedIn(t, w).With("Cookie", "_barong_session="+cookieValue)
			a := c.JSON(t, "DELETE", sessionBase+"/"+test.handle, nil)
			if test.token != "" {
				a.WantTokens(t, test.status, test.token)
			} else {
				a.Want(t, test.status, "")
			}
			diff(t, w.ends.ended, test.ended)
			diff(t, len(w.ends.recorded), len(test.ended))
			set := a.Header.Get("Set-Cookie")
			if cleared := strings.HasPrefix(set, "_barong_session=; ") && strings.Contains(set, "Max-Age=0"); cleared != test.cleared || (set != "") != cleared {
				t.Errorf("Set-Cookie: got %q, want it cleared: %v", set, test.cleared)
			}
		})
	}
}

// The cookie decides which session is current: without it, ending that session clears nothing.
func TestEndSessionWithoutItsCookie(t *testing.T) {
	w := withSessions()
	a := signedIn(t, w).JSON(t, "DELETE", sessionBase+"/"+session.ID{1}.Handle(), nil)
	a.Want(t, 204, "")
	diff(t, []any{w.ends.ended, a.Header.Get("Set-Cookie")}, []any{[]session.ID{{1}}, ""})
}

func TestSignOutEverywhere(t *testing.T) {
	for name, test := range map[string]struct {
		cookie    string
		change    func(*world)
		restamped []int64
	}{
		"the current session stays, re-stamped (D11)": {cookieValue, nil, []int64{4}},
		"without a cookie all end":                    {"", nil, nil},
		"with somebody else's session all end":        {cookieValue, func(w *world) { w.session.UID = "ID9" }, nil},
		"with a session that has ended before all end": {cookieValue,
			func(w *world) { w.session.Generation = 2 }, nil},
		"with an expired session all end":              {cookieValue, func(w *world) { w.session.ExpiresAt = now }, nil},
		"a failed re-stamp signs this session out too": {cookieValue, func(w *world) { w.restamp = errOutage }, nil},
	} {
		t.Run(name, func(t *testing.T) {
			w := withSessions()
			if test.change != nil {
				test.change(w)
			}
			c := signedIn(t, w)
			if test.cookie != "" {
				c = c.With("Cookie", "_barong_session="+test.cookie)
			}
			a := c.JSON(t, "DELETE", sessionBase, nil)
			a.Want(t, 204, "")
			diff(t, w.ends.recorded, []string{meUID})
			diff(t, w.restamped, test.restamped)
			set := a.Header.Get("Set-Cookie")
			if want := test.restamped != nil; strings.HasPrefix(set, "_barong_session="+w.renewed+"; ") != want || (set != "") != want {
				t.Errorf("Set-Cookie: got %q, want one: %v", set, want)
			}
		})
	}
	for name, change := range map[string]func(*world){
		"the session store is away": func(w *world) { w.lookup = errOutage },
		"the database is away":      func(w *world) { w.ends.err = errOutage },
	} {
		w := withSessions()
		change(w)
		signedIn(t, w).With("Cookie", "_barong_session="+cookieValue).JSON(t, "DELETE", sessionBase, nil).
			WantTokens(t, 503, "server.internal_error")
		if w.restamped != nil {
			t.Errorf("%s: restamped to %v, want nothing changed", name, w.restamped)
		}
	}
}

// Over the services that production wires: the view and the acts of one device, and the rest
// for the other.
func TestSessionsJourney(t *testing.T) {
	j := newJourney(t)
	list := func(cookie string) (handles []string, current int) {
		t.Helper()
		var all []struct {
			Handle  string
			Current bool
		}
		current = -1
		a := j.me(cookie).Get(t, sessionBase)
		a.Into(t, &all)
		for i, s := range all {
			handles = append(handles, s.Handle)
			if s.Current {
				current = i
			}
		}
		if strings.Contains(a.Body, "csrf") || strings.Contains(a.Body, cookie) {
			t.Errorf("the list tells a secret: %s", a.Body)
		}
		return handles, current
	}
	end := func(cookie, handle string) int {
		return j.me(cookie).JSON(t, "DELETE", sessionBase+"/"+handle, nil).Status
	}
	laptop := j.signIn("")
	j.now = j.now.Add(time.Second)
	phone := j.signIn("")
	j.now = j.now.Add(time.Second)
	tablet := j.signIn("")

	all, current := list(laptop)
	diff(t, []int{len(all), current}, []int{3, 2}) // newest first
	fromPhone, current := list(phone)
	diff(t, fromPhone, all)
	diff(t, current, 1)

	diff(t, []int{end(laptop, all[0]), end(laptop, all[0])}, []int{204, 404})
	diff(t, j.signOut(tablet), 404)
	left, _ := list(laptop)
	diff(t, left, all[1:])

	// Everywhere else: this session goes on under a new id, which has a handle of its own.
	a := j.me(laptop).JSON(t, "DELETE", sessionBase, nil)
	a.Want(t, 204, "")
	moved := j.cookieOf(a)
	diff(t, []int{j.signOut(laptop), j.signOut(phone)}, []int{204, 204})
	left, _ = list(moved)
	if len(left) != 1 || left[0] == all[2] {
		t.Errorf("after signing out everywhere else: got %v, want one, not %s", left, all[2])
	}
	if old, _ := list(phone); len(old) != 1 || old[0] != left[0] {
		t.Errorf("by an ended cookie: got %v, want what is left", old)
	}
	diff(t, []int{end(moved, left[0]), end(moved, left[0]), j.signOut(moved)}, []int{204, 404, 404})

	// Of somebody else there is nothing to see or to end.
	stranger := must[account.User](t)(j.svc.CreateUser(t.Context(),
		account.UserInput{Email: "other@barong.io", Password: "Tecohvi0", Level: 1}))
	mine := j.signIn("")
	left, _ = list(mine)
	own := j.user
	j.user = stranger
	if theirs, _ := list(mine); len(theirs) != 0 {
		t.Errorf("another user sees %v, want nothing", theirs)
	}
	diff(t, end(mine, left[0]), 404)
	j.user = own
	diff(t, j.signOut(mine), 204)

	for action, want := range map[string]int{"session revoke": 2, "sign out everywhere": 1} {
		rows, _, err := j.db.Activities(t.Context(), audit.Query{Topic: "session", Action: action, Limit: 10})
		if err != nil || len(rows) != want || rows[0].ActorUID != own.UID || rows[0].Result != audit.Succeed || rows[0].IP != "10.0.0.1" {
			t.Errorf("%s: got %+v, %v; want %d of the caller", action, rows, err, want)
		}
	}
}
