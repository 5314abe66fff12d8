package main

import (
	"strings"
	"testing"
)

// The operator finds, shows and changes users by uid or address.
func TestUserCommands(t *testing.T) {
	const password = "Correct-Horse-9-Battery"
	c := newConsole(t)
	c.run(password+"\n", "users create --email boss@barong.example --role superadmin").want(t, 0)
	uid := c.person("one@barong.example", password)
	c.person("two@barong.example", password)

	var list userList
	into(t, c.run("", "users list --role member --order-by email --desc --limit 1 --format json").want(t, 0).out, &list)
	if list.Total != 2 || len(list.Users) != 1 || list.Users[0].Email != "two@barong.example" {
		t.Errorf("got %+v, want the second of two", list)
	}
	out := c.run("", "users list --role member --limit 1").want(t, 0).out
	inOrder(t, out, "UID", uid, "one@barong.example", "1 of 2; the next: --offset 1")
	if out := c.run("", "users list --email ONE@barong.example").want(t, 0).out; !strings.Contains(out, uid) || strings.Contains(out, "two@") {
		t.Errorf("by address: got %s", out)
	}
	c.run("", "users list --order-by password_digest").want(t, 2, "--order-by")
	c.run("", "users list --limit 0").want(t, 2, "--limit")

	var u struct{ UID, State, Role string }
	into(t, c.run("", "users lock --email One@barong.example --format json").want(t, 0).out, &u)
	if u.UID != uid || u.State != "locked" {
		t.Errorf("got %+v, want %s locked", u, uid)
	}
	c.run("", "users lock --uid "+uid).want(t, 0) // again
	var shown shownUser
	into(t, c.run("", "users show --uid "+uid+" --format json").want(t, 0).out, &shown)
	if shown.StateByStaff != "locked" || len(shown.Activities) == 0 || shown.Activities[0].By != "operator users lock" {
		t.Errorf("got %+v, want the lock and its activity", shown)
	}
	inOrder(t, c.run("", "users show --uid "+uid).want(t, 0).out, uid, "state", "locked", "operator users lock")
	if n := strings.Count(c.run("", "users show --uid "+uid).out, "operator users lock"); n != 1 {
		t.Errorf("got %d activities of locking, want 1: the second changed nothing", n)
	}
	into(t, c.run("", "users unlock --uid "+uid+" --format json").want(t, 0).out, &u)
	if u.State != "active" {
		t.Errorf("got %+v, want an active user", u)
	}
	into(t, c.run("", "users role admin --uid "+uid+" --format json").want(t, 0).out, &u)
	if u.Role != "admin" {
		t.Errorf("got %+v, want an admin", u)
	}
	c.run("", "users role pirate --uid "+uid).want(t, 1, "no role", "superadmin")
	c.run("", "users reset-otp --uid "+uid).want(t, 0)

	c.run("", "users lock --email boss@barong.example").want(t, 1, "last active superadmin")
	c.run("", "users lock --email nobody@barong.example").want(t, 1, `no user has the e-mail address "nobody@barong.example"`)
	c.run("", "users lock --uid IDNOBODY").want(t, 1, `no user has the uid "IDNOBODY"`)
	c.run("", "users lock").want(t, 2, "--uid")
	c.with("", "users", "lock", "--uid", "").want(t, 2)
	c.run("", "users lock --uid a --email b").want(t, 2, "--uid")
	c.run("", "explain GET /x --uid IDNOBODY").want(t, 1, `no user has the uid "IDNOBODY"`)
	c.run("", "explain GET /x --kid nokey").want(t, 1, `no API key has the kid "nokey"`)
	c.run("", "explain GET /api/v2/barong/resource/users/me --email one@barong.example").want(t, 0)
}
