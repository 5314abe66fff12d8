package resource_test

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"barong/internal/apitest"
	"barong/internal/audit"
	"barong/internal/expect"
	"barong/internal/session"
)

const sessionBase = base + "/sessions"

// twoSessions has a session of a bot, from nowhere, and twenty minutes later one of a browser.
// Half a minute after that it is now.
func twoSessions(t *testing.T) (w *world, mine, bot string) {
	t.Helper()
	w = newWorld(t)
	open := func(o session.Opening) string {
		o.UID, o.Generation = me, w.User(me).SessionGeneration
		cookie, s, err := w.Sessions.Open(t.Context(), o, w.Now)
		expect.OK(t, err)
		w.Secret(cookie, s.CSRFToken)
		return cookie
	}
	bot = open(session.Opening{UserAgent: "\xff<bot>"})
	w.Now = w.Now.Add(20 * time.Minute)
	mine = open(session.Opening{
		UserAgent: "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0", IP: netip.MustParseAddr("192.0.2.7"),
	})
	w.Now = w.Now.Add(30 * time.Second)
	return w, mine, bot
}

func handleOf(cookie string) string {
	id, _ := session.IDOf(cookie)
	return id.Handle()
}

func TestListSessions(t *testing.T) {
	w, mine, bot := twoSessions(t)
	w.open(stranger)
	shown := func(current string, seen string) string {
		return `{"handle":"` + handleOf(mine) + `","current":` + current + `,"device":"Firefox on Linux",
			"user_agent":"Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
			"ip":"192.0.2.7","country":"Malta","created_at":"2026-11-21T08:20:00Z",
			"last_seen_at":"` + seen + `","expires_at":"2026-11-21T08:50:00Z"}`
	}
	botShown := `{"handle":"` + handleOf(bot) + `","current":false,"device":"Unknown device","user_agent":"\ufffd<bot>",
		"ip":"","country":"","created_at":"2026-11-21T08:00:00Z","last_seen_at":"2026-11-21T08:00:00Z",
		"expires_at":"2026-11-21T08:30:00Z"}`
	c := w.mine()
	with := within(c, mine)
	with.Get(t, sessionBase).Want(t, 200, "["+shown("true", "2026-11-21T08:20:30Z")+","+botShown+"]")
	c.Get(t, sessionBase).Want(t, 200, "["+shown("false", "2026-11-21T08:20:00Z")+","+botShown+"]")

	// Pages, as of every list (D17).
	for query, want := range map[string]string{
		"?limit=1": "[" + shown("true", "2026-11-21T08:20:30Z") + "]", "?limit=1&page=2": "[" + botShown + "]",
		"?page=2": "[]", "?page=99999999999": "[]",
	} {
		a := with.Get(t, sessionBase+query)
		a.Want(t, 200, want)
		expect.Equal(t, a.Header.Get("Total"), "2")
	}
	for query, tokens := range map[string][]string{
		"?limit=101": {"invalid_limit"}, "?page=0": {"non_positive_page"},
		"?page=x":  {"non_integer_page", "non_positive_page"},
		"?limit=x": {"non_integer_limit", "invalid_limit"},
	} {
		with.Get(t, sessionBase+query).WantTokens(t, 422, tokens...)
	}
	w.Now = w.Now.Add(time.Hour)
	c.Get(t, sessionBase).Want(t, 200, "[]")
}

func TestEndSession(t *testing.T) {
	none := func(*world) {}
	fail := func(verbs ...string) func(*world) {
		return func(w *world) { w.Faults.Fail(apitest.ErrOutage, verbs...) }
	}
	for name, test := range map[string]struct {
		handle   func(w *world, mine, bot string) string
		change   func(*world)
		status   int
		token    string
		ended    string // "mine", "bot" or ""
		recorded int
		cleared  bool
	}{
		"another of one's own":                   {botHandle, none, 204, "", "bot", 1, false},
		"the current one, whose cookie goes too": {mineHandle, none, 204, "", "mine", 1, true},
		"one that nobody has":                    {func(*world, string, string) string { return session.ID{3}.Handle() }, none, 404, "record.not_found", "", 0, false},
		"somebody else's":                        {func(w *world, _, _ string) string { return handleOf(w.open(stranger)) }, none, 404, "record.not_found", "", 0, false},
		"an id is no handle":                     {func(*world, string, string) string { return strings.Repeat("02", 32) }, none, 404, "record.not_found", "", 0, false},
		"a cookie value is no handle": {func(w *world, _, _ string) string {
			cookie, _, err := w.Sessions.Open(w.T.Context(), session.Opening{UID: me, Generation: w.User(me).SessionGeneration}, w.Now)
			expect.OK(w.T, err)
			return cookie // a path is on the access line: no secret of the world
		}, none, 404, "record.not_found", "", 0, false},
		"no text":              {func(*world, string, string) string { return "%FF" }, none, 422, "invalid", "", 0, false},
		"one that has run out": {botHandle, func(w *world) { w.Now = w.Now.Add(10 * time.Minute) }, 404, "record.not_found", "bot", 0, false},
		"an activity that is lost undoes nothing":   {botHandle, fail("AddActivity", "Update"), 204, "", "bot", 0, false},
		"an end that may have failed is an error":   {mineHandle, fail("EndSession"), 503, "server.internal_error", "", 0, false},
		"a list that cannot be had is an error":     {mineHandle, fail("SessionsOf"), 503, "server.internal_error", "", 0, false},
		"a cookie that cannot be looked at is, too": {mineHandle, func(w *world) { w.Restart(); fail("Session")(w) }, 503, "server.internal_error", "", 0, false},
	} {
		t.Run(name, func(t *testing.T) {
			w, mine, bot := twoSessions(t)
			handle := test.handle(w, mine, bot)
			test.change(w)
			a := within(w.mine(), mine).JSON(t, "DELETE", sessionBase+"/"+handle, nil)
			w.Faults.Fail(nil, "AddActivity", "Update", "EndSession", "SessionsOf", "Session")
			if test.token != "" {
				a.WantTokens(t, test.status, test.token)
			} else {
				a.Want(t, test.status, "")
			}
			expect.Equal(t, []bool{w.stands(mine), w.stands(bot)}, []bool{test.ended != "mine", test.ended != "bot"})
			expect.Equal(t, len(w.Activities(audit.Query{ActorUID: me, Action: "session revoke"})), test.recorded)
			if value, cleared := set(t, a); value != "" || cleared != test.cleared {
				t.Errorf("Set-Cookie: got %q, want it cleared: %v", a.Header.Values("Set-Cookie"), test.cleared)
			}
		})
	}
}

func mineHandle(_ *world, mine, _ string) string { return handleOf(mine) }
func botHandle(_ *world, _, bot string) string   { return handleOf(bot) }

// The cookie decides which session is current: without it, ending that session clears nothing.
func TestEndSessionWithoutItsCookie(t *testing.T) {
	w, mine, _ := twoSessions(t)
	a := w.mine().JSON(t, "DELETE", sessionBase+"/"+handleOf(mine), nil)
	a.Want(t, 204, "")
	expect.Equal(t, []any{w.stands(mine), a.Header.Get("Set-Cookie")}, []any{false, ""})
}

func TestSignOutEverywhere(t *testing.T) {
	for name, test := range currencies() {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			phone, cookie := w.open(me), test.cookie(w)
			if test.before != nil {
				test.before(w, cookie)
			}
			a := within(w.mine(), cookie).JSON(t, "DELETE", sessionBase, nil)
			w.Faults.Fail(nil, "Update", "AddSession")
			if w.kept(a, cookie, test); test.over {
				a.WantTokens(t, 401, "authz.invalid_session")
				expect.Equal(t, len(w.Activities(audit.Query{ActorUID: me, Action: "sign out everywhere"})), 0)
				return
			}
			a.Want(t, 204, "")
			if w.stands(phone) || cookie != "" && test.cookie != nil && name != "somebody else's session" && w.stands(cookie) {
				t.Error("an old session stands")
			}
			expect.Equal(t, len(w.Activities(audit.Query{ActorUID: me, Action: "sign out everywhere"})), 1)
		})
	}
	for name, change := range map[string]func(*world){
		"the session store is away": func(w *world) {
			w.Restart()
			w.Faults.Fail(apitest.ErrOutage, "Session")
		},
		"the database is away": func(w *world) { w.Faults.Fail(apitest.ErrOutage, "Update") },
	} {
		w := newWorld(t)
		cookie := w.open(me)
		change(w)
		a := within(w.mine(), cookie).JSON(t, "DELETE", sessionBase, nil)
		a.WantTokens(t, 503, "server.internal_error")
		w.Faults.Fail(nil, "Session", "Update")
		if !w.stands(cookie) || a.Header.Get("Set-Cookie") != "" {
			t.Errorf("%s: something changed", name)
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
	j.Now = j.Now.Add(time.Second)
	phone := j.signIn("")
	j.Now = j.Now.Add(time.Second)
	tablet := j.signIn("")

	all, current := list(laptop)
	expect.Equal(t, []int{len(all), current}, []int{3, 2}) // newest first
	fromPhone, current := list(phone)
	expect.Equal(t, fromPhone, all)
	expect.Equal(t, current, 1)

	expect.Equal(t, []int{end(laptop, all[0]), end(laptop, all[0])}, []int{204, 404})
	expect.Equal(t, j.signOut(tablet), 404)
	left, _ := list(laptop)
	expect.Equal(t, left, all[1:])

	// Everywhere else: this session goes on under a new id, which has a handle of its own.
	a := j.me(laptop).JSON(t, "DELETE", sessionBase, nil)
	a.Want(t, 204, "")
	moved := j.cookieOf(a)
	expect.Equal(t, []int{j.signOut(laptop), j.signOut(phone)}, []int{204, 204})
	left, _ = list(moved)
	if len(left) != 1 || left[0] == all[2] {
		t.Errorf("after signing out everywhere else: got %v, want one, not %s", left, all[2])
	}
	if old, _ := list(phone); len(old) != 1 || old[0] != left[0] {
		t.Errorf("by an ended cookie: got %v, want what is left", old)
	}
	expect.Equal(t, []int{end(moved, left[0]), end(moved, left[0]), j.signOut(moved)}, []int{204, 404, 404})

	// Of somebody else there is nothing to see or to end.
	stranger := j.SignUp("other@barong.io", 1)
	mine := j.signIn("")
	left, _ = list(mine)
	own := j.user
	j.user = stranger
	if theirs, _ := list(mine); len(theirs) != 0 {
		t.Errorf("another user sees %v, want nothing", theirs)
	}
	expect.Equal(t, end(mine, left[0]), 404)
	j.user = own
	expect.Equal(t, j.signOut(mine), 204)

	for action, want := range map[string]int{"session revoke": 2, "sign out everywhere": 1} {
		rows, _, err := j.DB.Activities(t.Context(), audit.Query{Topic: "session", Action: action, Limit: 10})
		if err != nil || len(rows) != want || rows[0].ActorUID != own.UID || rows[0].Result != audit.Succeed || rows[0].IP != "10.0.0.1" {
			t.Errorf("%s: got %+v, %v; want %d of the caller", action, rows, err, want)
		}
	}
}
